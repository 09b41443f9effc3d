/*
 * The control connection on Windows: a named pipe in message mode. Called by the dataplane's
 * control thread (listen, accept, send, receive) and by the client's attach and slow paths.
 *
 * Each message has a small header of our own with the values of handles that the dataplane
 * duplicated into the client before sending. The dataplane's first message also brings a handle to
 * its process: a client could not open a dataplane of another user. The dataplane never looks at
 * handle values it is sent: closing one would close something of its own.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rings/os/win32_internal.h"
#include "rings/os/win32_security.h"

#define CONN_MAGIC       0x314e4352u /* "RCN1" */
#define CONN_PIPE_BYTES  65536u      /* what a peer may leave unread before sends are refused */
#define CONN_PATH_FORMAT L"\\\\.\\pipe\\ringsock-%hs"
#define CONN_LOCK_FORMAT L"Global\\ringsock-%hs"
#define CONN_PATH_CHARS  64
#define CONN_RETRY_MS    20u

struct conn_frame {
    uint32_t magic;
    uint16_t payload_bytes;
    uint16_t handle_count;
    int64_t process; /* the dataplane's own process, 0 after the first message */
    int64_t handles[OS_CONN_HANDLES];
    unsigned char payload[OS_CONN_MESSAGE_BYTES];
};

#define CONN_HEADER_BYTES offsetof(struct conn_frame, payload)

enum conn_read_state { CONN_READ_NONE = 0, CONN_READ_PENDING, CONN_READ_BROKEN };

/* What os_conn.aux[0] points to. */
struct conn_state {
    HANDLE pipe;
    HANDLE peer; /* the other process, NULL if not known or not to be opened */
    bool is_dataplane;
    bool introduced; /* the dataplane's process handle was sent */
    bool watched;    /* in a poller: a read stays pending between calls */
    enum conn_read_state read_state;
    enum rs_status broken; /* what every later receive gives */
    OVERLAPPED read;       /* its event is signalled from completion until the message is taken */
    OVERLAPPED write;
    struct conn_frame in;
    struct conn_frame out;
};

/* What os_listener.aux[0] points to. */
struct listener_state {
    HANDLE pipe; /* the instance that waits for the next client */
    HANDLE lock; /* named mutex: exists as long as this dataplane lives */
    OVERLAPPED connect;
    struct win32_security security;
    wchar_t path[CONN_PATH_CHARS];
};

static struct conn_state *conn_of(const struct os_conn *conn)
{
    return (struct conn_state *)conn->aux[0]; /* NOLINT(performance-no-int-to-ptr) */
}

static struct listener_state *listener_of(const struct os_listener *listener)
{
    return (struct listener_state *)listener->aux[0]; /* NOLINT(performance-no-int-to-ptr) */
}

static bool conn_error_is_end(DWORD error)
{
    return error == ERROR_BROKEN_PIPE || error == ERROR_PIPE_NOT_CONNECTED ||
           error == ERROR_NO_DATA;
}

/* ---- making and ending a connection ---- */

static void conn_state_free(struct conn_state *state)
{
    if (!state) {
        return;
    }
    if (win32_handle_valid(state->pipe)) {
        DWORD moved = 0;
        if (state->read_state == CONN_READ_PENDING) {
            /* The system writes into our buffer until the read is over. */
            (void)CancelIoEx(state->pipe, &state->read);
            (void)GetOverlappedResult(state->pipe, &state->read, &moved, TRUE);
        }
        (void)CloseHandle(state->pipe);
    }
    os_handle_close((intptr_t)state->read.hEvent);
    os_handle_close((intptr_t)state->write.hEvent);
    os_handle_close((intptr_t)state->peer);
    free(state);
}

