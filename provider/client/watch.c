/*
 * The watch: one thread hears of all sockets that somebody armed, each event at the cost of a hint,
 * however many are armed. Facades arm from any thread; one thread, the SPI's helper, waits. It has
 * a channel of its own, so that no other thread takes its hints. Calls ready.c and rings/wakeup.h.
 *
 * Armed is a socket whose watch_want is not 0; that word holds a reference, which goes to who sets
 * it back to 0. Reports that do not come as hints (a socket that got its rings, or ended, while it
 * was armed) go through a list that any thread adds to. No event is lost between arming and
 * waiting: arm, fence, look (client_watch_arm) meets the dataplane's store, fence, look
 * (rings/wakeup.h); and who changes a socket's phase fences and looks at watch_want, where arming
 * sets watch_want, fences and looks at the phase.
 */
#include <assert.h>

#include "provider/client/client_alloc.h"
#include "provider/client/client_internal.h"

#define YIELD_AFTER 4u /* as in wait.c */

struct client_watch {
    struct client *client;
    struct client_channel *channel;       /* nobody else's */
    struct os_event event;                /* ours to signal, unlike the channel's */
    rs_atomic_u32 armed;                  /* sockets with a watch_want */
    rs_atomic_u32 nudged;                 /* partner: watch_pending */
    rs_atomic_u32 sleeping;               /* whoever takes it signals */
    struct client_socket *_Atomic listed; /* newest first; partner: watch_collect */
    /* the watching thread's */
    struct client_socket *taken; /* off the list, not reported yet */
    bool over, told;             /* the session has ended and all were listed; were reported */
    /* By socket index. Stored under the socket's arm_lock (release), partner: watch_hints. A hint
     * for the place's earlier life finds whoever has it now: a report too many. */
    struct client_socket *_Atomic places[];
};

/* ---- arming: any thread ---- */

/* Not armed any more: what it was armed for, and a reference if that was anything. */
static uint32_t watch_take(struct client_watch *watch, struct client_socket *socket)
{
    uint32_t want = atomic_exchange_explicit(&socket->watch_want, 0, memory_order_acq_rel);
    if (want != 0) {
        atomic_fetch_sub_explicit(&watch->armed, 1, memory_order_relaxed);
    }
    return want;
}

/* Tells the dataplane what an armed socket is armed for, and looks. True: something is true. */
static bool watch_tell(struct client_watch *watch, struct client_socket *socket, uint32_t want)
{
    (void)client_lock_take(&socket->arm_lock);
    if (client_phase_known(client_socket_phase(socket))) {
        /* All that anybody wants, since what was armed before is replaced. */
        uint32_t all = atomic_load_explicit(&socket->watch_want, memory_order_relaxed) | want;
        atomic_store_explicit(&watch->places[socket->idx], socket, memory_order_release);
        arm_set_anew(socket->shared, client_poll_events(all), watch->channel->idx);
    }
    client_lock_drop(&socket->arm_lock);
    arm_fence();
    return client_socket_ready(socket, want) != 0;
}

bool client_watch_arm(struct client_watch *watch, struct client_socket *socket, uint32_t want)
{
    assert(want != 0);
    client_socket_hold(socket);
    /* Sequentially consistent, partner client_watch_changed: the phase is looked at behind it. */
    if (atomic_fetch_or_explicit(&socket->watch_want, want, memory_order_seq_cst) != 0) {
        client_socket_release(socket);
    } else {
        atomic_fetch_add_explicit(&watch->armed, 1, memory_order_relaxed);
    }
    rs_fence_full();
    bool ready = watch_tell(watch, socket, want);
    if (!client_phase_open(client_socket_phase(socket)) && watch_take(watch, socket) != 0) {
        client_socket_release(socket); /* who closed it may have looked before */
    }
    return ready;
}

/* ---- reports from this process: any thread ---- */

static void watch_wake(struct client_watch *watch)
{
    /* Between what there is to see and the look at who sleeps; partner: watch_sleep. */
    rs_fence_full();
    if (atomic_load_explicit(&watch->sleeping, memory_order_relaxed) != 0 &&
        atomic_exchange_explicit(&watch->sleeping, 0, memory_order_relaxed) != 0) {
        os_event_signal(&watch->event);
    }
}

void client_watch_nudge(struct client_watch *watch)
{
    atomic_store_explicit(&watch->nudged, 1, memory_order_release);
    watch_wake(watch);
}

static void watch_list(struct client_watch *watch, struct client_socket *socket)
{
    client_socket_hold(socket);
    if (atomic_exchange_explicit(&socket->watch_listed, 1, memory_order_acq_rel) != 0) {
        client_socket_release(socket); /* it is there */
        return;
    }
    struct client_socket *first = atomic_load_explicit(&watch->listed, memory_order_relaxed);
    do {
        socket->watch_next = first;
        /* Release, partner watch_collect. */
    } while (!atomic_compare_exchange_weak_explicit(&watch->listed, &first, socket,
                                                    memory_order_release, memory_order_relaxed));
}

