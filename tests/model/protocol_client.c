/*
 * The client of the attach-and-end model: what its two threads do, one step at a time, and how it
 * ends. Thread 0 opens a channel to queue 0, then a socket, binds, sends, closes, again and again.
 * Thread 1 opens a channel of its own, sends on the same socket (which moves), ends, and opens the
 * same channel index to queue 1, where it asks for things it cannot have. Stands for
 * provider/client: client_channel_open and _close, client_request, client_socket_move.
 */
#include "tests/model/protocol.h"

#include "tests/model/states.h"

enum thread_step {
    T_CHANNEL,
    T_CHANNEL_WAIT,
    T_OPEN,
    T_OPEN_WAIT,
    T_BIND,
    T_BIND_WAIT,
    T_SEND,
    T_CLOSE,
    T_CLOSE_WAIT,
    T_CHANNEL_CLOSE,
    T_CHANNEL_CLOSE_WAIT,
    T_STRAY_OPEN,
    T_STRAY_OPEN_WAIT,
    T_STRAY_CLOSE,
    T_STRAY_CLOSE_WAIT,
    T_DONE,
    T_FAILED
};

static bool waits_for_reply(uint8_t step)
{
    return step == T_OPEN_WAIT || step == T_BIND_WAIT || step == T_CLOSE_WAIT ||
           step == T_STRAY_OPEN_WAIT || step == T_STRAY_CLOSE_WAIT;
}

bool client_waits(const struct state *state)
{
    bool waits = state->client == C_ATTACHING;
    for (uint32_t i = 0; i < THREADS; i++) {
        uint8_t step = state->threads[i].step;
        waits = waits ||
                (state->client == C_LIVE &&
                 (waits_for_reply(step) || step == T_CHANNEL_WAIT || step == T_CHANNEL_CLOSE_WAIT));
    }
    return waits;
}

bool client_attach(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    (void)variant;
    if (state->client != C_NONE || state->sessions_made >= scenario.sessions) {
        return false;
    }
    state->client = C_ATTACHING;
    return true;
}

/* slow_mutex: one request on the connection at a time. */
static bool ask(struct state *state, uint32_t who, uint8_t kind, uint8_t arg)
{
    if (state->connection != M_NONE || state->connection_answer != A_NONE) {
        return false;
    }
    state->connection = kind;
    state->connection_arg = arg;
    state->connection_who = (uint8_t)who;
    return true;
}

static bool answered(struct state *state, uint32_t who, uint8_t *answer)
{
    if (state->connection_answer == A_NONE || state->connection_who != who) {
        return false;
    }
    *answer = state->connection_answer;
    state->connection_answer = A_NONE;
    return true;
}

/* client_check: a session that has ended takes no more posts. */
static bool post(struct state *state, uint32_t who, uint8_t kind)
{
    struct thread *thread = &state->threads[who];
    struct request_ring *ring = &state->rings[thread->channel];
    if (state->header_poisoned || ring->count == SLOTS) {
        return false;
    }
    bool data = kind == R_DATA;
    ring->slots[ring->count++] = (struct request){.kind = kind,
                                                  .generation = thread->generation,
                                                  .who = (uint8_t)(data ? NOBODY : who),
                                                  .life = data ? thread->life : 0,
                                                  .number = data ? state->posted : 0};
    thread->reply = A_NONE;
    return true;
}

/* client_socket_move: what the socket posted to another channel is consumed. */
static bool move(struct state *state, uint32_t who)
{
    uint8_t channel = state->threads[who].channel;
    uint8_t old = state->place_channel;
    bool same = old == channel && state->place_opening == state->openings[channel];
    if (!same && old != NO_CHANNEL && state->openings[old] == state->place_opening &&
        state->rings[old].count != 0 && mutant != MOVE_WITHOUT_WAIT) {
        return false;
    }
    return true;
}

static bool post_socket(struct state *state, uint32_t who, uint8_t kind)
{
    if (!move(state, who) || !post(state, who, kind)) {
        return false;
    }
    state->place_channel = state->threads[who].channel;
    state->place_opening = state->openings[state->place_channel];
    return true;
}

