/*
 * Shared connections to another host, slot by slot: what is under way on the wire when the socket
 * moves, programs that die or break the rules while others have the socket. What is granted is
 * test_stream_share_grant.c's, what programs see of it test_client_share.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/stream_share_kit.h"

static struct rig_socket owner, twin; /* one connection, to peer */
static struct rig_peer *peer;

static int start(void **state)
{
    (void)state;
    share_kit_start();
    peer = share_kit_connect(&owner);
    return 0;
}

/* So that each move takes many iterations. */
static int start_sliced(void **state)
{
    (void)start(state);
    rig_queue(0)->move_bytes = 64;
    return 0;
}

static void share(void)
{
    struct rs_share_token token;
    assert_int_equal(rig_share(&owner, &token), RS_OK);
    assert_int_equal(rig_share_open(&programs[1], &token, &twin), RS_OK);
}

static void fill(uint8_t *data, uint32_t from, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)((from + i) * 7 + ((from + i) >> 8));
    }
}

static void check(const uint8_t *data, uint32_t from, uint32_t bytes)
{
    uint8_t expected[RIG_RING];
    fill(expected, from, bytes);
    assert_memory_equal(data, expected, bytes);
}

struct taking {
    uint32_t bytes, wanted;
    struct rig_socket *socket; /* NULL: the other host */
    uint8_t data[4 * RIG_RING];
};

static bool take(void *context)
{
    struct taking *taking = context;
    uint8_t *to = taking->data + taking->bytes;
    uint32_t left = taking->wanted - taking->bytes;
    left = left < 1000 ? left : 1000;
    taking->bytes += taking->socket != NULL ? rig_share_recv(taking->socket, to, left)
                                            : rig_peer_read(peer, to, left);
    return taking->bytes == taking->wanted;
}

static void expect(struct rig_socket *socket, uint32_t from, uint32_t bytes)
{
    static struct taking taking;
    taking = (struct taking){.wanted = bytes, .socket = socket};
    rig_until(take, &taking, "bytes");
    for (uint32_t at = 0; at < bytes; at += RIG_RING) {
        uint32_t part = bytes - at < RIG_RING ? bytes - at : RIG_RING;
        check(taking.data + at, from + at, part);
    }
}

/* ---- the move ---- */

/* Unacknowledged bytes are sent again from the other ring. */
static void test_lost_before(void **state)
{
    uint8_t data[3500];
    (void)state;
    fill(data, 0, sizeof(data));
    rig_wire_down(true);
    assert_int_equal(rig_write(&owner, data, 3000), 3000);
    rig_turns(20);
    share();
    assert_int_equal(rig_share_send(&twin, data + 3000, 300), 300);
    assert_int_equal(rig_share_send(&owner, data + 3300, 200), 200);
    rig_turns(20);
    rig_wire_down(false);
    expect(NULL, 0, 3500);
}

/* Positions do not begin at 0, bytes lie around the rings' ends. */
static void test_unread_before(void **state)
{
    uint8_t data[RIG_RING];
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        fill(data, i * 1500, 1500);
        assert_int_equal(rig_peer_write(peer, data, 1500), 1500);
        assert_int_equal(rig_write(&owner, data, 1500), 1500);
        static struct taking taking;
        taking = (struct taking){.wanted = 1500};
        rig_until(take, &taking, "bytes at the other host");
        for (uint32_t got = 0; got < (i < 2 ? 1500 : 400);) {
            got += rig_read(&owner, data, (i < 2 ? 1500 : 400) - got);
            rig_turn();
        }
    }
    rig_turns(20);
    share();
    expect(&twin, 3400, 600);
    expect(&owner, 4000, 500);
    fill(data, 4500, 2000);
    assert_int_equal(rig_peer_write(peer, data, 2000), 2000);
    expect(&owner, 4500, 1000);
    expect(&twin, 5500, 1000);
}

/* While the rings are copied, a little in each iteration; and what is sent before is sent again
 * from wherever it lies then. */
static void test_arrives_meanwhile(void **state)
{
    uint8_t data[4000];
    (void)state;
    rig_queue(0)->move_bytes = 64;
    fill(data, 0, sizeof(data));
    assert_int_equal(rig_peer_write(peer, data, 1500), 1500);
    rig_turns(20);
    assert_int_equal(rig_write(&owner, data, 2000), 2000);
    assert_int_equal(rig_peer_write(peer, data + 1500, 1500), 1500);
    share();
    assert_true(rig_queue(0)->move.steps >= 1500 / 64);
    assert_int_equal(rig_share_send(&twin, data + 2000, 500), 500);
    expect(NULL, 0, 2500);
    assert_int_equal(rig_peer_write(peer, data + 3000, 1000), 1000);
    expect(&twin, 0, 2000);
    expect(&owner, 2000, 2000);
}

