/*
 * The control connection on Linux: a SOCK_SEQPACKET Unix socket in a runtime folder; one message is
 * one packet, its handles ride along as SCM_RIGHTS. Called by the dataplane's control thread
 * (listen, accept, send, receive) and by the client's attach and slow paths.
 *
 * Handles travel from the dataplane to the client only. The other way they would be a weapon:
 * closing a received descriptor can block (a socket with SO_LINGER, a file on FUSE), so the
 * dataplane's end refuses them, in the kernel where it can.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rings/os/posix_internal.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16, include/uapi/asm-generic/socket.h */
#endif

#define CONN_BACKLOG        64
#define CONN_ROLE_DATAPLANE 1 /* os_conn.aux[0] of an accepted connection */
#define CONN_FOLDER_SYSTEM  "/run/ringsock"

/* ---- where the socket lies ---- */

/* /tmp/ringsock-UID can be made by anybody: use it only if it is a folder of ours that nobody else
 * can write to. */
static bool conn_folder_is_ours(const char *folder)
{
    struct stat info;
    return lstat(folder, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
           (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Folder of this user's own dataplanes. *shared_parent: its parent is open to everybody,
 * conn_folder_is_ours must be asked. */
static enum rs_status conn_own_folder(char *folder, size_t bytes, bool *shared_parent)
{
    const char *wanted = secure_getenv("RINGSOCK_RUNTIME_DIR");
    const char *session = secure_getenv("XDG_RUNTIME_DIR");
    int length = 0;
    *shared_parent = false;
    if (wanted && *wanted) {
        length = snprintf(folder, bytes, "%s", wanted);
    } else if (geteuid() == 0) {
        length = snprintf(folder, bytes, "%s", CONN_FOLDER_SYSTEM);
    } else if (session && *session) {
        length = snprintf(folder, bytes, "%s/ringsock", session);
    } else {
        length = snprintf(folder, bytes, "/tmp/ringsock-%u", (unsigned int)geteuid());
        *shared_parent = true;
    }
    if (length < 0 || (size_t)length >= bytes) {
        (void)os_error_set("runtime folder", "path too long for a Unix socket");
        return RS_INVALID;
    }
    return RS_OK;
}

static enum rs_status conn_address(const char *folder, const char *name, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length = snprintf(out->sun_path, sizeof out->sun_path, "%s/%s.sock", folder, name);
    if (length < 0 || (size_t)length >= sizeof out->sun_path) {
        (void)os_error_set("runtime folder", "path too long for a Unix socket");
        return RS_INVALID;
    }
    return RS_OK;
}

static enum rs_status conn_make_folder(const char *folder, bool shared_parent)
{
    /* Whatever the umask: a user who may not attach still gets an answer. A folder that somebody
     * prepared keeps its mode. */
    if (mkdir(folder, 0755) == 0) {
        if (chmod(folder, 0755) != 0) {
            return posix_error(folder);
        }
    } else if (errno != EEXIST) {
        return posix_error(folder);
    }
    if (shared_parent && !conn_folder_is_ours(folder)) {
        return os_error_set(folder, "belongs to somebody else or is writable by others");
    }
    return RS_OK;
}

/* ---- listening ---- */

/* Somebody listens there. For a lock that cannot be asked; the visitor leaves at once. */
static bool conn_somebody_lives(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    /* EAGAIN: its backlog is full. */
    bool lives =
        connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN;
    (void)close(fd);
    return lives;
}

/* The lock of another user, or a folder of one. */
static enum rs_status conn_lock_denied(const char *path, const struct sockaddr_un *address)
{
    struct stat info;
    char detail[96] = "permission denied";
    if (stat(path, &info) == 0) {
        (void)snprintf(detail, sizeof detail,
                       "permission denied, it belongs to user %u; remove it or set "
                       "RINGSOCK_RUNTIME_DIR",
                       (unsigned int)info.st_uid);
    }
    bool lives = conn_somebody_lives(address);
    (void)os_error_set(path, detail);
    return lives ? RS_ADDR_IN_USE : RS_OS_ERROR;
}

/* The lock tells a live dataplane from a dead one's socket file without a race; the kernel drops it
 * with the process. The file stays: removing it would let two dataplanes lock two files of one
 * name. */
static enum rs_status conn_lock_name(const char *folder, const char *name,
                                     const struct sockaddr_un *address, int *out)
{
    char path[sizeof((struct sockaddr_un *)0)->sun_path + 8];
    (void)snprintf(path, sizeof path, "%s/%s.lock", folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && (errno == EACCES || errno == EPERM)) {
        return conn_lock_denied(path, address);
    }
    if (fd < 0) {
        return posix_error(path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)posix_error(path);
        enum rs_status status = errno == EWOULDBLOCK ? RS_ADDR_IN_USE : RS_OS_ERROR;
        (void)close(fd);
        return status;
    }
    *out = fd;
    return RS_OK;
}

/* A session holds two descriptors per channel and one per extent: the soft limit of 1,024 would end
 * at a few clients. */
static void conn_raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum rs_status conn_bind(const struct sockaddr_un *address, int *out)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return posix_error("socket");
    }
    /* Inherited by accepted sockets. Kernels before 6.16 do not know it; os_conn_recv refuses
     * handles there. */
    int refuse = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &refuse, sizeof refuse);
    bool replaced = unlink(address->sun_path) == 0 || errno == ENOENT;
    if (!replaced || bind(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
        chmod(address->sun_path, 0666) != 0 || listen(fd, CONN_BACKLOG) != 0) {
        (void)posix_error(address->sun_path);
        (void)close(fd);
        return RS_OS_ERROR;
    }
    *out = fd;
    return RS_OK;
}

/* access is asked about each connection, os_access_allows: whoever is refused can be told why. */
enum rs_status os_listen(const char *name, const struct os_access *access, struct os_listener *out)
{
    (void)access;
    *out = (struct os_listener){.handle = -1};
    out->aux[0] = -1;
    if (!os_name_valid(name)) {
        return RS_INVALID;
    }
    char folder[sizeof((struct sockaddr_un *)0)->sun_path];
    struct sockaddr_un address;
    bool shared_parent = false;
    enum rs_status status = conn_own_folder(folder, sizeof folder, &shared_parent);
    if (status == RS_OK) {
        status = conn_address(folder, name, &address);
    }
    if (status == RS_OK) {
        status = conn_make_folder(folder, shared_parent);
    }
    if (status != RS_OK) {
        return status;
    }
    int lock_fd = -1;
    status = conn_lock_name(folder, name, &address, &lock_fd);
    if (status != RS_OK) {
        return status;
    }
    int fd = -1;
    status = conn_bind(&address, &fd);
    if (status != RS_OK) {
        (void)close(lock_fd);
        return status;
    }
    conn_raise_descriptor_limit();
    out->handle = fd;
    out->aux[0] = lock_fd;
    (void)snprintf(out->name, sizeof out->name, "%s", address.sun_path);
    return RS_OK;
}

void os_listener_close(struct os_listener *listener)
{
    if (listener->handle < 0) {
        return;
    }
    (void)unlink(listener->name);
    os_handle_close(listener->handle);
    os_handle_close(listener->aux[0]);
    listener->handle = -1;
    listener->aux[0] = -1;
}

/* ---- connections ---- */

/* On the client's side the kernel answers with the process that called listen(2): unix(7). */
static enum rs_status conn_read_peer(int fd, struct os_conn *out)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
        return posix_error("getsockopt(SO_PEERCRED)");
    }
    out->handle = fd;
    out->peer_pid = (uint32_t)peer.pid;
    out->peer_uid = (uint32_t)peer.uid;
    return RS_OK;
}

