/*
 * Segmentation and checksums as a NIC does them: what dataplane/nic_segment.c makes of random
 * frames is read back by a check of its own (a plain byte sum, fields by their offsets), alone and
 * on the way through the in-memory NIC, popped or received by a connected one.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#include "../support/random.h"
#include "dataplane/nic_memory.h"
#include "dataplane/nic_segment.h"

enum { MTU = 1500, BUFFERS = 80, BIG_BUFFERS = 2, QUEUE_FRAMES = 128, ROUNDS = 2000 };
enum { ETHER_BYTES = 14, TAG_BYTES = 4, IP_BYTES = 20, BIG_BYTES = 16384 + 98 };
enum { FIN = 1, PSH = 8, ACK = 16, ECE = 64, CWR = 128 };
enum { CAPS = NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_UDP_CSUM | NIC_CAP_TX_TCP_CSUM | NIC_CAP_TX_TSO };

/* What a frame is made of. */
struct made {
    uint32_t ip_off, tcp_bytes, payload_bytes;
    uint16_t segment_bytes, id;
    uint32_t sequence;
    uint8_t flags;
    uint8_t payload[16384];
};

static struct test_random rng;
static struct made made;
static struct nic *nics[2];

static uint32_t get(const uint8_t *data, uint32_t bytes)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

static void put(uint8_t *data, uint32_t bytes, uint32_t value)
{
    for (uint32_t i = bytes; i-- > 0; value >>= 8) {
        data[i] = (uint8_t)value;
    }
}

/* RFC 1071 byte by byte, folded, not complemented. */
static uint32_t plain_sum(uint32_t sum, const uint8_t *data, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        sum += (i & 1) == 0 ? (uint32_t)data[i] << 8 : data[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static uint32_t pseudo_sum(const uint8_t *ip, uint32_t l4_bytes)
{
    return plain_sum(ip[9] + l4_bytes, ip + 12, 8);
}

static uint32_t folded(uint32_t sum)
{
    return (sum & 0xffff) + (sum >> 16);
}

static void random_fill(uint8_t *data, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)test_random_below(&rng, 256);
    }
}

/* Ethernet, a tag perhaps, and IPv4 up to the ports, as the stack leaves them with offloads on. */
static void make_headers(uint8_t *frame, uint8_t protocol, uint32_t l4_bytes)
{
    const bool tagged = test_random_below(&rng, 4) == 0;
    made.ip_off = ETHER_BYTES + (tagged ? TAG_BYTES : 0);
    random_fill(frame, made.ip_off + IP_BYTES);
    put(frame + 12, 2, tagged ? 0x8100 : 0x0800);
    put(frame + made.ip_off - 2, 2, 0x0800);
    uint8_t *ip = frame + made.ip_off;
    made.id = (uint16_t)(0xffff - test_random_below(&rng, 4));
    ip[0] = 0x45;
    put(ip + 2, 2, IP_BYTES + l4_bytes);
    put(ip + 4, 2, made.id);
    put(ip + 6, 2, 0x4000);
    ip[9] = protocol;
    put(ip + 10, 2, 0);
}

/* pkt->data has room; segment_bytes 0: one frame, not to be cut. */
static void make_tcp(struct pkt *pkt, uint32_t payload_bytes, uint16_t segment_bytes)
{
    made.tcp_bytes = 20 + 4 * test_random_below(&rng, 11);
    made.payload_bytes = payload_bytes;
    made.segment_bytes = segment_bytes;
    const uint32_t l4_bytes = made.tcp_bytes + payload_bytes;
    make_headers(pkt->data, 6, l4_bytes);
    uint8_t *tcp = pkt->data + made.ip_off + IP_BYTES;
    random_fill(tcp, made.tcp_bytes);
    random_fill(made.payload, payload_bytes);
    memcpy(tcp + made.tcp_bytes, made.payload, payload_bytes);
    made.sequence = test_random_below(&rng, 2) == 0 ? get(tcp + 4, 4)
                                                    : UINT32_MAX - test_random_below(&rng, 16384);
    made.flags = (uint8_t)(ACK | (get(tcp + 13, 1) & (FIN | PSH | ECE | CWR)));
    put(tcp + 4, 4, made.sequence);
    tcp[12] = (uint8_t)(made.tcp_bytes / 4 << 4);
    tcp[13] = made.flags;
    put(tcp + 16, 2,
        folded(pseudo_sum(pkt->data + made.ip_off, segment_bytes != 0 ? 0 : l4_bytes)));
    pkt->len_bytes = made.ip_off + IP_BYTES + l4_bytes;
    pkt->flags = segment_bytes != 0 ? PKT_TX_TCP_SEG : PKT_TX_IP_CSUM | PKT_TX_TCP_CSUM;
    pkt->segment_bytes = segment_bytes;
}

