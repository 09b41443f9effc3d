/*
 * Parts of listening and connecting that no packet script shows: the places of a backlog taken by
 * several threads (also under the thread sanitizer), the table of listeners, and the choice of a
 * source port: that its answers come to the right queue, that it is nobody's, and that the search
 * ends. Calls dataplane/tcp_listen.c and tcp_port.c on a stack that only has its TCP part.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "dataplane/nic_memory.h"
#include "dataplane/stack_internal.h"
#include "tests/support/check.h"

#define LOCAL     rs_be32(0x0a000001u)
#define PEER      rs_be32(0xc0a84d21u)
#define PEER_PORT rs_be16(80)

enum {
    QUEUES_MAX = 8,
    FLOWS_MAX = 4096,
    PORT_FIRST = 49152,
    PORT_COUNT = 16384,
    PORT_TRIES = 4096, /* what tcp_internal.h promises */
    PORT_WORDS = 65536 / 32,
    BACKLOG_LIMIT = 24,
    BACKLOG_ROUNDS = 30000,
    BACKLOG_THREADS = 4
};

static struct nic *nics[QUEUES_MAX];
static struct stack *stacks[QUEUES_MAX];
static uint32_t queue_count;
static struct tcp_time_wait flows[FLOWS_MAX]; /* any kind of flow */
static uint32_t flow_count;
static rs_atomic_u32 ports_bound[PORT_WORDS];

/* ---- stacks on the queues of an in-memory NIC ---- */

static void make(uint32_t queues)
{
    const struct nic_memory_config config = {.mac = {2, 0, 0, 0, 0, 1},
                                             .mtu_bytes = 1500,
                                             .buffers = 64,
                                             .queue_frames = 32,
                                             .steering = STEER_NIC};
    const struct tcp_config tcp = {.connections_max = 16,
                                   .listeners_max = 20,
                                   .requests_max = 4,
                                   .time_waits_max = 4,
                                   .secret = "not very secret",
                                   .ports_bound = ports_bound};
    if (queues == 1) {
        assert_int_equal(nic_memory_create(&config, &nics[0]), RS_OK);
    } else {
        assert_int_equal(nic_memory_create_queues(&config, queues, nics), RS_OK);
    }
    for (uint32_t i = 0; i < queues; i++) {
        stacks[i] = calloc(1, sizeof(*stacks[i]));
        assert_non_null(stacks[i]);
        stacks[i]->nic = nics[i];
        stacks[i]->now_ns = 100 * STACK_NS_PER_S;
        assert_int_equal(tcp_stack_init(stacks[i], &tcp), RS_OK);
    }
    queue_count = queues;
    flow_count = 0;
    memset(flows, 0, sizeof(flows));
    for (uint32_t i = 0; i < PORT_WORDS; i++) {
        atomic_store_explicit(&ports_bound[i], 0, memory_order_relaxed);
    }
}

static void destroy(void)
{
    for (uint32_t i = 0; i < queue_count; i++) {
        tcp_stack_destroy(stacks[i]);
        free(stacks[i]);
        nics[i]->ops->close(nics[i]);
    }
}

