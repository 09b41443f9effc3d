/*
 * The Toeplitz hash against the published verification vectors of receive side scaling, and the
 * queue of a frame by its kind, its length and the table. Calls dataplane/toeplitz.c and steer.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/steer.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"

#define IP(a, b, c, d) \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* Microsoft, "Verifying the RSS Hash Calculation", IPv4. */
static const struct vector {
    uint32_t dst_be32;
    uint16_t dst_port;
    uint32_t src_be32;
    uint16_t src_port;
    uint32_t addresses, flow;
} vectors[] = {
    {IP(161, 142, 100, 80), 1766, IP(66, 9, 149, 187), 2794, 0x323e8fc2, 0x51ccc178},
    {IP(65, 69, 140, 83), 4739, IP(199, 92, 111, 2), 14230, 0xd718262a, 0xc626b0ea},
    {IP(12, 22, 207, 184), 38024, IP(24, 19, 198, 95), 12898, 0xd2d0a5de, 0x5c2b394a},
    {IP(209, 142, 163, 6), 2217, IP(38, 27, 205, 30), 48228, 0x82989176, 0xafc7327f},
    {IP(202, 188, 127, 2), 1303, IP(153, 39, 163, 191), 44251, 0x5d1809c5, 0x10e828a2},
};
enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]), TABLE = 128, QUEUES = 128 };

static struct nic_steering steering;

/* As many queues as places in the table: the queue is the hash's low seven bits. */
static int setup(void **state)
{
    (void)state;
    return steer_init(&steering, STEER_NIC, toeplitz_published_key, NULL, TABLE, QUEUES) != RS_OK;
}

struct frame {
    uint8_t data[128];
    uint32_t len_bytes;
};

static struct frame make_frame(const struct vector *v, uint8_t protocol, uint32_t options_bytes,
                               uint16_t fragment)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct frame frame = {.len_bytes = 0};
    uint32_t header_bytes = IPV4_HEADER_BYTES + options_bytes;
    const struct wire_ipv4 ip = {
        .version_ihl = (uint8_t)(0x40 | header_bytes / 4),
        .total_len_be16 = rs_be16((uint16_t)(header_bytes + UDP_HEADER_BYTES)),
        .fragment_be16 = rs_be16(fragment),
        .protocol = protocol,
        .src_be32 = v->src_be32,
        .dst_be32 = v->dst_be32,
    };
    ethernet_emit(frame.data, mac, mac, ETHERNET_TYPE_IPV4);
    ipv4_emit(frame.data + ETHERNET_HEADER_BYTES, &ip, true);
    udp_emit(frame.data + ETHERNET_HEADER_BYTES + header_bytes, rs_be16(v->src_port),
             rs_be16(v->dst_port), UDP_HEADER_BYTES);
    frame.len_bytes = ETHERNET_HEADER_BYTES + header_bytes + UDP_HEADER_BYTES;
    return frame;
}

/* On an exact-size copy, so that the address sanitizer sees a read beyond the frame. */
static uint32_t queue_of(const struct frame *frame, uint32_t len_bytes)
{
    uint8_t *copy = malloc(len_bytes > 0 ? len_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, frame->data, len_bytes);
    uint32_t queue = steer_frame(&steering, copy, len_bytes);
    free(copy);
    return queue;
}

static void the_published_vectors(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        assert_int_equal(toeplitz_addresses(&steering.toeplitz, v->src_be32, v->dst_be32),
                         v->addresses);
        assert_int_equal(toeplitz_flow(&steering.toeplitz, v->src_be32, v->dst_be32,
                                       rs_be16(v->src_port), rs_be16(v->dst_port)),
                         v->flow);
    }
}

static void tcp_and_udp_go_by_ports_the_rest_by_addresses(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        const uint32_t by_flow = v->flow % QUEUES, by_addresses = v->addresses % QUEUES;
        assert_int_not_equal(by_flow, by_addresses);
        struct frame frame = make_frame(v, IPV4_PROTOCOL_UDP, 0, 0);
        assert_int_equal(queue_of(&frame, frame.len_bytes), by_flow);
        assert_int_equal(steer_flow(&steering, v->src_be32, v->dst_be32, rs_be16(v->src_port),
                                    rs_be16(v->dst_port)),
                         by_flow);
        frame = make_frame(v, IPV4_PROTOCOL_TCP, 12, IPV4_FLAG_DF);
        assert_int_equal(queue_of(&frame, frame.len_bytes), by_flow);
        frame = make_frame(v, IPV4_PROTOCOL_ICMP, 0, 0);
        assert_int_equal(queue_of(&frame, frame.len_bytes), by_addresses);
        frame = make_frame(v, IPV4_PROTOCOL_IGMP, 4, 0);
        assert_int_equal(queue_of(&frame, frame.len_bytes), by_addresses);
        frame = make_frame(v, IPV4_PROTOCOL_UDP, 0, IPV4_FLAG_MF);
        assert_int_equal(queue_of(&frame, frame.len_bytes), by_addresses);
        frame = make_frame(v, IPV4_PROTOCOL_UDP, 0, 185);
        assert_int_equal(queue_of(&frame, frame.len_bytes), by_addresses);
    }
}

