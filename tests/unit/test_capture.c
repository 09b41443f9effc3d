/*
 * What a queue's stack leaves in a capture's ring (dataplane/capture.c): frames both ways as they
 * are on the wire, whatever the NIC is asked to do, each once; local datagrams as frames; what
 * finds the ring full is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/capture.h"
#include "dataplane/nic_memory.h"
#include "dataplane/stack.h"
#include "dataplane/udp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/tcp.h"
#include "dataplane/wire/udp.h"
#include "rings/byteorder.h"

enum { RING = 65536, MTU = 1500, PORT = 7000, NOW = 12345678 };

#define OWN  rs_be32(0x0a000001u)
#define PEER rs_be32(0x0a000002u)

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 2};

static _Alignas(64) uint8_t ring[RING];
static struct rs_capture_queue shared;
static struct rs_capture_reader_word word;
static struct capture capture;
static struct capture_reader reader;
static struct nic *nic;
static struct stack *stack;
static struct udp_socket socket;

static bool deliver(void *context, struct udp_socket *to, const struct udp_datagram *datagram)
{
    (void)context;
    (void)to;
    (void)datagram;
    return true;
}

static void error(void *context, struct udp_socket *of, enum rs_status status)
{
    (void)context;
    (void)of;
    (void)status;
}

static void make(uint32_t caps, uint32_t snap_bytes)
{
    const struct nic_memory_config nic_config = {.mac = {2, 0, 0, 0, 0, 1},
                                                 .mtu_bytes = MTU,
                                                 .caps = caps,
                                                 .buffers = 64,
                                                 .queue_frames = 64};
    struct stack_config config = {.ip_be32 = OWN,
                                  .prefix_len = 24,
                                  .neighbours_max = 8,
                                  .sockets_max = 8,
                                  .memberships_max = 8,
                                  .arp_reachable_ns = 1000000000000u,
                                  .arp_retry_ns = 1000000000u,
                                  .arp_tries = 3,
                                  .igmp_version = 3,
                                  .neighbour_count = 1};
    const struct stack_upcalls upcalls = {.deliver = deliver, .error = error};
    config.neighbours[0].ip_be32 = PEER;
    memcpy(config.neighbours[0].mac, peer_mac, 6);
    assert_int_equal(nic_memory_create(&nic_config, &nic), RS_OK);
    assert_int_equal(stack_create(&config, nic, &upcalls, 1, &stack), RS_OK);
    udp_socket_init(&socket);
    assert_int_equal(udp_socket_bind(stack, &socket, OWN, rs_be16(PORT)), RS_OK);
    memset(&shared, 0, sizeof(shared));
    memset(&word, 0, sizeof(word));
    capture_init(&capture, ring, RING, &shared, &word.head, snap_bytes);
    capture_reader_init(&reader, ring, RING, &shared, &word.head);
    capture.nic = true;
    capture.local = true;
    stack_flush(stack); /* what it announces itself with */
    stack_set_now(stack, NOW, 1);
    stack_set_capture(stack, &capture);
}

static int teardown(void **state)
{
    (void)state;
    udp_socket_close(stack, &socket);
    stack_destroy(stack);
    nic->ops->close(nic);
    return 0;
}

static bool next(struct rs_capture_record *record, const uint8_t **frame)
{
    static uint8_t copy[RS_CAPTURE_FRAME_MAX_BYTES];
    const uint8_t *bytes = NULL;
    enum rs_status status = capture_reader_peek(&reader, record, &bytes);
    *frame = copy;
    if (status != RS_OK || bytes == NULL) {
        assert_int_equal(status, RS_WOULD_BLOCK);
        return false;
    }
    memcpy(copy, bytes, record->len_bytes);
    capture_reader_consume(&reader, record);
    return true;
}

static void send_to(uint32_t ip_be32, const void *payload, uint32_t len_bytes)
{
    assert_int_equal(udp_send(stack, &socket, ip_be32, rs_be16(PORT), payload, len_bytes, NULL),
                     RS_OK);
}

static void expect_datagram(const struct rs_capture_record *record, const uint8_t *frame,
                            const void *payload, uint32_t len_bytes)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame + ETHERNET_HEADER_BYTES);
    const uint8_t *udp = (const uint8_t *)(ip + 1);
    assert_int_equal(record->unix_ns, NOW);
    assert_int_equal(record->len_bytes, record->whole_bytes);
    assert_int_equal(ipv4_check((const uint8_t *)ip, record->len_bytes - ETHERNET_HEADER_BYTES),
                     IPV4_CHECK_OK);
    assert_true(ipv4_checksum_ok(ip));
    assert_int_equal(ipv4_total_bytes(ip), 28 + len_bytes);
    assert_int_not_equal(((const struct wire_udp *)udp)->checksum_be16, 0);
    assert_true(udp_checksum_ok(udp, (uint16_t)(8 + len_bytes), ip->src_be32, ip->dst_be32));
    assert_memory_equal(udp + 8, payload, len_bytes);
}

