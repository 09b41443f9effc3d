/*
 * Benches of rings/ alone, with two threads in place of two processes: the bare cache-line floor,
 * the request slot and record round trip, and both rings one way. Near is the client's part, far
 * the dataplane's.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/pair.h"
#include "bench/payload.h"
#include "rings/dgram_ring.h"
#include "rings/os/os.h"
#include "rings/slot_ring.h"
#include "rings/wakeup.h"

enum { RINGS_SLOTS = 256, RINGS_RECV_BYTES = 64 * 1024, RINGS_BATCH = 32, RINGS_WARM_UP = 1000 };

/* ---- floor ---- */

struct floor_line {
    _Alignas(
        RS_LINE_BYTES) _Atomic uint64_t turn; /* odd: far's turn. Near and far store in turns. */
    _Alignas(RS_LINE_BYTES) uint64_t rounds;
};

static void floor_near(void *arg)
{
    struct floor_line *line = arg;
    for (uint64_t i = 0; i < line->rounds; i++) {
        atomic_store_explicit(&line->turn, 2 * i + 1, memory_order_release);
        while (atomic_load_explicit(&line->turn, memory_order_acquire) != 2 * i + 2) {
        }
    }
}

static void floor_far(void *arg)
{
    struct floor_line *line = arg;
    for (uint64_t i = 0; i < line->rounds; i++) {
        while (atomic_load_explicit(&line->turn, memory_order_acquire) != 2 * i + 1) {
        }
        atomic_store_explicit(&line->turn, 2 * i + 2, memory_order_release);
    }
}

uint64_t bench_floor(struct bench_context *context, uint64_t iterations)
{
    static struct floor_line line;
    line = (struct floor_line){.rounds = iterations};
    uint64_t elapsed_ns = pair_run(context, floor_near, floor_far, &line);
    context->verified = iterations;
    return elapsed_ns;
}

/* ---- the same with a line for each direction: what two mailboxes cost without any protocol ----
 */

struct floor_lines {
    _Alignas(2 * RS_LINE_BYTES) _Atomic uint64_t there; /* near stores, far polls */
    _Alignas(2 * RS_LINE_BYTES) _Atomic uint64_t back;  /* far stores, near polls */
    uint64_t rounds;                                    /* read once, at the start */
};

static void floor_two_near(void *arg)
{
    struct floor_lines *lines = arg;
    uint64_t rounds = lines->rounds;
    for (uint64_t i = 1; i <= rounds; i++) {
        atomic_store_explicit(&lines->there, i, memory_order_release);
        while (atomic_load_explicit(&lines->back, memory_order_acquire) != i) {
        }
    }
}

static void floor_two_far(void *arg)
{
    struct floor_lines *lines = arg;
    uint64_t rounds = lines->rounds;
    for (uint64_t i = 1; i <= rounds; i++) {
        while (atomic_load_explicit(&lines->there, memory_order_acquire) != i) {
        }
        atomic_store_explicit(&lines->back, i, memory_order_release);
    }
}

uint64_t bench_floor_two_lines(struct bench_context *context, uint64_t iterations)
{
    static struct floor_lines lines;
    lines = (struct floor_lines){.rounds = iterations};
    uint64_t elapsed_ns = pair_run(context, floor_two_near, floor_two_far, &lines);
    context->verified = iterations;
    return elapsed_ns;
}

/* ---- the rings that the other three share: as the session memory has them ---- */

struct rings_bench {
    _Alignas(RS_PAGE_BYTES) struct rs_request slots[RINGS_SLOTS];    /* cl */
    _Alignas(RS_PAGE_BYTES) uint8_t recv[RINGS_RECV_BYTES];          /* dp */
    _Alignas(RS_PAGE_BYTES) struct rs_channel_state channel_state;   /* dp */
    _Alignas(RS_PAGE_BYTES) struct rs_channel_client channel_client; /* cl */
    _Alignas(RS_PAGE_BYTES) struct rs_socket_client socket_client;   /* cl */
    _Alignas(RS_PAGE_BYTES) struct slot_producer producer;           /* near's own */
    struct dgram_reader reader;
    uint64_t near_wrong, rounds;
    _Alignas(RS_PAGE_BYTES) struct slot_consumer consumer; /* far's own */
    struct dgram_writer writer;
    struct wakeup_signaller signaller;
    uint64_t far_wrong, wake_ups;
};

static struct rings_bench rings_bench;

static struct rings_bench *rings_bench_reset(uint64_t rounds)
{
    struct rings_bench *b = &rings_bench;
    memset(b, 0, sizeof(*b));
    b->rounds = rounds;
    slot_consumer_init(&b->consumer, b->slots, RINGS_SLOTS, &b->channel_state, 0);
    slot_producer_init(&b->producer, b->slots, RINGS_SLOTS, &b->channel_state);
    dgram_writer_init(&b->writer, b->recv, RINGS_RECV_BYTES, &b->socket_client.recv_head[0],
                      RINGS_RECV_BYTES, 0);
    dgram_reader_init(&b->reader, b->recv, RINGS_RECV_BYTES, &b->socket_client.recv_head[0], 0);
    b->signaller.shared = &b->channel_client;
    return b;
}

static uint64_t rings_bench_finish(struct bench_context *context, uint64_t elapsed_ns,
                                   uint64_t iterations)
{
    const struct rings_bench *b = &rings_bench;
    if (elapsed_ns != 0 && (b->near_wrong != 0 || b->far_wrong != 0 || b->wake_ups != 0)) {
        (void)snprintf(context->error, sizeof(context->error),
                       "wrong data: %llu near, %llu far, %llu false wake-ups",
                       (unsigned long long)b->near_wrong, (unsigned long long)b->far_wrong,
                       (unsigned long long)b->wake_ups);
        return 0;
    }
    context->verified = iterations;
    return elapsed_ns;
}

