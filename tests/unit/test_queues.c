/*
 * Several queues in one dataplane, end to end: the real control thread and queue threads of this
 * process on in-memory NICs, a client over the real control connection. The test plays the other
 * hosts: it pushes frames and pops what was sent. Frames are those of the packet scripts.
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
#include "tests/scenario/script.h"
#include "tests/support/check.h"

#define QUEUES       2u
#define WAIT_NS      5000000000ull /* for what comes at once on a machine that is not busy */
#define FLOWS        32u
#define PER_FLOW     16u
#define NIC_B        "10.1.0.1"
#define NIC_B_PEER   "10.1.0.2"
#define SLEEP_ROUNDS 50u

static struct {
    struct queue_config configs[QUEUES];
    struct nic *nics[QUEUES];
    struct dataplane *dataplane;
    struct os_event stop;
    struct os_thread thread;
    struct client *client;
} rig;

/* ---- rig
 * ------------------------------------------------------------------------------------------- */

static void rig_run(void *arg)
{
    (void)arg;
    CHECK(dataplane_run(rig.dataplane, &rig.stop) == RS_OK);
}

/* The device is never opened: it says which files are about one NIC. */
static void rig_load_config(uint32_t idx, const char *device, uint32_t queue_idx,
                            const char *subnet)
{
    char file[64];
    (void)snprintf(file, sizeof(file), "queues-%u.conf", os_process_id());
    FILE *out = fopen(file, "w");
    CHECK(out != NULL);
    (void)fprintf(out,
                  "[nic]\ndevice = %s\nqueue = %u\n[queue]\nidle = yield\n[ip]\naddress = %s.1/24\n"
                  "[neighbour 1]\naddress = %s.2\nmac = 02:00:0a:%02x:00:02\n"
                  "[instance]\nname = queues-%u\nspin_us = 0\nclient_idle = yield\n"
                  "[log]\nlevel = error\n",
                  device, queue_idx, subnet, subnet, (unsigned)strtoul(subnet + 3, NULL, 10),
                  os_process_id());
    CHECK(fclose(out) == 0);
    CHECK(config_load(file, &rig.configs[idx], stderr) == RS_OK);
    CHECK(remove(file) == 0);
}

/* Levels for a report; the queues do not run yet. */
static void rig_pretend_tcp(void)
{
    struct tcp_stack *tcp = &dataplane_control(rig.dataplane)->queues[1]->stack->tcp;
    tcp->conn_count = 3;
    tcp->request_count = 2;
    tcp->time_wait_count = 1;
}

static void rig_start(void)
{
    const struct client_config config = {
        .instance = rig.configs[0].instance, .spin_us = -1, .yield_in_spin = -1};
    CHECK(config_check_set(rig.configs, QUEUES, stderr) == RS_OK);
    CHECK(os_event_create(&rig.stop) == RS_OK);
    CHECK(dataplane_create(rig.configs, rig.nics, QUEUES, &rig.dataplane) == RS_OK);
    rig_pretend_tcp();
    CHECK(os_thread_start(&rig.thread, rig_run, NULL, "rig-dataplane") == RS_OK);
    CHECK(client_open(&config, &rig.client) == RS_OK);
}

static struct nic_memory_config rig_nic(const char *ip, enum steer_mode steering)
{
    struct nic_memory_config config = {.mtu_bytes = 1500,
                                       .buffers = 4096,
                                       .queue_frames = 2048,
                                       .steering = steering,
                                       .threads = true};
    mac_of(config.mac, ip);
    return config;
}

static int start_one_nic(enum steer_mode steering)
{
    struct nic_memory_config config = rig_nic(OWN, steering);
    for (uint32_t i = 0; i < QUEUES; i++) {
        rig_load_config(i, "net_null0", i, "10.0.0");
    }
    CHECK(nic_memory_create_queues(&config, QUEUES, rig.nics) == RS_OK);
    rig_start();
    return 0;
}

static int start_steered(void **state)
{
    (void)state;
    return start_one_nic(STEER_NIC);
}

static int start_missteered(void **state)
{
    (void)state;
    return start_one_nic(STEER_SOFTWARE);
}

