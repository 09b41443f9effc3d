/*
 * nic_dpdk on DPDK's software devices. Without privileges: net_ring gives back on each queue what
 * was sent on it, net_null takes all and gives empty frames. As root, in a network namespace that
 * goes with the process: two queues of a TAP and of a packet socket, against the kernel. Frames,
 * buffers and counts must come out whole; what a device cannot do must be refused. net_tap fills in
 * checksums as a NIC does, and, given another name, cuts segments. net_pcap stamps frames.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_ethdev.h>
#include <rte_ip.h>

#include "dataplane/nic_dpdk.h"
#include "dataplane/steer.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"
#include "rings/os/os.h"

enum {
    RING_Q0,
    RING_Q1,
    NULL_MAC,
    RING_MAC,
    NULL_JUMBO,
    NULL_Q0,
    NULL_Q1,
    TAP_Q0, /* from here on for root */
    TAP_Q1,
    TAP_CUT,
    TAP_ALL,
    TAP_CHECKSUM,
    TAP_PLAIN,
    PACKET_Q0,
    PACKET_Q1,
    PACKET_OF_FOUR,
    XDP_Q0,
    XDP_Q1,
    PCAP_STAMPS,
    PCAP_SOFTWARE,
    ABSENT,
    CONFIGS
};
enum { FLOWS = 64, WAIT_S = 10, FLOW_FRAME_BYTES = 60 };
#define TAP_IFACE "rstest0"
#define OWN_MAC   "02:00:00:00:00:79"

static bool privileged; /* there is a namespace of our own */

static struct queue_config configs[CONFIGS];
static struct nic *nics[CONFIGS];

static void make_config(struct queue_config *out, const char *device, const char *more)
{
    FILE *file = fopen("test_nic_dpdk.conf", "w");
    assert_non_null(file);
    (void)fprintf(file,
                  "[nic]\ndevice = %s\nmbufs = 1024\nrx_descriptors = 64\ntx_descriptors = 64\n%s"
                  "[ip]\naddress = 192.0.2.10/24\n",
                  device, more);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(config_load("test_nic_dpdk.conf", out, stderr), RS_OK);
    (void)remove("test_nic_dpdk.conf");
}

