/*
 * The Ringsock side of the interop tests: a program on the portable client that exchanges datagrams
 * with kernel_peer and compares all data. The same source runs natively and as a Windows program
 * under Wine. One thread.
 *
 * ringsock_side PEER_ADDRESS OWN_ADDRESS BROADCAST_ADDRESS MTU: instance by RINGSOCK_INSTANCE.
 * Prints a line per step; exit status 1 at the first step that fails.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "provider/client/client.h"
#include "rings/os/os.h"
#include "tests/interop/wire.h"

#define SEED       20261123u
#define BURST_PKTS 400u
#define WAIT_MS    5000u

static struct client *client;
static struct client_socket *command_socket;
static uint32_t peer_be32, own_be32, broadcast_be32, largest_bytes;
static uint8_t out_bytes[WIRE_MAX_BYTES], in_bytes[WIRE_MAX_BYTES];
static const char *step = "start";

#define NEED(condition, ...)             \
    do {                                 \
        if (!(condition)) {              \
            fail(__LINE__, __VA_ARGS__); \
        }                                \
    } while (0)

RS_PRINTF_LIKE(2, 3) __attribute__((noreturn)) static void fail(int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)printf("FAILED %s (ringsock_side.c:%d): ", step, line);
    (void)vprintf(format, args);
    (void)printf("; last client error: %s\n", client_last_error_text());
    va_end(args);
    exit(1);
}

static uint16_t be16(uint32_t port)
{
    return (uint16_t)(port << 8 | port >> 8);
}

static uint32_t parse_ipv4(const char *text)
{
    const char *rest = text;
    uint32_t address_be32 = 0;
    for (uint32_t i = 0; i < 4; i++) {
        char *end = NULL;
        unsigned long octet = strtoul(rest, &end, 10);
        NEED(end != rest && octet < 256 && *end == (i < 3 ? '.' : '\0'), "%s: no IPv4 address",
             text);
        address_be32 |= (uint32_t)octet << 8 * i;
        rest = end + 1;
    }
    return address_be32;
}

/* ---- sockets ---- */

static struct client_socket *socket_on(uint32_t port)
{
    struct client_socket *made = NULL;
    struct rs_addr local = rs_addr_v4(0, be16(port));
    enum rs_status status = client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &made);
    NEED(status == RS_OK, "socket: %s", rs_status_name(status));
    status = client_set_option(made, RS_OPT_RCVBUF, 4 * 1024 * 1024);
    NEED(status == RS_OK, "SO_RCVBUF: %s", rs_status_name(status));
    status = client_set_option(made, CLIENT_OPT_RECV_TIMEOUT_MS, WAIT_MS);
    NEED(status == RS_OK, "receive time-out: %s", rs_status_name(status));
    status = client_set_option(made, CLIENT_OPT_SEND_TIMEOUT_MS, WAIT_MS);
    NEED(status == RS_OK, "send time-out: %s", rs_status_name(status));
    /* Of several NICs the one with this address. */
    status = client_set_option(made, RS_OPT_MCAST_IF, own_be32);
    NEED(status == RS_OK, "multicast interface: %s", rs_status_name(status));
    status = client_bind(made, &local);
    NEED(status == RS_OK, "bind port %u: %s", port, rs_status_name(status));
    return made;
}

static void socket_close(struct client_socket *socket)
{
    enum rs_status status = client_socket_close(socket);
    NEED(status == RS_OK, "close: %s", rs_status_name(status));
}

static enum rs_status send_to(struct client_socket *socket, const void *data, uint32_t bytes,
                              uint32_t ip_be32, uint32_t port)
{
    /* The client reads from the buffer only. */
    struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    struct rs_addr to = rs_addr_v4(ip_be32, be16(port));
    size_t sent = 0;
    enum rs_status status = client_send(socket, &iov, 1, 0, &to, &sent);
    NEED(status != RS_OK || sent == bytes, "sent %zu of %u bytes", sent, bytes);
    return status;
}

static uint32_t receive(struct client_socket *socket, struct client_recv_info *info,
                        const char *waited_for)
{
    struct client_iov iov = {.base = in_bytes, .len_bytes = sizeof(in_bytes)};
    size_t got = 0;
    enum rs_status status = client_recv(socket, &iov, 1, 0, info, &got);
    NEED(status == RS_OK, "waited up to %u ms for %s: %s (socket dropped %" PRIu64 ")", WAIT_MS,
         waited_for, rs_status_name(status), client_socket_dropped(socket));
    return (uint32_t)got;
}

