/*
 * What extension functions that take a while have in common: each is a step that never blocks, run
 * by the caller until it is through or by the helper when something changed. Any thread.
 */
#include "provider/spi/extension.h"

/* How long a wait is that nothing reports the end of. */
#define STEP_SLEEP_NS 1000000ull

WINBOOL spi_extension_result(int code)
{
    if (code != 0) {
        SetLastError((DWORD)code);
    }
    return code == 0;
}

struct spi_socket *spi_extension_socket(SOCKET s, int *code)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        *code = spi_started() ? WSAENOTSOCK : WSANOTINITIALISED;
    }
    return socket;
}

static int step_block(struct spi_step *step, DWORD *transferred)
{
    struct spi_socket *socket = step->socket;
    int code;
    while ((code = step->run(step, transferred)) == SPI_STEP_PENDING) {
        struct client_poll item = {.socket = socket->core, .want = step->want};
        uint32_t ready_count;
        enum rs_status status =
            client_poll(socket->session->client, &item, 1,
                        step->want != 0 ? UINT64_MAX : STEP_SLEEP_NS, &ready_count);
        if (status != RS_OK) {
            return spi_wsa_error(status);
        }
    }
    return code;
}

int spi_step_start(struct spi_step *step, LPOVERLAPPED overlapped, int code)
{
    DWORD ignored = 0;
    if (code == 0 && spi_is_overlapped(step->socket, overlapped, false)) {
        code = WSAEOPNOTSUPP;
    }
    if (code == 0) {
        code = step_block(step, &ignored);
    }
    step->free(step);
    return code;
}

int spi_disconnect_step(struct spi_socket *socket, bool *begun, bool reuse, uint32_t *want)
{
    enum rs_status status = RS_OK;
    if (!*begun) {
        status = client_shutdown(socket->core, CLIENT_SHUT_SEND);
        *begun = true;
    }
    if (status == RS_OK && reuse) {
        status = client_stream_finished(socket->core);
        if (status == RS_WOULD_BLOCK) {
            /* Behind the end what is left is for the program to read. */
            *want = RS_LEVEL_END | RS_LEVEL_ERROR;
            if (client_socket_ready(socket->core, RS_LEVEL_END) != 0) {
                *want = 0;
            }
            return SPI_STEP_PENDING;
        }
    }
    if (status == RS_OK && reuse) {
        status = client_stream_reuse(socket->core);
        atomic_store_explicit(&socket->context, SPI_CONTEXT_WHOLE, memory_order_release);
    }
    return spi_wsa_error(status);
}
