/*
 * TCP bulk between two stacks over an in-memory wire: real segments, one connection, one direction,
 * rings of 512 KiB. The wire passes buffers by pointer between two threads or within one, without
 * lock or copy; what a NIC would do by hardware (segmentation, its checksums) it does in software,
 * and the share of the time that this takes is printed. The sender's program does not write and the
 * receiver's looks at one word of each 4 KiB (all words in a first run): this is the stack's speed,
 * not a program's.
 *
 * Time in which a thread did not run (more than GAP_NS between two of its turns) is left out of the
 * stack's clock, and out of what one thread's figure is divided by; two threads that must wait for
 * each other are only worth looking at on a quiet machine.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "../support/check.h"
#include "dataplane/nic_segment.h"
#include "dataplane/stack.h"
#include "dataplane/steer.h"
#include "dataplane/wire/byteorder.h"
#include "rings/layout.h"
#include "rings/os/os.h"
#include "rings/seq.h"
#include "tcp_cost.h"

#define RING_BYTES   (512u * 1024u)
#define BUFFERS      1024u
#define BIG_BUFFERS  64u
#define BUFFER_BYTES 9216u
#define BIG_BYTES    (65536u + NIC_TSO_HEADER_BYTES)
#define TSO_MAX      61440u
#define PORT         5000u
#define GAP_NS       100000.0
#define BOUND_SHARE  10 /* a figure below this part of its bound fails */

/* One thread puts, one takes; never full, for it has room for all buffers. */
struct spsc {
    _Alignas(RS_LINE_BYTES) _Atomic uint32_t tail; /* partner: the taker */
    uint32_t tail_own;
    _Alignas(RS_LINE_BYTES) uint32_t head_own; /* the taker's */
    uint32_t tail_seen;
    _Alignas(RS_LINE_BYTES) struct {
        uint32_t buffer_idx, len_bytes;
    } slots[BUFFERS];
};

struct bulk_side {
    struct nic nic; /* first: the stack's handle of it */
    struct bulk_side *peer;
    struct stack *stack;
    struct spsc sent;     /* by this side, taken by the peer */
    struct spsc returned; /* by the peer, taken by this side */
    uint8_t *memory, *big_memory;
    uint32_t free_idx[BUFFERS], free_count;
    uint32_t big_free_idx[BIG_BUFFERS], big_free_count;
    uint64_t nic_cycles;        /* spent on a NIC's work */
    uint64_t last_tsc, gap_tsc; /* of the last turn; while the thread did not run */
    /* the program */
    bool sends;
    struct tcp_conn *conn;
    uint8_t *ring;
    rs_atomic_u32 send_head, recv_tail, recv_head;
    uint32_t send_pos;
    bool connected, check_all;
    _Atomic uint64_t read_bytes; /* partner: the thread that measures */
    struct tcp_backlog backlog;
    struct tcp_listener listener;
};

static const uint32_t side_ip_be32[2] = {0x0100000au, 0x0200000au};
static double tsc_per_ns;
static _Atomic bool stop; /* partners: both threads and main */

/* ---- wire ------------------------------------------------------------------------------------ */

static void spsc_put(struct spsc *ring, uint32_t buffer_idx, uint32_t len_bytes)
{
    uint32_t at = ring->tail_own++ & (BUFFERS - 1);
    ring->slots[at].buffer_idx = buffer_idx;
    ring->slots[at].len_bytes = len_bytes;
}

static void spsc_publish(struct spsc *ring)
{
    /* Release, partner spsc_take. */
    atomic_store_explicit(&ring->tail, ring->tail_own, memory_order_release);
}

static bool spsc_take(struct spsc *ring, uint32_t *buffer_idx, uint32_t *len_bytes)
{
    if (ring->head_own == ring->tail_seen) {
        /* Acquire, partner spsc_publish. */
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (ring->head_own == ring->tail_seen) {
            return false;
        }
    }
    uint32_t at = ring->head_own++ & (BUFFERS - 1);
    *buffer_idx = ring->slots[at].buffer_idx;
    *len_bytes = ring->slots[at].len_bytes;
    return true;
}

static struct bulk_side *side_of(struct nic *nic)
{
    return (struct bulk_side *)nic;
}

static bool buffer_take(struct bulk_side *side, uint32_t *idx)
{
    uint32_t len_bytes;
    if (side->free_count == 0) {
        while (spsc_take(&side->returned, idx, &len_bytes)) {
            side->free_idx[side->free_count++] = *idx;
        }
    }
    if (side->free_count == 0) {
        return false;
    }
    *idx = side->free_idx[--side->free_count];
    return true;
}