/* Takes over the pipe, also on failure. */
static enum rs_status conn_state_make(HANDLE pipe, bool is_dataplane, struct conn_state **out)
{
    struct conn_state *state = calloc(1, sizeof *state);
    if (!state) {
        (void)CloseHandle(pipe);
        return RS_NO_MEMORY;
    }
    state->pipe = pipe;
    state->is_dataplane = is_dataplane;
    state->read.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
    state->write.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!state->read.hEvent || !state->write.hEvent) {
        (void)win32_error("CreateEvent");
        conn_state_free(state);
        return RS_OS_ERROR;
    }
    *out = state;
    return RS_OK;
}

void os_conn_close(struct os_conn *conn)
{
    if (conn->handle == -1 || conn->handle == 0) {
        return;
    }
    conn_state_free(conn_of(conn));
    conn->handle = -1;
    conn->aux[0] = 0;
}

enum rs_status os_conn_peer_process(const struct os_conn *conn, struct os_process *out)
{
    const struct conn_state *state = conn_of(conn);
    *out = (struct os_process){.handle = -1, .pid = conn->peer_pid};
    if (!state->peer) {
        enum rs_status status = os_process_open(conn->peer_pid, out);
        DWORD available = 0;
        if (status == RS_OK && !PeekNamedPipe(state->pipe, NULL, 0, NULL, &available, NULL)) {
            os_process_close(out);
            status = RS_DATAPLANE_GONE;
        }
        return status;
    }
    HANDLE copy = NULL;
    if (!DuplicateHandle(GetCurrentProcess(), state->peer, GetCurrentProcess(), &copy, SYNCHRONIZE,
                         FALSE, 0)) {
        return win32_error("DuplicateHandle");
    }
    out->handle = (intptr_t)copy;
    return RS_OK;
}

/* ---- listening ---- */

/* more: FILE_FLAG_FIRST_PIPE_INSTANCE, or a right that the handle shall have. */
static HANDLE listener_make_pipe(struct listener_state *state, DWORD more)
{
    SECURITY_ATTRIBUTES attributes = {sizeof attributes, state->security.descriptor, FALSE};
    return CreateNamedPipeW(
        state->path, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | more,
        PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
        PIPE_UNLIMITED_INSTANCES, CONN_PIPE_BYTES, CONN_PIPE_BYTES, 0, &attributes);
}

/*
 * The first instance of the name. A client of a dead dataplane that still holds its end keeps the
 * name in existence; we then join it, provided that it belongs to somebody who may be a dataplane,
 * and put our access list in the place of the old one. (Wine joins in spite of the flag.)
 */
static enum rs_status listener_first_pipe(struct listener_state *state)
{
    state->pipe = listener_make_pipe(state, FILE_FLAG_FIRST_PIPE_INSTANCE | WRITE_DAC);
    if (!win32_handle_valid(state->pipe) &&
        (GetLastError() == ERROR_ACCESS_DENIED || GetLastError() == ERROR_PIPE_BUSY)) {
        state->pipe = listener_make_pipe(state, WRITE_DAC);
        if (!win32_handle_valid(state->pipe)) {
            (void)os_error_set("CreateNamedPipe", "the pipe's name is held by another user");
            return RS_ADDR_IN_USE;
        }
    }
    if (!win32_handle_valid(state->pipe)) {
        return win32_error("CreateNamedPipe");
    }
    if (!win32_security_owner_trusted(state->pipe)) {
        (void)os_error_set("CreateNamedPipe", "the pipe's name is held by another user");
        return RS_ADDR_IN_USE;
    }
    if (!SetKernelObjectSecurity(state->pipe, DACL_SECURITY_INFORMATION,
                                 state->security.descriptor)) {
        return win32_error("SetKernelObjectSecurity");
    }
    return RS_OK;
}

/* Starts waiting for the next client; the event is signalled at once if one is there already. */
static enum rs_status listener_start(struct listener_state *state)
{
    (void)ResetEvent(state->connect.hEvent);
    if (ConnectNamedPipe(state->pipe, &state->connect)) {
        return RS_OK;
    }
    switch (GetLastError()) {
    case ERROR_IO_PENDING:
        return RS_OK;
    case ERROR_PIPE_CONNECTED:
    case ERROR_NO_DATA: /* connected and closed again: the accept finds out */
        state->connect.Internal = 0;
        (void)SetEvent(state->connect.hEvent);
        return RS_OK;
    default:
        return win32_error("ConnectNamedPipe");
    }
}

