/*
 * The control thread of the attach-and-end model. Stands for dataplane/control*.c and session.c:
 * attach, channels, sockets and their rings, the client's end, and the moment when memory is freed.
 * It may wait for room towards a queue, and does nothing else then.
 */
#include "tests/model/protocol.h"

#include "tests/model/states.h"

static void tell(struct state *state, uint32_t to, struct message message)
{
    message.to = (uint8_t)to;
    message.session = state->memory;
    if (state->out_count == OUT) {
        states_fail("the model's list of messages to push is too short");
        return;
    }
    state->out[state->out_count++] = message;
}

/* control_push: the oldest message that waits for room. */
bool control_push(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    (void)variant;
    if (state->out_count == 0) {
        return false;
    }
    struct message message = state->out[0];
    uint8_t to = message.to;
    message.to = 0;
    if (!ring_push(&state->queues[to].from_control, message)) {
        return false;
    }
    state->out_count--;
    for (uint32_t i = 0; i < state->out_count; i++) {
        state->out[i] = state->out[i + 1];
    }
    state->out[state->out_count] = (struct message){0};
    return true;
}

/* ---- clients -----------------------------------------------------------------------------------
 */

/* A client in the place of an earlier one: memory, tables and indices are fresh. */
bool control_accept(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    (void)variant;
    if (state->out_count != 0 || state->client != C_ATTACHING || state->session != S_FREE) {
        return false;
    }
    state->memory = ++state->sessions_made;
    state->session = S_LIVE;
    state->client_gone = state->queues_left = 0;
    state->client = C_LIVE;
    state->client_session = state->memory;
    state->arrivals = scenario.arrivals;
    state->words = scenario.words;
    for (uint32_t i = 0; i < QUEUES; i++) {
        tell(state, i, (struct message){.kind = M_SESSION_ADD});
    }
    return true;
}

static void control_free(struct state *state)
{
    if (state->client == C_LIVE && state->client_session == state->memory) {
        states_fail("the memory of a live client was freed");
    }
    for (uint32_t i = 0; i < QUEUES; i++) {
        if (state->queues[i].session == state->memory || state->queues[i].socket != 0) {
            states_fail("a session was freed that a queue still has");
        }
    }
    if (state->socket != 0 || state->ring_owner != 0) {
        states_fail("a session was freed with a socket in it");
    }
    state->memory = state->session = state->client_gone = state->queues_left = 0;
    state->header_poisoned = state->garbage = state->generation = state->life = 0;
    state->channel_used = 0;
    state->channel_closing = NO_CHANNEL;
    state->posted = state->taken = state->arrivals = 0;
    for (uint32_t i = 0; i < CHANNELS; i++) {
        state->rings[i] = (struct request_ring){0};
        state->channel_queue[i] = 0;
    }
}

static void control_end(struct state *state)
{
    if (state->session != S_LIVE && mutant != END_TWICE) {
        return;
    }
    if (state->session == S_LIVE) {
        state->queues_left = QUEUES;
    }
    state->session = S_ENDING;
    for (uint32_t i = 0; i < QUEUES; i++) {
        tell(state, i, (struct message){.kind = M_SESSION_END});
    }
}

/* The dataplane ends the session of a client that lives, as it does when it stops. */
bool control_stop(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    (void)variant;
    if (!scenario.stops || state->out_count != 0 || state->session != S_LIVE) {
        return false;
    }
    control_end(state);
    return true;
}

/* The OS says that the client has gone (control_client_gone). */
bool control_gone(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    (void)variant;
    if (state->out_count != 0 || state->client != C_GONE) {
        return false;
    }
    state->client = C_NONE;
    state->client_session = 0;
    if (state->session == S_FREE) { /* freed already, by a mutant */
        return true;
    }
    state->client_gone = 1;
    if (state->session == S_ENDED) {
        control_free(state);
    } else {
        control_end(state);
    }
    return true;
}

