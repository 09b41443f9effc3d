/*
 * Several queues in one dataplane, end to end, see queues_rig.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/config.h"
#include "dataplane/control.h"
#include "dataplane/dataplane.h"
#include "dataplane/queue.h"
#include "dataplane/stack_internal.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"
#include "provider/client/client_internal.h"
#include "provider/ctl/ctl.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/unit/queues_rig.h"

#define FLOWS        32u
#define PER_FLOW     16u
#define SLEEP_ROUNDS 50u

/* ---- one NIC, two queues
 * ----------------------------------------------------------------------------- */

/* Receives all flows. A NIC that spreads one flow over the queues has lost its order already. */
static void all_flows_arrive(bool in_order)
{
    struct client_socket *socket = queues_bound_to("any:7000");
    uint32_t next[FLOWS] = {0};
    char text[64];
    for (uint32_t i = 0; i < FLOWS * PER_FLOW; i++) {
        (void)snprintf(text, sizeof(text), "%u %u", i / PER_FLOW, i % PER_FLOW);
        queues_push_udp(0, queues_flow_name(i / PER_FLOW), OWN ":7000", text);
    }
    for (uint32_t i = 0; i < FLOWS * PER_FLOW; i++) {
        char *end;
        assert_int_equal(queues_receive(socket, text, sizeof(text), 0), RS_OK);
        unsigned long flow = strtoul(text, &end, 10);
        assert_true(flow < FLOWS);
        assert_true(!in_order || strtoul(end, NULL, 10) == next[flow]);
        next[flow]++;
    }
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        assert_int_equal(next[flow], PER_FLOW);
    }
    assert_int_equal(client_socket_close(socket), RS_OK);
}

static void flows_arrive_on_both_queues(void **state)
{
    (void)state;
    all_flows_arrive(true);
    for (uint32_t i = 0; i < QUEUES; i++) {
        struct nic_stats stats;
        queues_rig.nics[i]->ops->stats(queues_rig.nics[i], &stats);
        assert_true(stats.rx_pkts >= FLOWS * PER_FLOW / 8);
    }
}

static void missteered_frames_go_to_their_queue(void **state)
{
    (void)state;
    all_flows_arrive(false);
    /* Every second one was on the wrong queue; the ledger names the counter with each queue. */
    assert_int_equal(queues_ledger_lines("handed_out"), QUEUES + 1);
}

static void receive_limit_is_for_all_queues_together(void **state)
{
    (void)state;
    enum { SENT = 64, BYTES = 1000, LIMIT = 8192 };
    struct client_socket *socket = queues_bound_to("any:7000");
    uint32_t flows[QUEUES] = {queues_flow_of_queue(0), queues_flow_of_queue(1)};
    char text[BYTES + 1];
    memset(text, 'x', BYTES);
    text[BYTES] = '\0';
    assert_int_equal(client_set_option(socket, RS_OPT_RCVBUF, LIMIT), RS_OK);
    for (uint32_t i = 0; i < SENT; i++) {
        queues_push_udp(0, queues_flow_name(flows[i % QUEUES]), OWN ":7000", text);
    }
    uint32_t received = 0;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    while (client_socket_dropped(socket) < SENT - LIMIT / BYTES - QUEUES) {
        CHECK(os_monotonic_ns() < give_up_ns); /* more was taken than SO_RCVBUF allows */
        os_yield();
    }
    while (received + client_socket_dropped(socket) < SENT) {
        CHECK(os_monotonic_ns() < give_up_ns); /* a datagram neither comes nor is dropped */
        received += queues_receive(socket, text, sizeof(text), CLIENT_MSG_DONTWAIT) == RS_OK;
    }
    /* Each queue may take the one datagram that reaches the limit. */
    assert_true(received >= LIMIT / BYTES - 1 && received <= LIMIT / BYTES + QUEUES);
    assert_int_equal(client_socket_dropped(socket), SENT - received);
}

/* A reader may be ahead of what the other queue knows of a ring's end: between a record's becoming
 * valid and its end being told. Made to last here by moving the head. */