static uint32_t frames_expected(void)
{
    uint32_t count = 0;
    for (uint32_t off = 0; off < made.payload_bytes; off += made.segment_bytes) {
        count++;
    }
    return count;
}

static void check_sums(const uint8_t *ip)
{
    const uint32_t l4_bytes = get(ip + 2, 2) - IP_BYTES;
    assert_int_equal(plain_sum(0, ip, IP_BYTES), 0xffff);
    assert_int_equal(plain_sum(pseudo_sum(ip, l4_bytes), ip + IP_BYTES, l4_bytes), 0xffff);
}

/* The idx-th frame of what `made` says, against the frame as the stack gave it. */
static void check_frame(const uint8_t *whole, const uint8_t *frame, uint32_t len, uint32_t idx)
{
    const uint32_t off = idx * made.segment_bytes;
    const bool last = off + made.segment_bytes >= made.payload_bytes;
    const uint32_t bytes = last ? made.payload_bytes - off : made.segment_bytes;
    const uint8_t *ip = frame + made.ip_off;
    const uint8_t *tcp = ip + IP_BYTES;
    const uint32_t header_bytes = made.ip_off + IP_BYTES + made.tcp_bytes;
    assert_int_equal(len, header_bytes + bytes < 60 ? 60 : header_bytes + bytes);
    for (uint32_t i = header_bytes + bytes; i < len; i++) {
        assert_int_equal(frame[i], 0);
    }
    assert_int_equal(get(ip + 2, 2), IP_BYTES + made.tcp_bytes + bytes);
    assert_int_equal(get(ip + 4, 2), (made.id + idx) & 0xffff);
    assert_int_equal(get(tcp + 4, 4), made.sequence + off);
    assert_int_equal(tcp[13], made.flags & ~((last ? 0 : FIN | PSH) | (idx == 0 ? 0 : CWR)));
    check_sums(ip);
    assert_memory_equal(tcp + made.tcp_bytes, made.payload + off, bytes);
    /* and the rest as it was */
    uint8_t rest[ETHER_BYTES + TAG_BYTES + IP_BYTES + 60];
    memcpy(rest, frame, header_bytes);
    memcpy(rest + made.ip_off + 2, whole + made.ip_off + 2, 4);
    memcpy(rest + made.ip_off + 10, whole + made.ip_off + 10, 2);
    memcpy(rest + made.ip_off + IP_BYTES + 4, whole + made.ip_off + IP_BYTES + 4, 4);
    rest[made.ip_off + IP_BYTES + 13] = whole[made.ip_off + IP_BYTES + 13];
    memcpy(rest + made.ip_off + IP_BYTES + 16, whole + made.ip_off + IP_BYTES + 16, 2);
    assert_memory_equal(rest, whole, header_bytes);
}

static void make_random_segment(struct pkt *pkt)
{
    const uint16_t segment_bytes =
        (uint16_t)(NIC_TSO_SEGMENT_BYTES_MIN + test_random_below(&rng, 1460 - 60 - 256));
    /* Half of them end on a whole segment, or a byte beside. */
    uint32_t bytes = 1 + test_random_below(&rng, 16384);
    if (test_random_below(&rng, 2) == 0) {
        bytes = segment_bytes * (1 + test_random_below(&rng, 11)) - 1 + test_random_below(&rng, 3);
    }
    make_tcp(pkt, bytes < 16384 ? bytes : 16384, segment_bytes);
}

static void cut_frames_are_right(void **state)
{
    (void)state;
    static uint8_t big[BIG_BYTES];
    uint8_t frame[MTU + 18 + 1];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct pkt pkt = {.data = big};
        make_random_segment(&pkt);
        const uint32_t count = frames_expected();
        assert_int_equal(nic_segment_count(&pkt), count);
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t want = nic_segment_bytes(&pkt, i);
            frame[want] = 0x5a;
            const uint32_t len = nic_segment_emit(&pkt, i, frame);
            assert_int_equal(len, want);
            assert_int_equal(frame[len], 0x5a);
            check_frame(big, frame, len, i);
        }
    }
}

