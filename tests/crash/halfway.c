/*
 * Programs that stop in the middle: a connection without ATTACH, half a message, an answer never
 * read, a channel that was asked for and not used, a slot filled and not published, OPEN without
 * BIND, BIND without an end. Each is a process that says how far it came and then hangs until it is
 * killed. Nobody else notices, and what the dataplane had for them comes back.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "provider/client/client_internal.h"
#include "tests/crash/rig.h"
#include "tests/support/check.h"

#define BACK_NS   (10 * NS_PER_S)
#define EXPIRE_NS (15 * NS_PER_S) /* a silent connection is closed after 5 s */
#define REPEATS   6u
#define SESSIONS  8u

static struct {
    struct rig rig;
    struct client *client; /* the witness */
    struct client_socket *socket;
    struct rs_addr at;
    struct rig_tables tables; /* with the witness only */
    struct rig_usage usage;
    _Atomic uint32_t *came_far; /* shared with the processes */
} test;

/* ---- what they do; then they hang
 * ------------------------------------------------------------------------ */

static struct os_conn raw_connect(void)
{
    struct os_conn conn;
    CHECK(os_connect(RIG_INSTANCE, 2 * NS_PER_S, &conn) == RS_OK);
    return conn;
}

static void raw_request(struct os_conn *conn, uint32_t type, uint32_t arg)
{
    const struct rs_ctl_request request = {.magic = RS_MAGIC, .type = type, .arg = arg};
    CHECK(os_conn_send(conn, &request, sizeof(request), NULL, 0) == RS_OK);
}

static struct os_conn raw_attach(void)
{
    struct os_conn conn = raw_connect();
    struct rs_ctl_answer answer;
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t count = 0;
    size_t bytes = sizeof(answer);
    raw_request(&conn, RS_CTL_ATTACH, RS_LAYOUT_VERSION);
    CHECK(os_conn_recv(&conn, &answer, &bytes, handles, &count, BACK_NS) == RS_OK);
    CHECK(answer.status == RS_OK && count == 2);
    return conn;
}

/* The dataplane closes it. */
static void raw_closed(struct os_conn *conn)
{
    struct rs_ctl_answer answer;
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t count = 0;
    size_t bytes = sizeof(answer);
    CHECK(os_conn_recv(conn, &answer, &bytes, handles, &count, BACK_NS) == RS_DATAPLANE_GONE);
}

static void half_message(void)
{
    static const uint8_t nonsense[64] = {1, 2, 3};
    struct rs_ctl_request request = {.magic = RS_MAGIC, .type = RS_CTL_ATTACH};
    struct os_conn conn = raw_connect();
    CHECK(os_conn_send(&conn, &request, sizeof(request) / 2, NULL, 0) == RS_OK);
    raw_closed(&conn);
    conn = raw_connect();
    CHECK(os_conn_send(&conn, nonsense, sizeof(nonsense), NULL, 0) == RS_OK);
    raw_closed(&conn);
    conn = raw_connect();
    raw_request(&conn, RS_CTL_CHANNEL_OPEN, 0); /* before ATTACH */
    raw_closed(&conn);
}

static void half_message_attached(void)
{
    struct rs_ctl_request request = {.magic = RS_MAGIC, .type = RS_CTL_CHANNEL_OPEN};
    struct os_conn conn = raw_attach();
    CHECK(os_conn_send(&conn, &request, sizeof(request) - 1, NULL, 0) == RS_OK);
    raw_closed(&conn);
    conn = raw_attach();
    raw_request(&conn, RS_CTL_ATTACH, RS_LAYOUT_VERSION); /* a second time */
    raw_closed(&conn);
    (void)raw_attach();
}

static void attach_unread(void)
{
    struct os_conn conn = raw_connect();
    raw_request(&conn, RS_CTL_ATTACH, RS_LAYOUT_VERSION);
}