static void what_is_no_ip_or_malformed_goes_to_queue_0(void **state)
{
    (void)state;
    const struct vector *v = &vectors[0];
    struct frame right = make_frame(v, IPV4_PROTOCOL_UDP, 8, 0);
    assert_int_not_equal(queue_of(&right, right.len_bytes), 0);
    for (uint32_t len = 0; len < right.len_bytes; len++) {
        assert_int_equal(queue_of(&right, len), 0);
    }
    struct frame frame = right;
    frame.data[12] = 0x86; /* IPv6 */
    frame.data[13] = 0xdd;
    assert_int_equal(queue_of(&frame, frame.len_bytes), 0);
    frame = right;
    frame.data[12] = 0x08;
    frame.data[13] = 0x06;
    assert_int_equal(queue_of(&frame, frame.len_bytes), 0);
    frame = right;
    frame.data[ETHERNET_HEADER_BYTES] = 0x44; /* a header of 16 bytes */
    assert_int_equal(queue_of(&frame, frame.len_bytes), 0);
    frame = right;
    frame.data[ETHERNET_HEADER_BYTES] = 0x67;
    assert_int_equal(queue_of(&frame, frame.len_bytes), 0);
    /* UDP that ends inside its ports */
    frame = right;
    frame.data[ETHERNET_HEADER_BYTES + 3] = IPV4_HEADER_BYTES + 8 + 3;
    assert_int_equal(queue_of(&frame, frame.len_bytes), 0);
    frame.data[ETHERNET_HEADER_BYTES + 3]++;
    assert_int_equal(queue_of(&frame, frame.len_bytes), v->flow % QUEUES);
}

static void software_steers_igmp_to_queue_0(void **state)
{
    (void)state;
    struct frame igmp = make_frame(&vectors[0], IPV4_PROTOCOL_IGMP, 4, 0);
    struct frame icmp = make_frame(&vectors[0], IPV4_PROTOCOL_ICMP, 0, 0);
    steering.mode = STEER_SOFTWARE;
    assert_int_equal(queue_of(&igmp, igmp.len_bytes), 0);
    assert_int_equal(queue_of(&icmp, icmp.len_bytes), vectors[0].addresses % QUEUES);
}

/* What an ICMP error quotes of our answer to that vector: its first bytes, an exact-size copy. */
static uint32_t queue_of_quote(const struct vector *v, uint8_t protocol, uint16_t fragment,
                               uint32_t quote_bytes)
{
    const struct vector ours = {v->src_be32, v->src_port, v->dst_be32, v->dst_port, 0, 0};
    struct frame frame = make_frame(&ours, protocol, 0, fragment);
    uint8_t *copy = malloc(quote_bytes > 0 ? quote_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, frame.data + ETHERNET_HEADER_BYTES, quote_bytes);
    uint32_t queue = steer_quoted(&steering, copy, quote_bytes);
    free(copy);
    return queue;
}

static void a_quoted_segment_is_of_the_queue_that_gets_its_answers(void **state)
{
    (void)state;
    const uint32_t ports_end = IPV4_HEADER_BYTES + 4;
    for (uint32_t i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        for (uint32_t bytes = 0; bytes < ports_end; bytes++) {
            assert_int_equal(queue_of_quote(v, IPV4_PROTOCOL_TCP, 0, bytes), STEER_NO_QUEUE);
        }
        assert_int_equal(queue_of_quote(v, IPV4_PROTOCOL_TCP, 0, ports_end), v->flow % QUEUES);
        assert_int_equal(queue_of_quote(v, IPV4_PROTOCOL_TCP, 0, ports_end + 4), v->flow % QUEUES);
        assert_int_equal(queue_of_quote(v, IPV4_PROTOCOL_UDP, 0, ports_end), STEER_NO_QUEUE);
        assert_int_equal(queue_of_quote(v, IPV4_PROTOCOL_TCP, 1, ports_end), STEER_NO_QUEUE);
    }
}

static void one_queue_gets_all(void **state)
{
    (void)state;
    steering = steer_one_queue;
    for (uint32_t i = 0; i < VECTORS; i++) {
        struct frame frame = make_frame(&vectors[i], IPV4_PROTOCOL_UDP, 0, 0);
        assert_int_equal(queue_of(&frame, frame.len_bytes), 0);
    }
    assert_int_equal(steer_flow(&steering, 1, 2, 3, 4), 0);
}

static void the_table_says_which_queue(void **state)
{
    (void)state;
    uint16_t table[TABLE] = {0};
    const struct vector *v = &vectors[1];
    table[v->flow % TABLE] = 2;
    assert_int_equal(steer_init(&steering, STEER_NIC, toeplitz_published_key, table, TABLE, 3),
                     RS_OK);
    struct frame frame = make_frame(v, IPV4_PROTOCOL_UDP, 0, 0);
    assert_int_equal(queue_of(&frame, frame.len_bytes), 2);
    frame = make_frame(&vectors[0], IPV4_PROTOCOL_UDP, 0, 0);
    assert_int_equal(queue_of(&frame, frame.len_bytes), 0);

    table[5] = 3;
    assert_int_equal(steer_init(&steering, STEER_NIC, steering.key, table, TABLE, 3), RS_INVALID);
    assert_int_equal(steer_init(&steering, STEER_NIC, toeplitz_published_key, NULL, 100, 3),
                     RS_INVALID);
    assert_int_equal(
        steer_init(&steering, STEER_NIC, toeplitz_published_key, NULL, 2 * STEER_TABLE_MAX, 3),
        RS_INVALID);
    assert_int_equal(steer_init(&steering, STEER_NIC, toeplitz_published_key, NULL, TABLE, 0),
                     RS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_published_vectors, setup),
        cmocka_unit_test_setup(tcp_and_udp_go_by_ports_the_rest_by_addresses, setup),
        cmocka_unit_test_setup(what_is_no_ip_or_malformed_goes_to_queue_0, setup),
        cmocka_unit_test_setup(software_steers_igmp_to_queue_0, setup),
        cmocka_unit_test_setup(a_quoted_segment_is_of_the_queue_that_gets_its_answers, setup),
        cmocka_unit_test_setup(one_queue_gets_all, setup),
        cmocka_unit_test_setup(the_table_says_which_queue, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
