/*
 * Grants of shared sockets (tokens), slot by slot: who may open them, until when, and when they end
 * with nobody having done so; and what is left in the house then. The rest of shared connections is
 * test_stream_share.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/stream_share_kit.h"

static struct rig_socket owner, twin; /* one connection, to peer */
static struct rig_peer *peer;

static int start(void **state)
{
    (void)state;
    share_kit_start();
    peer = share_kit_connect(&owner);
    return 0;
}

/* context: the byte that is to come. */
static bool peer_reads(void *context)
{
    uint8_t byte = 0;
    return rig_peer_read(peer, &byte, 1) == 1 && byte == *(const uint8_t *)context;
}

static void works_on(struct rig_socket *socket)
{
    assert_int_equal(rig_share_send(socket, "x", 1), 1);
    rig_until(peer_reads, "x", "a byte of a descriptor");
}

static void test_expires(void **state)
{
    struct rs_share_token token;
    struct rig_socket late;
    (void)state;
    assert_int_equal(rig_share(&owner, &token), RS_OK);
    assert_int_equal(rig_close(&owner, false, 0), RS_OK);
    rig_turns(20);
    assert_int_equal(peer->events & (TCP_EVENT_END | TCP_EVENT_ERROR), 0);
    control_share_expire(rig_control, os_monotonic_ns() + 59000000000u);
    rig_turns(20);
    assert_int_equal(peer->events & (TCP_EVENT_END | TCP_EVENT_ERROR), 0);
    control_share_expire(rig_control, os_monotonic_ns() + 61000000000u);
    rig_peer_until(peer, TCP_EVENT_END);
    assert_int_equal(rig_share_open(&programs[1], &token, &late), RS_NOT_SOCKET);
    rig_peer_close(peer);
}

/* A dead process's grant lives on, as its descriptor would. */
static void test_granted_by_a_dead_one(void **state)
{
    struct rs_share_token token;
    (void)state;
    assert_int_equal(rig_share(&owner, &token), RS_OK);
    rig_die(&programs[0]);
    rig_turns(50);
    assert_int_equal(rig_share_open(&programs[1], &token, &twin), RS_OK);
    works_on(&twin);
}

/* Nothing but the clock would end it. */
static void test_granted_to_nobody(void **state)
{
    static const uint32_t nobodies[] = {0, 0x7ffffffcu};
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        const struct rs_op_share op = {.process_id = nobodies[i]};
        struct rs_share_token token;
        assert_int_equal(rig_request_reply(owner.program, &owner, RS_OP_SHARE, &op, sizeof(op),
                                           &token, sizeof(token)),
                         RS_INVALID);
    }
    assert_null(rig_control->tokens);
    assert_int_equal(rig_write(&owner, "x", 1), 1);
    rig_until(peer_reads, "x", "a byte from a socket that is not shared");
}

/* By who granted it; a stranger takes nothing back, and an attempt to open another one's neither.
 */
static void test_taken_back(void **state)
{
    struct rs_share_token token, none;
    struct os_process *granter = &programs[0].session->process;
    const struct rs_op_share nobody = {.process_id = 0};
    (void)state;
    assert_int_equal(rig_share(&owner, &token), RS_OK);
    granter->pid++; /* so the token is another one's */
    assert_int_equal(rig_share_open(&programs[0], &token, &twin), RS_ACCESS);
    granter->pid--;
    assert_int_equal(rig_share_open(&programs[1], &token, &twin), RS_OK);
    assert_int_equal(rig_share(&owner, &token), RS_OK);
    assert_int_equal(rig_request_reply(twin.program, &twin, RS_OP_SHARE, &nobody, sizeof(nobody),
                                       &none, sizeof(none)),
                     RS_INVALID);
    assert_non_null(rig_control->tokens);
    assert_int_equal(rig_request_reply(owner.program, &owner, RS_OP_SHARE, &nobody, sizeof(nobody),
                                       &none, sizeof(none)),
                     RS_INVALID);
    assert_null(rig_control->tokens);
    assert_int_equal(rig_share_open(&programs[1], &token, &twin), RS_NOT_SOCKET);
    works_on(&owner);
}

static void test_how_many(void **state)
{
    struct rs_share_token token;
    uint32_t count = 0;
    (void)state;
    while (rig_share(&owner, &token) == RS_OK) {
        count++;
    }
    assert_int_equal(count, SHARE_DESCRIPTORS_MAX - 1);
    works_on(&owner);
    control_share_expire(rig_control, UINT64_MAX);
    rig_turns(10);
    assert_int_equal(rig_share(&owner, &token), RS_OK);
}

/* A socket that comes and goes between two looks leaves no memory in the house. */
static void test_memory_of_an_unseen_one(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct rs_share_token token;
        assert_int_equal(rig_share(&owner, &token), RS_OK);
        assert_int_equal(rig_share_open(&programs[1], &token, &twin), RS_OK);
        assert_int_equal(rig_close(&twin, false, 0), RS_OK);
        assert_int_equal(rig_unshare(&owner), RS_OK);
        rig_until(house_is_empty, NULL, "no socket in the house");
        for (uint32_t watch = 0; watch < 20; watch++) {
            control_share_expire(rig_control, 0);
        }
        assert_int_equal(rig_control->house->extent_count, 2);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, share_kit_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_expires),           TEST(test_granted_by_a_dead_one),
        TEST(test_granted_to_nobody), TEST(test_taken_back),
        TEST(test_how_many),          TEST(test_memory_of_an_unseen_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
