/*
 * Congestion control: CUBIC (RFC 9438) and none. Arithmetic on one connection's struct
 * tcp_congestion, in bytes, called by tcp_recovery.c and tcp_ack.c on the queue's thread; calls
 * nothing.
 *
 * Divisions: at the begin of an epoch, and where the rates of growth are looked at: at most once a
 * millisecond and once more for each eighth that the window grows. An ACK multiplies and shifts.
 */
#include "dataplane/tcp_congestion.h"

#include <string.h>

#include "rings/seq.h"

#define CONGESTION_NS_PER_MS     1000000ull
#define CONGESTION_WINDOW_MAX    (1u << 30) /* the largest window of RFC 7323: no limit */
#define CONGESTION_SSTHRESH_NONE (1u << 30)
#define CONGESTION_LOOK_NS       CONGESTION_NS_PER_MS

/* RFC 9438 5: beta 0.7, C 0.4 segments per s^3; of 2^16. */
#define CUBIC_BETA          45876u        /* rounded up: of ten segments seven are left */
#define CUBIC_BETA_CONVERGE 55706u        /* (1 + beta) / 2, RFC 9438 4.7 */
#define CUBIC_ALPHA         34696u        /* 3 (1 - beta) / (1 + beta), RFC 9438 4.3 */
#define CUBIC_PER_C         2500000000ull /* ms^3 per segment: 10^9 / C */
#define CUBIC_MS_MAX        (1u << 20)    /* 17 minutes to or from the plateau: flat or endless */

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t scale(uint32_t value, uint32_t of_65536)
{
    return (uint32_t)(((uint64_t)value * of_65536) >> 16);
}

/* The largest number whose cube is not above value, at most 2^21 - 1; bit by bit. */
static uint32_t cube_root(uint64_t value)
{
    uint64_t root = 0;
    for (uint64_t bit = 1u << 20; bit != 0; bit >>= 1) {
        uint64_t trial = root | bit;
        if (trial * trial * trial <= value) {
            root = trial;
        }
    }
    return (uint32_t)root;
}

/* RFC 9438 figure 1, ms after the begin of the epoch. */
static uint32_t cubic_window(const struct tcp_congestion *congestion, uint64_t ms)
{
    const struct tcp_cubic *cubic = &congestion->cubic;
    bool after = ms >= cubic->k_ms;
    uint64_t off = after ? ms - cubic->k_ms : cubic->k_ms - ms;
    if (off > CUBIC_MS_MAX) {
        off = CUBIC_MS_MAX;
    }
    uint64_t cube = off * off * off;
    /* The order that keeps digits and does not overflow: cube has up to 60 bits. */
    uint64_t delta = cube < 1ull << 48 ? cube * congestion->mss_bytes / CUBIC_PER_C
                                       : cube / CUBIC_PER_C * congestion->mss_bytes;
    uint64_t origin = cubic->origin_bytes;
    uint64_t window = after ? origin + delta : origin - (delta < origin ? delta : origin);
    return window < CONGESTION_WINDOW_MAX ? (uint32_t)window : CONGESTION_WINDOW_MAX;
}

/* Congestion avoidance begins (RFC 9438 4.2; after a timeout w_max is 0, so K is too, 4.8). */
static void cubic_begin(struct tcp_congestion *congestion, uint64_t now_ns)
{
    struct tcp_cubic *cubic = &congestion->cubic;
    uint32_t cwnd = congestion->cwnd_bytes;
    cubic->epoch_ns = now_ns != 0 ? now_ns : 1;
    cubic->w_est_bytes = cwnd;
    cubic->w_est_fraction = 0;
    cubic->k_ms = 0;
    cubic->origin_bytes = cwnd;
    if (cubic->w_max_bytes > cwnd) {
        uint64_t segments = (uint64_t)(cubic->w_max_bytes - cwnd) * CUBIC_PER_C;
        cubic->k_ms = cube_root(segments / congestion->mss_bytes);
        cubic->origin_bytes = cubic->w_max_bytes;
    }
    congestion->gain_fraction = 0;
    congestion->target_due_ns = 0;
}

