/*
 * Sleeping on a channel's event. An event has one waiter. A private channel's is its thread; of the
 * threads that share a common channel one at a time leads, that is waits for the event, and the
 * others follow: each waits for an event of its own that the leader signals when it wakes, whatever
 * woke it. Called by wait.c; calls rings/wakeup.h and the OS.
 *
 * No wake-up is lost: a follower is in the list before it looks for the last time. If the dataplane
 * then signals, the leader wakes and signals all in the list; if the leader has already left, there
 * is none, and the follower leads. A leader that dies in its sleep is found out by a follower's
 * next look.
 */
#include <assert.h>

#include "provider/client/client_internal.h"

#define FOLLOW_NS 100000000u /* then a follower asks whether its leader lives */

/* Hints say where to look; a wait looks everywhere it armed, so only that there are some matters
 * here. True: there were, or some were lost. */
static bool sleep_drain_hints(struct client_channel *channel)
{
    uint32_t socket_idx;
    uint32_t generation;
    bool any = hint_consumer_lost(&channel->hints);
    while (hint_consumer_pop(&channel->hints, &socket_idx, &generation)) {
        any = true;
    }
    hint_consumer_publish(&channel->hints);
    return any;
}

static void sleep_arm(const struct client_channel *channel,
                      const struct client_condition *condition)
{
    if (condition->arm != NULL) {
        condition->arm(condition->context, channel->idx);
    }
}

/*
 * An arming is good for one hint. The hint may come between arming and announcement, for something
 * that was true earlier and is over: then nobody would tell of the next event. So who finds a hint
 * does not wait, and arms again.
 */
static enum rs_status sleep_on_event(struct client_channel *channel,
                                     const struct client_condition *condition, uint64_t timeout_ns)
{
    enum rs_status status = RS_OK;
    sleep_arm(channel, condition);
    wakeup_prepare(&channel->waiter);
    if (!sleep_drain_hints(channel) && !condition->ready(condition->context) &&
        client_check(channel->client, os_tsc()) == RS_OK) {
        status = os_event_wait(&channel->event, channel->client->link.process, timeout_ns);
    }
    wakeup_cancel(&channel->waiter);
    (void)sleep_drain_hints(channel);
    return status;
}

/* sleep_mutex held. */
static void sleep_unfollow(struct client_channel *channel, const struct client_thread *thread)
{
    struct client_thread **link = &channel->followers;
    while (*link != NULL) {
        if (*link == thread) {
            *link = thread->next_follower;
            return;
        }
        link = &(*link)->next_follower;
    }
}

void client_channel_unfollow(struct client_channel *channel, struct client_thread *thread)
{
    os_mutex_lock(&channel->sleep_mutex);
    sleep_unfollow(channel, thread);
    os_mutex_unlock(&channel->sleep_mutex);
}

/* sleep_mutex held. A leader that died in its sleep leads nobody. */
static bool sleep_is_led(const struct client_channel *channel, bool waited)
{
    return channel->leader != 0 && !(waited && !os_thread_alive(channel->leader));
}

/* sleep_mutex held: everybody looks again, and one of them leads next. */
static void sleep_nudge_all(struct client_channel *channel)
{
    while (channel->followers != NULL) {
        struct client_thread *thread = channel->followers;
        channel->followers = thread->next_follower;
        os_event_signal(&thread->nudge);
    }
}

static enum rs_status sleep_common(struct client_channel *channel,
                                   const struct client_condition *condition, uint64_t timeout_ns)
{
    struct client_thread *thread = NULL;
    enum rs_status status = client_thread_get(&thread);
    if (status != RS_OK) {
        return status;
    }
    os_mutex_lock(&channel->sleep_mutex);
    bool leads = !sleep_is_led(channel, thread->following);
    thread->following = !leads;
    if (leads) {
        channel->leader = os_thread_id();
    } else {
        thread->next_follower = channel->followers;
        channel->followers = thread;
    }
    os_mutex_unlock(&channel->sleep_mutex);

    if (leads) {
        status = sleep_on_event(channel, condition, timeout_ns);
    } else {
        /* In the list before it arms: whatever hint this gives, the leader then wakes it. */
        sleep_arm(channel, condition);
        arm_fence();
        if (!condition->ready(condition->context)) {
            status = os_event_wait(&thread->nudge, channel->client->link.process,
                                   timeout_ns < FOLLOW_NS ? timeout_ns : FOLLOW_NS);
        }
        if (status != RS_TIMED_OUT) {
            thread->following = false; /* nudged: there is a leader */
        }
    }

    os_mutex_lock(&channel->sleep_mutex);
    if (leads) {
        channel->leader = 0;
        sleep_nudge_all(channel);
    } else {
        sleep_unfollow(channel, thread);
    }
    os_mutex_unlock(&channel->sleep_mutex);
    return status;
}

enum rs_status client_channel_sleep(struct client_channel *channel,
                                    const struct client_condition *condition, uint64_t timeout_ns)
{
    return channel->common ? sleep_common(channel, condition, timeout_ns)
                           : sleep_on_event(channel, condition, timeout_ns);
}
