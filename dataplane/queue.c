/*
 * The poll loop of one NIC queue. One iteration: frames in, requests of every channel up to its
 * budget, sends that had to wait, timers, frames out, then what clients wait for is published and
 * sleepers are woken; last the control thread's messages and the heartbeat. Runs on the queue's own
 * thread; started by dataplane.c; calls stack.h, request.c, deliver.c. No allocation, lock,
 * division, log or system call but wake-ups.
 */
#include "dataplane/share.h"
#include "dataplane/stream.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/capture.h"

#define QUEUE_HEARTBEAT_NS 1000000u

static enum rs_status queue_tables_create(struct queue *queue)
{
    uint32_t sessions = queue->config->limit_sessions + 1; /* and the house, control_share.c */
    queue->sessions = calloc(sessions, sizeof(struct dp_session *));
    queue->by_slot = calloc(sessions, sizeof(struct dp_session *));
    queue->ending = calloc(sessions, sizeof(struct dp_session *));
    queue->from_control = calloc(1, sizeof(struct message_ring));
    queue->to_control = calloc(1, sizeof(struct message_ring));
    if (queue->sessions == NULL || queue->by_slot == NULL || queue->ending == NULL ||
        queue->from_control == NULL || queue->to_control == NULL) {
        return RS_NO_MEMORY;
    }
    message_ring_init(queue->from_control);
    message_ring_init(queue->to_control);
    return RS_OK;
}

/* Shares the slots out evenly: no channel of a program can starve another one. */
static void queue_share_slots(const struct queue *queue, struct session_part *part)
{
    int32_t count = part->channel_count != 0 ? (int32_t)part->channel_count : 1;
    int32_t share = queue->slots_now / count;
    part->slots_per_channel = share != 0 ? share : 1;
    part->channel_first = part->channel_first < part->channel_count ? part->channel_first : 0;
}

/* What one session gets of an iteration: less while several are busy, for each then waits for what
 * the others get. */
static void queue_set_budgets(struct queue *queue, bool shared)
{
    uint32_t divisor = shared ? SESSION_BUSY_SHARE : 1;
    int32_t slots = (int32_t)(queue->config->slots_per_poll / divisor);
    queue->shared = shared;
    queue->slots_now = slots != 0 ? slots : 1;
    queue->bytes_now = queue->config->bytes_per_poll / divisor;
    for (uint32_t i = 0; i < queue->session_count; i++) {
        queue_share_slots(queue, queue_part(queue, queue->sessions[i]));
    }
}

enum rs_status queue_create(const struct queue_input *input, struct queue **out)
{
    struct queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL) {
        return RS_NO_MEMORY;
    }
    queue->config = input->config;
    queue->move_bytes = QUEUE_MOVE_BYTES;
    queue->idx = input->idx;
    queue->queue_count = input->queue_count;
    queue->egress = input->egress;
    queue->nic = input->nic;
    queue->tcp_ports = input->stack.tcp.ports_bound;
    queue->local_ready_last = &queue->local_ready;
    queue->local_port_next = input->idx;
    queue->clock = *input->clock;
    queue->control_event = input->control_event;
    queue->control_sleeping = input->control_sleeping;
    for (uint32_t i = 0; i < QUEUE_EXPECTED; i++) {
        queue->expected[i] = (const uint8_t *)queue;
    }
    queue->signal_tsc = os_tsc_hz() / (1000000000u / SESSION_SIGNAL_NS);
    queue->heartbeat_tsc = os_tsc_hz() / (1000000000u / QUEUE_HEARTBEAT_NS);
    queue_set_budgets(queue, false);
    enum rs_status status = queue_tables_create(queue);
    if (status == RS_OK) {
        status = stamps_create(&queue->stamps);
    }
    if (status == RS_OK) {
        struct stack_upcalls upcalls;
        deliver_upcalls_fill(queue, &upcalls);
        status = stack_create(&input->stack, input->nic, &upcalls,
                              rs_clock_unix_ns(input->clock, os_tsc()), &queue->stack);
    }
    if (status != RS_OK) {
        queue_destroy(queue);
        return status;
    }
    *out = queue;
    return RS_OK;
}

void queue_destroy(struct queue *queue)
{
    if (queue->stack != NULL) {
        stack_destroy(queue->stack);
    }
    stamps_destroy(queue->stamps);
    free(queue->sessions);
    free(queue->by_slot);
    free(queue->ending);
    free(queue->from_control);
    free(queue->to_control);
    free(queue);
}

