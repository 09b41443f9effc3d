/*
 * A connection with full rings of 4 MiB goes into the dataplane's house, and back, which takes many
 * iterations of its queue; meanwhile a process that has it is killed. Kinds of rounds:
 *
 *   the one that it is shared with, while it goes in: the owner has all its bytes and goes on
 *   the owner, while it goes in: the connection ends, at last with the grant of the other one
 *   the other holder: the one that is left has it back for itself, all its bytes, and goes on
 *   that one, while it comes back: the connection ends
 *
 * Both directions carry a pattern that each end checks byte by byte. The parent is the peer.
 * Argument: how many rounds.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "provider/client/client_internal.h"
#include "rings/os/os.h"
#include "tests/crash/share_kit.h"
#include "tests/support/check.h"

#define RING_BYTES     "4194304"
#define PIECE_BYTES    32768u
#define GOES_ON        (256u * 1024u) /* bytes each way that come behind those that were there */
#define REFUSED_MAX    200u           /* a send so often in a row: the rings are full */
#define WARM_UP        4u
#define DYING_NS       500000u
#define FIRST_GUESS_NS 1000000u

enum kind { GRANTEE_GOING_IN, OWNER_GOING_IN, HOLDER_BEFORE, LAST_COMING_BACK, KINDS };

enum owner_step { OWNER_STARTS, OWNER_FULL, OWNER_MOVES, OWNER_MOVED };

struct flow {
    uint64_t sent, got;
};

/* Shared with the children. */
struct hand_over {
    uint32_t kind;
    _Atomic uint32_t go, may_pump, step, failed;
    _Atomic uint32_t granted, opened;   /* the other holder */
    _Atomic uint64_t sent, got;         /* the owner's */
    _Atomic uint64_t began_ns, took_ns; /* the move */
    pid_t other;
    struct rs_addr at;
    struct client_share_info info;
};

static struct {
    struct share_world world;
    struct client_socket *listener, *peer;
    struct hand_over *hand_over;
    struct flow flow;
    uint64_t move_ns[2]; /* as the last one took: in, back */
    uint32_t amid;       /* kills that came before the move's end */
} test;

/* ---- bytes of the pattern, at both ends ---- */

static uint8_t pattern(uint64_t pos)
{
    return (uint8_t)(pos ^ pos >> 8 ^ pos >> 16);
}

/* RS_WOULD_BLOCK: no room. */
static enum rs_status flow_send(struct flow *flow, struct client_socket *socket, uint32_t most)
{
    static uint8_t data[PIECE_BYTES];
    size_t sent = 0;
    struct client_iov iov = {.base = data, .len_bytes = most};
    for (uint32_t i = 0; i < most; i++) {
        data[i] = pattern(flow->sent + i);
    }
    enum rs_status status = client_send(socket, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &sent);
    flow->sent += sent;
    return status;
}

/* RS_WOULD_BLOCK: nothing there; RS_CONN_RESET also for an orderly end, which nobody asks for. */
static enum rs_status flow_take(struct flow *flow, struct client_socket *socket)
{
    static uint8_t data[PIECE_BYTES];
    size_t got = 0;
    struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    enum rs_status status = client_recv(socket, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &got);
    for (size_t i = 0; i < got; i++) {
        uint64_t pos = flow->got + i;
        if (data[i] != pattern(pos)) {
            fprintf(stderr, "byte %llu is %u, not %u\n", (unsigned long long)pos, data[i],
                    pattern(pos));
            return RS_CORRUPT;
        }
    }
    flow->got += got;
    return status == RS_OK && got == 0 ? RS_CONN_RESET : status;
}

static bool flow_goes_on(enum rs_status status)
{
    return status == RS_OK || status == RS_WOULD_BLOCK;
}

