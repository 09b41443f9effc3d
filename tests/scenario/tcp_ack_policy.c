/* Packet scripts: when we acknowledge, RFC 9293 3.8.6.3, RFC 5681 4.2 and Linux. See tcp_script.h.
 */
#include "tcp_script.h"

/* Established, and we have just sent data that was acknowledged: ACKs are no longer quick, because
 * ours are expected to travel with answers (Linux's pingpong). The peer's next byte is 1, ours 2.
 */
static conn in_dialogue_with(const struct conn_options *options)
{
    conn c = script_established(options);
    write_bytes(c, 1);
    expect_tcp("PA 1:2 ack 1");
    inject_tcp("A 1 ack 2");
    expect_nothing();
    return c;
}

static conn in_dialogue(void)
{
    return in_dialogue_with(&(struct conn_options){.unused = false});
}

/* Linux: 16 segments are acknowledged at once at the start, for the peer's slow start; then with a
 * delay. RFC 9293 3.8.6.3 SHLD-18. */
static void at_the_start_acks_are_quick(void **state)
{
    (void)state;
    established();
    for (int i = 0; i < 16; i++) {
        inject_tcp("A %d:%d ack 1", 1 + 100 * i, 101 + 100 * i);
        expect_tcp("A 1 ack %d", 101 + 100 * i);
    }
    inject_tcp("A 1601:1701 ack 1");
    expect_tcp_after(40, "A 1 ack 1701");
}

/* RFC 9293 3.8.6.3 MUST-40: below half a second; Linux: 40 ms. */
static void a_small_segment_is_acknowledged_after_40_ms(void **state)
{
    (void)state;
    in_dialogue();
    inject_tcp("PA 1:101 ack 2");
    expect_tcp_after(40, "A 2 ack 101");
    advance_ms(1000);
    expect_nothing();
    expect_count(tcp_delayed_acks, 1);
}

/* The delay counts from the first segment that waits. */
static void a_second_small_segment_does_not_prolong_the_delay(void **state)
{
    (void)state;
    in_dialogue();
    inject_tcp("A 1:101 ack 2");
    advance_ms(30);
    inject_tcp("A 101:201 ack 2");
    expect_tcp_after(10, "A 2 ack 201");
    inject_tcp("A 201:301 ack 2");
    expect_tcp_after(40, "A 2 ack 301");
}

/* RFC 9293 3.8.6.3 SHLD-19, RFC 5681 4.2: of full-sized segments at least every second one. */
static void every_second_full_segment_is_acknowledged_at_once(void **state)
{
    (void)state;
    in_dialogue();
    inject_tcp("A 1:1449 ack 2");
    expect_nothing();
    inject_tcp("A 1449:2897 ack 2");
    expect_tcp("A 2 ack 2897");
    inject_tcp("A 2897:4345 ack 2");
    expect_nothing();
    inject_tcp("A 4345:5793 ack 2");
    expect_tcp("A 2 ack 5793");
    inject_tcp("A 5793:7241 ack 2");
    expect_tcp_after(40, "A 2 ack 7241");
}

/* Linux: small ones once they make more than a full one. */
static void small_segments_are_acknowledged_when_they_make_more_than_one(void **state)
{
    (void)state;
    in_dialogue();
    inject_tcp("A 1:1449 ack 2");
    expect_tcp_after(40, "A 2 ack 1449");
    inject_tcp_each(181, "A 1449:2897 ack 2"); /* eight of them */
    expect_nothing();
    inject_tcp("A 2897:2898 ack 2");
    expect_tcp("A 2 ack 2898");
}

/* RFC 9293 3.8.6.3: the ACK travels with the answer, and is not sent once more. */
static void an_answer_carries_the_ack(void **state)
{
    (void)state;
    conn c = in_dialogue();
    inject_tcp("PA 1:101 ack 2");
    advance_ms(10);
    write_bytes(c, 50);
    expect_tcp("PA 2:52 ack 101");
    inject_tcp("A 101 ack 52");
    advance_ms(1000);
    expect_nothing();
}

