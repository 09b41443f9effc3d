/*
 * Threads that end without a word (a bare exit system call, so no destructor runs), holding what
 * the client core gives a thread: a channel, each of its locks, the lead of a common channel, reply
 * cells. The program's other threads go on, or get an error; none hangs. What is guarded half done
 * is arranged by hand, with client_internal.h: a thread dies where it is told to.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "provider/client/client_internal.h"
#include "tests/crash/rig.h"
#include "tests/support/check.h"

#define SOON_NS (10 * NS_PER_S)

static struct {
    struct rig rig;
    struct client *client;
    struct client_socket *from, *to;
    struct rs_addr from_at, to_at;
} test;

static struct client_socket *make_socket(struct rs_addr *at)
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
    CHECK(client_socket_create(test.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    CHECK(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, 10000) == RS_OK);
    CHECK(client_bind(socket, &any) == RS_OK);
    CHECK(client_local_addr(socket, at) == RS_OK);
    return socket;
}

static enum rs_status send_number(struct client_socket *socket, const struct rs_addr *to,
                                  uint32_t number, size_t bytes)
{
    uint8_t data[1000] = {0};
    size_t sent = 0;
    struct client_iov iov = {.base = data, .len_bytes = bytes};
    memcpy(data, &number, sizeof(number));
    return client_send(socket, &iov, 1, 0, to, &sent);
}

static uint32_t recv_number(struct client_socket *socket)
{
    uint8_t data[1000];
    uint32_t number;
    size_t got = 0;
    struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    enum rs_status status = client_recv(socket, &iov, 1, 0, NULL, &got);
    if (status != RS_OK) {
        fprintf(stderr, "receive: %s\n", rs_status_name(status));
    }
    CHECK(status == RS_OK && got >= sizeof(number));
    memcpy(&number, data, sizeof(number));
    return number;
}

static void begin(const char *what, uint32_t channels)
{
    char limits[128];
    const struct client_config config = {.spin_us = 0, .yield_in_spin = -1};
    printf("%s\n", what);
    (void)fflush(stdout);
    (void)snprintf(limits, sizeof(limits), "sessions = 4\nsockets = 32\nchannels = %u\n", channels);
    rig_create(&test.rig, limits);
    rig_start(&test.rig);
    CHECK(client_open(&config, &test.client) == RS_OK);
    test.from = make_socket(&test.from_at);
    test.to = make_socket(&test.to_at);
}

static void end(void)
{
    client_close(test.client);
    rig_stop(&test.rig);
    rig_remove(&test.rig);
}

/* ---- threads that die
 * ------------------------------------------------------------------------------------- */

struct doomed {
    void (*last)(struct doomed *doomed);
    pthread_t thread;
    struct client_socket *socket;
    uint32_t number;
    _Atomic uint32_t id;
};

static void *doomed_run(void *arg)
{
    struct doomed *doomed = arg;
    atomic_store(&doomed->id, os_thread_id());
    doomed->last(doomed);
    (void)syscall(SYS_exit, 0);
    return NULL;
}

static void doomed_start(struct doomed *doomed)
{
    CHECK(pthread_create(&doomed->thread, NULL, doomed_run, doomed) == 0);
}

static bool doomed_is_dead(void *context)
{
    uint32_t id = atomic_load(&((struct doomed *)context)->id);
    return id != 0 && !os_thread_alive(id);
}

/* Joined, so that the next thread gets its stack and what glibc left there. A sanitizer stumbles
 * over that itself: there the stack is not given back. */
static void doomed_join(struct doomed *doomed)
{
    rig_await(doomed_is_dead, doomed, SOON_NS, "a thread to be dead");
    CHECK(RIG_KEEPS_FREED || pthread_join(doomed->thread, NULL) == 0);
}

static void die(void (*last)(struct doomed *), struct client_socket *socket, uint32_t number)
{
    struct doomed doomed = {.last = last, .socket = socket, .number = number};
    doomed_start(&doomed);
    doomed_join(&doomed);
    CHECK(!os_thread_alive(atomic_load(&doomed.id)));
}

/* A thread that lives, and must be through soon. */
struct worker {
    void (*work)(struct worker *worker);
    struct os_thread thread;
    _Atomic uint32_t done;
    enum rs_status status;
    bool common;
};

static void worker_run(void *arg)
{
    struct worker *worker = arg;
    worker->work(worker);
    atomic_store(&worker->done, 1);
}

static bool worker_done(void *context)
{
    return atomic_load(&((struct worker *)context)->done) != 0;
}

