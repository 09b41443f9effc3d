/*
 * What extension functions that take a while have in common: each is a step that never blocks, run
 * by the caller until it is through or by the helper when something changed. Any thread.
 */
#include "provider/spi/events.h"
#include "provider/spi/extension.h"
#include "provider/spi/helper.h"

/* How long a wait is that nothing reports the end of. */
#define STEP_SLEEP_NS 1000000ull

WINBOOL spi_extension_result(int code)
{
    if (code != 0) {
        (void)spi_fail(&code, code);
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

/* Nothing waits before it, and nobody else will hear of it. */
static int step_block(struct spi_step *step, DWORD *transferred)
{
    struct spi_socket *socket = step->socket;
    DWORD flags = 0;
    int code;
    while ((code = step->op.step(&step->op, transferred, &flags)) == SPI_OP_PENDING) {
        struct client_poll item = {.socket = socket->core, .want = step->op.want};
        uint32_t ready_count;
        enum rs_status status =
            client_poll(socket->session->client, &item, 1,
                        step->op.want != 0 ? UINT64_MAX : STEP_SLEEP_NS, &ready_count);
        if (status != RS_OK) {
            code = spi_wsa_error(status);
            break;
        }
    }
    step->op.drop(&step->op);
    return code;
}

int spi_step_start(struct spi_step *step, LPOVERLAPPED overlapped, LPDWORD transferred)
{
    struct spi_socket *socket = step->socket;
    const uint32_t before = atomic_load_explicit(&socket->attention, memory_order_relaxed);
    DWORD count = 0;
    int code = 0;
    if (spi_is_overlapped(socket, overlapped, false)) {
        step->op.overlapped = (LPWSAOVERLAPPED)overlapped;
        spi_socket_hold(socket); /* the step's own reference may go with its end */
        (void)spi_op_submit(socket, &step->op, transferred, NULL, &code);
        spi_socket_put(socket);
        return code;
    }
    if ((before & 1u << step->op.way) != 0) {
        code = spi_op_wait(socket, &step->op, 0, &count, NULL);
    } else {
        code = step_block(step, &count);
    }
    if (transferred != NULL) {
        *transferred = count;
    }
    return code;
}

/* Behind the end the program's reading is waited for, which it tells by spi_disconnect_read, and
 * the loss of the connection or the dataplane, which only the watch tells. Its receive that empties
 * the ring fences behind recv_head (stream_recv.c), so it sees the bit or the look behind this sees
 * that all is read. */
static uint32_t disconnect_want(struct spi_socket *socket)
{
    if (client_socket_ready(socket->core, RS_LEVEL_END) == 0) {
        return RS_LEVEL_END | RS_LEVEL_ERROR;
    }
    atomic_fetch_or_explicit(&socket->attention, SPI_ATTENTION_READ, memory_order_seq_cst);
    if (atomic_load_explicit(&socket->session->watch, memory_order_acquire) != NULL) {
        spi_helper_arm(socket, RS_LEVEL_ERROR);
    }
    return 0;
}

void spi_disconnect_read(struct spi_socket *socket)
{
    atomic_fetch_and_explicit(&socket->attention, ~(uint32_t)SPI_ATTENTION_READ,
                              memory_order_relaxed);
    spi_helper_look(socket);
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
    }
    if (status == RS_WOULD_BLOCK && !client_alive(socket->session->client)) {
        status = RS_DATAPLANE_GONE; /* which the state in memory does not say */
    }
    if (status == RS_WOULD_BLOCK) {
        *want = disconnect_want(socket);
        status = *want == 0 ? client_stream_finished(socket->core) : status;
    }
    if (status == RS_WOULD_BLOCK) {
        return SPI_OP_PENDING;
    }
    if (status == RS_OK && reuse) {
        status = client_stream_reuse(socket->core);
        spi_events_after(socket, 0);
        atomic_store_explicit(&socket->context, SPI_CONTEXT_WHOLE, memory_order_release);
    }
    return spi_wsa_error(status);
}
