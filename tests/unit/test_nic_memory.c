/*
 * The in-memory NIC with several queues: frames go to the queue that the Toeplitz table says, or
 * round and round where it is to steer wrongly; all queues share one wire; a thread per queue and
 * others may use it (also under the thread sanitizer). Calls dataplane/nic_memory.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "dataplane/nic_memory.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"
#include "tests/support/check.h"

enum { QUEUES = 2, BUFFERS = 64, QUEUE_FRAMES = 32, FRAME_BYTES = 60, THREAD_FRAMES = 20000 };
enum { WAIT_S = 30 };

static struct nic *nics[QUEUES];

static void make(enum steer_mode steering)
{
    const struct nic_memory_config config = {.mac = {2, 0, 0, 0, 0, 1},
                                             .mtu_bytes = 1500,
                                             .buffers = BUFFERS,
                                             .queue_frames = QUEUE_FRAMES,
                                             .steering = steering};
    assert_int_equal(nic_memory_create_queues(&config, QUEUES, nics), RS_OK);
}

static int setup(void **state)
{
    (void)state;
    make(STEER_NIC);
    return 0;
}

static int setup_wrong(void **state)
{
    (void)state;
    make(STEER_SOFTWARE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < QUEUES; i++) {
        assert_int_equal(nic_memory_held(nics[i]), 0);
        nics[i]->ops->close(nics[i]);
    }
    return 0;
}

/* UDP from port `port` of 10.0.0.2 to port 7000 of 10.0.0.1. */
static void make_frame(uint8_t frame[FRAME_BYTES], uint16_t port)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    const struct wire_ipv4 ip = {
        .version_ihl = 0x45,
        .total_len_be16 = rs_be16(FRAME_BYTES - ETHERNET_HEADER_BYTES),
        .protocol = IPV4_PROTOCOL_UDP,
        .src_be32 = 0x0200000a,
        .dst_be32 = 0x0100000a,
    };
    memset(frame, 0, FRAME_BYTES);
    ethernet_emit(frame, mac, mac, ETHERNET_TYPE_IPV4);
    ipv4_emit(frame + ETHERNET_HEADER_BYTES, &ip, true);
    udp_emit(frame + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES, rs_be16(port), rs_be16(7000),
             FRAME_BYTES - ETHERNET_HEADER_BYTES - IPV4_HEADER_BYTES);
}

static uint16_t port_of_frame(const uint8_t *frame)
{
    uint16_t port_be16;
    memcpy(&port_be16, frame + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES, sizeof(port_be16));
    return rs_be16(port_be16);
}

/* The frame of `port`, if it waits on this queue. */
static bool receives(struct nic *nic, uint16_t port)
{
    struct pkt pkt;
    if (nic->ops->rx_burst(nic, &pkt, 1) == 0) {
        return false;
    }
    assert_int_equal(pkt.len_bytes, FRAME_BYTES);
    assert_int_equal(port_of_frame(pkt.data), port);
    nic->ops->rx_release(nic, &pkt, 1);
    return true;
}

static void frames_go_where_the_hash_says(void **state)
{
    (void)state;
    uint8_t frame[FRAME_BYTES];
    uint32_t hits[QUEUES] = {0};
    for (uint32_t i = 0; i < QUEUES; i++) {
        assert_int_equal(nics[i]->queue_idx, i);
        assert_int_equal(nics[i]->queue_count, QUEUES);
        assert_int_equal(nics[i]->steering->mode, STEER_NIC);
    }
    for (uint16_t port = 50000; port < 50100; port++) {
        make_frame(frame, port);
        uint32_t queue =
            steer_flow(nics[0]->steering, 0x0200000a, 0x0100000a, rs_be16(port), rs_be16(7000));
        assert_true(nic_memory_push(nics[port % QUEUES], frame, sizeof(frame), 0));
        assert_false(receives(nics[1 - queue], port));
        assert_true(receives(nics[queue], port));
        hits[queue]++;
    }
    assert_true(hits[0] > 20 && hits[1] > 20);
}

static void a_wrongly_steering_port_goes_round(void **state)
{
    (void)state;
    uint8_t frame[FRAME_BYTES];
    make_frame(frame, 50000);
    assert_int_equal(nics[1]->steering->mode, STEER_SOFTWARE);
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(nic_memory_push(nics[0], frame, sizeof(frame), 0));
        assert_false(receives(nics[(i + 1) % QUEUES], 50000));
        assert_true(receives(nics[i % QUEUES], 50000));
    }
}

