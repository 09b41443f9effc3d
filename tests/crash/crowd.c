/*
 * Many programs of many threads on one ringsockd: each thread sends on each socket of its program,
 * and receives from each. On half of the sockets the threads take turns, so that every datagram
 * moves the socket to another channel; on the others all send at once. Every datagram has a number,
 * and who receives checks that none is missing, doubled or early. usage: crowd PROGRAMS SCALE
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "provider/client/client.h"
#include "rings/os/os.h"
#include "tests/crash/rig.h"
#include "tests/support/check.h"

enum {
    THREADS = 16,
    LANES = 4,      /* a sending socket here, a receiving one in the next program */
    TURN_LANES = 2, /* the first so many: threads take turns */
    TURN_SENDS = 10,
    SHARED_SENDS = 10, /* of each thread on each lane, times SCALE */
    WINDOW = 48,
    BATCH = 8,
    PORT_BASE = 20000,
    PROGRAMS_MAX = 64,
    BYTES_MAX = 1400
};

#define WAIT_NS (60 * NS_PER_S)  /* for all of it, on a busy machine */
#define POLL_NS (20 * NS_PER_MS) /* when nothing comes: a turn or a window may have */

/* Seen by all processes. */
struct crowd_shared {
    _Atomic uint32_t bound;
    _Atomic uint32_t failed;
    _Atomic uint32_t done; /* programs that have received all */
    _Atomic uint64_t received[PROGRAMS_MAX][LANES];
    _Atomic uint64_t moved; /* datagrams another thread sent than the one before on that socket */
};

static struct crowd_shared *shared;
static uint32_t programs, scale;

struct lane {
    struct client_socket *sender, *receiver;
    _Atomic uint64_t sent;
    _Atomic uint32_t turn;
    pthread_mutex_t mutex; /* of the receiver, and of what it expects */
    uint32_t expected[THREADS];
    uint64_t received;
};

struct datagram {
    uint32_t program, lane, thread, number;
};

static struct {
    uint32_t program;
    struct client *client;
    struct lane lanes[LANES];
    uint64_t deadline_ns;
} self;

static uint32_t crowd_sends(uint32_t lane)
{
    return (lane < TURN_LANES ? TURN_SENDS : SHARED_SENDS) * scale;
}

static void crowd_fail(const char *what, uint32_t lane, enum rs_status status)
{
    if (atomic_exchange(&shared->failed, 1) == 0) { /* the others only follow */
        (void)fprintf(stderr, "program %u, lane %u: %s: %s\n", self.program, lane, what,
                      rs_status_name(status));
        for (uint32_t i = 0; i < LANES; i++) {
            (void)fprintf(stderr, "lane %u: sent %llu, received %llu of %u\n", i,
                          (unsigned long long)atomic_load(&self.lanes[i].sent),
                          (unsigned long long)atomic_load(&shared->received[self.program][i]),
                          crowd_sends(i) * THREADS);
        }
    }
}

/* ---- a lane ---- */

/* Inline, short and long, as the number wants it. */
static size_t crowd_length(uint32_t number)
{
    static const size_t lengths[] = {sizeof(struct datagram), 40, 200, BYTES_MAX, 24};
    return lengths[number % (sizeof(lengths) / sizeof(lengths[0]))];
}

static bool crowd_send(struct lane *lane, uint32_t lane_idx, uint32_t thread, uint32_t number)
{
    uint8_t data[BYTES_MAX];
    struct client_iov iov = {.base = data, .len_bytes = crowd_length(number)};
    const struct datagram head = {self.program, lane_idx, thread, number};
    size_t sent = 0;
    memset(data, (int)(number & 0xff), iov.len_bytes);
    memcpy(data, &head, sizeof(head));
    enum rs_status status = client_send(lane->sender, &iov, 1, 0, NULL, &sent);
    if (status != RS_OK) {
        crowd_fail("send", lane_idx, status);
        return false;
    }
    return true;
}

/* Room in the receiver's window for one more; takes it. */
static bool crowd_take_window(struct lane *lane, uint32_t lane_idx)
{
    uint32_t to = (self.program + 1) % programs;
    uint64_t sent = atomic_load(&lane->sent);
    return sent - atomic_load(&shared->received[to][lane_idx]) < WINDOW &&
           atomic_compare_exchange_strong(&lane->sent, &sent, sent + 1);
}