static int start_two_nics(void **state)
{
    (void)state;
    struct nic_memory_config a = rig_nic(OWN, STEER_ONE_QUEUE);
    struct nic_memory_config b = rig_nic(NIC_B, STEER_ONE_QUEUE);
    rig_load_config(0, "net_null0", 0, "10.0.0");
    rig_load_config(1, "net_null1", 0, "10.1.0");
    CHECK(nic_memory_create(&a, &rig.nics[0]) == RS_OK);
    CHECK(nic_memory_create(&b, &rig.nics[1]) == RS_OK);
    rig_start();
    return 0;
}

/* How many lines of the ledger have this text: one for each queue, one for the sum. */
static uint32_t ledger_lines(const char *text)
{
    char line[256];
    uint32_t count = 0;
    FILE *books = tmpfile();
    CHECK(books != NULL);
    (void)dataplane_ledger(rig.dataplane, books);
    rewind(books);
    while (fgets(line, sizeof(line), books) != NULL) {
        count += strstr(line, text) != NULL;
    }
    CHECK(fclose(books) == 0);
    return count;
}

static int stop(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < QUEUES; i++) { /* a test that failed half-way */
        nic_memory_limit_tx(rig.nics[i], UINT32_MAX);
    }
    client_close(rig.client);
    os_event_signal(&rig.stop);
    os_thread_join(&rig.thread);
    /* What a test makes the queues drop is no fault, but it must be in the books. */
    bool balances = ledger_lines("balances: yes") == QUEUES + 1;
    if (!balances) {
        (void)dataplane_ledger(rig.dataplane, stderr);
    }
    dataplane_destroy(rig.dataplane);
    os_event_destroy(&rig.stop);
    return balances ? 0 : -1;
}

/* ---- hosts
 * ------------------------------------------------------------------------------------------ */

static void push(uint32_t nic_idx, const struct frame *frame)
{
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    while (!nic_memory_push(rig.nics[nic_idx], frame->data, frame->len_bytes, frame->flags)) {
        CHECK(os_monotonic_ns() < give_up_ns); /* the queues take no frames */
        os_yield();
    }
}

static void push_udp(uint32_t nic_idx, const char *src, const char *dst, const char *text)
{
    struct frame frame = frame_udp(src, dst, text);
    push(nic_idx, &frame);
}

/* "10.0.0.2:PORT" for flow number `flow`. */
static const char *flow_name(uint32_t flow)
{
    static char name[32];
    (void)snprintf(name, sizeof(name), PEER ":%u", 5000 + flow);
    return name;
}

/* The number of a flow to OWN:7000 that belongs to this queue. */
static uint32_t flow_of_queue(uint32_t queue_idx)
{
    for (uint32_t flow = 0; flow < 1000; flow++) {
        if (steer_flow(rig.nics[0]->steering, ip_of(PEER), ip_of(OWN), port_of(flow_name(flow)),
                       port_of(OWN ":7000")) == queue_idx) {
            return flow;
        }
    }
    CHECK(!"no flow for this queue");
    return 0;
}

/* The next UDP frame that leaves by the NIC. */
static struct frame pop_udp(uint32_t nic_idx)
{
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    struct frame frame;
    for (;;) {
        frame.len_bytes =
            nic_memory_pop(rig.nics[nic_idx], frame.data, sizeof(frame.data), &frame.flags);
        const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame.data + ETHERNET_HEADER_BYTES);
        if (frame.len_bytes > ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES &&
            ip->version_ihl == 0x45 && ip->protocol == IPV4_PROTOCOL_UDP) {
            return frame;
        }
        CHECK(os_monotonic_ns() < give_up_ns); /* nothing left by this NIC */
        os_yield();
    }
}

static uint32_t frame_source(const struct frame *frame)
{
    return ((const struct wire_ipv4 *)(frame->data + ETHERNET_HEADER_BYTES))->src_be32;
}

/* ---- the client
 * -------------------------------------------------------------------------------------- */

