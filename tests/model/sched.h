/*
 * A small model checker: runs two functions as coroutines, makes a scheduling decision at every
 * atomic operation of the real ring headers, and gives each side a store buffer (x86-TSO), so that
 * a missing store-load fence shows. Include it before any rings/ header: it takes the place of the
 * atomic operations of <stdatomic.h> in that file. A run is a list of decisions; 0 is 'go on', any
 * other one a deviation (switch to the other side with the oldest k buffered stores written).
 * sched_explore tries all runs with at most so many deviations, sched_random random ones.
 * Single-threaded.
 */
#ifndef RINGSOCK_TESTS_MODEL_SCHED_H
#define RINGSOCK_TESTS_MODEL_SCHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_thread_fence
/* A statement expression, so that an unused result is no warning, as with the real ones. */
#define SCHED_VALUE(p)                     __typeof__(*(p) + 0)
#define atomic_load_explicit(p, order)     ((SCHED_VALUE(p))sched_load((p), sizeof(*(p))))
#define atomic_store_explicit(p, v, order) sched_store((p), (uint64_t)(v), sizeof(*(p)))
#define atomic_fetch_add_explicit(p, v, order) \
    ({ (SCHED_VALUE(p)) sched_modify((p), sizeof(*(p)), SCHED_ADD, (uint64_t)(v)); })
#define atomic_fetch_or_explicit(p, v, order) \
    ({ (SCHED_VALUE(p)) sched_modify((p), sizeof(*(p)), SCHED_OR, (uint64_t)(v)); })
#define atomic_fetch_and_explicit(p, v, order) \
    ({ (SCHED_VALUE(p)) sched_modify((p), sizeof(*(p)), SCHED_AND, (uint64_t)(v)); })
#define atomic_thread_fence(order) sched_fence()

enum sched_modify_op { SCHED_ADD, SCHED_OR, SCHED_AND };

uint64_t sched_load(const volatile void *address, size_t bytes);
void sched_store(volatile void *address, uint64_t value, size_t bytes);
uint64_t sched_modify(volatile void *address, size_t bytes, enum sched_modify_op op,
                      uint64_t value);
void sched_fence(void);

/* The calling side has nothing to do: the other one runs. */
void sched_yield_side(void);
/* True once the other side has returned and its buffered stores are written. */
bool sched_other_done(void);

/* An auto-reset event in the model. Waiting with the other side done, or waiting too, is a lost
 * wake-up: the run fails. */
struct sched_event {
    bool signalled;
};
void sched_event_signal(struct sched_event *event);
void sched_event_wait(struct sched_event *event);

/* Ends the run as failed; called by a side; does not return. */
_Noreturn void sched_fail(const char *why);

struct sched_test {
    const char *name;
    void (*setup)(void);
    void (*sides[2])(void);
    const char *(*check)(
        void);       /* after both sides returned; NULL: all is well, else what is wrong */
    bool fences_off; /* store-load fences do nothing: the test of the test */
};

struct sched_result {
    uint64_t runs;
    bool failed;
    char why[128];
};

/* All runs with at most `deviations` deviations, ends at the first failure. */
struct sched_result sched_explore(const struct sched_test *test, unsigned deviations);
struct sched_result sched_random(const struct sched_test *test, uint64_t seed, uint64_t runs);

#endif