static void answer(struct state *state, enum answer what, uint8_t arg)
{
    state->connection = M_NONE;
    state->connection_taken = 0;
    state->connection_answer = (uint8_t)what;
    state->connection_arg = arg;
}

static void control_channel_open(struct state *state)
{
    uint8_t channel = 0;
    while (channel < CHANNELS && (state->channel_used >> channel & 1) != 0) {
        channel++;
    }
    if (channel == CHANNELS) {
        answer(state, A_FAILED, 0);
        return;
    }
    for (uint32_t i = 0; i < QUEUES; i++) {
        if ((state->queues[i].polled >> channel & 1) != 0) {
            states_fail("a channel is opened that a queue still polls");
        }
    }
    uint8_t queue_idx = state->connection_arg;
    state->channel_used |= (uint8_t)(1u << channel);
    state->channel_queue[channel] = queue_idx;
    tell(state, queue_idx, (struct message){.kind = M_CHANNEL_ADD, .channel = channel});
    answer(state, A_OK, channel);
}

/* A request on the connection. */
bool control_connection(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    (void)variant;
    if (state->out_count != 0 || state->client != C_LIVE || state->connection == M_NONE) {
        return false;
    }
    if (state->connection_taken) { /* it waits for the queue */
        return false;
    }
    if (state->session != S_LIVE) {
        answer(state, A_FAILED, 0);
    } else if (state->connection == M_CHANNEL_ADD) {
        control_channel_open(state);
    } else {
        uint8_t channel = state->connection_arg;
        if (((state->channel_used >> channel & 1) == 0 || state->channel_closing != NO_CHANNEL) &&
            mutant != CLOSE_TWICE) {
            answer(state, A_FAILED, 0);
            return true;
        }
        state->channel_closing = channel;
        state->connection_taken = 1;
        tell(state, state->channel_queue[channel],
             (struct message){.kind = M_CHANNEL_REMOVE, .channel = channel});
        if (mutant == CHANNEL_FREED_AT_CLOSE) {
            state->channel_used &= (uint8_t) ~(1u << channel);
            state->channel_closing = NO_CHANNEL;
            answer(state, A_OK, channel);
        }
    }
    return true;
}

/* ---- sockets -----------------------------------------------------------------------------------
 */

/* Queue 0 is every socket's home here; queue 1 is refused one. */
static void control_open(struct state *state, uint32_t queue_idx, const struct message *message)
{
    uint8_t generation = 0;
    if (state->socket == 0 && queue_idx == 0) {
        if (state->generation == 0 || mutant != GENERATION_KEPT) {
            state->generation++;
        }
        generation = state->generation;
        state->life++;
        state->socket = generation;
        state->home_closed = 0;
        state->parts = 1;
    }
    tell(state, queue_idx,
         (struct message){.kind = M_OPENED,
                          .channel = message->channel,
                          .generation = generation,
                          .who = message->who});
}

static void control_bound(struct state *state, bool ok)
{
    tell(state, 0,
         (struct message){.kind = M_BOUND,
                          .channel = state->step_channel,
                          .generation = ok ? state->socket : 0,
                          .who = state->step_who});
    state->step_binding = state->step_channel = state->step_who = 0;
}

/* Rings, then the parts on the other queues; home last. */
static void control_bind(struct state *state, const struct message *message)
{
    state->step_channel = message->channel;
    state->step_who = message->who;
    if (state->session != S_LIVE && mutant != PART_ADD_AFTER_END) {
        control_bound(state, false);
        return;
    }
    if (state->ring_owner != 0) {
        states_fail("ring memory is in use twice");
    }
    state->ring_owner = state->socket;
    state->step_binding = 1;
    state->parts |= 2;
    tell(state, 1, (struct message){.kind = M_PART_ADD, .generation = state->socket});
}

