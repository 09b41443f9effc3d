/* See request_world.h. */
#include "tests/fuzz/request_world.h"

#include <string.h>
#include <unistd.h>

#include "dataplane/config.h"
#include "dataplane/control_internal.h"
#include "dataplane/dataplane.h"
#include "dataplane/log.h"
#include "dataplane/nic_loopback.h"
#include "dataplane/stack_internal.h"
#include "dataplane/stream.h"
#include "rings/byteorder.h"

#define WORLDS_MAX     2u
#define HONEST_SOCKETS 2u
#define HONEST_PORT    6000u
#define END_ROUNDS     1000000u /* a session that is ending may take a second */
#define PORT_FIRST     7000u    /* what attackers bind */
#define PORT_COUNT     8u

struct honest_socket {
    uint32_t idx, generation;
    struct dgram_send_writer send;
    struct dgram_reader recv;
};

struct honest {
    struct os_conn conn;
    struct dp_session *session;
    struct dp_channel *channel;
    struct slot_producer producer;
    struct honest_socket sockets[HONEST_SOCKETS];
    uint32_t serial;
    uint64_t number;
};

struct one_world {
    struct world world;
    struct dataplane *dataplane;
    struct queue_config configs[RS_QUEUES_MAX];
    struct honest honest;
    bool made;
};

static struct one_world worlds[WORLDS_MAX];
static char runtime_folder[64];

/* What must never be seen by an attacker. */
static const uint8_t stamp[WORLD_STAMP_BYTES] = {0xc1, 0x5e, 0x77, 0x9b, 0x04, 0xd8, 0x3f, 0xaa,
                                                 0x62, 0x19, 0xe5, 0x8c, 0x31, 0xf0, 0x4d, 0x96};

static struct one_world *one_of(const struct world *world)
{
    return &worlds[world->queue_count - 1];
}

/* ---- making
 * ------------------------------------------------------------------------------------------ */

static void world_load_config(struct one_world *one, uint32_t queue_idx)
{
    char file[128];
    (void)snprintf(file, sizeof(file), "%s/queue.conf", runtime_folder);
    FILE *out = fopen(file, "w");
    MUST(out != NULL);
    (void)fprintf(out,
                  "[nic]\ndevice = loopback\nqueue = %u\n[queue]\nsockets = 64\n"
                  "[instance]\nname = fuzz-%u\nspin_us = 50\n[igmp]\nmemberships = 64\n"
                  "[limits]\nsessions = 3\nsockets = %u\nchannels = %u\nextents = 8\n"
                  "memberships = %u\nmemory_bytes = 33554432\nslots_per_poll = 8\n"
                  "bytes_per_poll = 65536\nrecv_ring_bytes = 4096\nsend_ring_bytes = 4096\n"
                  "recv_ring_max_bytes = 16384\nsend_ring_max_bytes = 16384\n",
                  queue_idx, one->world.queue_count, WORLD_SOCKETS, WORLD_CHANNELS,
                  WORLD_MEMBERSHIPS);
    MUST(fclose(out) == 0);
    MUST(config_load(file, &one->configs[queue_idx], stderr) == RS_OK);
    MUST(remove(file) == 0);
}

static void worlds_remove(void)
{
    for (uint32_t i = 0; i < WORLDS_MAX; i++) {
        if (worlds[i].made) {
            os_conn_close(&worlds[i].honest.conn);
            world_round(&worlds[i].world);
            dataplane_destroy(worlds[i].dataplane);
        }
    }
    char file[128];
    for (uint32_t i = 1; i <= WORLDS_MAX; i++) {
        (void)snprintf(file, sizeof(file), "%s/fuzz-%u.lock", runtime_folder, i);
        (void)remove(file);
    }
    (void)rmdir(runtime_folder);
}

static void world_make_folder(void)
{
    if (runtime_folder[0] == '\0') {
        (void)snprintf(runtime_folder, sizeof(runtime_folder), "/tmp/ringsock-fuzz-XXXXXX");
        MUST(mkdtemp(runtime_folder) != NULL);
        MUST(setenv("RINGSOCK_RUNTIME_DIR", runtime_folder, 1) == 0);
        MUST(atexit(worlds_remove) == 0);
        log_set_level(LOG_LEVEL_ERROR);
    }
}

void world_round(struct world *world)
{
    MUST(control_round(world->control, 0) == RS_OK);
}

void world_poll(struct world *world)
{
    for (uint32_t i = 0; i < world->queue_count; i++) {
        (void)queue_poll(world->control->queues[i]);
    }
}

struct dp_session *world_session(const struct world *world, uint64_t id)
{
    struct dp_session *session = world->control->sessions;
    while (session != NULL && session->id != id) {
        session = session->next;
    }
    return session;
}

