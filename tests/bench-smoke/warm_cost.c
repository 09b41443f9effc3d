/*
 * What the first message after a quiet time costs, with a warm send before it (RS_OP_WARM) and
 * without, against one in the middle of many. Prints ticks of the TSC, medians of interleaved
 * repetitions, from the copy into the send ring until the poll loop's iteration is over: the frame
 * is with the (in-memory) NIC, or the bytes are in the local receiver's ring. One thread does all,
 * so nothing waits for another processor. Quiet means: a buffer larger than the caches was walked,
 * then the poll loop ran idle, as it does all the time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/stream_rig.h"

enum {
    ORDER_BYTES = 64,
    REPEATS = 200,
    WALK_BYTES = 96 << 20,
    IDLE_POLLS = 200,
    STEADY = 0,
    COLD,
    WARMED,
    KINDS
};

static const char *const kind_names[KINDS] = {"in the middle of many", "first after a quiet time",
                                              "the same, behind a warm send"};

static uint8_t *walked;
static uint8_t order[ORDER_BYTES];
static uint64_t ticks[KINDS][REPEATS];

/* One end sends; the other takes that and answers, which acknowledges it. */
struct path {
    const char *name;
    struct rig_socket socket;
    struct rig_peer *peer;   /* over the wire */
    struct rig_socket other; /* local */
};

static void take(struct path *path)
{
    uint8_t got[ORDER_BYTES];
    uint32_t count = 0;
    for (int i = 0; count < ORDER_BYTES; i++) {
        CHECK(i < 10000); /* the order does not come */
        rig_turn();
        count += path->peer != NULL ? rig_peer_read(path->peer, got + count, ORDER_BYTES - count)
                                    : rig_read(&path->other, got + count, ORDER_BYTES - count);
    }
    CHECK(memcmp(got, order, ORDER_BYTES) == 0);
    CHECK(path->peer != NULL ? rig_peer_write(path->peer, "y", 1) == 1
                             : rig_write(&path->other, "y", 1) == 1);
    for (int i = 0; rig_read(&path->socket, got, 1) == 0; i++) {
        CHECK(i < 10000); /* nor its answer */
        rig_turn();
    }
}

static uint64_t send_one(struct path *path)
{
    uint64_t start = os_tsc();
    CHECK(rig_write(&path->socket, order, ORDER_BYTES) == ORDER_BYTES);
    (void)queue_poll(rig_queue(0));
    uint64_t end = os_tsc();
    take(path);
    return end - start;
}

static void be_quiet(void)
{
    for (size_t off = 0; off < WALK_BYTES; off += 64) {
        walked[off]++;
    }
    for (int i = 0; i < IDLE_POLLS; i++) {
        (void)queue_poll(rig_queue(0));
    }
}

/* As provider/client does it: the bytes behind the tail, a slot that does not move it. */
static void warm(struct path *path)
{
    struct stream_region regions[2];
    (void)stream_writer_regions(&path->socket.send, 0, ORDER_BYTES, regions);
    memcpy(regions[0].base, order, regions[0].len_bytes);
    memcpy(regions[1].base, order + regions[0].len_bytes, regions[1].len_bytes);
    rig_post(&path->socket, RS_OP_WARM, ORDER_BYTES);
    (void)queue_poll(rig_queue(0));
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* True: the warm send was worth it. */
static bool measure(struct path *path)
{
    for (int i = 0; i < REPEATS; i++) {
        for (int k = 0; k < 5; k++) {
            ticks[STEADY][i] = send_one(path);
        }
        be_quiet();
        ticks[COLD][i] = send_one(path);
        be_quiet();
        warm(path);
        ticks[WARMED][i] = send_one(path);
    }
    printf("%s, %d bytes%*sticks    against the middle\n", path->name, ORDER_BYTES,
           (int)(34 - strlen(path->name)), "");
    for (int kind = 0; kind < KINDS; kind++) {
        qsort(ticks[kind], REPEATS, sizeof(ticks[kind][0]), compare);
        const uint64_t median = ticks[kind][REPEATS / 2], middle = ticks[STEADY][REPEATS / 2];
        printf("  %-36s %8" PRIu64 " %8.2f\n", kind_names[kind], median,
               (double)median / (double)middle);
    }
    return ticks[WARMED][REPEATS / 2] < ticks[COLD][REPEATS / 2];
}

int main(void)
{
    struct rig_program programs[2];
    struct path wire = {.name = "connection over a wire"};
    struct path local = {.name = "local connection"};
    uint32_t peer_be32;
    walked = calloc(1, WALK_BYTES);
    CHECK(walked != NULL);
    memset(order, 'o', sizeof(order));
    stream_rig_start(&(struct stream_rig_spec){.never_sleeps = true});
    rig_attach(&programs[0]);
    rig_attach(&programs[1]);
    rig_peer_listen(80);
    wire.socket = rig_open(&programs[0]);
    CHECK(rig_option(&wire.socket, RS_OPT_NODELAY, 1) == RS_OK);
    CHECK(rig_connect(&wire.socket, RIG_PEER ":80") == RS_OK);
    rig_until_level(&wire.socket, RS_LEVEL_CONNECTED);
    wire.peer = rig_peer_accepted();
    struct rig_socket listener = rig_open(&programs[1]);
    CHECK(rig_bind(&listener, "127.0.0.1:81") == RS_OK);
    CHECK(rig_listen(&listener, 1) == RS_OK);
    local.socket = rig_open(&programs[0]);
    CHECK(rig_connect(&local.socket, "127.0.0.1:81") == RS_OK);
    rig_until_level(&local.socket, RS_LEVEL_CONNECTED);
    CHECK(rig_accept(&listener, 0, &local.other, &peer_be32));
    bool worth = measure(&wire);
    worth &= measure(&local);
    free(walked);
    CHECK(rig_close(&wire.socket, true, 0) == RS_OK && rig_close(&local.socket, true, 0) == RS_OK);
    CHECK(rig_close(&local.other, true, 0) == RS_OK && rig_close(&listener, false, 0) == RS_OK);
    rig_turns(2000);
    CHECK(stream_rig_stop());
    CHECK(worth);
    return 0;
}