enum rs_status os_accept(struct os_listener *listener, struct os_conn *out)
{
    *out = (struct os_conn){.handle = -1};
    int fd = accept4((int)listener->handle, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) {
            return RS_WOULD_BLOCK;
        }
        return posix_error("accept4");
    }
    enum rs_status status = conn_read_peer(fd, out);
    if (status != RS_OK) {
        (void)close(fd);
        return status;
    }
    out->aux[0] = CONN_ROLE_DATAPLANE;
    return RS_OK;
}

static enum rs_status conn_status_of_connect(const char *path)
{
    (void)posix_error(path);
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        return RS_NOT_READY;
    case EACCES:
    case EPERM:
        /* The socket is open to all, so it is a folder on the way, not the dataplane's word. */
        (void)os_error_set(path, "permission denied: a folder above it does not let this user in");
        return RS_ATTACH_REFUSED;
    case EAGAIN:
        return RS_TIMED_OUT;
    default:
        return RS_OS_ERROR;
    }
}

/* connect(2) on a Unix socket waits while the backlog is full, for SO_SNDTIMEO at most (0 would
 * mean for ever). */
static enum rs_status conn_try(const char *folder, const char *name, uint64_t timeout_ns,
                               struct os_conn *out)
{
    struct sockaddr_un address;
    enum rs_status status = conn_address(folder, name, &address);
    if (status != RS_OK) {
        return status;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return posix_error("socket");
    }
    const uint64_t deadline_ns = os_deadline_after(timeout_ns);
    for (;;) {
        uint64_t left_us = os_deadline_left_ns(deadline_ns) / 1000u;
        struct timeval limit = {.tv_sec = 0, .tv_usec = 0};
        if (deadline_ns != OS_FOREVER_NS) {
            limit.tv_sec = (time_t)(left_us / 1000000u);
            limit.tv_usec = (suseconds_t)(left_us % 1000000u + (left_us == 0));
        }
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
            status = posix_error("setsockopt(SO_SNDTIMEO)");
            break;
        }
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
            status = conn_read_peer(fd, out);
            break;
        }
        if (errno != EINTR) {
            status = conn_status_of_connect(address.sun_path);
            break;
        }
    }
    if (status != RS_OK) {
        (void)close(fd);
    }
    return status;
}