/* A new network namespace with its lo up, for whatever this process opens. */
static bool enter_namespace(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    if (access("/dev/net/tun", R_OK | W_OK) != 0 || unshare(CLONE_NEWNET) != 0) {
        return false;
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    (void)close(fd);
    return up;
}

static int start(void **state)
{
    (void)state;
    privileged = enter_namespace();
    make_config(&configs[RING_Q0], "net_ring0", "");
    make_config(&configs[RING_Q1], "net_ring0", "queue = 1\n");
    make_config(&configs[NULL_MAC], "net_null0", "mac = 02:00:00:00:00:77\n");
    make_config(&configs[RING_MAC], "net_ring1", "mac = 02:00:00:00:00:78\n");
    make_config(&configs[NULL_JUMBO], "net_null1", "mtu_bytes = 9000\n");
    make_config(&configs[NULL_Q0], "net_null2", "");
    make_config(&configs[NULL_Q1], "net_null2", "queue = 1\n");
    make_config(&configs[TAP_Q0], "net_tap0,iface=" TAP_IFACE, "mac = " OWN_MAC "\n");
    make_config(&configs[TAP_Q1], "net_tap0,iface=" TAP_IFACE, "mac = " OWN_MAC "\nqueue = 1\n");
    make_config(&configs[TAP_CUT], "net_tap4,iface=rstest4", "mac = " OWN_MAC "\n");
    make_config(&configs[TAP_ALL], "net_tap3,iface=rstest3", "mac = " OWN_MAC "\n");
    make_config(&configs[TAP_CHECKSUM], "net_tap1,iface=rstest1",
                "mac = " OWN_MAC "\noffload = checksum\n");
    make_config(&configs[TAP_PLAIN], "net_tap2,iface=rstest2",
                "mac = " OWN_MAC "\noffload = none\n");
    make_config(&configs[PACKET_Q0], "net_af_packet0,iface=lo", "mac = " OWN_MAC "\n");
    make_config(&configs[PACKET_Q1], "net_af_packet0,iface=lo", "mac = " OWN_MAC "\nqueue = 1\n");
    make_config(&configs[PACKET_OF_FOUR], "net_af_packet1,iface=" TAP_IFACE ",qpairs=4",
                "mac = " OWN_MAC "\n");
    make_config(&configs[XDP_Q0], "net_af_xdp0,iface=lo", "mac = " OWN_MAC "\n");
    make_config(&configs[XDP_Q1], "net_af_xdp0,iface=lo", "mac = " OWN_MAC "\nqueue = 1\n");
    make_config(&configs[PCAP_STAMPS], "net_pcap0,iface=lo", "mac = " OWN_MAC "\n");
    make_config(&configs[PCAP_SOFTWARE], "net_pcap1,iface=lo",
                "mac = " OWN_MAC "\ntimestamps = software\n");
    make_config(&configs[ABSENT], "net_null7", "");
    return nic_dpdk_start_eal(configs, privileged ? ABSENT : TAP_Q0) != RS_OK;
}

static int stop(void **state)
{
    (void)state;
    nic_dpdk_stop_eal();
    return 0;
}

static void fill(struct pkt *pkt, uint32_t bytes, uint8_t seed)
{
    for (uint32_t i = 0; i < bytes; i++) {
        pkt->data[i] = (uint8_t)(seed + i * 3);
    }
    pkt->len_bytes = bytes;
}

/* Sends one frame on `out`; it must come back on `out` alone. */
static void check_round(struct nic *out, struct nic *other, uint32_t bytes)
{
    struct pkt sent;
    struct pkt got[NIC_BURST_PKTS];
    assert_true(out->ops->tx_alloc(out, &sent));
    assert_int_equal(sent.len_bytes, 0);
    assert_int_equal(sent.flags, 0);
    fill(&sent, bytes, (uint8_t)bytes);
    assert_int_equal(out->ops->tx_burst(out, &sent, 1), 1);
    assert_int_equal(other->ops->rx_burst(other, got, NIC_BURST_PKTS), 0);
    assert_int_equal(out->ops->rx_burst(out, got, NIC_BURST_PKTS), 1);
    assert_int_equal(got[0].len_bytes, bytes);
    assert_true(got[0].rx_tsc != 0);
    for (uint32_t i = 0; i < bytes; i++) {
        assert_int_equal(got[0].data[i], (uint8_t)(bytes + i * 3));
    }
    out->ops->rx_release(out, got, 1);
}

/* Takes every transmit buffer there is; gives all back; the count. */
static uint32_t count_buffers(struct nic *nic)
{
    static struct pkt pkts[4096];
    uint32_t count = 0;
    while (count < 4096 && nic->ops->tx_alloc(nic, &pkts[count])) {
        count++;
    }
    for (uint32_t i = 0; i < count; i++) {
        nic->ops->tx_free(nic, &pkts[i]);
    }
    return count;
}

static void test_two_queues_of_one_device(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {14, 60, 64, 1000, 1514, 1518};
    assert_int_equal(nic_dpdk_open(&configs[RING_Q0], 2, &nics[RING_Q0]), RS_OK);
    struct nic *a = nics[RING_Q0];
    struct nic *b = nics[RING_Q1];
    assert_int_equal(a->kind, RS_NIC_FUNCTIONAL);
    assert_string_equal(a->name, "net_ring0");
    assert_int_equal(a->mtu_bytes, 1500);
    assert_true(a->ops->link_up(a));
    assert_int_equal(a->steering->mode, STEER_SOFTWARE); /* net_ring hashes nothing */
    assert_int_equal(a->steering->queue_count, 2);
    assert_int_equal(b->queue_idx, 1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        check_round(a, b, sizes[i]);
        check_round(b, a, sizes[i]);
    }
    struct nic_stats stats;
    b->ops->stats(b, &stats);
    assert_int_equal(stats.rx_pkts, sizeof(sizes) / sizeof(sizes[0]));
    assert_int_equal(stats.tx_pkts, sizeof(sizes) / sizeof(sizes[0]));

    static const uint8_t groups[2][6] = {{1, 0, 0x5e, 1, 2, 3}, {1, 0, 0x5e, 0, 0, 1}};
    assert_int_equal(a->ops->multicast_set(a, groups, 2), RS_OK);
    assert_int_equal(b->ops->multicast_set(b, groups, 1), RS_OK);
    assert_int_equal(a->ops->multicast_set(a, NULL, 0), RS_OK);
}

/* A transmit ring that is full takes what it can; nothing is lost, nothing leaks. */
static void test_full_ring_and_buffers(void **state)
{
    (void)state;
    struct nic *nic = nics[RING_Q0];
    const uint32_t buffers = count_buffers(nic);
    assert_in_range(buffers, 512, 1024);
    assert_int_equal(count_buffers(nic), buffers);
    uint32_t sent = 0;
    struct pkt pkt;
    while (nic->ops->tx_alloc(nic, &pkt)) {
        fill(&pkt, 60, (uint8_t)sent);
        if (nic->ops->tx_burst(nic, &pkt, 1) == 0) {
            nic->ops->tx_free(nic, &pkt);
            break;
        }
        sent++;
    }
    assert_true(sent > 0);
    uint32_t received = 0;
    struct pkt got[NIC_BURST_PKTS];
    for (uint32_t count = 1; count > 0;) {
        count = nic->ops->rx_burst(nic, got, NIC_BURST_PKTS);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(got[i].data[0], (uint8_t)(received + i));
        }
        received += count;
        nic->ops->rx_release(nic, got, count);
    }
    assert_int_equal(received, sent);
    assert_int_equal(count_buffers(nic), buffers);
}