static bool thread_channel_answer(struct state *state, uint32_t who)
{
    struct thread *thread = &state->threads[who];
    uint8_t answer;
    if (!answered(state, who, &answer)) {
        return false;
    }
    thread->channel = answer == A_OK ? state->connection_arg : NO_CHANNEL;
    if (answer == A_OK && mutant != OPENING_AT_CLOSE) {
        state->openings[thread->channel]++;
    }
    if (answer != A_OK) {
        thread->step = T_FAILED;
    } else if (who == 0) {
        thread->step = T_OPEN;
    } else {
        thread->step = thread->queue == 0 ? T_SEND : T_STRAY_OPEN;
    }
    return true;
}

static bool thread_channel_closed(struct state *state, uint32_t who)
{
    struct thread *thread = &state->threads[who];
    uint8_t answer;
    if (!answered(state, who, &answer)) {
        return false;
    }
    if (mutant == OPENING_AT_CLOSE) {
        state->openings[thread->channel]++;
    }
    thread->channel = NO_CHANNEL;
    thread->queue = 1;
    thread->step = answer == A_OK ? T_CHANNEL : T_FAILED;
    return true;
}

static bool thread_reply(struct state *state, uint32_t who)
{
    struct thread *thread = &state->threads[who];
    if (thread->reply == A_NONE) {
        return false;
    }
    bool ok = thread->reply == A_OK;
    thread->reply = A_NONE;
    switch (thread->step) {
    case T_OPEN_WAIT:
        thread->step = ok ? T_BIND : T_DONE;
        state->posted = state->taken = state->bound = 0;
        break;
    case T_BIND_WAIT:
        thread->step = ok ? T_SEND : T_CLOSE;
        state->bound = ok;
        break;
    case T_CLOSE_WAIT:
        if (!ok) {
            states_fail("the close of a socket was refused to its owner");
        }
        thread->generation = 0;
        thread->step = ++state->rounds < scenario.rounds ? T_OPEN : T_DONE;
        break;
    case T_STRAY_OPEN_WAIT:
        thread->step = T_STRAY_CLOSE;
        break;
    default:
        thread->step = T_DONE;
    }
    return true;
}

static bool thread_send(struct state *state, uint32_t who)
{
    struct thread *thread = &state->threads[who];
    if (who == 1 && thread->generation == 0) { /* the handle it was given while it was bound */
        return false;
    }
    if (!post_socket(state, who, R_DATA)) {
        return false;
    }
    if (thread->life == state->threads[0].life) {
        state->posted++;
    }
    thread->step = who == 0 ? T_CLOSE : T_CHANNEL_CLOSE;
    return true;
}

static bool thread_post(struct state *state, uint32_t who, uint8_t kind, bool of_socket)
{
    if (!(of_socket ? post_socket(state, who, kind) : post(state, who, kind))) {
        return false;
    }
    state->threads[who].step++;
    return true;
}

bool client_thread_step(void *opaque, uint32_t who)
{
    struct state *state = opaque;
    struct thread *thread = &state->threads[who];
    if (state->client != C_LIVE || scenario.words != 0) {
        return false;
    }
    switch (thread->step) {
    case T_CHANNEL:
        if (who == 1 && thread->queue == 0) {
            if (!state->bound || !scenario.second_thread) {
                return false;
            }
            thread->generation = state->threads[0].generation;
            thread->life = state->threads[0].life;
        }
        if (!ask(state, who, M_CHANNEL_ADD, thread->queue)) {
            return false;
        }
        thread->step = T_CHANNEL_WAIT;
        return true;
    case T_CHANNEL_WAIT:
        return thread_channel_answer(state, who);
    case T_OPEN:
        return thread_post(state, who, R_OPEN, false);
    case T_BIND:
        return thread_post(state, who, R_BIND, true);
    case T_SEND:
        return thread_send(state, who);
    case T_CLOSE:
        return thread_post(state, who, R_CLOSE, true);
    case T_CHANNEL_CLOSE:
        if (!ask(state, who, M_CHANNEL_REMOVE, thread->channel)) {
            return false;
        }
        thread->step = T_CHANNEL_CLOSE_WAIT;
        return true;
    case T_CHANNEL_CLOSE_WAIT:
        return thread_channel_closed(state, who);
    case T_STRAY_OPEN:
        return thread_post(state, who, R_OPEN, false);
    case T_STRAY_CLOSE:
        return thread_post(state, who, R_CLOSE, false);
    default:
        return waits_for_reply(thread->step) && thread_reply(state, who);
    }
}

