/* See stream_rig.h. */
#include "tests/support/stream_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/config.h"
#include "dataplane/dataplane.h"
#include "dataplane/log.h"
#include "dataplane/nic_memory.h"
#include "dataplane/stack_internal.h"
#include "rings/byteorder.h"
#include "rings/control.h"
#include "rings/dgram_ring.h"
#include "rings/os/os.h"
#include "tests/scenario/script.h"
#include "tests/support/check.h"

#define RIG_WAIT_NS 20000000000ull /* on a loaded machine */

struct control *rig_control;

static struct {
    struct queue_config configs[RS_QUEUES_MAX];
    struct nic *nics[RS_QUEUES_MAX];
    uint32_t queues;
    uint32_t attach_flags;
    struct dataplane *dataplane;
    struct rig_program *programs[RIG_PROGRAMS];
    /* As theirs: a case that failed has left, and its variables with it. */
    struct os_conn conns[RIG_PROGRAMS];
    /* the other host */
    struct nic *nic;
    struct stack *stack;
    struct tcp_listener listener;
    struct tcp_backlog backlog;
    struct rig_peer peers[RIG_PEERS_MAX];
    struct rig_peer *accepted[RIG_PEERS_MAX];
    uint32_t accepted_head, accepted_tail;
    bool wire_down;
    char folder[64];
    char instance[32];
} rig;

/* ---- turning ---- */

static void peer_turn(void)
{
    struct pkt pkts[NIC_BURST_PKTS];
    stack_set_now(rig.stack, os_monotonic_ns(), os_tsc());
    uint32_t count = rig.nic->ops->rx_burst(rig.nic, pkts, NIC_BURST_PKTS);
    for (uint32_t i = 0; i < count && !rig.wire_down; i++) {
        stack_input(rig.stack, &pkts[i]);
    }
    rig.nic->ops->rx_release(rig.nic, pkts, count);
    stack_timers(rig.stack);
    stack_flush(rig.stack);
}

void rig_turn(void)
{
    CHECK(control_round(rig_control, 0) == RS_OK);
    for (uint32_t i = 0; i < rig.queues; i++) {
        (void)queue_poll(rig_control->queues[i]);
    }
    peer_turn();
}

void rig_turns(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        rig_turn();
    }
}

void rig_until(bool (*done)(void *context), void *context, const char *what)
{
    uint64_t give_up_ns = os_monotonic_ns() + RIG_WAIT_NS;
    while (!done(context)) {
        if (os_monotonic_ns() >= give_up_ns) {
            fprintf(stderr, "waited in vain for: %s\n", what);
            abort();
        }
        rig_turn();
    }
}

void rig_wire_down(bool down)
{
    rig.wire_down = down;
}

struct queue *rig_queue(uint32_t queue_idx)
{
    return rig_control->queues[queue_idx];
}

/* ---- the other host ---- */

static bool on_deliver(void *context, struct udp_socket *socket,
                       const struct udp_datagram *datagram)
{
    (void)context;
    (void)socket;
    (void)datagram;
    return false;
}

static void on_error(void *context, struct udp_socket *socket, enum rs_status error)
{
    (void)context;
    (void)socket;
    (void)error;
}

static void on_event(void *context, struct tcp_conn *conn, uint32_t events)
{
    struct rig_peer *peer = tcp_owner(conn);
    (void)context;
    peer->events |= events;
    if ((events & TCP_EVENT_ERROR) != 0) {
        peer->error = tcp_error(conn);
    }
    if ((events & TCP_EVENT_GONE) != 0) {
        peer->conn = NULL;
        peer->used = false;
    }
}

static struct rig_peer *peer_take(void)
{
    uint32_t i = 0;
    while (i < RIG_PEERS_MAX && rig.peers[i].used) {
        i++;
    }
    CHECK(i < RIG_PEERS_MAX);
    memset(&rig.peers[i], 0, sizeof(rig.peers[i]));
    rig.peers[i].used = true;
    return &rig.peers[i];
}

static struct tcp_rings peer_rings(struct rig_peer *peer)
{
    return (struct tcp_rings){.send_base = peer->send_ring,
                              .recv_base = peer->recv_ring,
                              .send_bytes = RIG_RING,
                              .recv_bytes = RIG_RING,
                              .recv_limit_bytes = RIG_RING,
                              .send_head = &peer->send_head,
                              .recv_tail = &peer->recv_tail,
                              .recv_head = &peer->recv_head};
}

