/*
 * What the stack costs per datagram, in TSC cycles, with 10 and with 100,000 sockets hit in random
 * order: a local send up to the deliver upcall, a received frame up to it, and a send down to the
 * NIC's transmit call. Without payload copy and checksums (the deliver upcall only touches the
 * socket, the NIC does the sums), and once with checksums. The floor is one dependent visit to a
 * random socket's cache line: with 100,000 sockets each send starts with that miss, while the
 * misses of received frames overlap (stack_prefetch). Prints medians of many short blocks. The
 * bound is for a quiet machine; here a figure beyond ten times the bound fails.
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
#include "dataplane/udp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"

#define PAYLOAD_BYTES 64u
#define BLOCK         256u /* datagrams timed together */
#define BLOCKS        1000u
#define BOUND_CYCLES  300u
#define OWN_IP        0x0100000au
#define TX_BUFFERS    1024u

/* As large and as aligned as the dataplane's sockets, so that they meet the caches as those do. */
struct cost_socket {
    struct udp_socket udp;
    uint8_t rest[192];
};

static uint64_t delivered_bytes;

static struct {
    struct nic nic;
    uint8_t buffers[TX_BUFFERS][256];
    uint32_t next;
} wire;

static bool on_deliver(void *context, struct udp_socket *socket,
                       const struct udp_datagram *datagram)
{
    (void)context;
    delivered_bytes += datagram->len_bytes + socket->ttl;
    return true;
}

static void on_error(void *context, struct udp_socket *socket, enum rs_status error)
{
    (void)context;
    (void)socket;
    (void)error;
    CHECK(false);
}

static bool wire_tx_alloc(struct nic *nic, struct pkt *out)
{
    (void)nic;
    *out = (struct pkt){.data = wire.buffers[wire.next++ % TX_BUFFERS]};
    return true;
}

static uint32_t wire_tx_burst(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    (void)nic;
    (void)pkts;
    return count;
}

static void wire_tx_free(struct nic *nic, struct pkt *pkt)
{
    (void)nic;
    (void)pkt;
}

static const struct nic_ops wire_ops = {
    .tx_alloc = wire_tx_alloc, .tx_burst = wire_tx_burst, .tx_free = wire_tx_free};

struct run {
    struct stack *stack;
    struct cost_socket *sockets;
    uint32_t *order;
    uint32_t count;
    uint8_t frames[NIC_BURST_PKTS][128];
    struct pkt pkts[NIC_BURST_PKTS];
    uint32_t pkt_count;
    uint8_t payload[PAYLOAD_BYTES];
    uint32_t chase;
    bool checksum; /* the stack checks and fills in sums itself */
};

/* Peer i of the wire, and local address i: 10.64.0.0/10 and 127.64.0.0/10. */
static uint32_t numbered(uint8_t net, uint32_t i)
{
    return rs_be32((uint32_t)net << 24 | 64u << 16 | (i + 1));
}

static void run_start(struct run *run, uint32_t count, bool local, bool checksum)
{
    memset(run, 0, sizeof(*run));
    run->count = count;
    run->checksum = checksum;
    wire.nic = (struct nic){.ops = &wire_ops,
                            .kind = RS_NIC_BYPASS,
                            .mac = {2, 0, 0, 0, 0, 1},
                            .mtu_bytes = 1500,
                            .queue_count = 1,
                            .steering = &steer_one_queue,
                            .caps = checksum ? 0 : NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_UDP_CSUM};
    struct stack_config config = {.ip_be32 = OWN_IP,
                                  .prefix_len = 8,
                                  .gateway_be32 = 0,
                                  .neighbours_max = 64,
                                  .sockets_max = count + 1,
                                  .memberships_max = 16,
                                  .arp_reachable_ns = 1000000000000ull,
                                  .arp_retry_ns = 1000000000,
                                  .arp_tries = 3,
                                  .igmp_version = 3,
                                  .neighbours = {{0x0200000au, {2, 0, 0, 0, 0, 2}}},
                                  .neighbour_count = 1};
    const struct stack_upcalls upcalls = {.deliver = on_deliver, .error = on_error};
    CHECK(stack_create(&config, &wire.nic, &upcalls, 0, &run->stack) == RS_OK);
    run->sockets = aligned_alloc(RS_LINE_BYTES, (count + 1) * sizeof(*run->sockets));
    run->order = calloc(count, sizeof(*run->order));
    CHECK(run->sockets != NULL && run->order != NULL);
    struct test_random random = test_random_make(1);
    for (uint32_t i = 0; i <= count; i++) {
        struct udp_socket *socket = &run->sockets[i].udp;
        udp_socket_init(socket);
        uint32_t ip_be32 = local && i < count ? numbered(127, i) : 0;
        CHECK(udp_socket_bind(run->stack, socket, ip_be32, rs_be16(i < count ? 7000 : 6000)) ==
              RS_OK);
        if (!local && i < count) {
            CHECK(udp_socket_connect(run->stack, socket, 0, numbered(10, i), rs_be16(5000)) ==
                  RS_OK);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = test_random_below(&random, i + 1);
        run->order[i] = run->order[other];
        run->order[other] = i;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t next = run->order[i + 1 == count ? 0 : i + 1];
        memcpy(run->sockets[run->order[i]].rest, &next, sizeof(next));
    }
}

static void run_stop(struct run *run)
{
    struct counters_sums sums;
    CHECK(counters_balance(stack_counters(run->stack), &sums));
    stack_destroy(run->stack);
    free(run->sockets);
    free(run->order);
}

static void frame_make(struct run *run)
{
    const struct wire_ipv4 fields = {.version_ihl = 0x45,
                                     .total_len_be16 = rs_be16(28 + PAYLOAD_BYTES),
                                     .ttl = 64,
                                     .protocol = IPV4_PROTOCOL_UDP,
                                     .src_be32 = numbered(10, 0),
                                     .dst_be32 = OWN_IP};
    static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 2};
    for (uint32_t i = 0; i < NIC_BURST_PKTS; i++) {
        uint8_t *frame = run->frames[i];
        ethernet_emit(frame, wire.nic.mac, peer_mac, ETHERNET_TYPE_IPV4);
        ipv4_emit(frame + 14, &fields, true);
        udp_emit(frame + 34, rs_be16(5000), rs_be16(7000), 8 + PAYLOAD_BYTES);
    }
}

