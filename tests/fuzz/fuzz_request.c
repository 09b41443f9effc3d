/*
 * Fuzz target: the request path under a hostile program. The input is a script: stores anywhere in
 * memory that a client writes, request slots with any content, send rings with any records, control
 * messages of any type and length, holes, sudden ends, new attaches; between them iterations of the
 * queues and rounds of the control thread, on one queue or two. Beside it an honest program goes on
 * sending: each datagram arrives whole one iteration later, and no byte of it is ever in memory
 * that the attacker can read. After each step the books balance; at the end nothing is left.
 */
#include <string.h>
#include <sys/mman.h>

#include "dataplane/stream.h"
#include "rings/byteorder.h"
#include "tests/fuzz/request_world.h"

#define ATTACKERS   2u
#define SILENT_MAX  3u
#define STEPS_MAX   400u
#define AREA_BYTES  (256u * 1024) /* of an extent that stores go to: where rings begin */
#define PORTS_FIRST 7000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Any, loopback, groups, broadcast, elsewhere, reserved. */
static const uint32_t addresses[8] = {0x00000000u, 0x0100007fu, 0x010101efu, 0x020101efu,
                                      0xffffffffu, 0x0500007fu, 0x0200000au, 0x010000f0u};

struct input {
    const uint8_t *data;
    size_t left;
};

struct attacker {
    struct os_conn conn;
    bool connected;
    uint64_t session_id;
    uint32_t tails[WORLD_CHANNELS]; /* the next slot of each request ring */
};

struct attack {
    struct world *world;
    struct attacker attackers[ATTACKERS];
    struct attacker *now;
    struct os_conn silent[SILENT_MAX];
    uint32_t silent_count;
    uint32_t serial;
};

/* ---- input
 * ------------------------------------------------------------------------------------------- */

