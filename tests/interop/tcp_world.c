/*
 * The cable, the stack on it and the waiting, see tcp_world.h; the sockets are tcp_world_sockets.c.
 */
#include "tcp_world.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/stack_internal.h"
#include "rings/os/os.h"
#include "tcp_world_internal.h"
#include "tests/support/random.h"

#define WORLD_IDLE_NS 1000000u

struct world world;

struct world_config world_config_default(void)
{
    return (struct world_config){
        .mtu_bytes = 1500, .kernel_mtu_bytes = 1500, .tcp = tcp_config_default(256)};
}

/* ---- the kernel's ends ---- */

static void world_sysctls(void)
{
    /* The default is what the host was given; another one would make other runs. */
    if (!kernel_try_set("tcp_congestion_control", "cubic")) {
        kernel_set("tcp_congestion_control", "reno");
    }
    (void)kernel_try_set("../ipv6/conf/all/disable_ipv6", "1"); /* its frames are noise here */
}

static void world_make_far(const struct world_config *config)
{
    char commands[512];
    world.far = kernel_namespace();
    world_sysctls();
    (void)snprintf(commands, sizeof(commands),
                   "link add far0 type veth peer name near0 netns /proc/%u/fd/%d\n"
                   "link set far0 mtu %u up\n"
                   "addr add " WORLD_FAR "/24 dev far0\n",
                   os_process_id(), world.kernel, config->far_mtu_bytes);
    kernel_ip(commands);
    kernel_enter(world.kernel);
    (void)snprintf(commands, sizeof(commands),
                   "link set near0 mtu %u up\n"
                   "addr add 198.51.100.1/24 dev near0\n",
                   config->far_mtu_bytes);
    kernel_ip(commands);
    kernel_set("ip_forward", "1");
    kernel_enter(world.far);
    /* What the link takes is for ICMP to say, not for the handshake. */
    kernel_ip("route add 192.0.2.0/24 via 198.51.100.1 advmss 1460\n");
    kernel_enter(world.kernel);
}

static void world_make_kernel(const struct world_config *config)
{
    char commands[256];
    world.kernel = kernel_namespace();
    world_sysctls();
    world.tap_fd = nic_tap_open("tap0");
    if (world.tap_fd < 0) {
        perror("skipped: /dev/net/tun");
        exit(KERNEL_SKIPPED);
    }
    (void)snprintf(commands, sizeof(commands),
                   "link set tap0 mtu %u up\n"
                   "addr add " WORLD_KERNEL "/24 dev tap0\n",
                   config->kernel_mtu_bytes);
    kernel_ip(commands);
    if (config->far_mtu_bytes != 0) {
        world_make_far(config);
    }
}

/* ---- the stack ---- */

static bool world_deliver(void *context, struct udp_socket *socket,
                          const struct udp_datagram *datagram)
{
    (void)context;
    (void)socket;
    (void)datagram;
    return false;
}

static void world_udp_error(void *context, struct udp_socket *socket, enum rs_status error)
{
    (void)context;
    (void)socket;
    (void)error;
}

/* The time is also the TSC: frames and the engine's trace are on one clock. */
static void world_set_now(void)
{
    const uint64_t now_ns = os_monotonic_ns();
    stack_set_now(world.stack, now_ns, now_ns);
}

void world_open(const struct world_config *config)
{
    static const uint8_t mac[6] = {2, 0x52, 0x53, 0, 0, 10};
    const uint64_t seed = test_random_seed("tcp_kernel");
    world_make_kernel(config);
    world.nic = nic_tap_create(
        &(struct nic_tap_config){.fd = world.tap_fd,
                                 .mac = {mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]},
                                 .mtu_bytes = config->mtu_bytes,
                                 .caps = config->nic_caps,
                                 .seed = seed});
    struct stack_config stack = {.ip_be32 = inet_addr(WORLD_OURS),
                                 .prefix_len = 24,
                                 .gateway_be32 = inet_addr(WORLD_KERNEL),
                                 .neighbours_max = 64,
                                 .sockets_max = 1,
                                 .memberships_max = 1,
                                 .arp_reachable_ns = 30 * STACK_NS_PER_S,
                                 .arp_retry_ns = STACK_NS_PER_S,
                                 .arp_tries = 3,
                                 .igmp_version = 3,
                                 .random_seed = seed,
                                 .tcp = config->tcp};
    memcpy(stack.tcp.secret, "not so secret...", sizeof(stack.tcp.secret));
    const struct stack_upcalls upcalls = {.deliver = world_deliver,
                                          .error = world_udp_error,
                                          .tcp_event = world_tcp_event,
                                          .tcp_accept = world_tcp_accept};
    enum rs_status status =
        stack_create(&stack, world.nic, &upcalls, os_monotonic_ns(), &world.stack);
    EXPECT_IS(status, RS_OK);
    world_set_now();
}

void world_close(void)
{
    struct counters_sums sums;
    struct nic_stats stats;
    world_poll();
    if (!counters_balance(stack_counters(world.stack), &sums)) {
        FAIL("the ledger does not balance: frames %d, sends %d", sums.frames_balance,
             sums.sends_balance);
    }
    world.nic->ops->stats(world.nic, &stats);
    EXPECT_IS(stats.buffers_held, world_counter(COUNTER_waiting_neighbour));
    stack_destroy(world.stack);
    world.nic->ops->close(world.nic);
}

