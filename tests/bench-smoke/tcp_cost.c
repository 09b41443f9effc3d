/*
 * What TCP costs, in TSC cycles per packet, with 10 and with 100,000 connections hit in random
 * order: a received data segment up to its upcall (the ACKs that it causes included), a received
 * ACK, and 64 bytes sent down to the NIC's transmit call. Without checksums (the NIC does the sums)
 * and payload copies that stay in one cached ring, and once with checksums. The floors are one
 * dependent visit to a random connection's cache line, and as many lines of one as a segment
 * touches, fetched ahead: no stack can cost less than its memory. Then the memory of an idle
 * connection, and bulk (tcp_bulk.c). Prints medians of many short blocks. The bounds are for a
 * quiet machine; here a figure beyond ten times its bound fails. --full: longer runs.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "../support/check.h"
#include "../support/random.h"
#include "dataplane/stack.h"
#include "dataplane/steer.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/tcp.h"
#include "rings/layout.h"
#include "rings/seq.h"
#include "tcp_cost.h"

#define PAYLOAD_BYTES    64u
#define BLOCK            256u /* packets timed together */
#define BOUND_CYCLES     300u
#define BOUND_RATIO      1.3
#define BOUND_IDLE_BYTES 8192u
#define LINES            6u /* of a connection, what tcp_prefetch fetches */
#define MANY             100000u
#define NS_PER_PKT       100u /* of the virtual clock */
#define QUICK_ACKS       17u  /* segments until a connection delays its ACKs, and one more */
#define OWN_IP           0x0100000au
#define GATEWAY_IP       0x0200000au
#define LOCAL_PORT       7000u
#define PEER_PORT        5000u
#define RING_BYTES       65536u
#define TX_BUFFERS       1024u

struct cost_conn {
    _Alignas(RS_LINE_BYTES) rs_atomic_u32 send_head;
    rs_atomic_u32 recv_tail, recv_head;
    uint32_t tail, acked;         /* of the send ring */
    uint32_t peer_seq, first_seq; /* the peer's next, our first byte's */
    uint32_t next;                /* of the chase */
    struct tcp_conn *conn;
};

static struct {
    struct nic nic;
    uint8_t buffers[TX_BUFFERS][256];
    uint32_t next;
    uint8_t last[256]; /* the newest frame sent, while connections are made */
    uint64_t frames;
} wire;

static struct run {
    struct stack *stack;
    struct cost_conn *conns;
    uint32_t *order;
    uint32_t count, accepted, chase, at;
    uint64_t now_ns;
    bool checksum;
    struct tcp_backlog backlog;
    struct tcp_listener listener;
    uint8_t frames[BLOCK][192];
    struct pkt pkts[BLOCK];
} run;

static uint8_t send_ring[RING_BYTES], recv_ring[RING_BYTES];

/* ---- NIC and upcalls ------------------------------------------------------------------------- */

static bool wire_tx_alloc(struct nic *nic, struct pkt *out)
{
    (void)nic;
    *out = (struct pkt){.data = wire.buffers[wire.next++ % TX_BUFFERS]};
    return true;
}

static uint32_t wire_tx_burst(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    (void)nic;
    wire.frames += count;
    if (count == 1 && run.accepted < run.count) {
        memcpy(wire.last, pkts[0].data, pkts[0].len_bytes);
    }
    return count;
}

static void wire_tx_free(struct nic *nic, struct pkt *pkt)
{
    (void)nic;
    (void)pkt;
}

static const struct nic_ops wire_ops = {
    .tx_alloc = wire_tx_alloc, .tx_burst = wire_tx_burst, .tx_free = wire_tx_free};

static bool on_deliver(void *context, struct udp_socket *socket,
                       const struct udp_datagram *datagram)
{
    (void)context;
    (void)socket;
    (void)datagram;
    return false;
}

static void on_error(void *context, struct udp_socket *socket, enum rs_status error)
{
    (void)context;
    (void)socket;
    (void)error;
    CHECK(false);
}

/* The program reads at once. */
static void on_event(void *context, struct tcp_conn *conn, uint32_t events)
{
    (void)context;
    struct cost_conn *at = tcp_owner(conn);
    CHECK((events & (TCP_EVENT_ERROR | TCP_EVENT_END | TCP_EVENT_GONE)) == 0);
    uint32_t tail = atomic_load_explicit(&at->recv_tail, memory_order_relaxed);
    atomic_store_explicit(&at->recv_head, tail, memory_order_relaxed);
}

