/* See sched.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "tests/model/sched.h"
#include "tests/support/random.h"

enum { STACK_BYTES = 256 * 1024, BUFFER_MAX = 64, DECISIONS_MAX = 4096 };

struct buffered_store {
    volatile void *address;
    uint64_t value;
    size_t bytes;
};

struct side {
    ucontext_t context;
    bool done, waiting;
    struct buffered_store buffer[BUFFER_MAX];
    unsigned buffer_count;
};

static struct {
    const struct sched_test *test;
    struct side sides[2];
    unsigned current;
    ucontext_t main_context;
    bool failed;
    char why[128];
    /* decisions of this run: the first `fixed` are given, then 0, or random */
    uint16_t decisions[DECISIONS_MAX];
    uint16_t options[DECISIONS_MAX];
    unsigned decision_count, fixed;
    struct test_random *random;
    uint32_t switch_rate; /* of 8 random decisions, those that may deviate */
} model;

static _Alignas(64) unsigned char stacks[2][STACK_BYTES];

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t memory_read(const volatile void *address, size_t bytes)
{
    return bytes == 8 ? *(const volatile uint64_t *)address : *(const volatile uint32_t *)address;
}

static void memory_write(volatile void *address, uint64_t value, size_t bytes)
{
    if (bytes == 8) {
        *(volatile uint64_t *)address = value;
    } else {
        *(volatile uint32_t *)address = (uint32_t)value;
    }
}

static void buffer_flush(struct side *side, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        memory_write(side->buffer[i].address, side->buffer[i].value, side->buffer[i].bytes);
    }
    side->buffer_count -= count;
    memmove(side->buffer, side->buffer + count, side->buffer_count * sizeof(side->buffer[0]));
}

/* ---- decisions ------------------------------------------------------------------------------- */

_Noreturn void sched_fail(const char *why)
{
    snprintf(model.why, sizeof(model.why), "%s", why);
    model.failed = true;
    setcontext(&model.main_context);
    abort();
}

static unsigned decide(unsigned options)
{
    unsigned idx = model.decision_count++;
    if (idx >= DECISIONS_MAX) {
        sched_fail("run too long: a side never ends");
    }
    if (idx >= model.fixed) {
        model.decisions[idx] = 0;
        if (model.random != NULL && test_random_below(model.random, 8) < model.switch_rate) {
            model.decisions[idx] = (uint16_t)test_random_below(model.random, options);
        }
    }
    model.options[idx] = (uint16_t)options;
    return model.decisions[idx];
}

static void switch_sides(unsigned flushed)
{
    struct side *from = &model.sides[model.current];
    buffer_flush(from, flushed);
    model.current ^= 1;
    swapcontext(&from->context, &model.sides[model.current].context);
}

static bool other_can_run(void)
{
    const struct side *other = &model.sides[model.current ^ 1];
    return !other->done && !other->waiting;
}

/* Before each atomic operation: go on, or switch with the oldest k stores written. */
static void point(void)
{
    if (!other_can_run()) {
        return;
    }
    unsigned choice = decide(2 + model.sides[model.current].buffer_count);
    if (choice != 0) {
        switch_sides(choice - 1);
    }
}

void sched_yield_side(void)
{
    struct side *self = &model.sides[model.current];
    if (!other_can_run()) {
        buffer_flush(self, self->buffer_count);
        return;
    }
    switch_sides(self->buffer_count - decide(self->buffer_count + 1));
}

bool sched_other_done(void)
{
    return model.sides[model.current ^ 1].done;
}

/* ---- atomic operations ----------------------------------------------------------------------- */

uint64_t sched_load(const volatile void *address, size_t bytes)
{
    point();
    const struct side *self = &model.sides[model.current];
    for (unsigned i = self->buffer_count; i-- > 0;) {
        if (self->buffer[i].address == address) {
            return self->buffer[i].value;
        }
    }
    return memory_read(address, bytes);
}

void sched_store(volatile void *address, uint64_t value, size_t bytes)
{
    point();
    struct side *self = &model.sides[model.current];
    if (self->buffer_count == BUFFER_MAX) {
        buffer_flush(self, 1);
    }
    self->buffer[self->buffer_count++] = (struct buffered_store){address, value, bytes};
}

