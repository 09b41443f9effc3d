/*
 * tcp_kernel many: connections opened, used once and closed, by the thousand, and pairs of ports
 * that are used again while a TIME_WAIT remembers them.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "rings/os/os.h"
#include "tcp_world.h"

#define MANY    2000u
#define AT_ONCE 50u

/* One connection on its way: opened, a request to the server, its answer, closed. */
struct once {
    struct ours *ours;
    int kernel; /* -1: not yet */
    bool kernel_asked, ours_asked, answered, closed;
};

struct many {
    bool ours_connects, ours_closes;
    struct ours_listener *ours_listener;
    int kernel_listener;
    struct once once[AT_ONCE];
    uint32_t begun, done;
};

static void many_begin(struct many *many, struct once *once)
{
    memset(once, 0, sizeof(*once));
    once->kernel = -1;
    if (many->ours_connects) {
        once->ours = ours_connect(WORLD_PORT, NULL);
    } else {
        once->kernel = kernel_connect(WORLD_OURS, WORLD_PORT, NULL);
    }
    many->begun++;
}

/* Which end of an accepted connection belongs to which connect only its first bytes tell: the place
 * in the table. */
static void many_accept(struct many *many, struct once *strangers, uint32_t *count)
{
    struct once stranger = {.kernel = -1};
    if (*count == AT_ONCE) {
        return;
    }
    if (many->ours_connects) {
        stranger.kernel = kernel_accept(many->kernel_listener);
    } else {
        stranger.ours = ours_accept(many->ours_listener);
    }
    if (stranger.kernel >= 0 || stranger.ours != NULL) {
        strangers[(*count)++] = stranger;
    }
}

static void many_ask(struct many *many, struct once *once, uint32_t idx)
{
    if (many->ours_connects && !once->ours_asked &&
        (once->ours->events & TCP_EVENT_CONNECTED) != 0) {
        EXPECT_IS(ours_send(once->ours, &idx, sizeof(idx)), sizeof(idx));
        once->ours_asked = true;
    }
    if (!many->ours_connects && !once->kernel_asked) {
        int result = kernel_connect_result(once->kernel);
        if (result == 0) {
            EXPECT_IS(kernel_send(once->kernel, &idx, sizeof(idx)), sizeof(idx));
            once->kernel_asked = true;
        } else {
            EXPECT_IS(result, EINPROGRESS);
        }
    }
}

/* A stranger's request names its place. True: it has one now. */
static bool many_find(struct many *many, const struct once *stranger)
{
    uint32_t idx = 0;
    if (many->ours_connects) {
        ssize_t got = kernel_recv(stranger->kernel, &idx, sizeof(idx));
        if (got == -EAGAIN) {
            return false;
        }
        EXPECT_IS(got, sizeof(idx));
    } else if (ours_recv(stranger->ours, &idx, sizeof(idx)) == 0) {
        return false;
    }
    EXPECT(idx < AT_ONCE);
    struct once *once = &many->once[idx];
    if (many->ours_connects) {
        EXPECT_IS(once->kernel, -1);
        once->kernel = stranger->kernel;
        EXPECT_IS(kernel_send(once->kernel, &idx, sizeof(idx)), sizeof(idx));
    } else {
        EXPECT(once->ours == NULL);
        once->ours = stranger->ours;
        EXPECT_IS(ours_send(once->ours, &idx, sizeof(idx)), sizeof(idx));
    }
    return true;
}

/* The answer has come: one end closes, then the other. True: it is over. */
static bool many_finish(struct many *many, struct once *once)
{
    uint32_t idx;
    uint8_t byte;
    if (once->ours == NULL || once->kernel < 0) {
        return once->closed && once->ours != NULL && once->ours->conn == NULL;
    }
    if (!once->answered) {
        once->answered = many->ours_connects
                             ? ours_recv(once->ours, &idx, sizeof(idx)) == sizeof(idx)
                             : kernel_recv(once->kernel, &idx, sizeof(idx)) == sizeof(idx);
        if (once->answered && many->ours_closes) {
            ours_close(once->ours);
        } else if (once->answered) {
            kernel_shutdown_send(once->kernel);
        }
        return false;
    }
    if (many->ours_closes ? kernel_recv(once->kernel, &byte, 1) != 0
                          : (once->ours->events & TCP_EVENT_END) == 0) {
        return false;
    }
    if (!many->ours_closes) {
        ours_close(once->ours);
    }
    kernel_close(once->kernel);
    once->kernel = -1;
    once->closed = true;
    return false;
}

