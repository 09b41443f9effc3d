/*
 * Datagram rings against a naive queue: random operations at both ends of small rings, from
 * positions near 2^32, so that laps, fillers and the wrap of positions are common; then the same
 * with a hostile client. A ring is a heap block of exactly its size, for the address sanitizer.
 */
#include "rings/dgram_ring.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

enum { OPERATIONS = 250000, QUEUE_MAX = 4096 };

static struct test_random rng;

/* ---- the naive queue: lengths and a byte that fills the payload -------------------------------
 */

struct queue {
    uint32_t lens[QUEUE_MAX];
    uint8_t fills[QUEUE_MAX];
    uint64_t head, tail;
};

static void queue_push(struct queue *queue, uint32_t len, uint8_t fill)
{
    CHECK(queue->tail - queue->head < QUEUE_MAX);
    queue->lens[queue->tail % QUEUE_MAX] = len;
    queue->fills[queue->tail++ % QUEUE_MAX] = fill;
}

static void payload_check(const uint8_t *payload, uint32_t len, uint8_t fill)
{
    for (uint32_t i = 0; i < len; i++) {
        CHECK(payload[i] == fill);
    }
}

static uint32_t random_len(uint32_t ring_bytes)
{
    uint32_t max = test_random_below(&rng, 4) != 0 ? 100 : ring_bytes / 2;
    max = max > RS_DGRAM_MAX_BYTES ? RS_DGRAM_MAX_BYTES : max;
    return test_random_below(&rng, max + 1);
}

static uint8_t *ring_new(uint32_t bytes)
{
    uint8_t *ring = aligned_alloc(RS_LINE_BYTES, bytes);
    CHECK(ring != NULL);
    memset(ring, 0, bytes);
    return ring;
}

static uint32_t random_start(void)
{
    return (0u - 64u * test_random_below(&rng, 200)) & ~63u;
}

/* ---- receive ring ---------------------------------------------------------------------------- */

static void recv_write(struct dgram_writer *writer, struct queue *queue)
{
    uint32_t len = random_len(writer->size_bytes);
    uint8_t off = test_random_below(&rng, 4) == 0 ? RS_DGRAM_LONG_OFF : RS_DGRAM_SHORT_OFF;
    uint8_t fill = (uint8_t)test_random_u64(&rng);
    struct rs_dgram *record = NULL;
    enum rs_status status = dgram_writer_reserve(writer, len, off, &record);
    if (rs_dgram_span(off, len) > writer->size_bytes / 2) {
        CHECK(status == RS_MESSAGE_SIZE);
        return;
    }
    CHECK(status == RS_OK || status == RS_WOULD_BLOCK);
    if (status == RS_WOULD_BLOCK) {
        CHECK(queue->head != queue->tail); /* an empty ring takes whatever is not too long */
        return;
    }
    record->ttl = fill;
    memset((uint8_t *)record + off, fill, len);
    if (test_random_below(&rng, 10) != 0) { /* else: forgotten */
        dgram_writer_commit(writer);
        queue_push(queue, len, fill);
    }
}

static void recv_read(struct dgram_reader *reader, struct queue *queue)
{
    struct dgram_view view;
    enum rs_status status = dgram_reader_peek(reader, &view);
    CHECK(status == (queue->head == queue->tail ? RS_WOULD_BLOCK : RS_OK));
    CHECK(dgram_reader_ready(reader) == (status == RS_OK));
    if (status != RS_OK) {
        return;
    }
    uint64_t at = queue->head % QUEUE_MAX;
    CHECK(view.header.len_bytes == queue->lens[at] && view.header.ttl == queue->fills[at]);
    CHECK((view.ext != NULL) == (view.header.payload_off == RS_DGRAM_LONG_OFF));
    payload_check(view.payload, queue->lens[at], queue->fills[at]);
    if (test_random_below(&rng, 4) != 0) { /* else: peeked only */
        dgram_reader_consume(reader, &view);
        queue->head++;
    }
}

/* Walks all that waits without consuming, as FIONREAD does. */
static void recv_walk(const struct dgram_reader *reader, const struct queue *queue)
{
    uint32_t position = reader->head;
    struct dgram_view view;
    for (uint64_t i = queue->head; i != queue->tail; i++) {
        CHECK(dgram_reader_peek_at(reader, &position, &view) == RS_OK);
        CHECK(view.header.len_bytes == queue->lens[i % QUEUE_MAX]);
        position += dgram_view_span(&view);
    }
    CHECK(dgram_reader_peek_at(reader, &position, &view) == RS_WOULD_BLOCK);
}