/* Sends until the rings are full. */
static enum rs_status flow_fill(struct flow *flow, struct client_socket *socket)
{
    enum rs_status status = RS_OK;
    for (uint32_t refused = 0; refused < REFUSED_MAX && flow_goes_on(status); refused++) {
        status = flow_send(flow, socket, PIECE_BYTES);
        refused = status == RS_OK ? 0 : refused;
        os_yield();
    }
    return flow_goes_on(status) ? RS_OK : status;
}

static enum rs_status flow_pump(struct flow *flow, struct client_socket *socket)
{
    enum rs_status status = flow_take(flow, socket);
    if (flow_goes_on(status)) {
        status = flow_send(flow, socket, PIECE_BYTES);
    }
    os_yield();
    return status;
}

/* ---- children ---- */

static void await_word(const _Atomic uint32_t *word)
{
    while (atomic_load(word) == 0) {
        os_yield();
    }
}

/* The other holder: opens what it is granted, and waits for its death. */
static int other_run(void *arg)
{
    struct hand_over *hand_over = arg;
    struct client *client = NULL;
    struct client_socket *socket = NULL;
    if (hand_over->kind == HOLDER_BEFORE || hand_over->kind == LAST_COMING_BACK) {
        await_word(&hand_over->granted);
        enum rs_status status = client_open(NULL, &client);
        if (status == RS_OK) {
            status = client_share_open(client, &hand_over->info, &socket);
        }
        if (status != RS_OK) {
            atomic_store(&hand_over->failed, (uint32_t)status);
            return 1;
        }
        atomic_store(&hand_over->opened, 1);
    }
    while (pause() != 0) {
        /* the parent kills it */
    }
    return 0;
}

/* The move into the house: SHARE. */
static enum rs_status owner_share(struct hand_over *hand_over, struct client_socket *socket)
{
    return client_share(socket, (uint32_t)hand_over->other, &hand_over->info);
}

/* The move back: with the first send or receive of a socket that is left alone. The rings are full,
 * so a send changes nothing else. */
static enum rs_status owner_return(struct hand_over *hand_over, struct client_socket *socket,
                                   struct flow *flow)
{
    enum rs_status status = owner_share(hand_over, socket);
    if (status != RS_OK) {
        return status;
    }
    atomic_store(&hand_over->granted, 1);
    await_word(&hand_over->opened);
    while (atomic_load_explicit(&socket->state->share_count, memory_order_relaxed) != 1) {
        os_yield();
    }
    atomic_store(&hand_over->began_ns, os_monotonic_ns());
    atomic_store(&hand_over->step, OWNER_MOVES);
    do {
        status = flow_send(flow, socket, PIECE_BYTES);
    } while (flow_goes_on(status) && client_is_shared(socket));
    return flow_goes_on(status) ? RS_OK : status;
}

static enum rs_status owner_move(struct hand_over *hand_over, struct client_socket *socket,
                                 struct flow *flow)
{
    if (hand_over->kind == HOLDER_BEFORE || hand_over->kind == LAST_COMING_BACK) {
        return owner_return(hand_over, socket, flow);
    }
    atomic_store(&hand_over->began_ns, os_monotonic_ns());
    atomic_store(&hand_over->step, OWNER_MOVES);
    enum rs_status status = owner_share(hand_over, socket);
    /* The other one may be gone by then. */
    return hand_over->kind == GRANTEE_GOING_IN && status == RS_INVALID ? RS_OK : status;
}

static int owner_failed(struct hand_over *hand_over, enum rs_status status)
{
    atomic_store(&hand_over->failed, (uint32_t)status);
    return 1;
}

