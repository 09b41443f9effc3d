/*
 * Transmit timestamps as a queue keeps them (dataplane/stamps.c): by number, oldest first, as many
 * as the socket asked for, none of a socket that is gone, and a session's share of the queue's
 * room. And when a
 * local datagram was received.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/nic_loopback.h"
#include "dataplane/queue.h"

static struct queue queue;
static struct session_part part, other_part;

static int start(void **state)
{
    const struct stack_upcalls upcalls = {.context = &queue};
    const struct stack_config config = {.neighbours_max = 16, .sockets_max = 16};
    (void)state;
    memset(&queue, 0, sizeof(queue));
    memset(&part, 0, sizeof(part));
    memset(&other_part, 0, sizeof(other_part));
    queue.queue_count = 1;
    assert_int_equal(nic_loopback_create(&queue.nic), RS_OK);
    assert_int_equal(stack_create(&config, queue.nic, &upcalls, 1, &queue.stack), RS_OK);
    assert_int_equal(stamps_create(&queue.stamps), RS_OK);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    stamps_destroy(queue.stamps);
    stack_destroy(queue.stack);
    queue.nic->ops->close(queue.nic);
    return 0;
}

static struct dp_socket socket_with(uint32_t count)
{
    struct dp_socket socket = {.part = &part, .home = true};
    assert_int_equal(stamps_set(&queue, &socket, count), RS_OK);
    return socket;
}

static void add(const struct dp_socket *socket, uint32_t id, uint64_t tx_tsc)
{
    uint64_t stamp;
    assert_true(stamps_name(&queue, socket, id, &stamp));
    stamps_add(&queue, stamp, tx_tsc);
}

static void expect(struct dp_socket *socket, uint32_t id, uint64_t tx_tsc)
{
    uint64_t got = 0;
    assert_true(stamps_take(&queue, socket, socket->part, id, &got));
    assert_int_equal(got, tx_tsc);
}

static void expect_none(struct dp_socket *socket, uint32_t id)
{
    uint64_t got;
    assert_false(stamps_take(&queue, socket, socket->part, id, &got));
}

static uint64_t count(enum counter_id id)
{
    return counter_get(stack_counters(queue.stack), id);
}

static void by_number_and_once(void **state)
{
    (void)state;
    struct dp_socket a = socket_with(4), b = socket_with(4);
    add(&a, 1, 10);
    add(&b, 1, 11);
    add(&a, UINT32_MAX, 12);
    add(&a, 3, 13);
    expect_none(&a, 2);
    expect(&a, UINT32_MAX, 12); /* the middle one, */
    expect(&a, 3, 13);          /* the last, */
    add(&a, 4, 14);
    expect(&a, 1, 10); /* the first */
    expect(&a, 4, 14);
    expect_none(&a, 1);
    expect(&b, 1, 11);
    add(&a, 5, 15); /* empty lists fill again */
    expect(&a, 5, 15);
    assert_int_equal(count(COUNTER_tx_stamps), 6);
}

static void of_one_number_the_oldest(void **state)
{
    (void)state;
    struct dp_socket a = socket_with(4);
    add(&a, 7, 1);
    add(&a, 8, 2);
    add(&a, 7, 3);
    expect(&a, 7, 1);
    expect(&a, 7, 3);
    expect(&a, 8, 2);
}

static void beyond_the_room_the_new_one_is_lost(void **state)
{
    (void)state;
    struct dp_socket a = socket_with(2);
    add(&a, 1, 1);
    add(&a, 2, 2);
    add(&a, 3, 3);
    assert_int_equal(count(COUNTER_tx_stamps_lost), 1);
    expect_none(&a, 3);
    expect(&a, 1, 1);
    add(&a, 4, 4);
    expect(&a, 2, 2);
    expect(&a, 4, 4);
}

static void another_size_forgets_what_there_was(void **state)
{
    (void)state;
    struct dp_socket a = socket_with(2);
    uint64_t stamp;
    add(&a, 1, 1);
    assert_true(stamps_name(&queue, &a, 2, &stamp));
    assert_int_equal(stamps_set(&queue, &a, 3), RS_OK);
    expect_none(&a, 1);
    stamps_add(&queue, stamp, 2); /* a frame that was under way */
    expect_none(&a, 2);
    add(&a, 3, 3);
    expect(&a, 3, 3);
    assert_int_equal(stamps_set(&queue, &a, RS_TX_STAMPS_MAX + 1), RS_INVALID);
}

