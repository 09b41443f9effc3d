/*
 * diff TRACE FIRST COUNT: the sequences of COUNT seeds from FIRST on, traced into TRACE (diff.h).
 * diff TRACE --only SEED: reads lines from stdin, each a list of the calls of the sequence to keep,
 * as hexadecimal digits of a bit mask, the first call's bit lowest; runs it once for each.
 */
#include <ctype.h>

#include "tests/spi/diff.h"

#define TOPICS   4u
#define MASK_MAX (DIFF_CALLS_MAX / 4u)

struct call {
    const struct diff_kind *kind;
    uint8_t slot, other;
    uint64_t seed;
};

static struct call plan[DIFF_CALLS_MAX];
static unsigned plan_calls;
static struct test_random plan_random, call_random;

uint32_t diff_pick(uint32_t bound)
{
    return test_random_below(&call_random, bound);
}

static uint32_t plan_pick(uint32_t bound)
{
    return test_random_below(&plan_random, bound);
}

/* ---- the plan ---- */

static void plan_add(const struct diff_kind *kind, unsigned slot, unsigned other)
{
    if (plan_calls < DIFF_CALLS_MAX) {
        plan[plan_calls++] = (struct call){.kind = kind,
                                           .slot = (uint8_t)slot,
                                           .other = (uint8_t)other,
                                           .seed = test_random_u64(&plan_random)};
    }
}

/* `between`, if any, is what the connecting side does before it is accepted. */
static void plan_connection(unsigned from, unsigned to, const struct diff_kind *between)
{
    static const struct diff_kind make = {"new-tcp", diff_new_tcp, WANTS_TCP, {0}};
    static const struct diff_kind connects = {"connect", diff_connect, WANTS_TCP, {0}};
    static const struct diff_kind accepts = {"accept", diff_accept, WANTS_LISTENER, {0}};
    plan_add(&make, from, 0);
    plan_add(&connects, from, 0);
    if (between != NULL) {
        plan_add(between, from, 0);
    }
    plan_add(&accepts, 0, to);
}

/* Slot 0 listens, 1 with 2 and 3 with 4 are connections, 5 to 7 are datagram sockets. */
static void plan_set_up(unsigned topic)
{
    static const struct diff_kind udp = {"new-udp", diff_new_udp, WANTS_UDP, {0}};
    static const struct diff_kind tcp = {"new-tcp", diff_new_tcp, WANTS_TCP, {0}};
    static const struct diff_kind binds = {"bind", diff_bind_loopback, WANTS_ANY, {0}};
    static const struct diff_kind binds_any = {"bind", diff_bind_any, WANTS_ANY, {0}};
    static const struct diff_kind joins = {"member", diff_join, WANTS_UDP, {0}};
    static const struct diff_kind listens = {"listen", diff_listen, WANTS_LISTENER, {0}};
    if (topic == 1 || topic == 2) {
        plan_add(&tcp, 0, 0);
        plan_add(&binds, 0, 0);
        plan_add(&listens, 0, 0);
        plan_connection(1, 2, NULL);
        if (plan_pick(2) != 0) {
            plan_connection(3, 4, NULL);
        } else {
            plan_add(&tcp, 3, 0);
        }
    }
    for (unsigned slot = 5; topic != 1 && slot < 8; slot++) {
        plan_add(&udp, slot, 0);
        if (topic != 3 && (slot == 5 || plan_pick(3) != 0)) {
            plan_add(&binds, slot, 0);
        }
        if (topic == 3 && plan_pick(2) != 0) {
            plan_add(plan_pick(2) != 0 ? &binds : &binds_any, slot, 0);
            plan_add(&joins, slot, 0);
        }
    }
}

