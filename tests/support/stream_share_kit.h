/*
 * For tests of sockets that two programs share, on the stream rig: the programs, a connection that
 * is to be shared, and an end in which no grant is left. Test thread; each test program has its
 * own.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_STREAM_SHARE_KIT_H
#define RINGSOCK_TESTS_SUPPORT_STREAM_SHARE_KIT_H

#include "dataplane/control_internal.h"
#include "dataplane/share.h"
#include "tests/support/stream_rig.h"

static struct rig_program programs[2];

/* One queue, and both programs attached. */
static inline void share_kit_start(void)
{
    stream_rig_start(&(struct stream_rig_spec){.queues = 1});
    rig_attach(&programs[0]);
    rig_attach(&programs[1]);
}

/* The first program's connection to the other host, whose end is returned. */
static inline struct rig_peer *share_kit_connect(struct rig_socket *owner)
{
    rig_peer_listen(80);
    *owner = rig_open(&programs[0]);
    assert_int_equal(rig_connect(owner, RIG_PEER ":80"), RS_OK);
    rig_until_level(owner, RS_LEVEL_CONNECTED);
    return rig_peer_accepted();
}

static inline int share_kit_stop(void **state)
{
    (void)state;
    control_share_expire(rig_control, UINT64_MAX);
    return stream_rig_stop() ? 0 : -1;
}

static inline bool house_is_empty(void *context)
{
    const struct dp_session *house = rig_control->house;
    (void)context;
    return house->free_socket_count == house->config->limit_sockets;
}

#endif
