/*
 * See overlapped.h. Any thread submits; the helper steps what waits. A queue's lock is held while
 * its operations are stepped and their completion is told, so that these come in order and close
 * finds none half done. Calls the host's upcalls and WPUCompleteOverlappedRequest, which is no
 * upcall but an export of whoever the upcalls belong to (on Windows ws2_32).
 *
 * A structure between start and completion, as WSPGetOverlappedResult's page has it: Internal is
 * WSS_OPERATION_IN_PROGRESS; then Offset has the flags and OffsetHigh the error, and last, by
 * WPUCompleteOverlappedRequest, InternalHigh the bytes and Internal something else: 0, a success
 * whatever OffsetHigh is, where the host says so (spi_op.offset_stays).
 */
#include "provider/spi/overlapped.h"
#include "provider/spi/events.h"

#include <mimalloc.h>

#include "provider/spi/helper.h"

typedef int(WSPAPI *complete_request)(SOCKET s, LPWSAOVERLAPPED overlapped, DWORD error,
                                      DWORD transferred, LPINT result);

static complete_request op_complete_request; /* set by the first WSPStartup, then constant */

static HANDLE op_event(const WSAOVERLAPPED *overlapped)
{
    /* The lowest bit keeps the packet from the port, and is not part of the handle. */
    return (HANDLE)((uintptr_t)overlapped->hEvent & ~(uintptr_t)1);
}

/* ---- completion ---- */

/* Where the host does not export it: what it does without a port. */
static int WSPAPI op_complete_alone(SOCKET s, LPWSAOVERLAPPED overlapped, DWORD error,
                                    DWORD transferred, LPINT result)
{
    (void)s;
    overlapped->InternalHigh = transferred;
    __atomic_store_n(&overlapped->Internal, error, __ATOMIC_RELEASE);
    if (op_event(overlapped) != NULL && spi_upcalls.lpWPUSetEvent != NULL) {
        (void)spi_upcalls.lpWPUSetEvent(op_event(overlapped), result);
    }
    return 0;
}

void spi_overlapped_init(void)
{
    HMODULE host = NULL;
    FARPROC found = NULL;
    if (GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                               GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                           (LPCWSTR)(uintptr_t)spi_upcalls.lpWPUCloseSocketHandle, &host)) {
        found = GetProcAddress(host, "WPUCompleteOverlappedRequest");
        if (found == NULL) { /* as a 32-bit program exports it */
            found = GetProcAddress(host, "WPUCompleteOverlappedRequest@20");
        }
    }
    op_complete_request = found != NULL ? (complete_request)(uintptr_t)found : op_complete_alone;
}

static void op_free(struct spi_op *op)
{
    if (op->drop != NULL) {
        op->drop(op);
    } else {
        mi_free(op);
    }
}

static void op_close_thread(struct spi_op *op)
{
    INT ignored = 0;
    if (op->thread_ours) {
        (void)spi_upcalls.lpWPUCloseThread(&op->thread_id, &ignored);
    }
}

/* In the thread that issued it, in an alertable wait. */
static void CALLBACK op_run_routine(DWORD_PTR context)
{
    struct spi_op *op = (struct spi_op *)context;
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine = op->routine;
    LPWSAOVERLAPPED overlapped = op->overlapped;
    DWORD code = (DWORD)op->code;
    DWORD transferred = op->transferred;
    DWORD flags = op->flags;
    op_free(op);
    routine(code, transferred, overlapped, flags);
}

