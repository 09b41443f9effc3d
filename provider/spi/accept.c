/*
 * Listening and accepting. The condition function is asked behind the core's accept, in the
 * caller's thread and with no lock held; a connection that it puts off waits in the listener's
 * record, before those that the core still has. Any thread; slow paths.
 */
#include <limits.h>

#include "provider/spi/events.h"

/* listen's page: SOMAXCONN is the provider's largest reasonable backlog; SOMAXCONN_HINT(n), which
 * is -n, asks for 200 to 65535. */
#define BACKLOG_REASONABLE 1024u
#define BACKLOG_HINT_LEAST 200u
#define BACKLOG_MOST       65535u

/* ---- listen ---- */

/* A value that is not legal becomes the nearest one that is. */
static uint32_t listen_backlog(int backlog)
{
    if (backlog >= SOMAXCONN) {
        return BACKLOG_REASONABLE;
    }
    if (backlog < 0) {
        uint32_t hint = 0u - (uint32_t)backlog;
        hint = hint < BACKLOG_HINT_LEAST ? BACKLOG_HINT_LEAST : hint;
        return hint < BACKLOG_MOST ? hint : BACKLOG_MOST;
    }
    return (uint32_t)backlog < BACKLOG_MOST ? (uint32_t)backlog : BACKLOG_MOST;
}

int WSPAPI spi_listen(SOCKET s, int backlog, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    enum rs_status status = client_listen(socket->core, listen_backlog(backlog));
    spi_socket_put(socket);
    return status == RS_OK ? 0 : spi_fail_status(error, status);
}

/* ---- connections that were put off ---- */

bool spi_accept_waits(const struct spi_socket *listener)
{
    return atomic_load_explicit(&listener->deferred.first, memory_order_relaxed) != NULL;
}

static struct client_socket *deferred_take(struct spi_deferred *deferred)
{
    if (atomic_load_explicit(&deferred->first, memory_order_relaxed) == NULL) {
        return NULL;
    }
    AcquireSRWLockExclusive(&deferred->lock);
    struct client_socket *core = atomic_load_explicit(&deferred->first, memory_order_relaxed);
    if (core != NULL) {
        atomic_store_explicit(&deferred->first, client_socket_user(core), memory_order_relaxed);
    }
    ReleaseSRWLockExclusive(&deferred->lock);
    return core;
}

static void accept_reset(struct client_socket *core)
{
    (void)!client_set_option(core, CLIENT_OPT_LINGER_MS, 0);
    (void)!client_socket_close(core);
}

/* It was the oldest, and is again. */
static void deferred_give(struct spi_deferred *deferred, struct client_socket *core)
{
    AcquireSRWLockExclusive(&deferred->lock);
    bool closed = deferred->closed;
    if (!closed) {
        client_socket_set_user(core, atomic_load_explicit(&deferred->first, memory_order_relaxed));
        atomic_store_explicit(&deferred->first, core, memory_order_relaxed);
    }
    ReleaseSRWLockExclusive(&deferred->lock);
    if (closed) {
        accept_reset(core);
    }
}

void spi_accept_close(struct spi_socket *listener)
{
    AcquireSRWLockExclusive(&listener->deferred.lock);
    listener->deferred.closed = true;
    ReleaseSRWLockExclusive(&listener->deferred.lock);
    struct client_socket *core;
    while ((core = deferred_take(&listener->deferred)) != NULL) {
        accept_reset(core);
    }
}

/* ---- accept ---- */

struct accept_call {
    struct spi_socket *listener;
    LPCONDITIONPROC condition; /* NULL: every connection is welcome */
    DWORD_PTR callback_data;
    struct sockaddr *addr; /* NULL: not asked for */
    LPINT addr_bytes;
};

/* WSPAccept's page: WSAECONNRESET for a connection that the peer ended before anybody accepted it,
 * WSAEACCES for one that was offered to the program before, or that timed out. */
static int accept_over(struct client_socket *core, bool offered)
{
    enum rs_status why = client_take_error(core);
    if (why == RS_OK) {
        return 0;
    }
    return why == RS_CONN_RESET && !offered ? WSAECONNRESET : WSAEACCES;
}

/* Asks the program. 0: accepted; else the error, and the connection is put off or reset. Socket
 * groups have no meaning here, but a group that cannot be is documented as WSAEINVAL. */
