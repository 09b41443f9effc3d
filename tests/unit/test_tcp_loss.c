/*
 * The sender's side of TCP on a bare connection: acknowledgments, SACK scoreboard, RACK and the
 * tail loss probe, recovery with and without SACK, timeouts, undo; by RFC rule. The test stands for
 * the files that send and set timers (output below does what tcp_output.c does), and for the peer.
 * Sequence numbers are given in segments from the first byte of data.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/tcp_loss.h"

#define MSS      1000u
#define CONNS    3u
#define RECORDS  400u
#define RTT_MS   100u
#define RING     (1u << 20)
#define SENT_LOG 512u

static struct stack stack;
static struct tcp_conn conns[CONNS];
static struct tcp_conn *const conn = &conns[0];
static struct tcp_sent pool[CONNS + RECORDS];
static uint8_t ring[RING];
static rs_atomic_u32 head_word;

static struct rig {
    uint32_t unsent; /* bytes */
    uint32_t ready, rearmed;
    uint32_t sent_new, sent_again; /* segments since the last look */
    uint32_t again[SENT_LOG];      /* which, in segments */
    uint32_t tsecr;
    uint16_t window;
    uint8_t flags;
    uint32_t peer_seq;
} rig;

/* ---- the files that are not here ---- */

void tcp_ready(struct stack *at, struct tcp_conn *c)
{
    (void)at;
    (void)c;
    rig.ready++;
}

void tcp_rearm_retransmit(struct stack *at, struct tcp_conn *c)
{
    (void)at;
    (void)c;
    rig.rearmed++;
}

uint32_t tcp_ts_clock(const struct stack *at)
{
    return (uint32_t)(at->now_ns / STACK_NS_PER_MS);
}

static uint32_t base(void)
{
    return conn->iss + 1;
}

bool tcp_retransmit(struct stack *at, struct tcp_conn *c, uint32_t idx, uint32_t max_bytes)
{
    const struct tcp_sent *sent = tcp_sent_at(at, idx);
    uint32_t bytes = tcp_min_u32(tcp_sent_bytes(sent), max_bytes);
    rig.again[rig.sent_again++ % SENT_LOG] = (sent->start - base()) / MSS;
    if (idx == c->loss.first) {
        c->rto_base_ns = at->now_ns;
    }
    c->last_sent_ns = at->now_ns;
    tcp_sent_again(at, c, idx, bytes);
    return true;
}

static void send_new(struct tcp_conn *c, uint32_t bytes)
{
    uint32_t start = c->snd_nxt;
    c->send.tail_cached += bytes;
    if (c->snd_una == c->snd_nxt) {
        c->rto_base_ns = stack.now_ns;
        c->progress_ns = stack.now_ns;
    }
    c->snd_nxt += bytes;
    c->last_sent_ns = stack.now_ns;
    tcp_sent_append(&stack, c, start, c->snd_nxt, false);
    rig.sent_new++;
}

bool tcp_send_forced(struct stack *at, struct tcp_conn *c, uint32_t max_bytes)
{
    (void)at;
    uint32_t bytes = tcp_min_u32(rig.unsent, max_bytes);
    rig.unsent -= bytes;
    if (bytes > 0) {
        send_new(c, bytes);
    }
    return bytes > 0;
}

static void output(void)
{
    uint32_t idx;
    while ((idx = tcp_loss_next(&stack, conn)) != TCP_NO_INDEX) {
        if (tcp_loss_allowance(&stack, conn) < tcp_min_u32(MSS, tcp_sent_bytes(&pool[idx]))) {
            return;
        }
        assert_true(tcp_retransmit(&stack, conn, idx, MSS));
    }
    while (rig.unsent > 0) {
        uint32_t bytes = tcp_min_u32(rig.unsent, MSS);
        if (tcp_loss_allowance(&stack, conn) < bytes) {
            return;
        }
        rig.unsent -= bytes;
        send_new(conn, bytes);
    }
}

/* ---- set-up, and the peer ---- */

static void start(uint32_t features)
{
    memset(&stack, 0, sizeof(stack));
    memset(conns, 0, sizeof(conns));
    memset(&rig, 0, sizeof(rig));
    stack.now_ns = 10 * STACK_NS_PER_S;
    stack.tcp.config.connections_max = CONNS;
    stack.tcp.config.records_max = RECORDS;
    stack.tcp.config.congestion = TCP_CONGESTION_CUBIC;
    stack.tcp.config.initial_window = 10;
    stack.tcp.config.rto_min_ns = 200 * STACK_NS_PER_MS;
    stack.tcp.config.rto_max_ns = 120 * STACK_NS_PER_S;
    stack.tcp.config.rto_initial_ns = STACK_NS_PER_S;
    stack.tcp.sent = pool;
    stack.tcp.sent_free_count = CONNS + RECORDS;
    for (uint32_t i = 0; i < CONNS + RECORDS; i++) {
        pool[i].next = i + 1 < CONNS + RECORDS ? i + 1 : TCP_NO_INDEX;
    }
    for (uint32_t i = 0; i < CONNS; i++) {
        struct tcp_conn *c = &conns[i];
        c->mss = MSS;
        tcp_loss_init(&stack, c);
        c->features = features;
        c->iss = 0xfffff000u + i; /* wraps soon */
        c->snd_una = c->snd_nxt = c->iss + 1;
        c->cwr_point = c->snd_una;
        c->snd_wnd = c->snd_wnd_max = 500 * MSS;
        c->ts_offset = 12345;
        stream_reader_init(&c->send, ring, RING, 0);
        c->send_head_word = &head_word;
    }
    rig.window = 50000;
    rig.flags = TCP_FLAG_ACK;
    conn->send_wscale = 4;
    conn->snd_wnd = conn->snd_wnd_max = 800000;
}

static int setup_sack(void **state)
{
    (void)state;
    start(TCP_FEATURE_SACK);
    return 0;
}

static int setup_plain(void **state)
{
    (void)state;
    start(0);
    return 0;
}

static void pass_ms(uint32_t ms)
{
    stack.now_ns += ms * STACK_NS_PER_MS;
}

static void write_segments(uint32_t count)
{
    rig.unsent += count * MSS;
    rig.sent_new = rig.sent_again = 0;
    output();
}

static uint32_t seg(uint32_t segments)
{
    return base() + segments * MSS;
}

