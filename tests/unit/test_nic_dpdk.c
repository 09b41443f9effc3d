/*
 * nic_dpdk on DPDK's software devices, without privileges: net_ring gives back on each queue what
 * was sent on it, net_null takes all and gives empty frames. Frames, buffers and counts must come
 * out whole; what a device cannot do must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/nic_dpdk.h"

enum { RING_Q0, RING_Q1, NULL_MAC, RING_MAC, NULL_JUMBO, ABSENT, CONFIGS };
#define OPENED_BY_EAL ABSENT

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

static int start(void **state)
{
    (void)state;
    make_config(&configs[RING_Q0], "net_ring0", "");
    make_config(&configs[RING_Q1], "net_ring0", "queue = 1\n");
    make_config(&configs[NULL_MAC], "net_null0", "mac = 02:00:00:00:00:77\n");
    make_config(&configs[RING_MAC], "net_ring1", "mac = 02:00:00:00:00:78\n");
    make_config(&configs[NULL_JUMBO], "net_null1", "mtu_bytes = 9000\n");
    make_config(&configs[ABSENT], "net_null7", "");
    return nic_dpdk_start_eal(configs, OPENED_BY_EAL) != RS_OK;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_queues_of_one_device),
        cmocka_unit_test(test_full_ring_and_buffers),
        cmocka_unit_test(test_mac_and_close),
        cmocka_unit_test(test_jumbo),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
