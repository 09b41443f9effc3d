/*
 * The request ring (rings/slot_ring.h, the real code) under all interleavings: an honest producer
 * against the consumer over several laps of a small ring, a socket that moves between the channels
 * of two threads, and an arbitrary writer on the client side, who at any moment stores any of a set
 * of values into any word the client can write. Checked: each slot is taken exactly once, whole and
 * in order; no slot is handed out again before it was copied; whatever the words do, the dataplane
 * advances only by what it took, loads each word of a request once, and touches nothing outside
 * the ring. Each test is also run with one rule taken out, and must then fail.
 */
#include "tests/model/sched.h"

#include <stdio.h>

#include "rings/dgram_ring.h"
#include "rings/post.h"
#include "rings/slot_ring.h"

enum { SLOTS = 2, RING_BYTES = 1024, STATES_MAX = 8000000 };

static struct {
    _Alignas(64) struct rs_request slots[2][SLOTS];
    struct rs_channel_state state[2];
    struct rs_channel_client channel;
    struct rs_socket_client socket;
    struct rs_socket_state socket_state;
    _Alignas(64) uint8_t send_ring[RING_BYTES];
} shared;

static enum mutant {
    RIGHT,
    SEQ_FIRST,       /* the producer stores seq before the slot's fields */
    NO_ROOM_CHECK,   /* the producer does not look at request_head */
    HEAD_EARLY,      /* the consumer publishes its head before it has copied the slot */
    NO_MOVE_WAIT,    /* a socket moves although its post on the old channel is unconsumed */
    LOOK_TWICE,      /* the consumer checks the copy and uses the slot */
    LEVEL_UNCHECKED, /* the consumer believes a tail of send_level */
    HEADER_TWICE     /* the consumer checks the copy of a record's header and uses the record */
} mutant;

static struct slot_consumer consumers[2];
static struct slot_producer producers[2];
static uint32_t start_position;

static void setup(void)
{
    memset(&shared, 0, sizeof(shared));
    for (uint32_t i = 0; i < 2; i++) {
        slot_consumer_init(&consumers[i], shared.slots[i], SLOTS, &shared.state[i], start_position);
        slot_producer_init(&producers[i], shared.slots[i], SLOTS, &shared.state[i]);
    }
}

/* ---- honest producer, consumer ----------------------------------------------------------------
 */

static uint32_t requests = 5;

static void fill(struct rs_request *slot, uint32_t number)
{
    sched_store(&slot->arg, number, sizeof(slot->arg));
    sched_store(&slot->payload[32], number * 3u, 8);
}

/* As slot_producer_publish, in the wrong order. */
static void publish_first(struct slot_producer *producer, struct rs_request *slot, uint32_t number)
{
    slot_producer_publish(producer);
    fill(slot, number);
}

static bool produce(uint32_t idx, uint32_t number)
{
    struct slot_producer *producer = &producers[idx];
    struct rs_request *slot = slot_producer_reserve(producer);
    if (slot == NULL && mutant == NO_ROOM_CHECK) {
        slot = &shared.slots[idx][(uint32_t)producer->tail & producer->mask];
    }
    if (slot == NULL) {
        return false;
    }
    /* The consumer's own head: what it has copied, not what it has published. */
    if (rs_seq_distance(consumers[idx].head, (uint32_t)producer->tail) >= SLOTS) {
        sched_fail("a slot was handed out that is not consumed");
    }
    if (mutant == SEQ_FIRST) {
        publish_first(producer, slot, number);
    } else {
        fill(slot, number);
        slot_producer_publish(producer);
    }
    return true;
}

static void producer_side(void)
{
    for (uint32_t number = 0; number < requests;) {
        sched_round(number + 1);
        sched_observe(&producers[0].tail, 2 * sizeof(uint64_t));
        if (produce(0, number)) {
            number++;
        } else {
            sched_yield_side();
        }
    }
    uint64_t last = producers[0].tail - 1;
    for (;;) {
        sched_round(requests + 1);
        if (slot_state_consumed(&shared.state[0], SLOTS, last) &&
            slot_producer_consumed(&producers[0], last)) {
            break;
        }
        sched_yield_side();
    }
    if (consumers[0].head != (uint32_t)producers[0].tail) {
        sched_fail("a slot is called consumed that is not");
    }
}

