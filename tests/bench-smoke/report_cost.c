/*
 * What reports cost the poll loop's clients: round trips of one thread through its channel, in turn
 * alone, with a report every few milliseconds, and with a thread that wakes as often and computes
 * as long as a report takes, for on two processors whoever computes takes time from somebody.
 * Prints percentiles of each; checks only that every round trip came back, every report was
 * counted and every connection was told. Optional arguments: how many rounds, how many connections.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/ctl/ctl.h"
#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_rig.h"

enum {
    SOCKETS = 200, /* of datagrams */
    CONNECTIONS = 100,
    CONNECTIONS_MAX = 30000,
    PLACES = 64, /* kept ready for a listener, at most */
    ROUND_PINGS = 20000,
    ROUNDS = 3,
    ROUNDS_MAX = 1000
};

#define BESIDE_EVERY_NS 5000000u

enum beside { BESIDE_NOTHING, BESIDE_REPORTS, BESIDE_WORK, BESIDE_COUNT };

static const char *const beside_names[BESIDE_COUNT] = {"alone", "reports", "as much work"};

struct meter {
    char instance[32];
    struct client *client;
    _Atomic uint32_t beside, stop; /* partners: the two threads of this program */
    _Atomic uint32_t reports;
    uint32_t connections;
    uint64_t report_ns; /* how long the last ones took; the beside thread's */
    uint32_t *ping_ns[BESIDE_COUNT];
    uint32_t count[BESIDE_COUNT];
};

static void beside_report(struct meter *meter)
{
    struct ctl_report report;
    uint64_t before_ns = os_monotonic_ns();
    CHECK(ctl_fetch(meter->instance, &report) == RS_OK);
    CHECK(rs_report_count(&report.view, RS_REPORT_SOCKETS) >= SOCKETS + 2 * meter->connections);
    ctl_report_free(&report);
    meter->report_ns += (os_monotonic_ns() - before_ns) / 8 - meter->report_ns / 8;
    atomic_fetch_add(&meter->reports, 1);
}

static void beside_work(const struct meter *meter)
{
    uint64_t until_ns = os_monotonic_ns() + meter->report_ns;
    while (os_monotonic_ns() < until_ns) {
        os_cpu_relax();
    }
}

static void beside_run(void *arg)
{
    struct meter *meter = arg;
    while (atomic_load(&meter->stop) == 0) {
        uint32_t beside = atomic_load(&meter->beside);
        if (beside == BESIDE_REPORTS) {
            beside_report(meter);
        } else if (beside == BESIDE_WORK) {
            beside_work(meter);
        }
        os_sleep_ns(BESIDE_EVERY_NS);
    }
}

static void measure(struct meter *meter, enum beside beside)
{
    atomic_store(&meter->beside, beside);
    for (uint32_t i = 0; i < ROUND_PINGS; i++) {
        uint64_t before = os_tsc();
        CHECK(client_ping(meter->client) == RS_OK);
        uint64_t ns = (os_tsc() - before) * 1000 / (os_tsc_hz() / 1000000);
        meter->ping_ns[beside][meter->count[beside]++] =
            ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
    }
    atomic_store(&meter->beside, BESIDE_NOTHING);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_figures(struct meter *meter)
{
    printf("%-14s %10s %10s %10s %10s  ns\n", "beside", "p50", "p99", "p99.9", "max");
    for (uint32_t i = 0; i < BESIDE_COUNT; i++) {
        uint32_t *all = meter->ping_ns[i];
        uint32_t n = meter->count[i];
        qsort(all, n, sizeof(*all), by_value);
        printf("%-14s %10" PRIu32 " %10" PRIu32 " %10" PRIu32 " %10" PRIu32 "\n", beside_names[i],
               all[n / 2], all[(uint64_t)n * 99 / 100], all[(uint64_t)n * 999 / 1000], all[n - 1]);
    }
}

/* What the dataplane says of itself agrees with what was done. */
static void check_counts(struct meter *meter, uint64_t pings)
{
    struct ctl_report report;
    struct rs_report_queue queue;
    uint32_t made = atomic_load(&meter->reports) + 1;
    uint32_t told = 0;
    bool counted = false;
    CHECK(ctl_fetch(meter->instance, &report) == RS_OK);
    rs_report_queue_get(&report.view, 0, &queue);
    CHECK(queue.requests >= pings);
    for (uint32_t i = 0; i < rs_report_count(&report.view, RS_REPORT_FIGURES); i++) {
        struct rs_report_figure figure;
        rs_report_figure_get(&report.view, i, &figure);
        counted |= strcmp((const char *)figure.name, "reports") == 0 && figure.value == made;
    }
    CHECK(counted);
    for (uint32_t i = 0; i < rs_report_count(&report.view, RS_REPORT_SOCKETS); i++) {
        struct rs_report_socket socket;
        rs_report_socket_get(&report.view, i, &socket);
        told += (socket.flags & RS_REPORT_SOCKET_CONNECTION) != 0;
    }
    CHECK(told == 2 * meter->connections);
    ctl_report_free(&report);
}

static struct client_socket *make_socket(struct client *client, enum rs_socket_type type)
{
    struct client_socket *socket = NULL;
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, type, &socket) == RS_OK);
    return socket;
}