static void test_mac_and_close(void **state)
{
    (void)state;
    for (uint32_t i = RING_Q0; i <= RING_Q1; i++) {
        nics[i]->ops->close(nics[i]);
        nics[i] = NULL;
    }
    assert_int_equal(nic_dpdk_open(&configs[NULL_MAC], 1, &nics[NULL_MAC]), RS_OK);
    struct nic *nic = nics[NULL_MAC];
    assert_memory_equal(nic->mac, configs[NULL_MAC].mac, 6);
    assert_int_equal(nic->steering->mode, STEER_ONE_QUEUE);
    assert_int_equal(nic->queue_count, 1);
    struct pkt got[NIC_BURST_PKTS];
    uint32_t count = nic->ops->rx_burst(nic, got, NIC_BURST_PKTS);
    assert_int_equal(count, NIC_BURST_PKTS);
    nic->ops->rx_release(nic, got, count);
    assert_int_equal(nic->ops->rx_burst(nic, got, 3), 3);
    nic->ops->rx_release(nic, got, 3);
    nic->ops->close(nic);
}

/* Buffers hold the longest frame that mtu_bytes allows, in one piece. */
static void test_jumbo(void **state)
{
    (void)state;
    struct pkt pkt;
    assert_int_equal(nic_dpdk_open(&configs[NULL_JUMBO], 1, &nics[NULL_JUMBO]), RS_OK);
    struct nic *nic = nics[NULL_JUMBO];
    assert_int_equal(nic->mtu_bytes, 9000);
    assert_true(nic->ops->tx_alloc(nic, &pkt));
    fill(&pkt, 9018, 1);
    assert_int_equal(nic->ops->tx_burst(nic, &pkt, 1), 1);
    struct nic_stats stats;
    nic->ops->stats(nic, &stats);
    assert_int_equal(stats.tx_pkts, 1);
    nic->ops->close(nic);
}

/* ---- several queues ---- */

static void close_both(uint32_t first)
{
    for (uint32_t i = first; i < first + 2; i++) {
        nics[i]->ops->close(nics[i]);
        nics[i] = NULL;
    }
}

/* net_null keeps the key and the table it is given, as a NIC does. */
static void test_steering_as_the_driver_says(void **state)
{
    (void)state;
    static const uint8_t no_key[TOEPLITZ_KEY_BYTES];
    assert_int_equal(nic_dpdk_open(&configs[NULL_Q0], 2, &nics[NULL_Q0]), RS_OK);
    const struct nic_steering *steering = nics[NULL_Q0]->steering;
    assert_ptr_equal(nics[NULL_Q1]->steering, steering);
    assert_int_equal(nics[NULL_Q1]->queue_idx, 1);
    assert_int_equal(nics[NULL_Q1]->queue_count, 2);
    assert_int_equal(steering->mode, STEER_NIC);
    assert_int_equal(steering->queue_count, 2);
    assert_memory_not_equal(steering->key, no_key, sizeof(no_key));
    assert_memory_not_equal(steering->key, toeplitz_published_key, sizeof(no_key));
    for (uint32_t i = 0; i <= steering->table_mask; i++) {
        assert_int_equal(steering->table[i], i % 2);
    }
    close_both(NULL_Q0);
}

