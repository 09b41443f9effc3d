/*
 * Fuzz target: a stack between a hostile wire and hostile programs. The input is a little script:
 * frames (raw, or with addresses and checksums put right so that deeper code is reached), time
 * steps, sends, binds, connects, memberships, and a NIC that takes frames or not; the stack leads,
 * follows or is alone, and frames may come from another queue. After each step
 * the ledger must balance, and no transmit buffer may be lost; at the end all of them come back.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/nic_memory.h"
#include "dataplane/stack.h"
#include "dataplane/udp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"

#define MUST(condition)                                                                      \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            (void)fprintf(stderr, "fuzz_packet.c:%d: not true: %s\n", __LINE__, #condition); \
            abort();                                                                         \
        }                                                                                    \
    } while (0)

#define SOCKETS   6u
#define FRAME_MAX 2048u
#define OWN_IP    0x0100000au /* 10.0.0.1 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const uint8_t own_mac[6] = {0x02, 0x00, 0x0a, 0x00, 0x00, 0x01};

/* Addresses worth meeting: own, peer, far, groups, broadcasts, loopback, nonsense. */
static const uint32_t addresses[16] = {
    OWN_IP,      0x0200000au, 0x0300000au, 0x0707a8c0u, 0x010101efu, 0x020101efu,
    0x010000e0u, 0xffffffffu, 0xff00000au, 0x0100007fu, 0x0500007fu, 0x00000000u,
    0x010000f0u, 0xfe00000au, 0x0900000au, 0x160000e0u,
};

struct input {
    const uint8_t *data;
    size_t left;
};