static void a_reader_that_is_ahead_loses_nothing(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    char text[64];
    queues_push_udp(0, queues_flow_name(queues_flow_of_queue(1)), OWN ":7000", "first");
    queues_expect_text(socket, "first");
    atomic_fetch_add_explicit(&socket->shared->recv_head[1], RS_LINE_BYTES, memory_order_relaxed);
    queues_push_udp(0, queues_flow_name(queues_flow_of_queue(0)), OWN ":7000", "second");
    assert_int_equal(queues_receive(socket, text, sizeof(text), 0), RS_OK);
    assert_int_equal(client_socket_dropped(socket), 0);
}

struct sleeper {
    struct client_socket *socket;
    _Atomic uint32_t woken; /* partner: the test's thread */
};

static void sleeper_run(void *arg)
{
    struct sleeper *sleeper = arg;
    char text[64];
    for (uint32_t i = 0; i < SLEEP_ROUNDS; i++) {
        CHECK(queues_receive(sleeper->socket, text, sizeof(text), 0) == RS_OK);
        atomic_store_explicit(&sleeper->woken, i + 1, memory_order_release);
    }
}

static void any_queue_wakes_a_sleeper(void **state)
{
    (void)state;
    struct sleeper sleeper = {.socket = queues_bound_to("any:7000")};
    struct os_thread thread;
    uint32_t flows[QUEUES] = {queues_flow_of_queue(0), queues_flow_of_queue(1)};
    CHECK(os_thread_start(&thread, sleeper_run, &sleeper, "sleeper") == RS_OK);
    for (uint32_t i = 0; i < SLEEP_ROUNDS; i++) {
        uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
        queues_push_udp(0, queues_flow_name(flows[i % QUEUES]), OWN ":7000", "wake up");
        while (atomic_load_explicit(&sleeper.woken, memory_order_acquire) != i + 1) {
            CHECK(os_monotonic_ns() < give_up_ns); /* the sleeper was not woken */
            os_yield();
        }
    }
    os_thread_join(&thread);
}

static void poll_sees_every_queue(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    for (uint32_t i = 0; i < 2 * QUEUES; i++) {
        struct client_poll item = {.socket = socket, .want = RS_LEVEL_READABLE};
        uint32_t ready = 0;
        queues_push_udp(0, queues_flow_name(queues_flow_of_queue(i % QUEUES)), OWN ":7000", "look");
        assert_int_equal(client_poll(queues_rig.client, &item, 1, WAIT_NS, &ready), RS_OK);
        assert_int_equal(ready, 1);
        queues_expect_text(socket, "look");
    }
}

/* An error about what OWN:7000 sent, from a router whose errors come to this queue. */
static void push_error(uint32_t queue_idx, uint8_t protocol, const char *quoted_dst)
{
    char router[32];
    for (uint32_t host = 3; host < 200; host++) {
        (void)snprintf(router, sizeof(router), "10.0.0.%u", host);
        struct frame frame = frame_icmp_error(router, ICMP_UNREACHABLE, ICMP_UNREACHABLE_PORT,
                                              OWN ":7000", quoted_dst);
        frame.data[ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + 9] = protocol;
        frame_fix_payload(&frame);
        if (steer_frame(queues_rig.nics[0]->steering, frame.data, frame.len_bytes) == queue_idx) {
            queues_push(0, &frame);
            return;
        }
    }
    CHECK(!"no router for this queue");
}

static void icmp_errors_find_the_socket_from_any_queue(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    for (uint32_t i = 0; i < QUEUES; i++) {
        char text[64];
        queues_send_text(socket, PEER ":9", "nobody there");
        (void)queues_pop(0, IPV4_PROTOCOL_UDP);
        push_error(i, IPV4_PROTOCOL_UDP, PEER ":9");
        assert_int_equal(queues_receive(socket, text, sizeof(text), 0), RS_PORT_UNREACHABLE);
    }
}

/* A connection is on one queue; that there is none is found out there, not where the error came. */
static void icmp_errors_about_tcp_go_to_the_queue_of_the_flow(void **state)
{
    (void)state;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    for (uint32_t i = 0; i < QUEUES; i++) {
        push_error(i, IPV4_PROTOCOL_TCP, queues_flow_name(queues_flow_of_queue(QUEUES - 1 - i)));
    }
    while (queues_ledger_lines("icmp_no_socket") != QUEUES + 1) {
        CHECK(os_monotonic_ns() < give_up_ns); /* a queue was not given its error */
        os_yield();
    }
    assert_int_equal(queues_ledger_lines("handed_out"), QUEUES + 1);
}