static int setup(void **state)
{
    (void)state;
    make(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    destroy();
    return 0;
}

static struct tcp_time_wait *add_flow(struct stack *stack, uint16_t port_be16,
                                      enum tcp_flow_kind kind)
{
    assert_true(flow_count < FLOWS_MAX);
    struct tcp_time_wait *flow = &flows[flow_count++];
    flow->flow = (struct tcp_flow){.local_be32 = LOCAL,
                                   .peer_be32 = PEER,
                                   .local_port_be16 = port_be16,
                                   .peer_port_be16 = PEER_PORT,
                                   .kind = (uint8_t)kind};
    tcp_flow_insert(stack, &flow->flow);
    return flow;
}

/* From `from` on; in host order, both included. */
static void bind_range(uint32_t from, uint32_t to, bool bound)
{
    for (uint32_t port = from; port <= to; port++) {
        uint32_t bit = 1u << (port & 31);
        if (bound) {
            atomic_fetch_or_explicit(&ports_bound[port / 32], bit, memory_order_relaxed);
        } else {
            atomic_fetch_and_explicit(&ports_bound[port / 32], ~bit, memory_order_relaxed);
        }
    }
}

/* ---- the source port ---- */

/* The queue on which the NIC gives us a segment of the peer to that port. */
static uint32_t answer_arrives_on(uint16_t port_be16)
{
    uint8_t frame[60] = {0};
    struct pkt pkt;
    const struct wire_ipv4 ip = {.version_ihl = 0x45,
                                 .total_len_be16 = rs_be16(IPV4_HEADER_BYTES + TCP_HEADER_BYTES),
                                 .protocol = TCP_PROTOCOL,
                                 .src_be32 = PEER,
                                 .dst_be32 = LOCAL};
    const struct wire_tcp tcp = {.src_port_be16 = PEER_PORT,
                                 .dst_port_be16 = port_be16,
                                 .offset = tcp_offset(TCP_HEADER_BYTES),
                                 .flags = TCP_FLAG_ACK};
    ethernet_emit(frame, nics[0]->mac, nics[0]->mac, ETHERNET_TYPE_IPV4);
    ipv4_emit(frame + ETHERNET_HEADER_BYTES, &ip, true);
    tcp_emit(frame + IPV4_PAYLOAD_OFF, &tcp);
    assert_true(nic_memory_push(nics[0], frame, sizeof(frame), 0));
    for (uint32_t i = 0; i < queue_count; i++) {
        if (nics[i]->ops->rx_burst(nics[i], &pkt, 1) == 1) {
            nics[i]->ops->rx_release(nics[i], &pkt, 1);
            return i;
        }
    }
    fail_msg("no queue got the frame");
    return UINT32_MAX;
}

static void answers_come_to_the_queue_and_no_pair_twice(void **state)
{
    static const uint32_t counts[] = {1, 3, QUEUES_MAX};
    static bool taken[PORT_COUNT];
    (void)state;
    for (uint32_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
        make(counts[n]);
        memset(taken, 0, sizeof(taken));
        for (uint32_t i = 0; i < 400 * queue_count; i++) {
            struct stack *stack = stacks[i % queue_count];
            uint16_t port_be16 = tcp_port_choose(stack, LOCAL, PEER, PEER_PORT);
            uint32_t port = rs_be16(port_be16);
            assert_in_range(port, PORT_FIRST, 65535);
            assert_int_equal(answer_arrives_on(port_be16), i % queue_count);
            assert_false(taken[port - PORT_FIRST]);
            taken[port - PORT_FIRST] = true;
            add_flow(stack, port_be16, TCP_FLOW_CONN);
        }
        destroy();
    }
}

static void a_port_in_use_is_passed_over(void **state)
{
    (void)state;
    /* Where the search begins is known from a stack that chose before. */
    uint16_t first_be16 = tcp_port_choose(stacks[0], LOCAL, PEER, PEER_PORT);
    stacks[0]->tcp.port_round = 0;
    add_flow(stacks[0], first_be16, TCP_FLOW_CONN);
    uint16_t second_be16 = tcp_port_choose(stacks[0], LOCAL, PEER, PEER_PORT);
    assert_int_not_equal(second_be16, 0);
    assert_int_not_equal(second_be16, first_be16);
    /* The same port towards another one is another connection. */
    assert_int_not_equal(tcp_port_choose(stacks[0], LOCAL, rs_be32(0x0a000003u), PEER_PORT), 0);
}

static void peers_begin_at_different_places(void **state)
{
    enum { PEERS = 16 };
    uint16_t ports_be16[PEERS];
    uint32_t equal = 0;
    (void)state;
    for (uint32_t i = 0; i < PEERS; i++) {
        stacks[0]->tcp.port_round = 0;
        ports_be16[i] = tcp_port_choose(stacks[0], LOCAL, rs_be32(0x0a000100u + i), PEER_PORT);
        for (uint32_t j = 0; j < i; j++) {
            equal += ports_be16[j] == ports_be16[i] ? 1 : 0;
        }
    }
    assert_in_range(equal, 0, 1);
}

static void bound_ports_are_passed_over(void **state)
{
    (void)state;
    bind_range(PORT_FIRST, 65535, true);
    bind_range(61000, 61003, false);
    for (uint32_t i = 0; i < 4; i++) {
        uint16_t port_be16 = 0;
        for (uint32_t calls = 0; calls <= PORT_COUNT / PORT_TRIES && port_be16 == 0; calls++) {
            port_be16 = tcp_port_choose(stacks[0], LOCAL, PEER, PEER_PORT);
        }
        assert_in_range(rs_be16(port_be16), 61000, 61003);
        add_flow(stacks[0], port_be16, TCP_FLOW_CONN);
    }
    for (uint32_t calls = 0; calls <= PORT_COUNT / PORT_TRIES; calls++) {
        assert_int_equal(tcp_port_choose(stacks[0], LOCAL, PEER, PEER_PORT), 0);
    }
}

static void the_search_is_bounded_and_goes_on(void **state)
{
    (void)state;
    bind_range(PORT_FIRST, 65535, true);
    uint32_t round = stacks[0]->tcp.port_round;
    assert_int_equal(tcp_port_choose(stacks[0], LOCAL, PEER, PEER_PORT), 0);
    assert_int_equal(stacks[0]->tcp.port_round - round, PORT_TRIES);
    /* One is free again, wherever: the fourth call has seen the whole range. */
    bind_range(PORT_FIRST + 77, PORT_FIRST + 77, false);
    uint16_t port_be16 = 0;
    for (uint32_t calls = 0; calls < PORT_COUNT / PORT_TRIES && port_be16 == 0; calls++) {
        port_be16 = tcp_port_choose(stacks[0], LOCAL, PEER, PEER_PORT);
    }
    assert_int_equal(rs_be16(port_be16), PORT_FIRST + 77);
    /* Without a table nothing is bound. */
    stacks[0]->tcp.config.ports_bound = NULL;
    assert_int_not_equal(tcp_port_choose(stacks[0], LOCAL, PEER, PEER_PORT), 0);
}

static uint16_t choose_the_only_one(struct stack *stack)
{
    stack->tcp.port_round = 0;
    uint16_t port_be16 = 0;
    for (uint32_t calls = 0; calls < PORT_COUNT / PORT_TRIES && port_be16 == 0; calls++) {
        port_be16 = tcp_port_choose(stack, LOCAL, PEER, PEER_PORT);
    }
    return port_be16;
}

static void a_time_wait_is_reused_by_timestamps_after_a_second(void **state)
{
    struct stack *stack = stacks[0];
    uint32_t iss = 0;
    (void)state;
    bind_range(PORT_FIRST, 65535, true);
    bind_range(50000, 50000, false);
    struct tcp_time_wait *wait = add_flow(stack, rs_be16(50000), TCP_FLOW_TIME_WAIT);
    stack->tcp.time_wait_first = stack->tcp.time_wait_last = wait;
    stack->tcp.time_wait_count = 1;
    wait->snd_nxt = 0xfffffff0u;
    wait->ts_recent_ns = stack->now_ns - STACK_NS_PER_S - 1;
    assert_int_equal(choose_the_only_one(stack), 0); /* without timestamps */
    wait->timestamps = true;
    wait->ts_recent_ns = stack->now_ns - STACK_NS_PER_S;
    assert_int_equal(choose_the_only_one(stack), 0); /* too young */
    assert_false(tcp_time_wait_reuse(stack, wait, &iss));
    wait->ts_recent_ns--;
    assert_int_equal(choose_the_only_one(stack), rs_be16(50000));
    assert_true(tcp_time_wait_reuse(stack, wait, &iss));
    assert_true(rs_seq_before(wait->snd_nxt + 65535, iss));
    assert_null(tcp_flow_find(stack, LOCAL, rs_be16(50000), PEER, PEER_PORT));
    assert_int_equal(stack->tcp.time_wait_count, 0);
    assert_int_equal(counter_get(&stack->counters, COUNTER_tcp_time_waits_reopened), 1);
}

/* ---- the table of listeners ---- */

static void a_specific_listener_comes_before_any(void **state)
{
    struct stack *stack = stacks[0];
    struct tcp_listener any = {.local_port_be16 = PEER_PORT};
    struct tcp_listener specific = {.local_port_be16 = PEER_PORT, .local_be32 = LOCAL};
    struct tcp_listener same = {.local_port_be16 = PEER_PORT};
    (void)state;
    assert_null(tcp_listener_find(stack, LOCAL, PEER_PORT));
    assert_int_equal(tcp_listen(stack, &specific), RS_OK);
    assert_ptr_equal(tcp_listener_find(stack, LOCAL, PEER_PORT), &specific);
    assert_null(tcp_listener_find(stack, PEER, PEER_PORT));
    assert_int_equal(tcp_listen(stack, &any), RS_OK);
    assert_ptr_equal(tcp_listener_find(stack, LOCAL, PEER_PORT), &specific);
    assert_ptr_equal(tcp_listener_find(stack, PEER, PEER_PORT), &any);
    assert_null(tcp_listener_find(stack, LOCAL, rs_be16(81)));
    assert_int_equal(tcp_listen(stack, &same), RS_ADDR_IN_USE);
    same.local_be32 = LOCAL;
    assert_int_equal(tcp_listen(stack, &same), RS_ADDR_IN_USE);
    tcp_listener_close(stack, &same); /* does not listen: harmless */
    tcp_listener_close(stack, &specific);
    assert_ptr_equal(tcp_listener_find(stack, LOCAL, PEER_PORT), &any);
    assert_int_equal(tcp_listen(stack, &same), RS_OK);
    tcp_listener_close(stack, &any);
    tcp_listener_close(stack, &any);
    assert_ptr_equal(tcp_listener_find(stack, LOCAL, PEER_PORT), &same);
    assert_int_equal(stack->tcp.listener_count, 1);
}

static void listeners_are_limited_and_found_in_any_order(void **state)
{
    enum { LISTENERS = 20 };
    struct stack *stack = stacks[0];
    struct tcp_listener listeners[LISTENERS + 1];
    (void)state;
    memset(listeners, 0, sizeof(listeners));
    /* Closed in two orders, so that ahead of and behind one in a chain others stay. */
    for (uint32_t step = 7; step <= 13; step += 6) {
        for (uint32_t i = 0; i <= LISTENERS; i++) {
            listeners[i].local_port_be16 = rs_be16((uint16_t)(8000 + i));
            assert_int_equal(tcp_listen(stack, &listeners[i]),
                             i < LISTENERS ? RS_OK : RS_NO_BUFFERS);
        }
        for (uint32_t i = 0; i < LISTENERS; i++) {
            uint32_t closed = i * step % LISTENERS;
            uint16_t port_be16 = listeners[closed].local_port_be16;
            assert_ptr_equal(tcp_listener_find(stack, LOCAL, port_be16), &listeners[closed]);
            tcp_listener_close(stack, &listeners[closed]);
            assert_null(tcp_listener_find(stack, LOCAL, port_be16));
        }
    }
    assert_int_equal(tcp_listen(stack, &listeners[LISTENERS]), RS_OK);
}

/* ---- the backlog ---- */

static struct tcp_backlog backlog;
static rs_atomic_u32 inside; /* places that the threads have, by their own count */

static void *take_and_give(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; i < BACKLOG_ROUNDS; i++) {
        uint32_t have = 0;
        while (have < BACKLOG_LIMIT / 2 && tcp_backlog_reserve(&backlog)) {
            have++;
            CHECK(atomic_fetch_add_explicit(&inside, 1, memory_order_relaxed) < BACKLOG_LIMIT);
        }
        while (have > 0) {
            have--;
            atomic_fetch_sub_explicit(&inside, 1, memory_order_relaxed);
            tcp_backlog_release(&backlog);
        }
    }
    return NULL;
}