static void make_udp(struct pkt *pkt, uint32_t payload_bytes)
{
    make_headers(pkt->data, 17, 8 + payload_bytes);
    uint8_t *udp = pkt->data + made.ip_off + IP_BYTES;
    random_fill(udp, 8 + payload_bytes);
    put(udp + 4, 2, 8 + payload_bytes);
    put(udp + 6, 2, folded(pseudo_sum(pkt->data + made.ip_off, 8 + payload_bytes)));
    pkt->len_bytes = made.ip_off + IP_BYTES + 8 + payload_bytes;
    pkt->flags = PKT_TX_IP_CSUM | PKT_TX_UDP_CSUM;
}

static void checksums_are_filled_in(void **state)
{
    (void)state;
    uint8_t frame[MTU + 18], whole[MTU + 18];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct pkt pkt = {.data = frame};
        const bool udp = test_random_below(&rng, 2) == 0;
        const uint32_t bytes = test_random_below(&rng, 1400);
        if (udp) {
            make_udp(&pkt, bytes);
        } else {
            make_tcp(&pkt, bytes, 0);
        }
        memcpy(whole, frame, pkt.len_bytes);
        nic_segment_fill(frame, pkt.len_bytes, pkt.flags);
        check_sums(frame + made.ip_off);
        memcpy(frame + made.ip_off + 10, whole + made.ip_off + 10, 2);
        uint32_t at = made.ip_off + IP_BYTES + (udp ? 6 : 16);
        assert_true(!udp || get(frame + at, 2) != 0);
        memcpy(frame + at, whole + at, 2);
        assert_memory_equal(frame, whole, pkt.len_bytes);
    }
}

/* A sum of zero is stored as 0xffff for UDP: zero says that there is none. */
static void a_zero_sum_of_udp(void **state)
{
    (void)state;
    uint8_t frame[60] = {0};
    struct pkt pkt = {.data = frame};
    make_udp(&pkt, 2);
    uint8_t *udp = frame + made.ip_off + IP_BYTES;
    put(udp + 8, 2, 0);
    put(udp + 8, 2, 0xffff - plain_sum(0, udp, 10)); /* all together 0xffff */
    nic_segment_fill(frame, pkt.len_bytes, pkt.flags);
    assert_int_equal(get(udp + 6, 2), 0xffff);
}

/* Padding behind a short frame is no part of the sum. */
static void padding_is_left_out(void **state)
{
    (void)state;
    uint8_t frame[128] = {0};
    struct pkt pkt = {.data = frame};
    make_tcp(&pkt, 0, 0);
    memset(frame + pkt.len_bytes, 0x77, 6);
    nic_segment_fill(frame, pkt.len_bytes + 6, pkt.flags);
    check_sums(frame + made.ip_off);
}

/* ---- through the in-memory NIC ---- */

static const struct nic_memory_config memory_config = {.mac = {2, 0, 0, 0, 0, 1},
                                                       .mtu_bytes = MTU,
                                                       .caps = CAPS,
                                                       .buffers = BUFFERS,
                                                       .big_buffers = BIG_BUFFERS,
                                                       .queue_frames = QUEUE_FRAMES};

static int open_nics(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(nic_memory_create(&memory_config, &nics[i]), RS_OK);
    }
    return 0;
}

/* Every buffer is back. */
static int close_nics(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct pkt pkts[BUFFERS + 1];
        uint32_t count = 0;
        assert_int_equal(nic_memory_held(nics[i]), 0);
        while (count <= BUFFERS && nics[i]->ops->tx_alloc(nics[i], &pkts[count])) {
            count++;
        }
        assert_int_equal(count, BUFFERS);
        for (count = 0; count <= BIG_BUFFERS && nics[i]->ops->tx_alloc_big(nics[i], &pkts[count]);
             count++) {
        }
        assert_int_equal(count, BIG_BUFFERS);
        nics[i]->ops->close(nics[i]);
    }
    return 0;
}

/* Gives the NIC a random segment to cut; its bytes go to whole. */
static void send_segment(struct nic *nic, uint8_t *whole)
{
    struct pkt pkt;
    assert_true(nic->ops->tx_alloc_big(nic, &pkt));
    assert_true(pkt.len_bytes == 0 && pkt.flags == 0 && pkt.segment_bytes == 0);
    make_random_segment(&pkt);
    memcpy(whole, pkt.data, pkt.len_bytes);
    assert_int_equal(nic->ops->tx_burst(nic, &pkt, 1), 1);
}

