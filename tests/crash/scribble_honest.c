/*
 * scribble_honest INSTANCE INDEX SECONDS RATE STAMP: one of a pair of well-behaved programs beside
 * the scribblers. Sends RATE stamped, numbered datagrams a second to its partner (INDEX with the
 * lowest bit the other way) and has the partner's; each must come once, in order, whole, and
 * nothing else may come. Says what it saw as one line of JSON; status 1 when anything was wrong.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/client/client.h"
#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/check.h"

#define PORT_FIRST 6100u
#define STAMP      16u
#define BYTES_MAX  1400u
#define ROOM_BYTES (1u << 20)
#define LAST_NS    60000000000ull /* for the partner's last datagram */
#define DELAYS     (1u << 20)

struct datagram {
    uint8_t stamp[STAMP];
    uint64_t number;
    uint64_t sent_ns;
    uint64_t total; /* not 0: this is the last one, and so many were sent */
    uint32_t len_bytes;
    uint32_t reserved;
    uint8_t filler[BYTES_MAX];
};

#define HEADER_BYTES offsetof(struct datagram, filler)

static struct {
    struct client *client;
    struct client_socket *socket;
    uint8_t stamp[STAMP];
    uint64_t sent, received, bad, foreign, expected, partner_total;
    uint32_t delays_us[DELAYS];
} honest;

static uint8_t filler_byte(uint64_t number, uint32_t i)
{
    return (uint8_t)(number * 7 + i);
}