static void make_flow_frame(uint8_t *frame, uint16_t src_port)
{
    static const uint8_t dst[6] = {2, 0, 0, 0, 0, 0x79}, src[6] = {2, 0, 0, 0, 0, 0x80};
    const struct wire_ipv4 ip = {
        .version_ihl = 0x45,
        .total_len_be16 = rs_be16(FLOW_FRAME_BYTES - ETHERNET_HEADER_BYTES),
        .ttl = 64,
        .protocol = IPV4_PROTOCOL_UDP,
        .src_be32 = inet_addr("192.0.2.1"),
        .dst_be32 = inet_addr("192.0.2.10"),
    };
    memset(frame, 0, FLOW_FRAME_BYTES);
    ethernet_emit(frame, dst, src, ETHERNET_TYPE_IPV4);
    ipv4_emit(frame + ETHERNET_HEADER_BYTES, &ip, true);
    udp_emit(frame + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES, rs_be16(src_port), rs_be16(7000),
             FLOW_FRAME_BYTES - ETHERNET_HEADER_BYTES - IPV4_HEADER_BYTES);
}

/* Which of the frames of make_flow_frame this is; -1: the kernel's own. */
static int flow_of(const uint8_t *frame, size_t len)
{
    uint16_t ports[2];
    if (len != FLOW_FRAME_BYTES || frame[12] != 8 || frame[13] != 0 || frame[23] != 17) {
        return -1;
    }
    memcpy(ports, frame + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES, sizeof(ports));
    return ports[1] == rs_be16(7000) ? rs_be16(ports[0]) : -1;
}

static int open_kernel_end(const char *iface)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
    const struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                        .sll_protocol = htons(ETH_P_ALL),
                                        .sll_ifindex = (int)if_nametoindex(iface)};
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Frames of many flows from the kernel reach both queues, none is lost between them. */
static void check_receive(uint32_t first, int kernel)
{
    uint32_t hits[2] = {0};
    uint64_t seen = 0;
    uint8_t frame[FLOW_FRAME_BYTES];
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        make_flow_frame(frame, (uint16_t)flow);
        assert_int_equal(send(kernel, frame, sizeof(frame), 0), sizeof(frame));
    }
    const time_t deadline = time(NULL) + WAIT_S;
    while (seen != UINT64_MAX) {
        for (uint32_t q = 0; q < 2; q++) {
            struct nic *nic = nics[first + q];
            struct pkt pkts[NIC_BURST_PKTS];
            uint32_t count = nic->ops->rx_burst(nic, pkts, NIC_BURST_PKTS);
            for (uint32_t i = 0; i < count; i++) {
                int flow = flow_of(pkts[i].data, pkts[i].len_bytes);
                hits[q] += flow >= 0 ? 1 : 0;
                seen |= flow >= 0 ? UINT64_C(1) << flow : 0;
            }
            nic->ops->rx_release(nic, pkts, count);
        }
        if (time(NULL) > deadline) {
            fail_msg("waited %d s for frames of all flows, got %llx", WAIT_S,
                     (unsigned long long)seen);
        }
    }
    assert_true(hits[0] > 0 && hits[1] > 0);
}

static void check_transmit(struct nic *nic, uint16_t port, int kernel)
{
    struct pkt pkt;
    uint8_t frame[2048];
    ssize_t len = 0;
    assert_true(nic->ops->tx_alloc(nic, &pkt));
    make_flow_frame(pkt.data, port);
    pkt.len_bytes = FLOW_FRAME_BYTES;
    assert_int_equal(nic->ops->tx_burst(nic, &pkt, 1), 1);
    const time_t deadline = time(NULL) + WAIT_S;
    while (len < 0 || flow_of(frame, (size_t)len) != port) {
        len = recv(kernel, frame, sizeof(frame), 0);
        if (time(NULL) > deadline) {
            fail_msg("waited %d s for the frame that queue %u sent", WAIT_S, nic->queue_idx);
        }
    }
}

static void check_two_queues_with_the_kernel(uint32_t first, const char *iface)
{
    if (!privileged) {
        print_message("needs root and /dev/net/tun\n");
        skip();
    }
    assert_int_equal(nic_dpdk_open(&configs[first], 2, &nics[first]), RS_OK);
    int kernel = open_kernel_end(iface);
    assert_int_equal(nics[first]->steering->mode, STEER_SOFTWARE);
    check_receive(first, kernel);
    check_transmit(nics[first], 1000, kernel);
    check_transmit(nics[first + 1], 1001, kernel);
    assert_int_equal(close(kernel), 0);
    close_both(first);
}

static void test_two_queues_of_a_tap(void **state)
{
    (void)state;
    check_two_queues_with_the_kernel(TAP_Q0, TAP_IFACE);
}

static void test_two_queues_of_a_packet_socket(void **state)
{
    (void)state;
    check_two_queues_with_the_kernel(PACKET_Q0, "lo");
}

/* ---- receive times ---- */

#define LATE_MS 40u