static bool wire_tx_alloc(struct nic *nic, struct pkt *out)
{
    struct bulk_side *side = side_of(nic);
    uint32_t idx;
    if (!buffer_take(side, &idx)) {
        return false;
    }
    *out = (struct pkt){.data = side->memory + (size_t)idx * BUFFER_BYTES};
    out->handle = out->data;
    return true;
}

static bool wire_tx_alloc_big(struct nic *nic, struct pkt *out)
{
    struct bulk_side *side = side_of(nic);
    if (side->big_free_count == 0) {
        return false;
    }
    uint32_t idx = side->big_free_idx[--side->big_free_count];
    *out = (struct pkt){.data = side->big_memory + (size_t)idx * BIG_BYTES};
    out->handle = out->data;
    return true;
}

static bool is_big(const struct bulk_side *side, const uint8_t *handle)
{
    return handle >= side->big_memory &&
           handle < side->big_memory + (size_t)BIG_BUFFERS * BIG_BYTES;
}

static void wire_tx_free(struct nic *nic, struct pkt *pkt)
{
    struct bulk_side *side = side_of(nic);
    const uint8_t *handle = pkt->handle;
    if (is_big(side, handle)) {
        side->big_free_idx[side->big_free_count++] =
            (uint32_t)((size_t)(handle - side->big_memory) / BIG_BYTES);
    } else {
        side->free_idx[side->free_count++] =
            (uint32_t)((size_t)(handle - side->memory) / BUFFER_BYTES);
    }
}

/* What needs a NIC's help; false: no buffers for it now. */
static bool send_helped(struct bulk_side *side, struct pkt *pkt)
{
    uint64_t start = __rdtsc();
    uint32_t count = nic_segment_count(pkt);
    uint32_t idx[64];
    CHECK(count <= 64);
    for (uint32_t i = 0; i < count; i++) {
        if (!buffer_take(side, &idx[i])) {
            while (i > 0) {
                side->free_idx[side->free_count++] = idx[--i];
            }
            return false;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *to = side->memory + (size_t)idx[i] * BUFFER_BYTES;
        spsc_put(&side->sent, idx[i], nic_segment_emit(pkt, i, to));
    }
    wire_tx_free(&side->nic, pkt);
    uint64_t took = __rdtsc() - start;
    side->nic_cycles += (double)took < GAP_NS * tsc_per_ns ? took : 0;
    return true;
}

static uint32_t wire_tx_burst(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    struct bulk_side *side = side_of(nic);
    uint32_t taken = 0;
    for (; taken < count; taken++) {
        struct pkt *pkt = &pkts[taken];
        if ((pkt->flags & PKT_TX_TCP_SEG) != 0) {
            if (!send_helped(side, pkt)) {
                break;
            }
        } else {
            /* Checksums that a NIC would fill in nobody looks at: the receiver's NIC says they
             * are right. */
            size_t off = (size_t)((uint8_t *)pkt->handle - side->memory);
            CHECK(!is_big(side, pkt->handle));
            spsc_put(&side->sent, (uint32_t)(off / BUFFER_BYTES), pkt->len_bytes);
        }
    }
    spsc_publish(&side->sent);
    return taken;
}

static uint32_t wire_rx_burst(struct nic *nic, struct pkt *pkts, uint32_t max)
{
    struct bulk_side *peer = side_of(nic)->peer;
    uint32_t flags =
        (nic->caps & NIC_CAP_RX_CSUM) != 0 ? PKT_RX_IP_CSUM_GOOD | PKT_RX_L4_CSUM_GOOD : 0;
    uint32_t count = 0;
    uint32_t idx, len_bytes;
    while (count < max && spsc_take(&peer->sent, &idx, &len_bytes)) {
        uint8_t *data = peer->memory + (size_t)idx * BUFFER_BYTES;
        pkts[count++] =
            (struct pkt){.handle = data, .data = data, .len_bytes = len_bytes, .flags = flags};
    }
    return count;
}

static void wire_rx_release(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    struct bulk_side *peer = side_of(nic)->peer;
    for (uint32_t i = 0; i < count; i++) {
        size_t off = (size_t)((uint8_t *)pkts[i].handle - peer->memory);
        spsc_put(&peer->returned, (uint32_t)(off / BUFFER_BYTES), 0);
    }
    spsc_publish(&peer->returned);
}

static const struct nic_ops wire_ops = {.rx_burst = wire_rx_burst,
                                        .rx_release = wire_rx_release,
                                        .tx_alloc = wire_tx_alloc,
                                        .tx_alloc_big = wire_tx_alloc_big,
                                        .tx_burst = wire_tx_burst,
                                        .tx_free = wire_tx_free};

/* ---- program --------------------------------------------------------------------------------- */

static uint64_t word_at(uint32_t off)
{
    return (off + 8) * 0x9e3779b97f4a7c15ull;
}

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
}