static void work(struct worker *worker, void (*what)(struct worker *), const char *name)
{
    *worker = (struct worker){.work = what};
    CHECK(os_thread_start(&worker->thread, worker_run, worker, "worker") == RS_OK);
    rig_await(worker_done, worker, SOON_NS, name);
    os_thread_join(&worker->thread);
}

/* ---- a channel
 * ------------------------------------------------------------------------------------------- */

static void last_send(struct doomed *doomed)
{
    CHECK(send_number(doomed->socket, &test.to_at, doomed->number,
                      doomed->number % 2 != 0 ? 900 : 4) == RS_OK);
}

static void work_channel(struct worker *worker)
{
    struct client_channel *channel = client_channel_get(test.client, 0, &worker->status);
    CHECK(channel != NULL);
    worker->common = channel->common;
    worker->status = client_ping(test.client);
}

/* One socket goes from dying thread to dying thread: nothing is lost, the order stays, and the
 * channels never run out. */
static void test_channels_come_back(void)
{
    struct worker worker;
    begin("channels of dead threads come back", 4); /* one for all, one ours, two */
    for (uint32_t i = 0; i < 60; i++) {
        die(last_send, test.from, i);
    }
    for (uint32_t i = 0; i < 60; i++) {
        CHECK(recv_number(test.to) == i);
    }
    CHECK(test.client->private_channels <= 3);
    work(&worker, work_channel, "a channel");
    CHECK(worker.status == RS_OK && !worker.common);
    end();
}

/* ---- locks
 * -----------------------------------------------------------------------------------------------
 */

static void last_send_lock(struct doomed *doomed)
{
    struct rs_send_dgram *record = NULL;
    client_send_lock(doomed->socket);
    CHECK(dgram_send_writer_reserve(&doomed->socket->send, 100, RS_SEND_SHORT_OFF, &record) ==
          RS_OK);
    doomed->socket->post.last = POST_LAST_TAIL; /* half a post: of a slot that never was */
    doomed->socket->post.last_position = UINT32_MAX / 2;
}

static void last_recv_lock(struct doomed *doomed)
{
    client_recv_lock(doomed->socket);
}

static void last_arm_lock(struct doomed *doomed)
{
    (void)client_lock_take(&doomed->socket->arm_lock);
}

static void work_send(struct worker *worker)
{
    worker->status = send_number(test.from, &test.to_at, 1, 4);
}

static void work_receive(struct worker *worker)
{
    worker->status = recv_number(test.from) == 7 ? RS_OK : RS_CORRUPT;
}

static void work_close(struct worker *worker)
{
    worker->status = client_socket_close(test.from);
}

static void test_socket_locks(void)
{
    struct worker worker;
    begin("locks of a socket whose holder died", 4);
    CHECK(send_number(test.to, &test.from_at, 7, 4) == RS_OK);
    die(last_recv_lock, test.from, 0);
    work(&worker, work_receive, "a receive after a death inside one");
    CHECK(worker.status == RS_OK);
    die(last_arm_lock, test.from, 0);
    struct doomed later = {.last = last_send, .socket = test.to}; /* wakes the sleeper */
    test.to_at = test.from_at;
    later.number = 7;
    doomed_start(&later);
    work(&worker, work_receive, "a blocked receive after a death while arming");
    CHECK(worker.status == RS_OK);
    doomed_join(&later);

    die(last_send_lock, test.from, 0);
    work(&worker, work_send, "a send after a death inside one");
    CHECK(worker.status == RS_CORRUPT);
    struct client_poll item = {.socket = test.from, .want = RS_LEVEL_WRITABLE};
    uint32_t count = 0;
    CHECK(client_poll(test.client, &item, 1, SOON_NS, &count) == RS_OK && count == 1);
    CHECK(send_number(test.to, &test.from_at, 7, 4) == RS_OK);
    work(&worker, work_receive, "a receive on a socket that sends no more");
    CHECK(worker.status == RS_OK);
    die(last_send_lock, test.from, 0);
    work(&worker, work_close, "the close of a socket that sends no more");
    CHECK(worker.status == RS_OK);
    /* Its place serves another socket. */
    for (uint32_t i = 0; i < 40; i++) {
        struct client_socket *socket = make_socket(&test.from_at);
        CHECK(send_number(socket, &test.from_at, i, 900) == RS_OK);
        CHECK(recv_number(socket) == i);
        CHECK(client_socket_close(socket) == RS_OK);
    }
    die(last_recv_lock, test.to, 0);
    die(last_arm_lock, test.to, 0);
    die(last_send_lock, test.to, 0);
    end(); /* closes the other one */
}