/* A frame that is fetched LATE_MS after it came. How long before the fetch it came, by its time. */
static uint64_t age_of_a_late_frame_us(uint32_t i, uint64_t *late_us)
{
    struct nic *nic = nics[i];
    struct pkt pkts[NIC_BURST_PKTS];
    uint8_t frame[FLOW_FRAME_BYTES];
    static uint16_t flow = 100; /* lo shows a frame twice: one of its own for each call */
    int kernel = open_kernel_end("lo");
    make_flow_frame(frame, ++flow);
    const uint64_t sent_tsc = os_tsc();
    assert_int_equal(send(kernel, frame, sizeof(frame), 0), sizeof(frame));
    while (os_tsc() - sent_tsc < os_tsc_hz() / 1000 * LATE_MS) {
        os_cpu_relax();
    }
    const uint64_t fetch_tsc = os_tsc();
    const time_t deadline = time(NULL) + WAIT_S;
    for (;;) {
        uint32_t count = nic->ops->rx_burst(nic, pkts, NIC_BURST_PKTS);
        for (uint32_t n = 0; n < count; n++) {
            if (flow_of(pkts[n].data, pkts[n].len_bytes) == flow) {
                const uint64_t rx_tsc = pkts[n].rx_tsc;
                nic->ops->rx_release(nic, pkts, count);
                assert_int_equal(close(kernel), 0);
                assert_true(rx_tsc >= sent_tsc - os_tsc_hz() / 1000); /* a clock of us, compared */
                *late_us = (fetch_tsc - sent_tsc) / (os_tsc_hz() / 1000000);
                return rx_tsc >= fetch_tsc ? 0 : (fetch_tsc - rx_tsc) / (os_tsc_hz() / 1000000);
            }
        }
        nic->ops->rx_release(nic, pkts, count);
        if (time(NULL) > deadline) {
            fail_msg("waited %d s for a frame through lo", WAIT_S);
        }
    }
}

/* The control thread's watch, which the dataplane calls ten times a second. */
static void watch_for_ms(struct nic *nic, uint32_t ms)
{
    const uint64_t begin_tsc = os_tsc();
    for (uint32_t i = 1; i * 100 <= ms; i++) {
        while (os_tsc() - begin_tsc < os_tsc_hz() / 10 * i) {
            os_cpu_relax();
        }
        nic->ops->watch(nic);
    }
}

static void test_frames_have_the_time_they_came(void **state)
{
    uint64_t late_us = 0;
    (void)state;
    if (!privileged) {
        skip();
    }
    assert_int_equal(nic_dpdk_open(&configs[PCAP_STAMPS], 1, &nics[PCAP_STAMPS]), RS_OK);
    /* not compared yet: when it was fetched */
    assert_int_equal(age_of_a_late_frame_us(PCAP_STAMPS, &late_us), 0);
    watch_for_ms(nics[PCAP_STAMPS], 300);
    const uint64_t age_us = age_of_a_late_frame_us(PCAP_STAMPS, &late_us);
    print_message("fetched %llu us after it was sent, came %llu us before that\n",
                  (unsigned long long)late_us, (unsigned long long)age_us);
    /* whatever keeps the kernel's end between our look at the clock and the send is late_us' */
    assert_true(age_us >= LATE_MS * 1000 / 2 && age_us <= late_us + 1000);
    nics[PCAP_STAMPS]->ops->close(nics[PCAP_STAMPS]);
}

static void test_receive_times_of_the_poll_loop(void **state)
{
    uint64_t late_us = 0;
    (void)state;
    if (!privileged) {
        skip();
    }
    assert_int_equal(nic_dpdk_open(&configs[PCAP_SOFTWARE], 1, &nics[PCAP_SOFTWARE]), RS_OK);
    watch_for_ms(nics[PCAP_SOFTWARE], 300);
    assert_int_equal(age_of_a_late_frame_us(PCAP_SOFTWARE, &late_us), 0);
    nics[PCAP_SOFTWARE]->ops->close(nics[PCAP_SOFTWARE]);
}

/* ---- offloads ---- */

enum { TCP_BYTES = 32, SEGMENT_BYTES = 1000, SUPER_BYTES = 16384, SUPER_FRAMES = 17 };
enum { L4_OFF = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES, HEADERS_BYTES = L4_OFF + TCP_BYTES };
enum {
    CHECKSUM_CAPS = NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_UDP_CSUM | NIC_CAP_TX_TCP_CSUM | NIC_CAP_RX_CSUM
};
enum { TCP_ACK_PSH = 0x18, TCP_ACK = 0x10 };