void client_watch_look(struct client_watch *watch, struct client_socket *socket)
{
    watch_list(watch, socket);
    watch_wake(watch);
}

void client_watch_changed(struct client_socket *socket)
{
    /* Between the phase and the look at watch_want; partner client_watch_arm. */
    rs_fence_full();
    uint32_t want = atomic_load_explicit(&socket->watch_want, memory_order_relaxed);
    struct client_watch *watch = atomic_load_explicit(&socket->client->watch, memory_order_acquire);
    if (want != 0 && watch != NULL && watch_tell(watch, socket, want)) {
        client_watch_look(watch, socket);
    }
}

/* ---- waiting: the watching thread ---- */

/* For client_pool_visit: hints were lost, so the dataplane may hold any arming for answered. */
static void watch_review(struct client_socket *socket)
{
    struct client_watch *watch = atomic_load_explicit(&socket->client->watch, memory_order_relaxed);
    uint32_t want = watch_take(watch, socket);
    if (want == 0) {
        return;
    }
    if (client_watch_arm(watch, socket, want)) {
        watch_list(watch, socket);
    }
    client_socket_release(socket);
}

static uint32_t watch_hints(struct client_watch *watch, struct client_socket **out, uint32_t max)
{
    struct hint_consumer *hints = &watch->channel->hints;
    uint32_t count = 0;
    uint32_t socket_idx;
    uint32_t generation;
    bool any = false;
    while (count < max && hint_consumer_pop(hints, &socket_idx, &generation)) {
        any = true;
        struct client_socket *socket =
            socket_idx < watch->client->limit_sockets
                ? atomic_load_explicit(&watch->places[socket_idx], memory_order_acquire)
                : NULL;
        if (socket != NULL && watch_take(watch, socket) != 0) {
            out[count++] = socket;
        }
    }
    if (any) {
        hint_consumer_publish(hints);
    }
    return count;
}

static uint32_t watch_listed(struct client_watch *watch, struct client_socket **out, uint32_t max)
{
    uint32_t count = 0;
    while (count < max) {
        if (watch->taken == NULL) {
            if (atomic_load_explicit(&watch->listed, memory_order_relaxed) == NULL) {
                break;
            }
            /* Acquire, partner watch_list. */
            watch->taken = atomic_exchange_explicit(&watch->listed, NULL, memory_order_acquire);
        }
        struct client_socket *socket = watch->taken;
        watch->taken = socket->watch_next;
        /* From here on it can be listed again: what happens later is reported again. Acquire and
         * release, partner watch_list: who found it listed has done before what we see now. */
        (void)atomic_exchange_explicit(&socket->watch_listed, 0, memory_order_acq_rel);
        if (watch_take(watch, socket) != 0) {
            client_socket_release(socket); /* the list's reference is what the caller gets */
        }
        out[count++] = socket;
    }
    return count;
}

static uint32_t watch_collect(struct client_watch *watch, struct client_socket **out, uint32_t max)
{
    if (hint_consumer_lost(&watch->channel->hints)) {
        client_pool_visit(watch->client, watch_review);
    }
    uint32_t count = watch_listed(watch, out, max);
    return count + watch_hints(watch, out + count, max - count);
}

/* Is there anything that ends a wait? */
static bool watch_pending(const struct client_watch *watch)
{
    /* Acquire, partner client_watch_nudge. */
    return atomic_load_explicit(&watch->nudged, memory_order_acquire) != 0 ||
           atomic_load_explicit(&watch->listed, memory_order_relaxed) != NULL ||
           hint_consumer_waits(&watch->channel->hints);
}

static enum rs_status watch_sleep(struct client_watch *watch, uint64_t deadline_tsc)
{
    struct client *client = watch->client;
    struct client_channel *channel = watch->channel;
    enum rs_status status = RS_OK;
    uint64_t now_tsc = os_tsc();
    uint64_t timeout_ns = UINT64_MAX;
    if (deadline_tsc != UINT64_MAX) {
        timeout_ns = deadline_tsc > now_tsc
                         ? (uint64_t)((double)(deadline_tsc - now_tsc) * client->ns_per_tick)
                         : 0;
    }
    atomic_store_explicit(&watch->sleeping, 1, memory_order_relaxed);
    wakeup_prepare(&channel->waiter); /* its fence orders `sleeping`, too */
    if (!watch_pending(watch) && client_check(client, now_tsc) == RS_OK) {
        status =
            os_event_wait_either(&channel->event, &watch->event, client->link.process, timeout_ns);
    }
    wakeup_cancel(&channel->waiter);
    atomic_store_explicit(&watch->sleeping, 0, memory_order_relaxed);
    if (status == RS_DATAPLANE_GONE) {
        return client_end(client, RS_DATAPLANE_GONE);
    }
    return status == RS_TIMED_OUT ? RS_OK : status;
}

