/*
 * A queue of the attach-and-end model. Stands for dataplane/request.c and queue.c: what it takes
 * from channels, from the control thread, from the other queue, and how it lets go of channels and
 * sessions. A queue never waits: what has no room is left for its next round.
 */
#include "tests/model/protocol.h"

#include "tests/model/states.h"

/* The socket's ring memory is read or written. */
static void touch_ring(const struct state *state, uint8_t generation)
{
    if (state->ring_owner != generation) {
        states_fail("ring memory was touched that is not the socket's");
    }
}

static void reply(struct state *state, uint32_t queue_idx, uint8_t channel, uint8_t who,
                  enum answer answer)
{
    if (who == NOBODY) {
        return;
    }
    touch_session(state, state->queues[queue_idx].session);
    if ((state->queues[queue_idx].polled >> channel & 1) == 0) {
        states_fail("an answer for a channel that the queue has let go");
    }
    if (state->client == C_LIVE && scenario.words == 0) {
        if (state->threads[who].channel != channel) {
            states_fail("an answer on another one's channel");
        }
        state->threads[who].reply = (uint8_t)answer;
    }
}

/* ---- from the control thread ------------------------------------------------------------------
 */

static void queue_answered(struct state *state, uint32_t queue_idx, struct message message)
{
    struct queue *queue = &state->queues[queue_idx];
    enum answer answer = message.generation != 0 || message.kind == M_CLOSED ? A_OK : A_FAILED;
    if (message.kind == M_OPENED && answer == A_OK) {
        if (queue->socket != 0) {
            states_fail("a socket index is in use twice");
        }
        queue->socket = message.generation;
        queue->bound = 0;
        if (state->client == C_LIVE && message.who != NOBODY) {
            state->threads[message.who].generation = message.generation;
            state->threads[message.who].life = state->life;
        }
    }
    if (message.kind == M_BOUND) {
        queue->with_control = 0;
        queue->bound = answer == A_OK;
    }
    queue->pending--;
    queue->pending_of[message.channel]--;
    reply(state, queue_idx, message.channel, message.who, answer);
}

static void queue_message(struct state *state, uint32_t queue_idx, struct message message,
                          uint32_t variant)
{
    struct queue *queue = &state->queues[queue_idx];
    uint8_t bit = (uint8_t)(1u << message.channel);
    touch_session(state, message.session);
    if (message.kind != M_SESSION_ADD && queue->session != message.session) {
        states_fail("a message for a session that the queue has let go");
        return;
    }
    switch (message.kind) {
    case M_SESSION_ADD:
        queue->session = message.session;
        break;
    case M_CHANNEL_ADD:
        queue->polled |= bit;
        break;
    case M_CHANNEL_REMOVE:
        if ((queue->polled & bit) == 0 || (queue->removing & bit) != 0) {
            states_fail("a channel is to be let go that the queue does not have, or twice");
        }
        queue->removing |= bit;
        break;
    case M_SESSION_END:
        if (queue->ending) {
            states_fail("a session was ended twice");
        }
        queue->ending = 1;
        state->header_poisoned = 1;
        break;
    case M_PART_ADD:
        queue->socket = variant == 0 ? message.generation : 0; /* 1: no room in its tables */
        queue->owes = variant == 0 ? M_PART_DONE : M_PART_FAILED;
        queue->owes_generation = message.generation;
        break;
    case M_PART_REMOVE:
        if (queue->socket != message.generation) {
            states_fail("a part was removed that the queue does not have");
        }
        queue->socket = 0;
        queue->owes = M_PART_REMOVED;
        queue->owes_generation = message.generation;
        break;
    default:
        queue_answered(state, queue_idx, message);
    }
}

/* variant: queue, and whether a part finds room. */
bool queue_take_message(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    uint32_t queue_idx = variant % QUEUES;
    struct queue *queue = &state->queues[queue_idx];
    uint8_t kind = queue->from_control.slots[0].kind;
    bool owing = kind == M_PART_ADD || kind == M_PART_REMOVE;
    if (queue->from_control.count == 0 || (variant / QUEUES != 0 && kind != M_PART_ADD)) {
        return false;
    }
    if ((owing && queue->owes != M_NONE) ||
        (mutant == ANSWER_BLOCKS && owing && queue->to_control.count == scenario.room)) {
        return false;
    }
    queue_message(state, queue_idx, ring_pop(&queue->from_control), variant / QUEUES);
    return true;
}

/* The answer that had no room when it was due. */
bool queue_pay(void *opaque, uint32_t queue_idx)
{
    struct state *state = opaque;
    struct queue *queue = &state->queues[queue_idx];
    if (queue->owes == M_NONE ||
        !ring_push(&queue->to_control, (struct message){.kind = queue->owes,
                                                        .session = queue->session,
                                                        .generation = queue->owes_generation})) {
        return false;
    }
    queue->owes = M_NONE;
    queue->owes_generation = 0;
    return true;
}