/* Off its queue, code and the rest set: tells the program. The operation is gone afterwards. */
static void op_tell(struct spi_op *op)
{
    LPWSAOVERLAPPED overlapped = op->overlapped;
    INT ignored = 0;
    if (op->done_event != NULL) {
        SetEvent(op->done_event); /* whoever waits has the operation */
        return;
    }
    /* Nobody's (spi_op_leave), or the program has freed it. */
    if (!spi_can_write(overlapped, sizeof(*overlapped))) {
        op_close_thread(op);
        op_free(op);
        return;
    }
    if (!op->offset_stays || op->code != 0) {
        overlapped->Offset = op->flags;
        overlapped->OffsetHigh = (DWORD)op->code;
    }
    if (op->routine == NULL) {
        (void)op_complete_request(op->s, overlapped, (DWORD)op->code, op->transferred, &ignored);
        op_free(op);
        return;
    }
    overlapped->InternalHigh = op->transferred;
    /* Release: whoever sees that it is over finds the rest. */
    __atomic_store_n(&overlapped->Internal, (ULONG_PTR)op->code, __ATOMIC_RELEASE);
    bool queued =
        spi_upcalls.lpWPUQueueApc(&op->thread_id, op_run_routine, (DWORD_PTR)op, &ignored) == 0;
    op_close_thread(op);
    if (!queued) { /* its thread is no more */
        op_free(op);
    }
}

/* ---- queues ---- */

static struct spi_op_queue *op_queue(struct spi_socket *socket, enum spi_way way)
{
    return &socket->ops[way];
}

/* The queue's lock is held. Whoever calls the socket otherwise looks at the word. */
static void queue_attend(struct spi_socket *socket, enum spi_way way)
{
    uint32_t bit = 1u << way;
    if (op_queue(socket, way)->first != NULL) {
        atomic_fetch_or_explicit(&socket->attention, bit, memory_order_relaxed);
    } else {
        atomic_fetch_and_explicit(&socket->attention, ~bit, memory_order_relaxed);
    }
}

static void queue_append(struct spi_socket *socket, struct spi_op *op)
{
    struct spi_op_queue *queue = op_queue(socket, op->way);
    struct spi_op **link = queue->first != NULL ? &queue->last->next : &queue->first;
    *link = op;
    queue->last = op;
    op->next = NULL;
    op->queued = true;
    queue_attend(socket, op->way);
}

/* The one behind before; NULL: the first. */
static struct spi_op *queue_take(struct spi_socket *socket, enum spi_way way, struct spi_op *before)
{
    struct spi_op_queue *queue = op_queue(socket, way);
    struct spi_op **link = before != NULL ? &before->next : &queue->first;
    struct spi_op *op = *link;
    *link = op->next;
    if (queue->last == op) {
        queue->last = before;
    }
    op->queued = false;
    queue_attend(socket, way);
    return op;
}

static void queue_remove(struct spi_socket *socket, const struct spi_op *op)
{
    struct spi_op *before = NULL;
    for (struct spi_op *at = op_queue(socket, op->way)->first; at != op; at = at->next) {
        before = at;
    }
    (void)queue_take(socket, op->way, before);
}

struct op_result {
    DWORD transferred, flags;
    LPDWORD transferred_out, flags_out; /* the program's; may be NULL */
};

static void op_store(const struct op_result *result)
{
    if (result->transferred_out != NULL) {
        *result->transferred_out = result->transferred;
    }
    if (result->flags_out != NULL) {
        *result->flags_out = result->flags;
    }
}

static int op_step(struct spi_op *op)
{
    op->transferred = op->flags = 0;
    op->code = op->step(op, &op->transferred, &op->flags);
    return op->code;
}

/* The queue's lock is held. In a queue with an order the first that waits ends it. True: some
 * operation is through. */
static bool queue_step(struct spi_socket *socket, enum spi_way way)
{
    struct spi_op *before = NULL;
    struct spi_op *op = op_queue(socket, way)->first;
    bool any = false;
    while (op != NULL) {
        struct spi_op *next = op->next;
        op->helped = true;
        if (op_step(op) != SPI_OP_PENDING) {
            any = true;
            op_tell(queue_take(socket, way, before));
        } else {
            if (op->want != 0) {
                spi_helper_arm(socket, op->want);
            }
            if (way != SPI_WAY_OTHER) {
                return any;
            }
            before = op;
        }
        op = next;
    }
    return any;
}

void spi_ops_step(struct spi_socket *socket, enum spi_way way)
{
    struct spi_op_queue *queue = op_queue(socket, way);
    AcquireSRWLockExclusive(&queue->lock);
    bool any = queue_step(socket, way);
    ReleaseSRWLockExclusive(&queue->lock);
    if (any && way == SPI_WAY_RECV) {
        spi_events_after(socket, FD_READ | FD_OOB);
    }
}