static void many_run(const char *name, bool ours_connects, bool ours_closes)
{
    static struct many many;
    static struct once strangers[AT_ONCE];
    uint32_t stranger_count = 0;
    struct world_config config = world_config_default();
    config.tcp.time_waits_max = 2 * MANY;
    world_open(&config);
    many = (struct many){.ours_connects = ours_connects, .ours_closes = ours_closes};
    if (ours_connects) {
        many.kernel_listener = kernel_listen(WORLD_PORT, NULL);
    } else {
        many.ours_listener = ours_listen(WORLD_PORT, NULL);
    }
    world_know_kernel();
    uint64_t start_ns = os_monotonic_ns();
    while (many.begun < AT_ONCE) {
        many_begin(&many, &many.once[many.begun]);
    }
    UNTIL(30, "all connections to be over", many.done == MANY)
    {
        many_accept(&many, strangers, &stranger_count);
        for (uint32_t i = 0; i < stranger_count; i++) {
            if (many_find(&many, &strangers[i])) {
                strangers[i--] = strangers[--stranger_count];
            }
        }
        for (uint32_t i = 0; i < AT_ONCE && many.done < MANY; i++) {
            struct once *once = &many.once[i];
            if (once->ours == NULL && once->kernel < 0) {
                continue;
            }
            if (!once->closed) {
                many_ask(&many, once, i);
            }
            if (many_finish(&many, once)) {
                ours_free(once->ours);
                once->ours = NULL;
                many.done++;
                if (many.begun < MANY) {
                    many_begin(&many, once);
                }
            }
        }
    }
    double took = (double)(os_monotonic_ns() - start_ns) / 1e9;
    printf("  %s: %u connections in %.2f s, %.0f a second; TIME_WAITs %u ours, %u the kernel's\n",
           name, MANY, took, MANY / took, world_time_waits(), kernel_count(KERNEL_TIME_WAIT));
    AWAIT(5, "the kernel to have none open", kernel_count_open() == 0);
    EXPECT_IS(tcp_connection_count(world.stack), 0);
    EXPECT_IS(world_time_waits(), ours_closes ? MANY : 0);
    EXPECT_IS(kernel_count(KERNEL_TIME_WAIT), ours_closes ? 0 : MANY);
    EXPECT_IS(world_counter(COUNTER_tcp_time_waits_recycled), 0);
}

static void many_we_connect_we_close(void)
{
    many_run("we connect and close", true, true);
}

static void many_we_connect_kernel_closes(void)
{
    many_run("we connect, the kernel closes", true, false);
}

static void many_kernel_connects_we_close(void)
{
    many_run("the kernel connects, we close", false, true);
}

static void many_kernel_connects_kernel_closes(void)
{
    many_run("the kernel connects and closes", false, false);
}

/* The same pair of ports again, while our TIME_WAIT remembers it: the kernel's SYN reopens it. */
static void many_reopened_by_kernel(void)
{
    struct world_config config = world_config_default();
    struct kernel_options kernel = {.local_port = 6001};
    world_open(&config);
    for (uint32_t i = 0; i < 3; i++) {
        struct pair pair = pair_accept(NULL, &kernel);
        pair_transfer(&pair, "the same ports", 20000, 20000, 2);
        pair_close(&pair, false);
        EXPECT_IS(world_time_waits(), 1);
    }
    EXPECT_IS(world_counter(COUNTER_tcp_time_waits_reopened), 2);
}

/* The kernel's TIME_WAIT, our SYN (RFC 6191: the timestamp is newer). */
static void many_reopened_by_us(void)
{
    struct world_config config = world_config_default();
    struct ours_options ours = {.local_port = 50001};
    world_open(&config);
    for (uint32_t i = 0; i < 3; i++) {
        struct pair pair = pair_connect(&ours, NULL);
        pair_transfer(&pair, "the same ports", 20000, 20000, 2);
        pair_close(&pair, true);
        EXPECT_IS(world_time_waits(), 0);
    }
}

const struct tcp_case tcp_cases_many[] = {
    {"we_connect_we_close", many_we_connect_we_close},
    {"we_connect_kernel_closes", many_we_connect_kernel_closes},
    {"kernel_connects_we_close", many_kernel_connects_we_close},
    {"kernel_connects_kernel_closes", many_kernel_connects_kernel_closes},
    {"reopened_by_kernel", many_reopened_by_kernel},
    {"reopened_by_us", many_reopened_by_us},
    {NULL, NULL}};
