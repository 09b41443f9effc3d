/* Packet scripts: the transmit queue, back-pressure and the ledger. The language is in script.h. */
#include <stdio.h>
#include <string.h>

#include "dataplane/ledger.h"
#include "script.h"

static void what_the_nic_does_not_take_is_kept_in_order(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    nic_memory_limit_tx(script_nic(), 1);
    send_to(s, PEER ":5000", "1");
    send_to(s, PEER ":5000", "2");
    send_to(s, PEER ":5000", "3");
    expect_udp(OWN ":7000", PEER ":5000", "1", PEER);
    expect_nothing();
    expect_count(waiting_tx, 2);
    nic_memory_limit_tx(script_nic(), 1);
    stack_flush(script_stack());
    expect_udp(OWN ":7000", PEER ":5000", "2", PEER);
    expect_nothing();
    nic_memory_limit_tx(script_nic(), UINT32_MAX);
    stack_flush(script_stack());
    expect_udp(OWN ":7000", PEER ":5000", "3", PEER);
}

static void a_full_queue_makes_senders_wait(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    nic_memory_limit_tx(script_nic(), 0);
    for (unsigned i = 0; i < STACK_TX_HIGH_WATER_PKTS; i++) {
        assert_true(stack_tx_ready(script_stack()));
        send_to(s, PEER ":5000", "x");
    }
    assert_false(stack_tx_ready(script_stack()));
    send_fails(s, PEER ":5000", "no room", RS_WOULD_BLOCK);
    send_fails(s, GROUP ":5000", "no room", RS_WOULD_BLOCK);
    expect_count(udp_sends, STACK_TX_HIGH_WATER_PKTS);
    sock here = bound("any:8000");
    send_to(s, "127.0.0.1:8000", "local sends go on");
    expect_received(here, "127.0.0.1:7000", "local sends go on");
    inject_arp_request(PEER2, OWN); /* so do the stack's own frames */
    expect_count(waiting_tx, STACK_TX_HIGH_WATER_PKTS + 1);
    nic_memory_limit_tx(script_nic(), UINT32_MAX);
    stack_flush(script_stack());
    for (unsigned i = 0; i < STACK_TX_HIGH_WATER_PKTS; i++) {
        expect_udp(OWN ":7000", PEER ":5000", "x", PEER);
    }
    expect_arp_reply(PEER2);
    send_to(s, PEER ":5000", "again");
    expect_udp(OWN ":7000", PEER ":5000", "again", PEER);
}

/* A link that is down: programs go on, what they send is lost and counted. */
static void a_nic_that_takes_nothing_holds_nobody_up(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    nic_memory_limit_tx(script_nic(), 0);
    for (unsigned i = 0; i < STACK_TX_HIGH_WATER_PKTS; i++) {
        send_to(s, PEER ":5000", "x");
    }
    send_fails(s, PEER ":5000", "no room", RS_WOULD_BLOCK);
    advance_ms(1999);
    stack_flush(script_stack());
    expect_count(tx_stuck, 0);
    send_fails(s, PEER ":5000", "still no room", RS_WOULD_BLOCK);
    advance_ms(1);
    stack_flush(script_stack());
    expect_count(tx_stuck, STACK_TX_HIGH_WATER_PKTS);
    expect_count(waiting_tx, 0);
    send_to(s, PEER ":5000", "lost at once");
    stack_flush(script_stack());
    expect_count(tx_stuck, STACK_TX_HIGH_WATER_PKTS + 1);
    nic_memory_limit_tx(script_nic(), UINT32_MAX);
    send_to(s, PEER ":5000", "back again");
    expect_udp(OWN ":7000", PEER ":5000", "back again", PEER);
}

/* The NIC holds all buffers and sends none. */
static void a_nic_that_keeps_all_buffers_holds_nobody_up(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    nic_memory_limit_alloc(script_nic(), 0);
    send_fails(s, PEER ":5000", "x", RS_WOULD_BLOCK);
    send_fails(s, GROUP ":5000", "x", RS_WOULD_BLOCK);
    advance_ms(2000);
    send_to(s, PEER ":5000", "lost");
    expect_count(tx_stuck, 1);
    send_to(s, GROUP ":5000", "lost too");
    expect_count(local_no_socket, 1);
    nic_memory_limit_alloc(script_nic(), UINT32_MAX);
    send_to(s, PEER ":5000", "back again");
    expect_udp(OWN ":7000", PEER ":5000", "back again", PEER);
}

static void beyond_the_queue_own_frames_are_dropped_and_counted(void **state)
{
    (void)state;
    nic_memory_limit_tx(script_nic(), 0);
    for (int i = 0; i < 600; i++) {
        inject_arp_request(PEER, OWN);
    }
    expect_count(waiting_tx, 512);
    expect_count(tx_queue_full, 88);
    nic_memory_limit_tx(script_nic(), UINT32_MAX);
    stack_flush(script_stack());
    for (int i = 0; i < 512; i++) {
        expect_arp_reply(PEER);
    }
}

