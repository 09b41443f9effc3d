/*
 * Stream sockets that several programs have before there is a connection, slot by slot: what the
 * clock and the other host do between a descriptor's request and its answer. What the sockets can
 * do is test_client_share_fresh.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/stream_share_kit.h"

static int start(void **state)
{
    (void)state;
    share_kit_start();
    return 0;
}

/* The socket of the first program, and the second one's descriptor of it. */
static struct rig_socket share(struct rig_socket *socket)
{
    struct rs_share_token token;
    struct rig_socket twin;
    assert_int_equal(rig_share(socket, &token), RS_OK);
    assert_int_equal(rig_share_open(&programs[1], &token, &twin), RS_OK);
    return twin;
}

/* Told to listen in the house; a heartbeat comes before the answer, and asks for no place that
 * nobody counts: what closes the listener waits for each that is on its way. */
static void test_listens_in_the_house(void **state)
{
    (void)state;
    struct rig_socket listener = rig_open(&programs[0]);
    assert_int_equal(rig_bind(&listener, RIG_OWN ":82"), RS_OK);
    struct rig_socket twin = share(&listener);
    const uint64_t heartbeat_tsc = rig_queue(0)->heartbeat_tsc;
    rig_queue(0)->heartbeat_tsc = 1; /* in each iteration */
    rig_queue(0)->next_heartbeat_tsc = 0;
    assert_int_equal(rig_listen(&listener, 4), RS_OK);
    rig_queue(0)->heartbeat_tsc = heartbeat_tsc;
    (void)rig_peer_connect(2000, RIG_OWN ":82");
    rig_until_level(&twin, RS_LEVEL_READABLE);
    assert_int_equal(rig_close(&twin, false, 0), RS_OK);
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    rig_until(house_is_empty, NULL, "no socket in the house");
}

/* While the other host has not answered yet: the attempt goes on in the house, and both programs
 * are told of it. */
static void test_shared_while_connecting(void **state)
{
    char data[8];
    (void)state;
    rig_peer_listen(81);
    rig_wire_down(true);
    struct rig_socket caller = rig_open(&programs[0]);
    assert_int_equal(rig_connect(&caller, RIG_PEER ":81"), RS_OK);
    rig_turns(20);
    struct rig_socket twin = share(&caller);
    rig_turns(20);
    assert_int_equal(rig_level(&twin), 0);
    rig_wire_down(false);
    rig_until_level(&twin, RS_LEVEL_CONNECTED);
    assert_int_not_equal(rig_level(&caller) & RS_LEVEL_CONNECTED, 0);
    struct rig_peer *peer = rig_peer_accepted();
    assert_int_equal(rig_share_send(&twin, "hello", 5), 5);
    rig_peer_until(peer, TCP_EVENT_READABLE);
    assert_int_equal(rig_peer_read(peer, data, sizeof(data)), 5);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(rig_peer_write(peer, "back", 4), 4);
    rig_until_level(&caller, RS_LEVEL_READABLE);
    assert_int_equal(rig_share_recv(&caller, data, sizeof(data)), 4);
    assert_memory_equal(data, "back", 4);
    assert_int_equal(rig_close(&twin, false, 0), RS_OK);
    assert_int_equal(rig_close(&caller, true, 0), RS_OK);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    rig_peer_close(peer);
    rig_until(house_is_empty, NULL, "no socket in the house");
}

/* And nobody is left before it does: nothing stays of it. */
static void test_left_while_connecting(void **state)
{
    (void)state;
    rig_wire_down(true);
    struct rig_socket caller = rig_open(&programs[0]);
    assert_int_equal(rig_connect(&caller, RIG_PEER ":81"), RS_OK);
    struct rig_socket twin = share(&caller);
    assert_int_equal(rig_close(&caller, false, 0), RS_OK);
    assert_int_equal(rig_close(&twin, false, 0), RS_OK);
    rig_until(house_is_empty, NULL, "no socket in the house");
    rig_wire_down(false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, share_kit_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_listens_in_the_house),
        TEST(test_shared_while_connecting),
        TEST(test_left_while_connecting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
