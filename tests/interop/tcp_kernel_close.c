/*
 * tcp_kernel close: ends in all orders, orderly and by resets.
 */
#include <errno.h>
#include <stddef.h>

#include "tcp_world.h"

#define SOME 100000u

static void open_default(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
}

static void expect_nothing_open(struct ours *ours)
{
    AWAIT(5, "neither side to have the connection open",
          ours->conn == NULL && kernel_count_open() == 0);
    ours_free(ours);
}

/* ---- half-close ---- */

static void close_half_ours(void)
{
    uint64_t sent[2] = {0, 0};
    uint64_t received[2] = {0, 0};
    uint8_t byte;
    open_default();
    struct pair pair = pair_connect(NULL, NULL);
    pump_ours_send(pair.ours, &sent[0], SOME);
    pump_ours_send(pair.ours, &sent[0], SOME);
    EXPECT_IS(sent[0], SOME);
    ours_shutdown_send(pair.ours);
    UNTIL(2, "our last bytes", received[0] == SOME)
    {
        pump_kernel_recv(pair.kernel, &received[0], UINT32_MAX);
    }
    AWAIT(2, "our FIN", kernel_recv(pair.kernel, &byte, 1) == 0);
    AWAIT(2, "its ACK", ours_info(pair.ours).state == TCP_FIN_WAIT_2);
    UNTIL(2, "the kernel's bytes after our end", received[1] == SOME)
    {
        pump_kernel_send(pair.kernel, &sent[1], SOME);
        pump_ours_recv(pair.ours, &received[1], UINT32_MAX);
    }
    kernel_close(pair.kernel);
    AWAIT(2, "the kernel's FIN", (pair.ours->events & TCP_EVENT_FINISHED) != 0);
    EXPECT((pair.ours->events & TCP_EVENT_END) != 0);
    EXPECT_IS(world_time_waits(), 1);
    ours_close(pair.ours);
    expect_nothing_open(pair.ours);
}

static void close_half_kernel(void)
{
    uint64_t sent[2] = {0, 0};
    uint64_t received[2] = {0, 0};
    uint8_t byte;
    open_default();
    struct pair pair = pair_accept(NULL, NULL);
    UNTIL(2, "room for the kernel's bytes", sent[1] == SOME)
    {
        pump_kernel_send(pair.kernel, &sent[1], SOME);
    }
    kernel_shutdown_send(pair.kernel);
    UNTIL(2, "the kernel's bytes and its FIN",
          received[1] == SOME && (pair.ours->events & TCP_EVENT_END) != 0)
    {
        pump_ours_recv(pair.ours, &received[1], UINT32_MAX);
    }
    EXPECT_IS(ours_info(pair.ours).state, TCP_CLOSE_WAIT);
    UNTIL(2, "our bytes after the kernel's end", received[0] == SOME)
    {
        pump_ours_send(pair.ours, &sent[0], SOME);
        pump_kernel_recv(pair.kernel, &received[0], UINT32_MAX);
    }
    ours_close(pair.ours);
    AWAIT(2, "our FIN", kernel_recv(pair.kernel, &byte, 1) == 0);
    kernel_close(pair.kernel);
    expect_nothing_open(pair.ours);
    EXPECT_IS(kernel_count(KERNEL_TIME_WAIT), 1);
    EXPECT_IS(world_time_waits(), 0);
}

/* ---- both at once, and lost ---- */

/* Both FINs are under way before either is seen: CLOSING on both sides (RFC 9293 3.6, figure 13).
 */
static void close_crossing(void)
{
    open_default();
    struct pair pair = pair_connect(NULL, NULL);
    nic_tap_in(world.nic)->stopped = true;
    kernel_shutdown_send(pair.kernel);
    ours_shutdown_send(pair.ours);
    AWAIT(2, "our FIN at the kernel, whose own is not here yet", kernel_count(KERNEL_CLOSING) == 1);
    nic_tap_in(world.nic)->stopped = false;
    AWAIT(2, "the end of both directions", (pair.ours->events & TCP_EVENT_FINISHED) != 0);
    EXPECT_IS(world_time_waits(), 1);
    ours_close(pair.ours);
    kernel_close(pair.kernel);
    expect_nothing_open(pair.ours);
}