static void on_event(void *context, struct tcp_conn *conn, uint32_t events)
{
    struct bulk_side *side = context;
    (void)conn;
    CHECK((events & (TCP_EVENT_ERROR | TCP_EVENT_END)) == 0);
    side->connected |= (events & TCP_EVENT_CONNECTED) != 0;
}

static void side_rings(struct bulk_side *side, struct tcp_rings *rings)
{
    *rings = (struct tcp_rings){.send_base = side->ring,
                                .recv_base = side->ring,
                                .send_bytes = RING_BYTES,
                                .recv_bytes = RING_BYTES,
                                .recv_limit_bytes = RING_BYTES,
                                .send_head = &side->send_head,
                                .recv_tail = &side->recv_tail,
                                .recv_head = &side->recv_head};
}

static bool on_accept(void *context, struct tcp_listener *listener, struct tcp_conn *conn,
                      struct tcp_rings *rings, void **owner)
{
    struct bulk_side *side = context;
    (void)listener;
    side->conn = conn;
    side->connected = true;
    side_rings(side, rings);
    *owner = side;
    tcp_backlog_release(&side->backlog);
    return true;
}

static void program_send(struct bulk_side *side)
{
    uint32_t head = atomic_load_explicit(&side->send_head, memory_order_acquire);
    uint32_t tail = head + RING_BYTES;
    if (tail - side->send_pos < RING_BYTES / 8) {
        return; /* as a program that writes 64 KiB at a time */
    }
    side->send_pos = tail;
    CHECK(tcp_send_tail(side->stack, side->conn, tail) == RS_OK);
}

static void program_read(struct bulk_side *side)
{
    uint32_t head = atomic_load_explicit(&side->recv_head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&side->recv_tail, memory_order_acquire);
    uint32_t step = side->check_all ? 8 : 4096;
    if (tail == head) {
        return;
    }
    uint32_t first = (head + step - 1) & ~(step - 1);
    for (uint32_t at = first; tail - at >= 8 && tail - at <= RING_BYTES; at += step) {
        uint32_t off = at & (RING_BYTES - 1);
        uint64_t word;
        memcpy(&word, side->ring + off, sizeof(word));
        CHECK(word == word_at(off));
        if (side->check_all) {
            memset(side->ring + off, 0, sizeof(word)); /* so that it must come anew */
        }
    }
    /* Whole words, so that the next look finds them whole. */
    tail &= ~7u;
    if (tail == head) {
        return;
    }
    atomic_store_explicit(&side->recv_head, tail, memory_order_release);
    uint64_t before = atomic_load_explicit(&side->read_bytes, memory_order_relaxed);
    atomic_store_explicit(&side->read_bytes, before + rs_seq_distance(head, tail),
                          memory_order_relaxed); /* positions wrap, the sum does not */
    CHECK(tcp_recv_consumed(side->stack, side->conn) == RS_OK);
}

static uint64_t side_clock_ns(struct bulk_side *side)
{
    uint64_t tsc = __rdtsc();
    if (side->last_tsc != 0 && (double)(tsc - side->last_tsc) > GAP_NS * tsc_per_ns) {
        side->gap_tsc += tsc - side->last_tsc;
    }
    side->last_tsc = tsc;
    return (uint64_t)((double)(tsc - side->gap_tsc) / tsc_per_ns);
}

static void side_turn(struct bulk_side *side)
{
    struct pkt pkts[NIC_BURST_PKTS];
    stack_set_now(side->stack, side_clock_ns(side), side->last_tsc);
    uint32_t count = wire_rx_burst(&side->nic, pkts, NIC_BURST_PKTS);
    if (count > 0) {
        stack_prefetch(side->stack, pkts, count);
        for (uint32_t i = 0; i < count; i++) {
            stack_input(side->stack, &pkts[i]);
        }
        wire_rx_release(&side->nic, pkts, count);
    }
    if (side->connected && side->sends) {
        program_send(side);
    } else if (side->connected) {
        program_read(side);
    }
    stack_timers(side->stack);
    stack_flush(side->stack);
}