/* Takes one request; false: none there. */
static bool consume(uint32_t idx, struct rs_request *out)
{
    struct slot_consumer *consumer = &consumers[idx];
    if (mutant == HEAD_EARLY && slot_consumer_pending(consumer)) {
        atomic_store_explicit(&consumer->state->request_head, consumer->head + 1,
                              memory_order_release);
    }
    if (!slot_consumer_peek(consumer, out)) {
        return false;
    }
    slot_consumer_advance(consumer);
    return true;
}

static void check_whole(const struct rs_request *request, uint32_t number)
{
    if (request->arg != number) {
        sched_fail("a request out of order, twice, or not whole");
    }
    if (request->payload[32] != (uint8_t)(number * 3u)) {
        sched_fail("a request was taken before it was whole");
    }
}

/* Heads go back at any time, at the latest when there is nothing to do. */
static void consumer_side(void)
{
    for (uint32_t received = 0; received < requests;) {
        struct rs_request request;
        sched_round(received + 1);
        sched_observe(&consumers[0].head, 2 * sizeof(uint32_t));
        if (consume(0, &request)) {
            check_whole(&request, received++);
            if (sched_choose(2) != 0) {
                slot_consumer_publish(&consumers[0]);
            }
        } else {
            slot_consumer_publish(&consumers[0]);
            sched_yield_side();
        }
    }
    slot_consumer_publish(&consumers[0]);
}

static const char *check_all_taken(void)
{
    return consumers[0].head == start_position + requests &&
                   shared.state[0].request_head == consumers[0].head
               ? NULL
               : "not every slot was taken exactly once";
}

/* ---- a socket moves between two threads' channels ----------------------------------------------
 * client_socket_move (provider/client/request.c): the old channel's post is consumed before the
 * socket posts to another channel.
 */

enum { MOVES = 4 };

static struct sched_mutex send_lock;
static struct {
    uint32_t number; /* posts so far; one goes to each channel in turn */
    uint64_t last_position;
} place;

static void setup_move(void)
{
    setup();
    send_lock.held = 0;
    memset(&place, 0, sizeof(place));
}

static void move_wait(uint32_t idx)
{
    for (;;) {
        sched_round(2);
        sched_observe(&place, sizeof(place));
        sched_observe(&producers[idx].tail, 2 * sizeof(uint64_t));
        if (slot_state_consumed(&shared.state[1 - idx], SLOTS, place.last_position)) {
            return;
        }
        sched_yield_side();
    }
}

static void mover(uint32_t idx)
{
    for (;;) {
        sched_round(1);
        sched_mutex_lock(&send_lock);
        sched_observe(&place, sizeof(place));
        sched_observe(&producers[idx].tail, 2 * sizeof(uint64_t));
        if (place.number == MOVES) {
            sched_mutex_unlock(&send_lock);
            return;
        }
        if (place.number % 2 == idx) {
            if (place.number != 0 && mutant != NO_MOVE_WAIT) {
                move_wait(idx);
            }
            if (!produce(idx, place.number)) {
                sched_fail("a ring with room is called full");
            }
            place.last_position = producers[idx].tail - 1;
            place.number++;
            sched_mutex_unlock(&send_lock);
        } else {
            sched_mutex_unlock(&send_lock);
            sched_yield_side();
        }
    }
}

static void mover_0(void)
{
    mover(0);
}

static void mover_1(void)
{
    mover(1);
}