static void make_sockets(const struct meter *meter)
{
    const struct rs_addr any = rs_addr_v4(rs_be32(0x7f000001), 0);
    struct client_socket *listener = make_socket(meter->client, RS_SOCK_STREAM);
    struct rs_addr to;
    for (uint32_t i = 0; i < SOCKETS; i++) {
        CHECK(client_bind(make_socket(meter->client, RS_SOCK_DGRAM), &any) == RS_OK);
    }
    CHECK(client_bind(listener, &any) == RS_OK);
    CHECK(client_listen(listener, PLACES) == RS_OK);
    CHECK(client_local_addr(listener, &to) == RS_OK);
    for (uint32_t i = 0; i < meter->connections; i++) {
        struct client_socket *accepted = NULL;
        CHECK(client_connect(make_socket(meter->client, RS_SOCK_STREAM), &to) == RS_OK);
        CHECK(client_accept(listener, &accepted, NULL) == RS_OK);
    }
}

int main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : ROUNDS;
    struct rig_spec spec = rig_defaults;
    struct client_info info;
    struct os_thread thread;
    struct meter meter = {.connections = CONNECTIONS};
    if (argc > 2) {
        meter.connections = (uint32_t)strtoul(argv[2], NULL, 10);
    }
    CHECK(meter.connections <= CONNECTIONS_MAX);
    CHECK(rounds != 0 && rounds <= ROUNDS_MAX);
    spec.limit_sockets = SOCKETS + 1 + 2 * meter.connections + PLACES;
    spec.recv_ring_bytes = spec.send_ring_bytes = 4096;
    rig_start(&spec);
    meter.client = rig_attach();
    client_get_info(meter.client, &info);
    memcpy(meter.instance, info.instance, sizeof(meter.instance));
    make_sockets(&meter);
    for (uint32_t i = 0; i < BESIDE_COUNT; i++) {
        meter.ping_ns[i] = calloc((size_t)rounds * ROUND_PINGS, sizeof(uint32_t));
        CHECK(meter.ping_ns[i] != NULL);
    }
    beside_report(&meter); /* the first work is as long as this */
    CHECK(os_thread_start(&thread, beside_run, &meter, "beside") == RS_OK);
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < BESIDE_COUNT; i++) {
            measure(&meter, (enum beside)i);
        }
    }
    atomic_store(&meter.stop, 1);
    os_thread_join(&thread);
    print_figures(&meter);
    printf("%u reports of %u sockets, %.1f us each\n", atomic_load(&meter.reports),
           SOCKETS + 2 * meter.connections, (double)meter.report_ns / 1000);
    check_counts(&meter, (uint64_t)rounds * BESIDE_COUNT * ROUND_PINGS);
    for (uint32_t i = 0; i < BESIDE_COUNT; i++) {
        free(meter.ping_ns[i]);
    }
    client_close(meter.client);
    rig_stop();
    return 0;
}