static void without_room_there_is_no_name(void **state)
{
    (void)state;
    struct dp_socket a = {.part = &part};
    uint64_t stamp;
    assert_false(stamps_name(&queue, &a, 1, &stamp));
    expect_none(&a, 1);
    a = socket_with(1);
    assert_int_equal(stamps_set(&queue, &a, 0), RS_OK);
    assert_false(stamps_name(&queue, &a, 1, &stamp));
    assert_int_equal(part.stamp_sockets, 0);
    assert_int_equal(part.stamps_reserved, 0);
}

static void what_a_gone_socket_sent_is_nobodys(void **state)
{
    (void)state;
    struct dp_socket a = socket_with(4);
    uint64_t stamp;
    assert_true(stamps_name(&queue, &a, 1, &stamp));
    assert_int_equal(stamps_set(&queue, &a, 0), RS_OK);
    struct dp_socket b = socket_with(4); /* in its place */
    stamps_add(&queue, stamp, 1);
    expect_none(&b, 1);
    assert_int_equal(count(COUNTER_tx_stamps_lost), 1);
}

static void a_session_has_its_share(void **state)
{
    (void)state;
    struct dp_socket sockets[4];
    uint32_t full = 0;
    for (uint32_t i = 0; i < 4; i++) {
        sockets[i] = (struct dp_socket){.part = &part};
        full += stamps_set(&queue, &sockets[i], RS_TX_STAMPS_MAX) == RS_NO_BUFFERS;
    }
    assert_int_equal(full, 2);
    for (uint32_t i = 0; i < 2; i++) { /* all of what was given can be used */
        for (uint32_t k = 0; k < RS_TX_STAMPS_MAX; k++) {
            add(&sockets[i], k, k);
        }
    }
    struct dp_socket other = {.part = &other_part};
    assert_int_equal(stamps_set(&queue, &other, RS_TX_STAMPS_MAX), RS_OK);
    add(&other, 1, 99);
    expect(&other, 1, 99);
    for (uint32_t i = 0; i < 2; i++) {
        expect(&sockets[i], RS_TX_STAMPS_MAX - 1, RS_TX_STAMPS_MAX - 1);
        assert_int_equal(stamps_set(&queue, &sockets[i], 0), RS_OK);
    }
    assert_int_equal(stamps_set(&queue, &sockets[0], RS_TX_STAMPS_MAX), RS_OK);
}

static void a_long_look_costs_slots(void **state)
{
    (void)state;
    struct dp_socket a = socket_with(RS_TX_STAMPS_MAX);
    part.slots_left = part.turn_left = 1000;
    for (uint32_t i = 0; i < RS_TX_STAMPS_MAX; i++) {
        add(&a, i, i);
    }
    expect_none(&a, UINT32_MAX);
    assert_int_equal(part.slots_left, 1000 - RS_TX_STAMPS_MAX / REQUEST_LOOKS_PER_SLOT);
}

/* Of who asked for timestamps: not the time of the iteration, which may have begun before the send.
 */
static void a_local_datagram_comes_when_it_is_delivered(void **state)
{
    (void)state;
    _Alignas(RS_LINE_BYTES) static uint8_t ring[1024];
    static struct dp_session session = {.never_sleeps = true};
    static rs_atomic_u32 head_word;
    struct stack_upcalls upcalls;
    struct dp_socket socket = {.session = &session, .part = &part};
    struct udp_datagram datagram = {.payload = ring, .local = true, .rx_tsc = 1};
    const struct queue_config config = {.loopback = true};
    queue.config = &config;
    deliver_upcalls_fill(&queue, &upcalls);
    dgram_writer_init(&socket.recv, ring, sizeof(ring), &head_word, sizeof(ring), 0);
    for (uint32_t i = 0; i < 6; i++) {
        const struct rs_dgram *record =
            (const struct rs_dgram *)(ring + (socket.recv.tail & (sizeof(ring) - 1)));
        uint64_t before = os_tsc();
        socket.recv_control = (uint8_t)(i % 3);
        datagram.local = i < 3;
        assert_true(upcalls.deliver(&queue, &socket.udp, &datagram));
        if (i == RS_CONTROL_STAMP) {
            assert_true(before <= record->rx_tsc && record->rx_tsc <= os_tsc());
        } else {
            assert_int_equal(record->rx_tsc, 1);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(by_number_and_once),
        TEST(of_one_number_the_oldest),
        TEST(beyond_the_room_the_new_one_is_lost),
        TEST(another_size_forgets_what_there_was),
        TEST(without_room_there_is_no_name),
        TEST(what_a_gone_socket_sent_is_nobodys),
        TEST(a_session_has_its_share),
        TEST(a_long_look_costs_slots),
        TEST(a_local_datagram_comes_when_it_is_delivered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
