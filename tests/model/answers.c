/*
 * What the dataplane gives back through a channel, under all interleavings: reply cells
 * (rings/reply.h) and hints (rings/hint_ring.h), the real code. Honest: each caller reads its own
 * answer, whole, also when earlier callers gave up; no hint is lost uncounted, none is overwritten
 * unread. Hostile: cell, serial and hint_head are anything; the dataplane then writes inside its
 * own words or calls the session poisoned, and its private indices stay sound. Each with one rule
 * taken out, which must fail.
 */
#include "tests/model/sched.h"

#include <stdio.h>

#include "rings/hint_ring.h"
#include "rings/reply.h"
#include "rings/slot_ring.h"

enum { CELLS = 2, ASKED = 4, HINTS = 2, PUSHES = 5, STATES_MAX = 3000000 };

static struct {
    struct rs_reply replies[RS_REPLY_CELLS];
    struct rs_hint hints[HINTS];
    struct rs_channel_state state;
    struct rs_channel_client channel;
    _Alignas(64) rs_atomic_u64 asked[ASKED]; /* the way of a request: cell << 32 | serial */
} shared;

static enum mutant {
    RIGHT,
    SERIAL_FIRST,       /* the answer's serial is stored before its payload */
    ABANDON_IS_FREE,    /* a cell is used again while a late answer may come */
    CELL_UNCHECKED,     /* the dataplane believes the cell a request names */
    HINT_NO_ROOM,       /* the producer does not look at hint_head */
    HINT_UNCHECKED,     /* the producer believes hint_head */
    HINT_PUBLISH_EARLY, /* the consumer frees a hint before it has read it */
    HINT_LOST_UNTOLD    /* a full ring is not counted */
} mutant;

static struct reply_waiter waiter;
static uint32_t start_serial;

/* ---- reply cells ------------------------------------------------------------------------------
 */

static void setup_replies(void)
{
    memset(&shared, 0, sizeof(shared));
    shared.replies[3].serial = start_serial;
    reply_waiter_init(&waiter, shared.replies);
    waiter.free = (1u << CELLS) - 1; /* so that cells are used again soon */
}

static void observe_waiter(void)
{
    sched_observe(&waiter.next_serial, sizeof(waiter) - offsetof(struct reply_waiter, next_serial));
}

/* False: gave up. */
static bool wait_for_answer(uint32_t point, uint32_t cell_idx)
{
    for (;;) {
        sched_round(point);
        observe_waiter();
        sched_observe(&cell_idx, sizeof(cell_idx));
        if (reply_ready(&waiter, cell_idx)) {
            return true;
        }
        if (sched_choose(2) != 0) {
            return false;
        }
        sched_yield_side();
    }
}

static void asker(void)
{
    for (uint32_t i = 0; i < ASKED;) {
        uint32_t cell_idx, serial;
        sched_round(2 * i + 1);
        observe_waiter();
        if (!reply_cell_take(&waiter, &cell_idx, &serial)) {
            sched_yield_side();
            continue;
        }
        if (serial == 0 || serial == start_serial) {
            sched_fail("a serial that an old answer has");
        }
        atomic_store_explicit(&shared.asked[i], (uint64_t)(cell_idx + 1) << 32 | serial,
                              memory_order_release);
        if (!wait_for_answer(2 * i + 2, cell_idx)) {
            reply_cell_abandon(&waiter, cell_idx);
            if (mutant == ABANDON_IS_FREE) {
                waiter.abandoned = 0;
                waiter.free |= 1u << cell_idx;
            }
        } else {
            uint64_t payload[2];
            enum rs_status status =
                reply_cell_read(&waiter, cell_idx, payload, (uint32_t)sizeof(payload));
            if (status != RS_IN_PROGRESS || payload[0] != i || payload[1] != i * 3) {
                sched_fail("an answer that is another's, or not whole");
            }
        }
        i++;
    }
}

static void answer(uint32_t cell_idx, uint32_t serial, uint64_t number)
{
    uint64_t payload[2] = {number, number * 3};
    if (mutant == SERIAL_FIRST) {
        sched_store(&shared.replies[cell_idx].serial, serial, 4);
    }
    if (reply_write(shared.replies, cell_idx, serial, RS_IN_PROGRESS, payload, sizeof(payload)) !=
        RS_OK) {
        sched_fail("an honest client was called poisoned");
    }
}

/* Answers come in any order of two: the control thread answers some, the queue others. */
static void answerer(void)
{
    uint64_t words[ASKED] = {0};
    bool done[ASKED] = {false};
    for (uint32_t count = 0; count < ASKED;) {
        uint32_t before = count;
        bool any = false;
        sched_round(1);
        sched_observe(words, sizeof(words));
        sched_observe(done, sizeof(done));
        for (uint32_t i = 0; i < ASKED; i++) {
            if (words[i] == 0) {
                words[i] = atomic_load_explicit(&shared.asked[i], memory_order_acquire);
            }
            bool later = i + 1 < ASKED && words[i] != 0 && sched_choose(2) != 0;
            if (words[i] != 0 && !done[i] && !later) {
                answer((uint32_t)(words[i] >> 32) - 1, (uint32_t)words[i], i);
                done[i] = true;
                count++;
            }
            any = any || later || count != before;
        }
        if (!any) {
            sched_yield_side();
        }
    }
}

