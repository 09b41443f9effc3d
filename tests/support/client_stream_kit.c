/* See client_stream_kit.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/client_rig.h"
#include "tests/support/client_stream_kit.h"

#define ok(call) assert_int_equal((call), RS_OK)

struct client *stream_client;

int stream_setup(void **state)
{
    (void)state;
    rig_start(&rig_defaults);
    stream_client = rig_attach();
    return 0;
}

int stream_teardown(void **state)
{
    (void)state;
    client_close(stream_client);
    rig_stop();
    return 0;
}

struct client_socket *stream_make(void)
{
    struct client_socket *socket = NULL;
    ok(client_socket_create(stream_client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket));
    return socket;
}

struct client_socket *stream_make_bound(struct rs_addr *local)
{
    struct client_socket *socket = stream_make();
    struct rs_addr any = rs_addr_v4(STREAM_LOCALHOST, 0);
    ok(client_bind(socket, &any));
    ok(client_local_addr(socket, local));
    assert_int_not_equal(local->port_be16, 0);
    return socket;
}

struct client_socket *stream_make_listener(struct rs_addr *local)
{
    struct client_socket *socket = stream_make_bound(local);
    if (!rig_shares_rings) { /* who asks for a receive buffer that is no ring's size gets it */
        stream_set(socket, RS_OPT_RCVBUF, rig_defaults.recv_ring_bytes - 1);
    }
    ok(client_listen(socket, 16));
    return socket;
}

/* Both ends of a connection. */
void stream_make_pair(struct client_socket *listener, const struct rs_addr *to,
                      struct client_socket *ends[2])
{
    ends[0] = stream_make();
    ok(client_connect(ends[0], to));
    ok(client_accept(listener, &ends[1], NULL));
}

enum rs_status stream_send_flags(struct client_socket *socket, const void *data, size_t bytes,
                                 uint32_t flags, size_t *sent)
{
    struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    return client_send(socket, &iov, 1, flags, NULL, sent);
}

void stream_send_all(struct client_socket *socket, const void *data, size_t bytes)
{
    size_t sent = 0;
    ok(stream_send_flags(socket, data, bytes, 0, &sent));
    assert_int_equal(sent, bytes);
}

enum rs_status stream_recv_flags(struct client_socket *socket, void *data, size_t bytes,
                                 uint32_t flags, size_t *got)
{
    struct client_iov iov = {.base = data, .len_bytes = bytes};
    return client_recv(socket, &iov, 1, flags, NULL, got);
}

/* Exactly these bytes come next. */
void stream_expect(struct client_socket *socket, const char *text)
{
    char data[64];
    size_t got = 0;
    ok(stream_recv_flags(socket, data, strlen(text), CLIENT_MSG_WAIT | CLIENT_MSG_WAITALL, &got));
    assert_int_equal(got, strlen(text));
    assert_memory_equal(data, text, got);
}

enum rs_status stream_recv_byte(struct client_socket *socket, size_t *got)
{
    char byte;
    return stream_recv_flags(socket, &byte, 1, 0, got);
}

uint32_t stream_poll(struct client_socket *socket, uint32_t want, uint64_t timeout_ns)
{
    struct client_poll item = {.socket = socket, .want = want};
    uint32_t count = 0;
    ok(client_poll(stream_client, &item, 1, timeout_ns, &count));
    assert_int_equal(count, item.ready != 0);
    return item.ready;
}

void stream_set(struct client_socket *socket, uint32_t option, uint32_t value)
{
    ok(client_set_option(socket, option, value));
}

static uint8_t stream_pattern(uint32_t position)
{
    return (uint8_t)(position * 7 + (position >> 8) * 13 + (position >> 16));
}

void stream_fill(uint8_t *data, uint32_t position, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        data[i] = stream_pattern(position + (uint32_t)i);
    }
}

void stream_check(const uint8_t *data, uint32_t position, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != stream_pattern(position + (uint32_t)i)) {
            fail_msg("byte %u", position + (uint32_t)i);
        }
    }
}

/* Everything that is there; returns the new position. */
uint32_t stream_drain(struct client_socket *socket, uint32_t position, size_t chunk_bytes)
{
    static uint8_t data[1u << 16];
    size_t got = 0;
    enum rs_status status;
    while ((status = stream_recv_flags(socket, data, chunk_bytes, CLIENT_MSG_DONTWAIT, &got)) ==
               RS_OK &&
           got != 0) {
        stream_check(data, position, got);
        position += (uint32_t)got;
    }
    assert_true(status == RS_WOULD_BLOCK || got == 0);
    return position;
}
