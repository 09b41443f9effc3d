/*
 * stream_kernel many: connections by the thousand, each opened, used once (four bytes and their
 * answer) and closed; in turn, and all open at once. The kernel's ends are stepped by epoll.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "stream_rig.h"

#define EVENTS          256
#define FDS_MAX         65536
#define MANY            2500u /* of each kind: 10,000 */
#define MANY_SLOW       500u
#define AT_ONCE         200u
#define CONCURRENT      2000u
#define CONCURRENT_SLOW 300u
#define CONCURRENT_FULL 10000u

enum once_step { ONCE_NONE, ONCE_CONNECTING, ONCE_ASKED, ONCE_HELD, ONCE_ENDING };

struct many_kernel {
    int epoll, listener; /* -1: the kernel connects */
    uint32_t count, at_once, begun, open, used, done;
    bool kernel_closes_first, all_open_first;
    uint8_t *steps; /* by descriptor */
};

static void many_watch(const struct many_kernel *many, int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(many->epoll, op, fd, &event) != 0) {
        FAIL("epoll_ctl: %s", strerror(errno));
    }
}

static void many_begin(struct many_kernel *many, int fd, enum once_step step)
{
    EXPECT(fd < FDS_MAX);
    many->steps[fd] = (uint8_t)step;
    many_watch(many, EPOLL_CTL_ADD, fd, step == ONCE_CONNECTING ? EPOLLOUT : EPOLLIN);
    many->begun++;
    many->open++;
}

static void many_end(struct many_kernel *many, int fd)
{
    kernel_close(fd);
    many->steps[fd] = ONCE_NONE;
    many->open--;
    many->done++;
}

static void many_use(struct many_kernel *many, int fd)
{
    uint32_t word = (uint32_t)fd;
    if (many->steps[fd] == ONCE_CONNECTING) {
        const int result = kernel_connect_result(fd);
        if (result != 0) {
            FAIL("the kernel's connect: %s, after %u", strerror(result), many->begun);
        }
        EXPECT_IS(kernel_send(fd, &word, sizeof(word)), sizeof(word));
        many_watch(many, EPOLL_CTL_MOD, fd, EPOLLIN);
        many->steps[fd] = ONCE_ASKED;
        return;
    }
    const ssize_t got = kernel_recv(fd, &word, sizeof(word));
    if (got != (ssize_t)sizeof(word)) {
        FAIL("the kernel's recv of four bytes: %zd", got);
    }
    if (many->listener >= 0) {
        EXPECT_IS(kernel_send(fd, &word, sizeof(word)), sizeof(word));
    } else {
        EXPECT_IS(word, fd);
    }
    many->used++;
    many->steps[fd] = ONCE_HELD;
    if (many->all_open_first && many->kernel_closes_first) {
        many_watch(many, EPOLL_CTL_MOD, fd, 0);
    }
}

static void many_step(struct many_kernel *many, int fd)
{
    uint8_t byte;
    if (many->steps[fd] == ONCE_CONNECTING || many->steps[fd] == ONCE_ASKED) {
        many_use(many, fd);
        return;
    }
    const ssize_t got = kernel_recv(fd, &byte, 1);
    if (got != -EAGAIN) {
        if (got != 0) {
            FAIL("the end of Ringsock's stream: %zd", got);
        }
        many_end(many, fd);
    }
}

/* Who closes first does so when it was used, or when all are open. */
static void many_release(struct many_kernel *many)
{
    if (!many->kernel_closes_first || (many->all_open_first && many->used < many->count)) {
        return;
    }
    for (int fd = 0; fd < FDS_MAX && many->open > 0; fd++) {
        if (many->steps[fd] == ONCE_HELD) {
            many->steps[fd] = ONCE_ENDING;
            kernel_shutdown_send(fd);
            if (many->all_open_first) {
                many_watch(many, EPOLL_CTL_MOD, fd, EPOLLIN);
            }
        }
    }
}

static void many_accept_all(struct many_kernel *many)
{
    int fd;
    while (many->begun < many->count && (fd = kernel_accept(many->listener)) >= 0) {
        many_begin(many, fd, ONCE_ASKED);
    }
}