static struct client_socket *bound_to(const char *address)
{
    struct client_socket *socket = NULL;
    struct rs_addr local = rs_addr_v4(ip_of(address), port_of(address));
    CHECK(client_socket_create(rig.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    assert_int_equal(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, WAIT_NS / 1000000),
                     RS_OK);
    assert_int_equal(client_bind(socket, &local), RS_OK);
    return socket;
}

static enum rs_status receive(struct client_socket *socket, char *text, size_t bytes,
                              uint32_t flags)
{
    struct client_iov iov = {.base = text, .len_bytes = bytes - 1};
    size_t got = 0;
    enum rs_status status = client_recv(socket, &iov, 1, flags, NULL, &got);
    text[got] = '\0';
    return status;
}

static void expect_text(struct client_socket *socket, const char *text)
{
    char got[2048];
    assert_int_equal(receive(socket, got, sizeof(got), 0), RS_OK);
    assert_string_equal(got, text);
}

/* After everything pushed before has been looked at: the queues answer a request each. */
static void expect_quiet(struct client_socket *socket)
{
    char got[2048];
    struct nic_stats stats;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    for (uint32_t i = 0; i < QUEUES; i++) {
        do { /* a frame that is counted as received is through when the NIC holds no buffer of it */
            CHECK(os_monotonic_ns() < give_up_ns);
            os_yield();
            rig.nics[i]->ops->stats(rig.nics[i], &stats);
        } while (nic_memory_held(rig.nics[i]) != 0);
    }
    assert_int_equal(client_ping(rig.client), RS_OK);
    assert_int_equal(receive(socket, got, sizeof(got), CLIENT_MSG_DONTWAIT), RS_WOULD_BLOCK);
}

static void send_text(struct client_socket *socket, const char *to, const char *text)
{
    char copy[64];
    size_t sent;
    struct rs_addr address = rs_addr_v4(ip_of(to), port_of(to));
    (void)snprintf(copy, sizeof(copy), "%s", text);
    struct client_iov iov = {.base = copy, .len_bytes = strlen(copy)};
    assert_int_equal(client_send(socket, &iov, 1, 0, &address, &sent), RS_OK);
}

/* ---- one NIC, two queues
 * ----------------------------------------------------------------------------- */

/* Receives all flows. A NIC that spreads one flow over the queues has lost its order already. */
static void all_flows_arrive(bool in_order)
{
    struct client_socket *socket = bound_to("any:7000");
    uint32_t next[FLOWS] = {0};
    char text[64];
    for (uint32_t i = 0; i < FLOWS * PER_FLOW; i++) {
        (void)snprintf(text, sizeof(text), "%u %u", i / PER_FLOW, i % PER_FLOW);
        push_udp(0, flow_name(i / PER_FLOW), OWN ":7000", text);
    }
    for (uint32_t i = 0; i < FLOWS * PER_FLOW; i++) {
        char *end;
        assert_int_equal(receive(socket, text, sizeof(text), 0), RS_OK);
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
        rig.nics[i]->ops->stats(rig.nics[i], &stats);
        assert_true(stats.rx_pkts >= FLOWS * PER_FLOW / 8);
    }
}

static void missteered_frames_go_to_their_queue(void **state)
{
    (void)state;
    all_flows_arrive(false);
    /* Every second one was on the wrong queue; the ledger names the counter with each queue. */
    assert_int_equal(ledger_lines("handed_out"), QUEUES + 1);
}

static void receive_limit_is_for_all_queues_together(void **state)
{
    (void)state;
    enum { SENT = 64, BYTES = 1000, LIMIT = 8192 };
    struct client_socket *socket = bound_to("any:7000");
    uint32_t flows[QUEUES] = {flow_of_queue(0), flow_of_queue(1)};
    char text[BYTES + 1];
    memset(text, 'x', BYTES);
    text[BYTES] = '\0';
    assert_int_equal(client_set_option(socket, RS_OPT_RCVBUF, LIMIT), RS_OK);
    for (uint32_t i = 0; i < SENT; i++) {
        push_udp(0, flow_name(flows[i % QUEUES]), OWN ":7000", text);
    }
    uint32_t received = 0;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    while (client_socket_dropped(socket) < SENT - LIMIT / BYTES - QUEUES) {
        CHECK(os_monotonic_ns() < give_up_ns); /* more was taken than SO_RCVBUF allows */
        os_yield();
    }
    while (received + client_socket_dropped(socket) < SENT) {
        CHECK(os_monotonic_ns() < give_up_ns); /* a datagram neither comes nor is dropped */
        received += receive(socket, text, sizeof(text), CLIENT_MSG_DONTWAIT) == RS_OK;
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
    struct client_socket *socket = bound_to("any:7000");
    char text[64];
    push_udp(0, flow_name(flow_of_queue(1)), OWN ":7000", "first");
    expect_text(socket, "first");
    atomic_fetch_add_explicit(&socket->shared->recv_head[1], RS_LINE_BYTES, memory_order_relaxed);
    push_udp(0, flow_name(flow_of_queue(0)), OWN ":7000", "second");
    assert_int_equal(receive(socket, text, sizeof(text), 0), RS_OK);
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
        CHECK(receive(sleeper->socket, text, sizeof(text), 0) == RS_OK);
        atomic_store_explicit(&sleeper->woken, i + 1, memory_order_release);
    }
}

static void any_queue_wakes_a_sleeper(void **state)
{
    (void)state;
    struct sleeper sleeper = {.socket = bound_to("any:7000")};
    struct os_thread thread;
    uint32_t flows[QUEUES] = {flow_of_queue(0), flow_of_queue(1)};
    CHECK(os_thread_start(&thread, sleeper_run, &sleeper, "sleeper") == RS_OK);
    for (uint32_t i = 0; i < SLEEP_ROUNDS; i++) {
        uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
        push_udp(0, flow_name(flows[i % QUEUES]), OWN ":7000", "wake up");
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
    struct client_socket *socket = bound_to("any:7000");
    for (uint32_t i = 0; i < 2 * QUEUES; i++) {
        struct client_poll item = {.socket = socket, .want = RS_LEVEL_READABLE};
        uint32_t ready = 0;
        push_udp(0, flow_name(flow_of_queue(i % QUEUES)), OWN ":7000", "look");
        assert_int_equal(client_poll(rig.client, &item, 1, WAIT_NS, &ready), RS_OK);
        assert_int_equal(ready, 1);
        expect_text(socket, "look");
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
        if (steer_frame(rig.nics[0]->steering, frame.data, frame.len_bytes) == queue_idx) {
            push(0, &frame);
            return;
        }
    }
    CHECK(!"no router for this queue");
}

static void icmp_errors_find_the_socket_from_any_queue(void **state)
{
    (void)state;
    struct client_socket *socket = bound_to("any:7000");
    for (uint32_t i = 0; i < QUEUES; i++) {
        char text[64];
        send_text(socket, PEER ":9", "nobody there");
        (void)pop_udp(0);
        push_error(i, IPV4_PROTOCOL_UDP, PEER ":9");
        assert_int_equal(receive(socket, text, sizeof(text), 0), RS_PORT_UNREACHABLE);
    }
}

/* A connection is on one queue; that there is none is found out there, not where the error came. */
static void icmp_errors_about_tcp_go_to_the_queue_of_the_flow(void **state)
{
    (void)state;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    for (uint32_t i = 0; i < QUEUES; i++) {
        push_error(i, IPV4_PROTOCOL_TCP, flow_name(flow_of_queue(QUEUES - 1 - i)));
    }
    while (ledger_lines("icmp_no_socket") != QUEUES + 1) {
        CHECK(os_monotonic_ns() < give_up_ns); /* a queue was not given its error */
        os_yield();
    }
    assert_int_equal(ledger_lines("handed_out"), QUEUES + 1);
}

static void connect_holds_on_every_queue(void **state)
{
    (void)state;
    struct client_socket *socket = bound_to("any:7000");
    for (uint32_t i = 0; i < QUEUES; i++) {
        uint32_t flow = flow_of_queue(i);
        struct rs_addr peer = rs_addr_v4(ip_of(PEER), port_of(flow_name(flow)));
        assert_int_equal(client_connect(socket, &peer), RS_OK);
        push_udp(0, flow_name(flow_of_queue(1 - i)), OWN ":7000", "a stranger");
        push_udp(0, flow_name(flow), OWN ":7000", "the peer");
        expect_text(socket, "the peer");
        expect_quiet(socket);
    }
    struct rs_addr nobody = {.family = RS_FAMILY_NONE};
    assert_int_equal(client_connect(socket, &nobody), RS_OK);
    for (uint32_t i = 0; i < QUEUES; i++) {
        push_udp(0, flow_name(flow_of_queue(i)), OWN ":7000", "anybody");
        expect_text(socket, "anybody");
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
    struct client_socket *socket = bound_to("any:7000");
    struct rs_op_member join = member(RS_MEMBER_JOIN, NULL);
    struct rs_op_member leave = member(RS_MEMBER_LEAVE, NULL);
    assert_int_equal(client_member(socket, &join), RS_OK);
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        push_udp(0, flow_name(flow), GROUP ":7000", "quote");
        expect_text(socket, "quote");
    }
    assert_int_equal(client_member(socket, &leave), RS_OK);
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        push_udp(0, flow_name(flow), GROUP ":7000", "too late");
    }
    expect_quiet(socket);
}

static void a_closed_socket_is_gone_everywhere(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 20; round++) {
        struct client_socket *socket = bound_to("any:7000");
        for (uint32_t i = 0; i < QUEUES; i++) {
            push_udp(0, flow_name(flow_of_queue(i)), OWN ":7000", "still here");
            expect_text(socket, "still here");
        }
        assert_int_equal(client_socket_close(socket), RS_OK);
        push_udp(0, flow_name(flow_of_queue(round % QUEUES)), OWN ":7000", "nobody");
    }
    struct client_socket *socket = bound_to("any:7000");
    expect_quiet(socket);
}

