/*
 * AcceptEx, and the addresses that it leaves in its buffer. An operation stays in the listener's
 * unordered queue until it is through: until a connection comes, which the oldest that waits gets,
 * and then until the first data comes on the accepting socket. Reports about that socket are passed
 * on to the listener (spi_accept_ready). Any thread.
 */
#include <mimalloc.h>
#include <string.h>

#include "provider/spi/events.h"
#include "provider/spi/extension.h"
#include "provider/spi/helper.h"

struct accept_ex {
    struct spi_step step;         /* socket: the listener */
    struct spi_socket *accepting; /* referenced */
    char *output;
    DWORD data_bytes, local_bytes, remote_bytes;
    bool holds;     /* the accepting socket's accept_for is ours */
    bool waits;     /* counted in the listener's accepts_waiting */
    bool connected; /* data is waited for */
};

/* ---- the output buffer ---- */

/* In 32 bits the sizes together may be more than there is memory. */
static bool accept_output_is_there(const struct accept_ex *accept)
{
    size_t bytes;
    return !__builtin_add_overflow(accept->data_bytes, accept->local_bytes, &bytes) &&
           !__builtin_add_overflow(bytes, accept->remote_bytes, &bytes) &&
           spi_can_write(accept->output, bytes);
}

static void slot_write(const struct spi_socket *socket, char *slot, const struct rs_addr *addr)
{
    INT length = 0;
    spi_sockaddr_write(socket, addr, (struct sockaddr *)(slot + SPI_ACCEPT_SLOT_HEAD_BYTES),
                       &length);
    memcpy(slot, &length, sizeof(length));
}

static void accept_write_addresses(const struct accept_ex *accept, const struct rs_addr *peer)
{
    struct rs_addr local = rs_addr_v4(0, 0);
    char *slots = accept->output + accept->data_bytes;
    (void)!client_local_addr(accept->accepting->core, &local);
    slot_write(accept->accepting, slots, &local);
    slot_write(accept->accepting, slots + accept->local_bytes, peer);
}

/* ---- the step ---- */

/* A later one does not take the connection of an earlier one. */
static void accept_count(struct accept_ex *accept, bool waits)
{
    if (accept->waits != waits) {
        accept->waits = waits;
        atomic_fetch_add_explicit(&accept->step.socket->accepts_waiting, waits ? 1u : UINT32_MAX,
                                  memory_order_relaxed);
    }
}

/* A call that was accepted and finds its socket closed was cancelled by that. */
static int accept_code(enum rs_status status)
{
    return status == RS_NOT_SOCKET ? WSA_OPERATION_ABORTED : spi_wsa_error(status);
}

static int accept_connect(struct accept_ex *accept)
{
    struct spi_socket *listener = accept->step.socket;
    struct client_socket *core = accept->accepting->core;
    struct rs_addr peer = rs_addr_v4(0, 0);
    enum rs_status status = RS_WOULD_BLOCK;
    bool may = accept->step.op.helped || accept->waits ||
               atomic_load_explicit(&listener->accepts_waiting, memory_order_relaxed) == 0;
    long told = 0;
    if (may) {
        told = spi_events_before_accept(accept->accepting);
        status = client_accept_into(listener->core, core, &peer);
    }
    accept_count(accept, status == RS_WOULD_BLOCK);
    if (status == RS_WOULD_BLOCK) {
        accept->step.op.want = RS_LEVEL_READABLE;
        return SPI_OP_PENDING;
    }
    if (status != RS_OK) {
        return accept_code(status);
    }
    spi_events_after(listener, FD_ACCEPT);
    status = client_take_error(core);
    if (status != RS_OK) { /* the peer was faster; the socket is as it was */
        (void)!client_stream_reuse(core);
        return spi_wsa_error(status);
    }
    accept->connected = true;
    accept_write_addresses(accept, &peer);
    /* Release, partner spi_context. */
    atomic_store_explicit(&accept->accepting->context, SPI_CONTEXT_ACCEPT, memory_order_release);
    spi_events_after_accept(accept->accepting, told);
    return 0;
}