/* ---- a common channel
 * ------------------------------------------------------------------------------------ */

static struct client_channel *common_channel(void)
{
    enum rs_status status = RS_OK;
    struct client_channel *channel = client_channel_get(test.client, 0, &status);
    CHECK(channel != NULL && channel->common);
    return channel;
}

static void last_common_lock(struct doomed *doomed)
{
    struct client_channel *channel = common_channel();
    client_channel_enter(channel);
    CHECK(post_control_reserve(&channel->post) != NULL);
    if (doomed->number == 1) {
        channel->post.producer.tail++; /* in the middle of slot_producer_publish */
    }
}

static void last_cell(struct doomed *doomed)
{
    struct client_channel *channel = common_channel();
    uint32_t cell_idx = 0;
    uint32_t serial = 0;
    (void)doomed;
    client_channel_enter(channel);
    CHECK(reply_cell_take(&channel->replies, &cell_idx, &serial));
    channel->cell_owners[cell_idx] = os_thread_id();
    client_channel_leave(channel);
}

static void test_common_lock(void)
{
    struct worker worker;
    begin("a common channel whose holder died", 1);
    for (uint32_t i = 0; i < 6; i++) {
        die(last_common_lock, NULL, i % 2);
        work(&worker, work_channel, "a request after a death inside the common channel");
        CHECK(worker.status == RS_OK && worker.common);
        CHECK(send_number(test.from, &test.to_at, i, i % 2 != 0 ? 900 : 4) == RS_OK);
        CHECK(recv_number(test.to) == i);
    }
    for (uint32_t i = 0; i < RS_REPLY_CELLS; i++) {
        die(last_cell, NULL, 0);
    }
    work(&worker, work_channel, "an error when all cells are lost");
    CHECK(worker.status == RS_NO_BUFFERS);
    end();
}

/* ---- the lead
 * ---------------------------------------------------------------------------------------------- */

struct sleeper {
    struct doomed doomed;
    struct rs_addr at;
    _Atomic uint32_t got;
};

static struct sleeper sleepers[2];

static void on_signal(int number)
{
    (void)number;
    (void)syscall(SYS_exit, 0);
}

static void last_sleep(struct doomed *doomed)
{
    atomic_store(&sleepers[doomed->number].got, recv_number(doomed->socket));
}

static uint32_t leader_now(bool *followed)
{
    struct client_channel *channel = common_channel();
    os_mutex_lock(&channel->sleep_mutex);
    uint32_t leader = channel->leader;
    *followed = channel->followers != NULL;
    os_mutex_unlock(&channel->sleep_mutex);
    return leader;
}

static bool one_leads_one_follows(void *context)
{
    bool followed = false;
    (void)context;
    return leader_now(&followed) != 0 && followed;
}

static bool leads(void *context)
{
    bool followed = false;
    return leader_now(&followed) == atomic_load(&((struct sleeper *)context)->doomed.id);
}

static bool has_got(void *context)
{
    return atomic_load(&((struct sleeper *)context)->got) != 0;
}

/* Whichever of the two leads dies inside its wait: the other one leads then, and is woken as soon
 * as something comes. */
static void test_leader(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    bool followed = false;
    begin("a leader that died in its sleep", 1);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (uint32_t i = 0; i < 2; i++) {
        sleepers[i].doomed = (struct doomed){.last = last_sleep, .number = i};
        sleepers[i].doomed.socket = make_socket(&sleepers[i].at);
        doomed_start(&sleepers[i].doomed);
    }
    rig_await(one_leads_one_follows, NULL, SOON_NS, "one to lead and one to follow");
    uint32_t first = leader_now(&followed) == atomic_load(&sleepers[0].doomed.id) ? 0 : 1;
    struct sleeper *left = &sleepers[1 - first];
    CHECK(pthread_kill(sleepers[first].doomed.thread, SIGUSR1) == 0);
    doomed_join(&sleepers[first].doomed);
    rig_await(leads, left, SOON_NS, "the follower to lead");
    CHECK(send_number(test.from, &left->at, 9, 900) == RS_OK);
    rig_await(has_got, left, SOON_NS, "the follower to wake");
    doomed_join(&left->doomed);
    CHECK(atomic_load(&left->got) == 9);
    end();
}

int main(void)
{
    test_channels_come_back();
    test_socket_locks();
    test_common_lock();
    test_leader();
    return 0;
}