/* ---- from the other queue ----------------------------------------------------------------------
 */

/* Names session (place and id), channel, socket and generation; the queue looks in its own tables.
 */
bool queue_take_queue_message(void *opaque, uint32_t queue_idx)
{
    struct state *state = opaque;
    struct queue *queue = &state->queues[queue_idx];
    if (queue->from_queue.count == 0) {
        return false;
    }
    struct message message = ring_pop(&queue->from_queue);
    if (mutant == MESSAGE_BY_POINTER) {
        touch_session(state, message.session);
    }
    bool known =
        queue->session != 0 && (queue->session == message.session || mutant == MESSAGE_WITHOUT_ID);
    if (!known) {
        return true;
    }
    touch_session(state, queue->session);
    if (message.kind == M_HINT && (queue->polled >> message.channel & 1) != 0 &&
        queue->session != message.session) {
        states_fail("a hint came to another session");
    }
    if (message.kind == M_SEND && queue->socket == message.generation) {
        touch_ring(state, message.generation);
    }
    return true;
}

/* A datagram comes to the socket's part on queue 1. Who armed waits on any channel of queue 0. */
bool queue_arrival(void *opaque, uint32_t channel)
{
    struct state *state = opaque;
    struct queue *queue = &state->queues[1];
    if (state->arrivals == 0 || queue->socket == 0 ||
        state->queues[0].from_queue.count == scenario.room) {
        return false;
    }
    state->arrivals--;
    touch_session(state, queue->session);
    touch_ring(state, queue->socket);
    ring_push(
        &state->queues[0].from_queue,
        (struct message){.kind = M_HINT, .session = queue->session, .channel = (uint8_t)channel});
    return true;
}

/* ---- channels ----------------------------------------------------------------------------------
 */

static bool queue_forward(struct state *state, uint32_t queue_idx, uint8_t channel, uint8_t kind,
                          const struct request *request)
{
    struct queue *queue = &state->queues[queue_idx];
    if (!ring_push(&queue->to_control, (struct message){.kind = kind,
                                                        .session = queue->session,
                                                        .channel = channel,
                                                        .generation = request->generation,
                                                        .who = request->who})) {
        return false;
    }
    queue->pending++;
    queue->pending_of[channel]++;
    return true;
}

static bool queue_data(struct state *state, uint32_t queue_idx, const struct request *request,
                       uint32_t variant)
{
    struct queue *queue = &state->queues[queue_idx];
    if (!queue->bound && queue_idx == 0) { /* a post on a socket without rings */
        queue->poisoned = queue->tell_poison = state->header_poisoned = 1;
        return true;
    }
    touch_ring(state, queue->socket);
    if (scenario.words == 0 && request->life != state->life) {
        states_fail("data of a closed socket was taken for a new one");
    }
    if (scenario.words == 0 && request->number != state->taken) {
        states_fail("data of a socket out of order");
    }
    if (scenario.words == 0) {
        state->taken++;
    }
    return variant == 0 ||
           ring_push(&state->queues[1 - queue_idx].from_queue,
                     (struct message){
                         .kind = M_SEND, .session = queue->session, .generation = queue->socket});
}

/* False: left where it is (OUTCOME_LATER). */
static bool queue_request(struct state *state, uint32_t queue_idx, uint8_t channel,
                          const struct request *request, uint32_t variant)
{
    struct queue *queue = &state->queues[queue_idx];
    switch (request->kind) {
    case R_OPEN:
        return queue_forward(state, queue_idx, channel, M_OPEN, request);
    case R_NOP:
        reply(state, queue_idx, channel, request->who, A_OK);
        return true;
    default:
        break;
    }
    bool elsewhere = queue_idx != 0 && mutant != REQUEST_AT_PART;
    if (queue->socket == 0 || elsewhere ||
        (queue->socket != request->generation &&
         mutant != GENERATION_UNCHECKED)) { /* closed meanwhile */
        reply(state, queue_idx, channel, request->who, A_FAILED);
        return true;
    }
    if (request->kind == R_DATA) {
        return queue_data(state, queue_idx, request, variant);
    }
    if (request->kind == R_BIND) {
        if ((queue->with_control || queue->bound) && mutant != BIND_TWICE) {
            reply(state, queue_idx, channel, request->who, A_FAILED);
            return true;
        }
        if (!queue_forward(state, queue_idx, channel, M_BIND, request)) {
            return false;
        }
        queue->with_control = 1;
        return true;
    }
    if ((queue->with_control && mutant != CLOSE_DURING_BIND) ||
        !queue_forward(state, queue_idx, channel, M_CLOSE, request)) {
        return false;
    }
    queue->socket = queue->with_control = queue->bound = 0;
    return true;
}