void spi_overlapped_ready(struct spi_socket *socket)
{
    uint32_t attention = atomic_load_explicit(&socket->attention, memory_order_relaxed);
    for (enum spi_way way = SPI_WAY_RECV; way < SPI_WAYS; way++) {
        if ((attention & 1u << way) != 0) {
            spi_ops_step(socket, way);
        }
    }
}

void spi_ops_poke(struct spi_socket *socket)
{
    if ((atomic_load_explicit(&socket->attention, memory_order_relaxed) &
         ~(uint32_t)SPI_ATTENTION_SENDS) != 0) {
        spi_helper_look(socket);
    }
}

void spi_ops_abort(struct spi_socket *socket)
{
    for (enum spi_way way = SPI_WAY_RECV; way < SPI_WAYS; way++) {
        struct spi_op_queue *queue = op_queue(socket, way);
        AcquireSRWLockExclusive(&queue->lock);
        queue->closed = true;
        while (queue->first != NULL) {
            struct spi_op *op = queue_take(socket, way, NULL);
            op->code = op->done_event != NULL ? WSAEINTR : WSA_OPERATION_ABORTED;
            op->transferred = op->flags = 0;
            if (op->aborted != NULL) {
                op->aborted(op);
            }
            op_tell(op);
        }
        ReleaseSRWLockExclusive(&queue->lock);
    }
}

/* ---- submitting ---- */

/* The event says "not yet" from the start of a call on. What is done at once sets it again before
 * the call is over, so then the system call is saved, if the event is known to be one. */
static int op_reset_event(struct spi_op *op)
{
    INT error = 0;
    const bool due = op->reset_due;
    op->reset_due = false;
    return !due || spi_upcalls.lpWPUResetEvent(op_event(op->overlapped), &error)
               ? 0
               : WSA_INVALID_HANDLE;
}

static int op_begin_event(struct spi_socket *socket, struct spi_op *op)
{
    const uintptr_t event = (uintptr_t)op_event(op->overlapped);
    op->reset_due = event != 0;
    if (socket != NULL &&
        atomic_load_explicit(&socket->event_known, memory_order_relaxed) == event) {
        return 0;
    }
    int code = op_reset_event(op);
    if (code == 0 && socket != NULL) {
        atomic_store_explicit(&socket->event_known, event, memory_order_relaxed);
    }
    return code;
}

/* It waits, so a helper is needed: only now that is known, and to start it takes long. Under the
 * queue's lock, or another operation could come between what this one has done and what it has
 * left. SPI_OP_PENDING; 0: none can be started, and what was done counts; or why. */
static int op_need_helper(const struct spi_socket *socket, const struct spi_op *op)
{
    int code = spi_helper_use(socket->session);
    if (code == 0) {
        return SPI_OP_PENDING;
    }
    return op->part_counts && op->transferred != 0 ? 0 : code;
}

/* Begins it when it is first, and queues it else, or when it waits. The result of the step, or an
 * error that keeps it from being queued; SPI_OP_PENDING: it is queued, and not the caller's any
 * more. 0: notice was given. */
static int op_try(struct spi_socket *socket, struct spi_op *op, struct op_result *result)
{
    struct spi_op_queue *queue = op_queue(socket, op->way);
    AcquireSRWLockExclusive(&queue->lock);
    bool first = queue->first == NULL || op->way == SPI_WAY_OTHER;
    int code = SPI_OP_PENDING;
    op->transferred = 0;
    if (queue->closed) {
        code = WSAENOTSOCK;
    } else if (first) {
        code = op_step(op);
        result->transferred = op->transferred;
        result->flags = op->flags;
    }
    if (code == SPI_OP_PENDING) {
        code = op_need_helper(socket, op);
    }
    if (code != 0 && op_reset_event(op) != 0 && code == SPI_OP_PENDING) {
        code = WSA_INVALID_HANDLE;
    }
    /* Who was to tell may have done so before it was queued. */
    bool looks = code == SPI_OP_PENDING && first && op->want == 0;
    if (code == 0) {
        op->code = 0;
        op_store(result); /* who has notice may give the memory back */
        op_tell(op);
    } else if (code == SPI_OP_PENDING) {
        queue_append(socket, op);
        if (first && op->want != 0) {
            spi_helper_arm(socket, op->want);
        }
    }
    ReleaseSRWLockExclusive(&queue->lock);
    if (looks) {
        spi_helper_look(socket);
    }
    return code;
}