static void answers_unread(void)
{
    struct os_conn conn = raw_attach();
    raw_request(&conn, RS_CTL_MAPPED, 1);
    raw_request(&conn, RS_CTL_CHANNEL_OPEN, 0);
    raw_request(&conn, RS_CTL_EXTENT, 2);
    raw_request(&conn, RS_CTL_CHANNEL_CLOSE, 0);
    raw_request(&conn, RS_CTL_CHANNEL_OPEN, 0);
}

static void attach_only(void)
{
    struct client *client = NULL;
    CHECK(client_open(NULL, &client) == RS_OK);
}

static struct client_channel *own_channel(struct client **client)
{
    enum rs_status status = RS_OK;
    CHECK(client_open(NULL, client) == RS_OK);
    struct client_channel *channel = client_channel_get(*client, 0, &status);
    CHECK(channel != NULL);
    return channel;
}

static void slot_unpublished(void)
{
    struct client *client = NULL;
    struct client_channel *channel = own_channel(&client);
    struct rs_request *slot = post_control_reserve(&channel->post);
    CHECK(slot != NULL);
    slot->op = RS_OP_OPEN;
    slot->socket_idx = RS_NO_INDEX;
    slot->arg = 3;
}

static void open_unbound(void)
{
    struct client *client = NULL;
    struct rs_open_reply reply;
    const struct rs_op_open open = {.family = RS_FAMILY_IPV4, .type = RS_SOCK_DGRAM};
    (void)own_channel(&client);
    for (uint32_t i = 0; i < 16; i++) {
        CHECK(client_request_open(client, 0, &open, &reply) == RS_OK);
    }
}

/* The answer to the last BIND is never looked at, and a large send is in the ring but not told. */
static void bind_unread(void)
{
    struct client *client = NULL;
    struct client_channel *channel = own_channel(&client);
    struct client_socket *socket = NULL;
    struct rs_send_dgram *record = NULL;
    struct rs_addr at = rs_addr_v4(RIG_LOCAL, rs_be16(9300));
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = rs_be32(0xef010207u)};
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    CHECK(client_set_option(socket, RS_OPT_REUSEADDR, 1) == RS_OK);
    CHECK(client_bind(socket, &at) == RS_OK);
    CHECK(client_member(socket, &join) == RS_OK);
    CHECK(dgram_send_writer_reserve(&socket->send, 1000, RS_SEND_SHORT_OFF, &record) == RS_OK);
    (void)dgram_send_writer_commit(&socket->send, record);
    struct rs_request *slot = post_control_reserve(&channel->post);
    CHECK(slot != NULL);
    slot->op = RS_OP_CONNECT;
    slot->len_bytes = sizeof(at);
    slot->socket_idx = socket->idx;
    slot->generation = socket->generation;
    slot->arg = 5;
    slot->serial = 77;
    memcpy(slot->payload, &at, sizeof(at));
    (void)slot_producer_publish(&channel->post.producer);
}

static void silent(void)
{
    (void)raw_connect();
    (void)raw_connect();
}

static const struct kind {
    const char *name;
    void (*begin)(void);
} kinds[] = {
    {"connections that say nothing", silent},
    {"half a message before ATTACH", half_message},
    {"half a message after ATTACH", half_message_attached},
    {"an ATTACH whose answer is not read", attach_unread},
    {"answers that are not read", answers_unread},
    {"an ATTACH and nothing else", attach_only},
    {"a slot that is not published", slot_unpublished},
    {"sockets opened and not bound", open_unbound},
    {"a CONNECT whose answer is not read", bind_unread},
};

static int half_run(void *arg)
{
    const struct kind *kind = arg;
    kind->begin();
    atomic_store(test.came_far, 1);
    while (pause() != 0) { /* until it is killed */
    }
    return 0;
}

/* ---- nobody notices
 * --------------------------------------------------------------------------------------- */