static void without_a_buffer_a_send_waits(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    nic_memory_limit_alloc(script_nic(), 0);
    send_fails(s, PEER ":5000", "x", RS_WOULD_BLOCK);
    send_fails(s, GROUP ":5000", "x", RS_WOULD_BLOCK);
    send_fails(s, PEER2 ":5000", "x", RS_WOULD_BLOCK);
    expect_count(udp_sends, 0);
    nic_memory_limit_alloc(script_nic(), UINT32_MAX);
    send_to(s, PEER ":5000", "x");
    expect_udp(OWN ":7000", PEER ":5000", "x", PEER);
}

static void waiting_frames_are_given_back_at_the_end(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "never sent");
    expect_arp_request(PEER);
    script_know(PEER2);
    nic_memory_limit_tx(script_nic(), 0);
    send_to(s, PEER2 ":5000", "never sent either");
    expect_count(waiting_neighbour, 1);
    expect_count(waiting_tx, 1); /* the teardown looks for the buffers */
}

static void the_ledger_says_what_happened(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    inject_udp(PEER ":5000", OWN ":7000", "in");
    expect_received(s, PEER ":5000", "in");
    struct frame bad = frame_udp(PEER ":5000", OWN ":7000", "x");
    bad.data[40] ^= 1;
    inject(&bad);
    struct ledger_queue queue = {.name = "memory \"0\"",
                                 .kind = RS_NIC_FUNCTIONAL,
                                 .counters = stack_counters(script_stack())};
    script_nic()->ops->stats(script_nic(), &queue.nic);
    char text[8192];
    FILE *out = fmemopen(text, sizeof(text), "w");
    assert_non_null(out);
    assert_true(ledger_print(out, &queue, 1));
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "functional, not bypass"));
    assert_non_null(strstr(text, "udp_checksum: UDP checksum is wrong"));
    assert_non_null(strstr(text, "balances: yes; lost inside Ringsock: 0"));
    out = fmemopen(text, sizeof(text), "w");
    assert_non_null(out);
    assert_true(ledger_print_json(out, &queue, 1));
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "{\"queues\": [{\"nic\": \"memory \\\"0\\\"\""));
    assert_non_null(strstr(text, "\"udp_checksum\": 1,"));
    assert_non_null(strstr(text, "\"balances\": true, \"lost_inside\": 0}"));
}

static void a_loss_inside_and_a_missing_frame_are_told(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    room_for(s, 0);
    inject_udp(PEER ":5000", OWN ":7000", "lost");
    struct counters books;
    memset(&books, 0, sizeof(books));
    counters_accumulate(&books, stack_counters(script_stack()));
    const struct ledger_queue queue = {
        .name = "memory", .kind = RS_NIC_FUNCTIONAL, .counters = &books};
    char text[8192];
    FILE *out = fmemopen(text, sizeof(text), "w");
    assert_non_null(out);
    assert_false(ledger_print(out, &queue, 1));
    counter_add(&books, COUNTER_rx_frames, 1);
    assert_false(ledger_print(out, &queue, 1));
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "balances: yes; lost inside Ringsock: 1"));
    assert_non_null(strstr(text, "DOES NOT BALANCE"));
    assert_non_null(strstr(text, "balances: NO"));
}

static void two_stacks_on_one_wire_talk(void **state)
{
    (void)state;
    struct nic_memory_config config = {.mtu_bytes = 1500, .buffers = 256, .queue_frames = 64};
    struct nic *other;
    mac_of(config.mac, PEER);
    assert_int_equal(nic_memory_create(&config, &other), RS_OK);
    nic_memory_connect(script_nic(), other);
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "across");
    struct pkt pkts[NIC_BURST_PKTS];
    assert_int_equal(other->ops->rx_burst(other, pkts, NIC_BURST_PKTS), 1);
    assert_int_equal(pkts[0].len_bytes, 60); /* the request for its MAC, padded */
    other->ops->rx_release(other, pkts, 1);
    struct nic_stats stats;
    other->ops->stats(other, &stats);
    assert_int_equal(stats.rx_pkts, 1);
    inject_arp_reply(PEER, OWN);
    assert_int_equal(other->ops->rx_burst(other, pkts, NIC_BURST_PKTS), 1);
    assert_memory_equal(pkts[0].data + 42, "across", 6);
    other->ops->rx_release(other, pkts, 1);
    assert_int_equal(nic_memory_held(other), 0);
    other->ops->close(other);
}

int main(void)
{
    const struct CMUnitTest scripts[] = {
        SCRIPT(what_the_nic_does_not_take_is_kept_in_order),
        SCRIPT(a_full_queue_makes_senders_wait),
        SCRIPT(a_nic_that_takes_nothing_holds_nobody_up),
        SCRIPT(a_nic_that_keeps_all_buffers_holds_nobody_up),
        SCRIPT(beyond_the_queue_own_frames_are_dropped_and_counted),
        SCRIPT(without_a_buffer_a_send_waits),
        SCRIPT(waiting_frames_are_given_back_at_the_end),
        SCRIPT(the_ledger_says_what_happened),
        SCRIPT(a_loss_inside_and_a_missing_frame_are_told),
        SCRIPT(two_stacks_on_one_wire_talk),
    };
    return cmocka_run_group_tests_name("transmit", scripts, NULL, NULL);
}