static uint8_t take(struct input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

static struct {
    struct nic *nic;
    struct stack *stack;
    struct udp_socket sockets[SOCKETS];
    uint64_t now_ns;
    uint32_t room; /* deliveries that succeed */
    bool follower; /* the stack is of queue 1 */
    bool handed;   /* the frame that goes in now was handed over, and is whole */
    struct nic *nics[2];
    uint8_t digest;
} world;

static bool on_deliver(void *context, struct udp_socket *socket,
                       const struct udp_datagram *datagram)
{
    (void)context;
    MUST(socket >= world.sockets && socket < world.sockets + SOCKETS && socket->bound);
    MUST(datagram->len_bytes <= RS_DGRAM_MAX_BYTES);
    for (uint32_t i = 0; i < datagram->len_bytes; i++) {
        world.digest ^= datagram->payload[i]; /* every byte must be readable */
    }
    if (world.room == 0) {
        return false;
    }
    world.room--;
    return true;
}

static void on_error(void *context, struct udp_socket *socket, enum rs_status error)
{
    (void)context;
    MUST(socket >= world.sockets && socket < world.sockets + SOCKETS);
    MUST(error != RS_OK && error < RS_STATUS_COUNT);
}

static void on_multicast(void *context)
{
    (void)context;
}

static void on_notice(void *context, enum stack_notice notice, uint32_t ip_be32,
                      const uint8_t mac[6])
{
    (void)context;
    (void)ip_be32;
    MUST(notice < STACK_NOTICE_COUNT);
    world.digest ^= mac[5];
}

/* A handed frame goes to no leader again, and only the leader copies. */
static bool on_hand_over(void *context, const struct pkt *pkt, enum stack_hand_to to,
                         uint32_t queue_idx)
{
    (void)context;
    if (to == STACK_TO_QUEUE) {
        MUST(!world.handed && queue_idx < 2 && queue_idx != world.nic->queue_idx);
    } else {
        MUST(to == (world.follower ? STACK_TO_LEADER : STACK_TO_FOLLOWERS));
        MUST(queue_idx == 0 && (!world.follower || !world.handed));
    }
    for (uint32_t i = 0; i < pkt->len_bytes; i++) {
        world.digest ^= pkt->data[i];
    }
    return (world.room & 1) == 0;
}

static void world_make_nic(const struct nic_memory_config *config, bool several)
{
    if (several) {
        MUST(nic_memory_create_queues(config, 2, world.nics) == RS_OK);
        world.nic = world.nics[world.follower ? 1 : 0];
    } else {
        MUST(nic_memory_create(config, &world.nics[0]) == RS_OK);
        world.nic = world.nics[0];
    }
}

static void world_make(uint8_t options)
{
    memset(&world, 0, sizeof(world));
    struct nic_memory_config nic = {
        .mtu_bytes = (options & 1) != 0 ? 1500 : 576,
        .caps = (options & 2) != 0 ? NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_UDP_CSUM : 0,
        .buffers = 128,
        .queue_frames = 128,
        .steering = (options & 1) != 0 ? STEER_NIC : STEER_SOFTWARE,
    };
    memcpy(nic.mac, own_mac, sizeof(own_mac));
    world.follower = (options & 192) == 192;
    world_make_nic(&nic, (options & 64) != 0);
    struct stack_config config = {
        .ip_be32 = OWN_IP,
        .prefix_len = 24,
        .gateway_be32 = (options & 4) != 0 ? 0xfe00000au : 0,
        .neighbours_max = 2,
        .sockets_max = SOCKETS,
        .memberships_max = (options & 8) != 0 ? 3 : 12,
        .arp_reachable_ns = 30000000000ull,
        .arp_retry_ns = 1000000000ull,
        .arp_tries = 2,
        .igmp_version = (options & 16) != 0 ? 2 : 3,
        .reassemblies_max = (options & 8) != 0 ? 2 : 0,
        .random_seed = options,
        .neighbours = {{0x0900000au, {2, 0, 10, 0, 0, 9}}},
        .neighbour_count = (options & 32) != 0 ? 1 : 0,
        .follower = world.follower,
    };
    const struct stack_upcalls upcalls = {.deliver = on_deliver,
                                          .error = on_error,
                                          .multicast_changed = on_multicast,
                                          .notice = on_notice,
                                          .hand_over = on_hand_over};
    world.now_ns = 1000000000000ull;
    world.room = 4;
    MUST(stack_create(&config, world.nic, &upcalls, world.now_ns, &world.stack) == RS_OK);
    for (uint32_t i = 0; i < SOCKETS; i++) {
        udp_socket_init(&world.sockets[i]);
    }
}

static void world_check(void)
{
    struct counters_sums sums;
    MUST(counters_balance(stack_counters(world.stack), &sums));
    MUST(nic_memory_held(world.nic) == sums.group[COUNTER_GROUP_WAITING]);
}

static void world_drain(void)
{
    uint8_t frame[FRAME_MAX];
    stack_flush(world.stack);
    while (nic_memory_pop(world.nic, frame, sizeof(frame), NULL) != 0) {
        MUST(ethernet_equal(frame + 6, own_mac));
        /* A follower asks, and leaves the rest to the leader. */
        bool arp = frame[12] == 0x08 && frame[13] == 0x06;
        MUST(!world.follower || (arp ? frame[21] == 1 && memcmp(frame + 28, frame + 38, 4) != 0
                                     : frame[23] != IPV4_PROTOCOL_IGMP));
    }
}

/* Puts right what a random frame never has: bit 0 our MAC, 1 our IP, 2 IPv4 lengths and checksum,
 * 3 the checksum of the payload, 4 ethertype IPv4, 5 a sane source. An odd TTL: it is a fragment,
 * of one of two datagrams, and its place in it is left alone. */
static void frame_repair(uint8_t *frame, uint32_t len, uint8_t bits)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame + ETHERNET_HEADER_BYTES);
    if (len < ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES) {
        return;
    }
    if ((bits & 1) != 0) {
        memcpy(frame, own_mac, 6);
        frame[6] &= 0xfe;
    }
    if ((bits & 16) != 0) {
        frame[12] = 0x08;
        frame[13] = 0x00;
    }
    if ((bits & 2) != 0) {
        ip->dst_be32 = OWN_IP;
    }
    if ((bits & 32) != 0) {
        ip->src_be32 = addresses[1 + (ip->src_be32 & 1)];
    }
    if ((bits & 4) == 0) {
        return;
    }
    uint32_t room = len - ETHERNET_HEADER_BYTES;
    uint32_t header_bytes = ipv4_header_bytes(ip);
    if (header_bytes < IPV4_HEADER_BYTES || header_bytes > room) {
        header_bytes = IPV4_HEADER_BYTES;
    }
    ip->version_ihl = (uint8_t)(0x40 | header_bytes / 4);
    ip->total_len_be16 = rs_be16((uint16_t)room);
    bool fragment = (ip->ttl & 1) != 0;
    ip->fragment_be16 &= rs_be16(fragment ? IPV4_FLAG_MF | 0x1f : IPV4_FLAG_DF);
    ip->id_be16 &= fragment ? 1 : UINT16_MAX;
    ip->checksum_be16 = 0;
    ip->checksum_be16 = checksum_finish(checksum_add(0, ip, header_bytes));
    uint8_t *payload = (uint8_t *)ip + header_bytes;
    uint32_t payload_bytes = room - header_bytes;
    if ((bits & 8) == 0 || payload_bytes < 8 || ipv4_is_fragment(ip)) {
        return;
    }
    if (ip->protocol == IPV4_PROTOCOL_UDP) {
        struct wire_udp *udp = (struct wire_udp *)payload;
        udp->len_be16 = rs_be16((uint16_t)payload_bytes);
        udp->checksum_be16 = 0;
        udp->checksum_be16 =
            udp_checksum(payload, (uint16_t)payload_bytes, ip->src_be32, ip->dst_be32);
    } else {
        struct wire_icmp *message = (struct wire_icmp *)payload;
        message->checksum_be16 = 0;
        message->checksum_be16 = checksum_finish(checksum_add(0, payload, payload_bytes));
    }
}

