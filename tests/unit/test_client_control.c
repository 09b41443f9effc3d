/*
 * What one datagram says and wants beside its payload, through the client core and the real
 * dataplane on its loopback NIC: control data of received datagrams, sends with control, transmit
 * timestamps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_rig.h"

#define LOCALHOST rs_be32(0x7f000001u)
#define ALIAS     rs_be32(0x7f000005u)
#define GROUP     rs_be32(0xef010101u)
#define WAIT_NS   5000000000ull /* for something that must come */
#define ok(call)  assert_int_equal((call), RS_OK)

static struct client *client;
static struct client_socket *from, *to;
static struct rs_addr from_addr, to_addr;

static struct client_socket *make_bound(uint32_t ip_be32, struct rs_addr *local)
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(ip_be32, 0);
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket));
    ok(client_bind(socket, &any));
    ok(client_local_addr(socket, local));
    return socket;
}

static int setup(void **state)
{
    (void)state;
    rig_start(&rig_defaults);
    client = rig_attach();
    from = make_bound(0, &from_addr);
    to = make_bound(0, &to_addr);
    to_addr.ip.v4_be32 = LOCALHOST;
    ok(client_set_option(to, CLIENT_OPT_RECV_TIMEOUT_MS, WAIT_NS / 1000000));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    client_close(client);
    rig_stop();
    return 0;
}

static enum rs_status send_bytes(uint32_t bytes, const struct client_send_control *control)
{
    static char data[RS_DGRAM_MAX_BYTES];
    const struct client_iov iov = {.base = data, .len_bytes = bytes};
    size_t sent = 0;
    memset(data, 'd', bytes);
    enum rs_status status = control != NULL
                                ? client_send_with(from, &iov, 1, 0, &to_addr, control, &sent)
                                : client_send(from, &iov, 1, 0, &to_addr, &sent);
    assert_int_equal(sent, status == RS_OK ? bytes : 0);
    return status;
}

static struct client_recv_info receive(uint32_t bytes)
{
    static char data[RS_DGRAM_MAX_BYTES];
    const struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    struct client_recv_info info;
    size_t got = 0;
    ok(client_recv(to, &iov, 1, 0, &info, &got));
    assert_int_equal(got, bytes);
    for (uint32_t i = 0; i < bytes; i++) {
        assert_true(data[i] == 'd');
    }
    return info;
}

static enum rs_status take_stamp(uint32_t stamp_id, uint64_t *tx_tsc)
{
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    enum rs_status status = client_tx_stamp(from, stamp_id, tx_tsc);
    while (status == RS_WOULD_BLOCK && os_monotonic_ns() < give_up_ns) {
        os_yield();
        status = client_tx_stamp(from, stamp_id, tx_tsc);
    }
    return status;
}

/* Every length: inside a slot, in the ring, on one line of the receive ring and on many. */
static const uint32_t lengths[] = {0, 1, 40, 41, 64, 1000, 9000, 60000};
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static void nobody_asked(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < LENGTHS; i++) {
        ok(send_bytes(lengths[i], NULL));
        struct client_recv_info info = receive(lengths[i]);
        assert_int_equal(info.flags & RS_DGRAM_EXT, 0);
        assert_int_equal(info.ttl, 128);
        assert_int_equal(info.tos, 0);
    }
}

static void destination_and_interface(void **state)
{
    (void)state;
    ok(client_set_option(to, RS_OPT_RECV_CONTROL, RS_CONTROL_ADDRESS));
    for (uint32_t i = 0; i < LENGTHS; i++) {
        to_addr.ip.v4_be32 = i % 2 == 0 ? LOCALHOST : ALIAS;
        ok(send_bytes(lengths[i], NULL));
        struct client_recv_info info = receive(lengths[i]);
        assert_int_equal(info.flags & RS_DGRAM_EXT, RS_DGRAM_EXT);
        assert_int_equal(info.to_be32, to_addr.ip.v4_be32);
        assert_int_equal(info.interface_be32, 0); /* the loopback NIC has no address, */
        assert_int_equal(client_interface_of(client, info.interface_be32), 1); /* but a number */
    }
    ok(client_set_option(to, RS_OPT_RECV_CONTROL, 0));
    ok(send_bytes(1, NULL));
    assert_int_equal(receive(1).flags & RS_DGRAM_EXT, 0);
    assert_int_equal(client_set_option(to, RS_OPT_RECV_CONTROL, RS_CONTROL_ALL + 1), RS_INVALID);
}