static void a_full_queue_stops_no_other(void **state)
{
    (void)state;
    uint8_t frame[FRAME_BYTES];
    struct pkt pkts[QUEUE_FRAMES];
    struct nic_stats stats;
    make_frame(frame, 50000);
    for (uint32_t i = 0; i < 2 * QUEUE_FRAMES; i++) {
        assert_true(nic_memory_push(nics[0], frame, sizeof(frame), 0));
    }
    assert_false(nic_memory_push(nics[0], frame, sizeof(frame), 0));
    nics[0]->ops->stats(nics[0], &stats);
    assert_int_equal(stats.rx_missed_pkts, 1);
    assert_int_equal(nics[1]->ops->rx_burst(nics[1], pkts, QUEUE_FRAMES), QUEUE_FRAMES);
    nics[1]->ops->rx_release(nics[1], pkts, QUEUE_FRAMES);
    assert_true(nic_memory_push(nics[0], frame, sizeof(frame), 0));
    assert_int_equal(nics[0]->ops->rx_burst(nics[0], pkts, QUEUE_FRAMES), QUEUE_FRAMES);
    assert_int_equal(nic_memory_held(nics[0]), QUEUE_FRAMES);
    assert_int_equal(nic_memory_held(nics[1]), 0);
    nics[0]->ops->rx_release(nics[0], pkts, QUEUE_FRAMES);
    assert_int_equal(nics[1]->ops->rx_burst(nics[1], pkts, QUEUE_FRAMES), 1);
    nics[1]->ops->rx_release(nics[1], pkts, 1);
}

static bool send_frame(struct nic *nic, uint16_t port)
{
    struct pkt pkt;
    if (!nic->ops->tx_alloc(nic, &pkt)) {
        return false;
    }
    make_frame(pkt.data, port);
    pkt.len_bytes = FRAME_BYTES;
    if (nic->ops->tx_burst(nic, &pkt, 1) == 1) {
        return true;
    }
    nic->ops->tx_free(nic, &pkt);
    return false;
}

static void all_queues_send_to_one_wire(void **state)
{
    (void)state;
    uint8_t frame[FRAME_BYTES];
    assert_true(send_frame(nics[1], 1));
    assert_true(send_frame(nics[0], 2));
    assert_true(send_frame(nics[1], 3));
    nic_memory_limit_tx(nics[1], 0);
    assert_false(send_frame(nics[1], 4));
    assert_true(send_frame(nics[0], 5));
    static const uint16_t want[] = {1, 2, 3, 5};
    for (uint32_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_int_equal(nic_memory_pop(nics[i % QUEUES], frame, sizeof(frame), NULL), FRAME_BYTES);
        assert_int_equal(port_of_frame(frame), want[i]);
    }
    assert_int_equal(nic_memory_pop(nics[0], frame, sizeof(frame), NULL), 0);
}

static void odd_ports_are_refused(void **state)
{
    (void)state;
    struct nic *none[RS_QUEUES_MAX + 1] = {NULL};
    struct nic_memory_config config = {
        .mtu_bytes = 1500, .buffers = BUFFERS, .queue_frames = QUEUE_FRAMES};
    assert_int_equal(nic_memory_create_queues(&config, QUEUES, none), RS_INVALID);
    config.steering = STEER_NIC;
    assert_int_equal(nic_memory_create_queues(&config, 0, none), RS_INVALID);
    assert_int_equal(nic_memory_create_queues(&config, RS_QUEUES_MAX + 1, none), RS_INVALID);
    config.queue_frames = 3;
    assert_int_equal(nic_memory_create_queues(&config, QUEUES, none), RS_INVALID);
    assert_null(none[0]);
}

/* ---- threads: a queue sends back what it receives, the test counts ---- */

static void *echo(void *queue)
{
    struct nic *nic = queue;
    struct pkt pkts[NIC_BURST_PKTS];
    for (;;) {
        uint32_t count = nic->ops->rx_burst(nic, pkts, NIC_BURST_PKTS);
        for (uint32_t i = 0; i < count; i++) {
            uint16_t port = port_of_frame(pkts[i].data);
            while (!send_frame(nic, port)) {
                sched_yield(); /* the test has yet to pop */
            }
            if (port == 0) { /* the end, last on its queue */
                nic->ops->rx_release(nic, pkts, count);
                return NULL;
            }
        }
        nic->ops->rx_release(nic, pkts, count);
        if (count == 0) {
            sched_yield();
        }
    }
}