/* An ACK of all before `ack` segments, with pairs of SACK blocks, 0 0 ends them. */
static void ack_bytes(uint32_t ack_seq, const uint32_t *pairs)
{
    struct tcp_segment segment = {.ack = ack_seq,
                                  .seq = rig.peer_seq,
                                  .end = rig.peer_seq,
                                  .window = rig.window,
                                  .flags = rig.flags};
    struct tcp_options *options = &segment.options;
    for (; pairs != NULL && pairs[0] != pairs[1]; pairs += 2) {
        options->present |= TCP_OPTION_SACK;
        options->sack[options->sack_count++] =
            (struct tcp_sack_block){seg(pairs[0]), seg(pairs[1])};
    }
    if (tcp_has(conn, TCP_FEATURE_TIMESTAMPS)) {
        options->present |= TCP_OPTION_TIMESTAMPS;
        options->tsecr = rig.tsecr;
    }
    rig.sent_new = rig.sent_again = 0;
    tcp_ack_input(&stack, conn, &segment);
    assert_true(conn->loss.sacked_bytes + conn->loss.lost_bytes <= tcp_outstanding(conn));
}

#define ACK(segments, ...)  ack_bytes(seg(segments), (const uint32_t[]){__VA_ARGS__, 0, 0})
#define ACK_PLAIN(segments) ack_bytes(seg(segments), NULL)

/* A window of segments under way, with an RTT sample behind it. */
static void warm(uint32_t segments)
{
    rig.unsent = 0;
    send_new(conn, MSS);
    pass_ms(RTT_MS);
    rig.tsecr = tcp_ts_clock(&stack) + conn->ts_offset - RTT_MS;
    ack_bytes(base() + MSS, NULL);
    conn->iss += MSS; /* count from here on */
    conn->send.head = 0;
    conn->send.tail_cached = 0;
    conn->congestion.cwnd_bytes = segments * MSS;
    write_segments(segments);
    assert_int_equal(rig.sent_new, segments);
    assert_int_equal(conn->loss.srtt_ns, RTT_MS * STACK_NS_PER_MS);
}

/* ---- acknowledgments ---- */

static void an_ack_frees_records_and_ring(void **state)
{
    (void)state;
    write_segments(3);
    pass_ms(RTT_MS);
    ack_bytes(base() + MSS + 300, NULL);
    assert_int_equal(conn->snd_una, base() + MSS + 300);
    assert_int_equal(atomic_load(&head_word), MSS + 300);
    assert_int_equal(conn->events & TCP_EVENT_WRITABLE, TCP_EVENT_WRITABLE);
    assert_int_equal(pool[conn->loss.first].start, conn->snd_una);
    assert_true(rig.ready > 0);
    assert_int_equal(tcp_in_flight(conn), 2 * MSS - 300);
    ACK_PLAIN(3);
    assert_int_equal(conn->loss.first, TCP_NO_INDEX);
    assert_int_equal(stack.tcp.sent_free_count, CONNS + RECORDS);
    assert_int_equal(stack.tcp.sent_holders, 0);
}

static void the_fin_is_no_byte_of_the_ring(void **state)
{
    (void)state;
    write_segments(1);
    conn->fin_seq = conn->snd_nxt++;
    conn->features |= TCP_FEATURE_FIN_SENT;
    tcp_sent_append(&stack, conn, conn->fin_seq, conn->snd_nxt, true);
    ack_bytes(conn->snd_nxt, NULL);
    assert_int_equal(atomic_load(&head_word), MSS);
    assert_int_equal(conn->snd_una, conn->fin_seq + 1);
}

/* RFC 9293 3.10.7.4: SND.WL1 and WL2 keep an old segment from setting the window. */
static void the_newest_segment_sets_the_window(void **state)
{
    (void)state;
    write_segments(2);
    rig.peer_seq = 100;
    rig.window = 1000;
    ACK_PLAIN(1);
    assert_int_equal(conn->snd_wnd, 16000);
    rig.window = 2000; /* an update */
    ACK_PLAIN(1);
    assert_int_equal(conn->snd_wnd, 32000);
    rig.window = 1000; /* overtaken by the update */
    ACK_PLAIN(1);
    assert_int_equal(conn->snd_wnd, 32000);
    rig.peer_seq = 50;
    rig.window = 3000;
    ACK_PLAIN(1);
    assert_int_equal(conn->snd_wnd, 32000);
    rig.peer_seq = 100;
    rig.window = 0;
    conn->persist_tries = 3;
    ACK_PLAIN(1);
    assert_int_equal(conn->snd_wnd, 0);
    assert_int_equal(conn->persist_tries, 0); /* it was an answer */
    ACK_PLAIN(0);                             /* an old ACK */
    assert_int_equal(conn->snd_wnd, 0);
    assert_int_equal(conn->snd_una, seg(1));
    assert_int_equal(conn->snd_wnd_max, 800000);
}

/* ---- RTT and RTO (RFC 6298) ---- */

static void the_first_sample_makes_the_timeout(void **state)
{
    (void)state;
    assert_int_equal(tcp_rto_ns(conn), STACK_NS_PER_S); /* (2.1) */
    tcp_rtt_sample(&stack, conn, 400 * STACK_NS_PER_MS);
    assert_int_equal(conn->loss.srtt_ns, 400 * STACK_NS_PER_MS); /* (2.2) */
    assert_int_equal(conn->loss.rttvar_ns, 200 * STACK_NS_PER_MS);
    assert_int_equal(tcp_rto_ns(conn), 1200 * STACK_NS_PER_MS);
    tcp_rtt_sample(&stack, conn, 800 * STACK_NS_PER_MS); /* (2.3) */
    assert_int_equal(conn->loss.srtt_ns, 450 * STACK_NS_PER_MS);
    assert_int_equal(conn->loss.rttvar_ns, 250 * STACK_NS_PER_MS);
    assert_int_equal(conn->loss.rtt_min_ns, 400 * STACK_NS_PER_MS);
}