static void recv_model(uint32_t ring_bytes, uint32_t operations)
{
    static struct queue queue;
    queue.head = queue.tail = 0;
    uint8_t *ring = ring_new(ring_bytes);
    uint32_t start = random_start();
    rs_atomic_u32 head_word = start;
    struct dgram_writer writer;
    struct dgram_reader reader;
    dgram_writer_init(&writer, ring, ring_bytes, &head_word, ring_bytes, start);
    dgram_reader_init(&reader, ring, ring_bytes, &head_word, start);
    for (uint32_t i = 0; i < operations; i++) {
        uint32_t what = test_random_below(&rng, 100);
        if (what < 50) {
            recv_write(&writer, &queue);
        } else if (what < 98) {
            recv_read(&reader, &queue);
        } else if (what < 99) {
            recv_walk(&reader, &queue);
        } else {
            writer.limit_bytes = 1 + test_random_below(&rng, ring_bytes);
        }
    }
    printf("receive ring %6u bytes: %llu datagrams\n", ring_bytes, (unsigned long long)queue.head);
    CHECK(queue.head > operations / 8);
    free(ring);
}

/* ---- send ring ------------------------------------------------------------------------------- */

static void send_write(struct dgram_send_writer *writer, struct queue *queue)
{
    uint32_t len = random_len(writer->size_bytes);
    uint8_t fill = (uint8_t)test_random_u64(&rng);
    uint32_t payload_off = test_random_below(&rng, 3) == 0 ? RS_SEND_LONG_OFF : RS_SEND_SHORT_OFF;
    struct rs_send_dgram *record = NULL;
    enum rs_status status = dgram_send_writer_reserve(writer, len, payload_off, &record);
    if (rs_dgram_span(payload_off, len) > writer->size_bytes / 2) {
        CHECK(status == RS_MESSAGE_SIZE);
        return;
    }
    CHECK(status == RS_OK || status == RS_WOULD_BLOCK);
    if (status == RS_WOULD_BLOCK) {
        CHECK(queue->head != queue->tail);
        return;
    }
    record->dst_be32 = fill;
    if (payload_off == RS_SEND_LONG_OFF) {
        *(struct rs_send_ext *)(record + 1) =
            (struct rs_send_ext){.has = RS_SEND_STAMP, .stamp_id = ~(uint32_t)fill};
    }
    memset((uint8_t *)record + payload_off, fill, len);
    if (test_random_below(&rng, 10) != 0) {
        uint32_t tail = dgram_send_writer_commit(writer, record);
        CHECK(tail == writer->tail);
        queue_push(queue, len, fill);
    }
}

static void send_read(struct dgram_send_reader *reader, uint32_t tail, struct queue *queue)
{
    struct dgram_send_view view;
    CHECK(dgram_send_reader_extend(reader, tail) == RS_OK);
    enum rs_status status = dgram_send_reader_peek(reader, &view);
    CHECK(status == (queue->head == queue->tail ? RS_WOULD_BLOCK : RS_OK));
    if (status != RS_OK) {
        return;
    }
    uint64_t at = queue->head++ % QUEUE_MAX;
    CHECK(view.header.len_bytes == queue->lens[at] && view.header.dst_be32 == queue->fills[at]);
    CHECK((view.header.flags & RS_DGRAM_EXT) == 0 ||
          view.ext.stamp_id == ~(uint32_t)queue->fills[at]);
    payload_check(view.payload, queue->lens[at], queue->fills[at]);
    dgram_send_reader_advance(reader, &view);
    if (test_random_below(&rng, 2) == 0 || queue->head == queue->tail) {
        dgram_send_reader_publish(reader);
    }
}

static void send_model(uint32_t ring_bytes, uint32_t operations)
{
    static struct queue queue;
    queue.head = queue.tail = 0;
    uint8_t *ring = ring_new(ring_bytes);
    uint32_t start = random_start();
    rs_atomic_u32 head_word = start;
    struct dgram_send_writer writer;
    struct dgram_send_reader reader;
    dgram_send_reader_init(&reader, ring, ring_bytes, &head_word, start);
    dgram_send_writer_init(&writer, ring, ring_bytes, &head_word, ring_bytes, start);
    for (uint32_t i = 0; i < operations; i++) {
        if (test_random_below(&rng, 2) == 0) {
            send_write(&writer, &queue);
        } else {
            send_read(&reader, writer.tail, &queue);
        }
        if (dgram_send_writer_empty(&writer)) {
            CHECK(queue.head == queue.tail);
        }
    }
    printf("send ring    %6u bytes: %llu datagrams\n", ring_bytes, (unsigned long long)queue.head);
    CHECK(queue.head > operations / 8);
    free(ring);
}

/* ---- hostile client -------------------------------------------------------------------------- */

static uint32_t garbage32(uint32_t near)
{
    switch (test_random_below(&rng, 4)) {
    case 0:
        return (uint32_t)test_random_u64(&rng);
    case 1:
        return near + 64 * (test_random_below(&rng, 40) - 20);
    case 2:
        return near + test_random_below(&rng, 300) - 150;
    default:
        return near;
    }
}