/* Also of a quick one, when the program answers in the same iteration. */
static void an_answer_of_the_same_iteration_carries_the_ack(void **state)
{
    (void)state;
    conn c = established();
    in_one_iteration
    {
        inject_tcp("PA 1:101 ack 1");
        write_bytes(c, 50);
    }
    expect_tcp("PA 1:51 ack 101");
    expect_nothing();
}

/* Linux: who answers has a dialogue, and the delay from then on. */
static void an_answer_ends_the_quick_acks(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("PA 1:101 ack 1");
    expect_tcp("A 1 ack 101");
    write_bytes(c, 50);
    expect_tcp("PA 1:51 ack 101");
    inject_tcp("PA 101:201 ack 51");
    expect_tcp_after(40, "A 51 ack 201");
}

/* RFC 9293 3.8.6.3: ACKs are not acknowledged. */
static void a_pure_ack_is_not_acknowledged(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1 ack 1 win 30000");
    inject_tcp("A 1 ack 1 win 65535");
    advance_ms(1000);
    expect_nothing();
}

/* ---- the latency profile ---- */

static void a_queue_may_acknowledge_each_segment_at_once(void **state)
{
    (void)state;
    in_dialogue();
    inject_tcp("A 1:101 ack 2");
    expect_tcp("A 2 ack 101");
    inject_tcp("A 101:201 ack 2");
    expect_tcp("A 2 ack 201");
    expect_count(tcp_delayed_acks, 0);
}

static void a_socket_may_acknowledge_each_segment_at_once(void **state)
{
    (void)state;
    in_dialogue_with(&(struct conn_options){.settings = {.ack_immediate = true}});
    inject_tcp("A 1:101 ack 2");
    expect_tcp("A 2 ack 101");
    inject_tcp("A 101:201 ack 2");
    expect_tcp("A 2 ack 201");
}

/* Switched in the middle, both ways. */
static void immediate_acks_can_be_switched(void **state)
{
    (void)state;
    conn c = in_dialogue();
    inject_tcp("A 1:101 ack 2");
    expect_tcp_after(40, "A 2 ack 101");
    set_settings(c, .ack_immediate = true);
    inject_tcp("A 101:201 ack 2");
    expect_tcp("A 2 ack 201");
    set_settings(c, .ack_immediate = false);
    inject_tcp("A 201:301 ack 2");
    expect_tcp_after(40, "A 2 ack 301");
}

/* ---- at once, whatever the delay ---- */

/* RFC 5681 4.2: out of order, so that the peer can repair. */
static void a_segment_ahead_of_a_gap_is_acknowledged_at_once(void **state)
{
    (void)state;
    in_dialogue();
    inject_tcp("A 101:201 ack 2");
    expect_tcp("A 2 ack 1 <ts,sack 101:201>");
}

/* RFC 5681 3.2: a sender without SACK counts them, so each gets its own, also in one iteration. */
static void each_segment_ahead_of_a_gap_gets_its_own_ack(void **state)
{
    (void)state;
    in_dialogue();
    in_one_iteration
    {
        inject_tcp("A 101:201 ack 2");
        inject_tcp("A 201:301 ack 2");
        inject_tcp("A 301:401 ack 2");
    }
    expect_tcp("A 2 ack 1 <ts,sack 101:201>");
    expect_tcp("A 2 ack 1 <ts,sack 101:301>");
    expect_tcp("A 2 ack 1 <ts,sack 101:401>");
    expect_nothing();
}

/* RFC 5681 4.2: what fills a gap, or a part of it. */
static void what_fills_a_gap_is_acknowledged_at_once(void **state)
{
    (void)state;
    in_dialogue();
    inject_tcp("A 201:301 ack 2");
    expect_tcp("A 2 ack 1 <ts,sack 201:301>");
    inject_tcp("A 1:101 ack 2");
    expect_tcp("A 2 ack 101 <ts,sack 201:301>");
    inject_tcp("A 101:201 ack 2");
    expect_tcp("A 2 ack 301 <ts>");
}