/* ---- tables
 * -----------------------------------------------------------------------------------------------------
 */

void queue_session_add(struct queue *queue, struct dp_session *session)
{
    struct session_part *part = queue_part(queue, session);
    part->listed = true;
    part->quiet_beats = SESSION_QUIET_BEATS;
    queue->sessions[queue->session_count++] = session;
    queue->by_slot[session->slot] = session;
}

struct dp_session *queue_session_find(const struct queue *queue, uint32_t slot, uint64_t id)
{
    struct dp_session *session = queue->by_slot[slot];
    return session != NULL && session->id == id ? session : NULL;
}

void queue_channel_add(struct queue *queue, struct dp_channel *channel)
{
    struct session_part *part = channel->part;
    channel->polled = true;
    part->channels[part->channel_count++] = channel;
    queue->channel_count++;
    queue_share_slots(queue, part);
    /* Its client has the channel since the control thread's answer, and may sleep on it already;
     * what happened before now gave it no hint. Let it look once, at all. */
    hint_producer_lose(&channel->hints);
    deliver_wake(queue, channel);
}

/* Takes the channel off the lists of this iteration: its memory may be freed before they are
 * worked off. */
static void queue_channel_unlist(struct queue *queue, struct dp_channel *channel)
{
    for (struct dp_channel **link = &queue->wake; *link != NULL; link = &(*link)->wake_next) {
        if (*link == channel) {
            *link = channel->wake_next;
            break;
        }
    }
    for (struct dp_channel **link = &queue->consumed; *link != NULL;
         link = &(*link)->consumed_next) {
        if (*link == channel) {
            *link = channel->consumed_next;
            slot_consumer_publish(&channel->requests);
            break;
        }
    }
    channel->wake = channel->consumed = false;
}

void queue_channel_forget(struct queue *queue, struct dp_channel *channel)
{
    struct session_part *part = channel->part;
    queue_channel_unlist(queue, channel);
    uint32_t i = 0;
    while (part->channels[i] != channel) {
        i++;
    }
    part->channels[i] = part->channels[--part->channel_count];
    queue->channel_count--;
    queue_share_slots(queue, part);
    part->removing_count -= channel->removing;
    queue->removing_count -= channel->removing;
    channel->polled = false;
}

void queue_session_forget(struct queue *queue, struct dp_session *session)
{
    struct session_part *part = queue_part(queue, session);
    while (part->channel_count != 0) {
        queue_channel_forget(queue, part->channels[part->channel_count - 1]);
    }
    struct session_part **link = &queue->hinting;
    while (part->hinting && *link != part) {
        link = &(*link)->hinting_next;
    }
    if (part->hinting) {
        *link = part->hinting_next;
        part->hinting = false;
    }
    uint32_t i = 0;
    while (queue->sessions[i] != session) {
        i++;
    }
    queue->sessions[i] = queue->sessions[--queue->session_count];
    queue->session_first = 0;
    queue->by_slot[session->slot] = NULL;
    part->listed = false;
}

void queue_set_capture(struct queue *queue, struct capture *capture)
{
    queue->capture = capture;
    stack_set_capture(queue->stack, capture);
}

/* ---- the loop
 * ---------------------------------------------------------------------------------------------------
 */

static void queue_count_burst(struct queue *queue, uint32_t count)
{
    queue_load_add(&queue->load.rx_bursts, 1);
    if (count == NIC_BURST_PKTS) {
        queue_load_add(&queue->load.rx_full, 1);
    }
}

static uint32_t queue_receive(struct queue *queue)
{
    struct pkt pkts[NIC_BURST_PKTS];
    uint32_t count = queue->nic->ops->rx_burst(queue->nic, pkts, NIC_BURST_PKTS);
    if (count == 0) {
        return 0;
    }
    queue_count_burst(queue, count);
    if (__builtin_expect(queue->capture != NULL, 0)) {
        capture_rx(queue->capture, rs_clock_unix_ns(&queue->clock, queue->now_tsc), pkts, count);
    }
    stack_prefetch(queue->stack, pkts, count);
    if (queue->nic->steering->mode == STEER_SOFTWARE) {
        exchange_sort(queue, pkts, count);
    } else {
        for (uint32_t i = 0; i < count; i++) {
            stack_input(queue->stack, &pkts[i]);
        }
    }
    queue->nic->ops->rx_release(queue->nic, pkts, count);
    return count;
}