static bool on_accept(void *context, struct tcp_listener *listener, struct tcp_conn *conn,
                      struct tcp_rings *rings, void **owner)
{
    (void)context;
    (void)listener;
    struct cost_conn *at = &run.conns[run.accepted++];
    at->conn = conn;
    *rings = (struct tcp_rings){.send_base = send_ring,
                                .recv_base = recv_ring,
                                .send_bytes = RING_BYTES,
                                .recv_bytes = RING_BYTES,
                                .recv_limit_bytes = RING_BYTES,
                                .send_head = &at->send_head,
                                .recv_tail = &at->recv_tail,
                                .recv_head = &at->recv_head};
    *owner = at;
    tcp_backlog_release(&run.backlog);
    return true;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Peer i of the wire: 10.64.0.0/10. */
static uint32_t peer_ip(uint32_t i)
{
    return rs_be32(10u << 24 | 64u << 16 | (i + 1));
}

static void frame_emit(uint8_t *frame, struct pkt *pkt, uint32_t i, uint8_t flags, uint32_t seq,
                       uint32_t ack, const struct tcp_options *options, uint32_t payload_bytes)
{
    static const uint8_t gateway_mac[6] = {2, 0, 0, 0, 0, 2};
    uint32_t options_bytes = tcp_options_emit(frame + 54, options);
    uint32_t segment_bytes = TCP_HEADER_BYTES + options_bytes + payload_bytes;
    const struct wire_ipv4 ip = {.version_ihl = 0x45,
                                 .total_len_be16 = rs_be16((uint16_t)(20 + segment_bytes)),
                                 .ttl = 64,
                                 .protocol = IPV4_PROTOCOL_TCP,
                                 .src_be32 = peer_ip(i),
                                 .dst_be32 = OWN_IP};
    const struct wire_tcp tcp = {.src_port_be16 = rs_be16(PEER_PORT),
                                 .dst_port_be16 = rs_be16(LOCAL_PORT),
                                 .seq_be32 = rs_be32(seq),
                                 .ack_be32 = rs_be32(ack),
                                 .offset = tcp_offset(TCP_HEADER_BYTES + options_bytes),
                                 .flags = flags,
                                 .window_be16 = 0xffff};
    ethernet_emit(frame, wire.nic.mac, gateway_mac, ETHERNET_TYPE_IPV4);
    ipv4_emit(frame + 14, &ip, true);
    tcp_emit(frame + 34, &tcp);
    *pkt = (struct pkt){.data = frame,
                        .len_bytes = 34 + segment_bytes,
                        .flags = run.checksum ? 0 : PKT_RX_IP_CSUM_GOOD | PKT_RX_L4_CSUM_GOOD};
    if (run.checksum) {
        struct wire_tcp *header = (struct wire_tcp *)(frame + 34);
        header->checksum_be16 =
            tcp_checksum(frame + 34, (uint16_t)segment_bytes, ip.src_be32, ip.dst_be32);
    }
}

static struct tcp_options timestamps(void)
{
    /* The peer's clock goes with ours; what it echoes does not matter for a connection that has
     * nothing to measure, and is ours of the moment otherwise. */
    return (struct tcp_options){.present = TCP_OPTION_TIMESTAMPS,
                                .tsval = (uint32_t)(run.now_ns / 1000000)};
}

static void turn(struct pkt *pkts, uint32_t count)
{
    run.now_ns += (uint64_t)NS_PER_PKT * (count > 0 ? count : 1);
    stack_set_now(run.stack, run.now_ns, run.now_ns);
    stack_prefetch(run.stack, pkts, count);
    for (uint32_t i = 0; i < count; i++) {
        stack_input(run.stack, &pkts[i]);
    }
    stack_timers(run.stack);
    stack_flush(run.stack);
}

static void establish(uint32_t i)
{
    struct cost_conn *at = &run.conns[i];
    struct tcp_options options = timestamps();
    options.present |= TCP_OPTION_MSS | TCP_OPTION_SACK_OK | TCP_OPTION_WSCALE;
    options.mss = 1460;
    options.wscale = 7;
    frame_emit(run.frames[0], &run.pkts[0], i, TCP_FLAG_SYN, 1000, 0, &options, 0);
    turn(run.pkts, 1);
    const struct wire_tcp *answer = (const struct wire_tcp *)(wire.last + 34);
    CHECK((answer->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == (TCP_FLAG_SYN | TCP_FLAG_ACK));
    at->first_seq = rs_be32(answer->seq_be32) + 1;
    at->peer_seq = 1001;
    options = timestamps();
    frame_emit(run.frames[0], &run.pkts[0], i, TCP_FLAG_ACK, at->peer_seq, at->first_seq, &options,
               0);
    turn(run.pkts, 1);
    CHECK(run.accepted == i + 1);
}

/* ---- making a stack -------------------------------------------------------------------------- */

static struct stack_config stack_settings(uint32_t connections)
{
    struct stack_config config = {.ip_be32 = OWN_IP,
                                  .prefix_len = 24,
                                  .gateway_be32 = GATEWAY_IP,
                                  .neighbours_max = 64,
                                  .sockets_max = 1,
                                  .memberships_max = 16,
                                  .arp_reachable_ns = 1000000000000000ull,
                                  .arp_retry_ns = 1000000000,
                                  .arp_tries = 3,
                                  .igmp_version = 3,
                                  .neighbours = {{GATEWAY_IP, {2, 0, 0, 0, 0, 2}}},
                                  .neighbour_count = 1,
                                  .tcp = tcp_config_default(connections)};
    if (connections == 0) {
        config.tcp.connections_max = 0;
    }
    return config;
}

static void nic_make(uint32_t caps)
{
    wire.nic = (struct nic){.ops = &wire_ops,
                            .kind = RS_NIC_BYPASS,
                            .mac = {2, 0, 0, 0, 0, 1},
                            .mtu_bytes = 1500,
                            .queue_count = 1,
                            .steering = &steer_one_queue,
                            .caps = caps};
}

static void run_start(uint32_t count, bool checksum)
{
    memset(&run, 0, sizeof(run));
    run.count = count;
    run.checksum = checksum;
    run.now_ns = 1000000000;
    nic_make(checksum ? 0 : NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_TCP_CSUM | NIC_CAP_RX_CSUM);
    const struct stack_config config = stack_settings(count);
    const struct stack_upcalls upcalls = {
        .deliver = on_deliver, .error = on_error, .tcp_event = on_event, .tcp_accept = on_accept};
    CHECK(stack_create(&config, &wire.nic, &upcalls, run.now_ns, &run.stack) == RS_OK);
    run.conns = aligned_alloc(RS_LINE_BYTES, count * sizeof(*run.conns));
    run.order = calloc(count, sizeof(*run.order));
    CHECK(run.conns != NULL && run.order != NULL);
    memset(run.conns, 0, count * sizeof(*run.conns));
    run.backlog.limit = 16;
    run.listener = (struct tcp_listener){.local_port_be16 = rs_be16(LOCAL_PORT),
                                         .settings = {.nodelay = true},
                                         .backlog = &run.backlog,
                                         .recv_window_bytes = RING_BYTES};
    CHECK(tcp_listen(run.stack, &run.listener) == RS_OK);
    struct test_random random = test_random_make(1);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = test_random_below(&random, i + 1);
        run.order[i] = run.order[other];
        run.order[other] = i;
        establish(i);
    }
    for (uint32_t i = 0; i < count; i++) {
        run.conns[run.order[i]].next = run.order[i + 1 == count ? 0 : i + 1];
    }
}

static void run_stop(void)
{
    struct counters_sums sums;
    CHECK(counters_balance(stack_counters(run.stack), &sums));
    CHECK(tcp_connection_count(run.stack) == run.count);
    tcp_listener_close(run.stack, &run.listener);
    stack_destroy(run.stack);
    free(run.conns);
    free(run.order);
}

/* ---- blocks: each prepares, measures, cleans up ---------------------------------------------- */

static uint32_t block_conn(uint32_t i)
{
    uint32_t at = run.at + i;
    return run.order[at % run.count];
}

/* As many packets as a NIC gives at once, but no connection twice: what several of one burst have
 * in common, an ACK or a segment, would be counted as one's cost. */
static uint32_t burst_pkts(uint32_t left)
{
    uint32_t most = run.count < NIC_BURST_PKTS ? run.count : NIC_BURST_PKTS;
    return left < most ? left : most;
}

static uint64_t timed_in(void)
{
    uint64_t start = __rdtsc();
    for (uint32_t i = 0; i < BLOCK; i += burst_pkts(BLOCK - i)) {
        turn(&run.pkts[i], burst_pkts(BLOCK - i));
    }
    return __rdtsc() - start;
}

static uint64_t block_chase(void)
{
    uint64_t start = __rdtsc();
    for (uint32_t i = 0; i < BLOCK; i++) {
        run.chase = run.conns[run.chase].next;
    }
    return __rdtsc() - start;
}

/* What memory alone costs: as many lines of random connections as a segment touches, fetched ahead
 * in bursts as the stack does. */
static uint64_t block_lines(void)
{
    uint32_t digest = 0;
    uint64_t start = __rdtsc();
    for (uint32_t first = 0; first < BLOCK; first += NIC_BURST_PKTS) {
        for (uint32_t i = first; i < first + NIC_BURST_PKTS; i++) {
            tcp_prefetch(run.conns[block_conn(i)].conn);
        }
        for (uint32_t i = first; i < first + NIC_BURST_PKTS; i++) {
            const uint8_t *lines = (const uint8_t *)run.conns[block_conn(i)].conn;
            for (uint32_t line = 0; line < LINES; line++) {
                digest += lines[(size_t)line * RS_LINE_BYTES];
            }
        }
    }
    run.chase += digest & 0; /* the loads are for something */
    return __rdtsc() - start;
}

static uint64_t block_in(void)
{
    struct tcp_options options = timestamps();
    for (uint32_t i = 0; i < BLOCK; i++) {
        struct cost_conn *at = &run.conns[block_conn(i)];
        frame_emit(run.frames[i], &run.pkts[i], block_conn(i), TCP_FLAG_ACK | TCP_FLAG_PSH,
                   at->peer_seq, at->first_seq + at->tail, &options, PAYLOAD_BYTES);
        at->peer_seq += PAYLOAD_BYTES;
    }
    uint64_t took = timed_in();
    for (uint32_t i = 0; i < BLOCK; i++) {
        struct cost_conn *at = &run.conns[block_conn(i)];
        CHECK(atomic_load(&at->recv_tail) == at->peer_seq - 1001);
        CHECK(tcp_recv_consumed(run.stack, at->conn) == RS_OK);
    }
    turn(NULL, 0);
    return took;
}

static uint64_t send_block(void)
{
    uint64_t start = __rdtsc();
    for (uint32_t first = 0; first < BLOCK; first += NIC_BURST_PKTS) {
        /* As a queue does with the slots of a burst. */
        for (uint32_t i = first; i < first + NIC_BURST_PKTS; i++) {
            __builtin_prefetch(&run.conns[block_conn(i)], 1);
        }
        for (uint32_t i = first; i < first + NIC_BURST_PKTS; i++) {
            tcp_prefetch(run.conns[block_conn(i)].conn);
        }
        for (uint32_t i = first; i < first + NIC_BURST_PKTS; i++) {
            struct cost_conn *at = &run.conns[block_conn(i)];
            at->tail += PAYLOAD_BYTES;
            CHECK(tcp_send_tail(run.stack, at->conn, at->tail) == RS_OK);
        }
        turn(NULL, 0);
    }
    return __rdtsc() - start;
}

static uint64_t ack_block(void)
{
    struct tcp_options options = timestamps();
    for (uint32_t i = 0; i < BLOCK; i++) {
        struct cost_conn *at = &run.conns[block_conn(i)];
        at->acked += PAYLOAD_BYTES;
        frame_emit(run.frames[i], &run.pkts[i], block_conn(i), TCP_FLAG_ACK, at->peer_seq,
                   at->first_seq + at->acked, &options, 0);
    }
    uint64_t took = timed_in();
    for (uint32_t i = 0; i < BLOCK; i++) {
        struct cost_conn *at = &run.conns[block_conn(i)];
        CHECK(atomic_load(&at->send_head) == at->tail);
    }
    return took;
}

static uint64_t block_out(void)
{
    uint64_t took = send_block();
    (void)ack_block();
    return took;
}

static uint64_t block_ack(void)
{
    (void)send_block();
    return ack_block();
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double measure(uint64_t (*block)(void), uint32_t blocks)
{
    uint64_t *took = calloc(blocks, sizeof(*took));
    CHECK(took != NULL);
    for (uint32_t i = 0; i < blocks; i++) {
        took[i] = block();
        run.at = (run.at + BLOCK) % run.count;
    }
    qsort(took, blocks, sizeof(*took), compare_u64);
    uint64_t median = took[blocks / 2];
    free(took);
    return (double)median / BLOCK;
}

/* ---- reports --------------------------------------------------------------------------------- */

struct row {
    const char *what;
    uint64_t (*block)(void);
    double bound; /* 0: none */
};

static const struct row rows[] = {
    {"floor: one connection's cache line", block_chase, 0},
    {"floor: six lines of one, fetched ahead in bursts", block_lines, 0},
    {"in: 64 bytes, every other one ACKed", block_in, BOUND_CYCLES},
    {"in: an ACK of 64 bytes", block_ack, BOUND_CYCLES},
    {"out: 64 bytes", block_out, BOUND_CYCLES},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void report_cycles(bool checksum, uint32_t blocks)
{
    static const uint32_t counts[2] = {10, MANY};
    double cycles[2][ROWS];
    for (int i = 0; i < 2; i++) {
        run_start(counts[i], checksum);
        (void)measure(block_in, QUICK_ACKS * counts[i] / BLOCK + 1);
        for (int row = 0; row < ROWS; row++) {
            (void)measure(rows[row].block, blocks / 4); /* warm */
            cycles[i][row] = measure(rows[row].block, blocks);
        }
        run_stop();
    }
    printf("TSC cycles per packet, bound %u, ratio %.1f; %s  10    100,000   ratio\n", BOUND_CYCLES,
           BOUND_RATIO, checksum ? "with checksums   " : "without checksums");
    for (int row = 0; row < ROWS; row++) {
        printf("  %-52s %10.0f %10.0f %7.2f  (%.1f x floor)\n", rows[row].what, cycles[0][row],
               cycles[1][row], cycles[1][row] / cycles[0][row], cycles[1][row] / cycles[1][0]);
        CHECK(rows[row].bound == 0 ||
              (cycles[0][row] < 10 * rows[row].bound && cycles[1][row] < 10 * rows[row].bound));
    }
}

/* Address space: tables on huge pages are not malloc's. */
static size_t mapped_bytes(void)
{
    char line[128];
    FILE *file = fopen("/proc/self/statm", "re");
    CHECK(file != NULL && fgets(line, sizeof(line), file) != NULL);
    (void)fclose(file);
    return strtoul(line, NULL, 10) * RS_PAGE_BYTES;
}

static size_t stack_bytes(uint32_t connections)
{
    size_t before = mapped_bytes();
    nic_make(0);
    const struct stack_config config = stack_settings(connections);
    const struct stack_upcalls upcalls = {.deliver = on_deliver, .error = on_error};
    struct stack *stack = NULL;
    CHECK(stack_create(&config, &wire.nic, &upcalls, 1000000000, &stack) == RS_OK);
    size_t after = mapped_bytes();
    stack_destroy(stack);
    return after > before ? after - before : 0;
}

/* All that stack_create allocates for connections, in use or not, and the rings. */
static void report_memory(void)
{
    size_t without = stack_bytes(0);
    size_t with = stack_bytes(MANY);
    double each = (double)(with - without) / MANY;
    double total = each + 2.0 * RS_RING_MIN_BYTES;
    printf("memory of an idle connection, of %u: %.0f bytes of the stack, with the smallest rings "
           "(2 x %u) %.0f; bound %u\n",
           MANY, each, RS_RING_MIN_BYTES, total, BOUND_IDLE_BYTES);
    CHECK(total <= BOUND_IDLE_BYTES);
}

int main(int argc, char **argv)
{
    bool full = argc > 1 && strcmp(argv[1], "--full") == 0;
    report_memory();
    report_cycles(false, full ? 4000 : 600);
    report_cycles(true, full ? 4000 : 600);
    tcp_bulk_report(full ? 2000 : 200);
    return 0;
}