static bool on_accept(void *context, struct tcp_listener *listener, struct tcp_conn *conn,
                      struct tcp_rings *rings, void **owner)
{
    struct rig_peer *peer = peer_take();
    (void)context;
    (void)listener;
    peer->conn = conn;
    *rings = peer_rings(peer);
    *owner = peer;
    rig.accepted[rig.accepted_tail++ % RIG_PEERS_MAX] = peer;
    return true;
}

struct stack *rig_peer_stack(void)
{
    return rig.stack;
}

void rig_peer_listen(uint16_t port)
{
    tcp_listener_close(rig.stack, &rig.listener);
    rig.backlog = (struct tcp_backlog){.limit = RIG_PEERS_MAX};
    rig.listener = (struct tcp_listener){
        .local_port_be16 = rs_be16(port), .backlog = &rig.backlog, .recv_window_bytes = RIG_RING};
    CHECK(tcp_listen(rig.stack, &rig.listener) == RS_OK);
}

static bool peer_waits(void *context)
{
    (void)context;
    return rig.accepted_head != rig.accepted_tail;
}

struct rig_peer *rig_peer_accepted(void)
{
    rig_until(peer_waits, NULL, "a connection at the other host");
    tcp_backlog_release(&rig.backlog);
    return rig.accepted[rig.accepted_head++ % RIG_PEERS_MAX];
}

struct rig_peer *rig_peer_connect(uint16_t local_port, const char *address)
{
    struct rig_peer *peer = peer_take();
    const struct tcp_rings rings = peer_rings(peer);
    const struct tcp_connect_args args = {.local_port_be16 = rs_be16(local_port),
                                          .peer_be32 = ip_of(address),
                                          .peer_port_be16 = port_of(address),
                                          .rings = &rings,
                                          .owner = peer};
    stack_set_now(rig.stack, os_monotonic_ns(), os_tsc());
    CHECK(tcp_connect(rig.stack, &args, &peer->conn) == RS_OK);
    return peer;
}

uint32_t rig_peer_write(struct rig_peer *peer, const void *data, uint32_t len_bytes)
{
    uint32_t room = RIG_RING - (peer->written - atomic_load(&peer->send_head));
    uint32_t bytes = len_bytes < room ? len_bytes : room;
    for (uint32_t i = 0; i < bytes; i++) {
        peer->send_ring[peer->written++ & (RIG_RING - 1)] = ((const uint8_t *)data)[i];
    }
    CHECK(tcp_send_tail(rig.stack, peer->conn, peer->written) == RS_OK);
    return bytes;
}

uint32_t rig_peer_read(struct rig_peer *peer, void *data, uint32_t len_bytes)
{
    uint32_t ready = atomic_load(&peer->recv_tail) - peer->read;
    uint32_t bytes = len_bytes < ready ? len_bytes : ready;
    for (uint32_t i = 0; i < bytes; i++) {
        ((uint8_t *)data)[i] = peer->recv_ring[peer->read++ & (RIG_RING - 1)];
    }
    atomic_store(&peer->recv_head, peer->read);
    CHECK(peer->conn == NULL || tcp_recv_consumed(rig.stack, peer->conn) == RS_OK);
    return bytes;
}

struct peer_wait {
    struct rig_peer *peer;
    uint32_t events;
};

static bool peer_told(void *context)
{
    const struct peer_wait *wait = context;
    return (wait->peer->events & wait->events) != 0;
}

void rig_peer_until(struct rig_peer *peer, uint32_t events)
{
    struct peer_wait wait = {peer, events};
    rig_until(peer_told, &wait, "an event of the other host's connection");
}

void rig_peer_close(struct rig_peer *peer)
{
    if (peer->conn != NULL) {
        tcp_close(rig.stack, peer->conn, 0);
    }
}

uint32_t rig_peers(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < RIG_PEERS_MAX; i++) {
        count += rig.peers[i].used;
    }
    return count;
}