/* Takes what waits for the dataplane; false: nothing does. */
static bool loses(void *context)
{
    struct nic *nic = rig_queue(0)->nic;
    struct pkt pkts[NIC_BURST_PKTS];
    (void)context;
    uint32_t lost = nic->ops->rx_burst(nic, pkts, NIC_BURST_PKTS);
    nic->ops->rx_release(nic, pkts, lost);
    return lost != 0;
}

/* The other host's turn, but its clock stands still. */
static void peer_sends(void)
{
    stack_timers(rig_peer_stack());
    stack_flush(rig_peer_stack());
}

/* What came ahead of a gap is acknowledged by SACK: it must not be lost. The other host's timers do
 * not run before that is seen: it might send the first bytes again. */
static void test_ahead_of_a_gap(void **state)
{
    uint8_t data[2896];
    (void)state;
    fill(data, 0, sizeof(data));
    rig_turns(10); /* nothing is under way */
    assert_int_equal(rig_peer_write(peer, data, 1448), 1448);
    peer_sends();
    assert_true(loses(NULL));
    assert_int_equal(rig_peer_write(peer, data + 1448, 1448), 1448);
    peer_sends();
    (void)queue_poll(rig_queue(0));
    const struct dp_socket *socket = programs[0].session->parts[0].sockets[owner.idx];
    assert_int_equal(tcp_recv_ahead_bytes(rig_queue(0)->stack, socket->stream->conn), 2896);
    /* It hears of the gap; how soon it calls that a loss depends on the round trip it measured. */
    rig_until(loses, NULL, "the first bytes once more");
    share();
    expect(&twin, 0, 2896);
}

/* More than the window: it opens as descriptors read. */
static void test_window(void **state)
{
    uint8_t data[RIG_RING];
    uint32_t written = 0, read = 0;
    (void)state;
    share();
    while (read < 6 * RIG_RING) {
        fill(data, written, 1024);
        written += rig_peer_write(peer, data, 1024);
        rig_turn();
        uint32_t got = rig_share_recv(read % 2 != 0 ? &owner : &twin, data, 777);
        check(data, read, got);
        read += got;
    }
}

/* ---- who breaks the rules, and who dies ---- */

static void works_on(struct rig_socket *socket, uint32_t sent)
{
    uint8_t data[100];
    fill(data, sent, sizeof(data));
    assert_int_equal(rig_share_send(socket, data, sizeof(data)), sizeof(data));
    expect(NULL, sent, sizeof(data));
    assert_int_equal(rig_peer_write(peer, data, sizeof(data)), sizeof(data));
    expect(socket, sent, sizeof(data));
}

static void post_control(struct rig_socket *socket, enum rs_op op, const void *payload,
                         uint32_t bytes)
{
    struct slot_producer *producer = &socket->program->producers[0];
    struct rs_request *slot = slot_producer_reserve(producer);
    slot->op = (uint8_t)op;
    slot->len_bytes = (uint8_t)bytes;
    slot->socket_idx = socket->idx;
    slot->generation = socket->generation;
    slot->arg = 0;
    slot->serial = ++socket->program->serial;
    if (bytes != 0) {
        memcpy(slot->payload, payload, bytes);
    }
    (void)slot_producer_publish(producer);
}

static bool poisoned(void *context)
{
    return rig_is_poisoned(context);
}

static void test_poisoned_one(void **state)
{
    const enum rs_op ops[] = {RS_OP_SHARE_SEND, RS_OP_SHARE_RECV};
    const struct rs_op_share_data data = {.len_bytes = RIG_RING + 1};
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        share();
        post_control(&twin, ops[i], &data, sizeof(data));
        rig_until(poisoned, &programs[1], "a session that broke the protocol");
        works_on(&owner, i * 100);
        rig_die(&programs[1]);
        rig_turns(50);
        works_on(&owner, 1000 + i * 100);
        rig_attach(&programs[1]);
    }
    assert_false(rig_is_poisoned(&programs[0]));
}