static void close_fin_lost(void)
{
    uint8_t byte;
    open_default();
    struct pair pair = pair_accept(NULL, NULL);
    nic_tap_out(world.nic)->lose_next = 1;
    ours_close(pair.ours);
    AWAIT(5, "our FIN, the second one", kernel_recv(pair.kernel, &byte, 1) == 0);
    kernel_close(pair.kernel);
    expect_nothing_open(pair.ours);
}

/* The ACK of the kernel's FIN is lost: our TIME_WAIT must give it again. */
static void close_last_ack_lost(void)
{
    open_default();
    struct pair pair = pair_connect(NULL, NULL);
    ours_shutdown_send(pair.ours);
    AWAIT(2, "our FIN's ACK", ours_info(pair.ours).state == TCP_FIN_WAIT_2);
    nic_tap_out(world.nic)->lose_next = 1;
    kernel_close(pair.kernel);
    AWAIT(2, "the kernel's FIN", (pair.ours->events & TCP_EVENT_FINISHED) != 0);
    EXPECT_IS(nic_tap_out(world.nic)->lose_next, 0);
    EXPECT_IS(kernel_count(KERNEL_LAST_ACK), 1);
    ours_close(pair.ours);
    expect_nothing_open(pair.ours);
}

/* ---- resets ---- */

static void close_reset_by_kernel(void)
{
    open_default();
    struct pair pair = pair_connect(NULL, NULL);
    pair_transfer(&pair, "before the reset", SOME, SOME, 2);
    kernel_abort(pair.kernel);
    AWAIT(2, "the kernel's reset", (pair.ours->events & TCP_EVENT_ERROR) != 0);
    EXPECT_IS(pair.ours->error, RS_CONN_RESET);
    ours_close(pair.ours);
    expect_nothing_open(pair.ours);
}

static void close_reset_by_us(void)
{
    open_default();
    struct pair pair = pair_accept(NULL, NULL);
    pair_transfer(&pair, "before the reset", SOME, SOME, 2);
    ours_abort(pair.ours);
    uint8_t byte;
    ssize_t result = -EAGAIN;
    UNTIL(2, "our reset", result != -EAGAIN)
    {
        result = kernel_recv(pair.kernel, &byte, 1);
    }
    EXPECT_IS(result, -ECONNRESET);
    kernel_close(pair.kernel);
    expect_nothing_open(pair.ours);
    EXPECT_IS(kernel_count(KERNEL_TIME_WAIT) + world_time_waits(), 0);
}

/* RFC 2525 2.17. */
static void close_unread_by_kernel(void)
{
    uint64_t sent = 0;
    open_default();
    struct pair pair = pair_connect(NULL, NULL);
    pump_ours_send(pair.ours, &sent, 1000);
    AWAIT(2, "the bytes to be acknowledged", ours_unacked(pair.ours) == 0);
    kernel_close(pair.kernel);
    AWAIT(2, "the kernel's reset", (pair.ours->events & TCP_EVENT_ERROR) != 0);
    EXPECT_IS(pair.ours->error, RS_CONN_RESET);
    ours_close(pair.ours);
    expect_nothing_open(pair.ours);
}

static void close_unread_by_us(void)
{
    uint64_t sent = 0;
    uint8_t byte;
    ssize_t result = -EAGAIN;
    open_default();
    struct pair pair = pair_accept(NULL, NULL);
    pump_kernel_send(pair.kernel, &sent, 1000);
    AWAIT(2, "the kernel's bytes", (pair.ours->events & TCP_EVENT_READABLE) != 0);
    ours_close(pair.ours);
    UNTIL(2, "our reset", result != -EAGAIN)
    {
        result = kernel_recv(pair.kernel, &byte, 1);
    }
    EXPECT_IS(result, -ECONNRESET);
    kernel_close(pair.kernel);
    expect_nothing_open(pair.ours);
}