/* variant: queue, channel, and whether data is handed over to the other queue. */
bool queue_poll_channel(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    uint32_t queue_idx = variant % QUEUES;
    uint8_t channel = (uint8_t)(variant / QUEUES % CHANNELS);
    uint32_t hand_over = variant / QUEUES / CHANNELS;
    struct queue *queue = &state->queues[queue_idx];
    if ((queue->polled >> channel & 1) == 0 || queue->poisoned) {
        return false;
    }
    touch_session(state, queue->session);
    struct request_ring *ring = &state->rings[channel];
    if (ring->count == 0 || (hand_over != 0 && ring->slots[0].kind != R_DATA)) {
        return false;
    }
    struct request request = ring->slots[0];
    if (!queue_request(state, queue_idx, channel, &request, hand_over)) {
        return false;
    }
    ring->slots[0] = ring->slots[1];
    ring->slots[1] = (struct request){0};
    ring->count--;
    return true;
}

/* Garbage: nothing of the session is read on this queue any more, and the control thread is told
 * when there is room. */
bool queue_poison(void *opaque, uint32_t queue_idx)
{
    struct state *state = opaque;
    struct queue *queue = &state->queues[queue_idx];
    if (queue->tell_poison) {
        if (!ring_push(&queue->to_control,
                       (struct message){.kind = M_POISONED, .session = queue->session})) {
            return false;
        }
        queue->tell_poison = 0;
        return true;
    }
    if (queue->polled == 0 || queue->poisoned) {
        return false;
    }
    touch_session(state, queue->session);
    if (!state->garbage) {
        return false;
    }
    queue->poisoned = queue->tell_poison = state->header_poisoned = 1;
    return true;
}

/* ---- ends --------------------------------------------------------------------------------------
 */

static void queue_forget_channel(struct queue *queue, uint32_t channel)
{
    queue->polled &= (uint8_t) ~(1u << channel);
    queue->removing &= (uint8_t) ~(1u << channel);
}

/* variant: queue and channel. */
bool queue_channel_remove(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    struct queue *queue = &state->queues[variant % QUEUES];
    uint8_t channel = (uint8_t)(variant / QUEUES);
    if ((queue->removing >> channel & 1) == 0) {
        return false;
    }
    touch_session(state, queue->session);
    bool drained = queue->poisoned || state->rings[channel].count == 0;
    if ((!drained && mutant != CHANNEL_UNDRAINED) ||
        (queue->pending_of[channel] != 0 && mutant != CHANNEL_WITH_PENDING) ||
        !ring_push(&queue->to_control, (struct message){.kind = M_CHANNEL_REMOVED,
                                                        .session = queue->session,
                                                        .channel = channel})) {
        return false;
    }
    if (!drained) {
        states_fail("a channel was let go with a post in it");
    }
    queue_forget_channel(queue, channel);
    return true;
}

static bool queue_drained(const struct state *state, const struct queue *queue)
{
    for (uint32_t i = 0; i < CHANNELS; i++) {
        if ((queue->polled >> i & 1) != 0 && !queue->poisoned && state->rings[i].count != 0) {
            return false;
        }
    }
    return true;
}

/* One step: a socket goes back, or the session itself. */
bool queue_session_end(void *opaque, uint32_t queue_idx)
{
    struct state *state = opaque;
    struct queue *queue = &state->queues[queue_idx];
    if (!queue->ending || (queue->pending != 0 && mutant != END_WITH_PENDING) ||
        (queue->owes != M_NONE && mutant != END_BEFORE_OWED)) {
        return false;
    }
    touch_session(state, queue->session);
    bool drained = queue_drained(state, queue);
    if (!drained && mutant != END_UNDRAINED) {
        return false;
    }
    if (queue->socket != 0 && mutant != END_KEEPS_PART) {
        uint8_t kind = queue_idx == 0 ? M_CLOSE : M_PART_REMOVED;
        if (!ring_push(&queue->to_control, (struct message){.kind = kind,
                                                            .session = queue->session,
                                                            .generation = queue->socket,
                                                            .who = NOBODY})) {
            return false;
        }
        queue->socket = queue->with_control = queue->bound = 0;
        return true;
    }
    if (!ring_push(&queue->to_control,
                   (struct message){.kind = M_SESSION_ENDED, .session = queue->session})) {
        return false;
    }
    if (!drained) {
        states_fail("a session ended with a published post unread");
    }
    for (uint32_t i = 0; i < CHANNELS; i++) {
        queue_forget_channel(queue, i);
    }
    queue->session = queue->ending = queue->poisoned = queue->tell_poison = 0;
    return true;
}