/* ---- commands ---- */

static struct wire_answer command(struct wire_command what, uint32_t tries)
{
    static uint32_t serial;
    struct wire_answer answer = {0};
    what.magic = WIRE_MAGIC;
    what.serial = ++serial;
    for (uint32_t t = 0; t < tries; t++) {
        struct client_iov iov = {.base = &answer, .len_bytes = sizeof(answer)};
        size_t got = 0;
        enum rs_status status =
            send_to(command_socket, &what, sizeof(what), peer_be32, WIRE_PORT_COMMAND);
        if (status == RS_OK) {
            status = client_recv(command_socket, &iov, 1, 0, NULL, &got);
        }
        if (status == RS_OK && got == sizeof(answer) && answer.magic == WIRE_MAGIC &&
            answer.serial == what.serial) {
            return answer;
        }
        NEED(t + 1 < tries, "waited %u × %u ms for the peer's answer to command %u: %s", tries,
             WAIT_MS, what.op, rs_status_name(status));
    }
    return answer;
}

static struct wire_command blast_command(uint32_t count, uint32_t dst_be32, uint32_t port)
{
    return (struct wire_command){.op = WIRE_BLAST,
                                 .seed = SEED,
                                 .count = count,
                                 .min_bytes = 64,
                                 .max_bytes = largest_bytes,
                                 .interval_us = 100,
                                 .dst_be32 = dst_be32,
                                 .port = port};
}

/* ---- steps ---- */

static void echo_sizes(void)
{
    static const uint32_t small[] = {0, 1, 2, 3, 8, 40, 41, 63};
    struct client_socket *socket = socket_on(6001);
    uint32_t count = 0;
    const uint32_t small_count = sizeof(small) / sizeof(small[0]);
    for (uint32_t i = 0;; i++) {
        uint32_t bytes = i < small_count ? small[i] : 64 + (i - small_count) * 61;
        bytes = bytes > largest_bytes ? largest_bytes : bytes;
        struct client_recv_info info;
        wire_fill(out_bytes, bytes, SEED, i);
        enum rs_status status = send_to(socket, out_bytes, bytes, peer_be32, WIRE_PORT_ECHO);
        NEED(status == RS_OK, "send of %u bytes: %s", bytes, rs_status_name(status));
        uint32_t got = receive(socket, &info, "the echo");
        NEED(got == bytes && wire_check(in_bytes, got, SEED, i), "echo of %u bytes came as %u",
             bytes, got);
        NEED(info.from.ip.v4_be32 == peer_be32 && info.from.port_be16 == be16(WIRE_PORT_ECHO),
             "echo has a wrong source");
        count++;
        if (bytes == largest_bytes) {
            break;
        }
    }
    NEED(client_set_option(socket, RS_OPT_DONT_FRAGMENT, 1) == RS_OK, "no fragments, please");
    enum rs_status status =
        send_to(socket, out_bytes, largest_bytes + 1, peer_be32, WIRE_PORT_ECHO);
    NEED(status == RS_MESSAGE_SIZE, "one byte too many: %s", rs_status_name(status));
    socket_close(socket);
    printf("ok echo: %u sizes, 0 to %u bytes\n", count, largest_bytes);
}

/* Larger than the link, up to the largest that UDP has: fragments both ways, each end's put
 * together by the other. */
static void echo_fragments(void)
{
    const uint32_t sizes[] = {
        largest_bytes + 1, largest_bytes + 8, 2 * largest_bytes, 10000, 30000, 65506, 65507};
    struct client_socket *socket = socket_on(6006);
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct client_recv_info info;
        wire_fill(out_bytes, sizes[i], SEED, i);
        enum rs_status status = send_to(socket, out_bytes, sizes[i], peer_be32, WIRE_PORT_ECHO);
        NEED(status == RS_OK, "send of %u bytes: %s", sizes[i], rs_status_name(status));
        char what[32];
        (void)snprintf(what, sizeof(what), "the echo of %u bytes", sizes[i]);
        uint32_t got = receive(socket, &info, what);
        NEED(got == sizes[i] && wire_check(in_bytes, got, SEED, i), "echo of %u bytes came as %u",
             sizes[i], got);
    }
    socket_close(socket);
    struct wire_answer answer = command((struct wire_command){.op = WIRE_PING,
                                                              .count = 2,
                                                              .min_bytes = 10000,
                                                              .max_bytes = 65507,
                                                              .dst_be32 = own_be32},
                                        1);
    NEED(answer.good == 2, "%u of 2 large pings: %s", answer.good, answer.text);
    printf("ok fragments: echo of %u to 65507 bytes, pings of 10000 and 65507\n",
           largest_bytes + 1);
}

