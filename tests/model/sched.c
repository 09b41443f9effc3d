/* See sched.h. */
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "tests/model/sched.h"
#include "tests/support/random.h"

#undef memcpy

enum { STACK_BYTES = 256 * 1024, BUFFER_MAX = 64, DECISIONS_MAX = 8192, STEPS_MAX = 20000 };

struct buffered_store {
    volatile void *address;
    uint64_t value;
    size_t bytes;
};

struct side {
    ucontext_t context;
    bool done, stalled;
    const uint32_t *wait_word; /* runs again when *wait_word is wait_value; NULL: does not wait */
    uint32_t wait_value;
    uint64_t history;      /* of all that the side has seen since its start or last sched_round */
    uint64_t seen_version; /* of memory, when the round began */
    struct buffered_store buffer[BUFFER_MAX];
    unsigned buffer_count;
};

struct traced {
    const char *what;
    const volatile void *address;
    uint64_t value;
    unsigned side_idx;
};

static struct {
    const struct sched_test *test;
    struct side sides[SCHED_SIDES_MAX];
    unsigned side_count, current;
    ucontext_t main_context;
    bool failed, all;
    bool running; /* sides are; else set-up or check, whose operations are plain */
    char why[128];
    uint64_t memory_hash; /* of all words that were ever written in this run */
    uint64_t version;     /* of memory, events and ended sides */
    uint32_t steps;
    /* decisions of this run: the first `fixed` are given, then 0, or random */
    uint16_t decisions[DECISIONS_MAX];
    uint16_t options[DECISIONS_MAX];
    unsigned decision_count, fixed;
    struct test_random *random;
    uint32_t switch_rate; /* of 8 random decisions, those that may deviate */
    struct traced trace[STEPS_MAX];
} model;

/* The states seen: open addressing, 0 is free. */
static struct {
    uint64_t *slots;
    uint64_t mask, count, max;
} seen;

static _Alignas(64) unsigned char stacks[SCHED_SIDES_MAX][STACK_BYTES];