/* ---- a pair ---------------------------------------------------------------------------------- */

static void side_make_stack(struct bulk_side *side, uint32_t own)
{
    struct stack_config config = {.ip_be32 = side_ip_be32[own],
                                  .prefix_len = 24,
                                  .neighbours = {{.ip_be32 = side_ip_be32[!own]}},
                                  .neighbour_count = 1,
                                  .neighbours_max = 4,
                                  .sockets_max = 1,
                                  .memberships_max = 1,
                                  .arp_reachable_ns = UINT64_MAX / 4,
                                  .arp_retry_ns = 1000000000,
                                  .arp_tries = 3,
                                  .igmp_version = 3,
                                  .tcp = tcp_config_default(16)};
    memcpy(config.neighbours[0].mac, side->peer->nic.mac, 6);
    const struct stack_upcalls upcalls = {.context = side,
                                          .deliver = on_deliver,
                                          .error = on_error,
                                          .tcp_event = on_event,
                                          .tcp_accept = on_accept};
    CHECK(stack_create(&config, &side->nic, &upcalls, side_clock_ns(side), &side->stack) == RS_OK);
}

static void side_init(struct bulk_side *side, struct bulk_side *peer, uint32_t own, uint32_t mtu,
                      bool offload)
{
    memset(side, 0, sizeof(*side));
    side->peer = peer;
    side->nic = (struct nic){.ops = &wire_ops,
                             .kind = RS_NIC_BYPASS,
                             .mac = {2, 0, 0, 0, 0, (uint8_t)(own + 1)},
                             .mtu_bytes = mtu,
                             .queue_count = 1,
                             .steering = &steer_one_queue,
                             .tso_max_bytes = offload ? TSO_MAX : 0,
                             .caps = offload ? NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_TCP_CSUM |
                                                   NIC_CAP_TX_TSO | NIC_CAP_RX_CSUM
                                             : 0};
    side->memory = malloc((size_t)BUFFERS * BUFFER_BYTES);
    side->big_memory = malloc((size_t)BIG_BUFFERS * BIG_BYTES);
    side->ring = malloc(RING_BYTES);
    CHECK(side->memory != NULL && side->big_memory != NULL && side->ring != NULL);
    for (uint32_t i = 0; i < BUFFERS; i++) {
        side->free_idx[side->free_count++] = i;
    }
    for (uint32_t i = 0; i < BIG_BUFFERS; i++) {
        side->big_free_idx[side->big_free_count++] = i;
    }
    side->sends = own == 0;
    for (uint32_t off = 0; off < RING_BYTES; off += 8) {
        uint64_t word = own == 0 ? word_at(off) : 0;
        memcpy(side->ring + off, &word, sizeof(word));
    }
}

static void pair_make(struct bulk_side *sides, uint32_t mtu, bool offload)
{
    for (uint32_t own = 0; own < 2; own++) {
        side_init(&sides[own], &sides[!own], own, mtu, offload);
    }
    side_make_stack(&sides[0], 0);
    side_make_stack(&sides[1], 1);
    sides[1].backlog.limit = 1;
    sides[1].listener = (struct tcp_listener){.local_port_be16 = rs_be16(PORT),
                                              .backlog = &sides[1].backlog,
                                              .recv_window_bytes = RING_BYTES};
    CHECK(tcp_listen(sides[1].stack, &sides[1].listener) == RS_OK);
    struct tcp_rings rings;
    side_rings(&sides[0], &rings);
    const struct tcp_connect_args args = {.peer_be32 = side_ip_be32[1],
                                          .peer_port_be16 = rs_be16(PORT),
                                          .rings = &rings,
                                          .owner = &sides[0]};
    for (uint32_t own = 0; own < 2; own++) {
        stack_set_now(sides[own].stack, side_clock_ns(&sides[own]), sides[own].last_tsc);
    }
    CHECK(tcp_connect(sides[0].stack, &args, &sides[0].conn) == RS_OK);
}

static void pair_destroy(struct bulk_side *sides)
{
    for (uint32_t own = 0; own < 2; own++) {
        struct counters_sums sums;
        CHECK(counters_balance(stack_counters(sides[own].stack), &sums));
        stack_destroy(sides[own].stack);
        free(sides[own].memory);
        free(sides[own].big_memory);
        free(sides[own].ring);
    }
}

static uint64_t read_so_far(const struct bulk_side *sides)
{
    return atomic_load_explicit(&sides[1].read_bytes, memory_order_relaxed);
}

