/*
 * Both ends of each ring as threads, for the thread sanitizer and the real memory model: send rings
 * with level posts and inline datagrams through a request ring that is short of room, a receive
 * ring, a stream ring, and sleeping with a simulated event. Each side checks every byte it gets.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "rings/dgram_ring.h"
#include "rings/hint_ring.h"
#include "rings/post.h"
#include "rings/stream_ring.h"
#include "rings/wakeup.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

enum { ROUNDS = 60000 };

static uint64_t seed;

static void run_both(void *(*first)(void *), void *(*second)(void *))
{
    pthread_t threads[2];
    CHECK(pthread_create(&threads[0], NULL, first, NULL) == 0);
    CHECK(pthread_create(&threads[1], NULL, second, NULL) == 0);
    CHECK(pthread_join(threads[0], NULL) == 0);
    CHECK(pthread_join(threads[1], NULL) == 0);
}

/* ---- send rings and level posts ---------------------------------------------------------------
 */

enum { SLOTS = 64, SOCKETS = 8, RING_BYTES = 2048, BATCH = 4, POST_ROUNDS = ROUNDS };

static struct {
    _Alignas(64) struct rs_request slots[SLOTS];
    struct rs_channel_state state;
    struct rs_channel_client channel;
    struct rs_socket_client clients[SOCKETS];
    struct rs_socket_state states[SOCKETS];
    _Alignas(64) uint8_t rings[SOCKETS][RING_BYTES];
} post_shared;
static uint64_t posts_levelled, posts_inline;

static void *post_client(void *unused)
{
    (void)unused;
    struct test_random rng = test_random_make(seed);
    struct post_channel channel;
    struct post_socket posts[SOCKETS] = {0};
    struct dgram_send_writer writers[SOCKETS];
    uint32_t numbers[SOCKETS] = {0};
    /* A limit beyond the sockets makes the reserve large, and pressure common. */
    post_channel_init(&channel, post_shared.slots, SLOTS, &post_shared.state, &post_shared.channel,
                      SLOTS - RS_REPLY_CELLS - 8);
    for (uint32_t i = 0; i < SOCKETS; i++) {
        dgram_send_writer_init(&writers[i], post_shared.rings[i], RING_BYTES,
                               &post_shared.states[i].send_head, RING_BYTES, 0);
    }
    for (uint32_t sent = 0; sent < POST_ROUNDS;) {
        uint32_t i = test_random_below(&rng, SOCKETS);
        uint32_t len = 4 + test_random_below(&rng, 200);
        struct rs_request *slot =
            len > RS_INLINE_BYTES
                ? NULL
                : post_inline_reserve(&channel, dgram_send_writer_empty(&writers[i]));
        if (slot != NULL) {
            slot->op = RS_OP_SEND_INLINE;
            slot->len_bytes = (uint8_t)len;
            slot->socket_idx = i;
            memcpy(slot->payload, &numbers[i], 4);
            post_inline_publish(&channel, &posts[i]);
            posts_inline++;
        } else {
            struct rs_send_dgram *record;
            if (dgram_send_writer_reserve(&writers[i], len, RS_SEND_SHORT_OFF, &record) != RS_OK) {
                sched_yield();
                continue;
            }
            memset(record + 1, (int)numbers[i], len);
            memcpy(record + 1, &numbers[i], 4);
            uint32_t tail = dgram_send_writer_commit(&writers[i], record);
            uint64_t before = channel.producer.tail;
            CHECK(post_tail(&channel, &posts[i], &post_shared.clients[i], i, 1, tail) == RS_OK);
            posts_levelled += channel.producer.tail == before;
        }
        numbers[i]++;
        sent++;
    }
    return NULL;
}

static void post_take(struct dgram_send_reader *reader, uint32_t tail, uint32_t *number,
                      uint32_t *taken)
{
    struct dgram_send_view view;
    CHECK(dgram_send_reader_extend(reader, tail) == RS_OK);
    while (dgram_send_reader_peek(reader, &view) == RS_OK) {
        uint32_t got;
        memcpy(&got, view.payload, 4);
        CHECK(got == *number);
        for (uint32_t k = 4; k < view.header.len_bytes; k++) {
            CHECK(view.payload[k] == (uint8_t)got);
        }
        dgram_send_reader_advance(reader, &view);
        ++*number;
        ++*taken;
    }
    dgram_send_reader_publish(reader);
}