/* Sends numbered datagrams; the kernel's sink has to get every one. */
static void send_burst(const char *name, uint32_t dst_be32, bool broadcast)
{
    struct client_socket *socket = socket_on(6002);
    step = name;
    (void)command((struct wire_command){.op = WIRE_SINK_RESET, .seed = SEED}, 1);
    if (broadcast) {
        /* Not allowed yet. Sends are asynchronous, so the call may succeed; with this pattern the
         * sink would count it as wrong. */
        wire_fill(out_bytes, 64, SEED + 1, 0);
        enum rs_status refused = send_to(socket, out_bytes, 64, dst_be32, WIRE_PORT_SINK);
        NEED(refused == RS_OK || refused == RS_ACCESS, "broadcast without SO_BROADCAST: %s",
             rs_status_name(refused));
        enum rs_status status = client_set_option(socket, RS_OPT_BROADCAST, 1);
        NEED(status == RS_OK, "SO_BROADCAST: %s", rs_status_name(status));
    }
    for (uint32_t i = 0; i < BURST_PKTS; i++) {
        uint32_t bytes = wire_size(64, largest_bytes, i);
        wire_fill(out_bytes, bytes, SEED, i);
        enum rs_status status = send_to(socket, out_bytes, bytes, dst_be32, WIRE_PORT_SINK);
        NEED(status == RS_OK, "datagram %u of %u bytes: %s", i, bytes, rs_status_name(status));
    }
    struct wire_answer answer =
        command((struct wire_command){.op = WIRE_SINK_REPORT, .count = BURST_PKTS}, 1);
    NEED(answer.good == BURST_PKTS && answer.bad == 0, "the kernel got %u of %u, %u of them wrong",
         answer.good + answer.bad, BURST_PKTS, answer.bad);
    socket_close(socket);
    printf("ok %s: %u datagrams of 64 to %u bytes\n", name, BURST_PKTS, largest_bytes);
}

static void receive_burst(struct client_socket *socket, uint32_t dst_be32, uint32_t port,
                          uint32_t flags)
{
    struct wire_answer answer = command(blast_command(BURST_PKTS, dst_be32, port), 1);
    NEED(answer.good == BURST_PKTS, "the kernel sent %u: %s", answer.good, answer.text);
    for (uint32_t i = 0; i < BURST_PKTS; i++) {
        struct client_recv_info info;
        uint32_t want = wire_size(64, largest_bytes, i);
        uint32_t got = receive(socket, &info, "a datagram of the burst");
        NEED(got == want && wire_check(in_bytes, got, SEED, i),
             "datagram %u of %u bytes came as %u bytes, or in another order", i, want, got);
        NEED((info.flags & (RS_DGRAM_MULTICAST | RS_DGRAM_BROADCAST)) == flags, "flags %u, not %u",
             info.flags, flags);
    }
    printf("ok %s: %u datagrams of 64 to %u bytes\n", step, BURST_PKTS, largest_bytes);
}

static void receive_unicast(void)
{
    struct client_socket *socket = socket_on(6003);
    receive_burst(socket, own_be32, 6003, 0);
    socket_close(socket);
}

static void receive_broadcast(void)
{
    struct client_socket *socket = socket_on(6004);
    receive_burst(socket, broadcast_be32, 6004, RS_DGRAM_BROADCAST);
    socket_close(socket);
}

static void receive_multicast(void)
{
    struct client_socket *socket = socket_on(6005);
    struct rs_op_member member = {.action = RS_MEMBER_JOIN,
                                  .group_be32 = __builtin_bswap32(WIRE_GROUP),
                                  .interface_be32 = own_be32};
    enum rs_status status = client_member(socket, &member);
    NEED(status == RS_OK, "join: %s", rs_status_name(status));
    receive_burst(socket, member.group_be32, 6005, RS_DGRAM_MULTICAST);
    member.action = RS_MEMBER_LEAVE;
    status = client_member(socket, &member);
    NEED(status == RS_OK, "leave: %s", rs_status_name(status));
    /* The command's answer comes after the datagrams, on the same way, so they are all in or never
     * will be. */
    struct wire_answer answer = command(blast_command(10, member.group_be32, 6005), 1);
    uint32_t next = 0;
    NEED(answer.good == 10, "the kernel sent %u: %s", answer.good, answer.text);
    status = client_readable_bytes(socket, &next, NULL);
    NEED(status == RS_OK && next == 0, "%u bytes came after leaving the group", next);
    socket_close(socket);
    printf("ok left the group: nothing of 10 more datagrams\n");
}