static void connect_holds_on_every_queue(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    for (uint32_t i = 0; i < QUEUES; i++) {
        uint32_t flow = queues_flow_of_queue(i);
        struct rs_addr peer = rs_addr_v4(ip_of(PEER), port_of(queues_flow_name(flow)));
        assert_int_equal(client_connect(socket, &peer), RS_OK);
        queues_push_udp(0, queues_flow_name(queues_flow_of_queue(1 - i)), OWN ":7000",
                        "a stranger");
        queues_push_udp(0, queues_flow_name(flow), OWN ":7000", "the peer");
        queues_expect_text(socket, "the peer");
        queues_expect_quiet(socket);
    }
    struct rs_addr nobody = {.family = RS_FAMILY_NONE};
    assert_int_equal(client_connect(socket, &nobody), RS_OK);
    for (uint32_t i = 0; i < QUEUES; i++) {
        queues_push_udp(0, queues_flow_name(queues_flow_of_queue(i)), OWN ":7000", "anybody");
        queues_expect_text(socket, "anybody");
    }
}

static struct rs_op_member member(uint32_t action, const char *interface)
{
    return (struct rs_op_member){.action = action,
                                 .group_be32 = ip_of(GROUP),
                                 .interface_be32 = interface != NULL ? ip_of(interface) : 0};
}

static void memberships_hold_on_every_queue(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    struct rs_op_member join = member(RS_MEMBER_JOIN, NULL);
    struct rs_op_member leave = member(RS_MEMBER_LEAVE, NULL);
    assert_int_equal(client_member(socket, &join), RS_OK);
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        queues_push_udp(0, queues_flow_name(flow), GROUP ":7000", "quote");
        queues_expect_text(socket, "quote");
    }
    assert_int_equal(client_member(socket, &leave), RS_OK);
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        queues_push_udp(0, queues_flow_name(flow), GROUP ":7000", "too late");
    }
    queues_expect_quiet(socket);
}

static void a_closed_socket_is_gone_everywhere(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 20; round++) {
        struct client_socket *socket = queues_bound_to("any:7000");
        for (uint32_t i = 0; i < QUEUES; i++) {
            queues_push_udp(0, queues_flow_name(queues_flow_of_queue(i)), OWN ":7000",
                            "still here");
            queues_expect_text(socket, "still here");
        }
        assert_int_equal(client_socket_close(socket), RS_OK);
        queues_push_udp(0, queues_flow_name(queues_flow_of_queue(round % QUEUES)), OWN ":7000",
                        "nobody");
    }
    struct client_socket *socket = queues_bound_to("any:7000");
    queues_expect_quiet(socket);
}

/* ---- two NICs
 * ---------------------------------------------------------------------------------------- */

static void a_datagram_leaves_by_the_nic_of_its_route(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    queues_send_text(socket, PEER ":5000", "to a");
    struct frame frame = queues_pop(0, IPV4_PROTOCOL_UDP);
    assert_int_equal(queues_frame_source(&frame), ip_of(OWN));
    for (uint32_t i = 0; i < 100; i++) { /* in the order they were sent */
        char text[32];
        (void)snprintf(text, sizeof(text), "to b %u", i);
        queues_send_text(socket, NIC_B_PEER ":5000", text);
        frame = queues_pop(1, IPV4_PROTOCOL_UDP);
        assert_int_equal(queues_frame_source(&frame), ip_of(NIC_B));
        assert_memory_equal(frame.data + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES +
                                UDP_HEADER_BYTES,
                            text, strlen(text));
    }
    queues_push_udp(1, NIC_B_PEER ":5000", NIC_B ":7000", "from b");
    queues_expect_text(socket, "from b");
    queues_push_udp(0, PEER ":5000", OWN ":7000", "from a");
    queues_expect_text(socket, "from a");
}