static void *post_dataplane(void *unused)
{
    (void)unused;
    struct slot_consumer consumer = {
        .slots = post_shared.slots, .state = &post_shared.state, .mask = SLOTS - 1};
    struct dgram_send_reader readers[SOCKETS];
    uint32_t numbers[SOCKETS] = {0}, taken = 0;
    for (uint32_t i = 0; i < SOCKETS; i++) {
        readers[i] = (struct dgram_send_reader){.base = post_shared.rings[i],
                                                .head_word = &post_shared.states[i].send_head,
                                                .size_bytes = RING_BYTES};
    }
    while (taken < POST_ROUNDS) {
        struct rs_request request;
        uint32_t position_of[SOCKETS], posted = 0, count = 0;
        for (; count < BATCH && slot_consumer_peek(&consumer, &request); count++) {
            uint32_t i = request.socket_idx;
            if (request.op == RS_OP_POST) {
                post_take(&readers[i], request.arg, &numbers[i], &taken);
                posted |= 1u << i;
                position_of[i] = consumer.head;
            } else {
                CHECK(memcmp(request.payload, &numbers[i], 4) == 0);
                numbers[i]++;
                taken++;
            }
            slot_consumer_advance(&consumer);
        }
        if (count == 0) {
            sched_yield();
            continue;
        }
        slot_consumer_publish(&consumer);
        rs_fence_full();
        for (uint32_t i = 0; posted != 0 && i < SOCKETS && post_pressure(&post_shared.channel);
             i++) {
            uint32_t tail;
            if ((posted & 1u << i) != 0 &&
                post_level_take(&post_shared.clients[i], position_of[i], &tail)) {
                post_take(&readers[i], tail, &numbers[i], &taken);
            }
        }
    }
    return NULL;
}

/* ---- receive ring -----------------------------------------------------------------------------
 */

enum { RECV_BYTES = 4096 };
static _Alignas(64) uint8_t recv_ring[RECV_BYTES];
static rs_atomic_u32 recv_head;

static void *recv_dataplane(void *unused)
{
    (void)unused;
    struct test_random rng = test_random_make(seed);
    struct dgram_writer writer;
    dgram_writer_init(&writer, recv_ring, RECV_BYTES, &recv_head, RECV_BYTES, 0);
    for (uint32_t i = 0; i < ROUNDS;) {
        uint32_t len = 4 + test_random_below(&rng, test_random_below(&rng, 8) == 0 ? 1500 : 60);
        struct rs_dgram *record;
        enum rs_status status = RS_WOULD_BLOCK;
        while (status == RS_WOULD_BLOCK) {
            status = dgram_writer_reserve(&writer, len, RS_DGRAM_SHORT_OFF, &record);
            if (status == RS_WOULD_BLOCK) {
                sched_yield();
            }
        }
        CHECK(status == RS_OK);
        memset((uint8_t *)record + RS_DGRAM_SHORT_OFF, (int)i, len);
        record->rx_tsc = i++;
        dgram_writer_commit(&writer);
    }
    return NULL;
}

static void *recv_client(void *unused)
{
    (void)unused;
    struct dgram_reader reader;
    dgram_reader_init(&reader, recv_ring, RECV_BYTES, &recv_head, 0);
    for (uint32_t i = 0; i < ROUNDS;) {
        struct dgram_view view;
        enum rs_status status = dgram_reader_peek(&reader, &view);
        if (status == RS_WOULD_BLOCK) {
            sched_yield();
            continue;
        }
        CHECK(status == RS_OK && view.header.rx_tsc == i);
        for (uint32_t k = 0; k < view.header.len_bytes; k++) {
            CHECK(view.payload[k] == (uint8_t)i);
        }
        dgram_reader_consume(&reader, &view);
        i++;
    }
    return NULL;
}

/* ---- stream ring ------------------------------------------------------------------------------
 */

enum { STREAM_BYTES = 1024, STREAM_TOTAL = 4 * 1024 * 1024 };
static uint8_t stream_ring[STREAM_BYTES];
static rs_atomic_u32 stream_head, stream_tail;