static void unreachable_to_us(void)
{
    struct client_socket *socket = socket_on(6006);
    struct rs_addr peer = rs_addr_v4(peer_be32, be16(WIRE_PORT_CLOSED));
    struct client_iov iov = {.base = in_bytes, .len_bytes = sizeof(in_bytes)};
    size_t count = 0;
    enum rs_status status = client_set_option(socket, RS_OPT_CONNRESET, 1);
    NEED(status == RS_OK, "option: %s", rs_status_name(status));
    status = client_connect(socket, &peer);
    NEED(status == RS_OK, "connect: %s", rs_status_name(status));
    status = client_send(socket, &(struct client_iov){out_bytes, 10}, 1, 0, NULL, &count);
    NEED(status == RS_OK, "send: %s", rs_status_name(status));
    status = client_recv(socket, &iov, 1, 0, NULL, &count);
    NEED(status == RS_PORT_UNREACHABLE, "waited up to %u ms for port unreachable: %s", WAIT_MS,
         rs_status_name(status));
    socket_close(socket);
    printf("ok port unreachable from the kernel reaches the socket\n");
}

static void unreachable_from_us(void)
{
    struct wire_answer answer = command(
        (struct wire_command){.op = WIRE_CLOSED_PORT, .dst_be32 = own_be32, .port = 6999}, 1);
    NEED(answer.good == 1, "%s", answer.text);
    printf("ok port unreachable from us reaches the kernel's socket\n");
}

static void ping(void)
{
    struct wire_answer answer = command(
        (struct wire_command){
            .op = WIRE_PING, .count = 5, .max_bytes = largest_bytes, .dst_be32 = own_be32},
        1);
    NEED(answer.good == 5, "%u of 5 answered: %s", answer.good, answer.text);
    printf("ok ping: 5 of 5, 0 to %u bytes\n", largest_bytes);
}

static void arp(void)
{
    /* The answer to the command that deletes the entry already needs ARP. */
    struct wire_answer answer =
        command((struct wire_command){.op = WIRE_FORGET, .dst_be32 = own_be32}, 1);
    NEED(answer.good == 1, "%s", answer.text);
    answer = command((struct wire_command){.op = WIRE_HELLO}, 1);
    NEED(answer.good == 1, "no answer after the kernel forgot us");
    printf("ok arp: the kernel asked again and was answered\n");
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        (void)fputs("usage: ringsock_side PEER OWN BROADCAST MTU\n", stderr);
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    peer_be32 = parse_ipv4(argv[1]);
    own_be32 = parse_ipv4(argv[2]);
    broadcast_be32 = parse_ipv4(argv[3]);
    largest_bytes = (uint32_t)strtoul(argv[4], NULL, 10) - 28;
    NEED(largest_bytes > 64 && largest_bytes < WIRE_MAX_BYTES - 128, "MTU %s", argv[4]);
    const struct client_config config = {.spin_us = -1, .yield_in_spin = -1};
    enum rs_status status = client_open(&config, &client);
    NEED(status == RS_OK, "attach: %s", rs_status_name(status));

    step = "first exchange";
    command_socket = socket_on(6000);
    /* The dataplane's own address check, and the link of a fresh veth, may take the first seconds.
     */
    (void)command((struct wire_command){.op = WIRE_HELLO}, 3);
    printf("ok first exchange: we asked by ARP\n");
    step = "echo";
    echo_sizes();
    step = "fragments";
    echo_fragments();
    send_burst("send unicast", peer_be32, false);
    send_burst("send multicast", __builtin_bswap32(WIRE_GROUP), false);
    send_burst("send broadcast", broadcast_be32, true);
    send_burst("send limited broadcast", 0xffffffffu, true);
    step = "receive unicast";
    receive_unicast();
    step = "receive multicast";
    receive_multicast();
    step = "receive broadcast";
    receive_broadcast();
    step = "port unreachable to us";
    unreachable_to_us();
    step = "port unreachable from us";
    unreachable_from_us();
    step = "ping";
    ping();
    step = "arp";
    arp();
    socket_close(command_socket);
    client_close(client);
    printf("ok all\n");
    return 0;
}