static void connect_takes_the_address_of_the_route(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    struct rs_addr peer = rs_addr_v4(ip_of(NIC_B_PEER), port_of(NIC_B_PEER ":5000"));
    struct rs_addr local;
    assert_int_equal(client_connect(socket, &peer), RS_OK);
    assert_int_equal(client_local_addr(socket, &local), RS_OK);
    assert_int_equal(local.ip.v4_be32, ip_of(NIC_B));
    queues_push_udp(1, NIC_B_PEER ":5000", NIC_B ":7000", "answer");
    queues_expect_text(socket, "answer");
    queues_push_udp(1, NIC_B_PEER ":5001", NIC_B ":7000", "a stranger");
    queues_push_udp(0, PEER ":5000", OWN ":7000", "another one");
    queues_expect_quiet(socket);
    peer = rs_addr_v4(ip_of(PEER), port_of(PEER ":5000"));
    assert_int_equal(client_connect(socket, &peer), RS_OK);
    assert_int_equal(client_local_addr(socket, &local), RS_OK);
    assert_int_equal(local.ip.v4_be32, ip_of(OWN));
    queues_push_udp(0, PEER ":5000", OWN ":7000", "answer");
    queues_expect_text(socket, "answer");
}

static void an_address_stays_with_its_nic(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to(NIC_B ":7000");
    queues_send_text(socket, NIC_B_PEER ":5000", "from b");
    struct frame frame = queues_pop(1, IPV4_PROTOCOL_UDP);
    assert_int_equal(queues_frame_source(&frame), ip_of(NIC_B));
    queues_push_udp(0, PEER ":5000", OWN ":7000", "not to b");
    queues_expect_quiet(socket);
}

/* The source decides by which NIC a datagram leaves; what else it wants goes along, and the time at
 * which it was sent comes back. */
static void what_one_datagram_wants_holds_on_the_other_nic(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    const struct rs_addr to = rs_addr_v4(ip_of(NIC_B_PEER), port_of(NIC_B_PEER ":5000"));
    const struct client_iov iov = {.base = "x", .len_bytes = 1};
    struct client_send_control control = {.src_be32 = ip_of(NIC_B),
                                          .ttl = 9,
                                          .ttl_set = true,
                                          .tos = 2,
                                          .tos_mask = 3,
                                          .stamped = true,
                                          .stamp_id = 77};
    size_t sent;
    uint64_t tx_tsc = 0, before = os_tsc();
    assert_int_equal(client_set_option(socket, RS_OPT_TX_STAMPS, 4), RS_OK);
    assert_int_equal(client_send_with(socket, &iov, 1, 0, &to, &control, &sent), RS_OK);
    struct frame frame = queues_pop(1, IPV4_PROTOCOL_UDP);
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame.data + ETHERNET_HEADER_BYTES);
    assert_int_equal(ip->src_be32, ip_of(NIC_B));
    assert_int_equal(ip->ttl, 9);
    assert_int_equal(ip->tos, 2);
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    while (client_tx_stamp(socket, 77, &tx_tsc) == RS_WOULD_BLOCK) {
        CHECK(os_monotonic_ns() < give_up_ns); /* the other queue told nothing */
        os_yield();
    }
    assert_true(before <= tx_tsc && tx_tsc <= os_tsc());
    /* The other NIC's address cannot go out by this one's wire. */
    const struct rs_addr group = rs_addr_v4(ip_of(GROUP), port_of(GROUP ":5000"));
    assert_int_equal(client_set_option(socket, RS_OPT_MCAST_IF, ip_of(OWN)), RS_OK);
    assert_int_equal(client_send_with(socket, &iov, 1, 0, &group, &control, &sent), RS_OK);
    frame = queues_pop(1, IPV4_PROTOCOL_UDP); /* so the source has the word */
    assert_int_equal(queues_frame_source(&frame), ip_of(NIC_B));
}