static void what_is_sent_is_shown_as_on_the_wire(void **state)
{
    static const uint32_t caps[] = {0, NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_UDP_CSUM};
    struct rs_capture_record record = {.len_bytes = 0};
    const uint8_t *frame;
    uint8_t payload[900];
    (void)state;
    memset(payload, 0x5a, sizeof(payload));
    for (size_t i = 0; i < 2; i++) {
        make(caps[i], 0);
        send_to(PEER, payload, sizeof(payload));
        assert_false(next(&record, &frame)); /* not before the NIC is offered it */
        stack_flush(stack);
        assert_true(next(&record, &frame));
        assert_int_equal(record.flags, RS_CAPTURE_TX);
        assert_memory_equal(frame, peer_mac, 6);
        expect_datagram(&record, frame, payload, sizeof(payload));
        assert_false(next(&record, &frame));
        if (i == 0) {
            (void)teardown(NULL);
        }
    }
}

static void a_frame_that_the_nic_takes_late_is_shown_once(void **state)
{
    struct rs_capture_record record = {.len_bytes = 0};
    const uint8_t *frame;
    uint32_t count = 0;
    (void)state;
    make(0, 0);
    nic_memory_limit_tx(nic, 2);
    for (uint8_t i = 0; i < 5; i++) {
        send_to(PEER, &i, 1);
    }
    stack_flush(stack);
    stack_flush(stack);
    nic_memory_limit_tx(nic, UINT32_MAX);
    stack_flush(stack);
    while (next(&record, &frame)) {
        assert_int_equal(frame[42], count);
        count++;
    }
    assert_int_equal(count, 5);
}

static void a_burst_from_the_nic_is_shown(void **state)
{
    struct rs_capture_record record = {.len_bytes = 0};
    const uint8_t *frame;
    uint8_t bytes[2][100];
    struct pkt pkts[2];
    (void)state;
    make(0, 0);
    for (uint8_t i = 0; i < 2; i++) {
        memset(bytes[i], i, sizeof(bytes[i]));
        pkts[i] = (struct pkt){.data = bytes[i], .len_bytes = sizeof(bytes[i]) - i};
    }
    capture_rx(&capture, NOW, pkts, 2);
    for (uint8_t i = 0; i < 2; i++) {
        assert_true(next(&record, &frame));
        assert_int_equal(record.flags, RS_CAPTURE_RX);
        assert_int_equal(record.whole_bytes, 100 - i);
        assert_memory_equal(frame, bytes[i], 100 - i);
    }
    capture.nic = false; /* only local traffic is wanted */
    capture_rx(&capture, NOW, pkts, 2);
    capture_tx(&capture, NOW, pkts, 2);
    assert_false(next(&record, &frame));
}

/* A segment of 3,000 bytes that the NIC shall cut into 1,448. */
static void what_the_nic_cuts_is_shown_in_pieces(void **state)
{
    enum { PAYLOAD = 3000, SEGMENT = 1448, HEADERS = 54 };
    static uint8_t bytes[HEADERS + PAYLOAD];
    struct rs_capture_record record = {.len_bytes = 0};
    const uint8_t *frame;
    uint32_t seq = 1000, left = PAYLOAD;
    (void)state;
    make(0, 0);
    ethernet_emit(bytes, peer_mac, own_mac, ETHERNET_TYPE_IPV4);
    ipv4_emit(bytes + 14,
              &(struct wire_ipv4){.version_ihl = 0x45,
                                  .total_len_be16 = rs_be16(40 + PAYLOAD),
                                  .ttl = 64,
                                  .protocol = IPV4_PROTOCOL_TCP,
                                  .src_be32 = OWN,
                                  .dst_be32 = PEER},
              false);
    tcp_emit(bytes + 34, &(struct wire_tcp){.src_port_be16 = rs_be16(80),
                                            .dst_port_be16 = rs_be16(81),
                                            .seq_be32 = rs_be32(seq),
                                            .offset = tcp_offset(20),
                                            .flags = TCP_FLAG_ACK | TCP_FLAG_PSH});
    ((struct wire_tcp *)(bytes + 34))->checksum_be16 =
        checksum_fold(checksum_pseudo(OWN, PEER, IPV4_PROTOCOL_TCP, 0));
    for (uint32_t i = 0; i < PAYLOAD; i++) {
        bytes[HEADERS + i] = (uint8_t)(i * 7);
    }
    const struct pkt pkt = {.data = bytes,
                            .len_bytes = sizeof(bytes),
                            .segment_bytes = SEGMENT,
                            .flags = PKT_TX_TCP_SEG | PKT_TX_IP_CSUM | PKT_TX_TCP_CSUM};
    capture_tx(&capture, NOW, &pkt, 1);
    while (left != 0) {
        uint32_t piece = left < SEGMENT ? left : SEGMENT;
        assert_true(next(&record, &frame));
        assert_int_equal(record.len_bytes, HEADERS + piece);
        assert_true(ipv4_checksum_ok((const struct wire_ipv4 *)(frame + 14)));
        assert_true(tcp_checksum_ok(frame + 34, (uint16_t)(20 + piece), OWN, PEER));
        assert_int_equal(rs_be32(((const struct wire_tcp *)(frame + 34))->seq_be32), seq);
        assert_memory_equal(frame + HEADERS, bytes + HEADERS + PAYLOAD - left, piece);
        seq += piece;
        left -= piece;
    }
    assert_false(next(&record, &frame));
}