/* Data for a program that has gone. */
static void close_data_after_ours(void)
{
    uint64_t sent = 0;
    uint8_t byte;
    open_default();
    struct pair pair = pair_connect(NULL, NULL);
    ours_close(pair.ours);
    AWAIT(2, "our FIN", kernel_recv(pair.kernel, &byte, 1) == 0);
    pump_kernel_send(pair.kernel, &sent, 1000);
    int error = 0;
    UNTIL(2, "our reset", error != 0)
    {
        error = kernel_error(pair.kernel);
    }
    EXPECT(error == EPIPE || error == ECONNRESET);
    EXPECT_IS(world_counter(COUNTER_tcp_unwanted), 1);
    kernel_close(pair.kernel);
    expect_nothing_open(pair.ours);
}

static void close_data_after_kernel(void)
{
    uint64_t sent = 0;
    open_default();
    struct pair pair = pair_accept(NULL, NULL);
    kernel_close(pair.kernel);
    AWAIT(2, "the kernel's FIN", (pair.ours->events & TCP_EVENT_END) != 0);
    pump_ours_send(pair.ours, &sent, 1000);
    AWAIT(2, "the kernel's reset", (pair.ours->events & TCP_EVENT_ERROR) != 0);
    EXPECT_IS(pair.ours->error, RS_CONN_RESET);
    ours_close(pair.ours);
    expect_nothing_open(pair.ours);
}

/* What is in the send ring is still sent after the program has closed. */
static void close_sends_all(void)
{
    uint64_t sent = 0;
    uint64_t received = 0;
    uint8_t byte;
    struct kernel_options kernel = {.recv_buffer = 4096};
    struct ours_options ours = {.send_bytes = 1u << 20};
    open_default();
    struct pair pair = pair_connect(&ours, &kernel);
    while (sent < 500000) {
        pump_ours_send(pair.ours, &sent, 500000);
    }
    ours_close(pair.ours);
    UNTIL(10, "all that was sent before the close", received == 500000)
    {
        pump_kernel_recv(pair.kernel, &received, UINT32_MAX);
    }
    AWAIT(2, "our FIN", kernel_recv(pair.kernel, &byte, 1) == 0);
    kernel_close(pair.kernel);
    expect_nothing_open(pair.ours);
}

/* A peer that does not read: after the linger time what is left is given up. */
static void close_linger(void)
{
    uint64_t sent = 0;
    struct kernel_options kernel = {.recv_buffer = 4096};
    open_default();
    struct pair pair = pair_connect(NULL, &kernel);
    while (sent < 200000) {
        pump_ours_send(pair.ours, &sent, 200000);
    }
    uint64_t begun_ns = world_deadline_ns(0);
    tcp_close(world.stack, pair.ours->conn, 300000000);
    AWAIT(3, "the end of lingering", pair.ours->conn == NULL);
    EXPECT(world_deadline_ns(0) - begun_ns >= 290000000);
    int error = 0;
    UNTIL(2, "our reset", error != 0)
    {
        error = kernel_error(pair.kernel);
    }
    EXPECT_IS(error, ECONNRESET);
    kernel_close(pair.kernel);
    expect_nothing_open(pair.ours);
}

const struct tcp_case tcp_cases_close[] = {{"half_ours", close_half_ours},
                                           {"half_kernel", close_half_kernel},
                                           {"crossing", close_crossing},
                                           {"fin_lost", close_fin_lost},
                                           {"last_ack_lost", close_last_ack_lost},
                                           {"reset_by_kernel", close_reset_by_kernel},
                                           {"reset_by_us", close_reset_by_us},
                                           {"unread_by_kernel", close_unread_by_kernel},
                                           {"unread_by_us", close_unread_by_us},
                                           {"data_after_ours", close_data_after_ours},
                                           {"data_after_kernel", close_data_after_kernel},
                                           {"sends_all", close_sends_all},
                                           {"linger", close_linger},
                                           {NULL, NULL}};