static void witness_works(void)
{
    for (uint32_t i = 0; i < 20; i++) {
        uint8_t data[1000];
        size_t bytes = i % 2 == 0 ? sizeof(i) : sizeof(data);
        size_t done = 0;
        memset(data, (int)i, sizeof(data));
        struct client_iov iov = {.base = data, .len_bytes = bytes};
        CHECK(client_send(test.socket, &iov, 1, 0, &test.at, &done) == RS_OK);
        memset(data, 255, sizeof(data));
        iov.len_bytes = sizeof(data);
        CHECK(client_recv(test.socket, &iov, 1, 0, NULL, &done) == RS_OK);
        CHECK(done == bytes && data[0] == i && data[bytes - 1] == i);
    }
    CHECK(client_ping(test.client) == RS_OK);
}

static bool far_enough(void *context)
{
    (void)context;
    return atomic_load(test.came_far) != 0;
}

static pid_t half_start(const struct kind *kind)
{
    atomic_store(test.came_far, 0);
    pid_t pid = rig_fork(half_run, (void *)(uintptr_t)kind);
    rig_await(far_enough, NULL, BACK_NS, kind->name);
    return pid;
}

static void half_kill(pid_t pid, const struct kind *kind)
{
    CHECK(kill(pid, SIGKILL) == 0);
    (void)rig_reap(pid, BACK_NS, kind->name);
}

static void try_kind(const struct kind *kind)
{
    pid_t pids[REPEATS];
    for (uint32_t i = 0; i < REPEATS; i++) {
        pids[i] = half_start(kind);
        witness_works();
        if (i % 2 == 0) { /* half of them at once, half of them when all are there */
            half_kill(pids[i], kind);
        }
    }
    for (uint32_t i = 1; i < REPEATS; i += 2) {
        half_kill(pids[i], kind);
    }
    rig_await_tables(&test.rig, &test.tables, &test.usage, BACK_NS, kind->name);
    witness_works();
    printf("%s: all came back\n", kind->name);
    (void)fflush(stdout);
}

/* They live on: it is the dataplane that closes their connections. */
static void silence_expires(void)
{
    pid_t pid = half_start(&kinds[0]);
    rig_await_tables(&test.rig, &test.tables, &test.usage, EXPIRE_NS,
                     "silent connections to expire");
    half_kill(pid, &kinds[0]);
    printf("silent connections expired\n");
}

int main(void)
{
    struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
    test.came_far = mmap(NULL, sizeof(*test.came_far), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(test.came_far != MAP_FAILED);
    rig_create(&test.rig, "sessions = 8\nsockets = 64\nchannels = 4\n");
    rig_start(&test.rig);
    CHECK(client_open(NULL, &test.client) == RS_OK);
    CHECK(client_socket_create(test.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &test.socket) == RS_OK);
    CHECK(client_set_option(test.socket, CLIENT_OPT_RECV_TIMEOUT_MS, 10000) == RS_OK);
    CHECK(client_bind(test.socket, &any) == RS_OK);
    CHECK(client_local_addr(test.socket, &test.at) == RS_OK);
    witness_works();
    test.usage = rig_usage(test.rig.pid);
    test.usage.maps = UINT64_MAX; /* its heap is to grow yet */
    rig_tables(&test.rig, &test.tables);
    for (size_t i = 0; i < 2 * sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (i == sizeof(kinds) / sizeof(kinds[0])) {
            test.usage = rig_usage(test.rig.pid);
        }
        try_kind(&kinds[i % (sizeof(kinds) / sizeof(kinds[0]))]);
    }
    silence_expires();
    struct rig_usage after = rig_usage(test.rig.pid);
    CHECK(rig_same_memory(&test.usage, &after));
    client_close(test.client);
    rig_stop(&test.rig);
    CHECK(rig_ledger(&test.rig, "lost_inside") == 0);
    rig_remove(&test.rig);
    return 0;
}