static void queue_remove_channels(struct queue *queue, struct session_part *part)
{
    for (uint32_t i = 0; part->removing_count != 0 && i < part->channel_count; i++) {
        if (part->channels[i]->removing && request_channel_remove(queue, part->channels[i])) {
            i--; /* another one took its place */
        }
    }
}

/* Channels and sessions on their way out; rare, and each call is bounded. */
static void queue_ends(struct queue *queue)
{
    for (uint32_t i = 0; queue->removing_count != 0 && i < queue->session_count; i++) {
        queue_remove_channels(queue, queue_part(queue, queue->sessions[i]));
    }
    for (uint32_t i = 0; i < queue->ending_count; i++) {
        if (request_session_end(queue, queue->ending[i])) {
            queue->ending[i] = queue->ending[--queue->ending_count];
            i--;
        }
    }
}

static uint32_t queue_messages(struct queue *queue)
{
    struct message message;
    uint32_t count = 0;
    /* Each may have to be answered. */
    while (count < 32 && message_has_room(queue->to_control)) {
        if (queue->move.waits) {
            message = queue->move.message;
        } else if (!message_pop(queue->from_control, &message)) {
            break;
        }
        count++;
        queue->move.waits = !share_move_ready(queue, &message);
        if (queue->move.waits) {
            queue->move.message = message;
            break;
        }
        request_message(queue, &message);
        queue->move.begun = false;
    }
    return count;
}

/* The control thread stores 'sleeping', fences, and looks for messages; here a message was pushed:
 * fence, look who sleeps. */
static void queue_tell_control(struct queue *queue)
{
    queue->control_told = false;
    wakeup_fence();
    if (atomic_exchange_explicit(queue->control_sleeping, 0, memory_order_relaxed) != 0) {
        os_event_signal(queue->control_event);
    }
}

/* Leaves the wanted multicast MACs to the control thread; waits for the next iteration while it
 * still has the last set. */
static void queue_hand_macs(struct queue *queue)
{
    /* acquire: the control thread has read the list before we fill it again */
    if (atomic_load_explicit(&queue->macs_ready, memory_order_acquire) != 0) {
        return;
    }
    queue->mac_count = stack_multicast_macs(queue->stack, queue->macs, QUEUE_MACS_MAX);
    queue->multicast_dirty = false;
    /* release: the list comes first; partner: control_multicast */
    atomic_store_explicit(&queue->macs_ready, 1, memory_order_release);
    queue->control_told = true;
}

/* Who asked for something in the last second is busy. */
static void queue_count_busy(struct queue *queue)
{
    uint32_t busy = 0;
    for (uint32_t i = 0; i < queue->session_count; i++) {
        struct session_part *part = queue_part(queue, queue->sessions[i]);
        if (part->quiet_beats < SESSION_QUIET_BEATS) {
            part->quiet_beats++;
            busy++;
        }
    }
    if ((busy > 1) != queue->shared) {
        queue_set_budgets(queue, busy > 1);
    }
}

static void queue_look_at_link(struct queue *queue)
{
    /* relaxed: the word is all there is to know; partner: control_watch_queue */
    bool down = atomic_load_explicit(&queue->link_down, memory_order_relaxed) != 0;
    if (down != queue->link_seen_down) {
        queue->link_seen_down = down;
        stack_set_link(queue->stack, !down);
    }
}

/* Every millisecond: the heartbeat clients look at when nothing comes, and memory faults in what
 * they may write. */
static void queue_heartbeat(struct queue *queue)
{
    struct stack_levels levels = stack_levels(queue->stack);
    queue->next_heartbeat_tsc = queue->now_tsc + queue->heartbeat_tsc;
    queue_look_at_link(queue);
    queue_count_busy(queue);
    atomic_store_explicit(&queue->load.sockets, levels.sockets, memory_order_relaxed);
    atomic_store_explicit(&queue->load.memberships, levels.memberships, memory_order_relaxed);
    atomic_store_explicit(&queue->load.tcp_connections, levels.tcp_connections,
                          memory_order_relaxed);
    atomic_store_explicit(&queue->load.tcp_half_open, levels.tcp_half_open, memory_order_relaxed);
    atomic_store_explicit(&queue->load.tcp_time_waits, levels.tcp_time_waits, memory_order_relaxed);
    for (struct dp_socket *each = queue->listeners; each != NULL;
         each = each->stream->listen_next) {
        stream_listen_look(queue, each);
        /* Nobody else asks for places for them; a spare is one at once. */
        while (each->stream->local_waiting != NULL &&
               stream_upcall_room(queue, &each->stream->listener)) {
            stream_local_resume(queue, each);
        }
    }
    stream_local_heartbeat(queue);
    for (uint32_t i = 0; i < queue->session_count; i++) {
        struct dp_session *session = queue->sessions[i];
        /* relaxed: only whether it moves matters to the client */
        atomic_store_explicit(&queue_part(queue, session)->state->heartbeat_tsc, queue->now_tsc,
                              memory_order_relaxed);
        /* acquire: partner is the fault guard's release; a faulted page reads as zeros, which no
         * check mistakes for a request */
        if (atomic_load_explicit(&session->faulted, memory_order_acquire) != 0) {
            request_poison(queue, session, "client memory vanished under a read");
        }
    }
}