static void many_run(struct many_kernel *many, uint32_t seconds)
{
    const uint64_t until_ms = rig_now_ms() + 1000ull * seconds;
    struct epoll_event events[EVENTS];
    many->epoll = epoll_create1(EPOLL_CLOEXEC);
    many->steps = calloc(FDS_MAX, 1);
    EXPECT(many->epoll >= 0 && many->steps != NULL);
    if (many->listener >= 0) {
        many_watch(many, EPOLL_CTL_ADD, many->listener, EPOLLIN);
    }
    while (many->done < many->count) {
        while (many->listener < 0 && many->begun < many->count && many->open < many->at_once) {
            many_begin(many, kernel_connect(RIG_OURS, RIG_PORT, NULL), ONCE_CONNECTING);
        }
        const int ready = epoll_wait(many->epoll, events, EVENTS, 100);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == many->listener) {
                many_accept_all(many);
            } else {
                many_step(many, events[i].data.fd);
            }
        }
        many_release(many);
        if (rig_now_ms() > until_ms || side_failed()) {
            FAIL("of %u connections of the kernel %u begun, %u open, %u used, %u done", many->count,
                 many->begun, many->open, many->used, many->done);
        }
    }
    free(many->steps);
    (void)close(many->epoll);
}

void many_kernel_accept(int listener, uint32_t count, bool kernel_closes_first, bool all_open_first,
                        uint32_t seconds)
{
    struct many_kernel many = {.listener = listener,
                               .count = count,
                               .at_once = count,
                               .kernel_closes_first = kernel_closes_first,
                               .all_open_first = all_open_first};
    many_run(&many, seconds);
}

/* ---- the cases ---- */

static void many_print(uint32_t count, uint32_t at_once, uint64_t start_ms)
{
    const uint64_t took_ms = rig_now_ms() - start_ms;
    printf("  %u connections, %u at once: %.2f s, %u a second\n", count, at_once,
           (double)took_ms / 1000, (unsigned)(1000ull * count / (took_ms + 1)));
}

static void many_ours_connects(uint32_t count, uint32_t at_once, bool kernel_closes_first,
                               uint32_t seconds)
{
    const struct kernel_options options = {.backlog = 16384};
    const bool all_open_first = at_once == count;
    const uint64_t start_ms = rig_now_ms();
    int listener = kernel_listen(RIG_PORT, &options);
    side_begin("many_connect 0 " RIG_KERNEL " %u %u %u %d %d %u", RIG_PORT, count, at_once,
               !kernel_closes_first, all_open_first, seconds);
    many_kernel_accept(listener, count, kernel_closes_first, all_open_first, seconds);
    (void)side_finish();
    kernel_close(listener);
    many_print(count, at_once, start_ms);
    AWAIT(10, "the kernel to have nothing open", kernel_count_open() == 0);
}

static void many_kernel_connects(uint32_t count, uint32_t at_once, bool kernel_closes_first,
                                 uint32_t seconds)
{
    struct many_kernel many = {.listener = -1,
                               .count = count,
                               .at_once = at_once,
                               .kernel_closes_first = kernel_closes_first,
                               .all_open_first = at_once == count};
    const uint64_t start_ms = rig_now_ms();
    side("socket 1");
    side("bind 1 %u", RIG_PORT);
    side("listen 1 4096");
    side_begin("many_accept 1 %u %u %d %d %u", count, at_once, !kernel_closes_first,
               many.all_open_first, seconds);
    many_run(&many, seconds);
    (void)side_finish();
    side("close 1");
    many_print(count, at_once, start_ms);
    AWAIT(10, "the kernel to have nothing open", kernel_count_open() == 0);
}

static uint32_t many_count(void)
{
    return rig.slow ? MANY_SLOW : MANY;
}

static uint32_t many_concurrent(void)
{
    return rig.full ? CONCURRENT_FULL : rig.slow ? CONCURRENT_SLOW : CONCURRENT;
}

#define SECONDS 30u

static void many_ours_first(void)
{
    many_ours_connects(many_count(), AT_ONCE, false, SECONDS);
}

static void many_kernel_first(void)
{
    many_ours_connects(many_count(), AT_ONCE, true, SECONDS);
}

static void many_accepted_ours_first(void)
{
    many_kernel_connects(many_count(), AT_ONCE, false, SECONDS);
}

static void many_accepted_kernel_first(void)
{
    many_kernel_connects(many_count(), AT_ONCE, true, SECONDS);
}

static void many_open(void)
{
    many_ours_connects(many_concurrent(), many_concurrent(), false, 2 * SECONDS);
}

static void many_open_accepted(void)
{
    many_kernel_connects(many_concurrent(), many_concurrent(), true, 2 * SECONDS);
}

const struct stream_case stream_cases_many[] = {
    {"ours_first", many_ours_first},
    {"kernel_first", many_kernel_first},
    {"accepted_ours_first", many_accepted_ours_first},
    {"accepted_kernel_first", many_accepted_kernel_first},
    {"open", many_open},
    {"open_accepted", many_open_accepted},
    {NULL, NULL}};