/* Any word in recv_head: the writer says RS_POISONED or goes on inside the ring. */
static void recv_hostile(uint32_t ring_bytes, uint32_t operations)
{
    uint8_t *ring = ring_new(ring_bytes);
    uint32_t start = random_start(), poisoned = 0;
    rs_atomic_u32 head_word = start;
    struct dgram_writer writer;
    dgram_writer_init(&writer, ring, ring_bytes, &head_word, ring_bytes, start);
    for (uint32_t i = 0; i < operations; i++) {
        uint32_t len = random_len(ring_bytes);
        struct rs_dgram *record = NULL;
        head_word = garbage32(writer.tail);
        enum rs_status status = dgram_writer_reserve(&writer, len, RS_DGRAM_SHORT_OFF, &record);
        poisoned += status == RS_POISONED;
        if (status == RS_OK) {
            memset((uint8_t *)record + RS_DGRAM_SHORT_OFF, 0xff, len);
            dgram_writer_commit(&writer);
        }
        CHECK(rs_seq_distance(writer.head_cached, writer.tail) <= ring_bytes);
    }
    CHECK(poisoned > 0);
    free(ring);
}

/* Any tail and any bytes in the send ring: RS_POISONED, or a record that lies in the ring and
 * before the tail. */
static void send_hostile(uint32_t ring_bytes, uint32_t operations)
{
    uint8_t *ring = ring_new(ring_bytes);
    uint32_t start = random_start(), poisoned = 0, read = 0;
    volatile uint8_t sink = 0;
    rs_atomic_u32 head_word = start;
    struct dgram_send_reader reader;
    dgram_send_reader_init(&reader, ring, ring_bytes, &head_word, start);
    for (uint32_t i = 0; i < operations; i++) {
        struct rs_send_dgram header = {.len_bytes = (uint16_t)garbage32(100),
                                       .flags = (uint8_t)test_random_below(&rng, 3)};
        struct rs_send_ext ext = {.has = (uint8_t)test_random_below(&rng, RS_SEND_ALL + 2)};
        uint8_t *at = ring + (garbage32(reader.head) & (ring_bytes - 64));
        memcpy(at, &header, sizeof(header));
        memcpy(at + sizeof(header), &ext, sizeof(ext));
        poisoned += dgram_send_reader_extend(&reader, garbage32(reader.tail)) == RS_POISONED;
        struct dgram_send_view view;
        enum rs_status status = dgram_send_reader_peek(&reader, &view);
        CHECK(status == RS_OK || status == RS_WOULD_BLOCK || status == RS_POISONED);
        if (status == RS_OK) {
            for (uint32_t k = 0; k < view.header.len_bytes; k++) {
                sink = (uint8_t)(sink + view.payload[k]);
            }
            dgram_send_reader_advance(&reader, &view);
            CHECK(rs_seq_before_eq(reader.head, reader.tail));
            read++;
        } else if (status == RS_POISONED) {
            poisoned++;
            reader.head = reader.tail; /* the session would be over; go on with another one */
        }
    }
    CHECK(poisoned > 0 && read > 0);
    free(ring);
}

/* A receive ring of garbage (a broken dataplane): RS_CORRUPT, RS_WOULD_BLOCK, or a record inside
 * the ring. */
static void recv_corrupt(uint32_t ring_bytes, uint32_t operations)
{
    uint8_t *ring = ring_new(ring_bytes);
    uint32_t corrupt = 0, read = 0;
    volatile uint8_t sink = 0;
    rs_atomic_u32 head_word = 0;
    struct dgram_reader reader;
    dgram_reader_init(&reader, ring, ring_bytes, &head_word, 0);
    for (uint32_t i = 0; i < operations; i++) {
        static const uint8_t offs[] = {RS_DGRAM_SHORT_OFF, RS_DGRAM_LONG_OFF, 0, 255};
        struct rs_dgram header = {.seq = rs_dgram_seq(reader.head),
                                  .len_bytes = (uint16_t)garbage32(100),
                                  .payload_off = offs[test_random_below(&rng, 4)],
                                  .flags = (uint8_t)test_random_below(&rng, 4)};
        memcpy(ring + (reader.head & (ring_bytes - 1)), &header, sizeof(header));
        struct dgram_view view;
        enum rs_status status = dgram_reader_peek(&reader, &view);
        if (status == RS_OK) {
            for (uint32_t k = 0; k < view.header.len_bytes; k++) {
                sink = (uint8_t)(sink + view.payload[k]);
            }
            dgram_reader_consume(&reader, &view);
            read++;
        } else {
            CHECK(status == RS_CORRUPT || status == RS_WOULD_BLOCK);
            corrupt += status == RS_CORRUPT;
            reader.head += 64;
        }
    }
    CHECK(corrupt > 0 && read > 0);
    free(ring);
}

int main(void)
{
    rng = test_random_make(test_random_seed("model.dgram"));
    recv_model(256, OPERATIONS);
    recv_model(4096, OPERATIONS);
    recv_model(131072, OPERATIONS / 5);
    send_model(256, OPERATIONS);
    send_model(4096, OPERATIONS);
    send_model(131072, OPERATIONS / 5);
    recv_hostile(1024, OPERATIONS);
    send_hostile(1024, OPERATIONS);
    recv_corrupt(1024, OPERATIONS);
    return 0;
}