static void peer_start(void)
{
    struct nic_memory_config nic = {.mtu_bytes = 1500, .buffers = 4096, .queue_frames = 1024};
    struct stack_config config = {.ip_be32 = ip_of(RIG_PEER),
                                  .prefix_len = 24,
                                  .neighbours = {{.ip_be32 = ip_of(RIG_OWN)}},
                                  .neighbour_count = 1,
                                  .neighbours_max = 4,
                                  .sockets_max = 1,
                                  .memberships_max = 1,
                                  .arp_reachable_ns = UINT64_MAX / 4,
                                  .arp_retry_ns = 1000000000,
                                  .arp_tries = 3,
                                  .igmp_version = 3,
                                  .random_seed = 1,
                                  .tcp = tcp_config_default(RIG_PEERS_MAX)};
    const struct stack_upcalls upcalls = {
        .deliver = on_deliver, .error = on_error, .tcp_event = on_event, .tcp_accept = on_accept};
    config.tcp.time_wait_ns = 1000000; /* what closes is gone soon */
    mac_of(nic.mac, RIG_PEER);
    mac_of(config.neighbours[0].mac, RIG_OWN);
    CHECK(nic_memory_create(&nic, &rig.nic) == RS_OK);
    CHECK(stack_create(&config, rig.nic, &upcalls, os_monotonic_ns(), &rig.stack) == RS_OK);
}

/* ---- start ---- */

static void load_config(const struct stream_rig_spec *spec, uint32_t idx)
{
    char file[128];
    (void)snprintf(file, sizeof(file), "%s/queue.conf", rig.folder);
    FILE *out = fopen(file, "w");
    CHECK(out != NULL);
    (void)fprintf(out,
                  "[nic]\ndevice = net_null0\nqueue = %u\n[queue]\nidle = yield\n"
                  "[ip]\naddress = " RIG_OWN "/24\n"
                  "[neighbour 1]\naddress = " RIG_PEER "\nmac = 02:00:0a:00:00:02\n"
                  "[tcp]\nconnections = 256\ntime_wait_s = 1\n"
                  "[instance]\nname = %s\nspin_us = 50\nclient_idle = yield\n"
                  "[limits]\nsessions = %u\nsockets = %u\nchannels = 8\nrecv_ring_bytes = %u\n"
                  "send_ring_bytes = %u\n[log]\nlevel = error\n",
                  idx, rig.instance, spec->sessions != 0 ? spec->sessions : 4,
                  spec->sockets != 0 ? spec->sockets : 64, RIG_RING, RIG_RING);
    CHECK(fclose(out) == 0);
    CHECK(config_load(file, &rig.configs[idx], stderr) == RS_OK);
    CHECK(remove(file) == 0);
}

void stream_rig_start(const struct stream_rig_spec *spec)
{
    struct nic_memory_config nic = {.mtu_bytes = 1500, .buffers = 4096, .queue_frames = 1024};
    memset(&rig, 0, sizeof(rig));
    rig.queues = spec->queues != 0 ? spec->queues : 1;
    rig.attach_flags = spec->never_sleeps ? RS_CTL_ATTACH_NEVER_SLEEPS : RS_CTL_ATTACH_SLEEPS;
    (void)snprintf(rig.folder, sizeof(rig.folder), "/tmp/ringsock-streams-XXXXXX");
    CHECK(mkdtemp(rig.folder) != NULL);
    CHECK(setenv("RINGSOCK_RUNTIME_DIR", rig.folder, 1) == 0);
    (void)snprintf(rig.instance, sizeof(rig.instance), "streams-%u", os_process_id());
    log_set_level(LOG_LEVEL_ERROR);
    for (uint32_t i = 0; i < rig.queues; i++) {
        load_config(spec, i);
    }
    mac_of(nic.mac, RIG_OWN);
    if (rig.queues > 1) {
        nic.steering = STEER_NIC;
        CHECK(nic_memory_create_queues(&nic, rig.queues, rig.nics) == RS_OK);
    } else {
        CHECK(nic_memory_create(&nic, &rig.nics[0]) == RS_OK);
    }
    CHECK(config_check_set(rig.configs, rig.queues, stderr) == RS_OK);
    CHECK(dataplane_create(rig.configs, rig.nics, rig.queues, &rig.dataplane) == RS_OK);
    rig_control = dataplane_control(rig.dataplane);
    peer_start();
    nic_memory_connect(rig.nics[0], rig.nic);
}

/* ---- programs ---- */