static void popped_frames_are_right(void **state)
{
    (void)state;
    static uint8_t whole[BIG_BYTES];
    uint8_t frame[MTU + 18];
    uint64_t frames = 0, bytes = 0;
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t flags;
        send_segment(nics[0], whole);
        assert_int_equal(nic_memory_held(nics[0]), 0);
        for (uint32_t i = 0; i < frames_expected(); i++) {
            const uint32_t len = nic_memory_pop(nics[0], frame, sizeof(frame), &flags);
            check_frame(whole, frame, len, i);
            assert_int_equal(flags, PKT_TX_TCP_SEG);
            frames++;
            bytes += len;
        }
        assert_int_equal(nic_memory_pop(nics[0], frame, sizeof(frame), NULL), 0);
    }
    struct nic_stats stats;
    nics[0]->ops->stats(nics[0], &stats);
    assert_int_equal(stats.tx_pkts, frames);
    assert_int_equal(stats.tx_bytes, bytes);
    assert_int_equal(stats.buffers, BUFFERS + BIG_BUFFERS);
}

static void received_frames_are_right(void **state)
{
    (void)state;
    static uint8_t whole[BIG_BYTES];
    struct pkt pkts[BUFFERS];
    nic_memory_connect(nics[0], nics[1]);
    for (uint32_t round = 0; round < 200; round++) {
        send_segment(nics[0], whole);
        const uint32_t count = nics[1]->ops->rx_burst(nics[1], pkts, BUFFERS);
        assert_int_equal(count, frames_expected());
        for (uint32_t i = 0; i < count; i++) {
            check_frame(whole, pkts[i].data, pkts[i].len_bytes, i);
            assert_int_equal(pkts[i].flags, 0);
        }
        nics[1]->ops->rx_release(nics[1], pkts, count);
    }
}

/* A frame that needs no cutting: TCP is right when popped, UDP as the stack left it; both are right
 * when received. */
static void checksums_on_the_way(void **state)
{
    (void)state;
    uint8_t frame[MTU + 18];
    struct pkt pkt;
    for (uint32_t round = 0; round < 4; round++) {
        const bool udp = (round & 1) != 0;
        if (round == 2) {
            nic_memory_connect(nics[0], nics[1]);
        }
        assert_true(nics[0]->ops->tx_alloc(nics[0], &pkt));
        if (udp) {
            make_udp(&pkt, 100);
        } else {
            make_tcp(&pkt, 100, 0);
        }
        const uint32_t len = pkt.len_bytes, flags = pkt.flags;
        assert_int_equal(nics[0]->ops->tx_burst(nics[0], &pkt, 1), 1);
        if (round < 2) {
            uint32_t popped;
            assert_int_equal(nic_memory_pop(nics[0], frame, sizeof(frame), &popped), len);
            assert_int_equal(popped, flags);
        } else {
            assert_int_equal(nics[1]->ops->rx_burst(nics[1], &pkt, 1), 1);
            memcpy(frame, pkt.data, pkt.len_bytes);
            nics[1]->ops->rx_release(nics[1], &pkt, 1);
        }
        if (round == 1) {
            assert_int_equal(get(frame + made.ip_off + 10, 2), 0);
        } else {
            check_sums(frame + made.ip_off);
        }
    }
}