static int accept_receive(struct accept_ex *accept, DWORD *received)
{
    const struct client_iov iov = {.base = accept->output, .len_bytes = accept->data_bytes};
    struct spi_socket *accepting = accept->accepting;
    size_t received_bytes = 0;
    accept->step.op.want = 0; /* of the listener; spi_accept_ready tells */
    enum rs_status status =
        client_recv(accepting->core, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &received_bytes);
    if (status != RS_WOULD_BLOCK) {
        *received = (DWORD)received_bytes;
        spi_events_after(accepting, FD_READ | FD_OOB);
        return accept_code(status);
    }
    if (atomic_load_explicit(&accepting->session->watch, memory_order_acquire) != NULL) {
        spi_helper_arm(accepting, RS_LEVEL_READABLE);
    }
    return SPI_OP_PENDING;
}

/* Once: from here on another call may have the accepting socket. */
static void accept_release(struct spi_op *op)
{
    struct accept_ex *accept = (struct accept_ex *)op;
    accept_count(accept, false);
    if (accept->holds) {
        accept->holds = false;
        atomic_store_explicit(&accept->accepting->accept_for, NULL, memory_order_release);
    }
}

static int accept_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct accept_ex *accept = (struct accept_ex *)op;
    int code = 0;
    (void)flags;
    if (op->helped && !accept_output_is_there(accept)) {
        code = WSAEFAULT; /* the program has given it back; the connection waits on */
    }
    if (code == 0 && !accept->connected) {
        code = accept_connect(accept);
    }
    if (code == 0 && accept->data_bytes != 0) {
        code = accept_receive(accept, transferred);
    }
    if (code != SPI_OP_PENDING) {
        accept_release(op);
    }
    return code;
}

static void accept_drop(struct spi_op *op)
{
    struct accept_ex *accept = (struct accept_ex *)op;
    accept_release(op); /* where no step and no abort was its end */
    spi_socket_put(accept->accepting);
    spi_socket_put(accept->step.socket);
    mi_free(accept);
}

void spi_accept_ready(struct spi_socket *socket)
{
    /* Records are never freed: one that is late has a look too many. */
    struct spi_socket *listener = atomic_load_explicit(&socket->accept_for, memory_order_acquire);
    if (listener != NULL) {
        spi_ops_step(listener, SPI_WAY_OTHER);
    }
}

/* ---- the call ---- */

static int accept_check(const struct accept_ex *accept, LPDWORD received, LPOVERLAPPED overlapped)
{
    const struct spi_socket *listener = accept->step.socket;
    const struct spi_socket *accepting = accept->accepting;
    const DWORD address_bytes =
        SPI_ACCEPT_SLOT_MORE_BYTES +
        (accepting->family == AF_INET6 ? (DWORD)sizeof(SOCKADDR_IN6) : (DWORD)sizeof(SOCKADDR_IN));
    if (overlapped == NULL) {
        return WSA_INVALID_PARAMETER;
    }
    if (accept->output == NULL) {
        return WSAEINVAL; /* "must be specified" */
    }
    if (accept->local_bytes < address_bytes || accept->remote_bytes < address_bytes ||
        !spi_can_write(overlapped, sizeof(*overlapped)) || !accept_output_is_there(accept) ||
        (received != NULL && !spi_can_write(received, sizeof(*received)))) {
        return WSAEFAULT;
    }
    struct rs_addr local;
    bool fits = listener->stream && accepting->stream && listener->session == accepting->session &&
                client_is_listening(listener->core) &&
                client_local_addr(accepting->core, &local) == RS_INVALID;
    return fits ? 0 : WSAEINVAL;
}