static uint64_t program_call(struct rig_program *program, uint32_t type, uint32_t arg)
{
    struct rs_ctl_request request = {.magic = RS_MAGIC, .type = type, .arg = arg};
    struct rs_ctl_answer answer;
    size_t bytes = sizeof(answer);
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t handle_count = 0;
    CHECK(os_conn_send(&program->conn, &request, sizeof(request), NULL, 0) == RS_OK);
    enum rs_status status;
    uint64_t give_up_ns = os_monotonic_ns() + RIG_WAIT_NS;
    do {
        rig_turn();
        bytes = sizeof(answer);
        status = os_conn_recv(&program->conn, &answer, &bytes, handles, &handle_count, 0);
        CHECK(os_monotonic_ns() < give_up_ns);
    } while (status == RS_TIMED_OUT);
    CHECK(status == RS_OK && answer.type == type && answer.status == RS_OK);
    for (uint32_t i = 0; i < handle_count; i++) {
        os_handle_close(handles[i]);
    }
    rig_turn();
    return answer.value;
}

void rig_attach(struct rig_program *program)
{
    memset(program, 0, sizeof(*program));
    CHECK(os_connect(rig.instance, 0, &program->conn) == RS_OK);
    rig_turn();
    uint64_t id = program_call(program, RS_CTL_ATTACH, RS_LAYOUT_VERSION | rig.attach_flags);
    struct dp_session *session = rig_control->sessions;
    while (session != NULL && session->id != id) {
        session = session->next;
    }
    CHECK(session != NULL);
    program->session = session;
    (void)program_call(program, RS_CTL_MAPPED, 1);
    for (uint32_t i = 0; i < rig.queues; i++) {
        struct dp_channel *channel =
            &session->channels[program_call(program, RS_CTL_CHANNEL_OPEN, i)];
        program->channels[i] = channel;
        slot_producer_init(&program->producers[i], channel->requests.slots,
                           channel->requests.mask + 1, channel->requests.state);
    }
    uint32_t free_idx = 0;
    while (rig.programs[free_idx] != NULL) {
        free_idx++;
    }
    CHECK(free_idx < RIG_PROGRAMS);
    rig.programs[free_idx] = program;
    rig.conns[free_idx] = program->conn;
}

void rig_die(struct rig_program *program)
{
    for (uint32_t i = 0; i < RIG_PROGRAMS; i++) {
        if (rig.programs[i] == program) {
            rig.programs[i] = NULL;
            os_conn_close(&program->conn);
        }
    }
}

bool rig_is_poisoned(const struct rig_program *program)
{
    return atomic_load(&program->session->header->poisoned) == RS_POISONED;
}

static bool no_session(void *context)
{
    (void)context;
    return rig_control->sessions == NULL;
}

bool stream_rig_stop(void)
{
    for (uint32_t i = 0; i < RIG_PROGRAMS; i++) {
        if (rig.programs[i] != NULL) {
            rig.programs[i] = NULL;
            os_conn_close(&rig.conns[i]);
        }
    }
    rig_until(no_session, NULL, "the end of all sessions");
    bool clean = ports_count(rig_control->tcp_ports) == 0;
    for (uint32_t i = 0; i < rig.queues; i++) {
        struct queue *queue = rig_control->queues[i];
        struct counters_sums sums;
        clean &= counters_balance(stack_counters(queue->stack), &sums);
        clean &= tcp_connection_count(queue->stack) == 0 && queue->streams_gone == NULL;
        clean &= queue->listeners == NULL && queue->local_ready == NULL;
        for (uint32_t n = 0; n < QUEUE_LOCAL_PORTS / 32; n++) {
            clean &= queue->local_ports[n] == 0;
        }
    }
    char file[128];
    (void)snprintf(file, sizeof(file), "%s/%s.lock", rig.folder, rig.instance);
    stack_destroy(rig.stack);
    dataplane_destroy(rig.dataplane);
    rig.nic->ops->close(rig.nic);
    (void)remove(file);
    (void)rmdir(rig.folder);
    return clean;
}

static struct rs_request *program_slot(struct rig_program *program, const struct rig_socket *socket,
                                       enum rs_op op)
{
    struct rs_request *slot =
        slot_producer_reserve(&program->producers[socket != NULL ? socket->queue_idx : 0]);
    CHECK(slot != NULL);
    slot->op = (uint8_t)op;
    slot->len_bytes = 0;
    slot->socket_idx = socket != NULL ? socket->idx : RS_NO_INDEX;
    slot->generation = socket != NULL ? socket->generation : 0;
    return slot;
}

struct reply_wait {
    const struct rs_reply *reply;
    uint32_t serial;
};

