/*
 * Unit tests of dataplane/wire: each format's check at every length, and emit read back.
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

#include "dataplane/wire/arp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/igmp.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"

static void ethernet_needs_fourteen_bytes(void **state)
{
    (void)state;
    uint8_t data[14];
    static const uint8_t a[6] = {2, 1, 2, 3, 4, 5};
    static const uint8_t b[6] = {2, 9, 8, 7, 6, 5};
    ethernet_emit(data, a, b, ETHERNET_TYPE_VLAN);
    assert_null(ethernet_check(data, 13));
    const struct wire_ethernet *header = ethernet_check(data, 14);
    assert_non_null(header);
    assert_true(ethernet_equal(header->dst, a) && ethernet_equal(header->src, b));
    assert_true(ethernet_is_vlan(header));
    uint8_t group[6];
    ethernet_multicast_mac(group, rs_be32(0xef8a0b0c)); /* 239.138.11.12: 23 bits */
    static const uint8_t want[6] = {0x01, 0x00, 0x5e, 0x0a, 0x0b, 0x0c};
    assert_memory_equal(group, want, 6);
    assert_true(ethernet_is_group(group) && !ethernet_is_group(a));
}

static void arp_is_read_back(void **state)
{
    (void)state;
    uint8_t data[28];
    static const uint8_t a[6] = {2, 1, 2, 3, 4, 5};
    static const uint8_t b[6] = {2, 9, 8, 7, 6, 5};
    arp_emit(data, ARP_REPLY, a, 0x01020304, b, 0x05060708);
    const struct wire_arp *arp = arp_check(data, 28);
    assert_non_null(arp);
    assert_int_equal(arp->sender_be32, 0x01020304);
    assert_int_equal(arp->target_be32, 0x05060708);
    assert_null(arp_check(data, 27));
    data[7] = 3; /* reverse ARP */
    assert_null(arp_check(data, 28));
}

static void ipv4_is_checked_at_every_length(void **state)
{
    (void)state;
    uint8_t data[64] = {0};
    const struct wire_ipv4 fields = {.version_ihl = 0x46, .total_len_be16 = rs_be16(40)};
    ipv4_emit(data, &fields, true);
    for (uint32_t len = 0; len < 64; len++) {
        enum ipv4_check_result want = len < 20   ? IPV4_CHECK_TRUNCATED
                                      : len < 24 ? IPV4_CHECK_HEADER_LENGTH
                                      : len < 40 ? IPV4_CHECK_TOTAL_LENGTH
                                                 : IPV4_CHECK_OK;
        assert_int_equal(ipv4_check(data, len), want);
    }
    assert_true(ipv4_checksum_ok((const struct wire_ipv4 *)data));
    assert_int_equal(rs_prefix_mask_be32(0), 0);
    assert_int_equal(rs_prefix_mask_be32(8), 0x000000ffu);
    assert_int_equal(rs_prefix_mask_be32(32), 0xffffffffu);
}

static void udp_is_checked_at_every_length(void **state)
{
    (void)state;
    uint8_t data[32] = {0};
    udp_emit(data, 1, 2, 12);
    for (uint32_t len = 0; len < 32; len++) {
        enum udp_check_result want = len < 8    ? UDP_CHECK_TRUNCATED
                                     : len < 12 ? UDP_CHECK_LENGTH
                                                : UDP_CHECK_OK;
        assert_int_equal(udp_check(data, len), want);
    }
    uint16_t checksum = udp_checksum(data, 12, 0x0100000a, 0x0200000a);
    memcpy(data + 6, &checksum, 2);
    assert_true(udp_checksum_ok(data, 12, 0x0100000a, 0x0200000a));
    assert_false(udp_checksum_ok(data, 12, 0x0100000a, 0x0300000a));
}

static void icmp_is_read_back(void **state)
{
    (void)state;
    uint8_t data[13] = "________ping";
    icmp_emit(data, ICMP_ECHO, 0, 0x11223344, 13);
    assert_null(icmp_check(data, 7));
    assert_non_null(icmp_check(data, 8));
    assert_true(icmp_checksum_ok(data, 13));
    data[12] ^= 1;
    assert_false(icmp_checksum_ok(data, 13));
}

static void igmp_is_checked_at_every_length(void **state)
{
    (void)state;
    uint8_t data[32] = {IGMP_QUERY};
    data[11] = 2; /* two sources: 20 bytes */
    for (uint32_t len = 0; len < 32; len++) {
        assert_int_equal(igmp_check(data, len), len == 8 || len >= 20);
    }
    data[0] = IGMP_REPORT_V2;
    assert_false(igmp_check(data, 7));
    assert_true(igmp_check(data, 9));
    igmp_emit(data, IGMP_LEAVE, 0x010101ef);
    assert_true(igmp_checksum_ok(data, 8));
}

static void igmp_codes_are_small_floats(void **state)
{
    (void)state;
    assert_int_equal(igmp_code_value(0), 0);
    assert_int_equal(igmp_code_value(127), 127);
    assert_int_equal(igmp_code_value(0x80), 128);   /* 16 << 3 */
    assert_int_equal(igmp_code_value(0x8f), 248);   /* 31 << 3 */
    assert_int_equal(igmp_code_value(0x90), 256);   /* 16 << 4 */
    assert_int_equal(igmp_code_value(0xff), 31744); /* 31 << 10 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ethernet_needs_fourteen_bytes),
        cmocka_unit_test(arp_is_read_back),
        cmocka_unit_test(ipv4_is_checked_at_every_length),
        cmocka_unit_test(udp_is_checked_at_every_length),
        cmocka_unit_test(icmp_is_read_back),
        cmocka_unit_test(igmp_is_checked_at_every_length),
        cmocka_unit_test(igmp_codes_are_small_floats),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