static void two_channel_side(void)
{
    for (uint32_t received = 0; received < MOVES;) {
        struct rs_request request;
        bool any = false;
        sched_round(received + 1);
        sched_observe(consumers, sizeof(consumers));
        for (uint32_t idx = 0; idx < 2; idx++) {
            if (consume(idx, &request)) {
                check_whole(&request, received++);
                any = true;
            }
        }
        if (!any || sched_choose(2) != 0) {
            slot_consumer_publish(&consumers[0]);
            slot_consumer_publish(&consumers[1]);
        }
        if (!any) {
            sched_yield_side();
        }
    }
    slot_consumer_publish(&consumers[0]);
    slot_consumer_publish(&consumers[1]);
}

static const char *check_moved(void)
{
    return place.number == MOVES ? NULL : "a post was lost";
}

/* ---- an arbitrary writer ----------------------------------------------------------------------
 */

enum { SOCKETS = 2, DATAPLANE = 0 };
static uint32_t pokes = 3, rounds = 4;

static struct dgram_send_reader reader;
static uint32_t taken, record_end;
static uint32_t loads[SLOTS * RS_LINE_BYTES / 8]; /* of each 8 bytes, for the request in hand */
static bool poisoned;

static void setup_hostile(void)
{
    setup();
    reader = (struct dgram_send_reader){.base = shared.send_ring,
                                        .head_word = &shared.socket_state.send_head,
                                        .size_bytes = RING_BYTES};
    taken = record_end = 0;
    poisoned = false;
}

static bool within(const volatile void *address, size_t bytes, const void *object, size_t size)
{
    uintptr_t off = (uintptr_t)address - (uintptr_t)object;
    return off < size && bytes <= size - off;
}

/* What the dataplane may touch on this channel's behalf: its ring, the socket's client words and
 * send ring to read, its own words to write. */
static const char *hostile_access(unsigned side_idx, const volatile void *address, size_t bytes,
                                  enum sched_access access)
{
    if (side_idx != DATAPLANE) {
        return NULL;
    }
    if (access == SCHED_STORE) {
        return within(address, bytes, &shared.state[0].request_head, 4) ||
                       within(address, bytes, &shared.socket_state.send_head, 4)
                   ? NULL
                   : "the dataplane stored outside its own words";
    }
    if (within(address, bytes, shared.slots[0], sizeof(shared.slots[0]))) {
        size_t word = ((uintptr_t)address - (uintptr_t)shared.slots[0]) / 8;
        /* The copy takes the seq word along; nobody looks at it there. */
        uint32_t most = word % (RS_LINE_BYTES / 8) == 0 ? 2 : 1;
        return ++loads[word] <= most ? NULL : "a word of a request was loaded twice";
    }
    return within(address, bytes, &shared.channel, sizeof(shared.channel)) ||
                   within(address, bytes, &shared.socket, sizeof(shared.socket)) ||
                   within(address, bytes, shared.send_ring, sizeof(shared.send_ring))
               ? NULL
               : "the dataplane read outside the ring";
}

struct place {
    volatile void *address;
    size_t bytes;
    uint64_t values[6];
    uint32_t count;
};

static void poke(const struct place *places, uint32_t place_count)
{
    for (uint32_t i = 0; i < pokes; i++) {
        sched_round(i + 1);
        const struct place *target = &places[sched_choose(place_count)];
        sched_poke(target->address, target->values[sched_choose(target->count)], target->bytes);
    }
}

static void slot_writer(void)
{
    struct rs_request *slots = shared.slots[0];
    uint32_t start = start_position;
    struct place places[SLOTS * 4];
    for (uint32_t i = 0; i < SLOTS; i++) {
        places[4 * i] = (struct place){&slots[i].seq,
                                       4,
                                       {0, rs_slot_seq(start + i), rs_slot_seq(start + i + SLOTS),
                                        rs_slot_seq(start + i - SLOTS), rs_slot_seq(start + 1 - i)},
                                       5};
        places[4 * i + 1] = (struct place){&slots[i].op, 4, {RS_OP_POST, UINT32_MAX}, 2};
        places[4 * i + 2] = (struct place){&slots[i].socket_idx, 4, {1, SOCKETS, UINT32_MAX}, 3};
        places[4 * i + 3] = (struct place){&slots[i].payload[32], 8, {1, UINT64_MAX}, 2};
    }
    poke(places, SLOTS * 4);
}