/* ---- the honest program
 * ------------------------------------------------------------------------------ */

static uint64_t honest_call(struct one_world *one, uint32_t type, uint32_t arg)
{
    struct honest *honest = &one->honest;
    struct rs_ctl_request request = {.magic = RS_MAGIC, .type = type, .arg = arg};
    struct rs_ctl_answer answer;
    size_t bytes = sizeof(answer);
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t handle_count;
    MUST(os_conn_send(&honest->conn, &request, sizeof(request), NULL, 0) == RS_OK);
    world_round(&one->world);
    MUST(os_conn_recv(&honest->conn, &answer, &bytes, handles, &handle_count, 0) == RS_OK);
    for (uint32_t i = 0; i < handle_count; i++) {
        os_handle_close(handles[i]);
    }
    MUST(answer.type == type && answer.status == RS_OK);
    world_poll(&one->world);
    return answer.value;
}

/* One control request, and its answer within a few rounds. */
static const struct rs_reply *honest_request(struct one_world *one, uint8_t op,
                                             const struct honest_socket *socket,
                                             const void *payload, size_t bytes)
{
    struct honest *honest = &one->honest;
    struct rs_request *slot = slot_producer_reserve(&honest->producer);
    const struct rs_reply *reply = &honest->channel->replies[0];
    MUST(slot != NULL);
    slot->op = op;
    slot->len_bytes = (uint8_t)bytes;
    slot->socket_idx = socket != NULL ? socket->idx : RS_NO_INDEX;
    slot->generation = socket != NULL ? socket->generation : 0;
    slot->arg = 0;
    slot->serial = ++honest->serial;
    memcpy(slot->payload, payload, bytes);
    (void)slot_producer_publish(&honest->producer);
    for (uint32_t i = 0; i < 4; i++) {
        world_poll(&one->world);
        world_round(&one->world);
    }
    world_poll(&one->world);
    MUST(atomic_load(&reply->serial) == honest->serial && reply->status == RS_OK);
    return reply;
}

static void honest_option(struct one_world *one, const struct honest_socket *socket,
                          uint32_t option, uint32_t value)
{
    const struct rs_op_option op = {.option = option, .value = value};
    (void)honest_request(one, RS_OP_OPTION, socket, &op, sizeof(op));
}

static void honest_open(struct one_world *one, uint32_t i)
{
    struct honest *honest = &one->honest;
    struct honest_socket *socket = &honest->sockets[i];
    const struct rs_op_open open = {.family = RS_FAMILY_IPV4, .type = RS_SOCK_DGRAM};
    const struct rs_reply *reply = honest_request(one, RS_OP_OPEN, NULL, &open, sizeof(open));
    struct rs_open_reply opened;
    memcpy(&opened, reply->payload, sizeof(opened));
    socket->idx = opened.socket_idx;
    socket->generation = opened.generation;
    honest_option(one, socket, RS_OPT_EXCLUSIVEADDR, 1);
    const struct rs_addr local = rs_addr_v4(0, rs_be16((uint16_t)(HONEST_PORT + i)));
    (void)honest_request(one, RS_OP_BIND, socket, &local, sizeof(local));
    const struct rs_socket_desc *desc = &honest->session->socket_descs[socket->idx];
    (void)honest_call(one, RS_CTL_MAPPED, desc->send.ref.extent_idx);
    struct rs_socket_client *client =
        (struct rs_socket_client *)(uintptr_t)&honest->session->socket_clients[socket->idx];
    dgram_send_writer_init(
        &socket->send, session_pointer(honest->session, desc->send.ref), desc->send.size_bytes,
        &honest->session->socket_states[socket->idx].send_head, desc->send.size_bytes, 0);
    dgram_reader_init(&socket->recv, session_pointer(honest->session, desc->recv[0].ref),
                      desc->recv[0].size_bytes, &client->recv_head[0], 0);
}

static void honest_make(struct one_world *one)
{
    struct honest *honest = &one->honest;
    MUST(os_connect(one->world.instance, 0, &honest->conn) == RS_OK);
    world_round(&one->world); /* accepts */
    uint64_t id = honest_call(one, RS_CTL_ATTACH, RS_LAYOUT_VERSION);
    honest->session = world_session(&one->world, id);
    MUST(honest->session != NULL);
    (void)honest_call(one, RS_CTL_MAPPED, 1);
    uint64_t channel_idx = honest_call(one, RS_CTL_CHANNEL_OPEN, 0);
    honest->channel = &honest->session->channels[channel_idx];
    slot_producer_init(&honest->producer, honest->channel->requests.slots,
                       honest->channel->requests.mask + 1, honest->channel->requests.state);
    for (uint32_t i = 0; i < HONEST_SOCKETS; i++) {
        honest_open(one, i);
    }
    /* Connected to each other: what attackers send to them is not delivered. */
    for (uint32_t i = 0; i < HONEST_SOCKETS; i++) {
        const struct rs_addr peer =
            rs_addr_v4(rs_be32(0x7f000001u), rs_be16((uint16_t)(HONEST_PORT + 1 - i)));
        (void)honest_request(one, RS_OP_CONNECT, &honest->sockets[i], &peer, sizeof(peer));
    }
}