static int accept_ask(const struct accept_call *call, struct client_socket *core,
                      const struct rs_addr *peer)
{
    struct rs_addr local = rs_addr_v4(0, 0);
    SOCKADDR_STORAGE caller, callee;
    INT caller_bytes = sizeof(caller);
    INT callee_bytes = sizeof(callee);
    GROUP group = 0;
    /* TCP's handshake carries no user data, either way. */
    WSABUF caller_data = {0};
    WSABUF callee_data = {0};
    (void)!client_local_addr(core, &local);
    spi_sockaddr_write(call->listener, peer, (struct sockaddr *)&caller, &caller_bytes);
    spi_sockaddr_write(call->listener, &local, (struct sockaddr *)&callee, &callee_bytes);
    WSABUF caller_id = {.len = (ULONG)caller_bytes, .buf = (char *)&caller};
    WSABUF callee_id = {.len = (ULONG)callee_bytes, .buf = (char *)&callee};
    int answer = call->condition(&caller_id, &caller_data, NULL, NULL, &callee_id, &callee_data,
                                 &group, call->callback_data);
    switch (answer == CF_ACCEPT && group > SG_CONSTRAINED_GROUP ? INT_MAX : answer) {
    case CF_ACCEPT:
        return 0;
    case CF_REJECT:
        accept_reset(core);
        return WSAECONNREFUSED;
    case CF_DEFER:
        deferred_give(&call->listener->deferred, core);
        return WSATRY_AGAIN;
    default: /* documented as WSAEINVAL; the connection is not to blame and waits on */
        deferred_give(&call->listener->deferred, core);
        return WSAEINVAL;
    }
}

/* The new socket has the properties of the listening one; those that the core knows it has already.
 */
static int accept_publish(struct spi_socket *listener, struct client_socket *core, SOCKET *out)
{
    struct spi_socket *socket = spi_socket_new();
    if (socket == NULL) {
        return WSAENOBUFS;
    }
    socket->catalog_id = listener->catalog_id;
    socket->overlapped = listener->overlapped;
    socket->multipoint = false;
    socket->stream = true;
    socket->family = listener->family;
    atomic_store_explicit(&socket->v6_only,
                          atomic_load_explicit(&listener->v6_only, memory_order_relaxed),
                          memory_order_relaxed);
    spi_options_inherit(socket, listener);
    spi_session_hold(listener->session);
    socket->session = listener->session;
    client_socket_ref(core); /* the record's, until its last put */
    socket->core = core;
    int code = spi_events_inherit(listener, socket);
    spi_socket_hold(socket); /* published, anybody may close it: WSPCleanup */
    code = code == 0 ? spi_socket_publish(socket, out) : code;
    if (code == 0) {
        spi_events_after(socket, 0);
    } else {
        spi_events_close(socket);
        spi_socket_put(socket);
    }
    spi_socket_put(socket);
    return code;
}

static int accept_one(const struct accept_call *call, SOCKET *out)
{
    struct rs_addr peer = rs_addr_v4(0, 0);
    struct client_socket *core = deferred_take(&call->listener->deferred);
    bool offered = core != NULL;
    if (!offered) {
        enum rs_status status = client_accept(call->listener->core, &core, NULL);
        if (status != RS_OK) {
            return spi_wsa_error(status);
        }
    }
    (void)!client_peer_addr(core, &peer);
    if (call->addr != NULL) { /* documented: whatever the condition function says */
        spi_sockaddr_write(call->listener, &peer, call->addr, call->addr_bytes);
    }
    int code = accept_over(core, offered);
    if (code != 0) {
        accept_reset(core);
        return code;
    }
    code = call->condition != NULL ? accept_ask(call, core, &peer) : 0;
    if (code != 0) {
        return code;
    }
    code = accept_publish(call->listener, core, out);
    if (code != 0) { /* no handle for it now: it goes on waiting */
        deferred_give(&call->listener->deferred, core);
    }
    return code;
}

/* Before a connection is taken. Without one of the two no address is given. */
static int accept_check(struct accept_call *call, struct sockaddr *addr, LPINT addr_bytes)
{
    if (call->condition != NULL && !spi_can_read((const void *)(uintptr_t)call->condition, 1)) {
        return WSAEFAULT;
    }
    if (addr == NULL || addr_bytes == NULL) {
        return 0;
    }
    call->addr = addr;
    call->addr_bytes = addr_bytes;
    return spi_sockaddr_room(call->listener, addr, addr_bytes);
}

SOCKET WSPAPI spi_accept(SOCKET s, struct sockaddr *addr, LPINT addr_bytes,
                         LPCONDITIONPROC condition, DWORD_PTR callback_data, LPINT error)
{
    SOCKET accepted = INVALID_SOCKET;
    struct accept_call call = {
        .listener = spi_socket_get(s), .condition = condition, .callback_data = callback_data};
    if (call.listener == NULL) {
        (void)spi_fail(error, WSAENOTSOCK);
        return INVALID_SOCKET;
    }
    int code = accept_check(&call, addr, addr_bytes);
    if (code == 0) {
        code = accept_one(&call, &accepted);
    }
    if (code != WSATRY_AGAIN) {
        spi_events_after(call.listener, FD_ACCEPT);
    }
    spi_socket_put(call.listener);
    if (code != 0) {
        (void)spi_fail(error, code);
        return INVALID_SOCKET;
    }
    return accepted;
}
