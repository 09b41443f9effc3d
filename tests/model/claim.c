/*
 * A call that has no reference (client_claim) under all interleavings: one thread calls on a handle
 * that another one closes and opens again, while a third opens and closes a second handle, from the
 * same few records and cores, so both come back in every order. What the claim is looked at by is
 * the real code; lookup, open and close are written down here as provider/spi/handle.c and
 * provider/client/socket.c do them. Held: whoever finds the claim true under the core's lock has an
 * open core of a socket that the handle named meanwhile, and it stays that until the lock is
 * dropped. Each rule is taken out once and must then fail.
 */
#include "tests/model/sched.h"

#include "provider/client/client_internal.h"

enum { RECORDS = 2, CORES = 2, HANDLES = 2, STATES_MAX = 6000000 };
enum { CLOSED, OF_FIRST, OF_SECOND }; /* a core; whose, by handle */

struct record {
    _Alignas(8) _Atomic uintptr_t life;
    _Alignas(8) _Atomic uintptr_t core; /* 0: none; else its number, from 1 */
};

static struct {
    _Alignas(8) void *_Atomic places[HANDLES];
    struct record records[RECORDS];
    struct {
        _Alignas(8) _Atomic uint32_t lock;
        _Alignas(8) _Atomic uint32_t owner;
    } cores[CORES];
    _Alignas(8) _Atomic uint32_t records_used, cores_used; /* a bit each; by the mutex */
} shared;
static struct sched_mutex mutex;

static enum mutant {
    RIGHT,
    NO_PLACE,       /* the claim is the life alone */
    NO_LIFE,        /* or the place alone */
    LOOKS_EARLY,    /* the claim is looked at before the lock is taken */
    CORE_FIRST,     /* life is read behind the core */
    LIFE_FIRST,     /* a new life begins with the old one's core */
    PLACE_STAYS,    /* the place is cleared behind the close */
    CLOSES_UNLOCKED /* a close does not take the core's lock */
} mutant;

static void core_lock(uint32_t core)
{
    while (atomic_exchange_explicit(&shared.cores[core].lock, 1, memory_order_acquire) != 0) {
        sched_yield_side();
    }
}

static void core_unlock(uint32_t core)
{
    atomic_store_explicit(&shared.cores[core].lock, 0, memory_order_release);
}

/* ---- the caller ------------------------------------------------------------------------------ */

static bool holds(const struct client_claim *claim)
{
    switch (mutant) {
    case NO_PLACE:
        return atomic_load_explicit(claim->life, memory_order_relaxed) == claim->life_seen;
    case NO_LIFE:
        return atomic_load_explicit(claim->place, memory_order_acquire) == claim->record;
    default:
        return client_claim_holds(claim);
    }
}

static void caller(void)
{
    struct record *record = atomic_load_explicit(&shared.places[0], memory_order_acquire);
    if (record == NULL) {
        return;
    }
    uintptr_t core = 0;
    if (mutant == CORE_FIRST) {
        core = atomic_load_explicit(&record->core, memory_order_acquire);
    }
    const struct client_claim claim = {
        .place = &shared.places[0],
        .record = record,
        .life = &record->life,
        .life_seen = atomic_load_explicit(&record->life, memory_order_acquire)};
    if (mutant != CORE_FIRST) {
        core = atomic_load_explicit(&record->core, memory_order_acquire);
    }
    if (core-- == 0) {
        return;
    }
    bool early = mutant == LOOKS_EARLY && holds(&claim);
    core_lock((uint32_t)core);
    if (early || (mutant != LOOKS_EARLY && holds(&claim))) {
        for (unsigned look = 0; look < 2; look++) { /* it stays so */
            uint32_t owner = atomic_load_explicit(&shared.cores[core].owner, memory_order_relaxed);
            if (owner != OF_FIRST) {
                sched_fail(owner == CLOSED ? "a call on a closed socket"
                                           : "a call on the other handle's socket");
            }
        }
    }
    core_unlock((uint32_t)core);
}

/* ---- open and close -------------------------------------------------------------------------- */