/* Where both NICs have a gateway, and where but one has a way. */
static void a_datagram_leaves_by_the_interface_it_names(void **state)
{
    (void)state;
    static const char beyond[] = "198.51.100.7:5000", all[] = "255.255.255.255:5000";
    static const struct {
        const char *bound, *to;
        uint32_t interface_idx;
        const char *from;
    } cases[] = {
        {"any:7000", beyond, 1, OWN},
        {"any:7000", beyond, 2, NIC_B_MORE}, /* its gateway's network, not its primary address */
        {"any:7000", NIC_B_PEER ":5000", 2, NIC_B},
        {"any:7000", GROUP ":5000", 1, OWN},
        {"any:7000", GROUP ":5000", 2, NIC_B},
        {"any:7000", all, 1, OWN},
        {"any:7000", all, 2, NIC_B},
        {OWN ":7000", beyond, 2, NIC_B_MORE},
        {OWN ":7000", all, 2, NIC_B},
        {NIC_B ":7000", beyond, 2, NIC_B}, /* what it is bound to */
        {NIC_B ":7000", beyond, 1, OWN},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client_socket *socket = queues_bound_to(cases[i].bound);
        const struct rs_addr to = rs_addr_v4(ip_of(cases[i].to), port_of(cases[i].to));
        const struct client_iov iov = {.base = "x", .len_bytes = 1};
        const struct client_send_control control = {.interface_idx = cases[i].interface_idx};
        size_t sent;
        assert_int_equal(client_set_option(socket, RS_OPT_BROADCAST, 1), RS_OK);
        assert_int_equal(client_send_with(socket, &iov, 1, 0, &to, &control, &sent), RS_OK);
        struct frame frame = queues_pop(cases[i].interface_idx - 1, IPV4_PROTOCOL_UDP);
        if (queues_frame_source(&frame) != ip_of(cases[i].from)) {
            fail_msg("case %u: source %08x", i, rs_be32(queues_frame_source(&frame)));
        }
        assert_int_equal(client_socket_close(socket), RS_OK);
    }
}

static void an_interface_without_a_way_sends_nothing(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    const struct rs_addr to = rs_addr_v4(ip_of("198.51.100.7:5000"), port_of("any:5000"));
    const struct client_iov iov = {.base = "x", .len_bytes = 1};
    struct client_send_control control = {.interface_idx = 2};
    size_t sent;
    char text[8];
    assert_int_equal(client_send_with(socket, &iov, 1, 0, &to, &control, &sent), RS_OK);
    assert_int_equal(queues_receive(socket, text, sizeof(text), 0), RS_NET_UNREACHABLE);
    control.interface_idx = QUEUES + 1;
    assert_int_equal(client_send_with(socket, &iov, 1, 0, &to, &control, &sent),
                     RS_ADDR_NOT_AVAILABLE);
}

static void expect_their_nic_is_told(struct client_socket *socket)
{
    static const char *const own[QUEUES] = {OWN, NIC_B}, *const peers[QUEUES] = {PEER, NIC_B_PEER};
    for (uint32_t i = 0; i < QUEUES; i++) {
        char text[64], src[64], dst[64];
        const struct client_iov iov = {.base = text, .len_bytes = sizeof(text)};
        struct client_recv_info info;
        size_t got;
        (void)snprintf(src, sizeof(src), "%s:5000", peers[i]);
        (void)snprintf(dst, sizeof(dst), "%s:7000", own[i]);
        queues_push_udp(i, src, dst, "hello");
        assert_int_equal(client_recv(socket, &iov, 1, 0, &info, &got), RS_OK);
        assert_int_equal(info.to_be32, ip_of(own[i]));
        assert_int_equal(info.interface_be32, ip_of(own[i]));
        assert_int_equal(client_interface_of(queues_rig.client, info.interface_be32), i + 1);
        assert_true(info.rx_tsc <= os_tsc());
    }
    assert_int_equal(client_socket_close(socket), RS_OK);
}

static void received_datagrams_tell_their_nic(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    assert_int_equal(client_set_option(socket, RS_OPT_RECV_CONTROL, RS_CONTROL_ADDRESS), RS_OK);
    expect_their_nic_is_told(socket);
    const struct rs_addr any = rs_addr_v4(0, port_of("any:7000"));
    assert_int_equal(
        client_socket_create(queues_rig.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket), RS_OK);
    assert_int_equal(client_set_option(socket, RS_OPT_RECV_CONTROL, RS_CONTROL_ADDRESS), RS_OK);
    assert_int_equal(client_bind(socket, &any), RS_OK);
    expect_their_nic_is_told(socket);
}

static void memberships_are_of_one_nic(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    struct rs_op_member join_b = member(RS_MEMBER_JOIN, NIC_B);
    assert_int_equal(client_member(socket, &join_b), RS_OK);
    queues_push_udp(0, PEER ":5000", GROUP ":7000", "on a");
    queues_push_udp(1, NIC_B_PEER ":5000", GROUP ":7000", "on b");
    queues_expect_text(socket, "on b");
    queues_expect_quiet(socket);
    assert_int_equal(client_set_option(socket, RS_OPT_MCAST_IF, ip_of(NIC_B)), RS_OK);
    queues_send_text(socket, GROUP ":6000", "by b");
    struct frame frame = queues_pop(1, IPV4_PROTOCOL_UDP);
    assert_int_equal(queues_frame_source(&frame), ip_of(NIC_B));
}