/* As request_one: every field is checked on the copy, and the copy is used. */
static void use_request(const struct rs_request *request, const struct rs_request *slot)
{
    static const uint8_t table[SOCKETS];
    if (request->op != RS_OP_POST || request->socket_idx >= SOCKETS) {
        poisoned = true;
        return;
    }
    uint32_t used = request->socket_idx;
    if (mutant == LOOK_TWICE) {
        used = (uint32_t)sched_load(&slot->socket_idx, sizeof(slot->socket_idx));
    }
    if (used >= SOCKETS) {
        sched_fail("a checked index changed before it was used");
    }
    (void)table[used];
}

static bool same_bytes(const void *a, const void *b, size_t bytes)
{
    return memcmp(a, b, bytes) == 0;
}

static void hostile_consumer(void)
{
    struct slot_consumer *consumer = &consumers[0];
    for (uint32_t round = 0; round < rounds && !poisoned; round++) {
        struct rs_request request;
        sched_round(round + 1);
        sched_observe(&consumer->head, 2 * sizeof(uint32_t));
        sched_observe(&taken, sizeof(taken));
        memset(loads, 0, sizeof(loads));
        const struct rs_request *slot = &consumer->slots[consumer->head & consumer->mask];
        if (slot_consumer_peek(consumer, &request)) {
            struct rs_request before = request;
            use_request(&request, slot);
            slot_consumer_advance(consumer);
            taken++;
            if (!same_bytes(&before, &request, sizeof(request))) {
                sched_fail("the copy changed");
            }
        }
        if (sched_choose(2) != 0) {
            slot_consumer_publish(consumer);
        }
        if (consumer->head != start_position + taken ||
            rs_seq_distance(consumer->published, consumer->head) > taken) {
            sched_fail("the position moved by something else than what was taken");
        }
    }
}

static const char *check_hostile(void)
{
    const struct slot_consumer *consumer = &consumers[0];
    if (consumer->mask != SLOTS - 1 || consumer->slots != shared.slots[0] ||
        shared.state[0].request_head != consumer->published) {
        return "the consumer's own state is damaged";
    }
    return consumers[1].head == start_position && shared.state[1].request_head == start_position
               ? NULL
               : "another channel was touched";
}

/* The words a POST leads to: send_level, pressure, and a record's header in the send ring. */
static void send_writer(void)
{
    struct rs_send_dgram *header = (void *)shared.send_ring;
    const struct place places[] = {
        {&shared.channel.pressure, 4, {0, 1}, 2},
        {&shared.socket.send_level,
         8,
         {0, (uint64_t)start_position << 32 | 128, (uint64_t)start_position << 32 | RING_BYTES,
          (uint64_t)start_position << 32 | (RING_BYTES + 64),
          (uint64_t)start_position << 32 | UINT32_MAX, UINT64_MAX},
         6},
        {header, 4, {48, 200, RING_BYTES, RS_DGRAM_PAD << 16, UINT32_MAX}, 5},
        {(uint8_t *)header + 64, 4, {0, 48, UINT16_MAX, UINT32_MAX}, 4}};
    poke(places, sizeof(places) / sizeof(places[0]));
}

static void send_drain(void)
{
    struct dgram_send_view view;
    enum rs_status status = RS_OK;
    while ((status = dgram_send_reader_peek(&reader, &view)) == RS_OK) {
        uint32_t len_bytes = view.header.len_bytes;
        if (mutant == HEADER_TWICE) {
            len_bytes = (uint32_t)sched_load(view.payload - 16, 4) & 0xffff;
        }
        if (!within(view.payload, len_bytes, shared.send_ring, sizeof(shared.send_ring))) {
            sched_fail("a record leaves its ring");
        }
        uint32_t before = reader.head;
        dgram_send_reader_advance(&reader, &view);
        if (!rs_seq_in_range(reader.head, before + 1, reader.tail)) {
            sched_fail("the reader's head left what was posted");
        }
    }
    poisoned = poisoned || status == RS_POISONED;
    dgram_send_reader_publish(&reader);
}