/* The lowest that is free, or the other one. */
static uint32_t take(_Atomic uint32_t *used)
{
    uint32_t now = atomic_load_explicit(used, memory_order_relaxed);
    uint32_t idx = now == 0 ? sched_choose(2) : now == 1 ? 1 : 0;
    atomic_fetch_or_explicit(used, 1u << idx, memory_order_relaxed);
    return idx;
}

static void give(_Atomic uint32_t *used, uint32_t idx)
{
    atomic_fetch_and_explicit(used, ~(1u << idx), memory_order_relaxed);
}

static void open_handle(uint32_t handle)
{
    sched_mutex_lock(&mutex);
    uint32_t idx = take(&shared.records_used);
    uint32_t core = take(&shared.cores_used);
    sched_mutex_unlock(&mutex);
    struct record *record = &shared.records[idx];
    if (mutant == LIFE_FIRST) {
        atomic_fetch_add_explicit(&record->life, 1, memory_order_release);
    }
    atomic_store_explicit(&record->core, 0, memory_order_relaxed);
    if (mutant != LIFE_FIRST) {
        atomic_fetch_add_explicit(&record->life, 1, memory_order_release);
    }
    atomic_store_explicit(&shared.cores[core].owner, OF_FIRST + handle, memory_order_release);
    atomic_store_explicit(&record->core, core + 1, memory_order_release);
    atomic_store_explicit(&shared.places[handle], record, memory_order_release);
}

static void close_handle(uint32_t handle)
{
    struct record *record =
        mutant == PLACE_STAYS
            ? atomic_load_explicit(&shared.places[handle], memory_order_acquire)
            : atomic_exchange_explicit(&shared.places[handle], NULL, memory_order_acq_rel);
    uint32_t core = (uint32_t)atomic_load_explicit(&record->core, memory_order_relaxed) - 1;
    if (mutant != CLOSES_UNLOCKED) {
        core_lock(core);
    }
    atomic_store_explicit(&shared.cores[core].owner, CLOSED, memory_order_release);
    if (mutant != CLOSES_UNLOCKED) {
        core_unlock(core);
    }
    sched_mutex_lock(&mutex);
    give(&shared.cores_used, core);
    sched_mutex_unlock(&mutex);
    if (mutant == PLACE_STAYS) {
        (void)atomic_exchange_explicit(&shared.places[handle], NULL, memory_order_acq_rel);
    }
    sched_mutex_lock(&mutex);
    give(&shared.records_used, (uint32_t)(record - shared.records));
    sched_mutex_unlock(&mutex);
}

static void first_handle(void)
{
    close_handle(0);
    open_handle(0);
}

static void second_handle(void)
{
    open_handle(1);
    close_handle(1);
}

static void setup(void)
{
    memset(&shared, 0, sizeof(shared));
    mutex = (struct sched_mutex){0};
    shared.records_used = shared.cores_used = 1;
    shared.records[0].life = 1;
    shared.records[0].core = 1;
    shared.cores[0].owner = OF_FIRST;
    shared.places[0] = &shared.records[0];
}

static const char *check_nothing_left(void)
{
    return shared.records_used == 1 || shared.records_used == 2 ? NULL : "a record is lost";
}

static bool run(const char *what, enum mutant rule)
{
    const struct sched_test test = {.name = "claim",
                                    .setup = setup,
                                    .sides = {caller, first_handle, second_handle},
                                    .check = check_nothing_left,
                                    .shared = &shared,
                                    .shared_bytes = sizeof(shared)};
    mutant = rule;
    return sched_report(what, &test, sched_explore_all(&test, STATES_MAX), rule != RIGHT);
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
    return 77; /* coroutines on one thread: nothing for TSan, and it does not know them */
#endif
    bool ok = run("a call without a reference", RIGHT);
    ok = run("  the claim does not look at the place", NO_PLACE) && ok;
    ok = run("  the claim does not look at the life", NO_LIFE) && ok;
    ok = run("  the claim is looked at without the lock", LOOKS_EARLY) && ok;
    ok = run("  the life is read behind the core", CORE_FIRST) && ok;
    ok = run("  a life begins with the last one's core", LIFE_FIRST) && ok;
    ok = run("  the place is cleared behind the close", PLACE_STAYS) && ok;
    ok = run("  a close takes no lock", CLOSES_UNLOCKED) && ok;
    return ok ? 0 : 1;
}