static void what_was_sent_again_is_no_sample(void **state)
{
    (void)state;
    warm(1);
    tcp_loss_timeout(&stack, conn);
    tcp_loss_timeout(&stack, conn);
    output();
    assert_int_equal(rig.sent_again, 1);
    uint64_t rto_ns = tcp_rto_ns(conn);
    assert_int_equal(rto_ns, 4 * 300 * STACK_NS_PER_MS); /* (5.5) */
    pass_ms(5);
    ACK_PLAIN(1);
    assert_int_equal(conn->loss.srtt_ns, RTT_MS * STACK_NS_PER_MS);
    assert_int_equal(conn->loss.backoff, 0);
    assert_int_equal(tcp_rto_ns(conn), rto_ns); /* Karn: stays until there is a sample */
    write_segments(1);
    pass_ms(RTT_MS);
    ACK_PLAIN(2);
    assert_int_equal(tcp_rto_ns(conn), 300 * STACK_NS_PER_MS);
}

static void an_echoed_timestamp_is_a_sample(void **state)
{
    (void)state;
    conn->features |= TCP_FEATURE_TIMESTAMPS;
    warm(1);
    pass_ms(300);
    tcp_loss_timeout(&stack, conn);
    output();
    rig.tsecr = tcp_ts_clock(&stack) + conn->ts_offset;
    pass_ms(180);
    ACK_PLAIN(1);
    assert_int_equal(conn->loss.srtt_ns, 110 * STACK_NS_PER_MS); /* 100 + (180 - 100) / 8 */
    assert_int_equal(conn->loss.backoff, 0);
}

static void the_backed_off_timeout_has_a_limit(void **state)
{
    (void)state;
    warm(1);
    for (int i = 0; i < 300; i++) {
        tcp_loss_timeout(&stack, conn);
    }
    assert_int_equal(tcp_rto_ns(conn), 120 * STACK_NS_PER_S);
    assert_int_equal(conn->loss.backoff, 255);
}

/* ---- RACK (RFC 8985) ---- */

static void three_sacked_segments_make_a_loss(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 1, 2);
    assert_int_equal(conn->loss.state, TCP_LOSS_DISORDER);
    ACK(0, 1, 3);
    assert_int_equal(conn->loss.lost_bytes, 0);
    ACK(0, 1, 4);
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY);
    assert_int_equal(conn->loss.lost_bytes, MSS);
    output();
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 0);
    assert_int_equal(tcp_loss_next(&stack, conn), TCP_NO_INDEX);
}

static void fewer_wait_for_the_reordering_window(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 1, 2);
    uint64_t due_ns = stack.now_ns + RTT_MS / 4 * STACK_NS_PER_MS;
    assert_int_equal(conn->loss.reorder_due_ns, due_ns);
    stack.now_ns = due_ns - 1;
    tcp_loss_reorder_timer(&stack, conn);
    assert_int_equal(conn->loss.lost_bytes, 0);
    assert_int_equal(conn->loss.reorder_due_ns, due_ns);
    stack.now_ns = due_ns;
    tcp_loss_reorder_timer(&stack, conn);
    assert_int_equal(conn->loss.lost_bytes, MSS);
    assert_int_equal(conn->loss.reorder_due_ns, 0);
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY);
    output();
    assert_int_equal(rig.sent_again, 1);
}

static void reordering_once_seen_is_waited_for(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 1, 3);
    ACK_PLAIN(3); /* the first one came late */
    assert_true(conn->loss.rack_reordering_seen);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
    ACK(3, 4, 9);
    assert_int_equal(conn->loss.lost_bytes, 0); /* no three of anything make a loss now */
    assert_int_not_equal(conn->loss.reorder_due_ns, 0);
}

/* Blocks of one ACK come newest first: that is no reordering. */
static void the_order_of_blocks_is_no_reordering(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 6, 7, 3, 4, 1, 2);
    assert_false(conn->loss.rack_reordering_seen);
    assert_int_equal(conn->loss.sacked_bytes, 3 * MSS);
}

static void a_retransmission_is_lost_too(void **state)
{
    (void)state;
    warm(20);
    pass_ms(RTT_MS);
    ACK(0, 1, 4);
    output();
    assert_int_equal(rig.again[0], 0);
    rig.unsent = 20 * MSS;
    for (uint32_t i = 5; i <= 19; i++) {
        pass_ms(1);
        ACK(0, 1, i);
        output();
    }
    uint32_t newest = (conn->snd_nxt - base()) / MSS;
    assert_true(newest > 20);
    pass_ms(RTT_MS);
    ACK(0, 1, newest); /* of what was sent after the retransmission */
    assert_int_equal(conn->loss.lost_bytes, MSS);
    assert_int_equal(conn->loss.retrans_bytes, 0);
    output();
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 0);
}

static void duplicates_reported_widen_the_window(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(2, 0, 1);
    assert_int_equal(conn->loss.rack_reo_mult, 2);
    ACK(3, 1, 2); /* in the same round trip */
    assert_int_equal(conn->loss.rack_reo_mult, 2);
    ACK(3, 4, 5);
    assert_int_equal(conn->loss.reorder_due_ns, stack.now_ns + 2 * (RTT_MS / 4) * STACK_NS_PER_MS);
}

/* ---- tail loss probe (RFC 8985 7) ---- */

static void a_probe_of_the_last_segment(void **state)
{
    (void)state;
    warm(5);
    assert_int_equal(tcp_loss_probe_due_ns(&stack, conn),
                     stack.now_ns + (2 * RTT_MS + 2) * STACK_NS_PER_MS);
    pass_ms(2 * RTT_MS + 2);
    rig.sent_new = rig.sent_again = 0;
    tcp_loss_probe_timer(&stack, conn);
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 4);
    assert_int_equal(tcp_loss_probe_due_ns(&stack, conn), STACK_NEVER); /* one only */
    assert_int_equal(conn->rto_base_ns, stack.now_ns);
}

static void a_probe_of_new_data(void **state)
{
    (void)state;
    warm(5);
    rig.unsent = 3 * MSS;
    pass_ms(250);
    rig.sent_new = 0;
    tcp_loss_probe_timer(&stack, conn);
    assert_int_equal(rig.sent_new, 1);
    assert_int_equal(rig.sent_again, 0);
    pass_ms(RTT_MS);
    ACK_PLAIN(6);
    assert_false(conn->loss.tlp_outstanding);
    assert_int_equal(conn->congestion.ssthresh_bytes, 1u << 30);
}

