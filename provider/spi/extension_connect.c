/*
 * ConnectEx and DisconnectEx. Any thread.
 */
#include <mimalloc.h>

#include "provider/spi/events.h"
#include "provider/spi/extension.h"

static void step_drop(struct spi_op *op)
{
    spi_socket_put(((struct spi_step *)op)->socket);
    mi_free(op);
}

/* ---- ConnectEx ---- */

struct connect {
    struct spi_step step;
    struct rs_addr peer;
    const char *data; /* moves on */
    DWORD left_bytes, sent_bytes;
    enum { CONNECT_NOT_YET, CONNECT_UNDER_WAY, CONNECT_DONE } phase;
};

/* WSPConnect's words for a stream (socket.c), but that whoever is unbound was refused before. */
static int connect_begin(struct connect *connect)
{
    struct spi_socket *socket = connect->step.socket;
    long before = spi_events_before_connect(socket);
    enum rs_status status = client_connect_begin(socket->core, &connect->peer);
    spi_events_after_connect(socket, before, status == RS_OK ? 0 : spi_wsa_error(status));
    if (status == RS_INVALID && !client_is_listening(socket->core)) {
        return WSAEADDRNOTAVAIL;
    }
    connect->phase = CONNECT_UNDER_WAY;
    return spi_wsa_error(status);
}

static int connect_result(struct connect *connect)
{
    struct spi_socket *socket = connect->step.socket;
    enum rs_status status = client_connect_result(socket->core);
    if (status == RS_WOULD_BLOCK) {
        status = client_alive(socket->session->client) ? status : RS_DATAPLANE_GONE;
        connect->step.op.want = RS_LEVEL_CONNECTED | CLIENT_POLL_FAILED;
    }
    if (status == RS_OK) {
        connect->phase = CONNECT_DONE;
        /* Release, partner spi_context. */
        atomic_store_explicit(&socket->context, SPI_CONTEXT_CONNECT, memory_order_release);
    }
    return status == RS_WOULD_BLOCK ? SPI_OP_PENDING : spi_wsa_error(status);
}

static int connect_send(struct connect *connect)
{
    enum rs_status status = RS_OK;
    while (status == RS_OK && connect->left_bytes != 0) {
        const struct client_iov iov = {.base = (void *)(uintptr_t)connect->data,
                                       .len_bytes = connect->left_bytes < SPI_STEP_BYTES
                                                        ? connect->left_bytes
                                                        : SPI_STEP_BYTES};
        size_t sent_bytes = 0;
        if (connect->step.op.helped && !spi_can_read(iov.base, iov.len_bytes)) {
            return WSAEFAULT;
        }
        status = client_send(connect->step.socket->core, &iov, 1, CLIENT_MSG_DONTWAIT, NULL,
                             &sent_bytes);
        connect->data += sent_bytes;
        connect->left_bytes -= (DWORD)sent_bytes;
        connect->sent_bytes += (DWORD)sent_bytes;
    }
    connect->step.op.want = RS_LEVEL_WRITABLE;
    return status == RS_WOULD_BLOCK ? SPI_OP_PENDING : spi_wsa_error(status);
}

static int connect_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct connect *connect = (struct connect *)op;
    int code = 0;
    (void)flags;
    if (connect->phase == CONNECT_NOT_YET) {
        code = connect_begin(connect);
    }
    if (code == 0 && connect->phase == CONNECT_UNDER_WAY) {
        code = connect_result(connect);
    }
    if (code == 0) {
        code = connect_send(connect);
    }
    *transferred = connect->sent_bytes;
    return code;
}

static int connect_check(const struct spi_socket *socket, const struct rs_addr *peer)
{
    struct rs_addr local;
    /* Its page: an unbound or a listening socket. */
    if (!socket->stream || client_is_listening(socket->core) ||
        client_local_addr(socket->core, &local) != RS_OK) {
        return WSAEINVAL;
    }
    bool nobody = spi_is_multicast(peer->ip.v4_be32) || peer->ip.v4_be32 == INADDR_BROADCAST;
    return nobody ? WSAEADDRNOTAVAIL : 0;
}

