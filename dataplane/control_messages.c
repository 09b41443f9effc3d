/*
 * Messages between the control thread and the queues. A queue takes a message only when there is
 * room for its answer, and this thread waits for room in a queue's ring: so that they never wait
 * for each other, what queues have told is set aside meanwhile, and served in its order afterwards.
 * Control thread; called by all of its files; calls control_sockets.c.
 */
#include <stdlib.h>

#include "dataplane/control_internal.h"

#define CONTROL_MESSAGE_WAIT_NS    10000u
#define CONTROL_MESSAGES_PER_ROUND 256u /* of each queue, before connections have their turn */

/* False: nothing was there, or no memory for more; then it stays in the ring. */
static bool control_set_aside(struct control *control, uint32_t queue_idx)
{
    struct control_deferred *deferred = malloc(sizeof(*deferred));
    if (deferred == NULL ||
        !message_pop(control->queues[queue_idx]->to_control, &deferred->message)) {
        free(deferred);
        return false;
    }
    deferred->next = NULL;
    deferred->queue_idx = queue_idx;
    if (control->deferred_last != NULL) {
        control->deferred_last->next = deferred;
    } else {
        control->deferred_first = deferred;
    }
    control->deferred_last = deferred;
    return true;
}

void control_push(struct control *control, uint32_t queue_idx, const struct message *message)
{
    while (!message_push(control->queues[queue_idx]->from_control, message)) {
        if (!control_set_aside(control, queue_idx)) {
            os_sleep_ns(CONTROL_MESSAGE_WAIT_NS);
        }
    }
}

/* The oldest message that was set aside. */
static bool control_take_deferred(struct control *control, uint32_t *queue_idx,
                                  struct message *message)
{
    struct control_deferred *deferred = control->deferred_first;
    if (deferred == NULL) {
        return false;
    }
    control->deferred_first = deferred->next;
    if (deferred->next == NULL) {
        control->deferred_last = NULL;
    }
    *queue_idx = deferred->queue_idx;
    *message = deferred->message;
    free(deferred);
    return true;
}

/* What was set aside is older than what is in the rings. */
static void control_serve_deferred(struct control *control)
{
    struct message message;
    uint32_t queue_idx;
    while (control_take_deferred(control, &queue_idx, &message)) {
        control_message(control, queue_idx, &message);
    }
}

bool control_messages(struct control *control)
{
    struct message message;
    bool more = false;
    control_serve_deferred(control);
    for (uint32_t i = 0; i < control->queue_count; i++) {
        uint32_t count = 0;
        while (count < CONTROL_MESSAGES_PER_ROUND &&
               message_pop(control->queues[i]->to_control, &message)) {
            control_message(control, i, &message);
            control_serve_deferred(control);
            count++;
        }
        more |= count == CONTROL_MESSAGES_PER_ROUND;
    }
    return more;
}

void control_messages_drop(struct control *control)
{
    struct message message;
    uint32_t queue_idx;
    while (control_take_deferred(control, &queue_idx, &message)) {
    }
}