static void world_idle(void)
{
    uint64_t now_ns = os_monotonic_ns();
    uint64_t due_ns = stack_next_timer_ns(world.stack);
    uint64_t held_ns = nic_tap_due_ns(world.nic);
    due_ns = held_ns < due_ns ? held_ns : due_ns;
    if (due_ns <= now_ns) {
        return;
    }
    uint64_t wait_ns = due_ns - now_ns < WORLD_IDLE_NS ? due_ns - now_ns : WORLD_IDLE_NS;
    struct pollfd poller = {.fd = world.tap_fd, .events = POLLIN};
    struct timespec limit = {.tv_nsec = (long)wait_ns};
    (void)ppoll(&poller, 1, &limit, NULL);
}

void world_poll(void)
{
    struct pkt pkts[NIC_BURST_PKTS];
    world_set_now();
    uint32_t count = world.nic->ops->rx_burst(world.nic, pkts, NIC_BURST_PKTS);
    stack_prefetch(world.stack, pkts, count);
    for (uint32_t i = 0; i < count; i++) {
        stack_input(world.stack, &pkts[i]);
    }
    world.nic->ops->rx_release(world.nic, pkts, count);
    stack_timers(world.stack);
    stack_flush(world.stack);
    if (count == 0 && !world.moved) {
        world_idle();
    }
    world.moved = false;
    world_set_now(); /* of what the test does next */
}

void world_faults(struct nic_tap_faults in, struct nic_tap_faults out)
{
    *nic_tap_in(world.nic) = in;
    *nic_tap_out(world.nic) = out;
}

void world_no_faults(void)
{
    static const struct nic_tap_faults none;
    world_faults(none, none);
}

uint64_t world_counter(enum counter_id id)
{
    return counter_get(stack_counters(world.stack), id);
}

uint32_t world_time_waits(void)
{
    return world.stack->tcp.time_wait_count;
}

/* ---- waiting and failing ---- */

uint64_t world_deadline_ns(double seconds)
{
    return os_monotonic_ns() + (uint64_t)(seconds * 1e9);
}

void world_wait(uint64_t deadline_ns, const char *what, const char *file, int line)
{
    if (os_monotonic_ns() >= deadline_ns) {
        (void)snprintf(world.why, sizeof(world.why), "waited in vain for %s", what);
        world_fail(file, line);
    }
    world_poll();
}

static void world_print_socket(const struct ours *ours)
{
    if (ours->conn == NULL) {
        (void)fprintf(stderr, "  gone, events %#x, %s\n", ours->events,
                      rs_status_name(ours->error));
        return;
    }
    struct tcp_info info = ours_info(ours);
    (void)fprintf(stderr,
                  "  port %u: %s, events %#x, %s, mss %u, cwnd %u, ssthresh %u, in flight %u, "
                  "windows %u %u, unsent %u, unacked %u, unread %u, ahead %u, rtt %llu us, rto "
                  "%llu us, retransmits %u, timeouts %u, recoveries %u, undos %u\n",
                  ntohs(info.local_port_be16), tcp_state_name(info.state), ours->events,
                  rs_status_name(ours->error), info.mss_bytes, info.cwnd_bytes, info.ssthresh_bytes,
                  info.in_flight_bytes, info.snd_wnd_bytes, info.rcv_wnd_bytes, info.unsent_bytes,
                  info.unacked_bytes, info.unread_bytes, info.ahead_bytes,
                  (unsigned long long)info.rtt_ns / 1000, (unsigned long long)info.rto_ns / 1000,
                  info.retransmits, info.timeouts, info.fast_recoveries, info.undos);
}

/* What the engine's own trace says happened between two frames. */
static void world_print_events(FILE *out, uint64_t until_ns)
{
    static uint64_t next;
    const struct trace_ring *ring = &world.stack->trace;
    const uint64_t last = trace_written(ring);
    struct trace_record record;
    next = next == 0 && last > TRACE_RECORDS ? last - TRACE_RECORDS + 1 : next;
    next = next == 0 ? 1 : next;
    while (next <= last && trace_read(ring, next, &record) && record.tsc <= until_ns) {
        (void)fprintf(out, "%12s ... port %u: %s, %s %u %s %u\n", "", ntohs(record.local_port_be16),
                      trace_texts[record.event].text, trace_texts[record.event].a, record.a,
                      trace_texts[record.event].b, record.b);
        next++;
    }
}

static void world_print_table(const char *path)
{
    char line[512];
    FILE *table = fopen(path, "r");
    (void)fprintf(stderr, "---- %s\n", path);
    for (uint32_t i = 0; table != NULL && i < 20 && fgets(line, sizeof(line), table) != NULL; i++) {
        (void)fputs(line, stderr);
    }
    if (table != NULL) {
        (void)fclose(table);
    }
}

static void world_print_all(void)
{
    uint32_t left = 20;
    nic_tap_trace(world.nic, stderr, world_print_events);
    (void)fputs("---- our sockets\n", stderr);
    for (const struct ours *ours = world.sockets; ours != NULL && left > 0; ours = ours->next) {
        world_print_socket(ours);
        left--;
    }
    (void)fputs("---- our counters\n", stderr);
    for (uint32_t id = 0; id < COUNTER_COUNT; id++) {
        if (world_counter(id) != 0) {
            (void)fprintf(stderr, "  %s %llu\n", counter_name(id),
                          (unsigned long long)world_counter(id));
        }
    }
    world_print_table("/proc/self/net/tcp");
}

void world_fail(const char *file, int line)
{
    (void)fflush(stdout);
    if (world.stack != NULL) {
        world_print_all();
    }
    (void)fprintf(stderr, "%s:%d: %s\n", file, line, world.why);
    exit(1);
}