static void a_groups_address(void **state)
{
    (void)state;
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = GROUP};
    ok(client_set_option(to, RS_OPT_RECV_CONTROL, RS_CONTROL_ADDRESS));
    ok(client_member(to, &join));
    to_addr.ip.v4_be32 = GROUP;
    ok(send_bytes(10, NULL));
    struct client_recv_info info = receive(10);
    assert_int_equal(info.flags, RS_DGRAM_EXT | RS_DGRAM_MULTICAST);
    assert_int_equal(info.to_be32, GROUP);
}

/* What was set before bind, and on a dataplane with more queues than one, is so on all of them. */
static void set_before_bind(void **state)
{
    (void)state;
    struct rs_addr any = rs_addr_v4(0, 0);
    ok(client_socket_close(to));
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &to));
    ok(client_set_option(to, RS_OPT_RECV_CONTROL, RS_CONTROL_ADDRESS));
    ok(client_set_option(to, CLIENT_OPT_RECV_TIMEOUT_MS, WAIT_NS / 1000000));
    ok(client_bind(to, &any));
    ok(client_local_addr(to, &to_addr));
    to_addr.ip.v4_be32 = LOCALHOST;
    ok(send_bytes(5, NULL));
    assert_int_equal(receive(5).to_be32, LOCALHOST);
}

/* Half a ring of 128 KiB: with 40 bytes more it would not fit. */
static void the_longest_comes_without(void **state)
{
    (void)state;
    ok(client_set_option(to, RS_OPT_RECV_CONTROL, RS_CONTROL_ADDRESS));
    ok(send_bytes(RS_DGRAM_MAX_BYTES, NULL));
    assert_int_equal(receive(RS_DGRAM_MAX_BYTES).flags & RS_DGRAM_EXT, 0);
    const struct client_send_control control = {.ttl = 1, .ttl_set = true};
    assert_int_equal(send_bytes(RS_DGRAM_MAX_BYTES, &control), RS_MESSAGE_SIZE);
    ok(send_bytes(65504, &control));
    assert_int_equal(receive(65504).ttl, 1);
}

static void ttl_and_tos_of_one(void **state)
{
    (void)state;
    ok(client_set_option(from, RS_OPT_TOS, 0xb8));
    for (uint32_t i = 0; i < LENGTHS; i++) {
        const struct client_send_control control = {
            .ttl = (uint8_t)(i + 1), .ttl_set = true, .tos = 2, .tos_mask = 3};
        ok(send_bytes(lengths[i], &control));
        struct client_recv_info info = receive(lengths[i]);
        assert_int_equal(info.ttl, i + 1);
        assert_int_equal(info.tos, 0xba);
        ok(send_bytes(lengths[i], NULL));
        info = receive(lengths[i]);
        assert_int_equal(info.ttl, 128);
        assert_int_equal(info.tos, 0xb8);
    }
}

/* Those with control do not overtake, nor are they overtaken. */
static void order_is_kept(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 200; i++) {
        const struct client_send_control control = {.ttl = (uint8_t)(i + 1), .ttl_set = true};
        ok(send_bytes(i, i % 3 == 0 ? &control : NULL));
    }
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(receive(i).ttl, i % 3 == 0 ? i + 1 : 128);
    }
}

static void a_named_source(void **state)
{
    (void)state;
    struct client_send_control control = {.src_be32 = ALIAS};
    ok(send_bytes(3, &control));
    struct client_recv_info info = receive(3);
    assert_int_equal(info.from.ip.v4_be32, ALIAS);
    assert_int_equal(info.from.port_be16, from_addr.port_be16);
    control.src_be32 = rs_be32(0x0a000001u); /* not ours: said at once */
    assert_int_equal(send_bytes(3, &control), RS_ADDR_NOT_AVAILABLE);
    uint32_t ip_be32 = 1;
    ok(client_interface_addr(client, 1, &ip_be32));
    assert_int_equal(ip_be32, 0);
    assert_int_equal(client_interface_addr(client, 0, &ip_be32), RS_ADDR_NOT_AVAILABLE);
    assert_int_equal(client_interface_addr(client, 99, &ip_be32), RS_ADDR_NOT_AVAILABLE);
    assert_int_equal(client_interface_of(client, control.src_be32), 0);
}