static uint8_t take(struct input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

static uint32_t take32(struct input *in)
{
    uint32_t value = take(in);
    value |= (uint32_t)take(in) << 8;
    value |= (uint32_t)take(in) << 16;
    return value | (uint32_t)take(in) << 24;
}

/* Words worth storing: near the place where the real index stands, near the edges, anything. */
static uint32_t take_word(struct input *in, uint32_t near)
{
    uint8_t kind = take(in);
    uint32_t amount = (uint32_t)kind >> 4;
    switch (kind & 7) {
    case 0:
        return near + amount * RS_LINE_BYTES;
    case 1:
        return near - amount * RS_LINE_BYTES;
    case 2:
        return near + amount;
    case 3:
        return amount;
    case 4:
        return UINT32_MAX - amount;
    case 5:
        return 1u << (2 * amount + (kind >> 3 & 1));
    case 6:
        return near + take32(in) % 16384 * RS_LINE_BYTES;
    default:
        return take32(in);
    }
}

/* ---- the attacker's session
 * -------------------------------------------------------------------------- */

static struct dp_session *session_of(const struct attack *attack)
{
    return attack->now->connected ? world_session(attack->world, attack->now->session_id) : NULL;
}

/* A socket of the session that exists, by any byte; NULL: it has none. */
static struct session_socket *socket_of(const struct dp_session *session, uint8_t which)
{
    for (uint32_t i = 0; i < WORLD_SOCKETS; i++) {
        struct session_socket *record = session->records[(which + i) % WORLD_SOCKETS];
        if (record != NULL) {
            return record;
        }
    }
    return NULL;
}

static const struct os_shm *extent_of(const struct dp_session *session, uint8_t which)
{
    for (uint32_t i = 0; i < session->extent_count; i++) {
        uint32_t idx = (which + i) % session->extent_count;
        if (session->extent_kinds[idx] == RS_EXTENT_CL) {
            return &session->extents[idx];
        }
    }
    return &session->extents[1];
}

/* Takes what the control thread sent; handles are closed. */
static void answers_read(struct attack *attack)
{
    struct attacker *now = attack->now;
    struct rs_ctl_answer answer;
    for (;;) {
        size_t bytes = sizeof(answer);
        intptr_t handles[OS_CONN_HANDLES];
        uint32_t handle_count;
        if (!now->connected ||
            os_conn_recv(&now->conn, &answer, &bytes, handles, &handle_count, 0) != RS_OK) {
            return;
        }
        MUST(bytes == sizeof(answer) && answer.magic == RS_MAGIC);
        MUST(answer.status < RS_STATUS_COUNT);
        for (uint32_t i = 0; i < handle_count; i++) {
            os_handle_close(handles[i]);
        }
        if (answer.type == RS_CTL_ATTACH && answer.status == RS_OK) {
            now->session_id = answer.value;
            memset(now->tails, 0, sizeof(now->tails));
        }
    }
}

static void control_send(struct attack *attack, uint32_t type, uint32_t arg, size_t bytes)
{
    struct rs_ctl_request request[2] = {{.magic = RS_MAGIC, .type = type, .arg = arg}};
    if (attack->now->connected) {
        enum rs_status status = os_conn_send(&attack->now->conn, request, bytes, NULL, 0);
        MUST(status < RS_STATUS_COUNT);
    }
}

/* As a client does that has mapped what it was given. */
static void mapped_send(struct attack *attack)
{
    const struct dp_session *session = session_of(attack);
    for (uint32_t i = 0; session != NULL && i < session->extent_count; i++) {
        if (session->extent_kinds[i] == RS_EXTENT_CL && !session_is_sealed(session, i)) {
            control_send(attack, RS_CTL_MAPPED, i, sizeof(struct rs_ctl_request));
            world_round(attack->world);
            answers_read(attack);
            session = session_of(attack);
        }
    }
}

static void attacker_end(struct attack *attack)
{
    answers_read(attack);
    if (attack->now->connected) {
        os_conn_close(&attack->now->conn);
        attack->now->connected = false;
    }
}

static void attacker_begin(struct attack *attack, uint32_t arg)
{
    attacker_end(attack);
    if (os_connect(attack->world->instance, 0, &attack->now->conn) != RS_OK) {
        return;
    }
    attack->now->connected = true;
    attack->now->session_id = 0;
    world_round(attack->world);
    control_send(attack, RS_CTL_ATTACH, arg, sizeof(struct rs_ctl_request));
    world_round(attack->world);
    answers_read(attack);
}

/* ---- slots
 * ------------------------------------------------------------------------------------------- */

static struct rs_request *slot_at(const struct dp_channel *channel, uint32_t position)
{
    return &channel->requests.slots[position & channel->requests.mask];
}

static void slot_publish(struct attack *attack, struct dp_session *session, uint32_t channel_idx,
                         const struct rs_request *request)
{
    struct dp_channel *channel = &session->channels[channel_idx];
    uint32_t *tail = &attack->now->tails[channel_idx];
    if (rs_seq_distance(channel->requests.head, *tail) > channel->requests.mask) {
        *tail = channel->requests.head; /* full, or a new life of the channel */
    }
    struct rs_request *slot = slot_at(channel, *tail);
    uint32_t seq = rs_slot_seq(*tail);
    memcpy((uint8_t *)slot + sizeof(slot->seq), (const uint8_t *)request + sizeof(request->seq),
           sizeof(*request) - sizeof(request->seq));
    atomic_store(&slot->seq, seq);
    (*tail)++;
}

/* Shared sockets: the token is the one that a reply cell has, if it has one. */
static void fill_share(const struct dp_session *session, struct input *in,
                       struct rs_request *request)
{
    const struct rs_op_share share = {.process_id = session->process.pid,
                                      .flags = take(in) & 1,
                                      .shut = take(in) & 3,
                                      .urgent_taken = take(in) & 1};
    struct rs_op_share_data data = {.flags = take(in) & 3};
    struct rs_op_share_set set = {.value = take(in)};
    const struct dp_channel *channel = &session->channels[take(in) & (WORLD_CHANNELS - 1)];
    switch (request->op) {
    case RS_OP_SHARE:
        memcpy(request->payload, &share, sizeof(share));
        break;
    case RS_OP_SHARE_OPEN:
        memcpy(request->payload, channel->replies[take(in) & (RS_REPLY_CELLS - 1)].payload,
               sizeof(struct rs_share_token));
        break;
    case RS_OP_SHARE_SEND:
    case RS_OP_SHARE_RECV:
        data.len_bytes = take_word(in, 100) & 4095;
        memcpy(request->payload, &data, sizeof(data));
        break;
    default:
        set.name = take(in) % (RS_SHARE_VALUES + 1);
        memcpy(request->payload, &set, sizeof(set));
    }
}

static void fill_payload(struct input *in, struct rs_request *request)
{
    struct rs_addr addr =
        rs_addr_v4(addresses[take(in) & 7], rs_be16((uint16_t)(PORTS_FIRST + (take(in) & 3))));
    /* A bit that means little else, so that old inputs still mean what they did. */
    bool stream = (request->len_bytes & 1) != 0;
    struct rs_op_open open = {.family = RS_FAMILY_IPV4,
                              .type = stream ? RS_SOCK_STREAM : RS_SOCK_DGRAM};
    struct rs_op_listen listen;
    struct rs_op_option option;
    struct rs_op_member member;
    struct rs_op_tx_stamp stamp;
    switch (request->op) {
    case RS_OP_OPEN:
        open.recv_ring_bytes = take_word(in, 0);
        open.send_ring_bytes = take_word(in, 0);
        memcpy(request->payload, &open, sizeof(open));
        break;
    case RS_OP_BIND:
    case RS_OP_CONNECT:
        memcpy(request->payload, &addr, sizeof(addr));
        break;
    case RS_OP_OPTION:
        option = (struct rs_op_option){.option = take(in) % (RS_OPT_COUNT + 1),
                                       .value = take_word(in, 0)};
        memcpy(request->payload, &option, sizeof(option));
        break;
    case RS_OP_LISTEN:
        listen = (struct rs_op_listen){.backlog = take(in) & 7};
        memcpy(request->payload, &listen, sizeof(listen));
        break;
    case RS_OP_SHUTDOWN:
        request->payload[0] = take(in) & 7;
        break;
    case RS_OP_CLOSE:
        request->payload[0] = stream; /* abort */
        break;
    case RS_OP_TX_STAMP:
        stamp = (struct rs_op_tx_stamp){.stamp_id = take(in) & 7};
        memcpy(request->payload, &stamp, sizeof(stamp));
        break;
    case RS_OP_MEMBER:
        member = (struct rs_op_member){.action = take(in) & 7,
                                       .group_be32 = addresses[2 + (take(in) & 1)],
                                       .source_be32 = 0x0a + ((uint32_t)take(in) << 24)};
        memcpy(request->payload, &member, sizeof(member));
        break;
    default:
        request->arg = request->op == RS_OP_SEND_INLINE ? addr.ip.v4_be32 : request->arg;
        request->port_be16 = addr.port_be16;
    }
}

/* A request: plausible, but for what the input's bits make wrong. */
static void step_slot(struct attack *attack, struct input *in)
{
    struct dp_session *session = session_of(attack);
    uint8_t what = take(in);
    uint8_t wrong = take(in);
    uint8_t which = take(in);
    if (session == NULL) {
        return;
    }
    struct rs_request request = {.op = what & 15,
                                 .len_bytes = wrong >> 2,
                                 .socket_idx = RS_NO_INDEX,
                                 .arg = which & 15,
                                 .serial = ++attack->serial};
    if (request.op == RS_OP_NOP && (wrong & 4) != 0) { /* what four bits have no room for */
        request.op = RS_OP_TX_STAMP;
    } else if (request.op == RS_OP_NOP && (wrong & 8) != 0) {
        request.op = (uint8_t)(RS_OP_SHARE + (wrong >> 4) % 7);
    }
    const struct session_socket *record = socket_of(session, which);
    if (record != NULL) {
        const struct dp_socket *home = record->parts[record->home_queue_idx];
        request.socket_idx = record->idx;
        request.generation = record->generation;
        if (request.op == RS_OP_POST || request.op == RS_OP_URGENT) {
            request.arg = take_word(in, home->stream != NULL ? home->stream->local.send.tail_cached
                                                             : home->send.tail);
        }
    }
    if (request.op >= RS_OP_SHARE) {
        fill_share(session, in, &request);
    } else {
        fill_payload(in, &request);
    }
    if ((wrong & 3) == 3) { /* anything, in one field or all */
        uint32_t word = take(in) & 15;
        /* sockets, reply cells and channels all end near there */
        uint32_t value = take_word(in, WORLD_SOCKETS);
        memcpy((uint8_t *)&request + (size_t)word * sizeof(value), &value, sizeof(value));
    }
    slot_publish(attack, session, what >> 4 & (WORLD_CHANNELS - 1), &request);
}

static void step_rounds(struct attack *attack)
{
    for (uint32_t i = 0; i < 3; i++) {
        world_poll(attack->world);
        world_round(attack->world);
    }
    world_poll(attack->world);
}

/* A stream socket that connects to this port, and its first bytes. */
static void step_connect(struct attack *attack, uint32_t channel_idx, uint16_t port_be16)
{
    struct dp_session *session = session_of(attack);
    if (session == NULL || session->free_socket_count == 0) {
        return;
    }
    struct rs_request request = {
        .op = RS_OP_OPEN, .socket_idx = RS_NO_INDEX, .arg = 1, .serial = ++attack->serial};
    request.payload[0] = RS_FAMILY_IPV4;
    request.payload[1] = RS_SOCK_STREAM;
    uint32_t idx = session->free_sockets[session->free_socket_count - 1];
    slot_publish(attack, session, channel_idx, &request);
    step_rounds(attack);
    session = session_of(attack);
    if (session == NULL || session->records[idx] == NULL) {
        return;
    }
    const struct rs_addr peer = rs_addr_v4(rs_be32(0x7f000001u), port_be16);
    request.op = RS_OP_CONNECT;
    request.socket_idx = idx;
    request.generation = session->records[idx]->generation;
    request.serial = ++attack->serial;
    memcpy(request.payload, &peer, sizeof(peer));
    slot_publish(attack, session, channel_idx, &request);
    step_rounds(attack);
    mapped_send(attack);
    session = session_of(attack);
    if (session != NULL) {
        request.op = RS_OP_POST;
        request.arg = 100;
        slot_publish(attack, session, channel_idx, &request);
    }
}

/* The usual life of a socket, so that inputs get far quickly. */
static void step_socket(struct attack *attack, struct input *in)
{
    struct dp_session *session = session_of(attack);
    uint8_t which = take(in);
    if (session == NULL) {
        return;
    }
    struct rs_request request = {
        .op = RS_OP_OPEN, .socket_idx = RS_NO_INDEX, .arg = 1, .serial = ++attack->serial};
    request.payload[0] = RS_FAMILY_IPV4;
    request.payload[1] = (which & 4) != 0 ? RS_SOCK_STREAM : RS_SOCK_DGRAM;
    uint32_t free_before = session->free_socket_count;
    uint32_t idx = free_before > 0 ? session->free_sockets[free_before - 1] : 0;
    slot_publish(attack, session, which & 1, &request);
    world_poll(attack->world);
    world_round(attack->world);
    world_poll(attack->world);
    session = session_of(attack);
    if (session == NULL || session->records[idx] == NULL) {
        return;
    }
    const struct rs_addr local =
        rs_addr_v4(addresses[which >> 4 & 1], rs_be16((uint16_t)(PORTS_FIRST + (which >> 5))));
    request.op = RS_OP_BIND;
    request.socket_idx = idx;
    request.generation = session->records[idx]->generation;
    request.serial = ++attack->serial;
    memcpy(request.payload, &local, sizeof(local));
    slot_publish(attack, session, which & 1, &request);
    if ((which & 6) == 6) {
        request.op = RS_OP_LISTEN;
        request.serial = ++attack->serial;
        memset(request.payload, 0, sizeof(request.payload));
        request.payload[0] = 4;
        slot_publish(attack, session, which & 1, &request);
    }
    for (uint32_t i = 0; i < 3; i++) {
        world_poll(attack->world);
        world_round(attack->world);
    }
    if ((which & 8) == 0) {
        mapped_send(attack);
    }
    if ((which & 6) == 6) {
        step_connect(attack, which & 1, local.port_be16);
    }
}

/* Records in a send ring, and a POST for them. */
static void step_ring(struct attack *attack, struct input *in)
{
    struct dp_session *session = session_of(attack);
    uint8_t which = take(in);
    uint8_t count = take(in);
    const struct session_socket *record = session != NULL ? socket_of(session, which) : NULL;
    if (record == NULL || record->send_ring.size_bytes == 0) {
        return;
    }
    const struct dp_socket *home = record->parts[record->home_queue_idx];
    uint8_t *base = session_pointer(session, record->send_ring.ref);
    uint32_t position = home->send.tail;
    for (uint32_t i = 0; i < (count & 31u); i++) {
        uint8_t bits = take(in);
        struct rs_send_dgram header = {
            .len_bytes = (uint16_t)((bits & 7) * (bits & 0x80 ? 500 : 11)),
            .flags = (bits & 0x78) == 0x78 ? RS_DGRAM_PAD : 0,
            .family = (bits & 8) != 0 ? RS_FAMILY_NONE : RS_FAMILY_IPV4,
            .port_be16 = rs_be16((uint16_t)(PORTS_FIRST + (bits >> 4 & 3))),
            .dst_be32 = addresses[1 + (bits >> 4 & 3)]};
        struct rs_send_ext ext = {0};
        if ((count & 0x20) != 0 && header.flags == 0) {
            uint8_t more = take(in);
            header.flags = RS_DGRAM_EXT;
            ext = (struct rs_send_ext){.src_be32 = (more & 0x10) != 0 ? addresses[more >> 5] : 0,
                                       .stamp_id = more & 3,
                                       .has = more >> 2 & 3,
                                       .ttl = more,
                                       .tos = more,
                                       .tos_mask = bits,
                                       .interface_idx = bits & 3};
            ext.has = more == 0xff ? 0xff : ext.has;
        }
        uint32_t off = position & (record->send_ring.size_bytes - 1);
        uint32_t span = rs_send_dgram_span(&header);
        if (span > record->send_ring.size_bytes - off) {
            header = (struct rs_send_dgram){.flags = RS_DGRAM_PAD};
            span = record->send_ring.size_bytes - off;
        }
        if (rs_seq_distance(home->send.head, position + span) > record->send_ring.size_bytes &&
            (count & 0x40) == 0) {
            continue; /* full */
        }
        memcpy(base + off, &header, sizeof(header));
        if ((header.flags & RS_DGRAM_EXT) != 0) {
            memcpy(base + off + sizeof(header), &ext, sizeof(ext));
        }
        position += span;
    }
    struct rs_request request = {.op = RS_OP_POST,
                                 .socket_idx = record->idx,
                                 .generation = record->generation,
                                 .arg = position};
    if ((count & 0x80) != 0) {
        request.arg = take_word(in, position);
    }
    slot_publish(attack, session, which >> 6, &request);
}

/* ---- stores and holes
 * -------------------------------------------------------------------------------- */

static void step_store(struct attack *attack, struct input *in)
{
    struct dp_session *session = session_of(attack);
    uint8_t where = take(in);
    uint8_t which = take(in);
    uint32_t off = take(in);
    if (session == NULL) {
        return;
    }
    struct session_socket *record = socket_of(session, which);
    const struct dp_socket *home = record != NULL ? record->parts[record->home_queue_idx] : NULL;
    uint32_t socket_idx = record != NULL ? record->idx : which % WORLD_SOCKETS;
    uint8_t *socket_line = (uint8_t *)(uintptr_t)&session->socket_clients[socket_idx];
    uint8_t *at;
    uint32_t near = 0;
    switch (where & 7) {
    case 0: /* recv_head and what follows */
        at = socket_line + (off & 31) * 4;
        near = home != NULL ? home->recv.tail : 0;
        break;
    case 1: /* send_level, of the newest POST */
        at = socket_line + offsetof(struct rs_socket_client, send_level);
        near = home != NULL ? home->post_position : 0;
        memcpy(at + 4, &near, sizeof(near));
        near = home != NULL ? home->send.tail : 0;
        break;
    case 2: /* armed on all channels */
        at = socket_line + offsetof(struct rs_socket_client, arm_seq);
        memset(at + 4, 0xff, 12);
        near = home != NULL ? home->arm_seen + 1 : 1;
        break;
    case 3:
        at = (uint8_t *)(uintptr_t)&session->channel_clients[which & 3] + (off & 3) * 4;
        near = session->channels[which & 3].hints.tail;
        break;
    case 4:
        at = (uint8_t *)slot_at(&session->channels[which & 3], which >> 2) + (off & 15) * 4;
        near = rs_slot_seq(session->channels[which & 3].requests.head);
        break;
    default: {
        const struct os_shm *extent = extent_of(session, which);
        uint32_t limit =
            extent->size_bytes < AREA_BYTES ? (uint32_t)extent->size_bytes : AREA_BYTES;
        at = (uint8_t *)extent->base + (off << 8 | take(in)) * 4u % limit;
        break;
    }
    }
    uint32_t value = take_word(in, near);
    memcpy(at, &value, sizeof(value));
}

static void step_hole(struct attack *attack, struct input *in)
{
    struct dp_session *session = session_of(attack);
    uint8_t which = take(in);
    size_t page = take(in);
    if (session != NULL) {
        const struct os_shm *extent = extent_of(session, which);
        size_t off = page * RS_PAGE_BYTES % (size_t)extent->size_bytes;
        (void)madvise((uint8_t *)extent->base + off, RS_PAGE_BYTES, MADV_REMOVE);
    }
}

/* ---- control messages
 * -------------------------------------------------------------------------------- */

static void step_control(struct attack *attack, struct input *in)
{
    uint8_t type = take(in);
    uint32_t arg = take_word(in, 0);
    size_t bytes = sizeof(struct rs_ctl_request);
    if ((type & 0xf0) == 0xf0) {
        bytes = 1 + take(in) % (2 * sizeof(struct rs_ctl_request));
    }
    if ((type & 8) != 0) {
        arg &= 7;
    }
    control_send(attack, type & 7, arg, bytes);
    world_round(attack->world);
    if ((type & 0x80) == 0) {
        answers_read(attack);
    }
}

static void step_connection(struct attack *attack, struct input *in)
{
    uint8_t what = take(in);
    attack->now = &attack->attackers[what & 1];
    switch (what >> 1 & 7) {
    case 0:
        attacker_end(attack);
        break;
    case 1:
        if (attack->silent_count < SILENT_MAX &&
            os_connect(attack->world->instance, 0, &attack->silent[attack->silent_count]) ==
                RS_OK) {
            attack->silent_count++;
        }
        break;
    case 2:
        attacker_begin(attack, RS_LAYOUT_VERSION | RS_CTL_ATTACH_NEVER_SLEEPS);
        break;
    case 3:
        attacker_begin(attack, take_word(in, RS_LAYOUT_VERSION));
        break;
    default:
        if (session_of(attack) == NULL) {
            attacker_begin(attack, RS_LAYOUT_VERSION);
            mapped_send(attack);
        }
        control_send(attack, RS_CTL_CHANNEL_OPEN, what >> 4 & 1, sizeof(struct rs_ctl_request));
        world_round(attack->world);
        answers_read(attack);
        break;
    }
}

/* ---- the whole
 * --------------------------------------------------------------------------------------- */

static void step(struct attack *attack, struct input *in)
{
    uint8_t op = take(in);
    switch (op & 15) {
    case 0:
    case 1:
    case 2:
        step_slot(attack, in);
        break;
    case 3:
    case 4:
        step_store(attack, in);
        break;
    case 5:
        step_socket(attack, in);
        break;
    case 6:
        step_ring(attack, in);
        break;
    case 7:
        step_control(attack, in);
        break;
    case 8:
        step_connection(attack, in);
        break;
    case 9:
        step_hole(attack, in);
        break;
    case 10:
        world_honest_exchange(attack->world, WORLD_STAMP_BYTES + (uint32_t)(op >> 4) * 24);
        break;
    case 11:
        world_round(attack->world);
        break;
    default:
        for (uint32_t i = 0; i <= (uint32_t)op >> 4; i++) {
            world_poll(attack->world);
        }
        if ((op & 1) != 0) {
            world_round(attack->world);
        }
    }
}

static void attack_begin(struct attack *attack)
{
    for (uint32_t i = 0; i < 2; i++) { /* most inputs want a session with two channels */
        attack->now = &attack->attackers[0];
        if (i == 0) {
            attacker_begin(attack, RS_LAYOUT_VERSION);
        }
        mapped_send(attack);
        control_send(attack, RS_CTL_CHANNEL_OPEN, i % attack->world->queue_count,
                     sizeof(struct rs_ctl_request));
        world_round(attack->world);
        answers_read(attack);
    }
    world_poll(attack->world);
}

static void attack_end(struct attack *attack)
{
    for (uint32_t i = 0; i < ATTACKERS; i++) {
        attack->now = &attack->attackers[i];
        const struct dp_session *session = session_of(attack);
        if (session != NULL) {
            world_check_stamp(session);
        }
        attacker_end(attack);
    }
    for (uint32_t i = 0; i < attack->silent_count; i++) {
        os_conn_close(&attack->silent[i]);
    }
    world_check_empty(attack->world);
    world_check(attack->world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct input in = {data, bytes};
    struct attack attack = {.world = world_get(1 + (take(&in) & 1))};
    attack_begin(&attack);
    for (uint32_t steps = 0; in.left > 0 && steps < STEPS_MAX; steps++) {
        step(&attack, &in);
        world_check(attack.world);
        if (steps % 8 == 7) {
            world_honest_exchange(attack.world, WORLD_STAMP_BYTES + steps % 32);
        }
    }
    attack_end(&attack);
    return 0;
}
