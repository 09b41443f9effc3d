/*
 * tcp_kernel open: handshakes with the kernel, either side first, with lost segments, refused, both
 * at once, and by SYN cookies of either side.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/wire/tcp.h"
#include "tcp_world.h"

static void expect_all_agreed(const struct pair *pair)
{
    struct tcp_info info = ours_info(pair->ours);
    EXPECT_IS(info.state, TCP_ESTABLISHED);
    EXPECT(info.timestamps && info.sack && info.window_scaling);
    EXPECT_IS(info.mss_bytes, 1448);
}

static void open_connect(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
    struct pair pair = pair_connect(NULL, NULL);
    expect_all_agreed(&pair);
    pair_transfer(&pair, "connect", 10000, 10000, 5);
    pair_close(&pair, false);
    EXPECT_IS(world_time_waits(), 1);
}

static void open_accept(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
    struct pair pair = pair_accept(NULL, NULL);
    expect_all_agreed(&pair);
    pair_transfer(&pair, "accept", 10000, 10000, 5);
    pair_close(&pair, true);
    EXPECT_IS(world_time_waits(), 0);
    EXPECT_IS(kernel_count(KERNEL_TIME_WAIT), 1);
}

/* Both SYNs are under way before either side sees the other's (RFC 9293 3.5, figure 7). */
static void open_simultaneous(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
    struct pair first = pair_connect(NULL, NULL); /* so that both know the other's MAC */
    pair_close(&first, true);
    struct kernel_options kernel = {.local_port = 7001};
    struct ours_options ours = {.local_port = 7002};
    struct pair pair;
    pair.kernel = kernel_connect(WORLD_OURS, 7002, &kernel);
    pair.ours = ours_connect(7001, &ours);
    bool crossed = false;
    UNTIL(5, "both ends to be connected",
          (pair.ours->events & TCP_EVENT_CONNECTED) != 0 && kernel_connect_result(pair.kernel) == 0)
    {
        crossed = crossed || ours_info(pair.ours).state == TCP_SYN_RECEIVED;
    }
    EXPECT(crossed);
    pair_transfer(&pair, "simultaneous", 100000, 100000, 5);
    pair_close(&pair, false);
}

static void open_refused_by_kernel(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
    struct ours *ours = ours_connect(WORLD_PORT, NULL);
    AWAIT(2, "the kernel's reset", (ours->events & TCP_EVENT_ERROR) != 0);
    EXPECT_IS(ours->error, RS_CONN_REFUSED);
    ours_close(ours);
    AWAIT(1, "the socket to be gone", ours->conn == NULL);
    ours_free(ours);
}

static void open_refused_by_us(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
    int fd = kernel_connect(WORLD_OURS, WORLD_PORT, NULL);
    int result = EINPROGRESS;
    UNTIL(2, "our reset", result != EINPROGRESS)
    {
        result = kernel_connect_result(fd);
    }
    EXPECT_IS(result, ECONNREFUSED);
    kernel_close(fd);
}

static void open_syn_lost(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
    nic_tap_out(world.nic)->lose_next = 1;
    struct pair pair = pair_connect(NULL, NULL);
    nic_tap_in(world.nic)->lose_next = 1;
    struct pair second = pair_accept(NULL, NULL);
    pair_transfer(&pair, "our SYN lost", 10000, 10000, 5);
    pair_transfer(&second, "the kernel's SYN lost", 10000, 10000, 5);
}

static void open_syn_ack_lost(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
    nic_tap_in(world.nic)->lose_next = 1;
    struct pair pair = pair_connect(NULL, NULL);
    nic_tap_out(world.nic)->lose_next = 1;
    struct pair second = pair_accept(NULL, NULL);
    pair_transfer(&pair, "the kernel's SYN-ACK lost", 10000, 10000, 5);
    pair_transfer(&second, "our SYN-ACK lost", 10000, 10000, 5);
}

/* The handshake's last segment is lost: what the client sends then completes it. */
static void open_last_ack_lost(void)
{
    struct world_config config = world_config_default();
    struct pair pair = {.kernel = -1};
    uint64_t sent = 0;
    world_open(&config);
    int listener = kernel_listen(WORLD_PORT, NULL);
    pair.ours = ours_connect(WORLD_PORT, NULL);
    AWAIT(2, "our SYN at the kernel", kernel_count(KERNEL_SYN_RECV) == 1);
    nic_tap_out(world.nic)->lose_next = 1;
    AWAIT(2, "our connect", (pair.ours->events & TCP_EVENT_CONNECTED) != 0);
    EXPECT_IS(nic_tap_out(world.nic)->lose_next, 0);
    EXPECT_IS(kernel_accept(listener), -1);
    pump_ours_send(pair.ours, &sent, 1000);
    UNTIL(2, "the kernel's accept", pair.kernel >= 0)
    {
        pair.kernel = kernel_accept(listener);
    }
    uint64_t received = 0;
    UNTIL(2, "our bytes", received == 1000)
    {
        pump_kernel_recv(pair.kernel, &received, UINT32_MAX);
    }
    kernel_close(listener);
    pair_close(&pair, true);
}