static void rings_post(struct rings_bench *b, uint64_t seq)
{
    struct rs_request *slot;
    while ((slot = slot_producer_reserve(&b->producer)) == NULL) {
    }
    struct payload payload;
    payload_fill(&payload, seq);
    slot->op = RS_OP_SEND_INLINE;
    slot->len_bytes = RS_INLINE_BYTES;
    slot->port_be16 = 0;
    slot->socket_idx = 1;
    slot->generation = 1;
    slot->arg = 0;
    memcpy(slot->payload, &payload, RS_INLINE_BYTES);
    (void)slot_producer_publish(&b->producer);
}

static uint64_t rings_wrong(const void *data, uint64_t seq, size_t bytes)
{
    struct payload want;
    payload_fill(&want, seq);
    return memcmp(data, &want, bytes) != 0;
}

/* ---- slot round trip ---- */

static void slot_near(void *arg)
{
    struct rings_bench *b = arg;
    for (uint64_t i = 0; i < b->rounds; i++) {
        struct dgram_view view;
        rings_post(b, i);
        while (dgram_reader_peek(&b->reader, &view) != RS_OK) {
            os_cpu_relax(); /* as client_wait does; a denser poll takes the line from its writer */
        }
        b->near_wrong += view.header.len_bytes != RS_INLINE_BYTES ||
                         rings_wrong(view.payload, i, RS_INLINE_BYTES);
        dgram_reader_consume(&b->reader, &view);
    }
}

static void slot_far(void *arg)
{
    struct rings_bench *b = arg;
    for (uint64_t i = 0; i < b->rounds; i++) {
        struct rs_request request;
        struct rs_dgram *record;
        while (!slot_consumer_peek(&b->consumer, &request)) {
            os_cpu_relax();
        }
        while (dgram_writer_reserve(&b->writer, request.len_bytes, RS_DGRAM_SHORT_OFF, &record) !=
               RS_OK) {
        }
        record->src_be32 = request.arg;
        record->src_port_be16 = request.port_be16;
        memcpy((uint8_t *)record + RS_DGRAM_SHORT_OFF, request.payload, RS_INLINE_BYTES);
        dgram_writer_commit(&b->writer);
        slot_consumer_advance(&b->consumer);
        slot_consumer_publish(&b->consumer);
        wakeup_fence();
        b->wake_ups += wakeup_needed(&b->signaller);
    }
}

uint64_t bench_slot_round_trip(struct bench_context *context, uint64_t iterations)
{
    (void)pair_run(context, slot_near, slot_far, rings_bench_reset(RINGS_WARM_UP));
    uint64_t elapsed_ns = pair_run(context, slot_near, slot_far, rings_bench_reset(iterations));
    return rings_bench_finish(context, elapsed_ns, iterations);
}

/* ---- slots one way ---- */

static void slot_stream_near(void *arg)
{
    struct rings_bench *b = arg;
    for (uint64_t i = 0; i < b->rounds; i++) {
        rings_post(b, i);
    }
    while (!slot_producer_consumed(&b->producer, b->rounds - 1)) {
    }
}

static void slot_stream_far(void *arg)
{
    struct rings_bench *b = arg;
    for (uint64_t i = 0; i < b->rounds;) {
        struct rs_request request;
        for (int k = 0; k < RINGS_BATCH && slot_consumer_peek(&b->consumer, &request); k++) {
            b->far_wrong += rings_wrong(request.payload, i, RS_INLINE_BYTES);
            slot_consumer_advance(&b->consumer);
            i++;
        }
        slot_consumer_publish(&b->consumer);
    }
}

uint64_t bench_slot_stream(struct bench_context *context, uint64_t iterations)
{
    uint64_t elapsed_ns =
        pair_run(context, slot_stream_near, slot_stream_far, rings_bench_reset(iterations));
    return rings_bench_finish(context, elapsed_ns, iterations);
}

/* ---- records one way: far writes, near reads, as on the receive path ---- */

static void record_stream_near(void *arg)
{
    struct rings_bench *b = arg;
    for (uint64_t i = 0; i < b->rounds; i++) {
        struct dgram_view view;
        while (dgram_reader_peek(&b->reader, &view) != RS_OK) {
        }
        b->near_wrong +=
            view.header.len_bytes != PAYLOAD_BYTES || rings_wrong(view.payload, i, PAYLOAD_BYTES);
        dgram_reader_consume(&b->reader, &view);
    }
}

static void record_stream_far(void *arg)
{
    struct rings_bench *b = arg;
    for (uint64_t i = 0; i < b->rounds; i++) {
        struct rs_dgram *record;
        struct payload payload;
        payload_fill(&payload, i);
        while (dgram_writer_reserve(&b->writer, PAYLOAD_BYTES, RS_DGRAM_SHORT_OFF, &record) !=
               RS_OK) {
        }
        memcpy((uint8_t *)record + RS_DGRAM_SHORT_OFF, &payload, sizeof(payload));
        dgram_writer_commit(&b->writer);
    }
}

uint64_t bench_record_stream(struct bench_context *context, uint64_t iterations)
{
    uint64_t elapsed_ns =
        pair_run(context, record_stream_near, record_stream_far, rings_bench_reset(iterations));
    return rings_bench_finish(context, elapsed_ns, iterations);
}