static const char *check_replies(void)
{
    return NULL; /* every asker has read its answer or given up */
}

/* The request's cell and serial are anything: the dataplane is the only side. */
static void answerer_hostile(void)
{
    static const uint32_t words[] = {0,           1,         RS_REPLY_CELLS - 1, RS_REPLY_CELLS,
                                     0x80000000u, UINT32_MAX};
    enum { WORDS = sizeof(words) / sizeof(words[0]) };
    uint32_t cell_idx = words[sched_choose(WORDS)];
    uint32_t serial = words[sched_choose(WORDS)];
    uint64_t payload = 1;
    if (mutant == CELL_UNCHECKED) {
        struct rs_reply *cell = &shared.replies[cell_idx % (2 * RS_REPLY_CELLS)];
        atomic_store_explicit(&cell->serial, serial, memory_order_release);
        return;
    }
    enum rs_status status =
        reply_write(shared.replies, cell_idx, serial, RS_OK, &payload, sizeof(payload));
    if ((status == RS_OK) != (cell_idx < RS_REPLY_CELLS && serial != 0)) {
        sched_fail("a cell that cannot be was taken, or one that can was not");
    }
}

static bool within(const volatile void *address, size_t bytes, const void *object, size_t size)
{
    uintptr_t off = (uintptr_t)address - (uintptr_t)object;
    return off < size && bytes <= size - off;
}

static const char *replies_access(unsigned side_idx, const volatile void *address, size_t bytes,
                                  enum sched_access access)
{
    (void)side_idx;
    return access == SCHED_LOAD || within(address, bytes, shared.replies, sizeof(shared.replies))
               ? NULL
               : "the dataplane wrote outside the reply cells";
}

/* ---- hints ------------------------------------------------------------------------------------
 */

static struct hint_producer producer;
static struct hint_consumer consumer;
static uint32_t start_position, popped;

static void setup_hints(void)
{
    memset(&shared, 0, sizeof(shared));
    shared.channel.hint_head = start_position;
    hint_producer_init(&producer, shared.hints, HINTS, &shared.state, &shared.channel,
                       start_position);
    hint_consumer_init(&consumer, shared.hints, HINTS, &shared.state, &shared.channel,
                       start_position);
    popped = 0;
}

static void hinter(void)
{
    for (uint32_t i = 0; i < PUSHES; i++) {
        sched_round(i + 1);
        sched_observe(&producer.tail, 3 * sizeof(uint32_t));
        if (mutant == HINT_NO_ROOM) {
            producer.head_cached = producer.tail;
        }
        uint32_t tail = producer.tail, lost = producer.lost;
        if (hint_producer_push(&producer, i, ~i) != RS_OK) {
            sched_fail("an honest client was called poisoned");
        }
        if (producer.tail != tail && rs_seq_distance(consumer.head, tail) >= HINTS) {
            sched_fail("a hint was overwritten unread");
        }
        if (producer.tail + producer.lost != tail + lost + 1) {
            sched_fail("a hint is neither there nor counted as lost");
        }
        if (mutant == HINT_LOST_UNTOLD && producer.lost != lost) {
            sched_poke(&shared.state.hint_lost, lost, sizeof(lost));
        }
    }
}

/* Ends when all pushes are accounted for: popped, or told as lost. */
static void hinted(void)
{
    bool last = false;
    uint32_t newest = UINT32_MAX, lost_at = 0;
    for (;;) {
        sched_round(1);
        sched_observe(&consumer.head, 2 * sizeof(uint32_t));
        sched_observe(&popped, sizeof(popped));
        sched_observe(&newest, sizeof(newest));
        last = sched_other_done();
        bool any = hint_consumer_lost(&consumer);
        lost_at += any;
        if (mutant == HINT_PUBLISH_EARLY &&
            consumer.slots[consumer.head & consumer.mask].seq == rs_slot_seq(consumer.head)) {
            sched_poke(&shared.channel.hint_head, consumer.head + 1, 4);
        }
        uint32_t socket_idx, generation;
        if (hint_consumer_pop(&consumer, &socket_idx, &generation)) {
            if (generation != ~socket_idx || (newest != UINT32_MAX && socket_idx <= newest)) {
                sched_fail("a hint out of order, twice or not whole");
            }
            newest = socket_idx;
            popped++;
            any = true;
        }
        if (!any || sched_choose(2) != 0) {
            hint_consumer_publish(&consumer);
        }
        if (!any && last) {
            break;
        }
        if (!any) {
            sched_yield_side();
        }
    }
    if (popped + consumer.lost_seen != PUSHES) {
        sched_fail("a hint was lost and nobody was told");
    }
    (void)lost_at;
}