static void listener_state_free(struct listener_state *state)
{
    if (!state) {
        return;
    }
    if (win32_handle_valid(state->pipe)) {
        DWORD moved = 0;
        if (CancelIoEx(state->pipe, &state->connect)) {
            (void)GetOverlappedResult(state->pipe, &state->connect, &moved, TRUE);
        }
        (void)CloseHandle(state->pipe);
    }
    os_handle_close((intptr_t)state->connect.hEvent);
    win32_security_free(&state->security);
    os_handle_close((intptr_t)state->lock);
    free(state);
}

/* The mutex is never waited for: that it exists says that its dataplane lives. Nobody that
 * [access] names has a use for it. */
static enum rs_status listener_lock_name(struct listener_state *state, const char *name)
{
    wchar_t path[CONN_PATH_CHARS];
    struct win32_security security;
    enum rs_status status = win32_security_make(&security);
    if (status != RS_OK) {
        return status;
    }
    (void)_snwprintf(path, CONN_PATH_CHARS, CONN_LOCK_FORMAT, name);
    SECURITY_ATTRIBUTES attributes = {sizeof attributes, security.descriptor, FALSE};
    state->lock = CreateMutexW(&attributes, FALSE, path);
    if (!state->lock || GetLastError() == ERROR_ALREADY_EXISTS) {
        bool in_use = state->lock || GetLastError() == ERROR_ACCESS_DENIED;
        (void)win32_error("CreateMutex of the instance");
        status = in_use ? RS_ADDR_IN_USE : RS_OS_ERROR;
    }
    win32_security_free(&security);
    return status;
}

enum rs_status os_listen(const char *name, const struct os_access *access, struct os_listener *out)
{
    *out = (struct os_listener){.handle = -1};
    if (!os_name_valid(name)) {
        return RS_INVALID;
    }
    struct listener_state *state = calloc(1, sizeof *state);
    if (!state) {
        return RS_NO_MEMORY;
    }
    (void)_snwprintf(state->path, CONN_PATH_CHARS, CONN_PATH_FORMAT, name);
    enum rs_status status = access && access->security[0] != '\0'
                                ? win32_security_make_listed(access->security, &state->security)
                                : win32_security_make(&state->security);
    if (status == RS_OK) {
        status = listener_lock_name(state, name);
    }
    if (status == RS_OK) {
        status = listener_first_pipe(state);
    }
    if (status == RS_OK) {
        state->connect.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
        status = state->connect.hEvent ? listener_start(state) : win32_error("CreateEvent");
    }
    if (status != RS_OK) {
        listener_state_free(state);
        return status;
    }
    out->handle = (intptr_t)state->connect.hEvent;
    out->aux[0] = (intptr_t)state;
    (void)snprintf(out->name, sizeof out->name, "%ls", state->path);
    return RS_OK;
}

void os_listener_close(struct os_listener *listener)
{
    if (listener->handle == -1 || listener->handle == 0) {
        return;
    }
    listener_state_free(listener_of(listener));
    listener->handle = -1;
    listener->aux[0] = 0;
}

HANDLE win32_listener_event(struct os_listener *listener)
{
    return listener_of(listener)->connect.hEvent;
}

/* Hands over the connected instance and puts a new one in its place. */
static enum rs_status listener_take_pipe(struct listener_state *state, HANDLE *out)
{
    HANDLE next = listener_make_pipe(state, 0);
    if (!win32_handle_valid(next)) {
        enum rs_status status = win32_error("CreateNamedPipe");
        (void)DisconnectNamedPipe(state->pipe);
        (void)listener_start(state);
        return status;
    }
    *out = state->pipe;
    state->pipe = next;
    return listener_start(state);
}