/* Marks the structure as under way. 0, or an error of the arguments, which are as they were.
 * socket: whose known event counts; NULL: nobody's. */
static int op_begin(struct spi_socket *socket, struct spi_op *op)
{
    LPWSAOVERLAPPED overlapped = op->overlapped;
    INT error = 0;
    op->thread_ours = op->helped = op->reset_due = false;
    op->done_event = NULL;
    if (!spi_can_write(overlapped, sizeof(*overlapped)) ||
        (op->routine != NULL && op->thread != NULL &&
         !spi_can_read(op->thread, sizeof(*op->thread)))) {
        return WSAEFAULT;
    }
    if (op->routine != NULL && op->thread != NULL) {
        op->thread_id = *op->thread; /* the program's copy may go before the call ends */
    } else if (op->routine != NULL) {
        if (spi_upcalls.lpWPUOpenCurrentThread(&op->thread_id, &error) != 0) {
            return error;
        }
        op->thread_ours = true;
    } else {
        error = op_begin_event(socket, op);
        if (error != 0) {
            return error;
        }
    }
    overlapped->Internal = WSS_OPERATION_IN_PROGRESS;
    overlapped->InternalHigh = 0;
    if (!op->offset_stays) {
        overlapped->Offset = overlapped->OffsetHigh = 0;
    }
    return 0;
}

/* It failed at once: no notice, but the structure is at rest. */
static void op_fail(struct spi_op *op, int code, const struct op_result *result)
{
    LPWSAOVERLAPPED overlapped = op->overlapped;
    if (!op->offset_stays) {
        overlapped->Offset = result->flags;
        overlapped->OffsetHigh = (DWORD)code;
    }
    op_close_thread(op);
    op_free(op);
    overlapped->InternalHigh = result->transferred;
    __atomic_store_n(&overlapped->Internal, (ULONG_PTR)code, __ATOMIC_RELEASE);
}

int spi_op_submit(struct spi_socket *socket, struct spi_op *op, LPDWORD transferred, LPDWORD flags,
                  LPINT error)
{
    struct op_result result = {.transferred_out = transferred, .flags_out = flags};
    int code = op_begin(socket, op);
    if (code != 0) {
        op_free(op);
        return spi_fail(error, code);
    }
    op->socket = socket;
    op->queued = false;
    code = op_try(socket, op, &result);
    if (code == SPI_OP_PENDING) {
        return spi_fail(error, WSA_IO_PENDING);
    }
    if (code == 0) {
        return 0;
    }
    op_store(&result);
    op_fail(op, code, &result);
    return spi_fail(error, code);
}

/* Whoever waits for it waits no longer, unless it is through. */
static void op_leave_queue(struct spi_socket *socket, struct spi_op *op, int code)
{
    struct spi_op_queue *queue = op_queue(socket, op->way);
    AcquireSRWLockExclusive(&queue->lock);
    bool left = op->queued;
    if (left) {
        queue_remove(socket, op);
        op->code = code;
        if (op->aborted != NULL) {
            op->aborted(op);
        }
    }
    ReleaseSRWLockExclusive(&queue->lock);
    if (left) { /* what is first now may wait for something else */
        spi_helper_look(socket);
    }
}