static void own_addresses_never_leave(void **state)
{
    (void)state;
    struct client_socket *a = queues_bound_to(OWN ":7000");
    struct client_socket *b = queues_bound_to(NIC_B ":7001");
    queues_send_text(a, NIC_B ":7001", "across");
    queues_expect_text(b, "across");
    queues_send_text(b, OWN ":7000", "and back");
    queues_expect_text(a, "and back");
}

/* ---- streams ----------------------------------------------------------------------------------
 */

static struct client_socket *stream(const char *bound, const char *to, enum rs_status outcome)
{
    struct client_socket *socket = NULL;
    struct rs_addr peer = rs_addr_v4(ip_of(to), port_of(to));
    CHECK(client_socket_create(queues_rig.client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket) ==
          RS_OK);
    assert_int_equal(client_set_option(socket, CLIENT_OPT_NONBLOCKING, 1), RS_OK);
    if (bound != NULL) {
        struct rs_addr local = rs_addr_v4(ip_of(bound), port_of(bound));
        assert_int_equal(client_bind(socket, &local), RS_OK);
    }
    assert_int_equal(client_connect(socket, &peer), outcome);
    return socket;
}

static void a_connection_leaves_by_the_nic_of_its_route(void **state)
{
    (void)state;
    struct client_socket *sockets[] = {stream(NULL, NIC_B_PEER ":5000", RS_WOULD_BLOCK),
                                       stream(NULL, PEER ":5000", RS_WOULD_BLOCK),
                                       stream(NIC_B ":7000", NIC_B_PEER ":5000", RS_WOULD_BLOCK),
                                       stream(NULL, "192.0.2.1:5000", RS_NET_UNREACHABLE)};
    struct frame frame = queues_pop(1, IPV4_PROTOCOL_TCP);
    assert_int_equal(queues_frame_source(&frame), ip_of(NIC_B));
    frame = queues_pop(0, IPV4_PROTOCOL_TCP);
    assert_int_equal(queues_frame_source(&frame), ip_of(OWN));
    frame = queues_pop(1, IPV4_PROTOCOL_TCP);
    assert_int_equal(queues_frame_source(&frame), ip_of(NIC_B));
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(client_socket_close(sockets[i]), RS_OK);
    }
}

/* Its answers would come to the other queue, which knows nothing of it. */
static void a_bound_port_of_another_queue_does_not_connect(void **state)
{
    (void)state;
    uint32_t fails = 0;
    for (uint32_t port = 7000; port < 7032; port++) {
        char bound[32];
        (void)snprintf(bound, sizeof(bound), OWN ":%u", port);
        struct client_socket *socket = NULL;
        struct rs_addr local = rs_addr_v4(ip_of(OWN), port_of(bound));
        struct rs_addr peer = rs_addr_v4(ip_of(PEER), port_of(PEER ":5000"));
        CHECK(client_socket_create(queues_rig.client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket) ==
              RS_OK);
        assert_int_equal(client_set_option(socket, CLIENT_OPT_NONBLOCKING, 1), RS_OK);
        assert_int_equal(client_bind(socket, &local), RS_OK);
        uint32_t queue_idx = steer_flow(queues_rig.nics[0]->steering, peer.ip.v4_be32,
                                        local.ip.v4_be32, peer.port_be16, local.port_be16);
        enum rs_status status = client_connect(socket, &peer);
        assert_int_equal(status, queue_idx == socket->home_queue_idx ? RS_WOULD_BLOCK
                                                                     : RS_ADDR_NOT_AVAILABLE);
        fails += status != RS_WOULD_BLOCK;
        assert_int_equal(client_socket_close(socket), RS_OK);
    }
    assert_in_range(fails, 1, 31);
    assert_int_equal(client_socket_close(stream(NULL, PEER ":5000", RS_WOULD_BLOCK)), RS_OK);
}