static bool frame_is_fragment(const uint8_t *frame, uint32_t len)
{
    return len >= ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES &&
           ipv4_is_fragment((const struct wire_ipv4 *)(frame + ETHERNET_HEADER_BYTES));
}

static void step_frame(struct input *in, bool handed)
{
    uint8_t bits = take(in);
    uint32_t len = take(in);
    if ((bits & 64) != 0) {
        len += (uint32_t)take(in) << 3;
    }
    /* exactly as long as the frame, so that a sanitizer sees a read behind it */
    uint8_t *frame = malloc(len > 0 ? len : 1);
    MUST(frame != NULL);
    for (uint32_t i = 0; i < len; i++) {
        frame[i] = take(in);
    }
    frame_repair(frame, len, bits);
    struct pkt pkt = {.data = frame, .len_bytes = len};
    if ((bits & 128) != 0) {
        pkt.flags = PKT_RX_IP_CSUM_GOOD | PKT_RX_L4_CSUM_GOOD;
    }
    MUST(steer_frame(world.nic->steering, frame, len) < world.nic->queue_count);
    world.handed = handed && !frame_is_fragment(frame, len);
    if (handed) {
        stack_input_handed(world.stack, &pkt);
    } else {
        stack_input(world.stack, &pkt);
    }
    free(frame);
}

static void step_time(struct input *in)
{
    static const uint64_t steps_ns[8] = {1000000ull,     50000000ull,    500000000ull,
                                         1000000000ull,  3000000000ull,  11000000000ull,
                                         31000000000ull, 300000000000ull};
    uint64_t target_ns = world.now_ns + steps_ns[take(in) & 7];
    uint32_t timers = 0;
    while (stack_next_timer_ns(world.stack) <= target_ns) {
        MUST(++timers < 100000); /* a timer that never moves on */
        uint64_t due_ns = stack_next_timer_ns(world.stack);
        world.now_ns = due_ns > world.now_ns ? due_ns : world.now_ns;
        stack_set_now(world.stack, world.now_ns, world.now_ns);
        stack_timers(world.stack);
        world_drain();
    }
    world.now_ns = target_ns;
    stack_set_now(world.stack, world.now_ns, world.now_ns);
    stack_timers(world.stack);
}