/* A client writes the record before the slot that tells of it. An idle poll loop that keeps asking
 * for the lines the next records will fill has them by the time it sees the slot; else their
 * transfer from the client's cache comes on top of the slot's. A prefetch of memory that is gone
 * does nothing. */
static void queue_prefetch_expected(const struct queue *queue)
{
    for (uint32_t i = 0; i < QUEUE_EXPECTED; i++) {
        __builtin_prefetch(queue->expected[i]);
        __builtin_prefetch(queue->expected[i] + RS_LINE_BYTES);
    }
}

/* The ticks of a busy iteration end where the next one begins. */
static void queue_count_poll(struct queue *queue, uint64_t now_tsc)
{
    queue_load_add(&queue->load.polls, 1);
    if (queue->busy_since_tsc != 0) {
        queue_load_add(&queue->load.busy_polls, 1);
        queue_load_add(&queue->load.busy_tsc, now_tsc - queue->busy_since_tsc);
    }
}

bool queue_poll(struct queue *queue)
{
    queue->poll_number++;
    queue->now_tsc = os_tsc();
    queue_count_poll(queue, queue->now_tsc);
    stack_set_now(queue->stack, rs_clock_unix_ns(&queue->clock, queue->now_tsc), queue->now_tsc);
    uint32_t work = queue_receive(queue);
    if (queue->queue_count > 1) {
        work += exchange_receive(queue);
    }
    work += request_consume(queue);
    if (queue->local_ready != NULL) {
        work += stream_local_run(queue);
    }
    stack_timers(queue->stack);
    stack_flush(queue->stack);
    if (queue->streams_gone != NULL) {
        stream_settle(queue);
    }
    if (queue->recalled_count != 0) {
        stream_spares_settle(queue);
    }
    if (queue->removing_count + queue->ending_count != 0) {
        queue_ends(queue); /* before the messages: a session is told of its end, and woken, an
                              iteration earlier */
    }
    work += queue_messages(queue);
    if (queue->report != NULL) {
        work += stream_report_step(queue);
    }
    deliver_settle(queue, work == 0);
    if (queue->multicast_dirty) {
        queue_hand_macs(queue);
    }
    if (queue->control_told) {
        queue_tell_control(queue);
    }
    if (queue->now_tsc >= queue->next_heartbeat_tsc) {
        queue_heartbeat(queue);
    }
    if (work == 0) {
        queue_prefetch_expected(queue);
    }
    queue->busy_since_tsc = work != 0 ? queue->now_tsc : 0;
    return work != 0;
}

static void queue_run(void *arg)
{
    struct queue *queue = arg;
    if (queue->config->core >= 0 && os_thread_pin((uint32_t)queue->config->core) != RS_OK) {
        atomic_store_explicit(&queue->pin_failed, 1, memory_order_relaxed);
    }
    /* relaxed: queue_stop joins the thread afterwards */
    while (atomic_load_explicit(&queue->stop, memory_order_relaxed) == 0) {
        if (!queue_poll(queue) && queue->config->yield) {
            os_yield();
        }
    }
}

enum rs_status queue_start(struct queue *queue)
{
    enum rs_status status = os_thread_start(&queue->thread, queue_run, queue, "ringsock-queue");
    queue->running = status == RS_OK;
    return status;
}

void queue_stop(struct queue *queue)
{
    if (!queue->running) {
        return;
    }
    atomic_store_explicit(&queue->stop, 1, memory_order_relaxed);
    os_thread_join(&queue->thread);
    queue->running = false;
}