/* Under the lane's mutex: is it the next one? */
static bool crowd_check(struct lane *lane, uint32_t lane_idx, const uint8_t *data, size_t bytes)
{
    struct datagram head;
    memcpy(&head, data, sizeof(head));
    bool turns = lane_idx < TURN_LANES;
    if (bytes < sizeof(head) || head.program != (self.program + programs - 1) % programs ||
        head.lane != lane_idx || head.thread >= THREADS || bytes != crowd_length(head.number)) {
        crowd_fail("a datagram that nobody sent", lane_idx, RS_CORRUPT);
        return false;
    }
    uint32_t *expected = &lane->expected[turns ? 0 : head.thread];
    if (head.number != *expected ||
        (bytes > sizeof(head) && data[bytes - 1] != (uint8_t)(head.number & 0xff))) {
        (void)fprintf(stderr, "program %u, lane %u, thread %u: %u came, %u was next\n",
                      self.program, lane_idx, head.thread, head.number, *expected);
        atomic_store(&shared->failed, 1);
        return false;
    }
    (*expected)++;
    lane->received++;
    atomic_fetch_add(&shared->received[self.program][lane_idx], 1);
    return true;
}

/* What is there now, but a batch at most. True: there was something. */
static bool crowd_receive(struct lane *lane, uint32_t lane_idx)
{
    uint8_t data[BYTES_MAX];
    bool any = false;
    if (pthread_mutex_trylock(&lane->mutex) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < BATCH; i++) {
        struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
        size_t got = 0;
        enum rs_status status =
            client_recv(lane->receiver, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &got);
        if (status == RS_WOULD_BLOCK) {
            break;
        }
        if (status != RS_OK) {
            crowd_fail("receive", lane_idx, status);
            break;
        }
        any = true;
        if (!crowd_check(lane, lane_idx, data, got)) {
            break;
        }
    }
    (void)pthread_mutex_unlock(&lane->mutex);
    return any;
}

/* ---- a thread ---- */

/* One datagram on a lane where it is this thread's turn. */
static bool crowd_take_turn(struct lane *lane, uint32_t lane_idx, uint32_t thread)
{
    uint32_t number = atomic_load(&lane->turn);
    if (number % THREADS != thread || number >= crowd_sends(lane_idx) * THREADS ||
        !crowd_take_window(lane, lane_idx)) {
        return false;
    }
    bool sent = crowd_send(lane, lane_idx, thread, number);
    atomic_fetch_add(&shared->moved, 1);
    atomic_store(&lane->turn, number + 1);
    return sent;
}

static bool crowd_all_received(void)
{
    bool all = true;
    for (uint32_t i = 0; i < LANES; i++) {
        all &=
            atomic_load(&shared->received[self.program][i]) == (uint64_t)crowd_sends(i) * THREADS;
    }
    return all;
}

/* Each thread on one lane: a datagram wakes a quarter of them. */
static void crowd_sleep(uint32_t thread)
{
    uint32_t ready = 0;
    struct client_poll item = {.socket = self.lanes[thread % LANES].receiver,
                               .want = RS_LEVEL_READABLE};
    enum rs_status status = client_poll(self.client, &item, 1, POLL_NS, &ready);
    if (status != RS_OK) {
        crowd_fail("poll", 0, status);
    }
}

static void crowd_thread(void *arg)
{
    uint32_t thread = (uint32_t)(uintptr_t)arg;
    uint32_t numbers[LANES] = {0};
    while (atomic_load(&shared->failed) == 0 && !crowd_all_received()) {
        bool any = false;
        for (uint32_t i = 0; i < LANES; i++) {
            struct lane *lane = &self.lanes[(i + thread) % LANES];
            uint32_t lane_idx = (i + thread) % LANES;
            if (lane_idx < TURN_LANES) {
                any |= crowd_take_turn(lane, lane_idx, thread);
            } else if (numbers[lane_idx] < crowd_sends(lane_idx) &&
                       crowd_take_window(lane, lane_idx)) {
                any |= crowd_send(lane, lane_idx, thread, numbers[lane_idx]++);
            }
            any |= crowd_receive(lane, lane_idx);
        }
        if (!any) {
            crowd_sleep(thread);
        }
        if (os_monotonic_ns() > self.deadline_ns) {
            crowd_fail("not all came in time", 0, RS_TIMED_OUT);
        }
    }
    /* What this thread has still to send is for the next program. */
    while (atomic_load(&shared->failed) == 0 && atomic_load(&shared->done) < programs) {
        bool any = false;
        for (uint32_t i = 0; i < LANES; i++) {
            if (i < TURN_LANES) {
                any |= crowd_take_turn(&self.lanes[i], i, thread);
            } else if (numbers[i] < crowd_sends(i) && crowd_take_window(&self.lanes[i], i)) {
                any |= crowd_send(&self.lanes[i], i, thread, numbers[i]++);
            }
            any |= crowd_receive(&self.lanes[i], i); /* there should be nothing more */
        }
        if (!any) {
            os_sleep_ns(POLL_NS / 10);
        }
        if (os_monotonic_ns() > self.deadline_ns) {
            crowd_fail("the others were not done in time", 0, RS_TIMED_OUT);
        }
        if (thread == 0 && self.client != NULL && crowd_all_received()) {
            static bool told;
            if (!told) {
                told = true;
                atomic_fetch_add(&shared->done, 1);
            }
        }
    }
}