/* RS_OK a client waits, RS_WOULD_BLOCK none does. A wait that was broken off is started again. */
static enum rs_status listener_check(struct listener_state *state)
{
    if (WaitForSingleObject(state->connect.hEvent, 0) != WAIT_OBJECT_0) {
        return RS_WOULD_BLOCK;
    }
    DWORD moved = 0;
    DWORD available = 0;
    if (GetOverlappedResult(state->pipe, &state->connect, &moved, FALSE) &&
        PeekNamedPipe(state->pipe, NULL, 0, NULL, &available, NULL)) {
        return RS_OK;
    }
    (void)DisconnectNamedPipe(state->pipe);
    enum rs_status status = listener_start(state);
    return status == RS_OK ? RS_WOULD_BLOCK : status;
}

enum rs_status os_accept(struct os_listener *listener, struct os_conn *out)
{
    struct listener_state *state = listener_of(listener);
    *out = (struct os_conn){.handle = -1};
    enum rs_status status = listener_check(state);
    if (status != RS_OK) {
        return status;
    }
    HANDLE pipe = NULL;
    status = listener_take_pipe(state, &pipe);
    if (status != RS_OK) {
        if (pipe) {
            (void)CloseHandle(pipe);
        }
        return status;
    }
    ULONG pid = 0;
    if (!GetNamedPipeClientProcessId(pipe, &pid)) {
        status = win32_error("GetNamedPipeClientProcessId");
        (void)CloseHandle(pipe);
        return status;
    }
    struct conn_state *conn = NULL;
    status = conn_state_make(pipe, true, &conn);
    if (status != RS_OK) {
        return status;
    }
    /* Opened while the client still holds its end, so the number is still its own. Without the
     * rights the dataplane may answer, but not send handles. */
    DWORD available = 0;
    conn->peer = OpenProcess(SYNCHRONIZE | PROCESS_DUP_HANDLE | PROCESS_QUERY_LIMITED_INFORMATION,
                             FALSE, pid);
    if (!PeekNamedPipe(pipe, NULL, 0, NULL, &available, NULL)) {
        conn_state_free(conn);
        return RS_WOULD_BLOCK;
    }
    *out = (struct os_conn){.handle = (intptr_t)pipe, .aux = {(intptr_t)conn}, .peer_pid = pid};
    return RS_OK;
}

/* ---- connecting ---- */

static enum rs_status conn_finish_connect(HANDLE pipe, struct os_conn *out)
{
    DWORD mode = PIPE_READMODE_MESSAGE;
    ULONG pid = 0;
    enum rs_status status = RS_OK;
    if (!win32_security_owner_trusted(pipe)) {
        (void)os_error_set("named pipe", "made by a user who is neither this one nor the system");
        status = RS_ATTACH_REFUSED;
    } else if (!SetNamedPipeHandleState(pipe, &mode, NULL, NULL)) {
        status = win32_error("SetNamedPipeHandleState");
    } else if (!GetNamedPipeServerProcessId(pipe, &pid)) {
        status = win32_error("GetNamedPipeServerProcessId");
    }
    if (status != RS_OK) {
        (void)CloseHandle(pipe);
        return status;
    }
    struct conn_state *state = NULL;
    status = conn_state_make(pipe, false, &state);
    if (status == RS_OK) {
        *out =
            (struct os_conn){.handle = (intptr_t)pipe, .aux = {(intptr_t)state}, .peer_pid = pid};
    }
    return status;
}

