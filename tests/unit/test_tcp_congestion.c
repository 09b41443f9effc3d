/*
 * The congestion window: CUBIC's growth against the formulas of RFC 9438 in floating point, its
 * friendly region, reduction, undo, idle; and none. Calls dataplane/tcp_congestion.c alone; time is
 * what the test says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dataplane/tcp_congestion.h"

#define MSS       1460u
#define NS_PER_MS 1000000ull

static struct tcp_congestion cc;
static uint64_t now_ns;
static uint32_t round_seq; /* of the sender, in segments */

static int setup(void **state)
{
    (void)state;
    now_ns = 1000 * NS_PER_MS;
    round_seq = 0;
    tcp_congestion_init(&cc, TCP_CONGESTION_CUBIC, MSS, 10);
    return 0;
}

/* ---- RFC 9438 in segments and seconds ---- */

struct reference {
    double cwnd, ssthresh, w_max, w_prior, w_est, k, plateau, epoch_s;
    bool begun;
};

static double cube_root(double value)
{
    double root = value > 1 ? value : 1;
    for (int i = 0; i < 200; i++) {
        root -= (root * root * root - value) / (3 * root * root);
    }
    return root;
}

static double w_cubic(const struct reference *r, double t)
{
    return 0.4 * (t - r->k) * (t - r->k) * (t - r->k) + r->plateau;
}

/* One segment acknowledged. */
static void reference_acked(struct reference *r, double now_s, double rtt_s)
{
    if (r->cwnd < r->ssthresh) {
        r->cwnd += 1;
        return;
    }
    if (!r->begun) {
        r->begun = true;
        r->epoch_s = now_s;
        r->k = r->w_max > r->cwnd ? cube_root((r->w_max - r->cwnd) / 0.4) : 0;
        r->plateau = r->k > 0 ? r->w_max : r->cwnd;
        r->w_est = r->cwnd;
    }
    double t = now_s - r->epoch_s;
    double alpha = r->w_est >= r->w_prior ? 1 : 3 * 0.3 / 1.7;
    r->w_est += alpha / r->cwnd;
    if (w_cubic(r, t) < r->w_est) {
        r->cwnd = r->w_est > r->cwnd ? r->w_est : r->cwnd;
        return;
    }
    double target = w_cubic(r, t + rtt_s);
    target = target < r->cwnd ? r->cwnd : target;
    target = target > 1.5 * r->cwnd ? 1.5 * r->cwnd : target;
    r->cwnd += (target - r->cwnd) / r->cwnd;
}

static void reference_lost(struct reference *r)
{
    double before = r->w_max;
    r->w_max = r->cwnd < before ? r->cwnd * 1.7 / 2 : r->cwnd;
    r->w_prior = r->cwnd;
    r->ssthresh = r->cwnd * 0.7 > 2 ? r->cwnd * 0.7 : 2;
    r->cwnd = r->ssthresh;
    r->begun = false;
}

static void lose(void)
{
    tcp_congestion_reduce(&cc, cc.cwnd_bytes);
    cc.cwnd_bytes = cc.ssthresh_bytes;
}

static void assert_near(double ours, double expected, double share, const char *what, int at)
{
    if (ours > expected * (1 + share) + 1.5 || ours < expected * (1 - share) - 1.5) {
        print_error("%s, round trip %d: window %.2f segments, RFC 9438 says %.2f\n", what, at, ours,
                    expected);
        fail();
    }
}

/* A window's worth of ACKs in each round trip; a loss whenever `limit` is reached. */
static void follow(const char *what, uint64_t rtt_ms, uint32_t rounds, double limit,
                   double limit_step)
{
    struct reference r = {.cwnd = 10, .ssthresh = 1e9};
    uint32_t losses = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t acks = (uint32_t)r.cwnd;
        uint64_t gap_ns = rtt_ms * NS_PER_MS / acks;
        for (uint32_t i = 0; i < acks; i++) {
            now_ns += gap_ns;
            reference_acked(&r, (double)now_ns / 1e9, (double)rtt_ms / 1e3);
            tcp_congestion_acked(&cc, MSS, now_ns, rtt_ms * NS_PER_MS, true);
        }
        assert_near((double)cc.cwnd_bytes / MSS, r.cwnd, 0.03, what, (int)round);
        if (r.cwnd >= limit) {
            reference_lost(&r);
            lose();
            limit += ++losses % 2 == 0 ? limit_step : -limit_step;
        }
    }
    if (losses < 3) {
        print_error("%s: %u losses only\n", what, losses);
        fail();
    }
}