/* ---- queues of connections that nobody accepts ---- */

#define CROWD 4

/* The kernel's queue has two places: it lets the others wait, and drops what they send. Once its
 * program accepts, all get in. */
static void open_kernel_backlog_full(void)
{
    struct world_config config = world_config_default();
    struct kernel_options options = {.backlog = 1};
    struct ours *ours[CROWD];
    uint64_t sent[CROWD] = {0};
    uint64_t received[CROWD] = {0};
    int kernel[CROWD];
    uint32_t accepted = 0;
    uint32_t done = 0;
    world_open(&config);
    kernel_set("tcp_syncookies", "0"); /* with them it refuses whom it has no place for */
    world_know_kernel();
    int listener = kernel_listen(WORLD_PORT, &options);
    for (uint32_t i = 0; i < CROWD; i++) {
        ours[i] = ours_connect(WORLD_PORT, NULL);
        pump_ours_send(ours[i], &sent[i], 5000);
    }
    AWAIT(5, "the kernel's queue to be full", kernel_counter("ListenDrops") > 0);
    UNTIL(20, "all to get in, and their bytes", done == CROWD)
    {
        int fd = accepted < CROWD ? kernel_accept(listener) : -1;
        if (fd >= 0) {
            kernel[accepted++] = fd;
        }
        done = 0;
        for (uint32_t i = 0; i < accepted; i++) {
            pump_kernel_recv(kernel[i], &received[i], UINT32_MAX);
            done += received[i] == 5000 ? 1 : 0;
        }
    }
    for (uint32_t i = 0; i < CROWD; i++) {
        EXPECT_IS(ours[i]->error, RS_OK);
        EXPECT_IS(ours_unacked(ours[i]), 0);
    }
}

/* The same with our queue, as Linux does it and as Windows does. */
static void open_our_backlog_full(void)
{
    struct world_config config = world_config_default();
    struct ours_options options = {.backlog = 2};
    struct ours *ours[CROWD] = {NULL};
    int kernel[CROWD];
    uint32_t accepted = 0;
    world_open(&config);
    struct ours_listener *listener = ours_listen(WORLD_PORT, &options);
    for (uint32_t i = 0; i < CROWD - 1; i++) {
        kernel[i] = kernel_connect(WORLD_OURS, WORLD_PORT, NULL);
    }
    AWAIT(2, "our queue to be full when the third handshake ends",
          listener->accepted_count == 2 && world_counter(COUNTER_tcp_listen_overflow) == 1);
    kernel[CROWD - 1] = kernel_connect(WORLD_OURS, WORLD_PORT, NULL);
    AWAIT(2, "our queue to be full when a SYN comes",
          world_counter(COUNTER_tcp_listen_overflow) == 2);
    UNTIL(10, "all to get in", accepted == CROWD)
    {
        struct ours *one = ours_accept(listener);
        if (one != NULL) {
            ours[accepted++] = one;
        }
    }
    for (uint32_t i = 0; i < CROWD; i++) {
        EXPECT_IS(kernel_connect_result(kernel[i]), 0);
        EXPECT_IS(ours_info(ours[i]).state, TCP_ESTABLISHED);
    }
    ours_listener_close(listener);
}

static void open_our_backlog_resets(void)
{
    struct world_config config = world_config_default();
    struct ours_options options = {.backlog = 1, .reset_when_full = true};
    world_open(&config);
    struct ours_listener *listener = ours_listen(WORLD_PORT, &options);
    int first = kernel_connect(WORLD_OURS, WORLD_PORT, NULL);
    AWAIT(2, "the first connection", kernel_connect_result(first) == 0);
    AWAIT(2, "our place to be taken", listener->accepted_count == 1);
    int second = kernel_connect(WORLD_OURS, WORLD_PORT, NULL);
    int result = EINPROGRESS;
    UNTIL(2, "our reset", result != EINPROGRESS)
    {
        result = kernel_connect_result(second);
    }
    EXPECT_IS(result, ECONNREFUSED);
    (void)ours_accept(listener);
    ours_listener_close(listener);
}

