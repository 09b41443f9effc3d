/*
 * A small model checker: runs two to four functions as coroutines, makes a scheduling decision at
 * every atomic operation of the real ring headers, and gives each side a store buffer (x86-TSO), so
 * that a missing store-load fence shows. Include it before any rings/ header: it takes the place of
 * the atomic operations of <stdatomic.h>, and of memcpy, in that file. Single-threaded.
 *
 * sched_explore_all tries every run: at each operation any side may go on, or the oldest store of
 * any side's buffer is written. A state that was seen before is not looked at again. A state is
 * the memory, the buffers, and for each side all it has loaded so far (it is a function of that);
 * so what a side reads by plain loads that another side writes must be told with sched_observe, and
 * plain words have one writer. sched_explore and sched_random are for what is too large: all runs
 * with at most so many deviations (a switch to another side with the oldest k buffered stores
 * written), and random ones.
 */
#ifndef RINGSOCK_TESTS_MODEL_SCHED_H
#define RINGSOCK_TESTS_MODEL_SCHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_thread_fence
/* A statement expression, so that an unused result is no warning, as with the real ones. */
#define SCHED_VALUE(p)                     __typeof__(*(p) + 0)
#define atomic_load_explicit(p, order)     ((SCHED_VALUE(p))sched_load((p), sizeof(*(p))))
#define atomic_store_explicit(p, v, order) sched_store((p), (uint64_t)(v), sizeof(*(p)))
#define atomic_exchange_explicit(p, v, order) \
    ({ (SCHED_VALUE(p)) sched_modify((p), sizeof(*(p)), SCHED_SET, (uint64_t)(v)); })
#define atomic_fetch_add_explicit(p, v, order) \
    ({ (SCHED_VALUE(p)) sched_modify((p), sizeof(*(p)), SCHED_ADD, (uint64_t)(v)); })
#define atomic_fetch_or_explicit(p, v, order) \
    ({ (SCHED_VALUE(p)) sched_modify((p), sizeof(*(p)), SCHED_OR, (uint64_t)(v)); })
#define atomic_fetch_and_explicit(p, v, order) \
    ({ (SCHED_VALUE(p)) sched_modify((p), sizeof(*(p)), SCHED_AND, (uint64_t)(v)); })
#define atomic_thread_fence(order)    sched_fence()
#define memcpy(target, source, bytes) sched_copy((target), (source), (bytes))

enum { SCHED_SIDES_MAX = 4 };
enum sched_modify_op { SCHED_SET, SCHED_ADD, SCHED_OR, SCHED_AND };
enum sched_access { SCHED_LOAD, SCHED_STORE };

uint64_t sched_load(const volatile void *address, size_t bytes);
void sched_store(volatile void *address, uint64_t value, size_t bytes);
uint64_t sched_modify(volatile void *address, size_t bytes, enum sched_modify_op op,
                      uint64_t value);
void sched_fence(void);
/* memcpy; what lies in sched_test.shared is copied word by word, each a load or store as above. */
void sched_copy(void *target, const void *source, size_t bytes);
/* A store that is in memory at once, for a writer that may do anything at any moment. */
void sched_poke(volatile void *address, uint64_t value, size_t bytes);

/* Which side is calling. */
unsigned sched_side(void);
/* One of `options` values, from 0: every one is tried. */
uint32_t sched_choose(uint32_t options);
/* The calling side has looked at everything and found nothing to do: it goes on when something has
 * changed since its newest sched_round or sched_other_done. */
void sched_yield_side(void);
/* True once all other sides have returned and their buffered stores are written. */
bool sched_other_done(void);

/* The side starts a round of its loop, before it looks at anything; what it does next depends only
 * on `point` and on what it then tells sched_observe. Without it two ways to the same state count
 * as two. */
void sched_round(uint32_t at);
void sched_observe(const void *data, size_t bytes);

/* An auto-reset event. Sides that wait while nobody is left to signal are a lost wake-up: the run
 * fails. */
struct sched_event {
    _Alignas(8) uint32_t signalled; /* memory is hashed by aligned words of 8 bytes */
};
void sched_event_signal(struct sched_event *event);
void sched_event_wait(struct sched_event *event);

struct sched_mutex {
    _Alignas(8) uint32_t held;
};
void sched_mutex_lock(struct sched_mutex *mutex);
void sched_mutex_unlock(struct sched_mutex *mutex);

/* Ends the run as failed; called by a side; does not return. */
_Noreturn void sched_fail(const char *why);

struct sched_test {
    const char *name;
    void (*setup)(void);
    void (*sides[SCHED_SIDES_MAX])(void); /* NULL after the last */
    const char *(*check)(
        void); /* after all sides returned; NULL: all is well, else what is wrong */
    /* NULL, or asked about each load, store and poke before it is done: NULL, or what is wrong. */
    const char *(*access)(unsigned side_idx, const volatile void *address, size_t bytes,
                          enum sched_access access);
    void *shared; /* where sched_copy copies word by word */
    size_t shared_bytes;
    uint32_t fences_off; /* bit i: side i's store-load fences do nothing: the test of the test */
};

struct sched_result {
    uint64_t runs;
    uint64_t states; /* of sched_explore_all */
    bool failed;
    char why[128];
};

/* All runs; ends at the first failure. More than `states_max` states are a failure too. */
struct sched_result sched_explore_all(const struct sched_test *test, uint64_t states_max);
/* All runs with at most `deviations` deviations, ends at the first failure. */
struct sched_result sched_explore(const struct sched_test *test, unsigned deviations);
struct sched_result sched_random(const struct sched_test *test, uint64_t seed, uint64_t runs);

/* Prints a result; after a failure that was not wanted also the operations of that run. True: as
 * wanted. */
bool sched_report(const char *what, const struct sched_test *test, struct sched_result result,
                  bool must_fail);

#endif
