/*
 * The conversion of a NIC's clock (nic_clock.h). Control thread: nic_clock_sample, called by the
 * nic's watch. Queue thread: nic_clock_tsc, called by rx_burst for each frame with a timestamp.
 */
#include "dataplane/nic_clock.h"

#define NIC_CLOCK_OLDEST_S 60u
#define NIC_CLOCK_STRAY_PART_S \
    10000u /* a second's part that a sample may be off the line: 100 us */

void nic_clock_init(struct nic_clock *clock, uint64_t tsc_hz)
{
    *clock = (struct nic_clock){.tsc_hz = tsc_hz};
}

/* ticks * rate, both ways from the base. */
static uint64_t nic_clock_on_line(const struct nic_clock_line *line, uint64_t ticks)
{
    const int64_t since_ticks = (int64_t)(ticks - line->base_ticks);
    const __int128 since_tsc = (__int128)since_ticks * (__int128)line->rate_q32;
    return line->base_tsc + (uint64_t)(since_tsc >> 32);
}

/* Partner: nic_clock_read. */
static void nic_clock_publish(struct nic_clock *clock, const struct nic_clock_line *line)
{
    const uint32_t version = atomic_load_explicit(&clock->version, memory_order_relaxed);
    atomic_store_explicit(&clock->version, version + 1, memory_order_relaxed);
    /* release, each: whoever sees the new word sees the odd version, too */
    atomic_store_explicit(&clock->base_ticks, line->base_ticks, memory_order_release);
    atomic_store_explicit(&clock->base_tsc, line->base_tsc, memory_order_release);
    atomic_store_explicit(&clock->rate_q32, line->rate_q32, memory_order_release);
    /* release: whoever sees this version sees the words above */
    atomic_store_explicit(&clock->version, version + 2, memory_order_release);
}

bool nic_clock_sample(struct nic_clock *clock, uint64_t ticks, uint64_t tsc)
{
    struct nic_clock_line line = {.base_ticks = ticks, .base_tsc = tsc};
    bool lost = false;
    if (clock->taken > 0) {
        const struct nic_clock_line *newest =
            &clock->samples[(clock->taken - 1) % NIC_CLOCK_SAMPLES];
        const struct nic_clock_line *oldest =
            &clock
                 ->samples[clock->taken > NIC_CLOCK_SAMPLES ? clock->taken % NIC_CLOCK_SAMPLES : 0];
        if (ticks <= newest->base_ticks || tsc <= newest->base_tsc) {
            lost = true; /* set back, or standing still */
        } else {
            const unsigned __int128 rate =
                ((unsigned __int128)(tsc - oldest->base_tsc) << 32) / (ticks - oldest->base_ticks);
            line.rate_q32 = rate > UINT64_MAX ? 0 : (uint64_t)rate;
        }
        const uint64_t known_rate = atomic_load_explicit(&clock->rate_q32, memory_order_relaxed);
        if (!lost && known_rate != 0) {
            const struct nic_clock_line known = {newest->base_ticks, newest->base_tsc, known_rate};
            const int64_t off_tsc = (int64_t)(nic_clock_on_line(&known, ticks) - tsc);
            const int64_t most_tsc = (int64_t)(clock->tsc_hz / NIC_CLOCK_STRAY_PART_S);
            lost = off_tsc > most_tsc || off_tsc < -most_tsc;
        }
    }
    if (lost) {
        clock->taken = 0;
        line.rate_q32 = 0;
    }
    clock->samples[clock->taken++ % NIC_CLOCK_SAMPLES] = line;
    nic_clock_publish(clock, &line);
    return !lost;
}

/* Partner: nic_clock_publish. Never waits: a line that is being written is read the next time. */
static void nic_clock_read(struct nic_clock *clock)
{
    /* acquire: the words are not older than this version */
    const uint32_t version = atomic_load_explicit(&clock->version, memory_order_acquire);
    if (version == clock->seen_version || version % 2 != 0) {
        return;
    }
    /* acquire, each: a word of a later line shows that line's odd version to the load below */
    const struct nic_clock_line line = {
        .base_ticks = atomic_load_explicit(&clock->base_ticks, memory_order_acquire),
        .base_tsc = atomic_load_explicit(&clock->base_tsc, memory_order_acquire),
        .rate_q32 = atomic_load_explicit(&clock->rate_q32, memory_order_acquire)};
    if (atomic_load_explicit(&clock->version, memory_order_relaxed) == version) {
        clock->line = line;
        clock->seen_version = version;
    }
}

uint64_t nic_clock_tsc(struct nic_clock *clock, uint64_t ticks, uint64_t now_tsc)
{
    nic_clock_read(clock);
    if (clock->line.rate_q32 == 0) {
        return now_tsc;
    }
    const uint64_t tsc = nic_clock_on_line(&clock->line, ticks);
    /* a time that is still to come is an age of centuries */
    return now_tsc - tsc > NIC_CLOCK_OLDEST_S * clock->tsc_hz ? now_tsc : tsc;
}
