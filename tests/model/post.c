/*
 * Level posts (rings/post.h) under all interleavings: one client side with a few sockets, one
 * dataplane side, on a request ring that is always short of room, so that every second send meets
 * pressure. Checked: every tail a socket posted arrives (none lost), none is taken twice or from
 * behind (none used twice), datagrams of a socket keep their order also between slot and ring, and
 * the ring never overflows. The same test with the fences off must fail: then it can.
 */
#include "tests/model/sched.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "rings/post.h"
#include "tests/support/random.h"

enum {
    SLOTS = 32,
    SOCKETS = 4,
    LIMIT_SOCKETS = SLOTS - RS_REPLY_CELLS - 1,
    BATCH = 2,
    RING_BYTES = 4096
};

static struct {
    _Alignas(64) struct rs_request slots[SLOTS];
    struct rs_channel_state state;
    struct rs_channel_client channel;
    struct rs_socket_client sockets[SOCKETS];
} shared;

/* Client. */
static struct post_channel channel;
static struct post_socket posts[SOCKETS];
static uint32_t tails[SOCKETS]; /* what each socket posted; grows by 64 for each datagram */
static uint32_t inline_count;

/* Dataplane. */
static struct slot_consumer consumer;
static uint32_t known[SOCKETS];
static uint32_t inline_seen;
static uint32_t inline_after[8]; /* client: socket 0's tail when inline datagram i was sent */
static uint32_t start_position;
static bool lazy;

/* The newest POST slot of each socket that was consumed and not looked behind for good. */
static bool posted[SOCKETS];
static uint32_t position_of[SOCKETS];

static void setup(void)
{
    memset(&shared, 0, sizeof(shared));
    memset(posts, 0, sizeof(posts));
    memset(tails, 0, sizeof(tails));
    memset(known, 0, sizeof(known));
    memset(posted, 0, sizeof(posted));
    inline_count = inline_seen = 0;
    consumer = (struct slot_consumer){.slots = shared.slots,
                                      .state = &shared.state,
                                      .mask = SLOTS - 1,
                                      .head = start_position,
                                      .published = start_position};
    *(uint32_t *)&shared.state.request_head = start_position;
    channel = (struct post_channel){.shared = &shared.channel,
                                    .limit_sockets = LIMIT_SOCKETS,
                                    .producer = {.slots = shared.slots,
                                                 .state = &shared.state,
                                                 .tail = start_position,
                                                 .head_cached = start_position,
                                                 .mask = SLOTS - 1}};
}

static void client_send(uint32_t socket_idx)
{
    tails[socket_idx] += 64;
    if (post_tail(&channel, &posts[socket_idx], &shared.sockets[socket_idx], socket_idx, 1,
                  tails[socket_idx]) != RS_OK) {
        sched_fail("request ring overflow");
    }
}

/* An inline datagram of socket 0 where the rules allow it. */
static void client_send_inline(void)
{
    bool empty =
        known[0] == tails[0]; /* stands for send_head, which the dataplane stores at once */
    struct rs_request *slot = post_inline_reserve(&channel, empty);
    if (slot == NULL) {
        client_send(0);
        return;
    }
    slot->op = RS_OP_SEND_INLINE;
    slot->socket_idx = 0;
    inline_after[inline_count++] = tails[0];
    post_inline_publish(&channel, &posts[0]);
}

static void client_side(void)
{
    client_send(0);
    client_send(0);
    client_send(1);
    client_send_inline();
    client_send(0);
    client_send(0);
    client_send(1);
    client_send(0);
}

/* Socket 0 leaves its last tail in send_level, then only others go on: that must not end the
 * pressure. */
static void client_side_others_go_on(void)
{
    client_send(0);
    client_send(0);
    client_send(1);
    client_send(2);
    client_send(3);
}

static void dataplane_extend(uint32_t socket_idx, uint32_t tail)
{
    if (!rs_seq_in_range(tail, known[socket_idx], known[socket_idx] + RING_BYTES)) {
        sched_fail("a tail behind one that was taken");
    }
    if (socket_idx == 0 && inline_seen < inline_count && tail != known[0] &&
        rs_seq_before(inline_after[inline_seen], tail)) {
        sched_fail("a datagram of the send ring overtook an inline one");
    }
    known[socket_idx] = tail;
}

static void dataplane_look(void)
{
    for (uint32_t i = 0; i < SOCKETS; i++) {
        uint32_t tail;
        if (posted[i] && post_pressure(&shared.channel) &&
            post_level_take(&shared.sockets[i], position_of[i], &tail)) {
            dataplane_extend(i, tail);
        }
    }
}

static bool dataplane_batch(void)
{
    struct rs_request request;
    uint32_t count = 0;
    while (count < BATCH && slot_consumer_peek(&consumer, &request)) {
        if (request.op == RS_OP_POST) {
            dataplane_extend(request.socket_idx, request.arg);
            posted[request.socket_idx] = true;
            position_of[request.socket_idx] = consumer.head;
        } else {
            if (inline_after[inline_seen] != known[0]) {
                sched_fail("an inline datagram overtook one of the send ring");
            }
            inline_seen++;
        }
        slot_consumer_advance(&consumer);
        count++;
    }
    if (count == 0) {
        return false;
    }
    slot_consumer_publish(&consumer);
    return true;
}

/* A fence behind every batch, or (lazy) only when there is nothing to do, and looks without one
 * before. */
static void dataplane_side(void)
{
    for (;;) {
        bool last = sched_other_done();
        bool busy = dataplane_batch();
        if (busy && lazy) {
            dataplane_look();
            continue;
        }
        rs_fence_full();
        dataplane_look();
        memset(posted, 0, sizeof(posted));
        if (!busy) {
            if (last) {
                return;
            }
            sched_yield_side();
        }
    }
}

static const char *check(void)
{
    for (uint32_t i = 0; i < SOCKETS; i++) {
        if (known[i] != tails[i]) {
            return "a post was lost";
        }
    }
    return inline_seen == inline_count ? NULL : "an inline datagram was lost";
}

static bool report(const char *what, struct sched_result result, bool must_fail)
{
    printf("%-34s %9llu runs: %s\n", what, (unsigned long long)result.runs,
           result.failed ? result.why : "no violation");
    return result.failed == must_fail;
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
    return 77; /* coroutines on one thread: nothing for TSan, and it does not know them */
#endif
    struct sched_test test = {
        .name = "post", .setup = setup, .sides = {client_side, dataplane_side}, .check = check};
    uint64_t seed = test_random_seed("model.post");
    bool ok = report("at most 3 deviations, from 0", sched_explore(&test, 3), false);
    start_position = 0xfffffffcu;
    ok = report("at most 3 deviations, from 2^32 - 4", sched_explore(&test, 3), false) && ok;
    lazy = true;
    ok = report("lazy fence, at most 3 deviations", sched_explore(&test, 3), false) && ok;
    ok = report("lazy fence, random", sched_random(&test, seed, 60000), false) && ok;
    test.sides[0] = client_side_others_go_on;
    ok = report("lazy fence, others go on", sched_explore(&test, 3), false) && ok;
    ok = report("lazy fence, others go on, random", sched_random(&test, seed, 500000), false) && ok;
    test.sides[0] = client_side;
    lazy = false;
    ok = report("random", sched_random(&test, seed, 60000), false) && ok;
    test.fences_off = 3;
    ok = report("without fences (must fail)", sched_random(&test, seed, 1000000), true) && ok;
    return ok ? 0 : 1;
}
