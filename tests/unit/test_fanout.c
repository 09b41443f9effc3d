/*
 * A group datagram that reaches its local receivers in pieces (udp_send_part): each receiver gets
 * it once, whoever leaves or closes meanwhile, and the books are those of a datagram sent at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/nic_loopback.h"
#include "dataplane/nic_memory.h"
#include "dataplane/stack.h"
#include "dataplane/udp.h"
#include "rings/byteorder.h"

#define GROUP   rs_be32(0xef010101u)
#define PORT    rs_be16(7000)
#define MEMBERS 12u
#define PIECE   5

static struct nic *nic;
static struct stack *stack;
static struct udp_socket sender, members[MEMBERS];
static uint32_t got[MEMBERS];
static bool full[MEMBERS];

/* All pieces of a datagram have what its first one was sent with. */
static const struct udp_control control = {.tos = 9, .tos_mask = 0xff, .ttl = 33, .ttl_set = true};

static bool deliver(void *context, struct udp_socket *socket, const struct udp_datagram *datagram)
{
    (void)context;
    assert_int_equal(datagram->len_bytes, 4);
    assert_memory_equal(datagram->payload, "tick", 4);
    assert_int_equal(datagram->dst_be32, GROUP);
    assert_int_equal(datagram->tos, control.tos);
    assert_int_equal(datagram->ttl, control.ttl);
    got[socket - members]++;
    return !full[socket - members];
}

static void error(void *context, struct udp_socket *socket, enum rs_status status)
{
    (void)context;
    (void)socket;
    fail_msg("error %s", rs_status_name(status));
}

static int make(struct nic *made)
{
    const struct stack_upcalls upcalls = {.deliver = deliver, .error = error};
    struct stack_config config = {.ip_be32 = rs_be32(0x0a000001u),
                                  .prefix_len = 24,
                                  .neighbours_max = 16,
                                  .sockets_max = 64,
                                  .memberships_max = 64,
                                  .arp_reachable_ns = 1000000000u,
                                  .arp_retry_ns = 1000000000u,
                                  .arp_tries = 3,
                                  .igmp_version = 3,
                                  .random_seed = 1};
    nic = made;
    assert_int_equal(stack_create(&config, nic, &upcalls, 1, &stack), RS_OK);
    memset(got, 0, sizeof(got));
    memset(full, 0, sizeof(full));
    udp_socket_init(&sender);
    assert_int_equal(udp_socket_bind(stack, &sender, 0, rs_be16(6000)), RS_OK);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = GROUP};
        udp_socket_init(&members[i]);
        assert_int_equal(udp_socket_bind(stack, &members[i], 0, PORT), RS_OK);
        assert_int_equal(udp_socket_member(stack, &members[i], &join), RS_OK);
    }
    return 0;
}

static int setup_loopback(void **state)
{
    struct nic *made;
    (void)state;
    assert_int_equal(nic_loopback_create(&made), RS_OK);
    return make(made);
}

static int setup_wire(void **state)
{
    const struct nic_memory_config config = {
        .mac = {2, 0, 0, 0, 0, 1}, .mtu_bytes = 1500, .buffers = 256, .queue_frames = 128};
    struct nic *made;
    (void)state;
    assert_int_equal(nic_memory_create(&config, &made), RS_OK);
    return make(made);
}

static int teardown(void **state)
{
    struct counters_sums sums;
    (void)state;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        udp_socket_close(stack, &members[i]);
    }
    udp_socket_close(stack, &sender);
    bool balances = counters_balance(stack_counters(stack), &sums);
    stack_destroy(stack);
    nic->ops->close(nic);
    return balances ? 0 : -1;
}

/* One call with room for PIECE looks. */
static enum rs_status send_piece(struct udp_fanout *fanout)
{
    fanout->looks_left = PIECE;
    fanout->bytes_left = INT64_MAX;
    return udp_send_part(stack, &sender, GROUP, PORT, "tick", 4, &control, fanout);
}

static void expect_got(uint32_t each)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        assert_int_equal(got[i], each);
    }
}

static uint64_t count(enum counter_id id)
{
    return counter_get(stack_counters(stack), id);
}

static void in_pieces_each_gets_it_once(void **state)
{
    (void)state;
    struct udp_fanout fanout = {0};
    assert_int_equal(send_piece(&fanout), RS_WOULD_BLOCK);
    assert_ptr_equal(fanout.sender, &sender);
    assert_int_equal(count(COUNTER_deliveries), PIECE);
    assert_int_equal(send_piece(&fanout), RS_WOULD_BLOCK);
    assert_int_equal(send_piece(&fanout), RS_OK);
    assert_null(fanout.sender);
    expect_got(1);
    assert_int_equal(count(COUNTER_udp_sends), 1);
    assert_int_equal(count(COUNTER_local_delivered), 1);
}

static void bytes_are_a_bound_too(void **state)
{
    (void)state;
    struct udp_fanout fanout = {.looks_left = INT32_MAX, .bytes_left = 4 * 3};
    assert_int_equal(udp_send_part(stack, &sender, GROUP, PORT, "tick", 4, &control, &fanout),
                     RS_WOULD_BLOCK);
    assert_int_equal(count(COUNTER_deliveries), 3);
    fanout.bytes_left = INT64_MAX;
    assert_int_equal(udp_send_part(stack, &sender, GROUP, PORT, "tick", 4, &control, &fanout),
                     RS_OK);
    expect_got(1);
}