static void honest_fill(uint8_t *payload, uint32_t bytes, uint64_t number)
{
    for (uint32_t i = 0; i < bytes; i++) {
        payload[i] = i < WORLD_STAMP_BYTES ? stamp[i] : (uint8_t)(number + i);
    }
}

/* A slot for the socket; the caller fills the rest and publishes it. */
static struct rs_request *honest_slot(struct honest *honest, const struct honest_socket *from,
                                      uint8_t op)
{
    struct rs_request *slot = slot_producer_reserve(&honest->producer);
    MUST(slot != NULL);
    slot->op = op;
    slot->socket_idx = from->idx;
    slot->generation = from->generation;
    return slot;
}

void world_honest_exchange(struct world *world, uint32_t bytes)
{
    struct one_world *one = one_of(world);
    struct honest *honest = &one->honest;
    struct honest_socket *from = &honest->sockets[honest->number % HONEST_SOCKETS];
    struct honest_socket *to = &honest->sockets[(honest->number + 1) % HONEST_SOCKETS];
    uint8_t payload[2048];
    uint64_t number = honest->number++;
    MUST(bytes <= 1400);
    honest_fill(payload, bytes, number);
    if (bytes <= RS_INLINE_BYTES) {
        struct rs_request *slot = honest_slot(honest, from, RS_OP_SEND_INLINE);
        slot->len_bytes = (uint8_t)bytes;
        slot->arg = 0;
        memcpy(slot->payload, payload, bytes);
    } else {
        struct rs_send_dgram *record;
        MUST(dgram_send_writer_reserve(&from->send, bytes, RS_SEND_SHORT_OFF, &record) == RS_OK);
        memcpy(record + 1, payload, bytes);
        uint32_t tail = dgram_send_writer_commit(&from->send, record);
        struct rs_request *slot = honest_slot(honest, from, RS_OP_POST);
        slot->arg = tail;
    }
    (void)slot_producer_publish(&honest->producer);
    world_poll(world);
    struct dgram_view view;
    MUST(dgram_reader_peek(&to->recv, &view) == RS_OK);
    MUST(view.header.len_bytes == bytes && memcmp(view.payload, payload, bytes) == 0);
    dgram_reader_consume(&to->recv, &view);
    MUST(!dgram_reader_ready(&to->recv)); /* nothing that was not addressed to it */
}

/* ---- checks
 * ------------------------------------------------------------------------------------------ */

static void check_part(const struct queue *queue, const struct session_part *part)
{
    const struct queue_config *config = queue->config;
    MUST(part->open_sockets <= WORLD_SOCKETS && part->channel_count <= WORLD_CHANNELS);
    MUST(part->slots_left <= (int32_t)config->slots_per_poll);
    MUST(part->bytes_left <= (int64_t)config->bytes_per_poll);
    /* The last one may be a group with its first source. */
    MUST(part->membership_count <= WORLD_MEMBERSHIPS + 1);
    MUST(part->channel_count == 0 || session_is_sealed(part->session, 1));
    MUST(part->pending_control <= SESSION_PENDING_MAX + WORLD_CHANNELS);
    for (uint32_t i = 0; i < part->channel_count; i++) {
        const struct dp_channel *channel = part->channels[i];
        MUST(channel->polled && channel->pending_control <= part->pending_control);
        MUST(channel->requests.published == atomic_load(&channel->requests.state->request_head));
        MUST(rs_seq_distance(channel->hints.head_cached, channel->hints.tail) <=
             channel->hints.mask + 1);
    }
    for (uint32_t i = 0; i < WORLD_SOCKETS; i++) {
        const struct dp_socket *socket = part->sockets[i];
        if (socket != NULL && socket->recv.size_bytes != 0) {
            MUST(rs_seq_distance(socket->recv.head_cached, socket->recv.tail) <=
                 socket->recv.size_bytes);
        }
        if (socket != NULL && socket->send.size_bytes != 0) {
            MUST(rs_seq_distance(socket->send.head, socket->send.tail) <= socket->send.size_bytes);
            MUST(socket->send.tail == 0 ||
                 session_is_sealed(part->session, socket->send_ring.ref.extent_idx));
        }
    }
}