static void test_share_with_a_wrong_head(void **state)
{
    const struct rs_op_share op = {.process_id = 1};
    (void)state;
    atomic_store(&owner.client->recv_head[0], 5);
    post_control(&owner, RS_OP_SHARE, &op, sizeof(op));
    rig_until(poisoned, &programs[0], "a session that broke the protocol");
}

/* Its words of before mean nothing any more, and hurt nobody. */
static void test_words_of_before(void **state)
{
    (void)state;
    share();
    atomic_store(&owner.client->recv_head[0], 12345);
    atomic_store(&owner.client->send_level, UINT64_MAX);
    rig_post(&owner, RS_OP_CONSUMED, 0);
    rig_post(&owner, RS_OP_POST, 777);
    rig_post(&twin, RS_OP_URGENT, 99);
    rig_post(&twin, RS_OP_WARM, 10);
    rig_turns(10);
    works_on(&owner, 0);
    works_on(&twin, 100);
    assert_false(rig_is_poisoned(&programs[0]) || rig_is_poisoned(&programs[1]));
}

static void test_owner_dies(void **state)
{
    uint8_t data[500];
    (void)state;
    share();
    fill(data, 0, sizeof(data));
    rig_wire_down(true);
    assert_int_equal(rig_share_send(&owner, data, 500), 500);
    rig_die(&programs[0]);
    rig_turns(50);
    rig_wire_down(false);
    expect(NULL, 0, 500); /* nothing is lost */
    works_on(&twin, 500);
    rig_die(&programs[1]);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    assert_int_equal(peer->error, RS_CONN_RESET);
}

static void test_last_one_closes(void **state)
{
    (void)state;
    share();
    assert_int_equal(rig_close(&owner, true, 0), RS_OK); /* it is not the last, so nothing */
    works_on(&twin, 0);
    assert_int_equal(rig_close(&twin, false, 0), RS_OK);
    rig_peer_until(peer, TCP_EVENT_END);
    assert_int_equal(peer->events & TCP_EVENT_ERROR, 0);
    rig_peer_close(peer);
}

/* ---- the last one returns ---- */

static void test_last_one_returns(void **state)
{
    uint8_t data[4000];
    (void)state;
    share();
    assert_int_equal(rig_unshare(&twin), RS_INVALID); /* there are two */
    fill(data, 0, sizeof(data));
    assert_int_equal(rig_peer_write(peer, data, 1000), 1000);
    expect(&owner, 0, 300);
    rig_turns(20);
    rig_wire_down(true);
    assert_int_equal(rig_share_send(&owner, data, 2000), 2000);
    rig_turns(20);
    assert_int_equal(rig_close(&owner, false, 0), RS_OK);
    assert_int_equal(rig_unshare(&twin), RS_OK);
    assert_int_equal(rig_write(&twin, data + 2000, 1500), 1500);
    rig_turns(20);
    rig_wire_down(false);
    expect(NULL, 0, 3500);
    assert_int_equal(rig_read(&twin, data, 1000), 700);
    check(data, 300, 700);
    fill(data, 1000, 900);
    assert_int_equal(rig_peer_write(peer, data, 900), 900);
    for (uint32_t got = 0; got < 900; rig_turn()) {
        uint32_t part = rig_read(&twin, data, 900);
        check(data, 1000 + got, part);
        got += part;
    }
    /* And once more around, by its new rings. */
    owner = twin;
    struct rs_share_token token;
    assert_int_equal(rig_share(&owner, &token), RS_OK);
    assert_int_equal(rig_unshare(&owner), RS_INVALID); /* one is granted */
    assert_int_equal(rig_share_open(&programs[0], &token, &twin), RS_OK);
    fill(data, 3500, 100);
    assert_int_equal(rig_share_send(&twin, data, 100), 100);
    expect(NULL, 3500, 100);
    rig_die(&programs[1]);
    rig_turns(50);
    assert_int_equal(rig_unshare(&twin), RS_OK);
    fill(data, 3600, 100);
    assert_int_equal(rig_write(&twin, data, 100), 100);
    expect(NULL, 3600, 100);
}

/* ---- one program's two ends, each reads the other one's send ring ---- */

struct ends {
    struct rig_socket listener, a, b; /* a connects, b is accepted */
};

static bool ends_accepted(void *context)
{
    struct ends *ends = context;
    uint32_t peer_be32;
    return rig_accept(&ends->listener, 0, &ends->b, &peer_be32);
}