/* Whichever member leaves: the others get it once, those who left at most once. */
static void a_member_may_leave_meanwhile(void **state)
{
    (void)state;
    for (uint32_t leaver = 0; leaver < MEMBERS; leaver++) {
        const struct rs_op_member leave = {.action = RS_MEMBER_LEAVE, .group_be32 = GROUP};
        const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = GROUP};
        struct udp_fanout fanout = {0};
        memset(got, 0, sizeof(got));
        assert_int_equal(send_piece(&fanout), RS_WOULD_BLOCK);
        assert_int_equal(udp_socket_member(stack, &members[leaver], &leave), RS_OK);
        while (send_piece(&fanout) == RS_WOULD_BLOCK) {
        }
        for (uint32_t i = 0; i < MEMBERS; i++) {
            assert_true(got[i] == 1 || (i == leaver && got[i] == 0));
        }
        assert_int_equal(udp_socket_member(stack, &members[leaver], &join), RS_OK);
    }
}

static void members_may_all_close_meanwhile(void **state)
{
    (void)state;
    struct udp_fanout fanout = {0};
    assert_int_equal(send_piece(&fanout), RS_WOULD_BLOCK);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        udp_socket_close(stack, &members[i]);
    }
    assert_int_equal(send_piece(&fanout), RS_OK);
    assert_int_equal(count(COUNTER_deliveries), PIECE);
}

static void the_sender_may_close_meanwhile(void **state)
{
    (void)state;
    struct udp_fanout fanout = {0};
    assert_int_equal(send_piece(&fanout), RS_WOULD_BLOCK);
    udp_socket_close(stack, &sender);
    assert_null(fanout.sender);
    assert_int_equal(count(COUNTER_udp_sends), 1);
    assert_int_equal(count(COUNTER_local_delivered), 1);
}

static void another_sender_waits(void **state)
{
    (void)state;
    struct udp_fanout fanout = {0};
    struct udp_socket other;
    udp_socket_init(&other);
    assert_int_equal(udp_socket_bind(stack, &other, 0, rs_be16(6001)), RS_OK);
    assert_int_equal(send_piece(&fanout), RS_WOULD_BLOCK);
    fanout.looks_left = PIECE;
    assert_int_equal(udp_send_part(stack, &other, GROUP, PORT, "tick", 4, &control, &fanout),
                     RS_WOULD_BLOCK);
    assert_int_equal(count(COUNTER_deliveries), PIECE);
    while (send_piece(&fanout) == RS_WOULD_BLOCK) {
    }
    expect_got(1);
    udp_socket_close(stack, &other);
}

static void receivers_without_room_are_counted(void **state)
{
    (void)state;
    struct udp_fanout fanout = {0};
    memset(full, 1, sizeof(full));
    while (send_piece(&fanout) == RS_WOULD_BLOCK) {
    }
    expect_got(1);
    assert_int_equal(count(COUNTER_local_receivers_full), 1);
    assert_int_equal(count(COUNTER_recv_ring_full), MEMBERS);
}

static void one_copy_goes_to_the_wire(void **state)
{
    (void)state;
    uint8_t frame[2048];
    uint32_t flags;
    struct udp_fanout fanout = {0};
    stack_flush(stack);
    while (nic_memory_pop(nic, frame, sizeof(frame), &flags) != 0) { /* IGMP's reports */
    }
    assert_int_equal(send_piece(&fanout), RS_WOULD_BLOCK);
    while (send_piece(&fanout) == RS_WOULD_BLOCK) {
    }
    expect_got(1);
    stack_flush(stack);
    assert_true(nic_memory_pop(nic, frame, sizeof(frame), &flags) != 0);
    assert_int_equal(nic_memory_pop(nic, frame, sizeof(frame), &flags), 0);
    assert_int_equal(count(COUNTER_udp_sends), 1);
    assert_int_equal(count(COUNTER_local_delivered), 0);
}

static void the_sender_may_close_meanwhile_on_the_wire(void **state)
{
    (void)state;
    struct udp_fanout fanout = {0};
    assert_int_equal(send_piece(&fanout), RS_WOULD_BLOCK);
    udp_socket_close(stack, &sender);
    assert_null(fanout.sender);
    assert_int_equal(count(COUNTER_udp_sends), 1);
}

#define LOOPBACK(test) cmocka_unit_test_setup_teardown(test, setup_loopback, teardown)
#define WIRE(test)     cmocka_unit_test_setup_teardown(test, setup_wire, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOPBACK(in_pieces_each_gets_it_once),
        LOOPBACK(bytes_are_a_bound_too),
        LOOPBACK(a_member_may_leave_meanwhile),
        LOOPBACK(members_may_all_close_meanwhile),
        LOOPBACK(the_sender_may_close_meanwhile),
        LOOPBACK(another_sender_waits),
        LOOPBACK(receivers_without_room_are_counted),
        WIRE(one_copy_goes_to_the_wire),
        WIRE(a_member_may_leave_meanwhile),
        WIRE(the_sender_may_close_meanwhile_on_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