/* How fast the window, and that of the Reno flow, grow from here (RFC 9438 4.3 to 4.5). */
static void cubic_look(struct tcp_congestion *congestion, uint64_t now_ns, uint64_t srtt_ns)
{
    const struct tcp_cubic *cubic = &congestion->cubic;
    uint32_t cwnd = congestion->cwnd_bytes;
    uint64_t since_ns = now_ns > cubic->epoch_ns ? now_ns - cubic->epoch_ns : 0;
    uint32_t here = cubic_window(congestion, since_ns / CONGESTION_NS_PER_MS);
    uint32_t there = cubic_window(congestion, (since_ns + srtt_ns) / CONGESTION_NS_PER_MS);
    uint32_t target = min_u32(max_u32(there, cwnd), cwnd + cwnd / 2);
    uint32_t alpha = cubic->w_est_bytes >= cubic->w_prior_bytes ? 1u << 16 : CUBIC_ALPHA;

    congestion->curve_bytes = here;
    congestion->target_bytes = target;
    congestion->gain = (uint32_t)(((uint64_t)(target - cwnd) << 32) / cwnd);
    uint64_t est_gain = ((uint64_t)alpha * congestion->mss_bytes << 16) / cwnd;
    congestion->est_gain = est_gain < UINT32_MAX ? (uint32_t)est_gain : UINT32_MAX;
    congestion->target_due_ns = now_ns + CONGESTION_LOOK_NS;
    congestion->look_bytes = cwnd + cwnd / 8;
}

static uint32_t grow(uint32_t bytes, uint32_t acked_bytes, uint32_t gain, uint32_t *fraction)
{
    uint64_t more = (uint64_t)acked_bytes * gain + *fraction;
    *fraction = (uint32_t)more;
    return bytes + (uint32_t)(more >> 32);
}

static void cubic_acked(struct tcp_congestion *congestion, uint32_t acked_bytes, uint64_t now_ns,
                        uint64_t srtt_ns)
{
    struct tcp_cubic *cubic = &congestion->cubic;
    if (cubic->epoch_ns == 0) {
        cubic_begin(congestion, now_ns);
    }
    if (now_ns >= congestion->target_due_ns || congestion->cwnd_bytes >= congestion->look_bytes) {
        cubic_look(congestion, now_ns, srtt_ns);
    }
    /* Never more than a round trip's worth, whatever one ACK covers. */
    acked_bytes = min_u32(acked_bytes, congestion->cwnd_bytes);
    cubic->w_est_bytes =
        min_u32(grow(cubic->w_est_bytes, acked_bytes, congestion->est_gain, &cubic->w_est_fraction),
                CONGESTION_WINDOW_MAX);
    congestion->friendly = congestion->curve_bytes < cubic->w_est_bytes;
    if (congestion->friendly) {
        congestion->cwnd_bytes = max_u32(congestion->cwnd_bytes, cubic->w_est_bytes);
    } else if (congestion->cwnd_bytes < congestion->target_bytes) {
        uint32_t grown =
            grow(congestion->cwnd_bytes, acked_bytes, congestion->gain, &congestion->gain_fraction);
        congestion->cwnd_bytes = min_u32(grown, congestion->target_bytes);
    }
}

void tcp_congestion_init(struct tcp_congestion *congestion, enum tcp_congestion_kind kind,
                         uint32_t mss_bytes, uint32_t initial_segments)
{
    memset(congestion, 0, sizeof(*congestion));
    congestion->kind = (uint8_t)kind;
    congestion->mss_bytes = (uint16_t)mss_bytes;
    congestion->cwnd_bytes = kind == TCP_CONGESTION_NONE
                                 ? CONGESTION_WINDOW_MAX
                                 : max_u32(mss_bytes * initial_segments, mss_bytes);
    congestion->ssthresh_bytes = CONGESTION_SSTHRESH_NONE;
}

