/*
 * The dataplane's small containers: the chunk arena of a session's rings, and the message rings
 * between control thread and queue, once on one thread and once with both ends as threads. Calls
 * dataplane/arena.c and message.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/arena.h"
#include "dataplane/message.h"
#include "rings/os/os.h"

static void chunks_do_not_overlap_and_come_back(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct rs_ref refs[4];
    struct rs_ref ref;
    assert_int_equal(arena_take(&arena, 4096, &ref), RS_NO_BUFFERS);
    assert_int_equal(arena_add(&arena, (struct rs_ref){2, 0}, 65536), RS_OK);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(arena_take(&arena, 16384, &refs[i]), RS_OK);
        assert_int_equal(refs[i].extent_idx, 2);
        assert_int_equal(refs[i].off, i * 16384);
    }
    assert_int_equal(arena_take(&arena, 4096, &ref), RS_NO_BUFFERS);
    assert_int_equal(arena_give(&arena, 16384, refs[1]), RS_OK);
    assert_int_equal(arena_take(&arena, 16384, &ref), RS_OK);
    assert_int_equal(ref.off, refs[1].off);
    arena_destroy(&arena);
}

static void the_rest_of_an_extent_is_used_before_it_is_forgotten(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct rs_ref ref;
    assert_int_equal(arena_add(&arena, (struct rs_ref){2, 0}, 32768), RS_OK);
    assert_int_equal(arena_take(&arena, 4096, &ref), RS_OK);
    assert_int_equal(arena_take(&arena, 32768, &ref), RS_NO_BUFFERS);
    assert_int_equal(arena_add(&arena, (struct rs_ref){3, 0}, 32768), RS_OK);
    assert_int_equal(arena_take(&arena, 32768, &ref), RS_OK);
    assert_int_equal(ref.extent_idx, 3);
    uint32_t found_bytes = 0; /* the 28 KiB of extent 2 are still there, in pieces */
    for (uint32_t size_bytes = 16384; size_bytes >= 4096; size_bytes /= 2) {
        assert_int_equal(arena_take(&arena, size_bytes, &ref), RS_OK);
        assert_int_equal(ref.extent_idx, 2);
        assert_true(ref.off >= 4096);
        found_bytes += size_bytes;
    }
    assert_int_equal(found_bytes, 28672);
    arena_destroy(&arena);
}

static void a_message_ring_keeps_order_and_says_when_it_is_full(void **state)
{
    (void)state;
    struct message_ring *ring = calloc(1, sizeof(*ring));
    struct message message = {.kind = QUEUE_OPEN};
    message_ring_init(ring);
    assert_false(message_pop(ring, &message));
    uint32_t pushed = 0, popped = 0;
    for (uint32_t round = 0; round < 5; round++) {
        for (;; pushed++) {
            message.reply.serial = pushed;
            if (!message_push(ring, &message)) {
                break;
            }
        }
        assert_int_equal(pushed - popped, MESSAGE_RING_SLOTS);
        assert_false(message_has_room(ring));
        for (uint32_t i = 0; i < MESSAGE_RING_SLOTS - round; i++) {
            assert_true(message_pop(ring, &message));
            assert_int_equal(message.reply.serial, popped++);
        }
    }
    free(ring);
}

#define THREADED_MESSAGES 200000u

static void push_all(void *arg)
{
    struct message_ring *ring = arg;
    struct message message = {.kind = QUEUE_OPEN};
    for (uint32_t i = 0; i < THREADED_MESSAGES; i++) {
        message.reply.serial = i;
        message.body.open.recv_ring_bytes = ~i;
        while (!message_push(ring, &message)) {
            os_yield();
        }
    }
}

static void two_threads_pass_messages_whole(void **state)
{
    (void)state;
    struct message_ring *ring = calloc(1, sizeof(*ring));
    struct os_thread producer;
    struct message message;
    message_ring_init(ring);
    assert_int_equal(os_thread_start(&producer, push_all, ring, "producer"), RS_OK);
    for (uint32_t i = 0; i < THREADED_MESSAGES; i++) {
        while (!message_pop(ring, &message)) {
            os_yield();
        }
        assert_int_equal(message.reply.serial, i);
        assert_int_equal(message.body.open.recv_ring_bytes, ~i);
    }
    os_thread_join(&producer);
    free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_do_not_overlap_and_come_back),
        cmocka_unit_test(the_rest_of_an_extent_is_used_before_it_is_forgotten),
        cmocka_unit_test(a_message_ring_keeps_order_and_says_when_it_is_full),
        cmocka_unit_test(two_threads_pass_messages_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