static void stamps(void **state)
{
    (void)state;
    struct client_send_control control = {.stamped = true};
    uint64_t tx_tsc = 0;
    ok(client_set_option(to, RS_OPT_RECV_CONTROL, RS_CONTROL_STAMP));
    ok(client_set_option(from, RS_OPT_TX_STAMPS, 8));
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t before = os_tsc();
        control.stamp_id = i % 2 == 0 ? i : UINT32_MAX - i;
        ok(send_bytes(lengths[i % LENGTHS], &control));
        ok(take_stamp(control.stamp_id, &tx_tsc));
        uint64_t rx_tsc = receive(lengths[i % LENGTHS]).rx_tsc;
        uint64_t after = os_tsc();
        /* It is sent when its receiver has it. */
        assert_true(before <= rx_tsc && rx_tsc <= tx_tsc && tx_tsc <= after);
        assert_int_equal(client_tx_stamp(from, control.stamp_id, &tx_tsc), RS_WOULD_BLOCK);
    }
}

static void stamps_beyond_the_room_are_lost(void **state)
{
    (void)state;
    uint64_t tx_tsc = 0, first = 0;
    ok(client_set_option(from, RS_OPT_TX_STAMPS, 2));
    for (uint32_t i = 1; i <= 3; i++) {
        const struct client_send_control control = {.stamped = true, .stamp_id = i};
        ok(send_bytes(1, &control));
        (void)receive(1);
    }
    ok(client_ping(client));
    ok(client_tx_stamp(from, 1, &first));
    ok(client_tx_stamp(from, 2, &tx_tsc));
    assert_true(first <= tx_tsc);
    assert_int_equal(client_tx_stamp(from, 3, &tx_tsc), RS_WOULD_BLOCK);
    assert_int_equal(client_set_option(from, RS_OPT_TX_STAMPS, RS_TX_STAMPS_MAX + 1), RS_INVALID);
}

static void stamps_nobody_asked_for(void **state)
{
    (void)state;
    const struct client_send_control control = {.stamped = true, .stamp_id = 1};
    struct client_socket *undecided = NULL, *stream = NULL;
    const struct client_iov iov = {.base = "x", .len_bytes = 1};
    size_t sent;
    uint64_t tx_tsc;
    ok(send_bytes(1, &control));
    (void)receive(1);
    assert_int_equal(client_tx_stamp(from, 1, &tx_tsc), RS_WOULD_BLOCK);
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &undecided));
    assert_int_equal(client_tx_stamp(undecided, 1, &tx_tsc), RS_WOULD_BLOCK);
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &stream));
    assert_int_equal(client_tx_stamp(stream, 1, &tx_tsc), RS_NOT_SUPPORTED);
    assert_int_equal(client_send_with(stream, &iov, 1, 0, NULL, &control, &sent), RS_NOT_SUPPORTED);
    assert_int_equal(client_set_option(stream, RS_OPT_TX_STAMPS, 1), RS_BAD_OPTION);
    assert_int_equal(client_set_option(stream, RS_OPT_RECV_CONTROL, 1), RS_BAD_OPTION);
}

/* A first send binds the socket, with control as without. */
static void an_unbound_socket_sends(void **state)
{
    (void)state;
    const struct client_send_control control = {.ttl = 9, .ttl_set = true};
    ok(client_socket_close(from));
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &from));
    ok(send_bytes(2, &control));
    assert_int_equal(receive(2).ttl, 9);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nobody_asked),
        CASE(destination_and_interface),
        CASE(a_groups_address),
        CASE(set_before_bind),
        CASE(the_longest_comes_without),
        CASE(ttl_and_tos_of_one),
        CASE(order_is_kept),
        CASE(a_named_source),
        CASE(stamps),
        CASE(stamps_beyond_the_room_are_lost),
        CASE(stamps_nobody_asked_for),
        CASE(an_unbound_socket_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
