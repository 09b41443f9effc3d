/*
 * Stream rings against a naive byte queue: random sizes at both ends of small rings from positions
 * near 2^32, data placed ahead of a gap, data read again; then a foreign index of any value.
 */
#include <string.h>

#include "rings/stream_ring.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

enum { OPERATIONS = 200000 };

static struct test_random rng;

/* The byte at a stream position (64-bit: the stream itself does not wrap). */
static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)(position * 151 + (position >> 8));
}

static void regions_fill(const struct stream_region regions[2], uint64_t position)
{
    for (int r = 0; r < 2; r++) {
        for (uint32_t i = 0; i < regions[r].len_bytes; i++) {
            regions[r].base[i] = byte_at(position++);
        }
    }
}

static void regions_check(const struct stream_const_region regions[2], uint64_t position)
{
    for (int r = 0; r < 2; r++) {
        for (uint32_t i = 0; i < regions[r].len_bytes; i++) {
            CHECK(regions[r].base[i] == byte_at(position++));
        }
    }
}

struct model {
    struct stream_writer writer;
    struct stream_reader reader;
    rs_atomic_u32 head_word, tail_word;
    uint64_t written, consumed; /* stream positions */
    uint32_t ahead;             /* bytes placed in order behind the tail, not committed */
};

static void write_some(struct model *m, uint32_t ring_bytes)
{
    CHECK(stream_writer_refresh(&m->writer, &m->head_word, RS_POISONED) == RS_OK);
    struct stream_region regions[2];
    uint32_t want = test_random_below(&rng, ring_bytes + 10);
    uint32_t got = stream_writer_regions(&m->writer, m->ahead, want, regions);
    CHECK(got <= want && regions[0].len_bytes + regions[1].len_bytes == got);
    regions_fill(regions, m->written + m->ahead);
    m->ahead += got;
    if (test_random_below(&rng, 2) == 0) { /* the gap is filled: all of it counts */
        stream_writer_commit(&m->writer, m->ahead);
        m->written += m->ahead;
        m->ahead = 0;
        stream_writer_publish(&m->writer, &m->tail_word);
    }
}

static void read_some(struct model *m, uint32_t ring_bytes)
{
    CHECK(stream_reader_refresh(&m->reader, &m->tail_word, RS_CORRUPT) == RS_OK);
    CHECK(stream_reader_ready(&m->reader) == m->written - m->consumed);
    struct stream_const_region regions[2];
    uint32_t skip = test_random_below(&rng, 20), want = test_random_below(&rng, ring_bytes + 10);
    (void)stream_reader_regions(&m->reader, skip, want, regions); /* read ahead, read again */
    regions_check(regions, m->consumed + skip);
    uint32_t got = stream_reader_regions(&m->reader, 0, want, regions);
    regions_check(regions, m->consumed);
    uint32_t used = test_random_below(&rng, got + 1);
    stream_reader_consume(&m->reader, used);
    m->consumed += used;
    stream_reader_publish(&m->reader, &m->head_word);
}

static void stream_model(uint32_t ring_bytes)
{
    uint8_t *ring = malloc(ring_bytes);
    CHECK(ring != NULL);
    uint32_t start = 0u - test_random_below(&rng, 3 * ring_bytes);
    struct model m = {.head_word = start, .tail_word = start};
    stream_writer_init(&m.writer, ring, ring_bytes, ring_bytes, start);
    stream_reader_init(&m.reader, ring, ring_bytes, start);
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        uint32_t what = test_random_below(&rng, 100);
        if (what < 50) {
            write_some(&m, ring_bytes);
        } else if (what < 99) {
            read_some(&m, ring_bytes);
        } else {
            m.writer.limit_bytes = 1 + test_random_below(&rng, ring_bytes);
        }
    }
    printf("stream ring %5u bytes: %llu bytes\n", ring_bytes, (unsigned long long)m.consumed);
    CHECK(m.consumed > OPERATIONS);
    free(ring);
}

/* Any foreign index: refused, or one that keeps both regions inside the ring. */
static void stream_hostile(uint32_t ring_bytes)
{
    uint8_t *ring = calloc(1, ring_bytes);
    CHECK(ring != NULL);
    struct stream_writer writer;
    struct stream_reader reader;
    uint32_t refused = 0;
    stream_writer_init(&writer, ring, ring_bytes, ring_bytes, 0xffffff00u);
    stream_reader_init(&reader, ring, ring_bytes, 0xffffff00u);
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        uint32_t wild = test_random_below(&rng, 2) == 0 ? 0xffffffffu : 2 * ring_bytes;
        rs_atomic_u32 head_word = writer.tail - test_random_below(&rng, wild);
        rs_atomic_u32 tail_word = reader.head + test_random_below(&rng, wild);
        struct stream_region regions[2];
        struct stream_const_region read_regions[2];
        refused += stream_writer_refresh(&writer, &head_word, RS_POISONED) == RS_POISONED;
        refused += stream_reader_refresh(&reader, &tail_word, RS_POISONED) == RS_POISONED;
        uint32_t got =
            stream_writer_regions(&writer, 0, test_random_below(&rng, ring_bytes), regions);
        regions_fill(regions, 0);
        stream_writer_commit(&writer, got);
        got = stream_reader_regions(&reader, 0, test_random_below(&rng, ring_bytes), read_regions);
        uint8_t copy[1024];
        CHECK(got <= sizeof(copy));
        memcpy(copy, read_regions[0].base, read_regions[0].len_bytes);
        memcpy(copy, read_regions[1].base, read_regions[1].len_bytes);
        stream_reader_consume(&reader, got);
    }
    CHECK(refused > 0);
    free(ring);
}

int main(void)
{
    rng = test_random_make(test_random_seed("model.stream"));
    stream_model(64);
    stream_model(4096);
    stream_hostile(1024);
    return 0;
}