/* One AcceptEx at a time is for a socket. */
static int accept_start(struct accept_ex *accept, LPDWORD received, LPOVERLAPPED overlapped)
{
    struct spi_socket *nobody = NULL;
    if (!atomic_compare_exchange_strong_explicit(&accept->accepting->accept_for, &nobody,
                                                 accept->step.socket, memory_order_acq_rel,
                                                 memory_order_relaxed)) {
        accept_drop(&accept->step.op);
        return WSAEINVAL;
    }
    accept->holds = true;
    return spi_step_start(&accept->step, overlapped, received);
}

static int accept_begin(struct spi_socket *listener, SOCKET s, const struct accept_ex *call,
                        LPDWORD received, LPOVERLAPPED overlapped)
{
    struct accept_ex *accept = mi_malloc(sizeof(*accept));
    if (accept == NULL) {
        spi_socket_put(call->accepting);
        spi_socket_put(listener);
        return WSAENOBUFS;
    }
    *accept = *call;
    accept->step = (struct spi_step){.socket = listener,
                                     .op = {.way = SPI_WAY_OTHER,
                                            .step = accept_step,
                                            .aborted = accept_release,
                                            .drop = accept_drop,
                                            .s = s}};
    int code = accept_check(accept, received, overlapped);
    if (code != 0) {
        accept_drop(&accept->step.op);
        return code;
    }
    return accept_start(accept, received, overlapped);
}

WINBOOL WINAPI spi_accept_ex(SOCKET s, SOCKET accepting, PVOID output, DWORD data_bytes,
                             DWORD local_bytes, DWORD remote_bytes, LPDWORD received,
                             LPOVERLAPPED overlapped)
{
    int code = 0;
    struct spi_socket *listener = spi_extension_socket(s, &code);
    if (listener == NULL) {
        return spi_extension_result(code);
    }
    const struct accept_ex call = {.accepting = spi_extension_socket(accepting, &code),
                                   .output = output,
                                   .data_bytes = data_bytes,
                                   .local_bytes = local_bytes,
                                   .remote_bytes = remote_bytes};
    if (call.accepting == NULL) {
        spi_socket_put(listener);
        return spi_extension_result(code);
    }
    return spi_extension_result(accept_begin(listener, s, &call, received, overlapped));
}

/* ---- GetAcceptExSockaddrs ---- */

/* One slot. NULL and 0 when there is none: the buffer was not AcceptEx's. */
static struct sockaddr *slot_read(char *slot, DWORD slot_bytes, INT *length)
{
    INT stored = 0;
    *length = 0;
    if (slot_bytes < SPI_ACCEPT_SLOT_HEAD_BYTES || !spi_can_read(slot, slot_bytes)) {
        return NULL;
    }
    memcpy(&stored, slot, sizeof(stored));
    if (stored <= 0 || (DWORD)stored > slot_bytes - SPI_ACCEPT_SLOT_HEAD_BYTES) {
        return NULL;
    }
    *length = stored;
    return (struct sockaddr *)(slot + SPI_ACCEPT_SLOT_HEAD_BYTES);
}

void WINAPI spi_get_accept_ex_sockaddrs(PVOID output, DWORD data_bytes, DWORD local_bytes,
                                        DWORD remote_bytes, struct sockaddr **local,
                                        LPINT local_length, struct sockaddr **remote,
                                        LPINT remote_length)
{
    char *slots = (char *)output + data_bytes;
    if (output == NULL || !spi_can_write(local, sizeof(struct sockaddr *)) ||
        !spi_can_write(local_length, sizeof(*local_length)) ||
        !spi_can_write(remote, sizeof(struct sockaddr *)) ||
        !spi_can_write(remote_length, sizeof(*remote_length))) {
        return; /* all of them must be given, and there is no word for an error */
    }
    *local = slot_read(slots, local_bytes, local_length);
    *remote = slot_read(slots + local_bytes, remote_bytes, remote_length);
}