static bool reply_came(void *context)
{
    const struct reply_wait *wait = context;
    return atomic_load(&wait->reply->serial) == wait->serial;
}

static const struct rs_reply *program_request(struct rig_program *program, uint32_t queue_idx,
                                              const struct rig_socket *socket, enum rs_op op,
                                              const void *payload, uint32_t payload_bytes)
{
    const struct rs_reply *reply = &program->channels[queue_idx]->replies[0];
    const struct rig_socket none = {.idx = RS_NO_INDEX, .queue_idx = queue_idx};
    struct rs_request *slot = program_slot(program, socket != NULL ? socket : &none, op);
    slot->arg = 0;
    slot->serial = ++program->serial;
    slot->len_bytes = (uint8_t)payload_bytes;
    memset(slot->payload, 0, sizeof(slot->payload));
    if (payload_bytes != 0) {
        memcpy(slot->payload, payload, payload_bytes);
    }
    (void)slot_producer_publish(&program->producers[queue_idx]);
    struct reply_wait wait = {reply, program->serial};
    rig_until(reply_came, &wait, "the answer to a request");
    return reply;
}

enum rs_status rig_request(struct rig_program *program, const struct rig_socket *socket,
                           enum rs_op op, const void *payload, uint32_t payload_bytes)
{
    uint32_t queue_idx = socket != NULL ? socket->queue_idx : 0;
    return (enum rs_status)program_request(program, queue_idx, socket, op, payload, payload_bytes)
        ->status;
}

enum rs_status rig_request_reply(struct rig_program *program, const struct rig_socket *socket,
                                 enum rs_op op, const void *payload, uint32_t payload_bytes,
                                 void *answer, uint32_t answer_bytes)
{
    const struct rs_reply *reply = program_request(program, socket != NULL ? socket->queue_idx : 0,
                                                   socket, op, payload, payload_bytes);
    memcpy(answer, reply->payload, answer_bytes);
    return (enum rs_status)reply->status;
}

void rig_post(struct rig_socket *socket, enum rs_op op, uint32_t arg)
{
    struct slot_producer *producer = &socket->program->producers[socket->queue_idx];
    uint64_t position = (uint32_t)producer->tail;
    if (op == RS_OP_POST && atomic_load(&socket->client->send_level) >> 32 == position) {
        atomic_store(&socket->client->send_level, position << 32 | arg); /* as post_tail does */
    }
    struct rs_request *slot = program_slot(socket->program, socket, op);
    slot->arg = arg;
    (void)slot_producer_publish(&socket->program->producers[socket->queue_idx]);
}

static struct rig_socket socket_at(struct rig_program *program, uint32_t queue_idx, uint32_t idx,
                                   uint32_t generation)
{
    const struct dp_session *session = program->session;
    return (struct rig_socket){
        .program = program,
        .idx = idx,
        .generation = generation,
        .queue_idx = queue_idx,
        .state = &session->socket_states[idx],
        .desc = &session->socket_descs[idx],
        .client = (struct rs_socket_client *)(uintptr_t)&session->socket_clients[idx]};
}

struct rig_socket rig_open_on(struct rig_program *program, uint32_t queue_idx)
{
    const struct rs_op_open open = {.family = RS_FAMILY_IPV4, .type = RS_SOCK_STREAM};
    struct rs_open_reply opened;
    const struct rs_reply *reply =
        program_request(program, queue_idx, NULL, RS_OP_OPEN, &open, sizeof(open));
    CHECK(reply->status == RS_OK);
    memcpy(&opened, reply->payload, sizeof(opened));
    struct rig_socket socket = socket_at(program, queue_idx, opened.socket_idx, opened.generation);
    rs_socket_client_reset(socket.client);
    return socket;
}

struct rig_socket rig_open(struct rig_program *program)
{
    return rig_open_on(program, 0);
}

enum rs_status rig_option(struct rig_socket *socket, enum rs_option option, uint32_t value)
{
    const struct rs_op_option op = {.option = option, .value = value};
    return rig_request(socket->program, socket, RS_OP_OPTION, &op, sizeof(op));
}

enum rs_status rig_bind(struct rig_socket *socket, const char *address)
{
    const struct rs_addr local = rs_addr_v4(ip_of(address), port_of(address));
    return rig_request(socket->program, socket, RS_OP_BIND, &local, sizeof(local));
}