/* ---- SYN cookies ---- */

static void open_kernel_cookies(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
    kernel_set("tcp_syncookies", "2"); /* always */
    struct pair pair = pair_connect(NULL, NULL);
    EXPECT_IS(kernel_counter("SyncookiesRecv"), 1);
    expect_all_agreed(&pair);
    pair_transfer(&pair, "kernel cookies", 1u << 20, 1u << 20, 5);
    pair_close(&pair, false);
    kernel_set("tcp_timestamps", "0"); /* nowhere to put the options */
    pair = pair_connect(NULL, NULL);
    EXPECT_IS(kernel_counter("SyncookiesRecv"), 2);
    struct tcp_info info = ours_info(pair.ours);
    EXPECT(!info.timestamps && !info.sack && !info.window_scaling);
    pair_transfer(&pair, "kernel cookies without timestamps", 1u << 20, 1u << 20, 5);
    pair_close(&pair, true);
}

struct flood_packet {
    struct iphdr ip;
    struct wire_tcp tcp;
};

/* A SYN of a host that does not exist. */
static void flood_syn(int raw, uint32_t idx)
{
    struct flood_packet packet;
    const uint32_t src_be32 = htonl(0xc6120000u + idx); /* 198.18.0.0/15 */
    memset(&packet, 0, sizeof(packet));
    packet.ip = (struct iphdr){.version = 4,
                               .ihl = 5,
                               .tot_len = htons(sizeof(packet)),
                               .ttl = 64,
                               .protocol = IPPROTO_TCP,
                               .saddr = src_be32,
                               .daddr = inet_addr(WORLD_OURS)};
    packet.tcp = (struct wire_tcp){.src_port_be16 = htons((uint16_t)(1024 + idx)),
                                   .dst_port_be16 = htons(WORLD_PORT),
                                   .seq_be32 = htonl(idx * 64007u),
                                   .offset = tcp_offset(TCP_HEADER_BYTES),
                                   .flags = TCP_FLAG_SYN,
                                   .window_be16 = htons(1024)};
    packet.tcp.checksum_be16 =
        tcp_checksum((const uint8_t *)&packet.tcp, TCP_HEADER_BYTES, src_be32, packet.ip.daddr);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = packet.ip.daddr};
    EXPECT_IS(sendto(raw, &packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)),
              sizeof(packet));
    world.moved = true;
}

static void open_our_cookies(void)
{
    struct world_config config = world_config_default();
    struct pair pair = {.ours = NULL};
    int result = EINPROGRESS;
    uint32_t idx = 0;
    config.tcp.requests_max = 64;
    world_open(&config);
    struct ours_listener *listener = ours_listen(WORLD_PORT, NULL);
    int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    EXPECT(raw >= 0);
    UNTIL(5, "the flood to be answered by cookies", world_counter(COUNTER_tcp_cookies_sent) > 1000)
    {
        flood_syn(raw, idx++);
    }
    pair.kernel = kernel_connect(WORLD_OURS, WORLD_PORT, NULL);
    UNTIL(5, "the kernel's connect under the flood, and our accept",
          pair.ours != NULL && result == 0)
    {
        flood_syn(raw, idx++);
        pair.ours = pair.ours != NULL ? pair.ours : ours_accept(listener);
        result = result == EINPROGRESS ? kernel_connect_result(pair.kernel) : result;
    }
    EXPECT_IS(world_counter(COUNTER_tcp_cookies_accepted), 1);
    (void)close(raw);
    expect_all_agreed(&pair);
    pair_transfer(&pair, "our cookies", 1u << 20, 1u << 20, 5);
    pair_close(&pair, false);
    ours_listener_close(listener);
}

const struct tcp_case tcp_cases_open[] = {{"connect", open_connect},
                                          {"accept", open_accept},
                                          {"simultaneous", open_simultaneous},
                                          {"refused_by_kernel", open_refused_by_kernel},
                                          {"refused_by_us", open_refused_by_us},
                                          {"syn_lost", open_syn_lost},
                                          {"syn_ack_lost", open_syn_ack_lost},
                                          {"last_ack_lost", open_last_ack_lost},
                                          {"kernel_backlog_full", open_kernel_backlog_full},
                                          {"our_backlog_full", open_our_backlog_full},
                                          {"our_backlog_resets", open_our_backlog_resets},
                                          {"kernel_cookies", open_kernel_cookies},
                                          {"our_cookies", open_our_cookies},
                                          {NULL, NULL}};