/* The session is over: everybody armed is told so, those that arm later see it themselves. Then
 * only what this process reports is left to wait for. */
static enum rs_status watch_end(struct client_watch *watch, struct client_socket **out,
                                uint32_t max, uint64_t timeout_ns, uint32_t *count,
                                enum rs_status status)
{
    if (!watch->over) {
        watch->over = true;
        client_pool_visit(watch->client, watch_review);
    }
    *count += watch_collect(watch, out + *count, max - *count);
    if (*count == 0 && watch->told) {
        atomic_store_explicit(&watch->sleeping, 1, memory_order_relaxed);
        rs_fence_full(); /* as in watch_sleep */
        if (!watch_pending(watch)) {
            (void)!os_event_wait(&watch->event, NULL, timeout_ns);
        }
        atomic_store_explicit(&watch->sleeping, 0, memory_order_relaxed);
        (void)atomic_exchange_explicit(&watch->nudged, 0, memory_order_acquire);
        *count = watch_collect(watch, out, max);
    }
    watch->told |= *count == 0;
    return status;
}

enum rs_status client_watch_wait(struct client_watch *watch, struct client_socket **out,
                                 uint32_t max, uint64_t timeout_ns, uint32_t *count)
{
    struct client *client = watch->client;
    uint64_t deadline_tsc = client_deadline(client, timeout_ns);
    uint64_t now_tsc = os_tsc();
    const struct client_spinning spinning = client_spinning_of(client, NULL);
    uint64_t spin_end =
        spinning.ticks > UINT64_MAX - now_tsc ? UINT64_MAX : now_tsc + spinning.ticks;
    uint64_t next_check = now_tsc;
    uint32_t spins = 0;
    for (;;) {
        *count = watch_collect(watch, out, max);
        now_tsc = os_tsc();
        if (now_tsc >= next_check) {
            enum rs_status status = client_check(client, now_tsc);
            if (status != RS_OK) {
                return watch_end(watch, out, max, timeout_ns, count, status);
            }
            next_check = now_tsc + client->check_ticks;
        }
        /* Acquire, partner client_watch_nudge: what it is about is seen behind this. */
        bool nudged = atomic_exchange_explicit(&watch->nudged, 0, memory_order_acquire) != 0;
        if (*count != 0 || nudged) {
            return RS_OK;
        }
        if (now_tsc >= deadline_tsc) {
            return RS_TIMED_OUT;
        }
        /* Nobody waits for anything, so nothing is worth spinning for. */
        if (now_tsc >= spin_end || atomic_load_explicit(&watch->armed, memory_order_relaxed) == 0) {
            enum rs_status status = watch_sleep(watch, deadline_tsc);
            if (status == RS_OS_ERROR) {
                return status;
            }
            next_check = spin_end = os_tsc();
        } else if (spinning.yields && ++spins > YIELD_AFTER) {
            os_yield();
        } else {
            os_cpu_relax();
        }
    }
}

/* ---- open, close ---- */

enum rs_status client_watch_open(struct client *client, struct client_watch **out)
{
    if (atomic_load_explicit(&client->watch, memory_order_acquire) != NULL) {
        return RS_ALREADY;
    }
    struct client_watch *watch =
        client_alloc(1, sizeof(*watch) + client->limit_sockets * sizeof(watch->places[0]));
    if (watch == NULL) {
        return RS_NO_MEMORY;
    }
    watch->client = client;
    enum rs_status status = os_event_create(&watch->event);
    if (status != RS_OK) {
        goto fail;
    }
    status = client_channel_open_watch(client, &watch->channel);
    if (status != RS_OK) {
        goto fail_event;
    }
    /* Release, partner client_watch_changed. */
    atomic_store_explicit(&client->watch, watch, memory_order_release);
    *out = watch;
    return RS_OK;

fail_event:
    os_event_destroy(&watch->event);
fail:
    client_free(watch);
    return status;
}

static void watch_drop(struct client_socket *socket)
{
    if (atomic_exchange_explicit(&socket->watch_want, 0, memory_order_acq_rel) != 0) {
        client_socket_release(socket);
    }
}

void client_watch_close(struct client *client)
{
    struct client_socket *socket;
    /* Acquire and release, partner client_watch_open and the other closers: one gets it. */
    struct client_watch *watch =
        atomic_exchange_explicit(&client->watch, NULL, memory_order_acq_rel);
    if (watch == NULL) {
        return;
    }
    while (watch_listed(watch, &socket, 1) != 0) {
        client_socket_release(socket);
    }
    client_pool_visit(client, watch_drop);
    client_channel_close(watch->channel);
    os_event_destroy(&watch->event);
    client_free(watch);
}