/* A thread that waits, or wants to post, sees that the session has ended (client_check). */
bool client_fails(void *opaque, uint32_t who)
{
    struct state *state = opaque;
    struct thread *thread = &state->threads[who];
    bool on_connection = thread->step == T_CHANNEL_WAIT || thread->step == T_CHANNEL_CLOSE_WAIT;
    if (state->client != C_LIVE || !state->header_poisoned || on_connection ||
        thread->step >= T_DONE) {
        return false;
    }
    thread->step = T_FAILED;
    return true;
}

/* A hostile client: any request for any generation in any ring it can write, in any order. variant:
 * channel, kind, generation. */
bool client_scribble(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    struct request_ring *ring = &state->rings[variant % CHANNELS];
    uint8_t kind = (uint8_t)(R_OPEN + variant / CHANNELS % R_NOP);
    uint8_t generation = (uint8_t)(1 + variant / CHANNELS / R_NOP);
    bool names_socket = kind != R_OPEN && kind != R_NOP;
    if (state->client != C_LIVE || state->words == 0 || ring->count == SLOTS ||
        (!names_socket && generation != 1) ||
        (scenario.narrow && (variant % CHANNELS != 0 || generation != 1))) {
        return false;
    }
    state->words--;
    ring->slots[ring->count++] = (struct request){
        .kind = kind, .generation = generation, .who = (uint8_t)(kind == R_DATA ? NOBODY : 0)};
    return true;
}

/* And any request on the connection. variant: kind, and queue or channel. */
bool client_ask_anything(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    if (state->client != C_LIVE || state->words == 0 || (scenario.narrow && variant / 2 != 0)) {
        return false;
    }
    state->connection_answer = A_NONE; /* it does not look at answers */
    if (!ask(state, 0, variant % 2 == 0 ? M_CHANNEL_ADD : M_CHANNEL_REMOVE,
             (uint8_t)(variant / 2))) {
        return false;
    }
    state->words--;
    return true;
}

/* Garbage in a slot: any other than a request that can be. */
bool client_break(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    (void)variant;
    if (!scenario.breaks || state->client != C_LIVE || state->garbage || state->header_poisoned) {
        return false;
    }
    state->garbage = 1;
    return true;
}

static void client_forget(struct state *state)
{
    for (uint32_t i = 0; i < THREADS; i++) {
        state->threads[i] = (struct thread){.channel = NO_CHANNEL};
    }
    for (uint32_t i = 0; i < CHANNELS; i++) {
        state->openings[i] = 0;
    }
    state->client = C_GONE;
    state->connection = M_NONE;
    state->connection_answer = A_NONE;
    state->connection_arg = state->connection_who = state->connection_taken = 0;
    state->place_channel = NO_CHANNEL;
    state->place_opening = state->rounds = state->bound = state->words = 0;
}

bool client_die(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    (void)variant;
    if (!scenario.dies || state->client != C_LIVE) {
        return false;
    }
    client_forget(state);
    return true;
}

/* Its threads are done, or saw the end: it closes the connection. */
bool client_leave(void *opaque, uint32_t variant)
{
    struct state *state = opaque;
    (void)variant;
    bool done =
        scenario.words != 0 || (state->threads[0].step >= T_DONE &&
                                (!scenario.second_thread || state->threads[1].step >= T_DONE));
    if (state->client != C_LIVE || !done) {
        return false;
    }
    client_forget(state);
    return true;
}