static void the_curve_of_a_long_path(void **state)
{
    (void)state;
    follow("100 ms", 100, 1200, 800, 0);
}

static void fast_convergence(void **state)
{
    (void)state;
    follow("50 ms, losses at changing windows", 50, 2000, 500, 120);
}

static void friendly_on_a_short_path(void **state)
{
    (void)state;
    follow("10 ms", 10, 2000, 60, 0);
    assert_true(cc.friendly);
}

/* RFC 9438 4.3: as a Reno flow that halves, on average: 0.53 segments per round trip at first. */
static void many_round_trips_in_a_millisecond(void **state)
{
    (void)state;
    cc.cwnd_bytes = 4 * MSS;
    lose();
    uint32_t before = cc.cwnd_bytes;
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < cc.cwnd_bytes / MSS; i++) {
            now_ns += 20000 / 4;
            tcp_congestion_acked(&cc, MSS, now_ns, 20000, true);
        }
    }
    uint32_t grown = (cc.cwnd_bytes - before) / MSS;
    assert_in_range(grown, 10, 20); /* 20 round trips of 20 us, at most one segment in each */
}

static void slow_start_takes_what_was_delivered(void **state)
{
    (void)state;
    tcp_congestion_acked(&cc, 5 * MSS, now_ns, NS_PER_MS, true);
    assert_int_equal(cc.cwnd_bytes, 15 * MSS);
    cc.ssthresh_bytes = 16 * MSS;
    tcp_congestion_acked(&cc, 3 * MSS, now_ns, NS_PER_MS, true);
    assert_in_range(cc.cwnd_bytes, 16 * MSS, 17 * MSS); /* not beyond by slow start */
}

static void a_window_not_used_does_not_grow(void **state)
{
    (void)state;
    tcp_congestion_acked(&cc, 5 * MSS, now_ns, NS_PER_MS, false);
    assert_int_equal(cc.cwnd_bytes, 10 * MSS);

    /* RFC 9438 5.8: nor does the curve run ahead meanwhile. */
    cc.cwnd_bytes = 100 * MSS;
    lose();
    for (int i = 0; i < 2; i++) {
        now_ns += 10 * NS_PER_MS;
        tcp_congestion_acked(&cc, MSS, now_ns, 10 * NS_PER_MS, true);
    }
    uint32_t before = cc.cwnd_bytes;
    for (int i = 0; i < 6000; i++) {
        now_ns += 10 * NS_PER_MS;
        tcp_congestion_acked(&cc, MSS, now_ns, 10 * NS_PER_MS, false);
    }
    assert_int_equal(cc.cwnd_bytes, before);
    now_ns += 10 * NS_PER_MS;
    tcp_congestion_acked(&cc, 70 * MSS, now_ns, 10 * NS_PER_MS, true);
    assert_in_range(cc.cwnd_bytes, before, before + 2 * MSS);
}

static void a_reduction_is_to_seven_tenths(void **state)
{
    (void)state;
    cc.cwnd_bytes = 100 * MSS;
    tcp_congestion_reduce(&cc, 95 * MSS);
    assert_in_range(cc.ssthresh_bytes, 70 * MSS, 70 * MSS + 10);
    assert_int_equal(cc.cwnd_bytes, 100 * MSS); /* the caller brings it there */
    cc.cwnd_bytes = 100 * MSS;
    tcp_congestion_reduce(&cc, 10 * MSS); /* RFC 7661: hardly used */
    assert_in_range(cc.ssthresh_bytes, 35 * MSS, 35 * MSS + 10);
    cc.cwnd_bytes = 2 * MSS;
    tcp_congestion_reduce(&cc, 2 * MSS);
    assert_int_equal(cc.ssthresh_bytes, 2 * MSS); /* RFC 5681 (4) */
}

