/*
 * The program beside the measured one: the well-behaved kinds, and how it is started. It runs until
 * its starter ends it. Main thread of a process of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/isolation/isolation.h"
#include "rings/os/os.h"

enum { NEIGHBOUR_WINDOW = 128, NEIGHBOUR_PERIOD_NS = 100000 };

static bool neighbour_told;

void neighbour_ready(void)
{
    if (!neighbour_told) {
        neighbour_told = true;
        (void)printf("ready\n");
        (void)fflush(stdout);
    }
}

struct client *neighbour_attach(const char *instance)
{
    struct client *client = NULL;
    const struct client_config config = {.instance = instance, .spin_us = -1, .yield_in_spin = -1};
    if (client_open(&config, &client) != RS_OK) {
        (void)fprintf(stderr, "neighbour: %s\n", client_last_error_text());
        return NULL;
    }
    return client;
}

/* As many as go, each received before the window moves on. */
static void neighbour_stream(const char *instance, uint32_t len_bytes, uint32_t window)
{
    struct isolation_pair pair;
    struct client *client = neighbour_attach(instance);
    enum rs_status status = client != NULL ? pair_open(client, &pair) : RS_NOT_READY;
    uint64_t sent = 0;
    uint64_t received = 0;
    while (status == RS_OK) {
        while (sent - received < window && status == RS_OK) {
            status = pair_send(pair.sockets[0], sent++, len_bytes);
        }
        while (sent - received > window / 2 && status == RS_OK) {
            status = pair_recv(pair.sockets[1], received++, len_bytes);
        }
        neighbour_ready();
    }
    (void)fprintf(stderr, "neighbour: %s\n", rs_status_name(status));
}

static void neighbour_busy(const char *instance)
{
    neighbour_stream(instance, 64, NEIGHBOUR_WINDOW);
}

static void neighbour_bulk(const char *instance)
{
    neighbour_stream(instance, 1400, NEIGHBOUR_WINDOW / 2);
}

static void neighbour_large(const char *instance)
{
    neighbour_stream(instance, 60 * 1024, 2);
}

static void neighbour_paced(const char *instance)
{
    struct isolation_pair pair;
    static struct samples unused;
    struct client *client = neighbour_attach(instance);
    enum rs_status status = client != NULL ? pair_open(client, &pair) : RS_NOT_READY;
    while (status == RS_OK) {
        neighbour_ready();
        unused.count = 0;
        status = pair_round_trips(&pair, 100, NEIGHBOUR_PERIOD_NS, &unused);
    }
    (void)fprintf(stderr, "neighbour: %s\n", rs_status_name(status));
}

/* 16 programs, as far as the dataplane can tell, with 16 channels each that nobody uses. */
static void neighbour_idle(const char *instance)
{
    struct client *clients[IDLE_PROGRAMS];
    for (uint32_t i = 0; i < IDLE_PROGRAMS; i++) {
        clients[i] = neighbour_attach(instance);
        for (uint32_t channel = 0; channel < IDLE_CHANNELS; channel++) {
            if (clients[i] == NULL || !hostile_channel_more(clients[i])) {
                return;
            }
        }
    }
    neighbour_ready();
    for (;;) {
        os_sleep_ns(UINT32_MAX);
    }
}

const struct neighbour_kind neighbour_kinds[] = {
    {"busy", "64-byte messages as fast as they go, all received", false, NEIGHBOUR_BUSY,
     neighbour_busy},
    {"busy_large", "60 KiB messages as fast as they go, all received", false, NEIGHBOUR_LARGE,
     neighbour_large},
    {"paced", "64-byte round trips, one each 100 us", false, NEIGHBOUR_BUSY, neighbour_paced},
    {"bulk", "1,400-byte messages as fast as they go, all received", false, NEIGHBOUR_BUSY,
     neighbour_bulk},
    {"slots", "inline sends flooded from all channels", true, NEIGHBOUR_BUSY, hostile_slots},
    {"zero", "send rings full of zero-length datagrams", true, NEIGHBOUR_BUSY, hostile_zero},
    {"group_small", "zero-length multicasts to 256 own members that consume", true, NEIGHBOUR_BUSY,
     hostile_group_small},
    {"group_full", "zero-length multicasts to 256 own members that never consume", true,
     NEIGHBOUR_BUSY, hostile_group_full},
    {"arm", "all sockets armed on all channels, every channel asleep, no hint read", true,
     NEIGHBOUR_BUSY, hostile_arm},
    {"controls", "OPEN, BIND, MEMBER, CLOSE flooded from all channels", true, NEIGHBOUR_BUSY,
     hostile_controls},
    {"hoard", "never consumes: datagrams, replies, errors", true, NEIGHBOUR_BUSY, hostile_hoard},
    {"attach", "attaches and detaches", true, NEIGHBOUR_BUSY, hostile_attach},
    {"poison", "breaks the protocol, attaches again", true, NEIGHBOUR_BUSY, hostile_poison},
    {"holes", "punches holes into its memory, attaches again", true, NEIGHBOUR_BUSY, hostile_holes},
    {"large", "send rings of 64 sockets full of 60 KiB datagrams", true, NEIGHBOUR_LARGE,
     hostile_large},
    {"group_large", "60 KiB multicasts to 256 own members that consume", true, NEIGHBOUR_LARGE,
     hostile_group_large},
    {"idle", "16 programs with 16 idle channels each", false, NEIGHBOUR_NONE, neighbour_idle},
    {NULL, NULL, false, 0, NULL}};

int neighbour_main(int argc, char **argv)
{
    if (argc != 6) {
        return 2;
    }
    host_place((uint32_t)strtoul(argv[4], NULL, 10), HOST_BESIDE, strcmp(argv[5], "1") == 0);
    for (const struct neighbour_kind *kind = neighbour_kinds; kind->name != NULL; kind++) {
        if (strcmp(kind->name, argv[2]) == 0) {
            kind->run(argv[3]);
            return 1;
        }
    }
    return 2;
}
