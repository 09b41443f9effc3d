/* client_rig.h on the fake dataplane. */
#include <stddef.h>

#include "tests/support/check.h"
#include "tests/support/client_rig.h"
#include "tests/support/fake_dataplane.h"

const uint32_t rig_queue_count = 1;

const bool rig_shares_rings = false;
const struct rig_spec rig_defaults = {.limit_sockets = 32,
                                      .limit_channels = 8,
                                      .recv_ring_bytes = 1u << 17,
                                      .send_ring_bytes = 1u << 17,
                                      .spin_us = 50};

static struct fake *rig_fake;

void rig_start(const struct rig_spec *spec)
{
    struct fake_config config = fake_defaults;
    config.limit_sockets = spec->limit_sockets;
    config.limit_channels = spec->limit_channels;
    config.recv_ring_bytes = spec->recv_ring_bytes;
    config.send_ring_bytes = spec->send_ring_bytes;
    config.spin_us = spec->spin_us;
    rig_fake = fake_create(&config);
}

struct client *rig_attach(void)
{
    struct client *client = NULL;
    struct client_link link = fake_link(rig_fake);
    const struct client_config config = {.spin_us = -1, .yield_in_spin = -1};
    CHECK(client_open_link(&config, &link, &client) == RS_OK);
    return client;
}

void rig_end_dataplane(void)
{
    fake_die(rig_fake);
}

void rig_stop(void)
{
    fake_destroy(rig_fake);
    rig_fake = NULL;
}