/* ---- two NICs
 * ---------------------------------------------------------------------------------------- */

static void a_datagram_leaves_by_the_nic_of_its_route(void **state)
{
    (void)state;
    struct client_socket *socket = bound_to("any:7000");
    send_text(socket, PEER ":5000", "to a");
    struct frame frame = pop_udp(0);
    assert_int_equal(frame_source(&frame), ip_of(OWN));
    for (uint32_t i = 0; i < 100; i++) { /* in the order they were sent */
        char text[32];
        (void)snprintf(text, sizeof(text), "to b %u", i);
        send_text(socket, NIC_B_PEER ":5000", text);
        frame = pop_udp(1);
        assert_int_equal(frame_source(&frame), ip_of(NIC_B));
        assert_memory_equal(frame.data + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES +
                                UDP_HEADER_BYTES,
                            text, strlen(text));
    }
    push_udp(1, NIC_B_PEER ":5000", NIC_B ":7000", "from b");
    expect_text(socket, "from b");
    push_udp(0, PEER ":5000", OWN ":7000", "from a");
    expect_text(socket, "from a");
}

static void connect_takes_the_address_of_the_route(void **state)
{
    (void)state;
    struct client_socket *socket = bound_to("any:7000");
    struct rs_addr peer = rs_addr_v4(ip_of(NIC_B_PEER), port_of(NIC_B_PEER ":5000"));
    struct rs_addr local;
    assert_int_equal(client_connect(socket, &peer), RS_OK);
    assert_int_equal(client_local_addr(socket, &local), RS_OK);
    assert_int_equal(local.ip.v4_be32, ip_of(NIC_B));
    push_udp(1, NIC_B_PEER ":5000", NIC_B ":7000", "answer");
    expect_text(socket, "answer");
    push_udp(1, NIC_B_PEER ":5001", NIC_B ":7000", "a stranger");
    push_udp(0, PEER ":5000", OWN ":7000", "another one");
    expect_quiet(socket);
    peer = rs_addr_v4(ip_of(PEER), port_of(PEER ":5000"));
    assert_int_equal(client_connect(socket, &peer), RS_OK);
    assert_int_equal(client_local_addr(socket, &local), RS_OK);
    assert_int_equal(local.ip.v4_be32, ip_of(OWN));
    push_udp(0, PEER ":5000", OWN ":7000", "answer");
    expect_text(socket, "answer");
}