void tcp_congestion_set_mss(struct tcp_congestion *congestion, uint32_t mss_bytes)
{
    congestion->mss_bytes = (uint16_t)mss_bytes;
    congestion->cwnd_bytes = max_u32(congestion->cwnd_bytes, mss_bytes);
    congestion->target_due_ns = 0;
}

/* ---- HyStart++ (RFC 9406 4.2) ---- */

#define HYSTART_THRESHOLD_MIN_NS (4 * CONGESTION_NS_PER_MS)
#define HYSTART_THRESHOLD_MAX_NS (16 * CONGESTION_NS_PER_MS)
#define HYSTART_SAMPLES          8u
#define HYSTART_ROUNDS           5u

static void hystart_round(struct tcp_congestion *congestion, uint32_t snd_nxt)
{
    struct tcp_hystart *hystart = &congestion->hystart;
    hystart->last_min_ns = hystart->round_min_ns;
    hystart->round_min_ns = 0;
    hystart->samples = 0;
    hystart->round_end = snd_nxt;
    if (hystart->conservative && ++hystart->conservative_rounds >= HYSTART_ROUNDS) {
        congestion->ssthresh_bytes = congestion->cwnd_bytes;
    }
}

static void hystart_judge(struct tcp_hystart *hystart)
{
    if (hystart->samples < HYSTART_SAMPLES || hystart->last_min_ns == 0) {
        return;
    }
    uint64_t threshold_ns = hystart->last_min_ns / 8;
    threshold_ns =
        threshold_ns > HYSTART_THRESHOLD_MIN_NS ? threshold_ns : HYSTART_THRESHOLD_MIN_NS;
    threshold_ns =
        threshold_ns < HYSTART_THRESHOLD_MAX_NS ? threshold_ns : HYSTART_THRESHOLD_MAX_NS;
    if (!hystart->conservative && hystart->round_min_ns >= hystart->last_min_ns + threshold_ns) {
        hystart->conservative = true;
        hystart->conservative_rounds = 0;
        hystart->baseline_ns = hystart->round_min_ns;
    } else if (hystart->conservative && hystart->round_min_ns < hystart->baseline_ns) {
        hystart->conservative = false; /* it was something else */
    }
}

void tcp_congestion_rtt(struct tcp_congestion *congestion, uint64_t rtt_ns, uint32_t snd_una,
                        uint32_t snd_nxt)
{
    struct tcp_hystart *hystart = &congestion->hystart;
    /* Only as long as nobody knows what the path takes (RFC 9406 4.3). */
    if (congestion->kind != TCP_CONGESTION_CUBIC ||
        congestion->ssthresh_bytes != CONGESTION_SSTHRESH_NONE) {
        return;
    }
    if (hystart->round_min_ns == 0 || rtt_ns < hystart->round_min_ns) {
        hystart->round_min_ns = rtt_ns;
    }
    hystart->samples = (uint8_t)(hystart->samples + (hystart->samples < UINT8_MAX));
    hystart_judge(hystart);
    if (!rs_seq_before(snd_una, hystart->round_end)) {
        hystart_round(congestion, snd_nxt);
    }
}

void tcp_congestion_acked(struct tcp_congestion *congestion, uint32_t acked_bytes, uint64_t now_ns,
                          uint64_t srtt_ns, bool limited)
{
    if (congestion->kind == TCP_CONGESTION_NONE) {
        return;
    }
    uint64_t last_ns = congestion->last_acked_ns;
    congestion->last_acked_ns = now_ns;
    if (!limited) {
        /* The curve stands still while the program, or the peer, holds the flow back (RFC 9438
         * 5.8): else it would be far above what was ever tried. */
        if (congestion->cubic.epoch_ns != 0 && now_ns > last_ns) {
            congestion->cubic.epoch_ns += now_ns - last_ns;
        }
        return;
    }
    if (congestion->cwnd_bytes < congestion->ssthresh_bytes) {
        uint32_t room = congestion->ssthresh_bytes - congestion->cwnd_bytes;
        uint32_t growth = congestion->hystart.conservative ? acked_bytes / 4 : acked_bytes;
        uint32_t start_bytes = min_u32(growth, room);
        congestion->cwnd_bytes += start_bytes;
        acked_bytes = start_bytes < growth ? acked_bytes - start_bytes : 0;
    }
    if (acked_bytes > 0) {
        cubic_acked(congestion, acked_bytes, now_ns, srtt_ns);
    }
    congestion->cwnd_bytes = min_u32(congestion->cwnd_bytes, CONGESTION_WINDOW_MAX);
}