static void a_timeout_begins_again(void **state)
{
    (void)state;
    cc.cwnd_bytes = 100 * MSS;
    tcp_congestion_timeout(&cc, 100 * MSS);
    assert_int_equal(cc.cwnd_bytes, MSS);
    assert_in_range(cc.ssthresh_bytes, 70 * MSS, 70 * MSS + 10);
    for (int i = 0; i < 120; i++) {
        now_ns += NS_PER_MS;
        tcp_congestion_acked(&cc, MSS, now_ns, 100 * NS_PER_MS, true);
    }
    /* RFC 9438 4.8: no steep way to where it was, the curve begins at its plateau. */
    assert_int_equal(cc.cubic.k_ms, 0);
    assert_in_range(cc.cwnd_bytes, cc.ssthresh_bytes, cc.ssthresh_bytes + 2 * MSS);
}

static void undo_goes_on_where_it_was(void **state)
{
    (void)state;
    cc.cwnd_bytes = 100 * MSS;
    lose();
    now_ns += 100 * NS_PER_MS;
    tcp_congestion_acked(&cc, MSS, now_ns, 100 * NS_PER_MS, true);
    struct tcp_congestion before = cc;
    lose();
    assert_true(cc.cwnd_bytes < before.cwnd_bytes);
    tcp_congestion_undo(&cc, before.cwnd_bytes, before.ssthresh_bytes);
    assert_int_equal(cc.cwnd_bytes, before.cwnd_bytes);
    assert_int_equal(cc.ssthresh_bytes, before.ssthresh_bytes);
    assert_memory_equal(&cc.cubic, &before.cubic, sizeof(cc.cubic)); /* RFC 9438 4.9 */
    /* Never below what it has become. */
    tcp_congestion_undo(&cc, MSS, MSS);
    assert_int_equal(cc.cwnd_bytes, before.cwnd_bytes);
}

static void idle_halves_for_each_timeout(void **state)
{
    (void)state;
    cc.cwnd_bytes = 160 * MSS;
    cc.ssthresh_bytes = 40 * MSS;
    tcp_congestion_idle(&cc, 650 * NS_PER_MS, 300 * NS_PER_MS, 10);
    assert_int_equal(cc.cwnd_bytes, 40 * MSS);
    assert_int_equal(cc.ssthresh_bytes, 120 * MSS); /* RFC 2861 */
    tcp_congestion_idle(&cc, 60000 * NS_PER_MS, 300 * NS_PER_MS, 10);
    assert_int_equal(cc.cwnd_bytes, 10 * MSS); /* RFC 5681 4.1: the restart window */
    cc.cwnd_bytes = 3 * MSS;
    tcp_congestion_idle(&cc, 60000 * NS_PER_MS, 300 * NS_PER_MS, 10);
    assert_int_equal(cc.cwnd_bytes, 3 * MSS); /* never up */
}

static void a_new_segment_size(void **state)
{
    (void)state;
    cc.cwnd_bytes = 10 * MSS;
    tcp_congestion_set_mss(&cc, 512);
    assert_int_equal(cc.cwnd_bytes, 10 * MSS);
    cc.cwnd_bytes = 512;
    tcp_congestion_set_mss(&cc, 8960);
    assert_int_equal(cc.cwnd_bytes, 8960);
}

static void none_has_no_window(void **state)
{
    (void)state;
    tcp_congestion_init(&cc, TCP_CONGESTION_NONE, MSS, 10);
    assert_true(tcp_congestion_unlimited(&cc));
    uint32_t before = cc.cwnd_bytes;
    tcp_congestion_reduce(&cc, 10 * MSS);
    tcp_congestion_timeout(&cc, 10 * MSS);
    tcp_congestion_idle(&cc, 60000 * NS_PER_MS, NS_PER_MS, 10);
    tcp_congestion_acked(&cc, MSS, now_ns, NS_PER_MS, true);
    assert_int_equal(cc.cwnd_bytes, before);
    assert_int_equal(cc.ssthresh_bytes, 1u << 30);
    assert_string_equal(tcp_congestion_name(TCP_CONGESTION_NONE), "none");
    assert_string_equal(tcp_congestion_name((enum tcp_congestion_kind)99), "?");
}

/* ---- HyStart++ (RFC 9406) ---- */