/* A TCP segment from 192.0.2.10 to 192.0.2.1 as the stack makes it for flags; its i-th byte of
 * payload is that of i * 7. */
static void make_tcp(struct pkt *pkt, uint32_t payload_bytes, uint32_t flags)
{
    static const uint8_t dst[6] = {2, 0, 0, 0, 0, 0x80}, src[6] = {2, 0, 0, 0, 0, 0x79};
    const uint32_t ip_bytes = IPV4_HEADER_BYTES + TCP_BYTES + payload_bytes;
    const struct wire_ipv4 ip = {.version_ihl = 0x45,
                                 .total_len_be16 = rs_be16((uint16_t)ip_bytes),
                                 .id_be16 = rs_be16(0xfffe),
                                 .ttl = 64,
                                 .protocol = IPV4_PROTOCOL_TCP,
                                 .src_be32 = inet_addr("192.0.2.10"),
                                 .dst_be32 = inet_addr("192.0.2.1")};
    const uint8_t tcp[TCP_BYTES] = {
        0x1b, 0x58, 0x1b, 0x59, 0, 0, 0, 1, 0, 0, 0, 2, TCP_BYTES / 4 << 4, TCP_ACK_PSH};
    uint8_t *l4 = pkt->data + L4_OFF;
    ethernet_emit(pkt->data, dst, src, ETHERNET_TYPE_IPV4);
    ipv4_emit(pkt->data + ETHERNET_HEADER_BYTES, &ip, false);
    memcpy(l4, tcp, TCP_BYTES);
    for (uint32_t i = 0; i < payload_bytes; i++) {
        l4[TCP_BYTES + i] = (uint8_t)(i * 7);
    }
    const bool cut = (flags & PKT_TX_TCP_SEG) != 0;
    uint16_t sum = checksum_fold(checksum_pseudo(ip.src_be32, ip.dst_be32, 6,
                                                 cut ? 0 : (uint16_t)(TCP_BYTES + payload_bytes)));
    memcpy(l4 + 16, &sum, sizeof(sum));
    assert_int_equal(sum, rte_ipv4_phdr_cksum((void *)(pkt->data + ETHERNET_HEADER_BYTES),
                                              cut ? RTE_MBUF_F_TX_TCP_SEG : 0));
    pkt->len_bytes = ETHERNET_HEADER_BYTES + ip_bytes;
    pkt->flags = flags;
    pkt->segment_bytes = cut ? SEGMENT_BYTES : 0;
}

/* Stands in for a driver's own: keeps what it was shown, lets the first `prepare_takes` through. */
static struct rte_mbuf shown[NIC_BURST_PKTS];
static uint16_t prepare_takes;

static uint16_t prepare(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
    (void)queue;
    for (uint16_t i = 0; i < count; i++) {
        shown[i] = *mbufs[i];
    }
    return count < prepare_takes ? count : prepare_takes;
}

/* net_ring can do nothing by itself; what it is asked for is looked at before it sends. */
static void test_what_a_driver_is_asked_for(void **state)
{
    (void)state;
    static const uint32_t flags[] = {PKT_TX_TCP_SEG, PKT_TX_IP_CSUM | PKT_TX_TCP_CSUM,
                                     PKT_TX_TCP_CSUM, PKT_TX_IP_CSUM | PKT_TX_UDP_CSUM};
    static const uint64_t want[] = {
        RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM,
        RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM, RTE_MBUF_F_TX_TCP_CKSUM,
        RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM};
    struct nic *nic = nics[RING_Q0];
    struct pkt pkts[4], got[NIC_BURST_PKTS];
    struct nic_stats before, after;
    uint16_t port;
    assert_int_equal(nic->caps, 0);
    assert_int_equal(nic->tso_max_bytes, 0);
    assert_int_equal(rte_eth_dev_get_port_by_name("net_ring0", &port), 0);
    rte_eth_fp_ops[port].tx_pkt_prepare = prepare;
    const uint32_t buffers = count_buffers(nic);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(nic->ops->tx_alloc(nic, &pkts[i]));
        make_tcp(&pkts[i], 1000, flags[i]);
    }
    prepare_takes = 4;
    assert_int_equal(nic->ops->tx_burst(nic, pkts, 4), 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(shown[i].ol_flags, want[i] | RTE_MBUF_F_TX_IPV4);
        assert_int_equal(shown[i].l2_len, ETHERNET_HEADER_BYTES);
        assert_int_equal(shown[i].l3_len, IPV4_HEADER_BYTES);
        assert_int_equal(shown[i].l4_len, i == 0 ? TCP_BYTES : 0);
        assert_int_equal(shown[i].tso_segsz, i == 0 ? SEGMENT_BYTES : 0);
    }
    assert_int_equal(nic->ops->rx_burst(nic, got, NIC_BURST_PKTS), 4);
    nic->ops->rx_release(nic, got, 4);

    /* One that the driver refuses goes, and is counted; those behind it have their turn. */
    nic->ops->stats(nic, &before);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(nic->ops->tx_alloc(nic, &pkts[i]));
        make_tcp(&pkts[i], 100 + i, PKT_TX_TCP_SEG);
    }
    prepare_takes = 2;
    assert_int_equal(nic->ops->tx_burst(nic, pkts, 4), 2);
    prepare_takes = 0;
    assert_int_equal(nic->ops->tx_burst(nic, pkts + 2, 2), 1);
    prepare_takes = 1;
    assert_int_equal(nic->ops->tx_burst(nic, pkts + 3, 1), 1);
    nic->ops->stats(nic, &after);
    assert_int_equal(after.tx_errors_pkts, before.tx_errors_pkts + 1);
    assert_int_equal(nic->ops->rx_burst(nic, got, NIC_BURST_PKTS), 3);
    assert_int_equal(got[2].len_bytes, HEADERS_BYTES + 103);
    nic->ops->rx_release(nic, got, 3);
    assert_int_equal(count_buffers(nic), buffers);
}