static int owner_run(void *arg)
{
    struct hand_over *hand_over = arg;
    struct client *client = NULL;
    struct client_socket *socket = NULL;
    struct flow flow = {0, 0};
    enum rs_status status = client_open(NULL, &client);
    if (status == RS_OK) {
        status = client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket);
    }
    if (status == RS_OK) {
        status = client_connect(socket, &hand_over->at);
    }
    if (status == RS_OK) {
        status = flow_fill(&flow, socket);
    }
    if (status != RS_OK) {
        return owner_failed(hand_over, status);
    }
    atomic_store(&hand_over->sent, flow.sent);
    atomic_store(&hand_over->step, OWNER_FULL);
    await_word(&hand_over->go);
    status = owner_move(hand_over, socket, &flow);
    if (status != RS_OK) {
        return owner_failed(hand_over, status);
    }
    atomic_store(&hand_over->took_ns, os_monotonic_ns() - atomic_load(&hand_over->began_ns));
    atomic_store(&hand_over->step, OWNER_MOVED);
    await_word(&hand_over->may_pump);
    while (flow_goes_on(status)) {
        status = flow_pump(&flow, socket);
        atomic_store(&hand_over->sent, flow.sent);
        atomic_store(&hand_over->got, flow.got);
    }
    return owner_failed(hand_over, status);
}

/* ---- the parent ---- */

static void say(const char *what, enum rs_status status)
{
    static const char *const kinds[] = {"grantee while it goes in", "owner while it goes in",
                                        "other holder", "last one while it comes back"};
    static const char *const steps[] = {"filling", "full", "moving", "moved"};
    const struct hand_over *hand_over = test.hand_over;
    enum rs_status failed = (enum rs_status)atomic_load(&hand_over->failed);
    fprintf(stderr,
            "killed: %s; %s: %s; owner: %s, %s, sent %llu, got %llu; here sent %llu, got %llu\n",
            kinds[hand_over->kind], what, rs_status_name(status),
            steps[atomic_load(&hand_over->step)], rs_status_name(failed),
            (unsigned long long)atomic_load(&hand_over->sent),
            (unsigned long long)atomic_load(&hand_over->got), (unsigned long long)test.flow.sent,
            (unsigned long long)test.flow.got);
}

static bool has_failed(void)
{
    return atomic_load(&test.hand_over->failed) != RS_OK;
}

static bool is_full(void *context)
{
    (void)context;
    return atomic_load(&test.hand_over->step) >= OWNER_FULL || has_failed();
}

/* Spins, for the moment is to be met. */
static void await_step(uint32_t step, const char *what)
{
    uint64_t end_ns = os_monotonic_ns() + SHARE_SOON_NS;
    while (atomic_load(&test.hand_over->step) < step) {
        os_yield();
        if (has_failed() || os_monotonic_ns() >= end_ns) {
            say(what, RS_TIMED_OUT);
            CHECK(!"a child goes on");
        }
    }
}

static bool has_opened(void *context)
{
    (void)context;
    return atomic_load(&test.hand_over->opened) != 0 || has_failed();
}

static bool comes_back(void)
{
    return test.hand_over->kind == HOLDER_BEFORE || test.hand_over->kind == LAST_COMING_BACK;
}

static void a_moment(uint64_t most_ns)
{
    most_ns = most_ns < NS_PER_S ? most_ns : NS_PER_S;
    uint64_t end_ns =
        os_monotonic_ns() + test_random_below(&test.world.random, (uint32_t)most_ns + 1);
    while (os_monotonic_ns() < end_ns) {
        os_yield();
    }
}

/* Sometime in the move, or just behind it. */
static void kill_amid(pid_t pid)
{
    await_step(OWNER_MOVES, "waited for the move to begin");
    a_moment(test.move_ns[comes_back()] * 5 / 4);
    test.amid += atomic_load(&test.hand_over->step) == OWNER_MOVES;
    share_kill(pid, test_random_below(&test.world.random, 4) == 0);
}