/* A round of `samples` round trips of rtt_ms; a segment is acknowledged with each. */
static void start_round(uint64_t rtt_ms, uint32_t samples)
{
    uint32_t begin = round_seq;
    round_seq += samples;
    for (uint32_t i = 1; i <= samples; i++) {
        tcp_congestion_rtt(&cc, rtt_ms * NS_PER_MS, begin + i, round_seq + i);
        tcp_congestion_acked(&cc, MSS, now_ns, rtt_ms * NS_PER_MS, true);
    }
    now_ns += rtt_ms * NS_PER_MS;
}

/* 4.2: a round trip that is an eighth longer (4 ms at least) makes slow start conservative: a
 * quarter of the growth, and after five such rounds it is over. */
static void a_growing_round_trip_ends_slow_start(void **state)
{
    (void)state;
    start_round(100, 10);
    start_round(100, 10);
    assert_false(cc.hystart.conservative);
    start_round(113, 10);
    assert_true(cc.hystart.conservative);
    uint32_t before = cc.cwnd_bytes;
    start_round(114, 12);
    assert_int_equal(cc.cwnd_bytes, before + 12 * (MSS / 4));
    /* The round in which it began counts; one is over with the first sample of the next. */
    start_round(114, 12);
    start_round(114, 12);
    start_round(114, 12);
    assert_true(cc.cwnd_bytes < cc.ssthresh_bytes);
    start_round(114, 12);
    assert_true(cc.ssthresh_bytes <= cc.cwnd_bytes);
}

static void what_grows_less_is_jitter(void **state)
{
    (void)state;
    start_round(100, 10);
    start_round(112, 10);
    assert_false(cc.hystart.conservative);
    start_round(10, 10);
    start_round(13, 10); /* an eighth would be 1.25 ms, but at least 4 ms it must be */
    assert_false(cc.hystart.conservative);
    start_round(18, 10);
    assert_true(cc.hystart.conservative);
}

static void few_samples_say_nothing(void **state)
{
    (void)state;
    start_round(100, 10);
    start_round(300, 7);
    assert_false(cc.hystart.conservative);
}

/* 4.2: when the round trip is shorter than it was at the change, it was something else. */
static void a_passing_delay_is_forgiven(void **state)
{
    (void)state;
    start_round(100, 10);
    start_round(150, 10);
    assert_true(cc.hystart.conservative);
    start_round(101, 10);
    assert_false(cc.hystart.conservative);
    uint32_t before = cc.cwnd_bytes;
    start_round(101, 10);
    assert_int_equal(cc.cwnd_bytes, before + 10 * MSS);
}

/* 4.3: only the first slow start, which knows nothing. */
static void after_a_loss_slow_start_is_plain(void **state)
{
    (void)state;
    tcp_congestion_timeout(&cc, cc.cwnd_bytes);
    start_round(100, 10);
    start_round(300, 10);
    assert_false(cc.hystart.conservative);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_curve_of_a_long_path, setup),
        cmocka_unit_test_setup(fast_convergence, setup),
        cmocka_unit_test_setup(friendly_on_a_short_path, setup),
        cmocka_unit_test_setup(many_round_trips_in_a_millisecond, setup),
        cmocka_unit_test_setup(slow_start_takes_what_was_delivered, setup),
        cmocka_unit_test_setup(a_window_not_used_does_not_grow, setup),
        cmocka_unit_test_setup(a_reduction_is_to_seven_tenths, setup),
        cmocka_unit_test_setup(a_timeout_begins_again, setup),
        cmocka_unit_test_setup(undo_goes_on_where_it_was, setup),
        cmocka_unit_test_setup(idle_halves_for_each_timeout, setup),
        cmocka_unit_test_setup(a_new_segment_size, setup),
        cmocka_unit_test_setup(none_has_no_window, setup),
        cmocka_unit_test_setup(a_growing_round_trip_ends_slow_start, setup),
        cmocka_unit_test_setup(what_grows_less_is_jitter, setup),
        cmocka_unit_test_setup(few_samples_say_nothing, setup),
        cmocka_unit_test_setup(a_passing_delay_is_forgiven, setup),
        cmocka_unit_test_setup(after_a_loss_slow_start_is_plain, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