/* Reads frames on the kernel's end until the payload is whole; each must be right by itself. */
static void check_tcp_arrives(int kernel, uint32_t payload_bytes, uint32_t frames)
{
    const time_t deadline = time(NULL) + WAIT_S;
    uint8_t frame[4096];
    uint32_t count = 0;
    for (uint32_t off = 0; off < payload_bytes;) {
        if (time(NULL) > deadline) {
            fail_msg("waited %d s for %u bytes, got %u", WAIT_S, payload_bytes, off);
        }
        const ssize_t len = recv(kernel, frame, sizeof(frame), 0);
        if (len < (ssize_t)HEADERS_BYTES || frame[12] != 8 || frame[13] != 0 || frame[23] != 6) {
            continue;
        }
        const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame + ETHERNET_HEADER_BYTES);
        const uint16_t l4_bytes = (uint16_t)(ipv4_total_bytes(ip) - IPV4_HEADER_BYTES);
        const uint32_t bytes = l4_bytes - TCP_BYTES;
        uint32_t sequence_be32;
        memcpy(&sequence_be32, frame + L4_OFF + 4, sizeof(sequence_be32));
        assert_int_equal(len, HEADERS_BYTES + bytes);
        assert_int_equal(rs_be32(sequence_be32), 1 + off);
        assert_true(bytes <= SEGMENT_BYTES && off + bytes <= payload_bytes);
        assert_int_equal(frame[L4_OFF + 13], off + bytes == payload_bytes ? TCP_ACK_PSH : TCP_ACK);
        assert_true(ipv4_checksum_ok(ip));
        assert_int_equal(
            checksum_finish(checksum_add(checksum_pseudo(ip->src_be32, ip->dst_be32, 6, l4_bytes),
                                         frame + L4_OFF, l4_bytes)),
            0);
        for (uint32_t i = 0; i < bytes; i++) {
            assert_int_equal(frame[HEADERS_BYTES + i], (uint8_t)((off + i) * 7));
        }
        off += bytes;
        count++;
    }
    assert_int_equal(count, frames);
}

/* Linked in place of DPDK's own: what we ask a device, under another driver's name if one is set.
 */
static const char *driver_name;
/* NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info);
int __wrap_rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info);
/* NOLINTEND(bugprone-reserved-identifier) */
int __wrap_rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info)
{
    int result = __real_rte_eth_dev_info_get(port, info);
    info->driver_name = driver_name != NULL ? driver_name : info->driver_name;
    return result;
}