static void *stream_producer(void *unused)
{
    (void)unused;
    struct test_random rng = test_random_make(seed);
    struct stream_writer writer;
    stream_writer_init(&writer, stream_ring, STREAM_BYTES, STREAM_BYTES, 0);
    for (uint32_t written = 0; written < STREAM_TOTAL;) {
        CHECK(stream_writer_refresh(&writer, &stream_head, RS_POISONED) == RS_OK);
        struct stream_region regions[2];
        uint32_t want = 1 + test_random_below(&rng, 700);
        want = want < STREAM_TOTAL - written ? want : STREAM_TOTAL - written;
        uint32_t got = stream_writer_regions(&writer, 0, want, regions);
        for (int r = 0; r < 2; r++) {
            for (uint32_t i = 0; i < regions[r].len_bytes; i++) {
                regions[r].base[i] = (uint8_t)(written++ * 7);
            }
        }
        stream_writer_commit(&writer, got);
        stream_writer_publish(&writer, &stream_tail);
        if (got == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void *stream_consumer(void *unused)
{
    (void)unused;
    struct stream_reader reader;
    stream_reader_init(&reader, stream_ring, STREAM_BYTES, 0);
    for (uint32_t consumed = 0; consumed < STREAM_TOTAL;) {
        CHECK(stream_reader_refresh(&reader, &stream_tail, RS_CORRUPT) == RS_OK);
        struct stream_const_region regions[2];
        uint32_t got = stream_reader_regions(&reader, 0, STREAM_BYTES, regions);
        for (int r = 0; r < 2; r++) {
            for (uint32_t i = 0; i < regions[r].len_bytes; i++) {
                CHECK(regions[r].base[i] == (uint8_t)(consumed++ * 7));
            }
        }
        stream_reader_consume(&reader, got);
        stream_reader_publish(&reader, &stream_head);
        if (got == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* ---- sleeping with hints ----------------------------------------------------------------------
 */

enum { WAKE_ROUNDS = 20000 };
static struct rs_channel_client wake_channel;
static struct rs_channel_state wake_state;
static struct rs_socket_client wake_socket;
static struct rs_hint wake_hints[4];
static rs_atomic_u32 wake_level, wake_seen;
static pthread_mutex_t event_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t event_condition = PTHREAD_COND_INITIALIZER;
static bool event_signalled;
static uint32_t sleeps;

static void event_wait(void)
{
    pthread_mutex_lock(&event_mutex);
    while (!event_signalled) {
        pthread_cond_wait(&event_condition, &event_mutex);
    }
    event_signalled = false;
    pthread_mutex_unlock(&event_mutex);
}

static void event_signal(void)
{
    pthread_mutex_lock(&event_mutex);
    event_signalled = true;
    pthread_cond_signal(&event_condition);
    pthread_mutex_unlock(&event_mutex);
}

/* Sleeps for each step of the level; a lost wake-up hangs, and ctest's time-out says so. */
static void *wake_client(void *unused)
{
    (void)unused;
    struct wakeup_waiter waiter = {.shared = &wake_channel};
    struct hint_consumer hints;
    hint_consumer_init(&hints, wake_hints, 4, &wake_state, &wake_channel, 0);
    for (uint32_t seen = 0; seen < WAKE_ROUNDS;) {
        uint32_t socket_idx, generation;
        arm_set(&wake_socket, RS_LEVEL_READABLE, 63);
        wakeup_prepare(&waiter);
        while (hint_consumer_pop(&hints, &socket_idx, &generation)) {
            CHECK(socket_idx == 9 && generation == 2);
        }
        hint_consumer_publish(&hints);
        (void)hint_consumer_lost(&hints);
        if (atomic_load_explicit(&wake_level, memory_order_acquire) == seen) {
            event_wait();
            sleeps++;
        }
        wakeup_cancel(&waiter);
        seen = atomic_load_explicit(&wake_level, memory_order_acquire);
        atomic_store_explicit(&wake_seen, seen, memory_order_release);
    }
    return NULL;
}

static void *wake_dataplane(void *unused)
{
    (void)unused;
    struct wakeup_signaller signaller = {.shared = &wake_channel};
    struct hint_producer hints;
    uint32_t arm_seen = 0;
    hint_producer_init(&hints, wake_hints, 4, &wake_state, &wake_channel, 0);
    for (uint32_t i = 1; i <= WAKE_ROUNDS; i++) {
        atomic_store_explicit(&wake_level, i, memory_order_release);
        wakeup_fence();
        if (arm_take(&wake_socket, &arm_seen, RS_LEVEL_READABLE) == (uint64_t)1 << 63) {
            CHECK(hint_producer_push(&hints, 9, 2) == RS_OK);
            wakeup_fence();
        }
        if (wakeup_needed(&signaller)) {
            event_signal();
        }
        while (atomic_load_explicit(&wake_seen, memory_order_acquire) != i) {
            sched_yield(); /* in step, so that the client sleeps often */
        }
    }
    return NULL;
}

int main(void)
{
    seed = test_random_seed("model.threads");
    run_both(post_client, post_dataplane);
    printf("posts: %u datagrams, %llu inline, %llu by level\n", (unsigned)POST_ROUNDS,
           (unsigned long long)posts_inline, (unsigned long long)posts_levelled);
    CHECK(posts_inline > 0 && posts_levelled > 0);
    run_both(recv_dataplane, recv_client);
    run_both(stream_producer, stream_consumer);
    run_both(wake_client, wake_dataplane);
    printf("wake-ups: %u sleeps in %u steps\n", sleeps, (unsigned)WAKE_ROUNDS);
    return 0;
}