enum rs_status os_connect(const char *name, uint64_t timeout_ns, struct os_conn *out)
{
    *out = (struct os_conn){.handle = -1};
    if (!os_name_valid(name)) {
        return RS_INVALID;
    }
    char folder[sizeof((struct sockaddr_un *)0)->sun_path];
    bool shared_parent = false;
    enum rs_status status = conn_own_folder(folder, sizeof folder, &shared_parent);
    if (status != RS_OK) {
        return status;
    }
    status = RS_NOT_READY;
    if (!shared_parent || conn_folder_is_ours(folder)) {
        status = conn_try(folder, name, timeout_ns, out);
    }
    /* A user's programs find the system's dataplane too, unless a folder was asked for. */
    const char *wanted = secure_getenv("RINGSOCK_RUNTIME_DIR");
    if (status == RS_NOT_READY && !(wanted && *wanted)) {
        status = conn_try(CONN_FOLDER_SYSTEM, name, timeout_ns, out);
    }
    return status;
}

void os_conn_close(struct os_conn *conn)
{
    os_handle_close(conn->handle);
    conn->handle = -1;
}

enum rs_status os_conn_peer_process(const struct os_conn *conn, struct os_process *out)
{
    enum rs_status status = os_process_open(conn->peer_pid, out);
    if (status != RS_OK) {
        return status;
    }
    /* The number was the peer's as long as its end is open: still open after opening the process
     * means that it was that one. */
    char byte = 0;
    ssize_t got = recv((int)conn->handle, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        os_process_close(out);
        return RS_DATAPLANE_GONE;
    }
    return RS_OK;
}

/* ---- messages ---- */

union conn_control {
    struct cmsghdr align;
    unsigned char bytes[CMSG_SPACE(OS_CONN_HANDLES * sizeof(int))];
};