static uint32_t pop_all(uint32_t *sum)
{
    uint8_t frame[FRAME_BYTES];
    uint32_t count = 0;
    while (nic_memory_pop(nics[0], frame, sizeof(frame), NULL) != 0) {
        *sum += port_of_frame(frame);
        count++;
    }
    return count;
}

static void a_thread_per_queue_loses_nothing(void **state)
{
    (void)state;
    uint8_t frame[FRAME_BYTES];
    pthread_t threads[QUEUES];
    struct nic_stats stats;
    uint32_t sent = 0, popped = 0, sum_sent = 0, sum = 0;
    const time_t deadline = time(NULL) + WAIT_S;
    for (uint32_t i = 0; i < QUEUES; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, echo, nics[i]), 0);
    }
    /* The last two frames, of port 0, end the two threads: the port goes round. */
    while (popped < THREAD_FRAMES) {
        uint16_t port = sent < THREAD_FRAMES - QUEUES ? (uint16_t)(1 + sent % 60000) : 0;
        make_frame(frame, port);
        /* so few under way that every queue has room */
        if (sent < THREAD_FRAMES && sent - popped < QUEUE_FRAMES / 2 &&
            nic_memory_push(nics[0], frame, sizeof(frame), 0)) {
            sum_sent += port;
            sent++;
        }
        popped += pop_all(&sum);
        if (time(NULL) > deadline) {
            fail_msg("of %u frames sent %u came back within %d s", sent, popped, WAIT_S);
        }
        nics[1]->ops->stats(nics[1], &stats);
    }
    for (uint32_t i = 0; i < QUEUES; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        nics[i]->ops->stats(nics[i], &stats);
        assert_int_equal(stats.rx_pkts, THREAD_FRAMES / QUEUES);
        assert_int_equal(stats.tx_pkts, THREAD_FRAMES / QUEUES);
        assert_int_equal(stats.rx_missed_pkts, 0);
    }
    assert_int_equal(sum, sum_sent);
}

/* ---- two ports that send to each other at once ---- */

static void *drive(void *queue)
{
    struct nic *nic = queue;
    struct pkt pkts[NIC_BURST_PKTS];
    uint32_t received = 0;
    for (uint32_t sent = 0; sent < THREAD_FRAMES; sent++) {
        CHECK(send_frame(nic, (uint16_t)sent)); /* the wire drops, it does not refuse */
        uint32_t count = nic->ops->rx_burst(nic, pkts, NIC_BURST_PKTS);
        received += count;
        nic->ops->rx_release(nic, pkts, count);
    }
    return (void *)(uintptr_t)received;
}

static void connected_ports_do_not_block_each_other(void **state)
{
    (void)state;
    const struct nic_memory_config config = {
        .mtu_bytes = 1500, .buffers = BUFFERS, .queue_frames = QUEUE_FRAMES, .steering = STEER_NIC};
    struct nic *ends[2 * QUEUES] = {nics[0], nics[1]};
    pthread_t threads[2 * QUEUES];
    assert_int_equal(nic_memory_create_queues(&config, QUEUES, ends + QUEUES), RS_OK);
    nic_memory_connect(ends[0], ends[QUEUES]);
    for (uint32_t i = 0; i < 2 * QUEUES; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, drive, ends[i]), 0);
    }
    for (uint32_t i = 0; i < 2 * QUEUES; i++) {
        void *received;
        struct nic_stats stats;
        assert_int_equal(pthread_join(threads[i], &received), 0);
        ends[i]->ops->stats(ends[i], &stats);
        assert_int_equal(stats.rx_pkts, (uintptr_t)received);
        assert_int_equal(stats.tx_pkts, THREAD_FRAMES);
    }
    for (uint32_t i = QUEUES; i < 2 * QUEUES; i++) {
        ends[i]->ops->close(ends[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_go_where_the_hash_says, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrongly_steering_port_goes_round, setup_wrong, teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_stops_no_other, setup_wrong, teardown),
        cmocka_unit_test_setup_teardown(all_queues_send_to_one_wire, setup, teardown),
        cmocka_unit_test(odd_ports_are_refused),
        cmocka_unit_test_setup_teardown(a_thread_per_queue_loses_nothing, setup_wrong, teardown),
        cmocka_unit_test_setup_teardown(connected_ports_do_not_block_each_other, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