static void hostile_sender(void)
{
    for (uint32_t round = 0; round < rounds && !poisoned; round++) {
        uint32_t tail = 0;
        sched_round(round + 1);
        sched_observe(&reader, sizeof(reader));
        rs_fence_full();
        if (!post_pressure(&shared.channel) ||
            !post_level_take(&shared.socket, start_position, &tail)) {
            continue;
        }
        if (mutant == LEVEL_UNCHECKED) {
            reader.tail = tail;
        } else if (dgram_send_reader_extend(&reader, tail) != RS_OK) {
            poisoned = true;
            return;
        }
        if (rs_seq_distance(reader.head, reader.tail) > RING_BYTES) {
            sched_fail("the reader believes more than the ring holds");
        }
        send_drain();
    }
}

static const char *check_send(void)
{
    return rs_seq_distance(reader.head, reader.tail) <= RING_BYTES &&
                   reader.base == shared.send_ring && reader.size_bytes == RING_BYTES
               ? NULL
               : "the reader's own state is damaged";
}

/* ---------------------------------------------------------------------------------------------- */

static bool run(const char *what, const struct sched_test *test, enum mutant rule)
{
    mutant = rule;
    bool ok = sched_report(what, test, sched_explore_all(test, STATES_MAX), rule != RIGHT);
    mutant = RIGHT;
    return ok;
}

int main(int argc, char **argv)
{
#ifdef __SANITIZE_THREAD__
    return 77; /* coroutines on one thread: nothing for TSan, and it does not know them */
#endif
    if (argc > 1 && strcmp(argv[1], "deep") == 0) {
        requests = 9;
        pokes = 4;
        rounds = 5;
    }
    struct sched_test honest = {.name = "honest",
                                .setup = setup,
                                .sides = {producer_side, consumer_side},
                                .check = check_all_taken,
                                .shared = &shared,
                                .shared_bytes = sizeof(shared)};
    struct sched_test move = honest;
    move.setup = setup_move;
    move.sides[0] = mover_0;
    move.sides[1] = mover_1;
    move.sides[2] = two_channel_side;
    move.check = check_moved;
    struct sched_test hostile = honest;
    hostile.setup = setup_hostile;
    hostile.sides[0] = hostile_consumer;
    hostile.sides[1] = slot_writer;
    hostile.check = check_hostile;
    hostile.access = hostile_access;
    struct sched_test send = hostile;
    send.sides[0] = hostile_sender;
    send.sides[1] = send_writer;
    send.check = check_send;
    bool ok = true;
    for (uint32_t i = 0; i < 2; i++) {
        start_position = i == 0 ? 0 : 0xfffffffdu;
        printf("from position %#x\n", start_position);
        ok = run("honest producer", &honest, RIGHT) && ok;
        ok = run("  seq stored first", &honest, SEQ_FIRST) && ok;
        ok = run("  no look at request_head", &honest, NO_ROOM_CHECK) && ok;
        ok = run("  head published before the copy", &honest, HEAD_EARLY) && ok;
        ok = run("socket moves between channels", &move, RIGHT) && ok;
        ok = run("  moves without waiting", &move, NO_MOVE_WAIT) && ok;
        ok = run("arbitrary writer: slots", &hostile, RIGHT) && ok;
        ok = run("  checks the copy, uses the slot", &hostile, LOOK_TWICE) && ok;
        ok = run("arbitrary writer: send_level, send ring", &send, RIGHT) && ok;
        ok = run("  send_level believed", &send, LEVEL_UNCHECKED) && ok;
        ok = run("  header checked, record used", &send, HEADER_TWICE) && ok;
    }
    return ok ? 0 : 1;
}