static void an_address_stays_with_its_nic(void **state)
{
    (void)state;
    struct client_socket *socket = bound_to(NIC_B ":7000");
    send_text(socket, NIC_B_PEER ":5000", "from b");
    struct frame frame = pop_udp(1);
    assert_int_equal(frame_source(&frame), ip_of(NIC_B));
    push_udp(0, PEER ":5000", OWN ":7000", "not to b");
    expect_quiet(socket);
}

static void memberships_are_of_one_nic(void **state)
{
    (void)state;
    struct client_socket *socket = bound_to("any:7000");
    struct rs_op_member join_b = member(RS_MEMBER_JOIN, NIC_B);
    assert_int_equal(client_member(socket, &join_b), RS_OK);
    push_udp(0, PEER ":5000", GROUP ":7000", "on a");
    push_udp(1, NIC_B_PEER ":5000", GROUP ":7000", "on b");
    expect_text(socket, "on b");
    expect_quiet(socket);
    assert_int_equal(client_set_option(socket, RS_OPT_MCAST_IF, ip_of(NIC_B)), RS_OK);
    send_text(socket, GROUP ":6000", "by b");
    struct frame frame = pop_udp(1);
    assert_int_equal(frame_source(&frame), ip_of(NIC_B));
}

static void own_addresses_never_leave(void **state)
{
    (void)state;
    struct client_socket *a = bound_to(OWN ":7000");
    struct client_socket *b = bound_to(NIC_B ":7001");
    send_text(a, NIC_B ":7001", "across");
    expect_text(b, "across");
    send_text(b, OWN ":7000", "and back");
    expect_text(a, "and back");
}