/* ---- a program ---- */

static enum rs_status crowd_open_lane(struct lane *lane, uint32_t lane_idx)
{
    const struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
    const struct rs_addr here =
        rs_addr_v4(RIG_LOCAL, rs_be16((uint16_t)(PORT_BASE + self.program * LANES + lane_idx)));
    enum rs_status status =
        client_socket_create(self.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &lane->receiver);
    if (status == RS_OK && (status = client_bind(lane->receiver, &here)) == RS_OK) {
        status = client_socket_create(self.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &lane->sender);
    }
    return status == RS_OK ? client_bind(lane->sender, &any) : status;
}

static enum rs_status crowd_aim_lane(struct lane *lane, uint32_t lane_idx)
{
    uint32_t to = (self.program + 1) % programs;
    const struct rs_addr peer =
        rs_addr_v4(RIG_LOCAL, rs_be16((uint16_t)(PORT_BASE + to * LANES + lane_idx)));
    return client_connect(lane->sender, &peer);
}

static bool crowd_all_bound(void *context)
{
    (void)context;
    return atomic_load(&shared->bound) == programs || atomic_load(&shared->failed) != 0;
}

static int crowd_program(void *arg)
{
    const struct client_config config = {
        .attach_timeout_ns = WAIT_NS / 2, .spin_us = 0, .yield_in_spin = -1};
    struct os_thread threads[THREADS];
    self.program = (uint32_t)(uintptr_t)arg;
    self.deadline_ns = os_monotonic_ns() + WAIT_NS;
    enum rs_status status = client_open(&config, &self.client);
    for (uint32_t i = 0; i < LANES && status == RS_OK; i++) {
        (void)pthread_mutex_init(&self.lanes[i].mutex, NULL);
        status = crowd_open_lane(&self.lanes[i], i);
    }
    if (status != RS_OK) {
        crowd_fail(client_last_error_text(), 0, status);
        return 1;
    }
    atomic_fetch_add(&shared->bound, 1);
    rig_await(crowd_all_bound, NULL, WAIT_NS, "all programs to have their sockets");
    for (uint32_t i = 0; i < LANES; i++) {
        CHECK(crowd_aim_lane(&self.lanes[i], i) == RS_OK);
    }
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(os_thread_start(&threads[i], crowd_thread, (void *)i, "crowd") == RS_OK);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        os_thread_join(&threads[i]);
    }
    client_close(self.client);
    return atomic_load(&shared->failed) != 0 ? 1 : 0;
}

static void crowd_run(uint32_t queues, const char *limits)
{
    struct rig rig;
    pid_t children[PROGRAMS_MAX] = {0};
    uint64_t start_ns = os_monotonic_ns();
    memset(shared, 0, sizeof(*shared));
    rig_create_queues(&rig, limits, queues);
    rig_start(&rig);
    for (uintptr_t i = 0; i < programs; i++) {
        children[i] = rig_fork(crowd_program, (void *)i);
    }
    for (uint32_t i = 0; i < programs; i++) {
        int status = rig_reap(children[i], 2 * WAIT_NS, "a program to end");
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    rig_stop(&rig);
    CHECK(rig_ledger(&rig, "recv_ring_full") == 0);
    rig_remove(&rig);
    uint64_t received = 0;
    for (uint32_t i = 0; i < programs; i++) {
        for (uint32_t lane = 0; lane < LANES; lane++) {
            received += atomic_load(&shared->received[i][lane]);
        }
    }
    (void)printf("%u programs of %d threads, %u queue%s: %llu datagrams in order, %llu of them by "
                 "another thread than the one before, %.1f s\n",
                 programs, THREADS, queues, queues == 1 ? "" : "s", (unsigned long long)received,
                 (unsigned long long)atomic_load(&shared->moved),
                 (double)(os_monotonic_ns() - start_ns) / 1e9);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    programs = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : PROGRAMS_MAX;
    scale = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    CHECK(programs >= 2 && programs <= PROGRAMS_MAX && scale >= 1);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    /* A channel for each thread; then fewer, so that most threads share one. */
    crowd_run(1, "sessions = 64\nchannels = 20\nsockets = 32\n");
    crowd_run(1, "sessions = 64\nchannels = 5\nsockets = 32\n");
    crowd_run(2, "sessions = 64\nchannels = 40\nsockets = 32\n");
    crowd_run(2, "sessions = 64\nchannels = 6\nsockets = 32\n");
    return 0;
}