/* The owner lives: nothing is missing in either direction, and new bytes come behind. */
static void check_goes_on(void)
{
    await_step(OWNER_MOVED, "waited for the move to end");
    test.move_ns[comes_back()] = atomic_load(&test.hand_over->took_ns);
    uint64_t owner_most = atomic_load(&test.hand_over->sent) + GOES_ON;
    uint64_t peer_most = test.flow.sent + GOES_ON;
    uint64_t end_ns = os_monotonic_ns() + SHARE_SOON_NS;
    atomic_store(&test.hand_over->may_pump, 1);
    while (test.flow.got < owner_most || atomic_load(&test.hand_over->got) < peer_most) {
        enum rs_status status = flow_pump(&test.flow, test.peer);
        if (!flow_goes_on(status) || os_monotonic_ns() >= end_ns || has_failed()) {
            say("bytes go on", status);
            CHECK(!"the survivor's bytes go on");
        }
    }
}

/* Nobody has it any more: what came is in order, and then it is reset. */
static void check_ends(void)
{
    uint64_t end_ns = os_monotonic_ns() + SHARE_SOON_NS;
    enum rs_status status;
    do {
        status = flow_take(&test.flow, test.peer);
        os_yield();
    } while (flow_goes_on(status) && os_monotonic_ns() < end_ns);
    if (status != RS_CONN_RESET) {
        say("the end of the connection", status);
    }
    CHECK(status == RS_CONN_RESET);
}

static void round_run(enum kind kind)
{
    struct hand_over *hand_over = test.hand_over;
    struct rs_addr at = hand_over->at;
    memset(hand_over, 0, sizeof(*hand_over));
    hand_over->kind = (uint32_t)kind;
    hand_over->at = at;
    test.flow = (struct flow){0, 0};
    pid_t other = hand_over->other = rig_fork(other_run, hand_over);
    pid_t owner = rig_fork(owner_run, hand_over);
    CHECK(client_accept(test.listener, &test.peer, NULL) == RS_OK);
    CHECK(flow_fill(&test.flow, test.peer) == RS_OK);
    rig_await(is_full, NULL, SHARE_SOON_NS, "the rings to be full");
    if (kind == GRANTEE_GOING_IN && test_random_below(&test.world.random, 2) == 0) {
        /* The system needs its time, so the dataplane learns of it when the move has begun. */
        CHECK(kill(other, SIGKILL) == 0);
        a_moment(DYING_NS);
    }
    atomic_store(&hand_over->go, 1);
    switch (kind) {
    case GRANTEE_GOING_IN:
        kill_amid(other);
        check_goes_on();
        share_kill(owner, false);
        break;
    case OWNER_GOING_IN:
        kill_amid(owner);
        share_kill(other, false);
        break;
    case HOLDER_BEFORE:
        rig_await(has_opened, NULL, SHARE_SOON_NS, "the other process to open its descriptor");
        share_kill(other, test_random_below(&test.world.random, 4) == 0);
        check_goes_on();
        share_kill(owner, false);
        break;
    default:
        rig_await(has_opened, NULL, SHARE_SOON_NS, "the other process to open its descriptor");
        share_kill(other, false);
        kill_amid(owner);
        break;
    }
    check_ends();
    CHECK(client_socket_close(test.peer) == RS_OK);
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    test.hand_over =
        share_world_open(&test.world, "crash.share_move",
                         "recv_ring_bytes = " RING_BYTES "\nsend_ring_bytes = " RING_BYTES "\n", 1,
                         sizeof(*test.hand_over));
    test.move_ns[0] = test.move_ns[1] = FIRST_GUESS_NS;
    test.listener = share_make_listener(&test.world, &test.hand_over->at);
    for (uint32_t i = 0; i < rounds + WARM_UP; i++) {
        if (i == WARM_UP) {
            share_world_measure(&test.world);
            test.amid = 0;
        }
        round_run((enum kind)(i % KINDS));
    }
    share_world_close(&test.world, "moves");
    printf("%llu moves, %u processes killed amid; the last ones took %llu us in, %llu us back\n",
           (unsigned long long)rounds, test.amid, (unsigned long long)(test.move_ns[0] / 1000),
           (unsigned long long)(test.move_ns[1] / 1000));
    return 0;
}
