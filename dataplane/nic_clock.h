/*
 * A NIC's own clock in terms of the time-stamp counter, so that what a NIC says of a frame's
 * arrival can be told to programs like any other time. The control thread reads both clocks ten
 * times a second (nic_clock_sample); the queue's thread converts (nic_clock_tsc). The line through
 * the oldest and the newest of 16 samples is published behind a version, which the queue's thread
 * reads without ever waiting: while the line is being written it goes on with its copy of the last
 * one. No DPDK in here: nic_dpdk_clock.c reads the clocks.
 */
#ifndef RINGSOCK_DATAPLANE_NIC_CLOCK_H
#define RINGSOCK_DATAPLANE_NIC_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define NIC_CLOCK_SAMPLES 16u

/* TSC = base_tsc + (ticks - base_ticks) * rate_q32 / 2^32. rate_q32 0: not known yet, or no more.
 */
struct nic_clock_line {
    uint64_t base_ticks, base_tsc, rate_q32;
};

struct nic_clock {
    /* control thread */
    struct nic_clock_line samples[NIC_CLOCK_SAMPLES]; /* a ring; rate_q32 unused */
    uint32_t taken;
    uint64_t tsc_hz;
    /* control thread writes, queue thread reads; version is odd while the others change */
    _Atomic uint32_t version;
    _Atomic uint64_t base_ticks, base_tsc, rate_q32;
    /* queue thread */
    uint32_t seen_version;
    struct nic_clock_line line;
};

/* tsc_hz: ticks of the time-stamp counter in a second. */
void nic_clock_init(struct nic_clock *clock, uint64_t tsc_hz);

/* Both clocks read at the same moment. A clock that ran away from the line by more than 100 us
 * since the last sample was set: what was known of it is forgotten, and the next sample begins
 * anew. Returns false for that. Control thread. */
bool nic_clock_sample(struct nic_clock *clock, uint64_t ticks, uint64_t tsc);

/* When a frame came, by its timestamp. now_tsc: the counter after it was taken from the NIC, which
 * is the answer, too, where the clock is not known, and where it says a time that cannot be: one
 * that is more than a minute ago. A time after now_tsc is now_tsc. Queue thread. */
uint64_t nic_clock_tsc(struct nic_clock *clock, uint64_t ticks, uint64_t now_tsc);

#endif
