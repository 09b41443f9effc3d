/* See witness.h. Threads: the sender (the process's first), and a receiver for each of the two
 * sockets. */
#include "tests/crash/witness.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "provider/client/client.h"
#include "rings/os/os.h"
#include "tests/crash/rig.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

#define MEASURE_NS     NS_PER_S
#define MEASURE_WINDOW 64u
#define PACE_SHARE     10u
#define PACE_MOST      4000u
#define RECV_BYTES \
    (16u << 20) /* some seconds of the paced traffic, for a receiver that gets no processor */
#define BEHIND_MOST   200u /* datagrams sent at once to catch up with the clock */
#define DRAIN_NS      (10 * NS_PER_S)
#define LOOK_MS       200u
#define DATAGRAM_MOST 1400u

struct header {
    uint64_t seq;
    uint32_t stream, len_bytes;
};

struct stream {
    struct witness *witness;
    struct client_socket *socket;
    uint32_t number;
    struct os_thread thread;
};

static struct {
    struct client *client;
    struct client_socket *out;
    struct stream streams[2];
    struct rs_addr to[2];
} state;

/* ---- what is sent
 * ---------------------------------------------------------------------------------------- */

static uint32_t datagram_fill(uint8_t *data, uint64_t seq, uint32_t stream)
{
    struct test_random random = test_random_make(seq << 1 | stream);
    uint32_t body = test_random_below(&random, seq % 4 == 0 ? 24 : DATAGRAM_MOST - 16);
    struct header header = {
        .seq = seq, .stream = stream, .len_bytes = (uint32_t)sizeof(header) + body};
    memcpy(data, &header, sizeof(header));
    for (uint32_t i = 0; i < body; i++) {
        data[sizeof(header) + i] = (uint8_t)(seq * 31 + stream + i * 7);
    }
    return header.len_bytes;
}

static void send_pair(uint64_t seq)
{
    for (uint32_t stream = 0; stream < 2; stream++) {
        uint8_t data[DATAGRAM_MOST];
        size_t sent = 0;
        struct client_iov iov = {.base = data, .len_bytes = datagram_fill(data, seq, stream)};
        CHECK(client_send(state.out, &iov, 1, 0, &state.to[stream], &sent) == RS_OK);
    }
    atomic_store(&state.streams[0].witness->sent, seq + 1);
}

/* ---- what arrives
 * ---------------------------------------------------------------------------------------- */

static void stream_check(const struct stream *stream, const uint8_t *data, size_t bytes,
                         uint64_t seq)
{
    uint8_t expected[DATAGRAM_MOST];
    uint32_t expected_bytes = datagram_fill(expected, seq, stream->number);
    if (bytes == expected_bytes && memcmp(data, expected, bytes) == 0) {
        return;
    }
    struct header header = {0};
    memcpy(&header, data, bytes < sizeof(header) ? bytes : sizeof(header));
    fprintf(stderr,
            "witness: stream %u expected datagram %llu, got %zu bytes that say %llu of stream %u; "
            "its full ring lost %llu\n",
            stream->number, (unsigned long long)seq, bytes, (unsigned long long)header.seq,
            header.stream, (unsigned long long)client_socket_dropped(stream->socket));
    exit(1); /* NOLINT(concurrency-mt-unsafe) */
}

static void stream_run(void *arg)
{
    struct stream *stream = arg;
    struct witness *witness = stream->witness;
    uint64_t next = 0;
    uint64_t give_up_ns = UINT64_MAX;
    for (;;) {
        uint8_t data[DATAGRAM_MOST + 8];
        struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
        size_t got = 0;
        enum rs_status status = client_recv(stream->socket, &iov, 1, 0, NULL, &got);
        if (status == RS_OK) {
            stream_check(stream, data, got, next++);
            atomic_store(&witness->received[stream->number], next);
            continue;
        }
        CHECK(status == RS_TIMED_OUT);
        if (atomic_load(&witness->stop) == 0) {
            continue;
        }
        if (next == atomic_load(&witness->sent)) {
            return;
        }
        give_up_ns = give_up_ns == UINT64_MAX ? os_monotonic_ns() + DRAIN_NS : give_up_ns;
        if (os_monotonic_ns() > give_up_ns) {
            fprintf(stderr, "witness: stream %u still waits for datagram %llu of %llu\n",
                    stream->number, (unsigned long long)next,
                    (unsigned long long)atomic_load(&witness->sent));
            exit(1); /* NOLINT(concurrency-mt-unsafe) */
        }
    }
}