static void one_segment_alone_gives_its_ack_time(void **state)
{
    (void)state;
    warm(1);
    /* 2 RTT and the peer's delay are more than the timeout: instead of it then. */
    assert_int_equal(tcp_loss_probe_due_ns(&stack, conn), stack.now_ns + tcp_rto_ns(conn) - 1);
    conn->loss.rto_ns = 2 * STACK_NS_PER_S;
    assert_int_equal(tcp_loss_probe_due_ns(&stack, conn),
                     stack.now_ns + (2 * RTT_MS + 200) * STACK_NS_PER_MS);
}

static void no_probe_in_recovery(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 1, 4);
    assert_int_equal(tcp_loss_probe_due_ns(&stack, conn), STACK_NEVER);
}

static void a_probe_that_repaired_a_loss_reduces_the_window(void **state)
{
    (void)state;
    warm(10);
    pass_ms(250);
    tcp_loss_probe_timer(&stack, conn);
    rig.unsent = MSS;
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    output();
    assert_true(conn->loss.tlp_outstanding); /* the other copy may still be reported */
    pass_ms(RTT_MS);
    ACK_PLAIN(11);
    assert_false(conn->loss.tlp_outstanding);
    assert_in_range(conn->congestion.cwnd_bytes, 6990, 9000);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
}

static void a_probe_that_came_twice_does_not(void **state)
{
    (void)state;
    warm(10);
    pass_ms(250);
    tcp_loss_probe_timer(&stack, conn);
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    ACK(10, 9, 10); /* D-SACK */
    assert_false(conn->loss.tlp_outstanding);
    assert_int_equal(conn->congestion.ssthresh_bytes, 1u << 30);
}

/* ---- recovery ---- */

/* RFC 6937: 20 segments, one lost: on the way down 7 leave for 10 delivered. */
static void the_rate_goes_down_in_proportion(void **state)
{
    (void)state;
    warm(20);
    rig.unsent = 100 * MSS;
    pass_ms(RTT_MS);
    uint32_t left = 0;
    for (uint32_t i = 2; i <= 20; i++) {
        ACK(0, 1, i);
        output();
        left += rig.sent_new + rig.sent_again;
    }
    /* Two before the third SACK (RFC 3042), then the retransmission and 0.7 for each. */
    assert_in_range(left, 12, 15);
    assert_int_equal(conn->congestion.ssthresh_bytes / MSS, 13);
    pass_ms(RTT_MS);
    ACK_PLAIN(20);
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY); /* what left by limited transmit */
    ACK_PLAIN(23);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
    assert_in_range(conn->congestion.cwnd_bytes, 13 * MSS, 15 * MSS);
}

/* RFC 6937: when much is lost, no more leaves than arrives, and one. */
static void heavy_loss_makes_no_burst(void **state)
{
    (void)state;
    warm(40);
    pass_ms(RTT_MS);
    ACK(0, 35, 38);
    assert_int_equal(conn->loss.lost_bytes, 35 * MSS);
    output();
    assert_in_range(rig.sent_again, 1, 3);
    ACK(0, 35, 39);
    output();
    assert_in_range(rig.sent_again, 1, 2);
}

static void limited_transmit(void **state)
{
    (void)state;
    bool sack = tcp_has(conn, TCP_FEATURE_SACK);
    warm(5);
    rig.unsent = 10 * MSS;
    pass_ms(RTT_MS);
    for (uint32_t i = 2; i <= 3; i++) { /* RFC 3042: a new segment for each of the first two */
        if (sack) {
            ACK(0, 1, i);
        } else {
            ACK_PLAIN(0);
        }
        output();
        assert_int_equal(rig.sent_new, 1);
    }
    assert_int_equal(conn->congestion.cwnd_bytes, 5 * MSS);
}

static void without_sack_the_third_duplicate(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK_PLAIN(0);
    ACK_PLAIN(0);
    rig.window = 60000;
    ACK_PLAIN(0); /* RFC 5681 2 (e): a window update is no duplicate */
    assert_int_equal(conn->loss.state, TCP_LOSS_DISORDER);
    ACK_PLAIN(0);
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY);
    output();
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 0);
    /* RFC 6582 3.2 step 3: a partial ACK names the next hole */
    pass_ms(RTT_MS);
    ACK_PLAIN(4);
    output();
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 4);
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY);
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
    assert_in_range(conn->congestion.cwnd_bytes, 6 * MSS, 8 * MSS);
    assert_int_equal(conn->fast_recoveries, 1);
}

/* RFC 6582 3.2 step 2: duplicates that follow a recovery are of its own segments. */
static void without_sack_no_second_recovery(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    for (int i = 0; i < 3; i++) {
        ACK_PLAIN(0);
    }
    output();
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    write_segments(5);
    for (int i = 0; i < 4; i++) {
        ACK_PLAIN(10);
    }
    assert_int_equal(conn->fast_recoveries, 1);
    ACK_PLAIN(11);
    for (int i = 0; i < 3; i++) {
        ACK_PLAIN(11);
    }
    assert_int_equal(conn->fast_recoveries, 2);
}

static void ecn_reduces_once_a_window(void **state)
{
    (void)state;
    warm(10);
    conn->features |= TCP_FEATURE_ECN;
    rig.flags |= TCP_FLAG_ECE;
    pass_ms(RTT_MS);
    ACK_PLAIN(1);
    assert_int_equal(conn->loss.state, TCP_LOSS_CWR);
    assert_int_equal(conn->features & TCP_FEATURE_CWR, TCP_FEATURE_CWR);
    uint32_t ssthresh = conn->congestion.ssthresh_bytes;
    assert_in_range(ssthresh, 7 * MSS - 10, 7 * MSS);
    for (uint32_t i = 2; i < 10; i++) {
        ACK_PLAIN(i);
        assert_int_equal(conn->congestion.ssthresh_bytes, ssthresh);
    }
    rig.flags = TCP_FLAG_ACK;
    ACK_PLAIN(10);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
    write_segments(7);
    pass_ms(RTT_MS);
    rig.flags |= TCP_FLAG_ECE;
    ACK_PLAIN(11);
    assert_true(conn->congestion.ssthresh_bytes < ssthresh);
}

/* ---- timeouts ---- */

