/*
 * Blocking: the spin lock's slow half, deadlines, liveness, and the loop that spins and then
 * sleeps. Every call that waits for the dataplane comes through client_wait; while it spins it
 * makes no system call, but to yield in the shared-core profile and to ask after a dataplane whose
 * heartbeat stands still. Any thread.
 */
#include "provider/client/client_internal.h"

#define NS_PER_MS   1000000ull
#define LOCK_SPINS  200u      /* looks before the holder is given the processor */
#define LOCK_ASK_NS 20000000u /* how often a waiting thread asks whether the holder lives */
/* Spins before a thread of the shared-core profile starts to yield. The one it waits for may need
 * this processor: with 32 a round trip between two programs on one took 6.1 us here, with 4 it
 * takes 4.2. */
#define YIELD_AFTER 4u

/*
 * No lock is held while a thread sleeps, so a holder that keeps one for long has no processor,
 * waits for a dataplane without one, or is dead; only the OS knows. Our own number in the word is
 * that of a dead thread, too: the system gave it to us again.
 */
bool client_lock_contended(client_lock *lock, uint32_t self)
{
    uint32_t spins = 0;
    uint64_t ask_ns = 0;
    for (;;) {
        uint32_t holder = 0;
        /* Acquire, partner client_lock_drop. */
        if (atomic_load_explicit(lock, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(lock, &holder, self, memory_order_acquire,
                                                    memory_order_relaxed)) {
            return false;
        }
        if (++spins % LOCK_SPINS != 0) {
            os_cpu_relax();
            continue;
        }
        os_yield();
        uint64_t now_ns = os_monotonic_ns();
        ask_ns = ask_ns == 0 ? now_ns + LOCK_ASK_NS : ask_ns;
        if (now_ns < ask_ns) {
            continue;
        }
        ask_ns = now_ns + LOCK_ASK_NS;
        holder = atomic_load_explicit(lock, memory_order_relaxed);
        if (holder != 0 && (holder == self || !os_thread_alive(holder)) &&
            atomic_compare_exchange_strong_explicit(lock, &holder, self, memory_order_acquire,
                                                    memory_order_relaxed)) {
            return true;
        }
    }
}

uint64_t client_deadline(const struct client *client, uint64_t timeout_ns)
{
    if (timeout_ns == UINT64_MAX) {
        return UINT64_MAX;
    }
    double ticks = (double)timeout_ns / client->ns_per_tick;
    uint64_t now = os_tsc();
    /* Beyond the range of the TSC is for ever. */
    return ticks >= (double)(UINT64_MAX - now) ? UINT64_MAX : now + (uint64_t)ticks;
}

uint64_t client_call_deadline(const struct client *client, const rs_atomic_u32 *timeout_ms)
{
    uint32_t ms = atomic_load_explicit(timeout_ms, memory_order_relaxed);
    return client_deadline(client, ms == 0 ? UINT64_MAX : ms * NS_PER_MS);
}

void client_call_begins(const struct client *client, const rs_atomic_u32 *timeout_ms,
                        uint64_t *deadline_tsc)
{
    if (*deadline_tsc == 0) {
        *deadline_tsc = client_call_deadline(client, timeout_ms);
    }
}

/* ---- liveness
 * --------------------------------------------------------------------------------------------------
 */

enum rs_status client_end(struct client *client, enum rs_status status)
{
    uint32_t none = 0;
    /* Relaxed: nothing is read on the strength of it. The first reason stays. */
    if (!atomic_compare_exchange_strong_explicit(&client->ended, &none, (uint32_t)status,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        return (enum rs_status)none;
    }
    return status;
}

static bool check_heartbeat_stale(const struct client *client, uint64_t now_tsc)
{
    for (uint32_t i = 0; i < client->queue_count; i++) {
        uint64_t beat =
            atomic_load_explicit(&client->queues[i].heartbeat_tsc, memory_order_relaxed);
        if (now_tsc > beat && now_tsc - beat > client->stale_ticks) {
            return true;
        }
    }
    return false;
}

enum rs_status client_check(struct client *client, uint64_t now_tsc)
{
    uint32_t ended = atomic_load_explicit(&client->ended, memory_order_relaxed);
    if (ended != 0) {
        return (enum rs_status)ended;
    }
    /* Acquire, partner the dataplane's store when it ends the session. */
    uint32_t poisoned = atomic_load_explicit(&client->header->poisoned, memory_order_acquire);
    if (poisoned != 0) {
        return client_end(client, poisoned == RS_DATAPLANE_GONE ? RS_DATAPLANE_GONE : RS_POISONED);
    }
    if (!check_heartbeat_stale(client, now_tsc)) {
        return RS_OK;
    }
    /* A poll loop that got no processor for a while is not dead: only the OS knows. One thread
     * asks, the others go on. */
    uint64_t next = atomic_load_explicit(&client->next_ask_tsc, memory_order_relaxed);
    if (now_tsc < next || !atomic_compare_exchange_strong_explicit(
                              &client->next_ask_tsc, &next, now_tsc + client->stale_ticks,
                              memory_order_relaxed, memory_order_relaxed)) {
        return RS_OK;
    }
    return client->link.ops->alive(client->link.context) ? RS_OK
                                                         : client_end(client, RS_DATAPLANE_GONE);
}

bool client_alive(const struct client *client)
{
    /* client_check remembers what it learns; the object itself is not const. */
    struct client *known = (struct client *)(uintptr_t)client;
    if (client_check(known, os_tsc()) != RS_OK) {
        return false;
    }
    if (client->link.ops->alive(client->link.context)) {
        return true;
    }
    (void)client_end(known, RS_DATAPLANE_GONE);
    return false;
}

/* ---- spin, then sleep
 * ------------------------------------------------------------------------------------------ */

/* One sleep: arm, announce, look again, wait. RS_OK: look again. */
static enum rs_status wait_sleep(struct client *client, const struct client_condition *condition,
                                 uint64_t deadline_tsc)
{
    enum rs_status status = client_tell_sleeps(client);
    struct client_channel *channel =
        status == RS_OK ? client_channel_get(client, condition->queue_idx, &status) : NULL;
    if (channel == NULL) {
        return status;
    }
    uint64_t now = os_tsc();
    uint64_t timeout_ns = UINT64_MAX;
    if (deadline_tsc != UINT64_MAX) {
        timeout_ns =
            deadline_tsc > now ? (uint64_t)((double)(deadline_tsc - now) * client->ns_per_tick) : 0;
    }
    status = client_channel_sleep(channel, condition, timeout_ns);
    if (condition->disarm != NULL) {
        condition->disarm(condition->context, channel->idx);
    }
    if (status == RS_DATAPLANE_GONE) {
        return client_end(client, RS_DATAPLANE_GONE);
    }
    if (status != RS_OK && status != RS_TIMED_OUT) {
        return status;
    }
    return client_check(client, os_tsc());
}

/* ---- the facade's hook -------------------------------------------------------------------------
 */

#define HOOK_TURN_NS 5000000u /* a thread with a hook sleeps no longer */

static const struct client_wait_hook *wait_hook; /* set once, before anything blocks */

void client_set_wait_hook(const struct client_wait_hook *hook)
{
    wait_hook = hook;
}

/* What one call of client_wait knows of it. */
struct wait_hooked {
    bool may, asked, wanted; /* may: and nobody has been asked, or it is wanted */
    struct client_wait_turn turn;
};

/* False: the call ends. */
static bool wait_hook_turn(struct wait_hooked *hooked)
{
    if (!hooked->asked) {
        hooked->asked = true;
        hooked->wanted = wait_hook->ask(&hooked->turn);
        hooked->may = hooked->wanted;
    }
    return !hooked->wanted || wait_hook->turn(&hooked->turn);
}

/* Liveness, and the hook's turn. */
static enum rs_status wait_check(struct client *client, struct wait_hooked *hooked)
{
    if (hooked->may && !wait_hook_turn(hooked)) {
        return RS_INTERRUPTED;
    }
    return client_check(client, os_tsc());
}

static enum rs_status wait_sleep_hooked(struct client *client,
                                        const struct client_condition *condition,
                                        uint64_t deadline_tsc, struct wait_hooked *hooked)
{
    if (hooked->may) {
        if (!wait_hook_turn(hooked)) {
            return RS_INTERRUPTED;
        }
        uint64_t turn_tsc = client_deadline(client, HOOK_TURN_NS);
        deadline_tsc = hooked->wanted && turn_tsc < deadline_tsc ? turn_tsc : deadline_tsc;
    }
    return wait_sleep(client, condition, deadline_tsc);
}

enum rs_status client_wait(struct client *client, const struct client_condition *condition,
                           uint64_t deadline_tsc)
{
    uint64_t now = os_tsc();
    const struct client_spinning spinning = client_spinning_of(client, condition->socket);
    uint64_t spin_end = spinning.ticks > UINT64_MAX - now ? UINT64_MAX : now + spinning.ticks;
    uint64_t next_check = now + client->check_ticks;
    uint32_t spins = 0;
    enum rs_status status = RS_OK;
    struct wait_hooked hooked = {.may = condition->hooked && wait_hook != NULL};
    for (;;) {
        if (condition->ready(condition->context)) {
            return RS_OK;
        }
        now = os_tsc();
        if (now >= deadline_tsc) {
            return RS_TIMED_OUT;
        }
        if (now >= next_check) {
            status = wait_check(client, &hooked);
            if (status != RS_OK) {
                return status;
            }
            next_check = now + client->check_ticks;
        }
        if (now >= spin_end) {
            status = wait_sleep_hooked(client, condition, deadline_tsc, &hooked);
            if (status != RS_OK) {
                return status;
            }
            spin_end = os_tsc(); /* woken for nothing: back to sleep at once */
        } else if (spinning.yields && ++spins > YIELD_AFTER) {
            os_yield();
        } else {
            os_cpu_relax();
        }
    }
}