/* ---- set up, measure, pace
 * ------------------------------------------------------------------------------- */

static struct client_socket *witness_socket(const struct rs_addr *local)
{
    struct client_socket *socket = NULL;
    CHECK(client_socket_create(state.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    CHECK(client_set_option(socket, RS_OPT_REUSEADDR, 1) == RS_OK);
    CHECK(client_set_option(socket, RS_OPT_RCVBUF, RECV_BYTES) == RS_OK);
    CHECK(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, LOOK_MS) == RS_OK);
    CHECK(client_bind(socket, local) == RS_OK);
    return socket;
}

static void witness_set_up(struct witness *witness)
{
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = WITNESS_GROUP};
    struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
    struct rs_addr group = rs_addr_v4(0, WITNESS_PORT);
    enum rs_status status = client_open(NULL, &state.client);
    if (status != RS_OK) {
        fprintf(stderr, "witness: %s\n", client_last_error_text());
    }
    CHECK(status == RS_OK);
    state.out = witness_socket(&any);
    state.streams[0] = (struct stream){.socket = witness_socket(&any), .witness = witness};
    state.streams[1] =
        (struct stream){.socket = witness_socket(&group), .witness = witness, .number = 1};
    CHECK(client_member(state.streams[1].socket, &join) == RS_OK);
    CHECK(client_local_addr(state.streams[0].socket, &state.to[0]) == RS_OK);
    state.to[1] = rs_addr_v4(WITNESS_GROUP, WITNESS_PORT);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK(os_thread_start(&state.streams[i].thread, stream_run, &state.streams[i], "witness") ==
              RS_OK);
    }
}

/* As many as come back while a few are under way. Returns the next number. */
static uint64_t witness_measure(struct witness *witness)
{
    uint64_t start_ns = os_monotonic_ns();
    uint64_t now_ns = start_ns;
    uint64_t seq = 0;
    while (now_ns - start_ns < MEASURE_NS) {
        uint64_t back = atomic_load(&witness->received[0]);
        uint64_t back_group = atomic_load(&witness->received[1]);
        if (seq - (back < back_group ? back : back_group) < MEASURE_WINDOW) {
            send_pair(seq++);
        } else {
            os_yield();
        }
        now_ns = os_monotonic_ns();
    }
    uint64_t capacity = seq * NS_PER_S / (now_ns - start_ns);
    uint64_t pace = capacity / PACE_SHARE < PACE_MOST ? capacity / PACE_SHARE : PACE_MOST;
    atomic_store(&witness->capacity_per_s, capacity);
    atomic_store(&witness->pace_per_s, pace);
    CHECK(pace != 0);
    return seq;
}

static void witness_pace(struct witness *witness, uint64_t seq)
{
    uint64_t interval_ns = NS_PER_S / atomic_load(&witness->pace_per_s);
    uint64_t due_ns = os_monotonic_ns();
    atomic_store(&witness->paces, 1);
    while (atomic_load(&witness->stop) == 0) {
        uint64_t now_ns = os_monotonic_ns();
        if (now_ns < due_ns) {
            os_sleep_ns(due_ns - now_ns);
            continue;
        }
        uint64_t late_ns = now_ns - due_ns;
        if (late_ns > atomic_load(&witness->late_ns_max)) {
            atomic_store(&witness->late_ns_max, late_ns);
        }
        if (late_ns > BEHIND_MOST * interval_ns) { /* no processor for long: a pace is no burst */
            atomic_fetch_add(&witness->resets, 1);
            due_ns = now_ns;
        }
        send_pair(seq++);
        due_ns += interval_ns;
    }
}

int witness_run(void *arg)
{
    struct witness *witness = arg;
    witness_set_up(witness);
    witness_pace(witness, witness_measure(witness));
    for (uint32_t i = 0; i < 2; i++) {
        os_thread_join(&state.streams[i].thread);
        CHECK(client_socket_dropped(state.streams[i].socket) == 0);
    }
    client_close(state.client);
    return 0;
}