/* All of a segment or nothing of it, and what is not taken stays the caller's. */
static void no_room_for_all_of_a_segment(void **state)
{
    (void)state;
    struct pkt held[BUFFERS], big, other;
    struct nic *nic = nics[0];
    uint8_t frame[MTU + 18];
    for (uint32_t i = 0; i < BUFFERS - 3; i++) {
        assert_true(nic->ops->tx_alloc(nic, &held[i]));
    }
    assert_true(nic->ops->tx_alloc_big(nic, &big));
    make_tcp(&big, 4000, 1000);
    assert_int_equal(nic->ops->tx_burst(nic, &big, 1), 0);
    assert_int_equal(nic_memory_pop(nic, frame, sizeof(frame), NULL), 0);
    assert_int_equal(nic_memory_held(nic), BUFFERS - 2);
    nic->ops->tx_free(nic, &held[0]);
    nic_memory_limit_tx(nic, 1);
    assert_int_equal(nic->ops->tx_burst(nic, &big, 1), 1);
    assert_true(nic->ops->tx_alloc_big(nic, &big));
    make_tcp(&big, 300, 1000); /* one frame */
    assert_int_equal(nic->ops->tx_burst(nic, &big, 1), 0);
    nic_memory_limit_tx(nic, UINT32_MAX);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(nic_memory_pop(nic, frame, sizeof(frame), NULL) > 1000);
    }
    assert_int_equal(nic->ops->tx_burst(nic, &big, 1), 1);
    assert_true(nic_memory_pop(nic, frame, sizeof(frame), NULL) > 300);
    for (uint32_t i = 1; i < BUFFERS - 3; i++) {
        nic->ops->tx_free(nic, &held[i]);
    }
    /* Big buffers run out by themselves, and stop at the limit. */
    assert_true(nic->ops->tx_alloc_big(nic, &big));
    assert_true(nic->ops->tx_alloc_big(nic, &other));
    assert_false(nic->ops->tx_alloc_big(nic, &held[0]));
    nic->ops->tx_free(nic, &big);
    nic_memory_limit_alloc(nic, 0);
    assert_false(nic->ops->tx_alloc_big(nic, &held[0]));
    nic_memory_limit_alloc(nic, UINT32_MAX);
    nic->ops->tx_free(nic, &other);
}

static void odd_configs_are_refused(void **state)
{
    (void)state;
    struct nic *nic = NULL;
    struct nic_memory_config config = memory_config;
    config.big_buffers = 0;
    assert_int_equal(nic_memory_create(&config, &nic), RS_INVALID);
    config.big_buffers = 1;
    config.caps = CAPS & ~NIC_CAP_TX_TSO;
    assert_int_equal(nic_memory_create(&config, &nic), RS_INVALID);
    config.caps = CAPS & ~NIC_CAP_TX_TCP_CSUM;
    assert_int_equal(nic_memory_create(&config, &nic), RS_INVALID);
    config.caps = CAPS & ~NIC_CAP_TX_IP_CSUM;
    assert_int_equal(nic_memory_create(&config, &nic), RS_INVALID);
    assert_null(nic);
    config.caps = 0;
    config.big_buffers = 0;
    assert_int_equal(nic_memory_create(&config, &nic), RS_OK);
    assert_int_equal(nic->tso_max_bytes, 0);
    nic->ops->close(nic);
}

/* Four whole segments of any MTU fit into a big buffer, 16 KiB at least. */
static void big_buffers_go_with_the_mtu(void **state)
{
    (void)state;
    static const uint32_t mtus[][2] = {{576, 16384}, {1500, 16384}, {9000, 36000}};
    for (uint32_t i = 0; i < 3; i++) {
        struct nic_memory_config config = memory_config;
        struct nic *nic;
        struct pkt big, plain;
        config.mtu_bytes = mtus[i][0];
        assert_int_equal(nic_memory_create(&config, &nic), RS_OK);
        assert_int_equal(nic->tso_max_bytes, mtus[i][1]);
        assert_true(nic->ops->tx_alloc_big(nic, &big));
        assert_true(nic->ops->tx_alloc(nic, &plain));
        memset(big.data, 0xff, NIC_TSO_HEADER_BYTES + nic->tso_max_bytes);
        memset(plain.data, 0, config.mtu_bytes + 18);
        assert_int_equal(big.data[0], 0xff);
        nic->ops->tx_free(nic, &big);
        nic->ops->tx_free(nic, &plain);
        nic->ops->close(nic);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_frames_are_right),
        cmocka_unit_test(checksums_are_filled_in),
        cmocka_unit_test(a_zero_sum_of_udp),
        cmocka_unit_test(padding_is_left_out),
        cmocka_unit_test_setup_teardown(popped_frames_are_right, open_nics, close_nics),
        cmocka_unit_test_setup_teardown(received_frames_are_right, open_nics, close_nics),
        cmocka_unit_test_setup_teardown(checksums_on_the_way, open_nics, close_nics),
        cmocka_unit_test_setup_teardown(no_room_for_all_of_a_segment, open_nics, close_nics),
        cmocka_unit_test(odd_configs_are_refused),
        cmocka_unit_test(big_buffers_go_with_the_mtu),
    };
    rng = test_random_make(test_random_seed("nic_segment"));
    return cmocka_run_group_tests_name("nic_segment", tests, NULL, NULL);
}
