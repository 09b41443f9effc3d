/*
 * Attach, channels, sockets and ends over two queues, as a model of the protocol: all states that a
 * client, the control thread and two queues can come to when the client may die, leave or break the
 * protocol at any step. Checked: nothing is touched after it was freed or by who does not own it,
 * no channel, socket index or ring memory has two owners, data of a socket stays in order when it
 * moves, every live client gets its answers and every end comes to an end (from each state there is
 * a way there that needs nothing of the client). Then each rule of the protocol is taken out once,
 * and the model must fail. README.md says which code each step stands for.
 */
#include "tests/model/protocol.h"

#include <stdio.h>
#include <string.h>

#include "tests/model/states.h"

enum mutant mutant;
struct scenario scenario;

bool ring_push(struct message_ring *ring, struct message message)
{
    if (ring->count == scenario.room) {
        return false;
    }
    ring->slots[ring->count++] = message;
    return true;
}

struct message ring_pop(struct message_ring *ring)
{
    struct message message = ring->slots[0];
    ring->count--;
    for (uint32_t i = 0; i < ring->count; i++) {
        ring->slots[i] = ring->slots[i + 1];
    }
    ring->slots[ring->count] = (struct message){0};
    return message;
}

void touch_session(const struct state *state, uint8_t session)
{
    if (session == 0 || state->memory != session) {
        states_fail("a session's memory was touched after it was freed");
    }
}

/* ---------------------------------------------------------------------------------------------- */

static const struct states_action actions[] = {
    {"client attaches", client_attach, 1, true},
    {"client thread", client_thread_step, THREADS, false},
    {"client thread sees the end", client_fails, THREADS, false},
    {"client writes garbage", client_break, 1, true},
    {"client writes anything", client_scribble, CHANNELS *R_NOP * 2, true},
    {"client asks anything", client_ask_anything, 2 * CHANNELS, true},
    {"client dies", client_die, 1, true},
    {"client leaves", client_leave, 1, true},
    {"control pushes", control_push, 1, false},
    {"control accepts", control_accept, 1, false},
    {"control: connection", control_connection, 1, false},
    {"control stops", control_stop, 1, true},
    {"control: client gone", control_gone, 1, false},
    {"control: message of queue", control_message, QUEUES, false},
    {"queue: message of control", queue_take_message, 2 * QUEUES, false},
    {"queue: message of the other", queue_take_queue_message, QUEUES, false},
    {"queue polls a channel", queue_poll_channel, 2 * QUEUES *CHANNELS, false},
    {"queue: garbage", queue_poison, QUEUES, false},
    {"queue answers late", queue_pay, QUEUES, false},
    {"queue lets a channel go", queue_channel_remove, QUEUES *CHANNELS, false},
    {"queue ends the session", queue_session_end, QUEUES, false},
    {"datagram at queue 1", queue_arrival, CHANNELS, true},
};

/* Nobody waits, nothing is under way, nothing is kept that should be free. */
static bool good_end(const void *opaque)
{
    const struct state *state = opaque;
    bool quiet = !client_waits(state) && state->out_count == 0 && state->client != C_GONE;
    for (uint32_t i = 0; i < QUEUES; i++) {
        const struct queue *queue = &state->queues[i];
        quiet = quiet && queue->from_control.count == 0 && queue->to_control.count == 0 &&
                queue->from_queue.count == 0 && queue->owes == M_NONE && !queue->tell_poison &&
                queue->pending == 0;
        quiet = quiet && (queue->session != 0) == (state->session == S_LIVE);
    }
    if (state->session == S_FREE) {
        quiet = quiet && state->memory == 0;
    }
    return quiet && state->session != S_ENDING;
}

static void print_state(const void *opaque)
{
    const struct state *state = opaque;
    printf(
        "      session %u memory %u client %u gone %u left %u socket %u parts %u ring %u used %x "
        "closing %u out %u\n",
        state->session, state->memory, state->client, state->client_gone, state->queues_left,
        state->socket, state->parts, state->ring_owner, state->channel_used, state->channel_closing,
        state->out_count);
    for (uint32_t i = 0; i < QUEUES; i++) {
        const struct queue *queue = &state->queues[i];
        printf("      queue %u: session %u ending %u polled %x removing %x socket %u pending %u "
               "owes %u; from control %u, to control %u, from queue %u; channel %u: %u posts; "
               "thread %u: step %u\n",
               i, queue->session, queue->ending, queue->polled, queue->removing, queue->socket,
               queue->pending, queue->owes, queue->from_control.count, queue->to_control.count,
               queue->from_queue.count, i, state->rings[i].count, i, state->threads[i].step);
    }
}

static bool run(const char *what, struct scenario wanted, enum mutant rule, uint64_t states_max)
{
    struct state initial = {0};
    initial.place_channel = initial.channel_closing = NO_CHANNEL;
    for (uint32_t i = 0; i < THREADS; i++) {
        initial.threads[i].channel = NO_CHANNEL;
    }
    const struct states_model model = {.state_bytes = sizeof(struct state),
                                       .initial = &initial,
                                       .actions = actions,
                                       .action_count = sizeof(actions) / sizeof(actions[0]),
                                       .good_end = good_end,
                                       .print = print_state,
                                       .states_max = states_max};
    scenario = wanted;
    mutant = rule;
    struct states_result result = states_explore(&model, rule == RIGHT);
    printf("%-56s %8llu states, %9llu steps: %s%s\n", what, (unsigned long long)result.states,
           (unsigned long long)result.transitions, result.why != NULL ? result.why : "no violation",
           rule != RIGHT ? " (must fail)" : "");
    (void)fflush(stdout);
    return (result.why != NULL) == (rule != RIGHT);
}