static struct rig_socket listening(void)
{
    struct rig_socket listener = rig_open(&programs[0]);
    assert_int_equal(rig_bind(&listener, RIG_OWN ":81"), RS_OK);
    assert_int_equal(rig_listen(&listener, 2), RS_OK);
    return listener;
}

static struct ends ends_of(const struct rig_socket *listener)
{
    struct ends ends = {.listener = *listener, .a = rig_open(&programs[0])};
    assert_int_equal(rig_connect(&ends.a, RIG_OWN ":81"), RS_OK);
    rig_until(ends_accepted, &ends, "an accept record");
    assert_int_equal(ends.a.desc->flags & RS_DESC_RECV_SHARED, RS_DESC_RECV_SHARED);
    assert_int_equal(ends.b.desc->flags & RS_DESC_RECV_SHARED, RS_DESC_RECV_SHARED);
    return ends;
}

static bool is_shared(void *context)
{
    const struct rig_socket *socket = context;
    return atomic_load(&socket->state->mode) == RS_MODE_SHARED;
}

/* Both are asked for before either has moved: no ring of the program may become the house's. */
static void test_both_ends_at_once(void **state)
{
    const struct rs_op_share op = {.process_id = 1};
    uint8_t data[500];
    (void)state;
    struct rig_socket listener = listening();
    struct ends ends = ends_of(&listener);
    fill(data, 0, 500);
    assert_int_equal(rig_write(&ends.a, data, 500), 500);
    assert_int_equal(rig_write(&ends.b, data, 500), 500);
    rig_turns(5);
    post_control(&ends.a, RS_OP_SHARE, &op, sizeof(op));
    post_control(&ends.b, RS_OP_SHARE, &op, sizeof(op));
    rig_until(is_shared, &ends.a, "one end that is shared");
    rig_until(is_shared, &ends.b, "the other one");
    const struct dp_session *house = rig_control->house;
    for (uint32_t i = 0; i < house->config->limit_sockets; i++) {
        assert_true(house->records[i] == NULL || house->records[i]->lent_ring.size_bytes == 0);
    }
    rig_map(&ends.a);
    rig_map(&ends.b);
    expect(&ends.a, 0, 500);
    expect(&ends.b, 0, 500);
    fill(data, 500, 500);
    assert_int_equal(rig_share_send(&ends.a, data, 500), 500);
    assert_int_equal(rig_share_send(&ends.b, data, 500), 500);
    expect(&ends.a, 500, 500);
    expect(&ends.b, 500, 500);
}

/* The reader is closed before the writer has moved, and its place, a spare then, has another life:
 * in which it is a reader again whose writer is shared. */
static void test_reader_closes_meanwhile(void **state)
{
    const struct rs_op_share op = {.process_id = 1};
    const struct rs_op_close close = {.abort = 1};
    (void)state;
    struct rig_socket listener = listening();
    struct ends ends = ends_of(&listener);
    const struct dp_socket *place = programs[0].session->parts[0].sockets[ends.a.idx];
    post_control(&ends.b, RS_OP_SHARE, &op, sizeof(op));
    post_control(&ends.a, RS_OP_CLOSE, &close, sizeof(close));
    rig_until(is_shared, &ends.b, "an end that is shared");
    rig_turns(50);
    assert_int_equal(atomic_load(&place->spare), 1);
    do { /* there may be spares on top of it */
        ends = ends_of(&listener);
    } while (ends.a.idx != place->idx);
    post_control(&ends.b, RS_OP_SHARE, &op, sizeof(op));
    rig_until(is_shared, &ends.b, "an end that is shared");
}

/* ---- a listener ---- */

static struct dp_socket *core_of(const struct rig_socket *socket)
{
    return socket->program->session->parts[0].sockets[socket->idx]->share->core;
}

static struct rig_socket shared_listener(void)
{
    const struct rs_op_share op = {.process_id = os_process_id()};
    struct rs_share_token token;
    struct rig_socket listener = listening();
    assert_int_equal(rig_request_reply(listener.program, &listener, RS_OP_SHARE, &op, sizeof(op),
                                       &token, sizeof(token)),
                     RS_OK);
    return listener;
}

/* It ends before a heartbeat has given it a place in the house: none is asked for then, for nobody
 * would be there when it comes. */
