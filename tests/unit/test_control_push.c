/*
 * The control thread and a queue never wait for each other: a push to a queue that takes no message
 * before there is room for its answer comes through, and nothing of what the queue said meanwhile
 * is lost or changes its order. The queue is a thread of the test's that does just that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/control_internal.h"
#include "rings/os/os.h"
#include "tests/support/check.h"

#define WAIT_NS 20000000000ull

static struct control rig;
static _Atomic uint32_t taken; /* messages the queue took; partner: the test's thread */

/* Stands for control_sockets.c: notices must come in the order they were told. */
static uint32_t notices;

void control_message(struct control *control, uint32_t queue_idx, const struct message *message)
{
    CHECK(control == &rig && queue_idx == 0 && message->kind == QUEUE_NOTICE);
    CHECK(message->body.notice.kind == notices);
    notices++;
}

static void queue_run(void *arg)
{
    struct queue *queue = arg;
    struct message message;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    while (atomic_load(&taken) < MESSAGE_RING_SLOTS + 1) {
        if (!message_has_room(queue->to_control) || !message_pop(queue->from_control, &message)) {
            CHECK(os_monotonic_ns() < give_up_ns); /* the control thread waits for room, so do we */
            os_yield();
            continue;
        }
        message.kind = QUEUE_NOTICE;
        message.body.notice.kind = MESSAGE_RING_SLOTS + atomic_load(&taken);
        CHECK(message_push(queue->to_control, &message));
        atomic_fetch_add(&taken, 1);
    }
}

static void full_rings_both_ways_are_no_deadlock(void **state)
{
    (void)state;
    struct queue *queue = calloc(1, sizeof(*queue));
    struct os_thread thread;
    assert_non_null(queue);
    queue->from_control = calloc(1, sizeof(struct message_ring));
    queue->to_control = calloc(1, sizeof(struct message_ring));
    assert_non_null(queue->from_control);
    assert_non_null(queue->to_control);
    message_ring_init(queue->from_control);
    message_ring_init(queue->to_control);
    rig.queues[0] = queue;
    rig.queue_count = 1;
    for (uint32_t i = 0; i < MESSAGE_RING_SLOTS; i++) {
        struct message notice = {.kind = QUEUE_NOTICE};
        notice.body.notice.kind = i;
        assert_true(message_push(queue->to_control, &notice));
        assert_true(
            message_push(queue->from_control, &(struct message){.kind = CONTROL_SESSION_ADD}));
    }
    assert_int_equal(os_thread_start(&thread, queue_run, queue, "queue"), RS_OK);
    control_push(&rig, 0, &(struct message){.kind = CONTROL_SESSION_END});
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    while (notices < 2 * MESSAGE_RING_SLOTS + 1) {
        CHECK(os_monotonic_ns() < give_up_ns); /* what the queue told does not come */
        (void)control_messages(&rig);
    }
    os_thread_join(&thread);
    free(queue->from_control);
    free(queue->to_control);
    free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(full_rings_both_ways_are_no_deadlock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