static void test_a_tap_cuts_segments(void **state)
{
    (void)state;
    static struct pkt pkts[NIC_DPDK_BIG_MBUFS + 1];
    struct nic_stats stats;
    if (!privileged) {
        skip();
    }
    driver_name = "net_other";
    assert_int_equal(nic_dpdk_open(&configs[TAP_CUT], 1, &nics[TAP_CUT]), RS_OK);
    driver_name = NULL;
    struct nic *nic = nics[TAP_CUT];
    const int kernel = open_kernel_end("rstest4");
    assert_int_equal(nic->caps, CHECKSUM_CAPS | NIC_CAP_TX_TSO);
    assert_int_equal(nic->tso_max_bytes, SUPER_BYTES);
    for (uint32_t round = 0; round < 2; round++) { /* also that all buffers are back */
        uint32_t count = 0;
        while (count <= NIC_DPDK_BIG_MBUFS && nic->ops->tx_alloc_big(nic, &pkts[count])) {
            assert_int_equal(pkts[count].len_bytes, 0);
            assert_int_equal(pkts[count].flags, 0);
            assert_int_equal(pkts[count].segment_bytes, 0);
            memset(pkts[count++].data, 0, NIC_TSO_HEADER_BYTES + nic->tso_max_bytes);
        }
        assert_int_equal(count, NIC_DPDK_BIG_MBUFS);
        nic->ops->stats(nic, &stats);
        assert_true(stats.buffers_held >= NIC_DPDK_BIG_MBUFS);
        assert_int_equal(stats.buffers, 1024 + NIC_DPDK_BIG_MBUFS);
        make_tcp(&pkts[0], SUPER_BYTES, PKT_TX_TCP_SEG);
        assert_int_equal(nic->ops->tx_burst(nic, &pkts[0], 1), 1);
        check_tcp_arrives(kernel, SUPER_BYTES, SUPER_FRAMES);
        make_tcp(&pkts[1], 1000, PKT_TX_IP_CSUM | PKT_TX_TCP_CSUM);
        assert_int_equal(nic->ops->tx_burst(nic, &pkts[1], 1), 1);
        check_tcp_arrives(kernel, 1000, 1);
        for (uint32_t i = 2; i < count; i++) {
            nic->ops->tx_free(nic, &pkts[i]);
        }
    }
    assert_int_equal(close(kernel), 0);
    nic->ops->close(nic);
}

static void check_caps(uint32_t i, uint32_t caps)
{
    assert_int_equal(nic_dpdk_open(&configs[i], 1, &nics[i]), RS_OK);
    assert_int_equal(nics[i]->caps, caps);
    assert_int_equal(nics[i]->tso_max_bytes, 0);
    nics[i]->ops->close(nics[i]);
}

/* The NIC could do more than the file lets it, or than it does well. */
static void test_offloads_switched_off(void **state)
{
    (void)state;
    if (!privileged) {
        skip();
    }
    check_caps(TAP_ALL, CHECKSUM_CAPS);
    driver_name = "net_other";
    check_caps(TAP_CHECKSUM, CHECKSUM_CAPS);
    check_caps(TAP_PLAIN, 0);
    driver_name = NULL;
}

/* ---- refusals ---- */

static void check_refused(uint32_t i)
{
    assert_int_equal(nic_dpdk_open(&configs[i], 1, &nics[i]), RS_CONFIG);
    assert_null(nics[i]);
}

static void test_refusals(void **state)
{
    (void)state;
    check_refused(RING_MAC); /* net_ring takes no other MAC */
    check_refused(ABSENT);   /* the EAL was not told of it */
}

/* The kernel would give three quarters of the frames to queues nobody reads. */
static void test_queues_nobody_reads(void **state)
{
    (void)state;
    if (!privileged) {
        skip();
    }
    check_refused(PACKET_OF_FOUR);
}

/* An XDP socket is of one channel of the interface, and lo has one. */
static void test_more_queues_than_channels(void **state)
{
    (void)state;
    if (!privileged) {
        skip();
    }
    assert_int_equal(nic_dpdk_open(&configs[XDP_Q0], 2, &nics[XDP_Q0]), RS_CONFIG);
    assert_null(nics[XDP_Q0]);
    assert_null(nics[XDP_Q1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_queues_of_one_device),
        cmocka_unit_test(test_full_ring_and_buffers),
        cmocka_unit_test(test_what_a_driver_is_asked_for),
        cmocka_unit_test(test_mac_and_close),
        cmocka_unit_test(test_jumbo),
        cmocka_unit_test(test_steering_as_the_driver_says),
        cmocka_unit_test(test_a_tap_cuts_segments),
        cmocka_unit_test(test_offloads_switched_off),
        cmocka_unit_test(test_two_queues_of_a_tap),
        cmocka_unit_test(test_two_queues_of_a_packet_socket),
        cmocka_unit_test(test_frames_have_the_time_they_came),
        cmocka_unit_test(test_receive_times_of_the_poll_loop),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_queues_nobody_reads),
        cmocka_unit_test(test_more_queues_than_channels),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