/* Every word, and that it comes at all. */
static void pair_verify(struct bulk_side *sides)
{
    uint64_t deadline_ns = os_monotonic_ns() + 10000000000ull;
    sides[1].check_all = true;
    while (read_so_far(sides) < 16ull * RING_BYTES) {
        side_turn(&sides[0]);
        side_turn(&sides[1]);
        CHECK(os_monotonic_ns() < deadline_ns); /* 8 MiB in 10 s */
    }
    sides[1].check_all = false;
}

static void thread_run(void *arg)
{
    struct bulk_side *side = arg;
    uint32_t cpu_idx = side->sends ? 0 : 1;
    enum rs_status pinned = os_thread_pin(cpu_idx);
    (void)pinned; /* with one processor they share it */
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        side_turn(side);
    }
}

static double gbits(uint64_t bytes, uint64_t ns)
{
    return (double)bytes * 8 / (double)ns;
}

static double pair_run_threads(struct bulk_side *sides, uint32_t run_ms)
{
    struct os_thread threads[2];
    atomic_store(&stop, false);
    CHECK(os_thread_start(&threads[0], thread_run, &sides[0], "bulk-send") == RS_OK);
    CHECK(os_thread_start(&threads[1], thread_run, &sides[1], "bulk-receive") == RS_OK);
    os_sleep_ns(50000000);
    uint64_t start_ns = os_monotonic_ns();
    uint64_t start_bytes = read_so_far(sides);
    os_sleep_ns((uint64_t)run_ms * 1000000);
    uint64_t bytes = read_so_far(sides) - start_bytes;
    uint64_t took_ns = os_monotonic_ns() - start_ns;
    atomic_store(&stop, true);
    os_thread_join(&threads[0]);
    os_thread_join(&threads[1]);
    return gbits(bytes, took_ns);
}

static double pair_run_one(struct bulk_side *sides, uint32_t run_ms, double *nic_share)
{
    uint64_t start_bytes = read_so_far(sides);
    uint64_t start_ns = side_clock_ns(&sides[1]);
    uint64_t start_tsc = sides[1].last_tsc - sides[1].gap_tsc;
    uint64_t took_ns = 0;
    sides[0].nic_cycles = 0;
    while (took_ns < (uint64_t)run_ms * 1000000) {
        for (uint32_t i = 0; i < 64; i++) {
            side_turn(&sides[0]);
            side_turn(&sides[1]);
        }
        took_ns = side_clock_ns(&sides[1]) - start_ns;
    }
    uint64_t took_tsc = sides[1].last_tsc - sides[1].gap_tsc - start_tsc;
    *nic_share = (double)sides[0].nic_cycles / (double)took_tsc;
    return gbits(read_so_far(sides) - start_bytes, took_ns);
}

static void report_pair(uint32_t mtu, bool offload, double bound, uint32_t run_ms)
{
    struct bulk_side *sides = aligned_alloc(RS_LINE_BYTES, 2 * sizeof(*sides));
    CHECK(sides != NULL);
    double nic_share;
    pair_make(sides, mtu, offload);
    pair_verify(sides);
    double one = pair_run_one(sides, run_ms, &nic_share);
    double two = pair_run_threads(sides, run_ms);
    struct tcp_info info;
    tcp_get_info(sides[0].stack, sides[0].conn, &info);
    printf("  MTU %4u, %-25s %8.1f %8.1f %8.1f %8.0f   (%u sent again, cwnd %u)\n", mtu,
           offload ? "checksum offload and TSO" : "software checksum", one, one / (1 - nic_share),
           two, bound, info.retransmits, info.cwnd_bytes);
    CHECK(one > bound / BOUND_SHARE);
    pair_destroy(sides);
    free(sides);
}

void tcp_bulk_report(uint32_t run_ms)
{
    uint64_t start_ns = os_monotonic_ns();
    uint64_t start_tsc = __rdtsc();
    while (os_monotonic_ns() - start_ns < 20000000) {
    }
    tsc_per_ns = (double)(__rdtsc() - start_tsc) / (double)(os_monotonic_ns() - start_ns);
    printf("bulk, Gbit/s of payload: one thread for both ends, the same without the time that the "
           "wire spends as NIC, two threads, bound\n");
    report_pair(1500, false, 20, run_ms);
    report_pair(9000, false, 40, run_ms);
    report_pair(1500, true, 20, run_ms);
    report_pair(9000, true, 40, run_ms);
}