#define STEERED(test)    cmocka_unit_test_setup_teardown(test, start_steered, stop)
#define MISSTEERED(test) cmocka_unit_test_setup_teardown(test, start_missteered, stop)
#define TWO_NICS(test)   cmocka_unit_test_setup_teardown(test, start_two_nics, stop)

/* ---- reports
 * ---------------------------------------------------------------------------------------- */

/* A SYN cookie that one queue made, another one must know; and nobody else may guess it. */
static void queues_share_a_random_secret(void **state)
{
    (void)state;
    static const uint8_t zero[16];
    static uint8_t before[16];
    struct queue *const *queues = dataplane_control(rig.dataplane)->queues;
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
        CHECK(ctl_fetch(rig.configs[0].instance, &report) == RS_OK);
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
    CHECK(ctl_fetch(rig.configs[0].instance, &report) == RS_OK);
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
    struct client_socket *socket = bound_to("any:7000");
    struct rs_report_socket seen;
    struct rs_report_queue queue;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    for (uint32_t i = 0; i < 5; i++) {
        push_udp(0, flow_name(flow_of_queue(i < 3 ? 0 : 1)), OWN ":7000", "x");
    }
    do {
        CHECK(os_monotonic_ns() < give_up_ns); /* the datagrams are not in the report */
        seen = reported(&queue);
    } while (seen.recv_bytes[0] != 3 * RECORD_BYTES || seen.recv_bytes[1] != 2 * RECORD_BYTES);
    assert_int_equal(seen.queue_mask, 3);
    assert_int_equal(queue.nic_queue_count, QUEUES);
    assert_int_equal(queue.steering, RS_REPORT_STEER_NIC);
    for (uint32_t i = 0; i < 5; i++) {
        expect_text(socket, "x");
    }
    seen = reported(&queue);
    assert_int_equal(seen.recv_bytes[0] + seen.recv_bytes[1], 0);
    assert_int_equal(client_socket_close(socket), RS_OK);
}

/* The link is down: a program that sent more than its NIC takes can still close, and end. */
static void a_stuck_nic_holds_no_program_up(void **state)
{
    (void)state;
    struct client_socket *socket = bound_to("any:7000");
    for (uint32_t i = 0; i < QUEUES; i++) {
        nic_memory_limit_tx(rig.nics[i], 0);
    }
    for (uint32_t i = 0; i < 600; i++) { /* in slots and in the send ring */
        send_text(socket, PEER ":9000",
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
    struct client_socket *socket = bound_to("any:7000");
    struct rs_report_socket seen;
    struct rs_report_queue queue;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    for (uint32_t i = 0; i < QUEUES; i++) {
        nic_memory_limit_tx(rig.nics[i], 0);
    }
    for (uint32_t i = 0; i < SENT; i++) {
        send_text(socket, PEER ":9000", text);
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
        nic_memory_limit_tx(rig.nics[i], UINT32_MAX);
    }
    for (uint32_t i = 0; i < SENT; i++) {
        (void)pop_udp(0);
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
        STEERED(queues_share_a_random_secret),
        STEERED(what_the_nic_does_not_take_is_unsent),
        STEERED(a_stuck_nic_holds_no_program_up),
        TWO_NICS(a_datagram_leaves_by_the_nic_of_its_route),
        TWO_NICS(connect_takes_the_address_of_the_route),
        TWO_NICS(an_address_stays_with_its_nic),
        TWO_NICS(memberships_are_of_one_nic),
        TWO_NICS(own_addresses_never_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