/* Home is out, no other queue has a part: memory, rings and index are free. */
static void control_socket_done(struct state *state)
{
    if (!state->home_closed || (state->parts != 0 && mutant != FREE_WITH_PART)) {
        return;
    }
    for (uint32_t i = 0; i < QUEUES; i++) {
        if (state->queues[i].socket != 0 && state->queues[i].socket == state->socket) {
            states_fail("a socket was freed that a queue still has");
        }
    }
    if (state->step_binding) {
        states_fail("a socket was freed while it is bound");
    }
    state->socket = state->ring_owner = state->home_closed = state->parts = 0;
    if (state->step_who != NOBODY) {
        tell(state, 0,
             (struct message){
                 .kind = M_CLOSED, .channel = state->step_channel, .who = state->step_who});
    }
    state->step_channel = state->step_who = 0;
}

static void control_closed(struct state *state, const struct message *message)
{
    if (state->step_binding) {
        states_fail("a close came while the bind is under way");
    }
    state->home_closed = 1;
    state->parts &= (uint8_t)~1u;
    state->step_channel = message->channel;
    state->step_who = message->who;
    /* A queue that was told to end takes its parts out by itself. */
    if ((state->parts & 2) != 0 && (state->session == S_LIVE || mutant == PART_REMOVE_AFTER_END)) {
        tell(state, 1, (struct message){.kind = M_PART_REMOVE, .generation = state->socket});
    }
    control_socket_done(state);
}

static void control_part(struct state *state, const struct message *message)
{
    if (message->generation != state->socket) {
        states_fail("a part of a socket that is gone");
    }
    if (message->kind != M_PART_DONE) {
        state->parts &= (uint8_t)~2u;
    }
    if (message->kind == M_PART_REMOVED) {
        control_socket_done(state);
        return;
    }
    if (message->kind == M_PART_FAILED) {
        state->ring_owner = 0;
    }
    control_bound(state, message->kind == M_PART_DONE);
}

/* ---- the queues' messages ----------------------------------------------------------------------
 */

static void control_channel_removed(struct state *state, uint8_t channel)
{
    if (mutant == CHANNEL_FREED_AT_CLOSE) {
        return;
    }
    state->channel_used &= (uint8_t) ~(1u << channel);
    if (state->channel_closing == channel) {
        state->channel_closing = NO_CHANNEL;
        if (state->client == C_LIVE) {
            answer(state, A_OK, channel);
        }
    }
}

static void control_ended(struct state *state)
{
    state->queues_left--;
    if (state->queues_left != 0 && mutant != FREE_AT_FIRST_ANSWER) {
        return;
    }
    state->session = S_ENDED;
    if (state->channel_closing != NO_CHANNEL && mutant != CLOSE_UNANSWERED) {
        state->channel_closing = NO_CHANNEL;
        if (state->client == C_LIVE) {
            answer(state, A_FAILED, 0);
        }
    }
    if (state->client_gone || mutant == FREE_UNDER_CLIENT) {
        control_free(state);
    }
}

bool control_message(void *opaque, uint32_t queue_idx)
{
    struct state *state = opaque;
    struct message_ring *ring = &state->queues[queue_idx].to_control;
    if (state->out_count != 0 || ring->count == 0) {
        return false;
    }
    struct message message = ring_pop(ring);
    touch_session(state, message.session);
    switch (message.kind) {
    case M_OPEN:
        control_open(state, queue_idx, &message);
        break;
    case M_BIND:
        control_bind(state, &message);
        break;
    case M_CLOSE:
        control_closed(state, &message);
        break;
    case M_PART_DONE:
    case M_PART_FAILED:
    case M_PART_REMOVED:
        control_part(state, &message);
        break;
    case M_CHANNEL_REMOVED:
        control_channel_removed(state, message.channel);
        break;
    case M_SESSION_ENDED:
        control_ended(state);
        break;
    default: /* M_POISONED */
        control_end(state);
    }
    return true;
}