static enum rs_status conn_status_of_errno(const char *call)
{
    (void)posix_error(call);
    switch (errno) {
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return RS_DATAPLANE_GONE;
    case EAGAIN:
        return RS_WOULD_BLOCK;
    default:
        return RS_OS_ERROR;
    }
}

enum rs_status os_conn_send(struct os_conn *conn, const void *message, size_t bytes,
                            const struct os_conn_handle *handles, uint32_t handle_count)
{
    if (bytes > OS_CONN_MESSAGE_BYTES) {
        return RS_MESSAGE_SIZE;
    }
    if (bytes == 0 || handle_count > OS_CONN_HANDLES ||
        (handle_count > 0 && conn->aux[0] != CONN_ROLE_DATAPLANE)) {
        return RS_INVALID;
    }
    union conn_control control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = bytes};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (handle_count > 0) {
        int fds[OS_CONN_HANDLES];
        for (uint32_t i = 0; i < handle_count; i++) {
            fds[i] = (int)handles[i].handle;
        }
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(handle_count * sizeof(int));
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(handle_count * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, handle_count * sizeof(int));
    }
    ssize_t sent = 0;
    do {
        sent = sendmsg((int)conn->handle, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? conn_status_of_errno("sendmsg") : RS_OK;
}

/* Takes over every descriptor that came with a message. *count may pass OS_CONN_HANDLES: those are
 * closed here. */
static void conn_take_handles(struct msghdr *header, intptr_t handles[OS_CONN_HANDLES],
                              uint32_t *count)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t fds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < fds; i++) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof fd);
            if (*count < OS_CONN_HANDLES) {
                handles[*count] = fd;
            } else {
                (void)close(fd);
            }
            (*count)++;
        }
    }
}

/* One try. The kernel closes what does not fit into the control buffer and says so in MSG_CTRUNC:
 * unix(7). */
static enum rs_status conn_recv_now(struct os_conn *conn, void *message, size_t *bytes,
                                    intptr_t handles[OS_CONN_HANDLES], uint32_t *handle_count)
{
    union conn_control control;
    size_t room = *bytes < OS_CONN_MESSAGE_BYTES ? *bytes : OS_CONN_MESSAGE_BYTES;
    struct iovec part = {.iov_base = message, .iov_len = room};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    ssize_t got = recvmsg((int)conn->handle, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0) {
        /* ECONNRESET, said once, stands for our messages that the peer left unread; those it sent
         * before it closed come after it. */
        return errno == EINTR || errno == ECONNRESET ? RS_WOULD_BLOCK
                                                     : conn_status_of_errno("recvmsg");
    }
    uint32_t count = 0;
    conn_take_handles(&header, handles, &count);
    enum rs_status status = RS_OK;
    if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || count > OS_CONN_HANDLES ||
        (count > 0 && conn->aux[0] == CONN_ROLE_DATAPLANE)) {
        (void)os_error_set("recvmsg", "message too long, or with handles it must not have");
        status = RS_CORRUPT;
    } else if (got == 0) {
        status = RS_DATAPLANE_GONE; /* the end; nobody sends empty messages */
    }
    if (status != RS_OK) {
        for (uint32_t i = 0; i < count && i < OS_CONN_HANDLES; i++) {
            os_handle_close(handles[i]);
        }
        return status;
    }
    *bytes = (size_t)got;
    *handle_count = count;
    return RS_OK;
}

enum rs_status os_conn_recv(struct os_conn *conn, void *message, size_t *bytes,
                            intptr_t handles[OS_CONN_HANDLES], uint32_t *handle_count,
                            uint64_t timeout_ns)
{
    *handle_count = 0;
    const uint64_t deadline_ns = os_deadline_after(timeout_ns);
    for (;;) {
        enum rs_status status = conn_recv_now(conn, message, bytes, handles, handle_count);
        if (status != RS_WOULD_BLOCK) {
            return status;
        }
        bool ready = false;
        status = posix_wait_readable((int)conn->handle, -1, deadline_ns, &ready, NULL);
        if (status != RS_OK) {
            return status;
        }
    }
}