static void test_ends_without_a_place(void **state)
{
    (void)state;
    rig_queue(0)->next_heartbeat_tsc = UINT64_MAX;
    struct rig_socket listener = shared_listener();
    assert_null(core_of(&listener)->stream->places);
    control_share_expire(rig_control, UINT64_MAX);
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    rig_turns(20);
    rig_queue(0)->next_heartbeat_tsc = 0;
    rig_until(house_is_empty, NULL, "no socket in the house");
}

static bool core_has_place(void *context)
{
    return core_of(context)->stream->places != NULL;
}

/* A house without sockets keeps no ring memory, and gets it anew. Memory grows for the last time
 * with the listener's first place, which a heartbeat asks for. */
static void test_memory_is_given_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct rig_socket listener = shared_listener();
        const struct dp_session *house = rig_control->house;
        rig_until(core_has_place, &listener, "a place for the listener's next connection");
        const uint64_t memory_bytes = house->memory_bytes;
        assert_true(house->extent_count > 2);
        control_share_expire(rig_control, UINT64_MAX);
        for (uint32_t watch = 0; watch < 20; watch++) {
            control_share_expire(rig_control, 0);
        }
        assert_int_equal(house->memory_bytes, memory_bytes); /* somebody is there */
        assert_int_equal(rig_close(&listener, false, 0), RS_OK);
        rig_until(house_is_empty, NULL, "no socket in the house");
        assert_int_equal(house->memory_bytes, memory_bytes); /* another one may come at once */
        for (uint32_t watch = 0; watch < 20; watch++) {
            control_share_expire(rig_control, 0);
        }
        assert_int_equal(house->extent_count, 2);
        assert_true(house->memory_bytes < memory_bytes);
    }
}

/* Connections that wait at one program's listener do not use the house up for the others'. */
static void test_waiting_are_bounded(void **state)
{
    const struct rs_op_share op = {.process_id = os_process_id()};
    const struct rs_op_share_data data = {.len_bytes = 0};
    const uint32_t connections = 30;
    struct rs_share_token token;
    struct rs_accept accept;
    (void)state;
    struct rig_socket listener = listening();
    assert_int_equal(rig_listen(&listener, 2 * connections), RS_OK);
    assert_int_equal(rig_request_reply(listener.program, &listener, RS_OP_SHARE, &op, sizeof(op),
                                       &token, sizeof(token)),
                     RS_OK);
    for (uint32_t i = 0; i < connections; i++) {
        (void)rig_peer_connect((uint16_t)(2000 + i), RIG_OWN ":81");
        rig_turns(50);
    }
    const struct dp_session *house = rig_control->house;
    const uint32_t used = house->config->limit_sockets - house->free_socket_count;
    assert_in_range(used, 4, house->config->limit_sockets / 4 + 1);
    /* Whose connection is accepted gives its place back. */
    for (uint32_t i = 0; i < used - 1; i++) {
        assert_int_equal(rig_request_reply(listener.program, &listener, RS_OP_SHARE_RECV, &data,
                                           sizeof(data), &accept, sizeof(accept)),
                         RS_OK);
        assert_int_not_equal(accept.generation, 0);
        rig_turns(100);
    }
    (void)rig_peer_connect((uint16_t)(2000 + connections), RIG_OWN ":81");
    rig_turns(200);
    assert_true(house->config->limit_sockets - house->free_socket_count >= 2);
}

/* Positions go around: those of connections that waited when the listener moved must not come to
 * mean others, 2 GiB of records later. Here the end of the first ones is put so far back instead.
 */
static void test_very_many_later(void **state)
{
    const struct rs_op_share_data data = {.len_bytes = 0};
    struct rs_accept accept;
    (void)state;
    struct rig_socket listener = shared_listener();
    struct dp_socket *core = core_of(&listener);
    for (uint32_t i = 0; i < 3; i++) {
        (void)rig_peer_connect((uint16_t)(2000 + i), RIG_OWN ":81");
        rig_turns(200);
        if (i == 2) {
            core->stream->early_end += UINT32_MAX / 2 + 1 - RS_LINE_BYTES;
            core->share->early_end[0] = core->stream->early_end;
        }
        assert_int_equal(rig_request_reply(listener.program, &listener, RS_OP_SHARE_RECV, &data,
                                           sizeof(data), &accept, sizeof(accept)),
                         RS_OK);
        assert_int_not_equal(accept.generation, 0);
        const struct dp_socket *accepted = programs[0].session->parts[0].sockets[accept.socket_idx];
        assert_non_null(accepted);
        assert_int_equal(accepted->generation, accept.generation);
        assert_false(accepted->stream->waits);
        rig_turns(200);
    }
}