/* ---- hashes ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    uint64_t z = hash * 0x9e3779b97f4a7c15ull + value;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static void note(uint64_t value)
{
    struct side *self = &model.sides[model.current];
    self->history = mix(self->history, value);
}

static void seen_create(uint64_t states_max)
{
    seen.max = states_max;
    seen.count = 0;
    seen.mask = 1024;
    while (seen.mask < 2 * states_max) {
        seen.mask *= 2;
    }
    seen.slots = calloc(seen.mask, sizeof(*seen.slots));
    seen.mask--;
    if (seen.slots == NULL) {
        abort();
    }
}

/* False: it was there. */
static bool seen_add(uint64_t key)
{
    key += key == 0;
    uint64_t at = key & seen.mask;
    while (seen.slots[at] != 0) {
        if (seen.slots[at] == key) {
            return false;
        }
        at = (at + 1) & seen.mask;
    }
    seen.slots[at] = key;
    seen.count++;
    return true;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t memory_read(const volatile void *address, size_t bytes)
{
    switch (bytes) {
    case 8:
        return *(const volatile uint64_t *)address;
    case 4:
        return *(const volatile uint32_t *)address;
    default:
        return *(const volatile uint8_t *)address;
    }
}

static void memory_write(volatile void *address, uint64_t value, size_t bytes)
{
    /* By aligned words of 8 bytes, so that stores of several sizes to one place are one state. */
    const volatile void *word =
        (const volatile void *)((uintptr_t)address & ~(uintptr_t)7); // NOLINT
    uint64_t before = memory_read(word, 8);
    switch (bytes) {
    case 8:
        *(volatile uint64_t *)address = value;
        break;
    case 4:
        *(volatile uint32_t *)address = (uint32_t)value;
        break;
    default:
        *(volatile uint8_t *)address = (uint8_t)value;
    }
    uint64_t after = memory_read(word, 8);
    if (before != after) {
        uint64_t place = mix(0, (uintptr_t)word);
        model.memory_hash += mix(place, after) - mix(place, before);
        model.version++;
        for (unsigned i = 0; i < model.side_count; i++) {
            model.sides[i].stalled = false;
        }
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

static void trace(const char *what, const volatile void *address, uint64_t value)
{
    if (model.steps >= STEPS_MAX) {
        sched_fail("run too long: a side never ends");
    }
    model.trace[model.steps++] = (struct traced){what, address, value, model.current};
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

static bool side_runnable(const struct side *side)
{
    return !side->done && !side->stalled &&
           (side->wait_word == NULL || *side->wait_word == side->wait_value);
}

static void switch_to(unsigned side_idx)
{
    struct side *from = &model.sides[model.current];
    model.current = side_idx;
    swapcontext(&from->context, &model.sides[side_idx].context);
}

/* No side can run. */
static _Noreturn void finish(void)
{
    for (unsigned i = 0; i < model.side_count; i++) {
        if (!model.sides[i].done) {
            sched_fail(model.sides[i].wait_word != NULL
                           ? "lost wake-up: a side waits and nobody is left to signal"
                           : "a side waits for a change that nobody is left to make");
        }
    }
    setcontext(&model.main_context);
    abort();
}

static uint64_t state_key(void)
{
    uint64_t hash = model.memory_hash;
    for (unsigned i = 0; i < model.side_count; i++) {
        const struct side *side = &model.sides[i];
        hash = mix(hash, side->history);
        hash = mix(hash, (uint64_t)side->done | (uint64_t)side->stalled << 1 |
                             (uint64_t)(side->seen_version == model.version) << 2 |
                             (uint64_t)side->buffer_count << 3);
        hash = mix(hash, (uintptr_t)side->wait_word);
        for (unsigned k = 0; k < side->buffer_count; k++) {
            hash = mix(hash, (uintptr_t)side->buffer[k].address);
            hash = mix(hash, side->buffer[k].value);
        }
    }
    return hash;
}

uint32_t sched_choose(uint32_t options)
{
    if (model.all && model.decision_count >= model.fixed && !seen_add(mix(state_key(), options))) {
        setcontext(&model.main_context);
    }
    uint32_t choice = decide(options);
    note(choice);
    return choice;
}

/* sched_explore_all: chooses which side does its next operation, or whose oldest store is written,
 * until the calling side is to go on. */
static void schedule_all(void)
{
    for (;;) {
        unsigned runners[SCHED_SIDES_MAX], flushers[SCHED_SIDES_MAX];
        unsigned runner_count = 0, flusher_count = 0;
        for (unsigned i = 0; i < model.side_count; i++) {
            unsigned idx = (model.current + i) % model.side_count;
            if (side_runnable(&model.sides[idx])) {
                runners[runner_count++] = idx;
            }
            if (model.sides[idx].buffer_count != 0) {
                flushers[flusher_count++] = idx;
            }
        }
        unsigned options = runner_count + flusher_count;
        if (options == 0) {
            finish();
        }
        unsigned choice = 0;
        if (options > 1) {
            if (model.decision_count >= model.fixed && !seen_add(state_key())) {
                setcontext(&model.main_context);
            }
            choice = decide(options);
        }
        if (choice >= runner_count) {
            buffer_flush(&model.sides[flushers[choice - runner_count]], 1);
            continue;
        }
        if (runners[choice] != model.current) {
            switch_to(runners[choice]);
        }
        return;
    }
}

static unsigned runnable_others(unsigned others[SCHED_SIDES_MAX])
{
    unsigned count = 0;
    for (unsigned i = 1; i < model.side_count; i++) {
        unsigned idx = (model.current + i) % model.side_count;
        if (side_runnable(&model.sides[idx])) {
            others[count++] = idx;
        }
    }
    return count;
}

/* Before each atomic operation: go on, or switch with the oldest k stores written. */
static void point(void)
{
    if (!model.running) {
        return;
    }
    if (model.all) {
        schedule_all();
        return;
    }
    unsigned others[SCHED_SIDES_MAX];
    struct side *self = &model.sides[model.current];
    unsigned count = runnable_others(others);
    unsigned kept = self->buffer_count + 1;
    unsigned choice = count == 0 ? 0 : decide(1 + count * kept);
    if (choice != 0) {
        buffer_flush(self, (choice - 1) % kept);
        switch_to(others[(choice - 1) / kept]);
    }
}

/* The calling side cannot go on: another one does. */
static void leave(void)
{
    if (model.all) {
        schedule_all();
        return;
    }
    struct side *self = &model.sides[model.current];
    unsigned others[SCHED_SIDES_MAX];
    if (runnable_others(others) == 0) {
        buffer_flush(self, self->buffer_count);
    } else if (self->buffer_count != 0) {
        buffer_flush(self, self->buffer_count - decide(self->buffer_count + 1));
    }
    unsigned count = runnable_others(others);
    if (count != 0) {
        switch_to(others[count == 1 ? 0 : decide(count)]);
    } else if (!side_runnable(self)) {
        finish();
    }
}

unsigned sched_side(void)
{
    return model.current;
}

void sched_yield_side(void)
{
    struct side *self = &model.sides[model.current];
    self->stalled = self->seen_version == model.version;
    leave();
}

bool sched_other_done(void)
{
    struct side *self = &model.sides[model.current];
    self->seen_version = model.version;
    bool done = true;
    for (unsigned i = 0; i < model.side_count; i++) {
        const struct side *side = &model.sides[i];
        done = done && (i == model.current || (side->done && side->buffer_count == 0));
    }
    note(done);
    return done;
}

void sched_round(uint32_t at)
{
    struct side *self = &model.sides[model.current];
    self->history = mix(1, at);
    self->seen_version = model.version;
}

void sched_observe(const void *data, size_t bytes)
{
    const uint8_t *byte = data;
    uint64_t hash = bytes;
    for (; bytes >= 8; bytes -= 8, byte += 8) {
        uint64_t word;
        memcpy(&word, byte, sizeof(word));
        hash = mix(hash, word);
    }
    for (; bytes > 0; bytes--, byte++) {
        hash = mix(hash, *byte);
    }
    note(hash);
}

/* ---- atomic operations ----------------------------------------------------------------------- */

static void access_check(const volatile void *address, size_t bytes, enum sched_access access)
{
    const char *wrong = model.running && model.test->access != NULL
                            ? model.test->access(model.current, address, bytes, access)
                            : NULL;
    if (wrong != NULL) {
        sched_fail(wrong);
    }
}

uint64_t sched_load(const volatile void *address, size_t bytes)
{
    if (!model.running) {
        return memory_read(address, bytes);
    }
    point();
    access_check(address, bytes, SCHED_LOAD);
    const struct side *self = &model.sides[model.current];
    uint64_t value = memory_read(address, bytes);
    for (unsigned i = self->buffer_count; i-- > 0;) {
        if (self->buffer[i].address == address && self->buffer[i].bytes == bytes) {
            value = self->buffer[i].value;
            break;
        }
    }
    note(value);
    trace("load", address, value);
    return value;
}

void sched_store(volatile void *address, uint64_t value, size_t bytes)
{
    if (!model.running) {
        memory_write(address, value, bytes);
        return;
    }
    point();
    access_check(address, bytes, SCHED_STORE);
    struct side *self = &model.sides[model.current];
    if (self->buffer_count == BUFFER_MAX) {
        buffer_flush(self, 1);
    }
    self->buffer[self->buffer_count++] = (struct buffered_store){address, value, bytes};
    note(1);
    trace("store", address, value);
}

void sched_poke(volatile void *address, uint64_t value, size_t bytes)
{
    point();
    access_check(address, bytes, SCHED_STORE);
    memory_write(address, value, bytes);
    note(1);
    trace("poke", address, value);
}

uint64_t sched_modify(volatile void *address, size_t bytes, enum sched_modify_op op, uint64_t value)
{
    point();
    access_check(address, bytes, SCHED_STORE);
    struct side *self = &model.sides[model.current];
    buffer_flush(self, self->buffer_count);
    uint64_t old = memory_read(address, bytes);
    uint64_t fresh = value;
    switch (op) {
    case SCHED_SET:
        break;
    case SCHED_ADD:
        fresh = old + value;
        break;
    case SCHED_OR:
        fresh = old | value;
        break;
    case SCHED_AND:
        fresh = old & value;
        break;
    }
    memory_write(address, fresh, bytes);
    note(old);
    trace("modify", address, fresh);
    return old;
}

void sched_fence(void)
{
    point();
    struct side *self = &model.sides[model.current];
    if ((model.test->fences_off >> model.current & 1) == 0) {
        buffer_flush(self, self->buffer_count);
    }
    note(1);
    trace("fence", NULL, 0);
}

static bool is_shared(const void *address)
{
    uintptr_t off = (uintptr_t)address - (uintptr_t)model.test->shared;
    return off < model.test->shared_bytes;
}

void sched_copy(void *target, const void *source, size_t bytes)
{
    bool load = model.running && is_shared(source);
    bool store = model.running && is_shared(target);
    if (!load && !store) {
        memcpy(target, source, bytes);
        return;
    }
    for (size_t off = 0, step; off < bytes; off += step) {
        const uint8_t *from = (const uint8_t *)source + off;
        uint8_t *to = (uint8_t *)target + off;
        uintptr_t odd = (uintptr_t)(load ? from : to) | (bytes - off);
        step = (odd & 7) == 0 ? 8 : (odd & 3) == 0 ? 4 : 1;
        uint64_t value = 0;
        if (load) {
            value = sched_load(from, step);
        } else {
            memcpy(&value, from, step);
        }
        if (store) {
            sched_store(to, value, step);
        } else {
            memcpy(to, &value, step);
        }
    }
}

/* A system call: everything before it is visible. */
static void system_call(void)
{
    point();
    struct side *self = &model.sides[model.current];
    buffer_flush(self, self->buffer_count);
    note(1);
}

static void wait_until(const uint32_t *word, uint32_t value)
{
    struct side *self = &model.sides[model.current];
    self->wait_word = word;
    self->wait_value = value;
    while (*word != value) {
        leave();
    }
    self->wait_word = NULL;
}

void sched_event_signal(struct sched_event *event)
{
    system_call();
    memory_write(&event->signalled, 1, sizeof(event->signalled));
    trace("signal", &event->signalled, 1);
}

void sched_event_wait(struct sched_event *event)
{
    system_call();
    trace("wait", &event->signalled, 0);
    wait_until(&event->signalled, 1);
    memory_write(&event->signalled, 0, sizeof(event->signalled));
    trace("woken", &event->signalled, 0);
}

void sched_mutex_lock(struct sched_mutex *mutex)
{
    system_call();
    wait_until(&mutex->held, 0);
    memory_write(&mutex->held, 1, sizeof(mutex->held));
    trace("lock", &mutex->held, 0);
}

void sched_mutex_unlock(struct sched_mutex *mutex)
{
    system_call();
    memory_write(&mutex->held, 0, sizeof(mutex->held));
    trace("unlock", &mutex->held, 0);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void side_main(void)
{
    struct side *self = &model.sides[model.current];
    self->history = 1;
    model.test->sides[model.current]();
    if (!model.all) {
        point(); /* the last stores may stay in the buffer for a while */
        buffer_flush(self, self->buffer_count);
    }
    self->done = true;
    self->history = 0;
    model.version++;
    for (unsigned i = 0; i < model.side_count; i++) {
        model.sides[i].stalled = false;
    }
    leave();
    abort(); /* nobody resumes a side that is done */
}

static bool run_once(const struct sched_test *test)
{
    model.test = test;
    model.decision_count = 0;
    model.current = 0;
    model.steps = 0;
    model.side_count = 0;
    test->setup();
    model.memory_hash = model.version = 0;
    for (unsigned i = 0; i < SCHED_SIDES_MAX && test->sides[i] != NULL; i++) {
        struct side *side = &model.sides[i];
        side->done = side->stalled = false;
        side->wait_word = NULL;
        side->buffer_count = 0;
        side->history = side->seen_version = 0;
        getcontext(&side->context);
        side->context.uc_stack.ss_sp = stacks[i];
        side->context.uc_stack.ss_size = STACK_BYTES;
        side->context.uc_link = NULL;
        makecontext(&side->context, side_main, 0);
        model.side_count++;
    }
    model.failed = false;
    model.running = true;
    swapcontext(&model.main_context, &model.sides[0].context);
    model.running = false;
    bool ended = true;
    for (unsigned i = 0; i < model.side_count; i++) {
        ended = ended && model.sides[i].done; /* else the run came to a state seen before */
    }
    /* test->check runs without the scheduler: all sides are done. */
    const char *wrong = model.failed || !ended ? NULL : test->check();
    if (wrong != NULL) {
        snprintf(model.why, sizeof(model.why), "%s", wrong);
        model.failed = true;
    }
    return !model.failed;
}

static struct sched_result result_of(uint64_t runs, bool failed)
{
    struct sched_result result = {.runs = runs, .states = seen.count, .failed = failed};
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

static struct sched_result explore(const struct sched_test *test, unsigned deviations)
{
    uint64_t runs = 0;
    bool failed = false;
    model.fixed = 0;
    model.random = NULL;
    do {
        runs++;
        failed = !run_once(test);
        if (!failed && model.all && seen.count > seen.max) {
            snprintf(model.why, sizeof(model.why), "more states than the test allows");
            failed = true;
        }
    } while (!failed && next_run(deviations));
    return result_of(runs, failed);
}

struct sched_result sched_explore_all(const struct sched_test *test, uint64_t states_max)
{
    seen_create(states_max + DECISIONS_MAX);
    seen.max = states_max;
    model.all = true;
    struct sched_result result = explore(test, UINT32_MAX);
    model.all = false;
    free(seen.slots);
    seen.slots = NULL;
    seen.count = 0;
    return result;
}

struct sched_result sched_explore(const struct sched_test *test, unsigned deviations)
{
    return explore(test, deviations);
}

struct sched_result sched_random(const struct sched_test *test, uint64_t seed, uint64_t runs)
{
    struct test_random random = test_random_make(seed);
    model.fixed = 0;
    model.random = &random;
    uint64_t count = 0;
    bool failed = false;
    while (!failed && count < runs) {
        count++;
        model.switch_rate = count % 2 == 0 ? 2 : 5;
        failed = !run_once(test);
    }
    model.random = NULL;
    return result_of(count, failed);
}

bool sched_report(const char *what, const struct sched_test *test, struct sched_result result,
                  bool must_fail)
{
    printf("%-44s %9llu runs", what, (unsigned long long)result.runs);
    if (result.states != 0) {
        printf(", %8llu states", (unsigned long long)result.states);
    }
    printf(": %s%s\n", result.failed ? result.why : "no violation",
           must_fail ? " (must fail)" : "");
    for (uint32_t i = 0; result.failed && !must_fail && i < model.steps; i++) {
        const struct traced *traced = &model.trace[i];
        printf("  side %u %-6s %+lld = %llx\n", traced->side_idx, traced->what,
               (long long)((intptr_t)traced->address - (intptr_t)test->shared),
               (unsigned long long)traced->value);
    }
    (void)fflush(stdout);
    return result.failed == must_fail;
}
