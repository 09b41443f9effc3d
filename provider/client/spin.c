/*
 * How long a blocking call spins: what its socket says, else its thread, else the session (the
 * dataplane's config, or client_config). Read by those who wait, when they begin to; a call that
 * need not wait never comes here. Any thread; a thread's policy is its own.
 */
#include "provider/client/client_internal.h"

#define NS_PER_US 1000ull

/* A policy in a word, so that a reader never meets half of one. 0: nothing is said. */
#define SPIN_TIME_MASK    0xffffffu /* 0: not said; else us + 1 */
#define SPIN_TIME_FOREVER 0xffffffu
#define SPIN_YIELD_SHIFT  24 /* 0: not said; else yield_in_spin + 1 */

static_assert(CLIENT_SPIN_MOST_US + 1 < SPIN_TIME_FOREVER, "a time is not the word for ever");

static enum rs_status spin_pack(const struct client_spin *spin, uint32_t *word)
{
    uint32_t time = 0;
    if (spin->spin_us > CLIENT_SPIN_MOST_US && spin->spin_us != (int64_t)RS_SPIN_FOREVER) {
        return RS_INVALID;
    }
    if (spin->yield_in_spin > 1) {
        return RS_INVALID;
    }
    if (spin->spin_us >= 0) {
        time = spin->spin_us == (int64_t)RS_SPIN_FOREVER ? SPIN_TIME_FOREVER
                                                         : (uint32_t)spin->spin_us + 1;
    }
    uint32_t yield = spin->yield_in_spin < 0 ? 0 : (uint32_t)spin->yield_in_spin + 1;
    *word = time | yield << SPIN_YIELD_SHIFT;
    return RS_OK;
}

static struct client_spin spin_unpack(uint32_t word)
{
    uint32_t time = word & SPIN_TIME_MASK;
    return (struct client_spin){.spin_us = time == SPIN_TIME_FOREVER ? (int64_t)RS_SPIN_FOREVER
                                                                     : (int64_t)time - 1,
                                .yield_in_spin = (int)(word >> SPIN_YIELD_SHIFT) - 1};
}

enum rs_status client_socket_set_spin(struct client_socket *socket, const struct client_spin *spin)
{
    uint32_t word = 0;
    enum rs_status status = spin_pack(spin, &word);
    if (status == RS_OK) {
        /* Relaxed: nothing is read on the strength of it. */
        atomic_store_explicit(&socket->spin, word, memory_order_relaxed);
    }
    return status;
}

struct client_spin client_socket_get_spin(const struct client_socket *socket)
{
    return spin_unpack(atomic_load_explicit(&socket->spin, memory_order_relaxed));
}

enum rs_status client_thread_set_spin(const struct client_spin *spin)
{
    struct client_thread *thread = NULL;
    uint32_t word = 0;
    enum rs_status status = spin_pack(spin, &word);
    if (status == RS_OK) {
        status = client_registry_init();
    }
    if (status == RS_OK) {
        status = client_thread_get(&thread);
    }
    if (status == RS_OK) {
        thread->spin = word;
    }
    return status;
}

/* 0: this thread has said nothing. The registry exists. */
static uint32_t spin_of_thread(void)
{
    const struct client_thread *thread = os_tls_get(&client_thread_tls);
    return thread != NULL ? thread->spin : 0;
}

struct client_spin client_thread_get_spin(void)
{
    return spin_unpack(client_registry_init() == RS_OK ? spin_of_thread() : 0);
}

struct client_spinning client_spinning_of(const struct client *client,
                                          const struct client_socket *socket)
{
    struct client_spinning out = {.ticks = client->spin_ticks, .yields = client->yield_in_spin};
    uint32_t thread = spin_of_thread();
    uint32_t word = socket == NULL ? 0 : atomic_load_explicit(&socket->spin, memory_order_relaxed);
    uint32_t time = (word & SPIN_TIME_MASK) != 0 ? word & SPIN_TIME_MASK : thread & SPIN_TIME_MASK;
    uint32_t yield =
        word >> SPIN_YIELD_SHIFT != 0 ? word >> SPIN_YIELD_SHIFT : thread >> SPIN_YIELD_SHIFT;
    if (time == SPIN_TIME_FOREVER) {
        out.ticks = UINT64_MAX;
    } else if (time != 0) {
        out.ticks = (uint64_t)((double)(time - 1) * (double)NS_PER_US / client->ns_per_tick);
    }
    if (yield != 0) {
        out.yields = yield > 1;
    }
    return out;
}