static void a_timeout_sends_one_segment(void **state)
{
    (void)state;
    warm(10);
    pass_ms(400);
    tcp_loss_timeout(&stack, conn);
    assert_int_equal(conn->loss.lost_bytes, 10 * MSS);
    output();
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 0);
    assert_int_equal(conn->timeouts, 1);
    uint32_t ssthresh = conn->congestion.ssthresh_bytes;
    assert_in_range(ssthresh, 7 * MSS - 10, 7 * MSS);
    tcp_loss_timeout(&stack, conn); /* again without progress: no second reduction */
    assert_int_equal(conn->congestion.ssthresh_bytes, ssthresh);
    output();
    pass_ms(RTT_MS);
    conn->loss.frto = 0;
    ACK_PLAIN(1);
    output();
    assert_int_equal(rig.sent_again, 2); /* slow start */
}

/* RFC 8985 6.3: what was sent a moment ago is not lost by an old segment's timeout. */
static void a_timeout_spares_what_is_new(void **state)
{
    (void)state;
    warm(5);
    conn->congestion.cwnd_bytes = 10 * MSS;
    pass_ms(290);
    write_segments(2);
    pass_ms(10);
    tcp_loss_timeout(&stack, conn);
    assert_int_equal(conn->loss.lost_bytes, 5 * MSS);
    assert_int_equal(tcp_loss_allowance(&stack, conn), MSS);
}

/* RFC 5682 3.1: the ACK after the timeout lets new data out, the next one is for what was never
 * sent again: nothing was lost. */
static void frto_finds_a_spurious_timeout(void **state)
{
    (void)state;
    warm(10);
    pass_ms(400);
    tcp_loss_timeout(&stack, conn);
    rig.unsent = 5 * MSS;
    conn->send.tail_cached += 5 * MSS; /* send_new counts it again: the ring is large */
    output();
    assert_int_equal(rig.sent_again, 1);
    pass_ms(RTT_MS);
    if (tcp_has(conn, TCP_FEATURE_SACK)) {
        ACK_PLAIN(1);
        output();
        assert_int_equal(rig.sent_again, 0);
        assert_int_equal(rig.sent_new, 2);
        ACK_PLAIN(2);
    } else {
        ACK_PLAIN(1);
        output();
        assert_int_equal(rig.sent_new, 2);
        ACK_PLAIN(3);
    }
    assert_int_equal(conn->undos, 1);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
    assert_int_equal(conn->loss.lost_bytes, 0);
    assert_true(conn->congestion.cwnd_bytes >= 10 * MSS);
}

static void frto_sees_a_real_loss(void **state)
{
    (void)state;
    warm(10);
    pass_ms(400);
    tcp_loss_timeout(&stack, conn);
    rig.unsent = 5 * MSS;
    conn->send.tail_cached += 5 * MSS;
    output();
    pass_ms(RTT_MS);
    ACK_PLAIN(1);
    output();
    assert_int_equal(rig.sent_new, 2);
    ACK(1, 10, 11); /* only the new data arrived */
    assert_int_equal(conn->undos, 0);
    output();
    assert_true(rig.sent_again > 0);
    assert_int_equal(rig.again[0], 1);
}

/* RFC 3522: the ACK echoes a time before the retransmission. */
static void a_timestamp_undoes(void **state)
{
    (void)state;
    conn->features |= TCP_FEATURE_TIMESTAMPS;
    warm(10);
    uint32_t first_ts = tcp_ts_clock(&stack) + conn->ts_offset;
    rig.tsecr = first_ts;
    pass_ms(RTT_MS);
    ACK(0, 1, 4);
    output();
    assert_int_equal(rig.sent_again, 1);
    pass_ms(5);
    ACK_PLAIN(4);
    assert_int_equal(conn->undos, 1);
    assert_int_equal(conn->congestion.cwnd_bytes, 11 * MSS); /* and the one delivered */
    assert_int_equal(conn->congestion.ssthresh_bytes, 1u << 30);
    assert_true(conn->loss.rack_reordering_seen);

    rig.tsecr = first_ts + 5000; /* not when it echoes the retransmission */
    pass_ms(RTT_MS);
    ACK(4, 5, 9);
    pass_ms(RTT_MS);
    tcp_loss_reorder_timer(&stack, conn);
    output();
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY);
    rig.tsecr = tcp_ts_clock(&stack) + conn->ts_offset;
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    assert_int_equal(conn->undos, 1);
}

/* RFC 3708: all that was sent again came twice. */
static void duplicates_undo(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 2, 5);
    output();
    ACK(0, 2, 8);
    output();
    assert_int_equal(conn->loss.undo_retransmits, 2 * MSS);
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    assert_true(conn->congestion.cwnd_bytes < 10 * MSS);
    ACK(10, 0, 1);
    assert_int_equal(conn->undos, 0);
    ACK(10, 1, 2);
    assert_int_equal(conn->undos, 1);
    assert_int_equal(conn->congestion.cwnd_bytes, 10 * MSS);
}

/* RFC 2018 8. */
static void a_timeout_forgets_what_the_peer_dropped(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 1, 10);
    output();
    pass_ms(RTT_MS);
    ACK_PLAIN(1); /* but 1 to 9 were reported */
    assert_true(conn->rto_base_ns + tcp_rto_ns(conn) <= stack.now_ns + 50 * STACK_NS_PER_MS);
    assert_int_equal(conn->loss.sacked_bytes, 9 * MSS);
    tcp_loss_timeout(&stack, conn);
    assert_int_equal(conn->loss.sacked_bytes, 0);
    assert_int_equal(conn->loss.sacked_segments, 0);
    assert_int_equal(conn->loss.lost_bytes, 9 * MSS);
    output();
    assert_int_equal(rig.again[0], 1);
    assert_int_equal(counter_get(&stack.counters, COUNTER_tcp_sack_reneged), 1);
}

static void too_large_segments_leave_the_window(void **state)
{
    (void)state;
    warm(10);
    tcp_loss_resend_all(&stack, conn);
    assert_int_equal(conn->congestion.cwnd_bytes, 10 * MSS);
    conn->mss = MSS / 2;
    rig.sent_again = 0;
    uint32_t idx;
    while ((idx = tcp_loss_next(&stack, conn)) != TCP_NO_INDEX) {
        assert_true(tcp_retransmit(&stack, conn, idx, MSS / 2));
    }
    assert_int_equal(rig.sent_again, 20);
    assert_int_equal(tcp_in_flight(conn), 10 * MSS);
}

/* ---- windows ---- */

