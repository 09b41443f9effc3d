/*
 * UDP sockets of the script language, see script.h.
 */
#include "script_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/wire/byteorder.h"

#define INBOX_MAX      64
#define TEXT_MAX_BYTES 1600

struct inbox_entry {
    char from[32];
    uint8_t ttl, tos;
    uint32_t len_bytes;
    bool pattern; /* all of it is script_pattern's */
    char text[TEXT_MAX_BYTES];
};

struct script_socket {
    struct udp_socket udp; /* first: an upcall gets its address */
    struct script_queue *queue;
    struct inbox_entry inbox[INBOX_MAX];
    uint32_t inbox_count;
    uint32_t room;
    enum rs_status errors[INBOX_MAX];
    uint32_t error_count;
    bool open;
};

static struct script_socket *sockets[SOCKETS_MAX];
static uint32_t socket_count;
static uint64_t stamps[INBOX_MAX]; /* told and not expected yet */
static uint32_t stamp_count;

uint8_t script_pattern(uint32_t off_bytes)
{
    return (uint8_t)(off_bytes * 7 + (off_bytes >> 8));
}

static bool is_pattern(const uint8_t *data, uint32_t len_bytes)
{
    for (uint32_t i = 0; i < len_bytes; i++) {
        if (data[i] != script_pattern(i)) {
            return false;
        }
    }
    return true;
}

bool script_udp_deliver(void *context, struct udp_socket *udp, const struct udp_datagram *datagram)
{
    (void)context;
    struct script_socket *socket = (struct script_socket *)udp;
    if (socket->room == 0 || socket->inbox_count == INBOX_MAX) {
        script_trace("   (no room)");
        return false;
    }
    socket->room--;
    struct inbox_entry *entry = &socket->inbox[socket->inbox_count++];
    entry->ttl = datagram->ttl;
    entry->tos = datagram->tos;
    char ip[INET_ADDRSTRLEN];
    (void)inet_ntop(AF_INET, &datagram->src_be32, ip, sizeof(ip));
    (void)snprintf(entry->from, sizeof(entry->from), "%s:%u", ip, rs_be16(datagram->src_port_be16));
    uint32_t len =
        datagram->len_bytes < TEXT_MAX_BYTES - 1 ? datagram->len_bytes : TEXT_MAX_BYTES - 1;
    entry->len_bytes = datagram->len_bytes;
    entry->pattern = is_pattern(datagram->payload, datagram->len_bytes);
    memcpy(entry->text, datagram->payload, len);
    entry->text[len] = '\0';
    script_trace("   delivered to port %u: from %s, %u bytes", rs_be16(udp->local_port_be16),
                 entry->from, datagram->len_bytes);
    return true;
}

void script_udp_error(void *context, struct udp_socket *udp, enum rs_status error)
{
    (void)context;
    struct script_socket *socket = (struct script_socket *)udp;
    script_trace("   error %d to port %u", (int)error, rs_be16(udp->local_port_be16));
    socket->errors[socket->error_count++ % INBOX_MAX] = error;
}

void script_udp_stamped(void *context, uint64_t stamp)
{
    (void)context;
    script_trace("   sent: %llu", (unsigned long long)stamp);
    assert_true(stamp_count < INBOX_MAX);
    stamps[stamp_count++] = stamp;
}

void script_expect_stamp(uint64_t stamp)
{
    if (stamp_count == 0 || stamps[0] != stamp) {
        script_fail("%u stamps, expected %llu", stamp_count, (unsigned long long)stamp);
    }
    memmove(stamps, stamps + 1, --stamp_count * sizeof(stamps[0]));
}

void script_expect_no_stamp(void)
{
    if (stamp_count != 0) {
        script_fail("an unexpected stamp, %llu", (unsigned long long)stamps[0]);
    }
}

struct udp_socket *udp_of(sock socket)
{
    return &socket->udp;
}

sock script_unbound(void)
{
    struct script_socket *socket = calloc(1, sizeof(*socket));
    assert_non_null(socket);
    udp_socket_init(&socket->udp);
    socket->room = INBOX_MAX;
    socket->open = true;
    socket->queue = script.queue;
    sockets[socket_count++] = socket;
    return socket;
}

void script_bind(sock socket, const char *address, enum rs_status status)
{
    script_expect_status(
        "bind",
        udp_socket_bind(socket->queue->stack, &socket->udp, ip_of(address), port_of(address)),
        status);
}

sock script_bound(const char *address)
{
    sock socket = script_unbound();
    script_bind(socket, address, RS_OK);
    return socket;
}

void script_connect(sock socket, const char *address, enum rs_status status)
{
    uint32_t ip_be32 = address != NULL ? ip_of(address) : 0;
    uint16_t port_be16 = address != NULL ? port_of(address) : 0;
    script_expect_status(
        "connect", udp_socket_connect(socket->queue->stack, &socket->udp, 0, ip_be32, port_be16),
        status);
}

void script_close(sock socket)
{
    script_trace("close port %u", rs_be16(socket->udp.local_port_be16));
    udp_socket_close(socket->queue->stack, &socket->udp);
    script_settle();
}

