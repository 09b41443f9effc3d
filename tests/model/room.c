/*
 * News of room in a stream's receive ring (rings/README.md, "Stream sockets") under all
 * interleavings: the client's half is the real code (stream_ring.h), the dataplane's is written
 * down here with the smallest ring that can stall. A peer that waits for a window which nobody
 * opens although there is room is a run in which no side can go on. Each rule is taken out once and
 * must then fail.
 */
#include "tests/model/sched.h"

#include "rings/stream_ring.h"

enum { SIZE = 4, STEP = 2, NEVER = 1 << 30, STATES_MAX = 6000000 };

static struct {
    _Alignas(8) rs_atomic_u32 recv_head;
    _Alignas(8) rs_atomic_u32 recv_tail;
    _Alignas(8) rs_atomic_u32 recv_notify;
    _Alignas(8) rs_atomic_u32 consumed; /* RS_OP_CONSUMED slots posted */
    uint8_t bytes[8];
} shared;

static enum mutant {
    RIGHT,
    NO_LOOK,       /* the dataplane does not look at recv_head behind its fence */
    NEVER_STAYS,   /* a read that leaves nothing is like any other */
    LOOK_TELLS_NOT /* a look that takes nothing tells nothing */
} mutant;

static uint32_t start, total;
/* The client takes so many bytes at a time, and looks until they are there; 0: any. */
static uint32_t needs;
static bool asks; /* a client that found nothing looks itself, it does not only wait */

static struct stream_reader reader;
static struct stream_note note;
static struct stream_writer writer;
static uint32_t edge; /* of the window that the peer knows */

static void setup(void)
{
    memset(&shared, 0, sizeof(shared));
    shared.recv_head = shared.recv_tail = start;
    shared.recv_notify = start + NEVER;
    stream_reader_init(&reader, shared.bytes, SIZE, start);
    stream_writer_init(&writer, shared.bytes, SIZE, SIZE, start);
    note = (struct stream_note){.seen = start};
    edge = start + SIZE;
}

/* ---- client -----------------------------------------------------------------------------------
 */

static void client_note(bool stays)
{
    bool due = stream_note_due(&note, &reader, &shared.recv_notify, stays && mutant != NEVER_STAYS);
    if (due) {
        atomic_fetch_add_explicit(&shared.consumed, 1, memory_order_release);
    }
}

static void client(void)
{
    while (reader.head != start + total) {
        sched_round(1);
        sched_observe(&reader.head, 2 * sizeof(uint32_t));
        sched_observe(&note.seen, 2 * sizeof(uint32_t));
        sched_observe(&note.any_told, 1);
        if (stream_reader_refresh(&reader, &shared.recv_tail, RS_CORRUPT) != RS_OK) {
            sched_fail("recv_tail cannot be");
        }
        uint32_t ready = stream_reader_ready(&reader);
        bool last = reader.tail_cached == start + total;
        if (ready == 0 || (ready < needs && !last)) {
            if ((asks || ready != 0) && mutant != LOOK_TELLS_NOT) {
                client_note(true);
            }
            sched_yield_side();
            continue;
        }
        uint32_t taken = needs != 0 && ready >= needs ? needs : 1 + sched_choose(ready);
        stream_reader_consume(&reader, taken);
        stream_reader_publish(&reader, &shared.recv_head);
        client_note(stream_reader_ready(&reader) == 0);
    }
}

/* ---- dataplane --------------------------------------------------------------------------------
 */

/* The window has opened by so much that the peer should hear of it. */
static void dataplane_announce(void)
{
    if (stream_writer_refresh(&writer, &shared.recv_head, RS_POISONED) != RS_OK) {
        sched_fail("recv_head cannot be");
    }
    uint32_t room = writer.head_cached + SIZE - writer.tail, left = edge - writer.tail;
    if (room >= left + STEP && room >= 2 * left) {
        edge = writer.head_cached + SIZE;
    }
}

/* Where recv_head makes that so. */
static uint32_t dataplane_position(void)
{
    uint32_t left = edge - writer.tail;
    uint32_t room = left > STEP ? 2 * left : left + STEP;
    return room <= SIZE ? writer.tail + room - SIZE : writer.tail + NEVER;
}

/* D1 to D3, until there is nothing to announce. */
static void dataplane_settle(void)
{
    for (;;) {
        uint32_t position = dataplane_position();
        atomic_store_explicit(&shared.recv_notify, position, memory_order_relaxed);
        rs_fence_full();
        uint32_t head = atomic_load_explicit(&shared.recv_head, memory_order_relaxed);
        if (mutant == NO_LOOK || rs_seq_before(head, position)) {
            return;
        }
        dataplane_announce();
    }
}

static void dataplane(void)
{
    uint32_t taken = 0;
    while (!sched_other_done()) {
        sched_round(2);
        sched_observe(&writer.tail, 2 * sizeof(uint32_t));
        sched_observe(&edge, sizeof(edge));
        sched_observe(&taken, sizeof(taken));
        uint32_t posted = atomic_load_explicit(&shared.consumed, memory_order_acquire);
        if (posted != taken) {
            taken = posted;
            dataplane_announce();
            dataplane_settle();
            continue;
        }
        uint32_t window = edge - writer.tail, left = start + total - writer.tail;
        if (window == 0 || left == 0) {
            sched_yield_side();
            continue;
        }
        stream_writer_commit(&writer, 1 + sched_choose(window < left ? window : left));
        stream_writer_publish(&writer, &shared.recv_tail); /* recv_notify comes behind it */
        dataplane_announce();
        dataplane_settle();
    }
}

/* ---------------------------------------------------------------------------------------------- */

static const char *check_all_read(void)
{
    return reader.head == start + total ? NULL : "bytes are missing";
}

static bool run(const char *what, enum mutant rule, uint32_t fences_off)
{
    const struct sched_test test = {.name = "room",
                                    .setup = setup,
                                    .sides = {client, dataplane},
                                    .check = check_all_read,
                                    .shared = &shared,
                                    .shared_bytes = sizeof(shared),
                                    .fences_off = fences_off};
    mutant = rule;
    return sched_report(what, &test, sched_explore_all(&test, STATES_MAX),
                        rule != RIGHT || fences_off != 0);
}

int main(int argc, char **argv)
{
#ifdef __SANITIZE_THREAD__
    return 77; /* coroutines on one thread: nothing for TSan, and it does not know them */
#endif
    total = argc > 1 && strcmp(argv[1], "deep") == 0 ? 10 : 6;
    start = UINT32_MAX - 5;
    bool ok = run("a client that waits for bytes", RIGHT, 0);
    ok = run("  the client does not fence", RIGHT, 1) && ok;
    ok = run("  the dataplane does not fence", RIGHT, 2) && ok;
    ok = run("  the dataplane does not look again", NO_LOOK, 0) && ok;
    ok = run("  a read that leaves nothing loads nothing", NEVER_STAYS, 0) && ok;
    asks = true;
    ok = run("a client that looks when it finds nothing", RIGHT, 0) && ok;
    asks = false;
    needs = 3;
    total += 4;
    ok = run("a client that looks until three bytes are there", RIGHT, 0) && ok;
    ok = run("  looking tells nothing", LOOK_TELLS_NOT, 0) && ok;
    return ok ? 0 : 1;
}