/* Linux: after a loss ACKs are quick for 16 segments, the peer's window being small. */
static void after_a_loss_acks_are_quick(void **state)
{
    (void)state;
    in_dialogue();
    inject_tcp("A 101:201 ack 2");
    expect_tcp("A 2 ack 1");
    inject_tcp("A 1:101 ack 2");
    expect_tcp("A 2 ack 201");
    for (int i = 0; i < 15; i++) {
        inject_tcp("A %d:%d ack 2", 201 + 100 * i, 301 + 100 * i);
        expect_tcp("A 2 ack %d", 301 + 100 * i);
    }
    inject_tcp("A 1701:1801 ack 2");
    expect_tcp_after(40, "A 2 ack 1801");
}

/* RFC 9293 3.10.7.4: the peer sends again what it has not heard of. */
static void a_duplicate_is_acknowledged_at_once(void **state)
{
    (void)state;
    in_dialogue();
    inject_tcp("A 1:101 ack 2");
    expect_tcp_after(40, "A 2 ack 101");
    inject_tcp("A 1:101 ack 2");
    expect_tcp("A 2 ack 101 <ts,sack 1:101>");
}

/* RFC 9293 3.10.7.4, eighth step; data before it that waited goes with it. */
static void a_fin_is_acknowledged_at_once(void **state)
{
    (void)state;
    conn c = in_dialogue();
    inject_tcp("A 1:101 ack 2");
    expect_nothing();
    inject_tcp("FA 101 ack 2");
    expect_tcp("A 2 ack 102");
    expect_end(c);
    advance_ms(1000);
    expect_nothing();
}

/* A window update is an ACK as well; the delayed one is not needed any more. */
static void a_window_update_takes_the_delayed_ack_along(void **state)
{
    (void)state;
    conn c = in_dialogue_with(&(struct conn_options){.recv_bytes = 1024});
    inject_tcp("A 1:513 ack 2"); /* no more than a segment of 536 bytes */
    expect_nothing();
    inject_tcp("A 513:525 ack 2");
    expect_nothing();
    read_bytes(c, 524);
    expect_tcp("A 2 ack 525 win 1024");
    advance_ms(1000);
    expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(at_the_start_acks_are_quick),
        TCP_SCRIPT(a_small_segment_is_acknowledged_after_40_ms),
        TCP_SCRIPT(a_second_small_segment_does_not_prolong_the_delay),
        TCP_SCRIPT(every_second_full_segment_is_acknowledged_at_once),
        TCP_SCRIPT(small_segments_are_acknowledged_when_they_make_more_than_one),
        TCP_SCRIPT(an_answer_carries_the_ack),
        TCP_SCRIPT(an_answer_of_the_same_iteration_carries_the_ack),
        TCP_SCRIPT(an_answer_ends_the_quick_acks),
        TCP_SCRIPT(a_pure_ack_is_not_acknowledged),
        TCP_SCRIPT_WITH(a_queue_may_acknowledge_each_segment_at_once, ack_now),
        TCP_SCRIPT(a_socket_may_acknowledge_each_segment_at_once),
        TCP_SCRIPT(immediate_acks_can_be_switched),
        TCP_SCRIPT(a_segment_ahead_of_a_gap_is_acknowledged_at_once),
        TCP_SCRIPT(each_segment_ahead_of_a_gap_gets_its_own_ack),
        TCP_SCRIPT(what_fills_a_gap_is_acknowledged_at_once),
        TCP_SCRIPT(after_a_loss_acks_are_quick),
        TCP_SCRIPT(a_duplicate_is_acknowledged_at_once),
        TCP_SCRIPT(a_fin_is_acknowledged_at_once),
        TCP_SCRIPT(a_window_update_takes_the_delayed_ack_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