static void one_local(struct run *run, uint32_t i)
{
    enum rs_status status = udp_send(run->stack, &run->sockets[run->count].udp, numbered(127, i),
                                     rs_be16(7000), run->payload, PAYLOAD_BYTES, NULL);
    CHECK(status == RS_OK);
}

/* Frames come in bursts, as from a NIC. */
static void one_in(struct run *run, uint32_t i)
{
    uint8_t *frame = run->frames[run->pkt_count];
    struct pkt *pkt = &run->pkts[run->pkt_count++];
    *pkt = (struct pkt){.data = frame,
                        .len_bytes = 42 + PAYLOAD_BYTES,
                        .flags = PKT_RX_IP_CSUM_GOOD | PKT_RX_L4_CSUM_GOOD,
                        .rx_tsc = 1};
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame + 14);
    struct wire_udp *udp = (struct wire_udp *)(frame + 34);
    ip->src_be32 = numbered(10, i);
    udp->checksum_be16 = 1; /* the NIC says it is right */
    if (run->checksum) {
        pkt->flags = 0;
        ip->checksum_be16 = 0;
        ip->checksum_be16 = checksum_finish(checksum_add(0, ip, 20));
        udp->checksum_be16 = 0;
        udp->checksum_be16 = udp_checksum(frame + 34, 8 + PAYLOAD_BYTES, ip->src_be32, OWN_IP);
    }
    if (run->pkt_count == NIC_BURST_PKTS) {
        stack_prefetch(run->stack, run->pkts, NIC_BURST_PKTS);
        for (uint32_t at = 0; at < NIC_BURST_PKTS; at++) {
            stack_input(run->stack, &run->pkts[at]);
        }
        run->pkt_count = 0;
    }
}

/* From a random socket to one neighbour; the burst to the NIC is in it. */
static void one_out(struct run *run, uint32_t i)
{
    enum rs_status status = udp_send(run->stack, &run->sockets[i].udp, 0x0200000au, rs_be16(5000),
                                     run->payload, PAYLOAD_BYTES, NULL);
    CHECK(status == RS_OK);
    if ((i & 31) == 0) {
        stack_flush(run->stack);
    }
}

/* Any visit to a random socket costs at least this: one line, the next one known only then. */
static void one_chase(struct run *run, uint32_t i)
{
    (void)i;
    uint32_t next;
    memcpy(&next, run->sockets[run->chase].rest, sizeof(next));
    run->chase = next;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double measure(struct run *run, void (*one)(struct run *, uint32_t))
{
    static uint64_t blocks[BLOCKS];
    uint32_t at = 0;
    for (uint32_t block = 0; block < BLOCKS; block++) {
        uint64_t start = __rdtsc();
        for (uint32_t i = 0; i < BLOCK; i++) {
            one(run, run->order[at]);
            at = at + 1 == run->count ? 0 : at + 1;
        }
        blocks[block] = __rdtsc() - start;
        stack_flush(run->stack);
    }
    qsort(blocks, BLOCKS, sizeof(blocks[0]), compare_u64);
    uint64_t median = blocks[BLOCKS / 2];
    return (double)median / BLOCK;
}

static void report(const char *what, void (*one)(struct run *, uint32_t), bool local, bool checksum)
{
    static const uint32_t counts[2] = {10, 100000};
    double cycles[2];
    for (int i = 0; i < 2; i++) {
        struct run run;
        run_start(&run, counts[i], local, checksum);
        frame_make(&run);
        (void)measure(&run, one); /* warm */
        cycles[i] = measure(&run, one);
        run_stop(&run);
    }
    printf("%-34s %7.0f %12.0f %9.2f\n", what, cycles[0], cycles[1], cycles[1] / cycles[0]);
    CHECK(cycles[0] < 10 * BOUND_CYCLES && cycles[1] < 10 * BOUND_CYCLES);
}

int main(void)
{
    printf("TSC cycles per datagram, bound %u          10      100,000     ratio\n", BOUND_CYCLES);
    report("floor: one socket's cache line", one_chase, true, false);
    report("local: udp_send to deliver", one_local, true, false);
    report("in: stack_input to deliver", one_in, false, false);
    report("in, with making and checking sums", one_in, false, true);
    report("out: udp_send to the NIC", one_out, false, false);
    report("out, with checksum", one_out, false, true);
    return 0;
}
