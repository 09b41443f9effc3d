/*
 * The process-wide table of attaches and of the threads that use them. Each thread has one record
 * in a TLS slot, with its channels by attach and queue; its destructor closes them, or, when the
 * thread died without one, the next thread that finds channels short. Slow paths only; called by
 * session.c and channel.c.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "provider/client/client_alloc.h"
#include "provider/client/client_internal.h"

struct os_tls client_thread_tls;

static struct {
    rs_atomic_u32
        phase; /* 0: fresh, 1: being made, 2: ready, never undone: threads outlive attaches */
    struct os_mutex mutex;
    struct client *clients[CLIENTS_MAX];
    struct client_thread *threads;
    uint32_t thread_count; /* that ever were */
} registry;

/* registry.mutex held: the channels go back, and nothing refers to the record any more.
 * client_close takes the channels of its attach out of the record under the same mutex, so none of
 * these is closed twice. */
static void thread_let_go(struct client_thread *thread)
{
    struct client_thread **link = &registry.threads;
    for (uint32_t slot = 0; slot < CLIENTS_MAX; slot++) {
        for (uint32_t queue_idx = 0; queue_idx < RS_QUEUES_MAX; queue_idx++) {
            struct client_channel *channel = thread->channels[slot * RS_QUEUES_MAX + queue_idx];
            if (channel != NULL && channel->common) {
                client_channel_unfollow(channel, thread);
            } else if (channel != NULL) {
                client_channel_close(channel);
            }
        }
    }
    while (*link != thread) {
        link = &(*link)->next;
    }
    *link = thread->next;
}

static void thread_free(struct client_thread *thread)
{
    os_event_destroy(&thread->nudge);
    client_free(thread);
}

/* The thread ends. TLS destructor. */
static void thread_end(void *value)
{
    struct client_thread *thread = value;
    os_mutex_lock(&registry.mutex);
    thread_let_go(thread);
    os_mutex_unlock(&registry.mutex);
    thread_free(thread);
}

/*
 * A thread can end without its destructors: TerminateThread, a bare exit system call. Its number
 * may be another thread's by now; if that one is in the registry, the older record is the dead
 * one's (client_thread_get puts new ones in front).
 */
static bool thread_is_dead(const struct client_thread *thread)
{
    for (const struct client_thread *newer = registry.threads; newer != thread;
         newer = newer->next) {
        if (newer->id == thread->id) {
            return true;
        }
    }
    return !os_thread_alive(thread->id);
}

bool client_threads_reclaim(void)
{
    bool any = false;
    os_mutex_lock(&registry.mutex);
    for (struct client_thread *next, *thread = registry.threads; thread != NULL; thread = next) {
        next = thread->next;
        if (thread->process_id == os_process_id() && thread_is_dead(thread)) {
            thread_let_go(thread);
            thread_free(thread);
            any = true;
        }
    }
    os_mutex_unlock(&registry.mutex);
    return any;
}

enum rs_status client_registry_init(void)
{
    enum rs_status status = RS_OK;
    uint32_t fresh = 0;
    /* Acquire, partner the release below: whoever sees 2 sees mutex and slot. */
    if (atomic_compare_exchange_strong_explicit(&registry.phase, &fresh, 1, memory_order_acquire,
                                                memory_order_acquire)) {
        os_mutex_init(&registry.mutex);
        status = os_tls_create(thread_end, &client_thread_tls);
        atomic_store_explicit(&registry.phase, status == RS_OK ? 2 : 0, memory_order_release);
        return status;
    }
    while (atomic_load_explicit(&registry.phase, memory_order_acquire) == 1) {
        os_yield();
    }
    return atomic_load_explicit(&registry.phase, memory_order_acquire) == 2 ? RS_OK : RS_OS_ERROR;
}

enum rs_status client_registry_add(struct client *client)
{
    enum rs_status status = RS_NO_BUFFERS;
    os_mutex_lock(&registry.mutex);
    for (uint32_t slot = 0; slot < CLIENTS_MAX; slot++) {
        if (registry.clients[slot] == NULL) {
            registry.clients[slot] = client;
            client->slot = slot;
            status = RS_OK;
            break;
        }
    }
    os_mutex_unlock(&registry.mutex);
    return status;
}

void client_registry_remove(struct client *client)
{
    os_mutex_lock(&registry.mutex);
    assert(registry.clients[client->slot] == client);
    registry.clients[client->slot] = NULL;
    for (struct client_thread *thread = registry.threads; thread != NULL; thread = thread->next) {
        memset(&thread->channels[client->slot * RS_QUEUES_MAX], 0,
               RS_QUEUES_MAX * sizeof(thread->channels[0]));
    }
    os_mutex_unlock(&registry.mutex);
}

enum rs_status client_thread_get(struct client_thread **out)
{
    struct client_thread *thread = os_tls_get(&client_thread_tls);
    if (thread != NULL) {
        *out = thread;
        return RS_OK;
    }
    thread = client_alloc(1, sizeof(*thread) +
                                 CLIENTS_MAX * RS_QUEUES_MAX * sizeof(thread->channels[0]));
    if (thread == NULL) {
        return RS_NO_MEMORY;
    }
    enum rs_status status = os_event_create(&thread->nudge);
    if (status != RS_OK) {
        client_free(thread);
        return status;
    }
    os_mutex_lock(&registry.mutex);
    thread->next = registry.threads;
    thread->id = os_thread_id();
    thread->process_id = os_process_id();
    registry.threads = thread;
    thread->ordinal = registry.thread_count++;
    os_mutex_unlock(&registry.mutex);
    os_tls_set(&client_thread_tls, thread);
    *out = thread;
    return RS_OK;
}

uint32_t client_queue_choose(const struct client *client, uint32_t local_be32)
{
    struct client_thread *thread = NULL;
    uint32_t interface = local_be32 != 0 ? client_interface_of(client, local_be32) : 0;
    uint32_t nic_be32 = client->queues[interface != 0 ? interface - 1 : 0].ip_be32;
    uint8_t candidates[RS_QUEUES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < client->queue_count; i++) {
        if (client->queues[i].ip_be32 == nic_be32) {
            candidates[count++] = (uint8_t)i;
        }
    }
    if (count <= 1 || client_thread_get(&thread) != RS_OK) {
        return count == 1 ? candidates[0] : 0;
    }
    return candidates[thread->ordinal % count];
}

/* ---- error text
 * ------------------------------------------------------------------------------------------------
 */

void client_set_error_text(const char *format, ...)
{
    struct client_thread *thread = NULL;
    if (client_thread_get(&thread) != RS_OK) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(thread->error_text, sizeof(thread->error_text), format, arguments);
    va_end(arguments);
}

void client_set_error_os(const char *what)
{
    client_set_error_text("%s: %s", what, os_last_error_text());
}

const char *client_last_error_text(void)
{
    struct client_thread *thread = NULL;
    if (client_registry_init() != RS_OK || client_thread_get(&thread) != RS_OK) {
        return os_last_error_text();
    }
    return thread->error_text;
}