static void send_data(sock socket, const char *address, const void *data, uint32_t len_bytes,
                      const struct udp_control *control, enum rs_status status)
{
    uint32_t ip_be32 = address != NULL ? ip_of(address) : 0;
    uint16_t port_be16 = address != NULL ? port_of(address) : 0;
    script_trace("send %u bytes to %s", len_bytes, address != NULL ? address : "the peer");
    script_expect_status(
        "send",
        udp_send(socket->queue->stack, &socket->udp, ip_be32, port_be16, data, len_bytes, control),
        status);
    script_settle();
}

void script_send_control(sock socket, const char *address, const char *text,
                         const struct udp_control *control, enum rs_status status)
{
    send_data(socket, address, text, (uint32_t)strlen(text), control, status);
}

void script_send(sock socket, const char *address, const char *text, enum rs_status status)
{
    send_data(socket, address, text, (uint32_t)strlen(text), NULL, status);
}

void script_send_bytes(sock socket, const char *address, uint32_t len_bytes, enum rs_status status)
{
    uint8_t *data = malloc(len_bytes + 1);
    assert_non_null(data);
    for (uint32_t i = 0; i < len_bytes; i++) {
        data[i] = script_pattern(i);
    }
    send_data(socket, address, data, len_bytes, NULL, status);
    free(data);
}

void script_member(sock socket, uint32_t action, const char *group, const char *source,
                   enum rs_status status)
{
    struct rs_op_member op = {.action = action,
                              .group_be32 = ip_of(group),
                              .source_be32 = source != NULL ? ip_of(source) : 0};
    script_trace("membership %u of %s from %s", action, group, source != NULL ? source : "any");
    script_expect_status("membership", udp_socket_member(socket->queue->stack, &socket->udp, &op),
                         status);
    script_settle();
}

void script_room(sock socket, uint32_t count)
{
    socket->room = count;
}

void script_expect_received(sock socket, const char *from, const char *text)
{
    if (socket->inbox_count == 0) {
        script_fail("port %u received nothing, expected \"%s\" from %s",
                    rs_be16(socket->udp.local_port_be16), text, from);
    }
    struct inbox_entry *entry = &socket->inbox[0];
    if (strcmp(entry->from, from) != 0 || strcmp(entry->text, text) != 0) {
        script_fail("port %u received \"%.100s\" from %s, expected \"%.100s\" from %s",
                    rs_be16(socket->udp.local_port_be16), entry->text, entry->from, text, from);
    }
    socket->inbox_count--;
    memmove(entry, entry + 1, socket->inbox_count * sizeof(*entry));
}

void script_expect_received_bytes(sock socket, const char *from, uint32_t len_bytes)
{
    struct inbox_entry *entry = &socket->inbox[0];
    if (socket->inbox_count == 0) {
        script_fail("port %u received nothing, expected %u bytes from %s",
                    rs_be16(socket->udp.local_port_be16), len_bytes, from);
    }
    if (strcmp(entry->from, from) != 0 || entry->len_bytes != len_bytes || !entry->pattern) {
        script_fail("port %u received %u bytes (%s) from %s, expected %u from %s",
                    rs_be16(socket->udp.local_port_be16), entry->len_bytes,
                    entry->pattern ? "right" : "wrong", entry->from, len_bytes, from);
    }
    socket->inbox_count--;
    memmove(entry, entry + 1, socket->inbox_count * sizeof(*entry));
}

void script_expect_header(sock socket, unsigned ttl, unsigned tos)
{
    const struct inbox_entry *entry = &socket->inbox[0];
    if (socket->inbox_count == 0 || entry->ttl != ttl || entry->tos != tos) {
        script_fail("port %u: %u datagrams, the first with ttl %u and tos %u, expected %u and %u",
                    rs_be16(socket->udp.local_port_be16), socket->inbox_count, entry->ttl,
                    entry->tos, ttl, tos);
    }
}

void script_expect_no_datagram(sock socket)
{
    if (socket->inbox_count > 0) {
        script_fail("port %u received \"%.100s\", expected nothing",
                    rs_be16(socket->udp.local_port_be16), socket->inbox[0].text);
    }
}

void script_expect_error(sock socket, enum rs_status status)
{
    if (socket->error_count == 0) {
        script_fail("port %u got no error, expected %s", rs_be16(socket->udp.local_port_be16),
                    rs_status_name(status));
    }
    enum rs_status got = socket->errors[0];
    socket->error_count--;
    memmove(socket->errors, socket->errors + 1, socket->error_count * sizeof(got));
    if (got != status) {
        script_fail("error %s, expected %s", rs_status_name(got), rs_status_name(status));
    }
}

void script_udp_teardown(void)
{
    for (uint32_t i = 0; i < socket_count; i++) {
        struct script_socket *socket = sockets[i];
        if (!script.failed && (socket->inbox_count > 0 || socket->error_count > 0)) {
            script_fail("port %u has %u datagrams and %u errors nobody expected",
                        rs_be16(socket->udp.local_port_be16), socket->inbox_count,
                        socket->error_count);
        }
        udp_socket_close(socket->queue->stack, &socket->udp);
        free(socket);
    }
    socket_count = 0;
    if (!script.failed && stamp_count > 0) {
        stamp_count = 0;
        script_fail("a stamp nobody expected, %llu", (unsigned long long)stamps[0]);
    }
    stamp_count = 0;
}
