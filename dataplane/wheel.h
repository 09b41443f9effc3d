/*
 * Timers of a queue: a hierarchical timing wheel (Varghese and Lauck, 1987) over timers that lie in
 * their owners. One thread, the queue's; its owner calls wheel_take_due in every iteration and acts
 * on what it gets. No clock of its own: time is what the caller says, and never goes back.
 *
 * Time is cut into ticks of 2^16 ns (65.5 µs). Level 0 has a slot for each tick of the current
 * block of 64, level 1 for each other block of the current block of blocks, and so on; the last
 * level goes round, 19.5 hours ahead, and what is due later still waits in its last slot to be
 * placed anew. So every timer of a level is due before every one of the next, and the lowest bit of
 * the first level that has one is what comes next. Setting and cancelling touch one slot. A timer
 * moves down at most four times on its way (and once in 19 hours beyond the last level), whatever
 * else is armed.
 */
#ifndef RINGSOCK_DATAPLANE_WHEEL_H
#define RINGSOCK_DATAPLANE_WHEEL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WHEEL_TICK_SHIFT = 16, /* of ns */
    WHEEL_SLOT_SHIFT = 6,
    WHEEL_SLOTS = 1 << WHEEL_SLOT_SHIFT, /* of a level: a word of bits */
    WHEEL_LEVELS = 5
};
#define WHEEL_TICK_NS ((uint64_t)1 << WHEEL_TICK_SHIFT)

/* In its owner's memory, which must stay while it is armed. All zero: not armed. */
struct wheel_timer {
    struct wheel_timer *next;
    struct wheel_timer **prev; /* what points here; NULL: not armed */
    uint64_t due_ns;           /* as last set; the owner may read it */
    uint16_t slot;             /* level and slot, while armed */
    uint8_t kind;              /* the owner's, to know its timers apart; not touched here */
};
static_assert(sizeof(struct wheel_timer) <= 32, "two timers in a cache line");

struct wheel {
    uint64_t occupied[WHEEL_LEVELS]; /* a bit for each slot that has timers */
    uint64_t tick;                   /* how far the wheel has turned */
    uint64_t steps; /* slots looked at and timers moved by wheel_take_due, ever: what it cost */
    struct wheel_timer *slots[WHEEL_LEVELS * WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, uint64_t now_ns);

/* Arms the timer, or moves it when it is armed. A due_ns that has passed is due at once: who sets
 * one so while he takes due timers gets it again in the same round. */
void wheel_set(struct wheel *wheel, struct wheel_timer *timer, uint64_t due_ns);
/* Harmless when the timer is not armed. */
void wheel_cancel(struct wheel *wheel, struct wheel_timer *timer);

static inline bool wheel_is_armed(const struct wheel_timer *timer)
{
    return timer->prev != NULL;
}

/* One timer that is due, no longer armed; NULL when none is left. Its due_ns is at most now_ns: it
 * comes with the first now_ns that has reached due_ns rounded up to a tick. Ticks come in order,
 * timers of one tick in any. Costs nothing for the time that has passed: only for slots with timers
 * in them. */
struct wheel_timer *wheel_take_due(struct wheel *wheel, uint64_t now_ns);

/* When to call wheel_take_due next; nothing is due before. UINT64_MAX: no timer is armed. The
 * earliest timer's due_ns rounded up to a tick when that is near (level 0), else possibly earlier:
 * then the call may bring no timer, but a later wheel_next_ns. In the past when a timer is overdue.
 */
uint64_t wheel_next_ns(const struct wheel *wheel);

#endif