enum rs_status os_connect(const char *name, uint64_t timeout_ns, struct os_conn *out)
{
    *out = (struct os_conn){.handle = -1};
    if (!os_name_valid(name)) {
        return RS_INVALID;
    }
    wchar_t path[CONN_PATH_CHARS];
    (void)_snwprintf(path, CONN_PATH_CHARS, CONN_PATH_FORMAT, name);
    const uint64_t deadline_ns = os_deadline_after(timeout_ns);
    for (;;) {
        /* Without FILE_APPEND_DATA, which on a pipe is the right to make instances. The dataplane
         * may identify us, not act as us. */
        HANDLE pipe = CreateFileW(
            path, GENERIC_READ | FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES, 0, NULL, OPEN_EXISTING,
            FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
        if (win32_handle_valid(pipe)) {
            return conn_finish_connect(pipe, out);
        }
        (void)win32_error("CreateFile of the pipe");
        switch (GetLastError()) {
        case ERROR_PIPE_BUSY:
            break;
        case ERROR_FILE_NOT_FOUND:
        case ERROR_PATH_NOT_FOUND:
            return RS_NOT_READY;
        case ERROR_ACCESS_DENIED:
            (void)os_error_set("access denied",
                               "the security descriptor of the dataplane's pipe does not let this "
                               "user in; [access] security in its configuration says who may");
            return RS_ATTACH_REFUSED;
        default:
            return RS_OS_ERROR;
        }
        if (os_deadline_left_ns(deadline_ns) == 0) {
            return RS_TIMED_OUT;
        }
        /* Short waits, because a pipe whose dataplane died meanwhile would be waited for to the
         * end. */
        DWORD left_ms = win32_wait_ms(deadline_ns);
        (void)WaitNamedPipeW(path, left_ms < CONN_RETRY_MS ? left_ms + 1 : CONN_RETRY_MS);
    }
}

/* ---- sending ---- */

static DWORD conn_rights_of(enum os_handle_kind kind)
{
    switch (kind) {
    case OS_HANDLE_SHM_READ:
        return SECTION_MAP_READ;
    case OS_HANDLE_SHM_WRITE:
        return SECTION_MAP_READ | SECTION_MAP_WRITE;
    case OS_HANDLE_EVENT_WAIT:
        return SYNCHRONIZE;
    }
    return 0;
}

/* Puts a copy of a handle into the peer; *out is its value there. */
static enum rs_status conn_give(const struct conn_state *state, HANDLE handle, DWORD rights,
                                int64_t *out)
{
    HANDLE given = NULL;
    if (!DuplicateHandle(GetCurrentProcess(), handle, state->peer, &given, rights, FALSE, 0)) {
        (void)win32_error("DuplicateHandle into the client");
        return WaitForSingleObject(state->peer, 0) == WAIT_OBJECT_0 ? RS_DATAPLANE_GONE
                                                                    : RS_OS_ERROR;
    }
    *out = (int64_t)(intptr_t)given;
    return RS_OK;
}

/* Takes back what a message that was not sent had given away. */
static void conn_take_back(const struct conn_state *state, const struct conn_frame *frame)
{
    const int64_t given[OS_CONN_HANDLES + 1] = {
        frame->handles[0], frame->handles[1], frame->handles[2], frame->handles[3], frame->process};
    static_assert(OS_CONN_HANDLES == 4, "the list above");
    for (uint32_t i = 0; i < OS_CONN_HANDLES + 1; i++) {
        if (given[i] != 0) {
            (void)DuplicateHandle(state->peer, win32_handle((intptr_t)given[i]), NULL, NULL, 0,
                                  FALSE, DUPLICATE_CLOSE_SOURCE);
        }
    }
}

static enum rs_status conn_give_all(struct conn_state *state, const struct os_conn_handle *handles,
                                    uint32_t handle_count)
{
    struct conn_frame *frame = &state->out;
    if (!state->is_dataplane) {
        return RS_OK;
    }
    if (!state->peer) {
        return handle_count == 0 ? RS_OK : RS_ATTACH_REFUSED;
    }
    enum rs_status status = RS_OK;
    if (!state->introduced) {
        /* GetCurrentProcess() is a pseudo handle; duplicated it becomes a real one. */
        status = conn_give(state, GetCurrentProcess(), SYNCHRONIZE, &frame->process);
    }
    for (uint32_t i = 0; status == RS_OK && i < handle_count; i++) {
        status = conn_give(state, win32_handle(handles[i].handle), conn_rights_of(handles[i].kind),
                           &frame->handles[i]);
    }
    return status;
}

static enum rs_status conn_write(struct conn_state *state, DWORD bytes)
{
    DWORD written = 0;
    if (WriteFile(state->pipe, &state->out, bytes, NULL, &state->write) ||
        GetLastError() == ERROR_IO_PENDING) {
        /* What fits into the pipe is done at once; what does not would wait for the peer. */
        if (!GetOverlappedResult(state->pipe, &state->write, &written, FALSE) &&
            GetLastError() == ERROR_IO_INCOMPLETE) {
            (void)CancelIoEx(state->pipe, &state->write);
        }
        if (GetOverlappedResult(state->pipe, &state->write, &written, TRUE)) {
            return RS_OK;
        }
    }
    if (GetLastError() == ERROR_OPERATION_ABORTED) {
        return RS_WOULD_BLOCK;
    }
    (void)win32_error("WriteFile to the pipe");
    return conn_error_is_end(GetLastError()) ? RS_DATAPLANE_GONE : RS_OS_ERROR;
}

enum rs_status os_conn_send(struct os_conn *conn, const void *message, size_t bytes,
                            const struct os_conn_handle *handles, uint32_t handle_count)
{
    struct conn_state *state = conn_of(conn);
    if (bytes > OS_CONN_MESSAGE_BYTES) {
        return RS_MESSAGE_SIZE;
    }
    if (bytes == 0 || handle_count > OS_CONN_HANDLES ||
        (handle_count > 0 && !state->is_dataplane)) {
        return RS_INVALID;
    }
    state->out = (struct conn_frame){.magic = CONN_MAGIC,
                                     .payload_bytes = (uint16_t)bytes,
                                     .handle_count = (uint16_t)handle_count};
    memcpy(state->out.payload, message, bytes);
    enum rs_status status = conn_give_all(state, handles, handle_count);
    if (status == RS_OK) {
        status = conn_write(state, (DWORD)(CONN_HEADER_BYTES + bytes));
    }
    if (status == RS_OK) {
        state->introduced = true;
    } else if (state->peer) {
        conn_take_back(state, &state->out);
    }
    return status;
}

/* ---- receiving ---- */

/* Starts a read if none is pending. The event is signalled as soon as there is something to take.
 */
static void conn_read_start(struct conn_state *state)
{
    if (state->read_state != CONN_READ_NONE) {
        return;
    }
    (void)ResetEvent(state->read.hEvent);
    if (ReadFile(state->pipe, &state->in, sizeof state->in, NULL, &state->read) ||
        GetLastError() == ERROR_IO_PENDING || GetLastError() == ERROR_MORE_DATA) {
        state->read_state = CONN_READ_PENDING;
        return;
    }
    (void)win32_error("ReadFile from the pipe");
    state->read_state = CONN_READ_BROKEN;
    state->broken = conn_error_is_end(GetLastError()) ? RS_DATAPLANE_GONE : RS_OS_ERROR;
    (void)SetEvent(state->read.hEvent);
}

HANDLE win32_conn_read_event(struct os_conn *conn)
{
    struct conn_state *state = conn_of(conn);
    conn_read_start(state);
    return state->read.hEvent;
}

void win32_conn_set_watched(struct os_conn *conn, bool watched)
{
    conn_of(conn)->watched = watched;
}

/* Every later receive gives the same: a pipe out of step cannot be read on. */
static enum rs_status conn_break(struct conn_state *state, enum rs_status status)
{
    state->read_state = CONN_READ_BROKEN;
    state->broken = status;
    (void)SetEvent(state->read.hEvent);
    return status;
}

/* Waits for the pending read. RS_TIMED_OUT leaves it pending if the connection is watched, else
 * takes it back. */
static enum rs_status conn_read_finish(struct conn_state *state, uint64_t deadline_ns,
                                       DWORD *frame_bytes)
{
    DWORD waited = WAIT_TIMEOUT;
    do {
        waited = WaitForSingleObject(state->read.hEvent, win32_wait_ms(deadline_ns));
    } while (waited == WAIT_TIMEOUT && os_deadline_left_ns(deadline_ns) != 0);
    if (waited == WAIT_TIMEOUT) {
        if (state->watched) {
            return RS_TIMED_OUT;
        }
        (void)CancelIoEx(state->pipe, &state->read);
    } else if (waited != WAIT_OBJECT_0) {
        return win32_error("WaitForSingleObject");
    }
    if (GetOverlappedResult(state->pipe, &state->read, frame_bytes, TRUE)) {
        state->read_state = CONN_READ_NONE;
        return RS_OK;
    }
    DWORD error = GetLastError();
    if (error == ERROR_OPERATION_ABORTED) {
        /* By us, or by the end of the thread that started the read. */
        state->read_state = CONN_READ_NONE;
        return waited == WAIT_TIMEOUT ? RS_TIMED_OUT : RS_WOULD_BLOCK;
    }
    (void)win32_error("ReadFile from the pipe");
    if (error == ERROR_MORE_DATA) {
        return conn_break(state, RS_CORRUPT);
    }
    return conn_break(state, conn_error_is_end(error) ? RS_DATAPLANE_GONE : RS_OS_ERROR);
}

/* Checks a frame and takes its handles over. On the dataplane's end any handle is an error, and its
 * value is left alone. */
static enum rs_status conn_open_frame(struct conn_state *state, DWORD frame_bytes, size_t room,
                                      intptr_t handles[OS_CONN_HANDLES], uint32_t *handle_count)
{
    const struct conn_frame *frame = &state->in;
    if (frame_bytes <= CONN_HEADER_BYTES || frame->magic != CONN_MAGIC ||
        frame->payload_bytes != frame_bytes - CONN_HEADER_BYTES ||
        frame->handle_count > OS_CONN_HANDLES ||
        (state->is_dataplane && (frame->handle_count != 0 || frame->process != 0))) {
        (void)os_error_set("pipe message", "malformed, or with handles it must not have");
        return RS_CORRUPT;
    }
    if (frame->process != 0) {
        os_handle_close((intptr_t)state->peer);
        state->peer = win32_handle((intptr_t)frame->process);
    }
    for (uint32_t i = 0; i < frame->handle_count; i++) {
        handles[i] = (intptr_t)frame->handles[i];
    }
    if (frame->payload_bytes > room) {
        for (uint32_t i = 0; i < frame->handle_count; i++) {
            os_handle_close(handles[i]);
        }
        (void)os_error_set("pipe message", "longer than the caller's buffer");
        return RS_CORRUPT;
    }
    *handle_count = frame->handle_count;
    return RS_OK;
}

enum rs_status os_conn_recv(struct os_conn *conn, void *message, size_t *bytes,
                            intptr_t handles[OS_CONN_HANDLES], uint32_t *handle_count,
                            uint64_t timeout_ns)
{
    struct conn_state *state = conn_of(conn);
    *handle_count = 0;
    const uint64_t deadline_ns = os_deadline_after(timeout_ns);
    DWORD frame_bytes = 0;
    enum rs_status status = RS_WOULD_BLOCK;
    while (status == RS_WOULD_BLOCK) {
        conn_read_start(state);
        status = state->read_state == CONN_READ_BROKEN
                     ? state->broken
                     : conn_read_finish(state, deadline_ns, &frame_bytes);
    }
    if (status != RS_OK) {
        return status;
    }
    status = conn_open_frame(state, frame_bytes, *bytes, handles, handle_count);
    if (status != RS_OK) {
        return conn_break(state, status);
    }
    memcpy(message, state->in.payload, state->in.payload_bytes);
    *bytes = state->in.payload_bytes;
    (void)ResetEvent(
        state->read.hEvent); /* nothing to take until the next read, which may start it */
    return RS_OK;
}