static void idle_shrinks_the_window_once(void **state)
{
    (void)state;
    warm(80);
    pass_ms(RTT_MS);
    ACK_PLAIN(80);
    conn->congestion.cwnd_bytes = 80 * MSS;
    pass_ms(2 * 300 + 50);
    assert_int_equal(tcp_loss_allowance(&stack, conn), 80 * MSS); /* nothing to send */
    conn->send.tail_cached += MSS;
    assert_int_equal(tcp_loss_allowance(&stack, conn), 20 * MSS);
    assert_int_equal(tcp_loss_allowance(&stack, conn), 20 * MSS);
}

static void a_window_that_is_not_filled_does_not_grow(void **state)
{
    (void)state;
    warm(10);
    conn->congestion.cwnd_bytes = 50 * MSS;
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    write_segments(5);
    pass_ms(RTT_MS);
    uint32_t before = conn->congestion.cwnd_bytes;
    ACK_PLAIN(15);
    assert_int_equal(conn->congestion.cwnd_bytes, before);
}

static void without_congestion_control_all_leaves(void **state)
{
    (void)state;
    conn->settings.congestion = TCP_CONGESTION_NONE;
    tcp_loss_init(&stack, conn);
    rig.unsent = 200 * MSS;
    output();
    assert_int_equal(rig.sent_new, 200);
    pass_ms(RTT_MS);
    ACK(0, 100, 200);
    assert_int_equal(conn->loss.lost_bytes, 100 * MSS);
    output();
    assert_int_equal(rig.sent_again, 100);
}

/* ---- the pool ---- */

static void records_run_short(void **state)
{
    (void)state;
    conn->congestion.cwnd_bytes = 2000 * MSS;
    stack.tcp.config.records_max = 4;
    stack.tcp.sent_free_count = CONNS + 4;
    pool[CONNS + 3].next = TCP_NO_INDEX;
    for (uint32_t i = 0; i < 10; i++) {
        send_new(conn, MSS);
    }
    assert_int_equal(stack.tcp.sent_free_count, 2); /* one for each of the others */
    assert_int_equal(tcp_sent_bytes(&pool[conn->loss.last]), 6 * MSS);
    assert_int_equal(counter_get(&stack.counters, COUNTER_tcp_records_short), 5);
    send_new(&conns[1], MSS);
    send_new(&conns[1], MSS);
    send_new(&conns[2], MSS);
    assert_int_equal(stack.tcp.sent_free_count, 0);
    assert_int_equal(tcp_sent_bytes(&pool[conns[1].loss.last]), 2 * MSS);
    /* A timeout sends part of the joined record: all of it gets there, piece by piece. */
    pass_ms(1000);
    tcp_loss_timeout(&stack, conn);
    for (uint32_t i = 1; i <= 40 && conn->snd_una != conn->snd_nxt; i++) {
        conn->congestion.cwnd_bytes = 20 * MSS;
        output();
        uint32_t sent = tcp_sent_bytes(&pool[conn->loss.first]);
        pass_ms(RTT_MS);
        ack_bytes(conn->snd_una + tcp_min_u32(MSS, sent), NULL);
    }
    assert_int_equal(conn->snd_una, conn->snd_nxt);
    assert_int_equal(conn->loss.lost_bytes + conn->loss.retrans_bytes, 0);
    tcp_loss_forget(&stack, &conns[1]);
    tcp_loss_forget(&stack, &conns[2]);
    assert_int_equal(stack.tcp.sent_free_count, CONNS + 4);
    assert_int_equal(stack.tcp.sent_holders, 0);
}

static void a_record_of_several_segments_is_sacked_in_part(void **state)
{
    (void)state;
    conn->congestion.cwnd_bytes = 100 * MSS;
    send_new(conn, 8 * MSS);
    pass_ms(RTT_MS);
    ACK(0, 2, 3);
    assert_int_equal(conn->loss.sacked_bytes, MSS);
    ACK(0, 2, 5);
    assert_int_equal(conn->loss.sacked_bytes, 3 * MSS);
    /* Not at segment boundaries: what lies between them counts. */
    struct tcp_segment segment = {.ack = seg(0), .window = rig.window, .flags = TCP_FLAG_ACK};
    segment.options.sack[0] = (struct tcp_sack_block){seg(6) - 10, seg(8) - 10};
    segment.options.sack_count = 1;
    tcp_ack_input(&stack, conn, &segment);
    assert_int_equal(conn->loss.sacked_bytes, 4 * MSS);
    ACK_PLAIN(8);
    assert_int_equal(stack.tcp.sent_free_count, CONNS + RECORDS);
}

static void blocks_that_cannot_be_are_ignored(void **state)
{
    (void)state;
    warm(5);
    ACK(0, 4, 6);
    ACK(0, 3, 2);
    ACK(0, 100000, 100001);
    assert_int_equal(conn->loss.sacked_bytes, 0);
    assert_int_equal(conn->loss.rack_reo_mult, 1);
}

/* ---- random ---- */

/* What each segment is by the rules, one by one, however slow; against the records after each step.
 * Whether an episode is undone is the engine's word: then its flags are taken over. */
enum { MODEL_SEGMENTS = 4096, MODEL_STEPS = 6000 };
static struct model_segment {
    uint64_t sent_ns;
    bool sacked, lost, retrans, again; /* again: ever sent again */
    bool arrived;                      /* at the peer */
    bool dropped;                      /* its newest transmission */
} model[MODEL_SEGMENTS];
static struct model_rack {
    uint64_t sent_ns, rtt_ns;
    uint32_t end; /* segment index */
    bool any;
} model_rack;
static uint64_t random_state;
static uint32_t model_next; /* segments sent */

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 16) % limit);
}

static uint32_t model_una(void)
{
    return (conn->snd_una - base()) / MSS;
}

/* What the engine has sent since the last look. */
static void model_sent(void)
{
    for (uint32_t i = 0; i < rig.sent_again; i++) {
        struct model_segment *s = &model[rig.again[i % SENT_LOG]];
        s->sent_ns = stack.now_ns;
        s->retrans = s->again = true;
        s->dropped = random_below(6) == 0;
    }
    uint32_t end = (conn->snd_nxt - base()) / MSS;
    for (; model_next < end; model_next++) {
        model[model_next] =
            (struct model_segment){.sent_ns = stack.now_ns, .dropped = random_below(6) == 0};
    }
    rig.sent_new = rig.sent_again = 0;
}

