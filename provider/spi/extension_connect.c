/*
 * DisconnectEx. Any thread.
 */
#include <mimalloc.h>

#include "provider/spi/extension.h"

struct disconnect {
    struct spi_step step;
    bool reuse;
    bool begun;
};

static int disconnect_run(struct spi_step *step, DWORD *transferred)
{
    struct disconnect *disconnect = (struct disconnect *)step;
    *transferred = 0;
    return spi_disconnect_step(step->socket, &disconnect->begun, disconnect->reuse, &step->want);
}

static void disconnect_free(struct spi_step *step)
{
    spi_socket_put(step->socket);
    mi_free(step);
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
    disconnect->step =
        (struct spi_step){.socket = socket, .run = disconnect_run, .free = disconnect_free};
    disconnect->reuse = (flags & TF_REUSE_SOCKET) != 0;
    return spi_extension_result(spi_step_start(&disconnect->step, overlapped, 0));
}
