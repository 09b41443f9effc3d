/*
 * A program that says what cannot be of its datagram socket's receive ring, and then shares it: the
 * house's other sockets, and those who have this one, are not harmed. On the real dataplane in this
 * process, as test_client_share_dgram.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/control_internal.h"
#include "dataplane/dataplane.h"
#include "provider/client/client_internal.h"
#include "rings/byteorder.h"
#include "rings/dgram_ring.h"
#include "rings/os/os.h"
#include "tests/support/client_rig.h"

#define ok(call) assert_int_equal((call), RS_OK)
#define WAIT_MS  5000u

static struct client *clients[2]; /* the bad one, and the others */

static int setup(void **state)
{
    (void)state;
    rig_start(&rig_defaults);
    clients[0] = rig_attach();
    clients[1] = rig_attach();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    client_close(clients[0]);
    client_close(clients[1]);
    rig_stop();
    return 0;
}

static struct client_socket *make(struct client *client, struct rs_addr *local)
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(rs_be32(0x7f000001u), 0);
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket));
    ok(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, WAIT_MS));
    ok(client_bind(socket, &any));
    ok(client_local_addr(socket, local));
    return socket;
}

static struct client_socket *duplicate(struct client_socket *socket, struct client *client)
{
    struct client_share_info info;
    struct client_socket *out = NULL;
    ok(client_share(socket, os_process_id(), &info));
    ok(client_share_open(client, &info, &out));
    return out;
}

static void send_to(struct client_socket *socket, const void *data, size_t bytes,
                    const struct rs_addr *to)
{
    struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    size_t sent = 0;
    ok(client_send(socket, &iov, 1, 0, to, &sent));
}

static void expect(struct client_socket *socket, const void *data, size_t bytes)
{
    char back[64];
    struct client_iov iov = {.base = back, .len_bytes = sizeof(back)};
    size_t got = 0;
    ok(client_recv(socket, &iov, 1, 0, NULL, &got));
    assert_int_equal(got, bytes);
    assert_memory_equal(back, data, bytes);
}

/* Times that what waited was dropped. */
static uint64_t dropped(void)
{
    const struct queue *queue = dataplane_control(rig_dataplane())->queues[0];
    return counter_get(stack_counters(queue->stack), COUNTER_shared_unread_dropped);
}

/* A program says that it has read the first line of a record, whose payload goes on like a record
 * of its own making; then shares the socket: the house reads no record but the dataplane's. */
static void test_forged_record(void **state)
{
    const struct {
        uint16_t len_bytes;
        uint8_t payload_off, flags;
    } forged[] = {
        {50000, RS_DGRAM_SHORT_OFF, 0}, /* beyond what is there: another program's, perhaps */
        {100, 1, 0},
        {0, RS_DGRAM_SHORT_OFF, RS_DGRAM_PAD},
        {40, RS_DGRAM_SHORT_OFF, 0}, /* which hurts nobody, but none follows it */
    };
    struct rs_addr local, from, at;
    (void)state;
    struct client_socket *owner = make(clients[1], &at), *peer = make(clients[1], &from);
    struct client_socket *others = duplicate(peer, clients[1]);
    for (uint32_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        struct client_socket *bad = make(clients[0], &local);
        uint8_t payload[600] = {0};
        const uint32_t at_line = RS_LINE_BYTES - RS_DGRAM_SHORT_OFF;
        struct rs_dgram header = {.len_bytes = forged[i].len_bytes,
                                  .payload_off = forged[i].payload_off,
                                  .flags = forged[i].flags};
        atomic_store(&header.seq, rs_dgram_seq(RS_LINE_BYTES));
        memcpy(payload + at_line, &header, sizeof(header));
        struct client_poll item = {.socket = bad, .want = RS_LEVEL_READABLE};
        uint32_t count;
        send_to(peer, payload, sizeof(payload), &local);
        ok(client_poll(clients[0], &item, 1, WAIT_MS * 1000000ull, &count));
        assert_int_equal(count, 1);
        atomic_store(&bad->shared->recv_head[peer->home_queue_idx], RS_LINE_BYTES);
        struct client_socket *twin = duplicate(bad, clients[0]);
        if (i == 3) {
            expect(twin, payload + at_line + RS_DGRAM_SHORT_OFF, forged[i].len_bytes);
        }
        assert_int_equal(dropped(), i + 1);
        assert_int_equal(atomic_load(&bad->state->recv_dropped), 1);
        send_to(peer, "true", 4, &local);
        expect(twin, "true", 4);
        send_to(others, "still", 5, &at);
        expect(owner, "still", 5);
        ok(client_socket_close(bad));
        ok(client_socket_close(twin));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_forged_record, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
