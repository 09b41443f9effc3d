/*
 * Posting on two channels whose positions meet: a level names a position, and the dataplane knows
 * the last one that it consumed, of whichever channel. All interleavings on one channel are
 * tests/model/post.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/post.h"

#define SOCKETS 8u
#define SLOTS   64u
/* Posts that a channel takes before it runs short. */
#define SLACK (SLOTS - (SOCKETS + RS_REPLY_CELLS))
#define MEET  1000u /* the position on both */

struct channel {
    struct rs_request slots[SLOTS];
    struct rs_channel_state state;
    struct rs_channel_client client;
    struct post_channel post;
};

static struct channel here, there;
static struct rs_socket_client client;
static struct post_socket socket, other;

static void begin(struct channel *channel, uint32_t position)
{
    memset(channel, 0, sizeof(*channel));
    atomic_store(&channel->state.request_head, position);
    post_channel_init(&channel->post, channel->slots, SLOTS, &channel->state, &channel->client,
                      SOCKETS);
}

static enum rs_status post(struct channel *channel, struct post_socket *by, uint32_t tail)
{
    static struct rs_socket_client nobody;
    return post_tail(&channel->post, by, by == &socket ? &client : &nobody, 1, 1, tail);
}

/* Its last POST on the one channel is at MEET, and so is the second of two on the next one, of
 * which the dataplane has taken none. */
static int setup(void **state)
{
    (void)state;
    memset(&client, 0, sizeof(client));
    socket = other = (struct post_socket){.levelled = false};
    begin(&here, MEET);
    begin(&there, MEET + 1 - SLACK);
    assert_int_equal(post(&here, &socket, 100), RS_OK);
    assert_int_equal(socket.last_position, MEET);
    atomic_store(&here.state.request_head, MEET + 1);
    post_move(&socket);
    for (uint32_t i = 0; i < SLACK - 2; i++) {
        assert_int_equal(post(&there, &other, i), RS_OK);
    }
    assert_int_equal(post(&there, &socket, 200), RS_OK);
    assert_int_equal(post(&there, &socket, 300), RS_OK);
    assert_int_equal(socket.last_position, MEET);
    return 0;
}

/* Behind MEET of the channel before the dataplane sees no level: it would take a tail ahead of the
 * two POSTs that it has not seen. */
static void test_no_level_for_a_position_of_both(void **state)
{
    uint32_t tail;
    (void)state;
    assert_false(post_level_take(&client, MEET, &tail)); /* nor by the second POST */
    assert_int_equal(post(&there, &socket, 400), RS_WOULD_BLOCK);
    assert_false(post_level_take(&client, MEET, &tail));
    atomic_store(&there.state.request_head, MEET + 1);
    assert_int_equal(post(&there, &socket, 400), RS_OK); /* in a slot of its own */
    assert_int_equal(socket.last_position, MEET + 1);
}

/* What a level said before names the slot to be posted: it is moved to where nothing is. */
static void test_an_old_level_is_out_of_the_way(void **state)
{
    uint32_t tail;
    (void)state;
    socket.level_word = (uint64_t)(MEET + 1) << 32 | 300;
    atomic_store(&client.send_level, socket.level_word);
    atomic_store(&there.state.request_head, MEET + 1);
    assert_int_equal(post(&there, &socket, 400), RS_OK);
    assert_int_equal(socket.last_position, MEET + 1);
    assert_false(post_level_take(&client, MEET + 1, &tail));
    assert_false(post_level_take(&client, MEET, &tail));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_no_level_for_a_position_of_both, setup),
        cmocka_unit_test_setup(test_an_old_level_is_out_of_the_way, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