uint64_t sched_modify(volatile void *address, size_t bytes, enum sched_modify_op op, uint64_t value)
{
    point();
    struct side *self = &model.sides[model.current];
    buffer_flush(self, self->buffer_count);
    uint64_t old = memory_read(address, bytes);
    uint64_t fresh = op == SCHED_ADD ? old + value : op == SCHED_OR ? (old | value) : (old & value);
    memory_write(address, fresh, bytes);
    return old;
}

void sched_fence(void)
{
    point();
    struct side *self = &model.sides[model.current];
    if (!model.test->fences_off) {
        buffer_flush(self, self->buffer_count);
    }
}

void sched_event_signal(struct sched_event *event)
{
    point();
    /* A system call: everything before it is visible. */
    struct side *self = &model.sides[model.current];
    buffer_flush(self, self->buffer_count);
    event->signalled = true;
    model.sides[model.current ^ 1].waiting = false;
}

void sched_event_wait(struct sched_event *event)
{
    point();
    struct side *self = &model.sides[model.current];
    buffer_flush(self, self->buffer_count);
    while (!event->signalled) {
        if (!other_can_run()) {
            sched_fail("lost wake-up: a side waits and nobody is left to signal");
        }
        self->waiting = true;
        switch_sides(0);
    }
    event->signalled = false;
    self->waiting = false;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void side_main(void)
{
    struct side *self = &model.sides[model.current];
    model.test->sides[model.current]();
    point(); /* the last stores may stay in the buffer for a while */
    buffer_flush(self, self->buffer_count);
    self->done = true;
    struct side *other = &model.sides[model.current ^ 1];
    if (other->done) {
        swapcontext(&self->context, &model.main_context);
    } else if (other->waiting) {
        sched_fail("lost wake-up: a side waits and the other one is done");
    }
    model.current ^= 1;
    swapcontext(&self->context, &other->context);
}

static bool run_once(const struct sched_test *test)
{
    model.test = test;
    model.decision_count = 0;
    model.current = 0;
    test->setup();
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &model.sides[i];
        side->done = side->waiting = false;
        side->buffer_count = 0;
        getcontext(&side->context);
        side->context.uc_stack.ss_sp = stacks[i];
        side->context.uc_stack.ss_size = STACK_BYTES;
        side->context.uc_link = NULL;
        makecontext(&side->context, side_main, 0);
    }
    model.failed = false;
    swapcontext(&model.main_context, &model.sides[0].context);
    /* test->check runs without the scheduler: both sides are done, point() decides nothing. */
    const char *wrong = model.failed ? NULL : test->check();
    if (wrong != NULL) {
        snprintf(model.why, sizeof(model.why), "%s", wrong);
        model.failed = true;
    }
    return !model.failed;
}

static struct sched_result result_of(uint64_t runs, bool failed)
{
    struct sched_result result = {.runs = runs, .failed = failed};
    memcpy(result.why, failed ? model.why : "", failed ? sizeof(result.why) : 1);
    return result;
}

/* The next run in depth-first order within the budget of deviations; false when there is none. */
static bool next_run(unsigned deviations)
{
    unsigned used = 0;
    for (unsigned i = 0; i < model.decision_count; i++) {
        used += model.decisions[i] != 0;
    }
    for (unsigned i = model.decision_count; i-- > 0;) {
        used -= model.decisions[i] != 0;
        if (model.decisions[i] + 1u < model.options[i] && used < deviations) {
            model.decisions[i]++;
            model.fixed = i + 1;
            return true;
        }
    }
    return false;
}

struct sched_result sched_explore(const struct sched_test *test, unsigned deviations)
{
    uint64_t runs = 0;
    model.fixed = 0;
    model.random = NULL;
    do {
        runs++;
        if (!run_once(test)) {
            return result_of(runs, true);
        }
    } while (next_run(deviations));
    return result_of(runs, false);
}

struct sched_result sched_random(const struct sched_test *test, uint64_t seed, uint64_t runs)
{
    struct test_random random = test_random_make(seed);
    model.fixed = 0;
    model.random = &random;
    for (uint64_t i = 1; i <= runs; i++) {
        model.switch_rate = i % 2 == 0 ? 2 : 5;
        if (!run_once(test)) {
            model.random = NULL;
            return result_of(i, true);
        }
    }
    model.random = NULL;
    return result_of(runs, false);
}