void world_check(const struct world *world)
{
    const struct one_world *one = one_of(world);
    MUST(atomic_load(&one->honest.session->header->poisoned) == 0);
    for (uint32_t i = 0; i < world->queue_count; i++) {
        const struct queue *queue = world->control->queues[i];
        struct counters_sums sums;
        MUST(counters_balance(stack_counters(queue->stack), &sums));
        /* the honest one, the attackers' and, once somebody has shared, the house */
        MUST(queue->session_count <= (world->control->house != NULL ? 4u : 3u) &&
             queue->ending_count <= 3);
        for (uint32_t s = 0; s < queue->session_count; s++) {
            check_part(queue, queue_part(queue, queue->sessions[s]));
        }
    }
}

void world_check_stamp(const struct dp_session *session)
{
    MUST(memmem(session->extents[0].base, (size_t)session->extents[0].size_bytes, stamp,
                sizeof(stamp)) == NULL);
    for (uint32_t i = 0; i < WORLD_SOCKETS; i++) {
        const struct session_socket *record = session->records[i];
        for (uint32_t q = 0; record != NULL && q < session->queue_count; q++) {
            const struct rs_ring_ref *ring = &record->recv_rings[q];
            MUST(ring->size_bytes == 0 || memmem(session_pointer(session, ring->ref),
                                                 ring->size_bytes, stamp, sizeof(stamp)) == NULL);
        }
    }
}

/* A scan that finds nothing must be able to find something. */
static void check_scan(const struct honest *honest)
{
    const struct rs_socket_desc *desc = &honest->session->socket_descs[honest->sockets[0].idx];
    MUST(memmem(session_pointer(honest->session, desc->recv[0].ref), desc->recv[0].size_bytes,
                stamp, sizeof(stamp)) != NULL);
}

/* The house stays once it was made, without a socket and a ring. */
static bool world_is_empty(const struct world *world)
{
    const struct control *control = world->control;
    const struct dp_session *house = control->house;
    const uint32_t kept = house != NULL ? 2 : 1;
    bool empty = control->session_count == 1 && control->peer_count == 0;
    for (uint32_t i = 0; i < world->queue_count; i++) {
        const struct queue *queue = control->queues[i];
        empty &=
            queue->session_count == kept && queue->ending_count == 0 && queue->removing_count == 0;
    }
    return empty && (house == NULL || (house->rings_out == 0 &&
                                       house->free_socket_count == house->config->limit_sockets));
}

void world_check_empty(struct world *world)
{
    uint32_t rounds = 0;
    while (!world_is_empty(world)) {
        MUST(++rounds < END_ROUNDS); /* waited for attackers' sessions to end */
        control_share_expire(world->control, UINT64_MAX); /* what was granted and not opened */
        world_poll(world);
        world_round(world);
    }
    for (uint32_t i = 0; i < world->queue_count; i++) {
        const struct stack *stack = world->control->queues[i]->stack;
        MUST(stack->udp.connected_count == HONEST_SOCKETS && stack->udp.specific_count == 0);
        uint32_t free_memberships = 0;
        const struct udp_membership *membership = stack->members.free_memberships;
        for (; membership != NULL; membership = membership->chain_next) {
            free_memberships++;
        }
        MUST(free_memberships == 64);
    }
    MUST(ports_count(world->control->tcp_ports) == 0);
    for (uint32_t i = 0; i < world->queue_count; i++) {
        const struct queue *queue = world->control->queues[i];
        MUST(queue->listeners == NULL && queue->local_ready == NULL);
        MUST(queue->local_orphans == NULL && queue->streams_gone == NULL);
    }
    for (uint32_t i = 0; i < PORT_COUNT; i++) {
        struct ports_entry entry = {0};
        uint16_t port_be16 = rs_be16((uint16_t)(PORT_FIRST + i));
        MUST(ports_bind(world->control->ports, &entry, 0, &port_be16, PORTS_EXCLUSIVE, 0) == RS_OK);
        ports_release(world->control->ports, &entry);
    }
}

struct world *world_get(uint32_t queue_count)
{
    static const char *const names[WORLDS_MAX] = {"fuzz-1", "fuzz-2"};
    struct one_world *one = &worlds[queue_count - 1];
    if (one->made) {
        return &one->world;
    }
    struct nic *nics[RS_QUEUES_MAX];
    world_make_folder();
    one->world.queue_count = queue_count;
    one->world.instance = names[queue_count - 1];
    for (uint32_t i = 0; i < queue_count; i++) {
        world_load_config(one, i);
        MUST(nic_loopback_create(&nics[i]) == RS_OK);
    }
    MUST(dataplane_create(one->configs, nics, queue_count, &one->dataplane) == RS_OK);
    one->world.control = dataplane_control(one->dataplane);
    one->made = true;
    honest_make(one);
    world_honest_exchange(&one->world, 700);
    world_honest_exchange(&one->world, 700);
    check_scan(&one->honest);
    return &one->world;
}