/* ---- what it costs ---- */

static bool is_live(void *context)
{
    return !is_shared(context);
}

/* A move copies rings: who asks for it pays, and has to have paid before the next one. */
static void test_a_move_is_paid_for(void **state)
{
    const struct rs_op_share op = {.process_id = 1};
    struct session_part *part = &programs[0].session->parts[0];
    (void)state;
    const int64_t debt = -20 * rig_queue(0)->bytes_now;
    uint8_t data[2000];
    fill(data, 0, sizeof(data));
    assert_int_equal(rig_peer_write(peer, data, sizeof(data)), sizeof(data));
    rig_turns(20);
    part->bytes_left = debt;
    post_control(&owner, RS_OP_SHARE, &op, sizeof(op));
    rig_turns(10);
    assert_false(is_shared(&owner));
    rig_until(is_shared, &owner, "a socket that is shared, when the debt is paid");
    control_share_expire(rig_control, UINT64_MAX);
    rig_turns(10);
    part->bytes_left = debt;
    post_control(&owner, RS_OP_UNSHARE, NULL, 0);
    rig_turns(10);
    assert_true(is_shared(&owner));
    const int64_t house = rig_control->house->parts[0].bytes_left;
    rig_until(is_live, &owner, "a socket that has returned, when the debt is paid");
    assert_true(rig_control->house->parts[0].bytes_left >= house);
    assert_true(part->bytes_left <= rig_queue(0)->bytes_now - (int64_t)sizeof(data));
}

/* ---- refusals ---- */

static void test_refused(void **state)
{
    const struct rs_op_share_data data = {.len_bytes = 1};
    const struct rs_op_share_set set = {.name = RS_SHARE_VALUES};
    const struct rs_op_member member = {.action = RS_MEMBER_JOIN};
    struct rs_share_token token = {{0}};
    (void)state;
    assert_int_equal(rig_request(&programs[0], &owner, RS_OP_SHARE_SEND, &data, sizeof(data)),
                     RS_INVALID);
    assert_int_equal(rig_request(&programs[0], &owner, RS_OP_SHARE_VALUES, NULL, 0), RS_INVALID);
    assert_int_equal(rig_share_open(&programs[0], &token, &twin), RS_NOT_SOCKET);
    share();
    assert_int_equal(rig_request(&programs[0], &owner, RS_OP_SHARE_SET, &set, sizeof(set)),
                     RS_BAD_OPTION);
    assert_int_equal(rig_bind(&owner, RIG_OWN ":99"), RS_INVALID);
    assert_int_equal(rig_listen(&owner, 1), RS_IS_CONNECTED);
    assert_int_equal(rig_request(&programs[0], &owner, RS_OP_MEMBER, &member, sizeof(member)),
                     RS_BAD_OPTION);
    works_on(&owner, 0);
}

int main(void)
{
#define TEST(name)   cmocka_unit_test_setup_teardown(name, start, share_kit_stop)
#define SLICED(name) cmocka_unit_test_setup_teardown(name, start_sliced, share_kit_stop)
    const struct CMUnitTest tests[] = {SLICED(test_lost_before),
                                       SLICED(test_unread_before),
                                       SLICED(test_window),
                                       SLICED(test_last_one_returns),
                                       SLICED(test_both_ends_at_once),
                                       SLICED(test_reader_closes_meanwhile),
                                       SLICED(test_owner_dies),
                                       TEST(test_arrives_meanwhile),
                                       TEST(test_ahead_of_a_gap),
                                       SLICED(test_ahead_of_a_gap),
                                       TEST(test_lost_before),
                                       TEST(test_unread_before),
                                       TEST(test_window),
                                       TEST(test_poisoned_one),
                                       TEST(test_share_with_a_wrong_head),
                                       TEST(test_words_of_before),
                                       TEST(test_owner_dies),
                                       TEST(test_last_one_closes),
                                       TEST(test_last_one_returns),
                                       TEST(test_both_ends_at_once),
                                       TEST(test_reader_closes_meanwhile),
                                       TEST(test_ends_without_a_place),
                                       TEST(test_memory_is_given_back),
                                       TEST(test_very_many_later),
                                       TEST(test_waiting_are_bounded),
                                       TEST(test_a_move_is_paid_for),
                                       TEST(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