static void a_local_datagram_is_shown_as_a_frame(void **state)
{
    struct rs_capture_record record = {.len_bytes = 0};
    const uint8_t *frame;
    (void)state;
    make(0, 0);
    send_to(OWN, "hello", 5);
    assert_true(next(&record, &frame));
    assert_int_equal(record.flags, RS_CAPTURE_LOCAL);
    expect_datagram(&record, frame, "hello", 5);
    send_to(OWN, NULL, 0);
    assert_true(next(&record, &frame));
    expect_datagram(&record, frame, "", 0);
    capture.local = false;
    send_to(OWN, "hello", 5);
    assert_false(next(&record, &frame));
    capture.local = true;
    stack_set_capture(stack, NULL);
    send_to(OWN, "hello", 5);
    assert_false(next(&record, &frame));
}

static void a_snap_length_cuts_and_tells(void **state)
{
    struct rs_capture_record record = {.len_bytes = 0};
    const uint8_t *frame;
    uint8_t payload[500] = {0};
    (void)state;
    make(NIC_CAP_TX_UDP_CSUM | NIC_CAP_TX_IP_CSUM, 64);
    send_to(PEER, payload, sizeof(payload));
    send_to(OWN, payload, sizeof(payload));
    stack_flush(stack);
    for (int i = 0; i < 2; i++) {
        assert_true(next(&record, &frame));
        assert_int_equal(record.len_bytes, 64);
        assert_int_equal(record.whole_bytes, 542);
    }
}

static uint64_t counted(const rs_atomic_u64 *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void what_finds_no_room_is_counted(void **state)
{
    enum { FRAMES = 1000 };
    struct rs_capture_record record = {.len_bytes = 0};
    const uint8_t *frame;
    uint8_t payload[200] = {0};
    uint32_t kept = 0;
    (void)state;
    make(0, 0);
    for (int i = 0; i < FRAMES; i++) {
        send_to(OWN, payload, sizeof(payload));
    }
    while (next(&record, &frame)) {
        kept++;
    }
    assert_int_equal(counted(&shared.frames[RS_CAPTURE_KIND_LOCAL]), FRAMES);
    assert_int_equal(counted(&shared.dropped[RS_CAPTURE_KIND_LOCAL]), FRAMES - kept);
    assert_true(kept > 100 && kept < FRAMES);
    assert_int_equal(counted(&shared.frames[RS_CAPTURE_KIND_NIC]), 0);
    /* with room again it goes on; with a reader that cannot be it never does */
    send_to(OWN, payload, sizeof(payload));
    assert_true(next(&record, &frame));
    atomic_store_explicit(&word.head, 5, memory_order_relaxed);
    for (int i = 0; i < FRAMES; i++) {
        send_to(OWN, payload, sizeof(payload));
    }
    assert_true(capture.broken);
    uint32_t tail = atomic_load_explicit(&shared.tail, memory_order_relaxed);
    atomic_store_explicit(&word.head, tail, memory_order_relaxed);
    send_to(OWN, payload, sizeof(payload));
    assert_int_equal(atomic_load_explicit(&shared.tail, memory_order_relaxed), tail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_sent_is_shown_as_on_the_wire, teardown),
        cmocka_unit_test_teardown(a_frame_that_the_nic_takes_late_is_shown_once, teardown),
        cmocka_unit_test_teardown(a_burst_from_the_nic_is_shown, teardown),
        cmocka_unit_test_teardown(what_the_nic_cuts_is_shown_in_pieces, teardown),
        cmocka_unit_test_teardown(a_local_datagram_is_shown_as_a_frame, teardown),
        cmocka_unit_test_teardown(a_snap_length_cuts_and_tells, teardown),
        cmocka_unit_test_teardown(what_finds_no_room_is_counted, teardown),
    };
    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
