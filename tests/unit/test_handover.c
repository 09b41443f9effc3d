/*
 * The hand-over ring between two queues: what goes in comes out, in order and whole, a full ring
 * says so, and two threads at it (also under the thread sanitizer) lose and mix nothing. Calls
 * dataplane/handover.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "dataplane/handover.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

enum { SLOTS = 8, PAYLOAD_BYTES = 100, LAPS = 5, THREAD_SLOTS = 16, THREAD_ROUNDS = 200000 };

static struct handover_ring *ring;

static int setup(void **state)
{
    (void)state;
    return handover_create(SLOTS, PAYLOAD_BYTES, &ring) == RS_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    handover_destroy(ring);
    return 0;
}

static void put(uint32_t number, uint32_t bytes)
{
    struct handover_slot *slot = handover_reserve(ring, bytes);
    assert_non_null(slot);
    slot->kind = HANDOVER_FRAME;
    slot->flags = number;
    memset(handover_payload(slot), (int)number, bytes);
    handover_commit(ring);
}

static void take(uint32_t number, uint32_t bytes)
{
    struct handover_slot *slot = handover_peek(ring);
    assert_non_null(slot);
    assert_int_equal(slot->kind, HANDOVER_FRAME);
    assert_int_equal(slot->flags, number);
    assert_int_equal(slot->len_bytes, bytes);
    for (uint32_t i = 0; i < bytes; i++) {
        assert_int_equal(handover_payload(slot)[i], (uint8_t)number);
    }
    handover_release(ring);
}

static void what_goes_in_comes_out_in_order(void **state)
{
    (void)state;
    for (uint32_t lap = 0; lap < LAPS; lap++) {
        for (uint32_t i = 0; i < SLOTS; i++) {
            put(lap * SLOTS + i, i * PAYLOAD_BYTES / SLOTS);
        }
        assert_null(handover_reserve(ring, 0));
        for (uint32_t i = 0; i < SLOTS; i++) {
            take(lap * SLOTS + i, i * PAYLOAD_BYTES / SLOTS);
        }
        assert_null(handover_peek(ring));
    }
}

static void a_full_ring_has_room_again_after_one_release(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SLOTS; i++) {
        put(i, 1);
    }
    assert_null(handover_reserve(ring, 1));
    take(0, 1);
    put(SLOTS, 1);
    assert_null(handover_reserve(ring, 1));
    for (uint32_t i = 1; i <= SLOTS; i++) {
        take(i, 1);
    }
}

static void a_reserved_slot_is_not_seen_before_commit(void **state)
{
    (void)state;
    struct handover_slot *slot = handover_reserve(ring, 10);
    assert_non_null(slot);
    assert_null(handover_peek(ring));
    assert_ptr_equal(handover_reserve(ring, 20), slot);
    handover_commit(ring);
    assert_ptr_equal(handover_peek(ring), slot);
    assert_ptr_equal(handover_peek(ring), slot);
    assert_int_equal(slot->len_bytes, 20);
    handover_release(ring);
    assert_null(handover_peek(ring));
}

static void payloads_are_aligned_apart_and_bounded(void **state)
{
    (void)state;
    uint8_t *first = NULL;
    assert_int_equal(handover_payload_max(ring), PAYLOAD_BYTES);
    assert_null(handover_reserve(ring, PAYLOAD_BYTES + 1));
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct handover_slot *slot = handover_reserve(ring, PAYLOAD_BYTES);
        assert_non_null(slot);
        uint8_t *payload = handover_payload(slot);
        assert_int_equal((uintptr_t)payload % RS_LINE_BYTES, 0);
        first = first == NULL ? payload : first;
        memset(payload, (int)i, PAYLOAD_BYTES);
        handover_commit(ring);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct handover_slot *slot = handover_peek(ring);
        assert_non_null(slot);
        assert_int_equal(slot->len_bytes, PAYLOAD_BYTES);
        assert_int_equal(first[i * (sizeof(*slot) + 2 * (size_t)RS_LINE_BYTES)], i);
        handover_release(ring);
    }
}

static void odd_sizes_are_refused(void **state)
{
    (void)state;
    struct handover_ring *other = NULL;
    assert_int_equal(handover_create(0, 10, &other), RS_INVALID);
    assert_int_equal(handover_create(6, 10, &other), RS_INVALID);
    assert_int_equal(handover_create(8, UINT32_MAX, &other), RS_INVALID);
    assert_null(other);
    handover_destroy(NULL);
}

/* ---- two threads ---- */

static uint64_t seed;

/* What message number n holds, so that both threads know it. */
static struct test_random content(uint64_t number)
{
    return test_random_make(seed ^ number * 0x9e3779b97f4a7c15ull);
}

static void *producer(void *unused)
{
    (void)unused;
    for (uint32_t n = 0; n < THREAD_ROUNDS;) {
        struct test_random rng = content(n);
        uint32_t bytes = test_random_below(&rng, PAYLOAD_BYTES + 1);
        struct handover_slot *slot = handover_reserve(ring, bytes);
        if (slot == NULL) {
            sched_yield();
            continue;
        }
        slot->kind = n % 3;
        slot->session_id = n;
        slot->socket_idx = ~n;
        slot->channel_mask = test_random_u64(&rng);
        memset(handover_payload(slot), (int)(uint8_t)slot->channel_mask, bytes);
        handover_commit(ring);
        n++;
    }
    return NULL;
}

static void *consumer(void *unused)
{
    (void)unused;
    for (uint32_t n = 0; n < THREAD_ROUNDS;) {
        struct handover_slot *slot = handover_peek(ring);
        if (slot == NULL) {
            sched_yield();
            continue;
        }
        struct test_random rng = content(n);
        CHECK(slot->len_bytes == test_random_below(&rng, PAYLOAD_BYTES + 1));
        CHECK(slot->kind == n % 3 && slot->session_id == n && slot->socket_idx == ~n);
        CHECK(slot->channel_mask == test_random_u64(&rng));
        for (uint32_t i = 0; i < slot->len_bytes; i++) {
            CHECK(handover_payload(slot)[i] == (uint8_t)slot->channel_mask);
        }
        handover_release(ring);
        n++;
    }
    return NULL;
}

static void two_threads_lose_and_mix_nothing(void **state)
{
    (void)state;
    pthread_t threads[2];
    seed = test_random_seed("handover");
    handover_destroy(ring);
    assert_int_equal(handover_create(THREAD_SLOTS, PAYLOAD_BYTES, &ring), RS_OK);
    assert_int_equal(pthread_create(&threads[0], NULL, producer, NULL), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, consumer, NULL), 0);
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    assert_null(handover_peek(ring));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_goes_in_comes_out_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_ring_has_room_again_after_one_release, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_reserved_slot_is_not_seen_before_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(payloads_are_aligned_apart_and_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(odd_sizes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(two_threads_lose_and_mix_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