WINBOOL WINAPI spi_connect_ex(SOCKET s, const struct sockaddr *name, int name_bytes, PVOID data,
                              DWORD data_bytes, LPDWORD sent, LPOVERLAPPED overlapped)
{
    struct rs_addr peer;
    int code = 0;
    struct spi_socket *socket = spi_extension_socket(s, &code);
    if (socket == NULL) {
        return spi_extension_result(code);
    }
    data_bytes = data != NULL ? data_bytes : 0;
    sent = data != NULL ? sent : NULL; /* both are ignored without data */
    if (!spi_can_write(overlapped, sizeof(*overlapped)) || !spi_can_read(data, data_bytes) ||
        (sent != NULL && !spi_can_write(sent, sizeof(*sent)))) {
        code = WSAEFAULT;
    }
    code = code == 0 ? spi_sockaddr_read(socket, name, name_bytes, &peer) : code;
    code = code == 0 ? connect_check(socket, &peer) : code;
    struct connect *connect = code == 0 ? mi_zalloc(sizeof(*connect)) : NULL;
    if (connect == NULL) {
        spi_socket_put(socket);
        return spi_extension_result(code != 0 ? code : WSAENOBUFS);
    }
    connect->step = (struct spi_step){
        .socket = socket,
        .op = {.way = SPI_WAY_SEND, .step = connect_step, .drop = step_drop, .s = s}};
    connect->peer = peer;
    connect->data = data;
    connect->left_bytes = data_bytes;
    return spi_extension_result(spi_step_start(&connect->step, overlapped, sent));
}

/* ---- DisconnectEx ---- */

struct disconnect {
    struct spi_step step;
    bool reuse;
    bool begun;
};

static int disconnect_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct disconnect *disconnect = (struct disconnect *)op;
    (void)transferred, (void)flags;
    return spi_disconnect_step(disconnect->step.socket, &disconnect->begun, disconnect->reuse,
                               &op->want);
}

/* DisconnectEx's page has WSAENOTCONN for whatever state is not connected, lost ones too. */
static int disconnect_check(const struct spi_socket *socket, LPOVERLAPPED overlapped, DWORD flags,
                            DWORD reserved)
{
    const uint32_t states = RS_LEVEL_CONNECTED | RS_LEVEL_ERROR;
    if (overlapped != NULL && !spi_can_write(overlapped, sizeof(*overlapped))) {
        return WSAEFAULT;
    }
    if ((flags & ~(DWORD)TF_REUSE_SOCKET) != 0 || reserved != 0 || !socket->stream) {
        return WSAEINVAL;
    }
    /* Before anything is ended: the others go on with the connection. */
    if ((flags & TF_REUSE_SOCKET) != 0 && client_is_shared(socket->core)) {
        return WSAEOPNOTSUPP;
    }
    return client_socket_ready(socket->core, states) == RS_LEVEL_CONNECTED ? 0 : WSAENOTCONN;
}

WINBOOL WINAPI spi_disconnect_ex(SOCKET s, LPOVERLAPPED overlapped, DWORD flags, DWORD reserved)
{
    int code = 0;
    struct spi_socket *socket = spi_extension_socket(s, &code);
    if (socket == NULL) {
        return spi_extension_result(code);
    }
    code = disconnect_check(socket, overlapped, flags, reserved);
    struct disconnect *disconnect = code == 0 ? mi_zalloc(sizeof(*disconnect)) : NULL;
    if (disconnect == NULL) {
        spi_socket_put(socket);
        return spi_extension_result(code != 0 ? code : WSAENOBUFS);
    }
    disconnect->step = (struct spi_step){
        .socket = socket,
        .op = {.way = SPI_WAY_SEND, .step = disconnect_step, .drop = step_drop, .s = s}};
    disconnect->reuse = (flags & TF_REUSE_SOCKET) != 0;
    return spi_extension_result(spi_step_start(&disconnect->step, overlapped, NULL));
}
