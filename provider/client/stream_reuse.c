/*
 * A stream socket that is used again after its connection: the place with the connection goes the
 * way of a closed socket's, the object is undecided again. So TIME_WAIT, and bytes that are not
 * acknowledged, are the dataplane's alone. Slow paths; any thread, by control_mutex. Called by
 * facades, stream.c, stream_listen.c; calls socket.c, request.c
 * and watch.c.
 */
#include "provider/client/client_internal.h"

/* A port is free when the control thread has heard of the end of its connection. */
#define REBIND_WAIT_NS 200000000ull

enum rs_status client_stream_finished(struct client_socket *socket)
{
    if (client_socket_phase(socket) != CLIENT_STREAM_ACTIVE) {
        return client_phase_open(client_socket_phase(socket)) ? RS_NOT_CONNECTED : RS_NOT_SOCKET;
    }
    uint32_t level = client_stream_level(socket);
    /* Relaxed: client_stream_level is an acquire, and END comes behind the last byte. */
    if ((level & RS_LEVEL_END) != 0 &&
        atomic_load_explicit(&socket->state->recv_tail, memory_order_relaxed) ==
            atomic_load_explicit(&socket->shared->recv_head[socket->home_queue_idx],
                                 memory_order_relaxed)) {
        return RS_OK;
    }
    return client_stream_state(socket, level);
}

/* As a close marks it: who is inside leaves, with the old phase or the new one. */
static void reuse_mark(struct client_socket *socket)
{
    client_recv_lock(socket);
    client_send_lock(socket);
    (void)client_lock_take(&socket->arm_lock);
    atomic_store_explicit(&socket->phase, CLIENT_SOCKET_UNDECIDED, memory_order_release);
    atomic_store_explicit(&socket->shut, 0, memory_order_relaxed);
    client_lock_drop(&socket->arm_lock);
    client_send_unlock(socket);
    client_recv_unlock(socket);
    client_watch_changed(socket);
}

static enum rs_status reuse_locked(struct client_socket *socket)
{
    const struct rs_op_close op = {.abort = 0};
    enum client_socket_phase phase = client_socket_phase(socket);
    if (phase != CLIENT_STREAM_ACTIVE) {
        return client_phase_open(phase) ? RS_NOT_CONNECTED : RS_NOT_SOCKET;
    }
    if (client_is_shared(socket)) {
        return RS_NOT_SUPPORTED; /* the connection is others', too */
    }
    if ((client_stream_level(socket) & RS_LEVEL_CONNECTED) == 0) {
        return RS_NOT_CONNECTED;
    }
    reuse_mark(socket);
    enum rs_status status = client_request(socket, RS_OP_CLOSE, &op, sizeof(op));
    uint16_t port_be16 = socket->local.port_be16;
    socket->rebind = !socket->accepted;
    socket->local = (struct rs_addr){.family = RS_FAMILY_NONE};
    if (socket->rebind) {
        socket->local = socket->bound ? socket->bound_to : rs_addr_v4(0, port_be16);
    }
    socket->peer = (struct rs_addr){.family = RS_FAMILY_NONE};
    socket->bound = socket->accepted = false;
    return status;
}

enum rs_status client_stream_reuse(struct client_socket *socket)
{
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status = reuse_locked(socket);
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

enum rs_status client_stream_rebind(struct client_socket *socket)
{
    const struct rs_addr local = socket->local;
    uint64_t deadline_tsc = client_deadline(socket->client, REBIND_WAIT_NS);
    enum rs_status status = client_socket_go_live(socket, &local);
    while (status == RS_ADDR_IN_USE && os_tsc() < deadline_tsc) {
        os_yield();
        status = client_socket_go_live(socket, &local);
    }
    if (status != RS_OK) {
        socket->local = local;
    }
    return status;
}