/* ---- what is run
 * --------------------------------------------------------------------------------*/

static const struct scenario reuse = {
    .sessions = 2, .rounds = 1, .arrivals = 1, .room = 2, .dies = true, .breaks = true};
static const struct scenario sockets = {.sessions = 1,
                                        .rounds = 2,
                                        .arrivals = 1,
                                        .room = 2,
                                        .dies = true,
                                        .breaks = true,
                                        .stops = true};
static const struct scenario threads = {
    .sessions = 1, .rounds = 2, .room = 2, .second_thread = true, .dies = true};
static const struct scenario threads_end = {
    .sessions = 1, .rounds = 1, .room = 2, .second_thread = true, .breaks = true, .stops = true};
static const struct scenario tight = {
    .sessions = 1, .rounds = 2, .room = 1, .second_thread = true, .dies = true};
static const struct scenario hostile = {.sessions = 1, .words = 4, .room = 1, .dies = true};
static const struct scenario hostile_narrow = {
    .sessions = 1, .words = 4, .room = 1, .narrow = true};
static const struct scenario threads_stop = {
    .sessions = 1, .rounds = 1, .room = 1, .second_thread = true, .stops = true};
static const struct scenario hostile_deep = {.sessions = 1, .words = 5, .room = 2, .dies = true};
static const struct scenario everything = {.sessions = 1,
                                           .rounds = 1,
                                           .arrivals = 1,
                                           .room = 1,
                                           .second_thread = true,
                                           .dies = true,
                                           .breaks = true,
                                           .stops = true};
static const struct scenario sockets_deep = {.sessions = 1,
                                             .rounds = 3,
                                             .arrivals = 2,
                                             .room = 2,
                                             .dies = true,
                                             .breaks = true,
                                             .stops = true};

static const struct {
    enum mutant rule;
    const struct scenario *scenario;
    const char *what;
} mutants[] = {
    {FREE_AT_FIRST_ANSWER, &sockets, "freed at the first queue's answer"},
    {FREE_UNDER_CLIENT, &reuse, "freed while the client lives"},
    {END_TWICE, &reuse, "told to end twice"},
    {END_WITH_PENDING, &sockets, "end answered with requests at the control thread"},
    {END_UNDRAINED, &sockets, "end answered with posts unread"},
    {END_KEEPS_PART, &sockets, "end answered with a part in the tables"},
    {END_BEFORE_OWED, &sockets, "end answered before what is owed"},
    {PART_ADD_AFTER_END, &sockets, "part added after the end was told"},
    {PART_REMOVE_AFTER_END, &sockets, "part removed after the end was told"},
    {FREE_WITH_PART, &sockets, "socket freed with a part elsewhere"},
    {MESSAGE_BY_POINTER, &reuse, "message between queues followed by pointer"},
    {MESSAGE_WITHOUT_ID, &reuse, "message between queues without session id"},
    {CHANNEL_FREED_AT_CLOSE, &threads, "channel free when its close is asked for"},
    {CHANNEL_WITH_PENDING, &hostile_narrow, "channel let go with an answer to come"},
    {CHANNEL_UNDRAINED, &threads, "channel let go with posts unread"},
    {GENERATION_KEPT, &threads, "index used again with the same generation"},
    {CLOSE_DURING_BIND, &hostile_narrow, "close overtakes the bind's answer"},
    {OPENING_AT_CLOSE, &threads_stop, "refused channel close taken for consumed posts"},
    {REQUEST_AT_PART, &threads, "request taken where only a part is"},
    {MOVE_WITHOUT_WAIT, &threads, "socket moves at once"},
    {CLOSE_UNANSWERED, &threads_stop, "channel close unanswered at the end"},
    {CLOSE_TWICE, &hostile_narrow, "channel close not checked"},
    {BIND_TWICE, &hostile_narrow, "bound while it is bound"},
    {GENERATION_UNCHECKED, &threads, "generation of a request not compared"},
    {ANSWER_BLOCKS, &tight, "queue waits for room before it answers"},
};
_Static_assert(sizeof(mutants) / sizeof(mutants[0]) == MUTANTS - 1, "every mutant is run");

int main(int argc, char **argv)
{
#ifdef __SANITIZE_THREAD__
    return 77; /* one thread */
#endif
    bool deep = argc > 1 && strcmp(argv[1], "deep") == 0;
    uint64_t states_max = deep ? 8000000 : 1500000;
    printf("a state has %zu bytes\n", sizeof(struct state));
    bool ok = run("two sessions in one place", reuse, RIGHT, states_max);
    ok = run("a socket index used again and again", sockets, RIGHT, states_max) && ok;
    ok = run("two threads, channels opened and closed", threads, RIGHT, states_max) && ok;
    ok = run("two threads, ends", threads_end, RIGHT, states_max) && ok;
    ok = run("two threads, rings of one message", tight, RIGHT, states_max) && ok;
    ok = run("a hostile client", deep ? hostile_deep : hostile, RIGHT, states_max) && ok;
    if (deep) {
        ok = run("a socket index used three times", sockets_deep, RIGHT, states_max) && ok;
        ok = run("two threads, every kind of end", everything, RIGHT, states_max) && ok;
        return ok ? 0 : 1;
    }
    for (uint32_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
        ok = run(mutants[i].what, *mutants[i].scenario, mutants[i].rule, states_max) && ok;
    }
    return ok ? 0 : 1;
}
