/*
 * The control thread's wait on Linux: one epoll set. Sources are found by descriptor, so adding and
 * removing cost the same with one client and with thousands. One thread.
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "rings/os/posix_internal.h"

#define POLLER_BATCH 64u

struct poller_source {
    uint64_t token;
    enum os_source_kind kind;
    bool used;
};

struct os_poller {
    int epoll_fd;
    uint32_t capacity;
    struct poller_source *sources; /* by descriptor */
};

enum rs_status os_poller_create(struct os_poller **out)
{
    struct os_poller *poller = calloc(1, sizeof *poller);
    *out = NULL;
    if (!poller) {
        return RS_NO_MEMORY;
    }
    poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll_fd < 0) {
        free(poller);
        return posix_error("epoll_create1");
    }
    *out = poller;
    return RS_OK;
}

void os_poller_destroy(struct os_poller *poller)
{
    if (!poller) {
        return;
    }
    (void)close(poller->epoll_fd);
    free(poller->sources);
    free(poller);
}

static int poller_fd_of(enum os_source_kind kind, const void *object)
{
    switch (kind) {
    case OS_SOURCE_LISTENER:
        return (int)((const struct os_listener *)object)->handle;
    case OS_SOURCE_CONN:
        return (int)((const struct os_conn *)object)->handle;
    case OS_SOURCE_PROCESS:
        return (int)((const struct os_process *)object)->handle;
    case OS_SOURCE_EVENT:
        return (int)((const struct os_event *)object)->handle;
    }
    return -1;
}

static enum rs_status poller_reserve(struct os_poller *poller, uint32_t fd)
{
    if (fd < poller->capacity) {
        return RS_OK;
    }
    uint32_t capacity = fd < 32 ? 64 : 2 * fd;
    struct poller_source *sources = realloc(poller->sources, capacity * sizeof *sources);
    if (!sources) {
        return RS_NO_MEMORY;
    }
    for (uint32_t i = poller->capacity; i < capacity; i++) {
        sources[i] = (struct poller_source){0};
    }
    poller->sources = sources;
    poller->capacity = capacity;
    return RS_OK;
}

enum rs_status os_poller_add(struct os_poller *poller, enum os_source_kind kind, void *object,
                             uint64_t token)
{
    int fd = poller_fd_of(kind, object);
    if (fd < 0) {
        return RS_INVALID;
    }
    enum rs_status status = poller_reserve(poller, (uint32_t)fd);
    if (status != RS_OK) {
        return status;
    }
    if (poller->sources[fd].used) {
        return RS_ALREADY;
    }
    struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = (uint32_t)fd}};
    if (epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return posix_error("epoll_ctl(EPOLL_CTL_ADD)");
    }
    poller->sources[fd] = (struct poller_source){.token = token, .kind = kind, .used = true};
    return RS_OK;
}

void os_poller_remove(struct os_poller *poller, enum os_source_kind kind, void *object)
{
    int fd = poller_fd_of(kind, object);
    if (fd < 0 || (uint32_t)fd >= poller->capacity || !poller->sources[fd].used) {
        return;
    }
    (void)epoll_ctl(poller->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    poller->sources[fd].used = false;
}

/* epoll_wait counts milliseconds: round up, or the last fraction would be spun away. */
static int poller_timeout_ms(uint64_t deadline_ns)
{
    uint64_t left_ns = os_deadline_left_ns(deadline_ns);
    if (left_ns == OS_FOREVER_NS) {
        return -1;
    }
    uint64_t left_ms = left_ns / OS_NS_PER_MS + (left_ns % OS_NS_PER_MS != 0);
    return left_ms > INT32_MAX ? INT32_MAX : (int)left_ms;
}

enum rs_status os_poller_wait(struct os_poller *poller, uint64_t timeout_ns, uint64_t *tokens,
                              uint32_t max, uint32_t *count)
{
    *count = 0;
    if (max == 0) {
        return RS_INVALID;
    }
    const uint64_t deadline_ns = os_deadline_after(timeout_ns);
    const int batch = (int)(max < POLLER_BATCH ? max : POLLER_BATCH);
    for (;;) {
        struct epoll_event events[POLLER_BATCH];
        int ready = epoll_wait(poller->epoll_fd, events, batch, poller_timeout_ms(deadline_ns));
        if (ready < 0 && errno != EINTR) {
            return posix_error("epoll_wait");
        }
        for (int i = 0; i < ready; i++) {
            uint32_t fd = events[i].data.u32;
            const struct poller_source *source = &poller->sources[fd];
            if (source->kind == OS_SOURCE_EVENT && posix_event_drain((int)fd) == RS_WOULD_BLOCK) {
                continue; /* somebody else took the signal */
            }
            tokens[(*count)++] = source->token;
        }
        if (*count > 0 || os_deadline_left_ns(deadline_ns) == 0) {
            return RS_OK;
        }
    }
}
