/* Figures of the isolation bench, and the traffic it measures. Any one thread. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/isolation/isolation.h"
#include "bench/payload.h"
#include "rings/byteorder.h"
#include "rings/os/os.h"

enum { PAIR_BYTES_MAX = 61440, PAIR_TIMEOUT_MS = 10000 };

#define LOCALHOST 0x7f000001u

void samples_add(struct samples *samples, uint64_t ticks)
{
    if (samples->count < SAMPLES_MAX) {
        samples->ticks[samples->count++] = ticks;
    }
}

static int samples_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct percentiles samples_percentiles(struct samples *samples)
{
    struct percentiles out = {0, 0, 0};
    double ns_per_tick = 1e9 / (double)os_tsc_hz();
    uint64_t last = samples->count - 1;
    if (samples->count == 0) {
        return out;
    }
    qsort(samples->ticks, samples->count, sizeof(samples->ticks[0]), samples_compare);
    uint64_t p50 = last * 50 / 100;
    uint64_t p99 = last * 99 / 100;
    uint64_t p999 = last * 999 / 1000;
    out.p50_ns = (double)samples->ticks[p50] * ns_per_tick;
    out.p99_ns = (double)samples->ticks[p99] * ns_per_tick;
    out.p999_ns = (double)samples->ticks[p999] * ns_per_tick;
    return out;
}

static int double_compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_median(double *values, uint32_t count)
{
    if (count == 0) {
        return 0;
    }
    qsort(values, count, sizeof(values[0]), double_compare);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

enum rs_status pair_open(struct client *client, struct isolation_pair *out)
{
    struct rs_addr addrs[2];
    const struct rs_addr any = rs_addr_v4(rs_be32(LOCALHOST), 0);
    enum rs_status status = RS_OK;
    for (int i = 0; i < 2 && status == RS_OK; i++) {
        status = client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &out->sockets[i]);
        if (status == RS_OK) {
            status =
                client_set_option(out->sockets[i], CLIENT_OPT_RECV_TIMEOUT_MS, PAIR_TIMEOUT_MS);
        }
        if (status == RS_OK) {
            status = client_bind(out->sockets[i], &any);
        }
        if (status == RS_OK) {
            status = client_local_addr(out->sockets[i], &addrs[i]);
        }
    }
    for (int i = 0; i < 2 && status == RS_OK; i++) {
        status = client_connect(out->sockets[i], &addrs[1 - i]);
    }
    return status;
}

enum rs_status pair_send(struct client_socket *socket, uint64_t seq, uint32_t len_bytes)
{
    static uint8_t data[PAIR_BYTES_MAX];
    struct payload payload;
    struct client_iov iov = {.base = data, .len_bytes = len_bytes};
    size_t sent = 0;
    payload_fill(&payload, seq);
    memcpy(data, &payload, len_bytes < sizeof(payload) ? len_bytes : sizeof(payload));
    return client_send(socket, &iov, 1, 0, NULL, &sent);
}

enum rs_status pair_recv(struct client_socket *socket, uint64_t seq, uint32_t len_bytes)
{
    static uint8_t data[PAIR_BYTES_MAX];
    struct payload payload;
    struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    size_t got = 0;
    enum rs_status status = client_recv(socket, &iov, 1, 0, NULL, &got);
    payload_fill(&payload, seq);
    if (status == RS_OK &&
        (got != len_bytes ||
         memcmp(data, &payload, got < sizeof(payload) ? got : sizeof(payload)) != 0)) {
        return RS_CORRUPT;
    }
    return status;
}

enum rs_status pair_round_trips(const struct isolation_pair *pair, uint32_t count,
                                uint64_t period_ns, struct samples *samples)
{
    static uint64_t seq;
    enum rs_status status = RS_OK;
    for (uint32_t i = 0; i < count && status == RS_OK; i++) {
        os_sleep_ns(period_ns);
        seq++;
        uint64_t start = os_tsc();
        if ((status = pair_send(pair->sockets[0], seq, PAYLOAD_BYTES)) == RS_OK &&
            (status = pair_recv(pair->sockets[1], seq, PAYLOAD_BYTES)) == RS_OK &&
            (status = pair_send(pair->sockets[1], seq, PAYLOAD_BYTES)) == RS_OK) {
            status = pair_recv(pair->sockets[0], seq, PAYLOAD_BYTES);
        }
        samples_add(samples, os_tsc() - start);
    }
    return status;
}