static bool model_overdue(const struct model_segment *s, uint8_t state, uint32_t sacked)
{
    const struct tcp_loss *loss = &conn->loss;
    uint64_t window_ns = loss->rack_reo_mult * (loss->rtt_min_ns / 4);
    window_ns = window_ns < loss->srtt_ns ? window_ns : loss->srtt_ns;
    if (!loss->rack_reordering_seen && (state >= TCP_LOSS_RECOVERY || sacked >= 3)) {
        window_ns = 0;
    }
    return s->sent_ns + model_rack.rtt_ns + window_ns <= stack.now_ns;
}

static uint32_t model_sacked(void)
{
    uint32_t sacked = 0;
    for (uint32_t i = model_una(); i < model_next; i++) {
        sacked += model[i].sacked;
    }
    return sacked;
}

static void model_detect(uint8_t state)
{
    uint32_t sacked = model_sacked();
    for (uint32_t i = model_una(); i < model_next; i++) {
        struct model_segment *s = &model[i];
        bool under_way = !s->sacked && (!s->lost || s->retrans);
        bool before = s->sent_ns < model_rack.sent_ns ||
                      (s->sent_ns == model_rack.sent_ns && i < model_rack.end);
        if (under_way && before && model_overdue(s, state, sacked)) {
            s->lost = true;
            s->retrans = false;
        }
    }
}

static void model_delivered(uint32_t i, uint64_t rtt_min_ns, bool *advanced)
{
    const struct model_segment *s = &model[i];
    uint64_t age_ns = stack.now_ns - s->sent_ns;
    if (s->again && age_ns < rtt_min_ns) {
        return;
    }
    *advanced = true;
    model_rack.rtt_ns = age_ns;
    if (!model_rack.any || s->sent_ns > model_rack.sent_ns ||
        (s->sent_ns == model_rack.sent_ns && i > model_rack.end)) {
        model_rack.any = true;
        model_rack.sent_ns = s->sent_ns;
        model_rack.end = i;
    }
}

static const struct tcp_sent *record_of(uint32_t segment)
{
    uint32_t idx = conn->loss.first;
    while (idx != TCP_NO_INDEX && rs_seq_before_eq(pool[idx].end, seg(segment))) {
        idx = pool[idx].next;
    }
    assert_int_not_equal(idx, TCP_NO_INDEX);
    return &pool[idx];
}

static void model_take_over(void)
{
    for (uint32_t i = model_una(); i < model_next; i++) {
        uint8_t flags = record_of(i)->flags;
        model[i].lost = (flags & TCP_SENT_LOST) != 0;
        model[i].retrans = (flags & TCP_SENT_RETRANS_OUT) != 0;
        model[i].sacked = (flags & TCP_SENT_SACKED) != 0;
    }
}

/* The peer's ACK: the block around `newest` first, then others, as many as there is room for. */
static void model_ack(uint32_t newest)
{
    uint32_t pairs[10] = {0}, count = 0, cum = model_una();
    while (cum < model_next && model[cum].arrived) {
        cum++;
    }
    uint32_t first = newest, last = newest + 1;
    if (newest > cum) {
        while (model[first - 1].arrived) {
            first--;
        }
        while (last < model_next && model[last].arrived) {
            last++;
        }
        pairs[count++] = first;
        pairs[count++] = last;
    }
    for (uint32_t i = model_next; i > cum + 1 && count < 8; i--) {
        if (model[i - 1].arrived && (i - 1 < first || i - 1 >= last || newest < cum)) {
            pairs[count + 1] = i;
            while (model[i - 2].arrived) {
                i--;
            }
            pairs[count] = i - 1;
            count += 2;
        }
    }
    uint64_t rtt_min_ns = conn->loss.rtt_min_ns;
    uint32_t undos = conn->undos, una = model_una();
    uint8_t state = conn->loss.state;
    uint32_t point = conn->loss.recovery_point;
    bool advanced = false;
    ack_bytes(seg(cum), pairs);
    for (uint32_t i = cum; i < model_next; i++) {
        for (uint32_t k = 0; k < count; k += 2) {
            if (i >= pairs[k] && i < pairs[k + 1] && !model[i].sacked) {
                model_delivered(i, rtt_min_ns, &advanced);
                model[i].sacked = true;
                model[i].lost = model[i].retrans = false;
            }
        }
    }
    for (uint32_t i = una; i < cum; i++) {
        if (!model[i].sacked) {
            model_delivered(i, rtt_min_ns, &advanced);
        }
    }
    if (conn->undos != undos) {
        model_take_over();
        return;
    }
    bool left = state >= TCP_LOSS_CWR && !rs_seq_before(conn->snd_una, point);
    if (advanced) {
        model_detect(left ? TCP_LOSS_OPEN : state);
    }
}

static void model_timers(void)
{
    uint8_t state = conn->loss.state;
    if (conn->loss.first == TCP_NO_INDEX) {
        return;
    }
    if (stack.now_ns >= conn->rto_base_ns + tcp_rto_ns(conn)) {
        uint32_t una = model_una(), sacked = model_sacked();
        assert_false(model[una].sacked);
        for (uint32_t i = una; i < model_next; i++) {
            struct model_segment *s = &model[i];
            if (!s->sacked &&
                (i == una || model_rack.rtt_ns == 0 || model_overdue(s, state, sacked))) {
                s->lost = true;
                s->retrans = false;
            }
        }
        tcp_loss_timeout(&stack, conn);
        conn->rto_base_ns = stack.now_ns;
    } else if (conn->loss.reorder_due_ns != 0 && stack.now_ns >= conn->loss.reorder_due_ns) {
        model_detect(state);
        conn->loss.reorder_due_ns = 0;
        tcp_loss_reorder_timer(&stack, conn);
    } else if (stack.now_ns >= tcp_loss_probe_due_ns(&stack, conn)) {
        tcp_loss_probe_timer(&stack, conn);
    }
}

