/*
 * The control thread's wait on Windows. Every source has a waitable handle; the system's thread
 * pool waits for any number of them, some 60 to a thread, and posts what fired to a completion
 * port, where the control thread sleeps. One thread uses a poller; the pool's callbacks only post.
 *
 * A wait fires once and is registered again by the next os_poller_wait: a source that is still
 * ready then fires again, which makes it level-triggered, and an auto-reset event is consumed by
 * its wait.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "rings/os/win32_internal.h"

#define POLLER_BATCH 64u

struct poller_source {
    struct poller_source *next;
    struct os_poller *poller;
    void *object;
    uint64_t token;
    enum os_source_kind kind;
    bool removed;        /* freed when its last post is taken from the port */
    HANDLE wait;         /* registered wait, NULL if it fired or failed */
    _Atomic bool posted; /* in the port's queue; partner: the pool's callback */
};

struct os_poller {
    HANDLE port;
    struct poller_source *sources;
};

enum rs_status os_poller_create(struct os_poller **out)
{
    struct os_poller *poller = calloc(1, sizeof *poller);
    *out = NULL;
    if (!poller) {
        return RS_NO_MEMORY;
    }
    poller->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    if (!poller->port) {
        free(poller);
        return win32_error("CreateIoCompletionPort");
    }
    *out = poller;
    return RS_OK;
}

static void CALLBACK poller_on_ready(void *context, BOOLEAN timed_out)
{
    struct poller_source *source = context;
    (void)timed_out;
    atomic_store(&source->posted, true);
    if (!PostQueuedCompletionStatus(source->poller->port, 0, (ULONG_PTR)source, NULL)) {
        atomic_store(&source->posted, false);
    }
}

static HANDLE poller_handle_of(const struct poller_source *source)
{
    switch (source->kind) {
    case OS_SOURCE_LISTENER:
        return win32_listener_event(source->object);
    case OS_SOURCE_CONN:
        return win32_conn_read_event(source->object);
    case OS_SOURCE_PROCESS:
        return win32_handle(((const struct os_process *)source->object)->handle);
    case OS_SOURCE_EVENT:
        return win32_handle(((const struct os_event *)source->object)->handle);
    }
    return NULL;
}

static enum rs_status poller_arm(struct poller_source *source)
{
    if (!RegisterWaitForSingleObject(&source->wait, poller_handle_of(source), poller_on_ready,
                                     source, INFINITE,
                                     WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD)) {
        source->wait = NULL;
        return win32_error("RegisterWaitForSingleObject");
    }
    return RS_OK;
}

/* Returns when no callback runs any more. */
static void poller_disarm(struct poller_source *source)
{
    if (source->wait) {
        (void)UnregisterWaitEx(source->wait, INVALID_HANDLE_VALUE);
        source->wait = NULL;
    }
}

static void poller_free_source(struct os_poller *poller, struct poller_source *source)
{
    struct poller_source **link = &poller->sources;
    while (*link && *link != source) {
        link = &(*link)->next;
    }
    assert(*link == source);
    *link = source->next;
    free(source);
}

static struct poller_source *poller_find(const struct os_poller *poller, enum os_source_kind kind,
                                         const void *object)
{
    for (struct poller_source *source = poller->sources; source; source = source->next) {
        if (!source->removed && source->kind == kind && source->object == object) {
            return source;
        }
    }
    return NULL;
}

void os_poller_destroy(struct os_poller *poller)
{
    if (!poller) {
        return;
    }
    while (poller->sources) {
        poller_disarm(poller->sources);
        poller_free_source(poller, poller->sources);
    }
    (void)CloseHandle(poller->port);
    free(poller);
}

enum rs_status os_poller_add(struct os_poller *poller, enum os_source_kind kind, void *object,
                             uint64_t token)
{
    if (poller_find(poller, kind, object)) {
        return RS_ALREADY;
    }
    struct poller_source *source = calloc(1, sizeof *source);
    if (!source) {
        return RS_NO_MEMORY;
    }
    source->poller = poller;
    source->object = object;
    source->token = token;
    source->kind = kind;
    if (kind == OS_SOURCE_CONN) {
        win32_conn_set_watched(object, true);
    }
    enum rs_status status = poller_arm(source);
    if (status != RS_OK) {
        free(source);
        return status;
    }
    source->next = poller->sources;
    poller->sources = source;
    return RS_OK;
}

void os_poller_remove(struct os_poller *poller, enum os_source_kind kind, void *object)
{
    struct poller_source *source = poller_find(poller, kind, object);
    if (!source) {
        return;
    }
    poller_disarm(source);
    if (kind == OS_SOURCE_CONN) {
        win32_conn_set_watched(object, false);
    }
    source->removed = true;
    if (!atomic_load(&source->posted)) {
        poller_free_source(poller, source);
    }
}

/* Registers again every source whose token went out with the last wait. */
static enum rs_status poller_arm_fired(struct os_poller *poller)
{
    enum rs_status status = RS_OK;
    for (struct poller_source *source = poller->sources; source; source = source->next) {
        if (!source->wait && !source->removed && !atomic_load(&source->posted)) {
            enum rs_status armed = poller_arm(source);
            status = armed != RS_OK ? armed : status;
        }
    }
    return status;
}

enum rs_status os_poller_wait(struct os_poller *poller, uint64_t timeout_ns, uint64_t *tokens,
                              uint32_t max, uint32_t *count)
{
    *count = 0;
    if (max == 0) {
        return RS_INVALID;
    }
    enum rs_status status = poller_arm_fired(poller);
    if (status != RS_OK) {
        return status;
    }
    const uint64_t deadline_ns = os_deadline_after(timeout_ns);
    const ULONG batch = max < POLLER_BATCH ? max : POLLER_BATCH;
    for (;;) {
        OVERLAPPED_ENTRY entries[POLLER_BATCH];
        ULONG ready = 0;
        if (!GetQueuedCompletionStatusEx(poller->port, entries, batch, &ready,
                                         win32_wait_ms(deadline_ns), FALSE)) {
            if (GetLastError() != WAIT_TIMEOUT) {
                return win32_error("GetQueuedCompletionStatusEx");
            }
            ready = 0;
        }
        for (ULONG i = 0; i < ready; i++) {
            struct poller_source *source =
                (struct poller_source *)entries[i].lpCompletionKey; /* NOLINT */
            poller_disarm(source);
            atomic_store(&source->posted, false);
            if (source->removed) {
                poller_free_source(poller, source);
            } else {
                tokens[(*count)++] = source->token;
            }
        }
        if (*count > 0 || os_deadline_left_ns(deadline_ns) == 0) {
            return RS_OK;
        }
    }
}
