/*
 * See wheel.h.
 *
 * With t the wheel's tick, a timer of tick d > t is on the level of the highest digit (of 6 bits)
 * in which d and t differ, in the slot of d's digit there: beyond t's own digit on that level.
 * Moving t forward keeps that true as long as it does not reach the first slot with timers; when it
 * does, the slot's timers are placed anew. Only the last level wraps: its slots are counted from
 * t's digit on.
 */
#include "dataplane/wheel.h"

#include <string.h>

enum {
    LAST_LEVEL = WHEEL_LEVELS - 1,
    LAST_SHIFT = LAST_LEVEL * WHEEL_SLOT_SHIFT,
    SLOT_MASK = WHEEL_SLOTS - 1
};
#define TICK_NEVER UINT64_MAX

static uint64_t due_tick(uint64_t due_ns)
{
    return (due_ns >> WHEEL_TICK_SHIFT) + ((due_ns & (WHEEL_TICK_NS - 1)) != 0 ? 1 : 0);
}

static uint32_t place(const struct wheel *wheel, uint64_t tick)
{
    uint64_t now = wheel->tick;
    if (tick <= now) {
        return (uint32_t)(now & SLOT_MASK);
    }
    uint64_t differ = tick ^ now;
    if (differ >> LAST_SHIFT == 0) {
        uint32_t level = (63u - (uint32_t)__builtin_clzll(differ)) / WHEEL_SLOT_SHIFT;
        return level * WHEEL_SLOTS + (uint32_t)(tick >> level * WHEEL_SLOT_SHIFT & SLOT_MASK);
    }
    uint64_t ahead = (tick >> LAST_SHIFT) - (now >> LAST_SHIFT);
    ahead = ahead < SLOT_MASK ? ahead : SLOT_MASK;
    return LAST_LEVEL * WHEEL_SLOTS + (uint32_t)(((now >> LAST_SHIFT) + ahead) & SLOT_MASK);
}

static void link_timer(struct wheel *wheel, struct wheel_timer *timer, uint32_t slot)
{
    struct wheel_timer **head = &wheel->slots[slot];
    timer->next = *head;
    timer->prev = head;
    timer->slot = (uint16_t)slot;
    if (timer->next != NULL) {
        timer->next->prev = &timer->next;
    }
    *head = timer;
    wheel->occupied[slot / WHEEL_SLOTS] |= (uint64_t)1 << slot % WHEEL_SLOTS;
}

static void unlink_timer(struct wheel *wheel, struct wheel_timer *timer)
{
    uint32_t slot = timer->slot;
    *timer->prev = timer->next;
    if (timer->next != NULL) {
        timer->next->prev = timer->prev;
    }
    timer->next = NULL;
    timer->prev = NULL;
    if (wheel->slots[slot] == NULL) {
        wheel->occupied[slot / WHEEL_SLOTS] &= ~((uint64_t)1 << slot % WHEEL_SLOTS);
    }
}

/* The first tick of the first slot with timers, and that slot; TICK_NEVER without any. */
static uint64_t first_slot(const struct wheel *wheel, uint32_t *slot)
{
    for (uint32_t level = 0; level < LAST_LEVEL; level++) {
        if (wheel->occupied[level] != 0) {
            uint32_t idx = (uint32_t)__builtin_ctzll(wheel->occupied[level]);
            uint32_t shift = level * WHEEL_SLOT_SHIFT;
            uint64_t block = wheel->tick >> shift >> WHEEL_SLOT_SHIFT;
            *slot = level * WHEEL_SLOTS + idx;
            return (block << WHEEL_SLOT_SHIFT | idx) << shift;
        }
    }
    uint64_t bits = wheel->occupied[LAST_LEVEL];
    if (bits == 0) {
        return TICK_NEVER;
    }
    uint64_t next = (wheel->tick >> LAST_SHIFT) + 1;
    uint32_t turn = (uint32_t)(next & SLOT_MASK);
    next += (uint64_t)__builtin_ctzll(bits >> turn | bits << (-turn & SLOT_MASK));
    *slot = LAST_LEVEL * WHEEL_SLOTS + (uint32_t)(next & SLOT_MASK);
    return next << LAST_SHIFT;
}

/* The wheel's tick is the slot's first one now: its timers go to levels below it. */
static void cascade(struct wheel *wheel, uint32_t slot)
{
    struct wheel_timer *timer = wheel->slots[slot];
    wheel->slots[slot] = NULL;
    wheel->occupied[slot / WHEEL_SLOTS] &= ~((uint64_t)1 << slot % WHEEL_SLOTS);
    while (timer != NULL) {
        struct wheel_timer *next = timer->next;
        link_timer(wheel, timer, place(wheel, due_tick(timer->due_ns)));
        wheel->steps++;
        timer = next;
    }
}

void wheel_init(struct wheel *wheel, uint64_t now_ns)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->tick = now_ns >> WHEEL_TICK_SHIFT;
}

void wheel_set(struct wheel *wheel, struct wheel_timer *timer, uint64_t due_ns)
{
    uint32_t slot = place(wheel, due_tick(due_ns));
    timer->due_ns = due_ns;
    if (timer->prev != NULL) {
        if (timer->slot == slot) {
            return; /* often: a far timer put off a little */
        }
        unlink_timer(wheel, timer);
    }
    link_timer(wheel, timer, slot);
}

void wheel_cancel(struct wheel *wheel, struct wheel_timer *timer)
{
    if (timer->prev != NULL) {
        unlink_timer(wheel, timer);
    }
}

struct wheel_timer *wheel_take_due(struct wheel *wheel, uint64_t now_ns)
{
    uint64_t now = now_ns >> WHEEL_TICK_SHIFT;
    for (;;) {
        uint32_t slot = 0;
        uint64_t tick = first_slot(wheel, &slot);
        wheel->steps++;
        if (tick > now) {
            /* Nothing lies between. */
            wheel->tick = now > wheel->tick ? now : wheel->tick;
            return NULL;
        }
        wheel->tick = tick;
        if (slot < WHEEL_SLOTS) {
            struct wheel_timer *timer = wheel->slots[slot];
            unlink_timer(wheel, timer);
            return timer;
        }
        cascade(wheel, slot);
    }
}

uint64_t wheel_next_ns(const struct wheel *wheel)
{
    uint32_t slot = 0;
    uint64_t tick = first_slot(wheel, &slot);
    return tick > UINT64_MAX >> WHEEL_TICK_SHIFT ? UINT64_MAX : tick << WHEEL_TICK_SHIFT;
}