static void *take_all(void *got)
{
    uint32_t *count = got;
    while (tcp_backlog_reserve(&backlog)) {
        ++*count;
    }
    return NULL;
}

static void threads_share_the_places_of_a_backlog(void **state)
{
    pthread_t threads[BACKLOG_THREADS];
    uint32_t got[BACKLOG_THREADS] = {0}, sum = 0;
    (void)state;
    backlog.limit = BACKLOG_LIMIT;
    for (uint32_t i = 0; i < BACKLOG_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, NULL), 0);
    }
    for (uint32_t i = 0; i < BACKLOG_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&backlog.used), 0);
    for (uint32_t i = 0; i < BACKLOG_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_all, &got[i]), 0);
    }
    for (uint32_t i = 0; i < BACKLOG_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sum += got[i];
    }
    assert_int_equal(sum, BACKLOG_LIMIT);
    assert_int_equal(atomic_load(&backlog.used), BACKLOG_LIMIT);
    assert_false(tcp_backlog_reserve(&backlog));
    tcp_backlog_release(&backlog);
    assert_true(tcp_backlog_reserve(&backlog));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_to_the_queue_and_no_pair_twice),
        cmocka_unit_test_setup_teardown(a_port_in_use_is_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(peers_begin_at_different_places, setup, teardown),
        cmocka_unit_test_setup_teardown(bound_ports_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(the_search_is_bounded_and_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_time_wait_is_reused_by_timestamps_after_a_second, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_specific_listener_comes_before_any, setup, teardown),
        cmocka_unit_test_setup_teardown(listeners_are_limited_and_found_in_any_order, setup,
                                        teardown),
        cmocka_unit_test(threads_share_the_places_of_a_backlog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