static const struct diff_kind *plan_pick_kind(unsigned topic)
{
    const struct diff_kind *tables[] = {diff_kinds_socket, diff_kinds_io,         diff_kinds_option,
                                        diff_kinds_event,  diff_kinds_overlapped, diff_kinds_ext,
                                        diff_kinds_message};
    const unsigned counts[] = {diff_kinds_socket_count,     diff_kinds_io_count,
                               diff_kinds_option_count,     diff_kinds_event_count,
                               diff_kinds_overlapped_count, diff_kinds_ext_count,
                               diff_kinds_message_count};
    uint32_t total = 0, at = 0;
    for (int pass = 0; pass < 2; pass++) {
        uint32_t drawn = pass == 0 ? 0 : plan_pick(total);
        for (unsigned t = 0; t < sizeof(counts) / sizeof(counts[0]); t++) {
            for (unsigned i = 0; i < counts[t]; i++) {
                at += tables[t][i].weights[topic];
                if (pass == 1 && drawn < at) {
                    return &tables[t][i];
                }
            }
        }
        total = at;
        at = 0;
    }
    return &diff_kinds_socket[0];
}

/* What a call calls for: a look at what it may have changed, so that rare states are met at all. */
static void plan_add_look(const struct diff_kind *kind, unsigned slot)
{
    static const struct diff_kind enums = {"enum-events", diff_enum_events, WANTS_ANY, {0}};
    static const struct diff_kind error = {"so-error", diff_get_error, WANTS_TCP, {0}};
    static const struct diff_kind mark = {"at-mark", diff_at_mark, WANTS_TCP, {0}};
    static const struct diff_kind selects = {"event-select", diff_event_select, WANTS_ANY, {0}};
    static const struct diff_kind polls = {"poll", diff_poll, WANTS_ANY, {0}};
    static const struct diff_kind names = {"name", diff_name, WANTS_ANY, {0}};
    static const struct diff_kind receives = {"recv", diff_recv, WANTS_ANY, {0}};
    static const struct diff_kind disconnects = {
        "disconnect-ex", diff_disconnect_ex, WANTS_TCP, {0}};
    unsigned peer = slot >= 1 && slot <= 4 ? ((slot - 1) ^ 1u) + 1 : slot;
    if (kind->run == diff_event_select && plan_pick(2) != 0) {
        plan_add(&enums, slot, 0);
    } else if (kind->run == diff_abort && plan_pick(2) != 0) {
        const struct diff_kind *looks[] = {&error, &polls, &receives, &disconnects};
        plan_add(looks[plan_pick(4)], peer, 0);
        plan_add(&selects, peer, 0);
        plan_add(&enums, peer, 0);
    } else if (kind->run == diff_send_urgent && plan_pick(2) != 0) {
        plan_add(&mark, peer, 0);
    } else if (kind->run == diff_shutdown && plan_pick(2) != 0) {
        plan_add(&polls, plan_pick(2) != 0 ? slot : peer, 0);
        plan_add(&selects, plan_pick(2) != 0 ? slot : peer, 0);
        plan_add(&enums, slot, 0);
        plan_add(&enums, peer, 0);
    } else if (kind->run == diff_connect_ex) {
        plan_add(&names, slot, 0);
    } else if (kind->run == diff_send_to && plan_pick(4) != 0) {
        plan_add(plan_pick(3) == 0 ? &enums : &names, slot, 0);
    }
}

/* A connection that a listener's record may hear of, and one that its peer ends before it is taken.
 */
static void plan_add_arrival(void)
{
    static const struct diff_kind selects = {"event-select", diff_select_accept, WANTS_ANY, {0}};
    static const struct diff_kind enums = {"enum-events", diff_enum_events, WANTS_ANY, {0}};
    static const struct diff_kind aborts = {"abort", diff_abort, WANTS_TCP, {0}};
    unsigned from = 1 + 2 * plan_pick(2);
    bool watched = plan_pick(2) != 0;
    if (watched) {
        plan_add(&selects, 0, 0);
    }
    plan_connection(from, from + 1, watched ? NULL : &aborts);
    if (watched) {
        plan_add(&enums, 0, 0);
    }
}