static const char *check_hints(void)
{
    return popped + producer.lost == PUSHES ? NULL : "hints do not add up";
}

/* hint_head is anything at any moment. */
static void head_writer(void)
{
    uint32_t start = start_position;
    const uint32_t values[] = {
        start, start + 1, start + 2, start + 3, start - 1, start + UINT32_MAX / 2, start + PUSHES};
    for (uint32_t i = 0; i < 3; i++) {
        sched_round(i + 1);
        sched_poke(&shared.channel.hint_head,
                   values[sched_choose(sizeof(values) / sizeof(values[0]))], 4);
    }
}

static const char *hints_access(unsigned side_idx, const volatile void *address, size_t bytes,
                                enum sched_access access)
{
    return side_idx != 0 || access == SCHED_LOAD ||
                   within(address, bytes, shared.hints, sizeof(shared.hints)) ||
                   within(address, bytes, &shared.state.hint_lost, 4)
               ? NULL
               : "the dataplane wrote outside its own words";
}

static void hinter_hostile(void)
{
    for (uint32_t i = 0; i < PUSHES; i++) {
        sched_round(i + 1);
        sched_observe(&producer.tail, 3 * sizeof(uint32_t));
        struct hint_producer before = producer;
        if (mutant == HINT_UNCHECKED) {
            producer.head_cached =
                atomic_load_explicit(&shared.channel.hint_head, memory_order_acquire);
        }
        enum rs_status status = hint_producer_push(&producer, i, ~i);
        if (!rs_seq_in_range(producer.head_cached, before.head_cached, before.tail) ||
            rs_seq_distance(producer.head_cached, producer.tail) > HINTS) {
            sched_fail("the producer believes a head that cannot be");
        }
        if (producer.tail - before.tail + producer.lost - before.lost != (status == RS_OK)) {
            sched_fail("a push that was refused moved something");
        }
        if (status != RS_OK) {
            return; /* poisoned: nothing of the session is read any more */
        }
    }
}

static const char *check_hinter(void)
{
    return producer.mask == HINTS - 1 && producer.slots == shared.hints &&
                   shared.state.hint_lost == producer.lost
               ? NULL
               : "the producer's own state is damaged";
}

/* ---------------------------------------------------------------------------------------------- */

static bool run(const char *what, const struct sched_test *test, enum mutant rule)
{
    mutant = rule;
    bool ok = sched_report(what, test, sched_explore_all(test, STATES_MAX), rule != RIGHT);
    mutant = RIGHT;
    return ok;
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
    return 77; /* coroutines on one thread: nothing for TSan, and it does not know them */
#endif
    struct sched_test replies = {.name = "replies",
                                 .setup = setup_replies,
                                 .sides = {asker, answerer},
                                 .check = check_replies,
                                 .shared = &shared,
                                 .shared_bytes = sizeof(shared)};
    struct sched_test replies_hostile = replies;
    replies_hostile.sides[0] = answerer_hostile;
    replies_hostile.sides[1] = NULL;
    replies_hostile.access = replies_access;
    struct sched_test hints = replies;
    hints.setup = setup_hints;
    hints.sides[0] = hinter;
    hints.sides[1] = hinted;
    hints.check = check_hints;
    struct sched_test hints_hostile = hints;
    hints_hostile.sides[0] = hinter_hostile;
    hints_hostile.sides[1] = head_writer;
    hints_hostile.check = check_hinter;
    hints_hostile.access = hints_access;
    bool ok = true;
    for (uint32_t i = 0; i < 2; i++) {
        start_position = i == 0 ? 0 : 0xfffffffdu;
        start_serial = i == 0 ? 0 : 0xfffffffeu;
        printf("from position %#x, serial %#x\n", start_position, start_serial);
        ok = run("reply cells", &replies, RIGHT) && ok;
        ok = run("  serial stored first", &replies, SERIAL_FIRST) && ok;
        ok = run("  an abandoned cell is free at once", &replies, ABANDON_IS_FREE) && ok;
        ok = run("any cell and serial", &replies_hostile, RIGHT) && ok;
        ok = run("  cell not checked", &replies_hostile, CELL_UNCHECKED) && ok;
        ok = run("hints", &hints, RIGHT) && ok;
        ok = run("  no look at hint_head", &hints, HINT_NO_ROOM) && ok;
        ok = run("  freed before it is read", &hints, HINT_PUBLISH_EARLY) && ok;
        ok = run("  a lost hint is not told", &hints, HINT_LOST_UNTOLD) && ok;
        ok = run("any hint_head", &hints_hostile, RIGHT) && ok;
        ok = run("  hint_head believed", &hints_hostile, HINT_UNCHECKED) && ok;
    }
    return ok ? 0 : 1;
}