void rig_map(struct rig_socket *socket)
{
    const struct rs_socket_desc *desc = socket->desc;
    const struct dp_session *session = socket->program->session;
    CHECK(desc->generation == socket->generation && desc->type == RS_SOCK_STREAM);
    if (desc->send.ref.extent_idx > 1) {
        (void)program_call(socket->program, RS_CTL_MAPPED, desc->send.ref.extent_idx);
    }
    stream_writer_init(&socket->send, session_pointer(session, desc->send.ref),
                       desc->send.size_bytes, desc->send.size_bytes, 0);
    const struct rs_ring_ref *recv = &desc->recv[desc->home_queue_idx];
    stream_reader_init(&socket->recv, session_pointer(session, recv->ref), recv->size_bytes, 0);
    socket->notified = atomic_load(&socket->state->recv_notify);
}

enum rs_status rig_share(struct rig_socket *socket, struct rs_share_token *token)
{
    const struct rs_op_share op = {.process_id = os_process_id()};
    enum rs_status status = rig_request_reply(socket->program, socket, RS_OP_SHARE, &op, sizeof(op),
                                              token, sizeof(*token));
    if (status == RS_OK) {
        rig_map(socket);
    }
    return status;
}

enum rs_status rig_unshare(struct rig_socket *socket)
{
    struct rs_unshared at;
    enum rs_status status =
        rig_request_reply(socket->program, socket, RS_OP_UNSHARE, NULL, 0, &at, sizeof(at));
    if (status == RS_OK) {
        rig_map(socket);
        socket->send.tail = at.send_tail;
        socket->send.head_cached = at.send_head;
        socket->recv.head = socket->recv.tail_cached = at.recv_head;
    }
    return status;
}

enum rs_status rig_share_open(struct rig_program *program, const struct rs_share_token *token,
                              struct rig_socket *out)
{
    struct rs_open_reply opened;
    enum rs_status status = rig_request_reply(program, NULL, RS_OP_SHARE_OPEN, token,
                                              sizeof(*token), &opened, sizeof(opened));
    if (status == RS_OK) {
        *out = socket_at(program, 0, opened.socket_idx, opened.generation);
        rs_socket_client_reset(out->client);
        rig_map(out);
    }
    return status;
}

static uint32_t rig_share_data(struct rig_socket *socket, enum rs_op op, uint32_t len_bytes)
{
    const struct rs_op_share_data data = {.len_bytes = len_bytes};
    struct rs_share_data answer;
    CHECK(rig_request_reply(socket->program, socket, op, &data, sizeof(data), &answer,
                            sizeof(answer)) == RS_OK);
    return answer.len_bytes;
}

uint32_t rig_share_send(struct rig_socket *socket, const void *data, uint32_t len_bytes)
{
    memcpy(socket->send.base, data, len_bytes);
    return rig_share_data(socket, RS_OP_SHARE_SEND, len_bytes);
}

uint32_t rig_share_recv(struct rig_socket *socket, void *data, uint32_t len_bytes)
{
    uint32_t got = rig_share_data(socket, RS_OP_SHARE_RECV, len_bytes);
    memcpy(data, socket->recv.base, got);
    return got;
}

enum rs_status rig_connect(struct rig_socket *socket, const char *address)
{
    const struct rs_addr peer = rs_addr_v4(ip_of(address), port_of(address));
    atomic_store(&socket->client->recv_head[socket->queue_idx], 0);
    atomic_store(&socket->client->send_level, 0);
    enum rs_status status =
        rig_request(socket->program, socket, RS_OP_CONNECT, &peer, sizeof(peer));
    if (status == RS_OK) {
        rig_map(socket);
    }
    return status;
}

enum rs_status rig_info(struct rig_socket *socket, struct rs_tcp_info *info)
{
    enum rs_status status = rig_request(socket->program, socket, RS_OP_TCP_INFO, NULL, 0);
    *info =
        socket->program->channels[socket->queue_idx]->info[0]; /* of the cell rig_request uses */
    return status;
}

enum rs_status rig_shutdown(struct rig_socket *socket, uint32_t how)
{
    const struct rs_op_shutdown op = {.how = how};
    return rig_request(socket->program, socket, RS_OP_SHUTDOWN, &op, sizeof(op));
}