static void step_socket(struct input *in)
{
    uint8_t what = take(in);
    struct udp_socket *socket = &world.sockets[(what >> 4) % SOCKETS];
    uint32_t address = addresses[take(in) & 15];
    uint16_t port = rs_be16((uint16_t)(7000 + (take(in) & 3)));
    enum rs_status status = RS_OK;
    switch (what & 3) {
    case 0:
        status = udp_socket_bind(world.stack, socket, address, port);
        break;
    case 1:
        status = udp_socket_connect(world.stack, socket, 0, address, port);
        break;
    case 2:
        socket->broadcast = !socket->broadcast;
        socket->multicast_loop = (what & 8) != 0;
        socket->multicast_ttl = what & 4;
        socket->dont_fragment = (what & 12) == 12;
        break;
    default:
        udp_socket_close(world.stack, socket);
        udp_socket_init(socket);
        break;
    }
    MUST(status < RS_STATUS_COUNT);
}

static void step_send(struct input *in)
{
    static const uint8_t payload[RS_DGRAM_MAX_BYTES];
    uint8_t what = take(in);
    uint8_t where = take(in);
    struct udp_socket *socket = &world.sockets[(what >> 4) % SOCKETS];
    uint32_t len = (uint32_t)(what & 15) * ((where & 64) != 0 ? 4367 : 100);
    enum rs_status status =
        udp_send(world.stack, socket, addresses[where & 15],
                 rs_be16((uint16_t)(7000 + (where >> 4 & 3))), payload, len, NULL);
    MUST(status < RS_STATUS_COUNT);
}

static void step_member(struct input *in)
{
    uint8_t what = take(in);
    uint8_t which = take(in);
    struct rs_op_member op = {
        .action = what & 7,
        .group_be32 = addresses[4 + (which & 3)],
        .source_be32 = addresses[which >> 4],
        .interface_be32 = (which & 4) != 0 ? OWN_IP : 0,
    };
    if ((what & 8) != 0) {
        op.source_be32 = 0x0a + ((uint32_t)take(in) << 24);
    }
    enum rs_status status =
        udp_socket_member(world.stack, &world.sockets[(what >> 4) % SOCKETS], &op);
    MUST(status < RS_STATUS_COUNT);
}

static void step(struct input *in)
{
    uint8_t what = take(in);
    switch (what & 7) {
    case 0:
    case 1:
        step_frame(in, (what & 8) != 0);
        break;
    case 2:
        step_time(in);
        break;
    case 3:
        step_socket(in);
        break;
    case 4:
        step_send(in);
        break;
    case 5:
        step_member(in);
        break;
    case 6: {
        uint8_t limit = take(in);
        nic_memory_limit_tx(world.nic, limit < 16 ? limit : UINT32_MAX);
        break;
    }
    default: {
        uint8_t limit = take(in);
        nic_memory_limit_alloc(world.nic, limit < 16 ? limit : UINT32_MAX);
        world.room = limit & 7;
        break;
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct input in = {data, bytes};
    world_make(take(&in));
    while (in.left > 0) {
        step(&in);
        world_check();
        world_drain();
    }
    uint8_t macs[4][6];
    MUST(stack_multicast_macs(world.stack, macs, 4) <= 4);
    for (uint32_t i = 0; i < SOCKETS; i++) {
        udp_socket_close(world.stack, &world.sockets[i]);
    }
    world_check();
    stack_destroy(world.stack);
    MUST(nic_memory_held(world.nic) == 0);
    uint32_t queues = world.nic->queue_count;
    for (uint32_t i = 0; i < queues; i++) {
        world.nics[i]->ops->close(world.nics[i]);
    }
    return 0;
}