#define STEERED(test)    cmocka_unit_test_setup_teardown(test, queues_start_steered, queues_stop)
#define MISSTEERED(test) cmocka_unit_test_setup_teardown(test, queues_start_missteered, queues_stop)
#define TWO_NICS(test)   cmocka_unit_test_setup_teardown(test, queues_start_two_nics, queues_stop)

/* ---- reports
 * ---------------------------------------------------------------------------------------- */

/* A SYN cookie that one queue made, another one must know; and nobody else may guess it. */
static void queues_share_a_random_secret(void **state)
{
    (void)state;
    static const uint8_t zero[16];
    static uint8_t before[16];
    struct queue *const *queues = dataplane_control(queues_rig.dataplane)->queues;
    const uint8_t *secret = queues[0]->stack->tcp.config.secret; /* constant since the start */
    for (uint32_t i = 1; i < QUEUES; i++) {
        assert_memory_equal(queues[i]->stack->tcp.config.secret, secret, sizeof(before));
    }
    assert_memory_not_equal(secret, zero, sizeof(before));
    assert_memory_not_equal(secret, before, sizeof(before)); /* of the dataplane before this one */
    memcpy(before, secret, sizeof(before));
}

/* As if there were connections on queue 1 (rig_pretend_tcp). */
static void reports_have_tcps_levels(void **state)
{
    (void)state;
    struct rs_report_queue queue;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    do {
        struct ctl_report report;
        CHECK(os_monotonic_ns() < give_up_ns); /* no heartbeat has told the levels */
        CHECK(ctl_fetch(queues_rig.configs[0].instance, &report) == RS_OK);
        rs_report_queue_get(&report.view, 0, &queue);
        assert_int_equal(queue.tcp_connections, 0);
        rs_report_queue_get(&report.view, 1, &queue);
        ctl_report_free(&report);
    } while (queue.tcp_connections == 0);
    assert_int_equal(queue.tcp_connections, 3);
    assert_int_equal(queue.tcp_half_open, 2);
    assert_int_equal(queue.tcp_time_waits, 1);
    assert_int_equal(queue.tcp_connections_max, 4096);
    assert_int_equal(queue.tcp_half_open_max, 1024);
    assert_int_equal(queue.tcp_time_waits_max, 16384);
}

/* The only socket there is, and the first queue, of a fresh report. */
static struct rs_report_socket reported(struct rs_report_queue *queue)
{
    struct ctl_report report;
    struct rs_report_socket socket;
    CHECK(ctl_fetch(queues_rig.configs[0].instance, &report) == RS_OK);
    assert_int_equal(rs_report_count(&report.view, RS_REPORT_QUEUES), QUEUES);
    assert_int_equal(rs_report_count(&report.view, RS_REPORT_SOCKETS), 1);
    rs_report_socket_get(&report.view, 0, &socket);
    rs_report_queue_get(&report.view, socket.home_queue_idx, queue);
    ctl_report_free(&report);
    return socket;
}

static void reports_tell_the_queues_apart(void **state)
{
    (void)state;
    enum { RECORD_BYTES = 64 };
    struct client_socket *socket = queues_bound_to("any:7000");
    struct rs_report_socket seen;
    struct rs_report_queue queue;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    for (uint32_t i = 0; i < 5; i++) {
        queues_push_udp(0, queues_flow_name(queues_flow_of_queue(i < 3 ? 0 : 1)), OWN ":7000", "x");
    }
    do {
        CHECK(os_monotonic_ns() < give_up_ns); /* the datagrams are not in the report */
        seen = reported(&queue);
    } while (seen.recv_bytes[0] != 3 * RECORD_BYTES || seen.recv_bytes[1] != 2 * RECORD_BYTES);
    assert_int_equal(seen.queue_mask, 3);
    assert_int_equal(queue.nic_queue_count, QUEUES);
    assert_int_equal(queue.steering, RS_REPORT_STEER_NIC);
    for (uint32_t i = 0; i < 5; i++) {
        queues_expect_text(socket, "x");
    }
    seen = reported(&queue);
    assert_int_equal(seen.recv_bytes[0] + seen.recv_bytes[1], 0);
    assert_int_equal(client_socket_close(socket), RS_OK);
}