static void check_lists(void)
{
    const struct tcp_loss *loss = &conn->loss;
    uint32_t records = 0, timed = 0, at = conn->snd_una;
    bool hint_passed = loss->lost_hint == TCP_NO_INDEX;
    for (uint32_t idx = loss->first; idx != TCP_NO_INDEX; idx = pool[idx].next) {
        const struct tcp_sent *sent = &pool[idx];
        assert_int_equal(sent->start, at);
        at = sent->end;
        records++;
        hint_passed |= idx == loss->lost_hint;
        bool waits =
            (sent->flags & TCP_SENT_LOST) != 0 && (sent->flags & TCP_SENT_RETRANS_OUT) == 0;
        assert_true(hint_passed || !waits);
        timed += (sent->flags & TCP_SENT_SACKED) == 0 && !waits;
        assert_true(sent->prev == TCP_NO_INDEX || pool[sent->prev].next == idx);
    }
    assert_int_equal(at, conn->snd_nxt);
    uint64_t before_ns = 0;
    for (uint32_t idx = loss->time_first; idx != TCP_NO_INDEX; idx = pool[idx].time_next) {
        assert_true(pool[idx].sent_ns >= before_ns);
        before_ns = pool[idx].sent_ns;
        timed--;
    }
    assert_int_equal(timed, 0);
    assert_int_equal(records + stack.tcp.sent_free_count, CONNS + RECORDS);
}

static void check_model(void)
{
    uint32_t sacked = 0, lost = 0, retrans = 0;
    for (uint32_t i = model_una(); i < model_next; i++) {
        const struct model_segment *s = &model[i];
        uint8_t flags = record_of(i)->flags;
        assert_int_equal((flags & TCP_SENT_SACKED) != 0, s->sacked);
        assert_int_equal((flags & TCP_SENT_LOST) != 0, s->lost);
        assert_int_equal((flags & TCP_SENT_RETRANS_OUT) != 0, s->retrans);
        sacked += s->sacked;
        lost += s->lost;
        retrans += s->retrans;
    }
    assert_int_equal(conn->loss.sacked_bytes, sacked * MSS);
    assert_int_equal(conn->loss.sacked_segments, sacked);
    assert_int_equal(conn->loss.lost_bytes, lost * MSS);
    assert_int_equal(conn->loss.retrans_bytes, retrans * MSS);
    assert_int_equal(tcp_in_flight(conn),
                     (model_next - model_una() - sacked - lost + retrans) * MSS);
    check_lists();
}

static uint32_t random_run(uint64_t seed)
{
    start(TCP_FEATURE_SACK);
    random_state = seed * 0x9e3779b97f4a7c15ull + 1;
    memset(&model_rack, 0, sizeof(model_rack));
    model_next = 0;
    for (uint32_t step = 0; step < MODEL_STEPS && model_next < MODEL_SEGMENTS - 200; step++) {
        stack.now_ns += 1000 + random_below(3) * random_below(20) * STACK_NS_PER_MS / 4;
        rig.unsent = random_below(4) == 0 ? 0 : random_below(20) * MSS;
        uint32_t under_way = model_next - model_una();
        model_timers();
        model_sent();
        stack.now_ns += 1000;
        if (under_way > 0 && random_below(4) != 0) {
            /* Mostly in order. */
            uint32_t i = model_una() + random_below(random_below(5) == 0 ? under_way : 1);
            while (i < model_next && (model[i].arrived || model[i].dropped)) {
                i++;
            }
            if (i < model_next) {
                model[i].arrived = true;
                if (random_below(5) != 0) {
                    model_ack(i);
                }
            } else {
                model_ack(model_una()); /* a duplicate arrived */
            }
        }
        check_model();
        stack.now_ns += 1000;
        output();
        conn->congestion.cwnd_bytes = tcp_min_u32(conn->congestion.cwnd_bytes, 100 * MSS);
        model_sent();
        check_model();
    }
    return model_una();
}

static void the_scoreboard_against_each_segment(void **state)
{
    (void)state;
    uint32_t delivered = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        print_message("seed %u\n", (unsigned)seed);
        delivered += random_run(seed);
    }
    print_message("%u segments delivered\n", delivered);
    assert_true(delivered > 60 * 300);
}

#define SACK(name)  cmocka_unit_test_setup(name, setup_sack)
#define PLAIN(name) cmocka_unit_test_setup(name, setup_plain)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SACK(an_ack_frees_records_and_ring),
        SACK(the_fin_is_no_byte_of_the_ring),
        SACK(the_newest_segment_sets_the_window),
        SACK(the_first_sample_makes_the_timeout),
        SACK(what_was_sent_again_is_no_sample),
        SACK(an_echoed_timestamp_is_a_sample),
        SACK(the_backed_off_timeout_has_a_limit),
        SACK(three_sacked_segments_make_a_loss),
        SACK(fewer_wait_for_the_reordering_window),
        SACK(reordering_once_seen_is_waited_for),
        SACK(the_order_of_blocks_is_no_reordering),
        SACK(a_retransmission_is_lost_too),
        SACK(duplicates_reported_widen_the_window),
        SACK(a_probe_of_the_last_segment),
        SACK(a_probe_of_new_data),
        SACK(one_segment_alone_gives_its_ack_time),
        SACK(no_probe_in_recovery),
        SACK(a_probe_that_repaired_a_loss_reduces_the_window),
        SACK(a_probe_that_came_twice_does_not),
        SACK(the_rate_goes_down_in_proportion),
        SACK(heavy_loss_makes_no_burst),
        SACK(limited_transmit),
        PLAIN(limited_transmit),
        PLAIN(without_sack_the_third_duplicate),
        PLAIN(without_sack_no_second_recovery),
        SACK(ecn_reduces_once_a_window),
        SACK(a_timeout_sends_one_segment),
        SACK(a_timeout_spares_what_is_new),
        SACK(frto_finds_a_spurious_timeout),
        PLAIN(frto_finds_a_spurious_timeout),
        SACK(frto_sees_a_real_loss),
        SACK(a_timestamp_undoes),
        SACK(duplicates_undo),
        SACK(a_timeout_forgets_what_the_peer_dropped),
        SACK(too_large_segments_leave_the_window),
        SACK(idle_shrinks_the_window_once),
        SACK(a_window_that_is_not_filled_does_not_grow),
        SACK(without_congestion_control_all_leaves),
        SACK(records_run_short),
        SACK(a_record_of_several_segments_is_sacked_in_part),
        SACK(blocks_that_cannot_be_are_ignored),
        SACK(the_scoreboard_against_each_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
