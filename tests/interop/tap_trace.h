/*
 * The newest frames of a test NIC, kept by their headers and printed when a test fails: what
 * tcpdump would show, and what became of each. One thread.
 */
#ifndef RINGSOCK_TESTS_INTEROP_TAP_TRACE_H
#define RINGSOCK_TESTS_INTEROP_TAP_TRACE_H

#include <stdint.h>
#include <stdio.h>

#define TAP_TRACE_FRAMES 2048u
#define TAP_TRACE_BYTES  96u

struct tap_trace_frame {
    uint64_t at_ns;
    const char *direction; /* "in" or "out", as the stack sees it */
    const char *fate;      /* "", or what the line did with it */
    uint32_t len_bytes;
    uint8_t head[TAP_TRACE_BYTES];
};

struct tap_trace {
    uint64_t count; /* ever */
    uint64_t start_ns;
    struct tap_trace_frame frames[TAP_TRACE_FRAMES];
    uint32_t first_seq[65536]; /* by tap_trace_key: of the SYN seen last */
};

void tap_trace_add(struct tap_trace *trace, const char *direction, const char *fate,
                   const uint8_t *frame, uint32_t len_bytes, uint64_t now_ns);
/* between: called before each frame with its time, and at the end; may print what happened till
 * then.
 */
void tap_trace_print(const struct tap_trace *trace, FILE *out,
                     void (*between)(FILE *out, uint64_t until_ns));

#endif
