/*
 * The reader's half of a trace ring, and what its events mean. Any thread: it loads atomics and
 * constant tables. Called by control_report.c and tests.
 */
#include "dataplane/trace.h"

#include "rings/report.h"

#define TRACE_ROW(name, text, a_kind, a, b_kind, b) \
    {#name, text, a, b, RS_REPORT_VALUE_##a_kind, RS_REPORT_VALUE_##b_kind},
const struct trace_text trace_texts[TRACE_EVENT_COUNT] = {{"none", "", "", "", 0, 0},
                                                          TRACE_EVENTS(TRACE_ROW)};
#undef TRACE_ROW

uint64_t trace_written(const struct trace_ring *ring)
{
    return atomic_load_explicit(&ring->written, memory_order_acquire);
}

bool trace_read(const struct trace_ring *ring, uint64_t number, struct trace_record *out)
{
    const struct trace_slot *slot = &ring->slots[(number - 1) & (TRACE_RECORDS - 1)];
    if (number == 0 || atomic_load_explicit(&slot->number, memory_order_acquire) != number) {
        return false;
    }
    /* A field of a later record was stored behind a zero in `number`: having loaded it, the last
     * load here cannot find the old number any more. */
    uint64_t tsc = atomic_load_explicit(&slot->tsc, memory_order_acquire);
    uint64_t addresses = atomic_load_explicit(&slot->addresses, memory_order_acquire);
    uint64_t what = atomic_load_explicit(&slot->what, memory_order_acquire);
    uint64_t values = atomic_load_explicit(&slot->values, memory_order_acquire);
    *out = (struct trace_record){.tsc = tsc,
                                 .local_be32 = (uint32_t)(addresses >> 32),
                                 .peer_be32 = (uint32_t)addresses,
                                 .local_port_be16 = (uint16_t)(what >> 16),
                                 .peer_port_be16 = (uint16_t)what,
                                 .event = (uint32_t)(what >> 32),
                                 .a = (uint32_t)(values >> 32),
                                 .b = (uint32_t)values};
    return atomic_load_explicit(&slot->number, memory_order_relaxed) == number;
}