void tcp_congestion_reduce(struct tcp_congestion *congestion, uint32_t in_flight_bytes)
{
    if (congestion->kind == TCP_CONGESTION_NONE) {
        return;
    }
    struct tcp_cubic *cubic = &congestion->cubic;
    congestion->before = *cubic;
    /* The window counts and not what is under way, as it only grows when it is used (RFC 9438 4.6);
     * one of which not even half was used has proved nothing (RFC 7661 4.4.1). */
    uint32_t cwnd = congestion->cwnd_bytes;
    uint32_t used = in_flight_bytes < cwnd / 2 ? cwnd / 2 : cwnd;
    cubic->w_max_bytes = cwnd < cubic->w_max_bytes ? scale(cwnd, CUBIC_BETA_CONVERGE) : cwnd;
    cubic->w_prior_bytes = cwnd;
    cubic->epoch_ns = 0;
    congestion->ssthresh_bytes = max_u32(scale(used, CUBIC_BETA), 2u * congestion->mss_bytes);
    congestion->friendly = false;
}

void tcp_congestion_timeout(struct tcp_congestion *congestion, uint32_t in_flight_bytes)
{
    if (congestion->kind == TCP_CONGESTION_NONE) {
        return;
    }
    tcp_congestion_reduce(congestion, in_flight_bytes);
    congestion->cubic.w_max_bytes = 0; /* RFC 9438 4.8: K is 0 in the epoch that follows */
    congestion->cwnd_bytes = congestion->mss_bytes;
}

void tcp_congestion_undo(struct tcp_congestion *congestion, uint32_t cwnd_bytes,
                         uint32_t ssthresh_bytes)
{
    if (congestion->kind == TCP_CONGESTION_NONE) {
        return;
    }
    congestion->cwnd_bytes = max_u32(congestion->cwnd_bytes, cwnd_bytes);
    congestion->ssthresh_bytes = max_u32(congestion->ssthresh_bytes, ssthresh_bytes);
    congestion->cubic = congestion->before; /* RFC 9438 4.9 */
    congestion->target_due_ns = 0;
}

void tcp_congestion_idle(struct tcp_congestion *congestion, uint64_t idle_ns, uint64_t rto_ns,
                         uint32_t initial_segments)
{
    if (congestion->kind == TCP_CONGESTION_NONE) {
        return;
    }
    /* RFC 2861: half for each RTO, and the way back is by slow start. */
    uint32_t cwnd = congestion->cwnd_bytes;
    uint32_t restart = min_u32(initial_segments * congestion->mss_bytes, cwnd);
    congestion->ssthresh_bytes = max_u32(congestion->ssthresh_bytes, cwnd / 2 + cwnd / 4);
    while (idle_ns >= rto_ns && cwnd > restart) {
        idle_ns -= rto_ns;
        cwnd >>= 1;
    }
    congestion->cwnd_bytes = max_u32(cwnd, restart);
    congestion->cubic.epoch_ns = 0;
}

const char *tcp_congestion_name(enum tcp_congestion_kind kind)
{
    static const char *const names[TCP_CONGESTION_COUNT] = {"default", "cubic", "none"};
    return (unsigned)kind < TCP_CONGESTION_COUNT ? names[kind] : "?";
}