/* The link is down: a program that sent more than its NIC takes can still close, and end. */
static void a_stuck_nic_holds_no_program_up(void **state)
{
    (void)state;
    struct client_socket *socket = queues_bound_to("any:7000");
    for (uint32_t i = 0; i < QUEUES; i++) {
        nic_memory_limit_tx(queues_rig.nics[i], 0);
    }
    for (uint32_t i = 0; i < 600; i++) { /* in slots and in the send ring */
        queues_send_text(socket, PEER ":9000",
                         i % 2 == 0 ? "short" : "too long to go inside of a slot...");
    }
    uint64_t begin_ns = os_monotonic_ns();
    assert_int_equal(client_socket_close(socket), RS_OK);
    assert_true(os_monotonic_ns() - begin_ns < WAIT_NS);
}

static void what_the_nic_does_not_take_is_unsent(void **state)
{
    (void)state;
    enum { SENT = 600, RECORD_BYTES = 128 };
    static const char text[] = "too long to go inside a slot, so it is in the send ring";
    struct client_socket *socket = queues_bound_to("any:7000");
    struct rs_report_socket seen;
    struct rs_report_queue queue;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    for (uint32_t i = 0; i < QUEUES; i++) {
        nic_memory_limit_tx(queues_rig.nics[i], 0);
    }
    for (uint32_t i = 0; i < SENT; i++) {
        queues_send_text(socket, PEER ":9000", text);
    }
    do {
        CHECK(os_monotonic_ns() < give_up_ns); /* nothing is reported as unsent */
        seen = reported(&queue);
    } while (seen.send_wait_bytes < (SENT - STACK_TX_HIGH_WATER_PKTS) * RECORD_BYTES ||
             queue.buffers_held < STACK_TX_HIGH_WATER_PKTS);
    assert_true(seen.send_wait_bytes <= seen.send_ring_bytes);
    assert_int_equal(seen.send_wait_bytes % RECORD_BYTES, 0);
    assert_true(queue.buffers_held <= SENT);
    assert_int_equal(queue.buffers, 4096);
    for (uint32_t i = 0; i < QUEUES; i++) {
        nic_memory_limit_tx(queues_rig.nics[i], UINT32_MAX);
    }
    for (uint32_t i = 0; i < SENT; i++) {
        (void)queues_pop(0, IPV4_PROTOCOL_UDP);
    }
    do {
        CHECK(os_monotonic_ns() < give_up_ns + WAIT_NS); /* all has left, and is still unsent */
        seen = reported(&queue);
    } while (seen.send_wait_bytes != 0 || queue.buffers_held != 0);
    assert_int_equal(client_socket_close(socket), RS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STEERED(flows_arrive_on_both_queues),
        MISSTEERED(missteered_frames_go_to_their_queue),
        STEERED(receive_limit_is_for_all_queues_together),
        STEERED(a_reader_that_is_ahead_loses_nothing),
        STEERED(any_queue_wakes_a_sleeper),
        STEERED(poll_sees_every_queue),
        STEERED(icmp_errors_find_the_socket_from_any_queue),
        STEERED(icmp_errors_about_tcp_go_to_the_queue_of_the_flow),
        STEERED(connect_holds_on_every_queue),
        STEERED(memberships_hold_on_every_queue),
        STEERED(a_closed_socket_is_gone_everywhere),
        STEERED(reports_tell_the_queues_apart),
        STEERED(reports_have_tcps_levels),
        STEERED(queues_share_a_random_secret),
        STEERED(what_the_nic_does_not_take_is_unsent),
        STEERED(a_stuck_nic_holds_no_program_up),
        TWO_NICS(a_datagram_leaves_by_the_nic_of_its_route),
        TWO_NICS(connect_takes_the_address_of_the_route),
        TWO_NICS(an_address_stays_with_its_nic),
        TWO_NICS(what_one_datagram_wants_holds_on_the_other_nic),
        cmocka_unit_test_setup_teardown(a_datagram_leaves_by_the_interface_it_names,
                                        queues_start_two_gateways, queues_stop),
        TWO_NICS(an_interface_without_a_way_sends_nothing),
        TWO_NICS(received_datagrams_tell_their_nic),
        TWO_NICS(memberships_are_of_one_nic),
        TWO_NICS(own_addresses_never_leave),
        TWO_NICS(a_connection_leaves_by_the_nic_of_its_route),
        STEERED(a_bound_port_of_another_queue_does_not_connect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