static void stamp_read(const char *hex)
{
    CHECK(strlen(hex) == (size_t)2 * STAMP);
    for (uint32_t i = 0; i < STAMP; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        honest.stamp[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static void honest_open(const char *instance, uint32_t idx)
{
    const struct client_config config = {.instance = instance, .spin_us = 0, .yield_in_spin = 1};
    const struct rs_addr local = rs_addr_v4(0, rs_be16((uint16_t)(PORT_FIRST + idx)));
    const struct rs_addr peer =
        rs_addr_v4(rs_be32(0x7f000001u), rs_be16((uint16_t)(PORT_FIRST + (idx ^ 1))));
    CHECK(client_open(&config, &honest.client) == RS_OK);
    CHECK(client_socket_create(honest.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &honest.socket) ==
          RS_OK);
    CHECK(client_set_option(honest.socket, RS_OPT_EXCLUSIVEADDR, 1) == RS_OK);
    CHECK(client_set_option(honest.socket, RS_OPT_RCVBUF, ROOM_BYTES) == RS_OK);
    /* The partner comes later than our first datagram: that is no error of ours. */
    CHECK(client_set_option(honest.socket, RS_OPT_CONNRESET, 0) == RS_OK);
    CHECK(client_bind(honest.socket, &local) == RS_OK);
    CHECK(client_connect(honest.socket, &peer) == RS_OK);
}

static void honest_send(uint64_t total)
{
    struct datagram out = {.number = honest.sent, .sent_ns = os_monotonic_ns(), .total = total};
    uint32_t filler = (uint32_t)(honest.sent * 37 % BYTES_MAX);
    struct client_iov iov = {.base = &out, .len_bytes = HEADER_BYTES + filler};
    size_t bytes = 0;
    memcpy(out.stamp, honest.stamp, STAMP);
    out.len_bytes = (uint32_t)iov.len_bytes;
    for (uint32_t i = 0; i < filler; i++) {
        out.filler[i] = filler_byte(out.number, i);
    }
    CHECK(client_send(honest.socket, &iov, 1, 0, NULL, &bytes) == RS_OK);
    CHECK(bytes == iov.len_bytes);
    honest.sent++;
}

static void honest_take(const struct datagram *in, size_t bytes)
{
    if (bytes < HEADER_BYTES || memcmp(in->stamp, honest.stamp, STAMP) != 0) {
        honest.foreign++;
        return;
    }
    bool good = in->len_bytes == bytes && in->number == honest.expected;
    for (uint32_t i = 0; good && i < bytes - HEADER_BYTES; i++) {
        good = in->filler[i] == filler_byte(in->number, i);
    }
    if (!good) {
        honest.bad++;
        fprintf(stderr, "datagram %" PRIu64 " came where %" PRIu64 " was due\n", in->number,
                honest.expected);
    }
    uint64_t delay_us = (os_monotonic_ns() - in->sent_ns) / 1000;
    honest.delays_us[honest.received % DELAYS] =
        delay_us < UINT32_MAX ? (uint32_t)delay_us : UINT32_MAX;
    honest.expected = in->number + 1;
    honest.partner_total = in->total;
    honest.received++;
}

static void honest_receive(void)
{
    struct datagram in;
    struct client_iov iov = {.base = &in, .len_bytes = sizeof(in)};
    size_t bytes = 0;
    enum rs_status status = client_recv(honest.socket, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &bytes);
    while (status == RS_OK) {
        honest_take(&in, bytes);
        status = client_recv(honest.socket, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &bytes);
    }
    if (status != RS_WOULD_BLOCK) {
        fprintf(stderr, "receive: %s\n", rs_status_name(status));
        exit(1);
    }
}

static void honest_wait(uint64_t timeout_ns)
{
    struct client_poll item = {.socket = honest.socket, .want = RS_LEVEL_READABLE};
    uint32_t ready = 0;
    CHECK(client_poll(honest.client, &item, 1, timeout_ns, &ready) == RS_OK);
    honest_receive();
}

static int delay_order(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static void honest_report(void)
{
    size_t count = honest.received < DELAYS ? (size_t)honest.received : DELAYS;
    uint64_t lost = honest.partner_total - honest.received;
    qsort(honest.delays_us, count, sizeof(honest.delays_us[0]), delay_order);
    printf("{\"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"lost\": %" PRId64
           ", \"bad\": %" PRIu64 ", \"foreign\": %" PRIu64 ", \"ring_full\": %" PRIu64
           ", \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u}\n",
           honest.sent, honest.received, (int64_t)lost, honest.bad, honest.foreign,
           client_socket_dropped(honest.socket), honest.delays_us[count / 2],
           honest.delays_us[count * 99 / 100], honest.delays_us[count - 1]);
}

int main(int argc, char **argv)
{
    CHECK(argc == 6);
    uint32_t idx = (uint32_t)strtoul(argv[2], NULL, 10);
    uint64_t seconds = strtoull(argv[3], NULL, 10);
    uint64_t gap_ns = 1000000000u / strtoull(argv[4], NULL, 10);
    stamp_read(argv[5]);
    honest_open(argv[1], idx);
    /* Both are bound before either sends: the driver says when. */
    printf("bound\n");
    CHECK(fflush(stdout) == 0 && getchar() == 'g');
    uint64_t due_ns = os_monotonic_ns();
    uint64_t end_ns = due_ns + seconds * 1000000000u;
    while (due_ns < end_ns) {
        uint64_t now_ns = os_monotonic_ns();
        if (now_ns < due_ns) {
            honest_wait(due_ns - now_ns);
            continue;
        }
        honest_send(0);
        due_ns = due_ns + gap_ns > now_ns ? due_ns + gap_ns : now_ns; /* never a burst */
    }
    honest_send(honest.sent + 1);
    uint64_t give_up_ns = os_monotonic_ns() + LAST_NS;
    while (honest.partner_total == 0 && os_monotonic_ns() < give_up_ns) {
        honest_wait(1000000);
    }
    if (honest.partner_total == 0) {
        fprintf(stderr, "waited 60 s for the partner's last datagram\n");
        return 1;
    }
    honest_report();
    client_close(honest.client);
    return honest.received != honest.partner_total || honest.bad != 0 || honest.foreign != 0;
}