enum rs_status rig_close(struct rig_socket *socket, bool abort_it, uint32_t linger_ms)
{
    const struct rs_op_close op = {.abort = abort_it, .linger_ms = linger_ms};
    return rig_request(socket->program, socket, RS_OP_CLOSE, &op, sizeof(op));
}

enum rs_status rig_listen(struct rig_socket *socket, uint32_t backlog)
{
    const struct rs_op_listen op = {.backlog = backlog};
    return rig_request(socket->program, socket, RS_OP_LISTEN, &op, sizeof(op));
}

bool rig_accept(struct rig_socket *listener, uint32_t queue_idx, struct rig_socket *out,
                uint32_t *peer_be32)
{
    const struct dp_session *session = listener->program->session;
    const struct rs_ring_ref *ring = &listener->desc->recv[queue_idx];
    rs_atomic_u32 *head = &listener->client->recv_head[queue_idx];
    struct dgram_reader reader;
    struct dgram_view view;
    struct rs_accept accept;
    dgram_reader_init(&reader, session_pointer(session, ring->ref), ring->size_bytes, head,
                      atomic_load(head));
    if (dgram_reader_peek(&reader, &view) != RS_OK) {
        return false;
    }
    CHECK(view.header.len_bytes == sizeof(accept));
    memcpy(&accept, view.payload, sizeof(accept));
    *peer_be32 = view.header.src_be32;
    *out = socket_at(listener->program, queue_idx, accept.socket_idx, accept.generation);
    rs_socket_client_reset(out->client);
    dgram_reader_consume(&reader, &view);
    rig_map(out);
    CHECK(out->desc->local.ip.v4_be32 == accept.local_be32);
    CHECK(out->desc->peer.ip.v4_be32 == *peer_be32);
    return true;
}

uint32_t rig_level(const struct rig_socket *socket)
{
    return atomic_load_explicit(&socket->state->level, memory_order_acquire);
}

struct level_wait {
    const struct rig_socket *socket;
    uint32_t bits;
};

static bool level_is(void *context)
{
    const struct level_wait *wait = context;
    return (rig_level(wait->socket) & wait->bits) != 0;
}

void rig_until_level(const struct rig_socket *socket, uint32_t bits)
{
    struct level_wait wait = {socket, bits};
    rig_until(level_is, &wait, "a bit in a socket's level word");
}

static bool place_is_free(void *context)
{
    const struct rig_socket *socket = context;
    const struct session_socket *record = socket->program->session->records[socket->idx];
    return record == NULL || atomic_load(&record->parts[record->home_queue_idx]->spare) != 0;
}

void rig_until_free(struct rig_socket *socket)
{
    rig_until(place_is_free, socket, "a closed socket's place to be free");
}

uint32_t rig_write(struct rig_socket *socket, const void *data, uint32_t len_bytes)
{
    struct stream_region regions[2];
    CHECK(stream_writer_refresh(&socket->send, &socket->state->send_head, RS_CORRUPT) == RS_OK);
    uint32_t got = stream_writer_regions(&socket->send, 0, len_bytes, regions);
    memcpy(regions[0].base, data, regions[0].len_bytes);
    memcpy(regions[1].base, (const uint8_t *)data + regions[0].len_bytes, regions[1].len_bytes);
    stream_writer_commit(&socket->send, got);
    if (got != 0) {
        rig_post(socket, RS_OP_POST, socket->send.tail);
    }
    return got;
}

uint32_t rig_read(struct rig_socket *socket, void *data, uint32_t len_bytes)
{
    struct stream_const_region regions[2];
    rs_atomic_u32 *head = &socket->client->recv_head[socket->queue_idx];
    CHECK(stream_reader_refresh(&socket->recv, &socket->state->recv_tail, RS_CORRUPT) == RS_OK);
    uint32_t got = stream_reader_regions(&socket->recv, 0, len_bytes, regions);
    memcpy(data, regions[0].base, regions[0].len_bytes);
    memcpy((uint8_t *)data + regions[0].len_bytes, regions[1].base, regions[1].len_bytes);
    stream_reader_consume(&socket->recv, got);
    stream_reader_publish(&socket->recv, head);
    rs_fence_full();
    uint32_t notify = atomic_load_explicit(&socket->state->recv_notify, memory_order_relaxed);
    if (notify != socket->notified && rs_seq_before_eq(notify, socket->recv.head)) {
        socket->notified = notify;
        rig_post(socket, RS_OP_CONSUMED, 0);
    }
    return got;
}