static unsigned plan_pick_slot(const struct diff_kind *kind, unsigned topic)
{
    if (plan_pick(12) == 0) {
        return plan_pick(DIFF_SLOTS);
    }
    switch (kind->wants) {
    case WANTS_LISTENER:
        return 0;
    case WANTS_TCP:
        return 1 + plan_pick(4);
    case WANTS_UDP:
        return 5 + plan_pick(3);
    default:
        return topic == 1 ? plan_pick(5) : topic == 2 ? plan_pick(8) : 5 + plan_pick(3);
    }
}

static void plan_make(uint64_t seed)
{
    static const struct diff_kind sends = {"send", diff_send, WANTS_TCP, {0}};
    plan_random = test_random_make(seed);
    plan_calls = 0;
    unsigned topic = plan_pick(TOPICS);
    unsigned count = 20 + plan_pick(40);
    diff_plan_six = topic < 2 && plan_pick(3) == 0;
    plan_set_up(topic);
    while (plan_calls < count + 10) {
        if (topic == 1 && plan_pick(14) == 0) {
            unsigned from = 1 + 2 * plan_pick(2);
            plan_connection(from, from + 1, NULL);
            continue;
        }
        if (topic == 1 && plan_pick(30) == 0) {
            plan_add_arrival();
            continue;
        }
        const struct diff_kind *kind = plan_pick_kind(topic);
        unsigned slot = plan_pick_slot(kind, topic);
        unsigned other = kind->wants == WANTS_LISTENER ? 1 + plan_pick(4)
                         : topic == 1                  ? plan_pick(5)
                                                       : 5 + plan_pick(3);
        if (kind->run == diff_abort && plan_pick(2) != 0) {
            plan_add(&sends, slot, 0); /* so that something waits behind the reset */
        }
        plan_add(kind, slot, other);
        plan_add_look(kind, slot);
    }
}

/* ---- running it ---- */

static void run(uint64_t seed, const uint8_t *keep)
{
    plan_make(seed);
    diff_trace_seed(seed);
    for (unsigned i = 0; i < plan_calls; i++) {
        if (keep != NULL && (keep[i / 8] >> i % 8 & 1) == 0) {
            continue;
        }
        call_random = test_random_make(plan[i].seed);
        diff_line_begin(i);
        plan[i].kind->run(plan[i].slot, plan[i].other);
        diff_line_end();
    }
    diff_model_reset();
}

/* The bits of hexadecimal digits, the last digit's first. */
static void mask_read(const char *digits, uint8_t mask[MASK_MAX])
{
    size_t count = strspn(digits, "0123456789abcdef");
    memset(mask, 0, MASK_MAX);
    for (size_t i = 0; i < count && i < MASK_MAX; i++) {
        char digit = digits[count - 1 - i];
        unsigned value = (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
        mask[i / 2] |= (uint8_t)(value << (i % 2 * 4));
    }
}

static void run_masks(uint64_t seed)
{
    char line[256];
    uint8_t mask[MASK_MAX];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        mask_read(line, mask);
        run(seed, mask);
    }
}

int main(int argc, char **argv)
{
    WSADATA data;
    if (argc != 4) {
        fprintf(stderr, "diff TRACE FIRST COUNT, or diff TRACE --only SEED < masks\n");
        return 2;
    }
    int error = WSAStartup(MAKEWORD(2, 2), &data);
    if (error != 0) {
        fprintf(stderr, "WSAStartup: error %d\n", error);
        return 2;
    }
    diff_trace_open(argv[1]);
    diff_barrier_open();
    diff_ext_open();
    diff_message_open();
    diff_model_reset();
    if (strcmp(argv[2], "--only") == 0) {
        run_masks(strtoull(argv[3], NULL, 0));
    } else {
        uint64_t first = strtoull(argv[2], NULL, 0);
        for (uint64_t i = 0; i < strtoull(argv[3], NULL, 0); i++) {
            run(first + i, NULL);
        }
    }
    diff_barrier_close();
    diff_trace_close();
    return WSACleanup() == 0 ? 0 : 1;
}