int spi_op_wait(struct spi_socket *socket, struct spi_op *op, DWORD timeout_ms, LPDWORD transferred,
                LPDWORD flags)
{
    struct op_result result = {0};
    int code = WSAENOBUFS;
    op->overlapped = NULL;
    op->routine = NULL;
    op->thread_ours = op->helped = op->reset_due = false;
    op->socket = socket;
    op->queued = false;
    op->done_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (op->done_event == NULL) {
        op_free(op);
        return code;
    }
    code = op_try(socket, op, &result);
    if (code == SPI_OP_PENDING) {
        int why = spi_hook_wait(op->done_event, timeout_ms);
        if (why != 0) {
            op_leave_queue(socket, op, why);
        }
        code = op->code;
        result.transferred = op->transferred;
        result.flags = op->flags;
    }
    if (code != 0 && op->way == SPI_WAY_RECV && socket->stream && result.transferred != 0) {
        code = 0; /* what a MSG_WAITALL has got is not lost */
    }
    CloseHandle(op->done_event);
    op_free(op);
    if (code == 0 || code == WSAEMSGSIZE) {
        *transferred = result.transferred;
        if (flags != NULL) {
            *flags = result.flags;
        }
    }
    return code;
}

int spi_op_leave(struct spi_socket *socket, struct spi_op *op)
{
    struct op_result ignored = {0};
    op->thread_ours = op->helped = op->queued = op->reset_due = false;
    op->done_event = NULL;
    op->socket = socket;
    int code = op_try(socket, op, &ignored);
    if (code != 0 && code != SPI_OP_PENDING) {
        op_free(op);
    }
    return code == SPI_OP_PENDING ? 0 : code;
}

int spi_op_done(struct spi_socket *socket, SOCKET s, LPWSAOVERLAPPED overlapped,
                LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, DWORD transferred)
{
    struct spi_op *op = mi_zalloc(sizeof(*op));
    if (op == NULL) {
        return WSAENOBUFS;
    }
    op->s = s;
    op->overlapped = overlapped;
    op->routine = routine;
    op->thread = thread;
    int code = op_begin(NULL, op);
    if (code != 0) {
        op_free(op);
        return code;
    }
    op->transferred = transferred;
    /* Under the lock the handle is still the socket's, and its port. */
    struct spi_op_queue *queue = op_queue(socket, SPI_WAY_OTHER);
    AcquireSRWLockExclusive(&queue->lock);
    if (queue->closed) {
        code = WSAENOTSOCK;
    } else {
        op_tell(op);
    }
    ReleaseSRWLockExclusive(&queue->lock);
    if (code != 0) {
        op_fail(op, code, &(struct op_result){0});
    }
    return code;
}

/* ---- WSPGetOverlappedResult ---- */

static bool result_pending(const WSAOVERLAPPED *overlapped)
{
    /* Acquire, partner whoever completes it. */
    return __atomic_load_n(&overlapped->Internal, __ATOMIC_ACQUIRE) == WSS_OPERATION_IN_PROGRESS;
}

/* 0: it is over. */
static int result_wait(const WSAOVERLAPPED *overlapped, bool wait)
{
    if (!result_pending(overlapped)) {
        return 0;
    }
    if (!wait) {
        return WSA_IO_INCOMPLETE;
    }
    HANDLE event = op_event(overlapped);
    if (event == NULL || WaitForSingleObject(event, INFINITE) != WAIT_OBJECT_0) {
        return WSA_INVALID_HANDLE;
    }
    return result_pending(overlapped) ? WSA_IO_INCOMPLETE : 0; /* somebody else has set the event */
}

WINBOOL WSPAPI spi_get_overlapped_result(SOCKET s, LPWSAOVERLAPPED overlapped, LPDWORD transferred,
                                         WINBOOL wait, LPDWORD flags, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        (void)spi_fail(error, WSAENOTSOCK);
        return FALSE;
    }
    /* Closed meanwhile, the operation ends and so does the wait. */
    spi_socket_put(socket);
    int code = WSAEFAULT;
    if (spi_can_read(overlapped, sizeof(*overlapped)) &&
        spi_can_write(transferred, sizeof(*transferred)) && spi_can_write(flags, sizeof(*flags))) {
        code = result_wait(overlapped, wait);
        if (code == 0) {
            *transferred = (DWORD)overlapped->InternalHigh;
            *flags = overlapped->Offset;
            code = overlapped->Internal == 0 ? 0 : (int)overlapped->OffsetHigh;
        }
    }
    if (code != 0) {
        (void)spi_fail(error, code);
    }
    return code == 0;
}
