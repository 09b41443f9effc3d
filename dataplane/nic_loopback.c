/*
 * A NIC that moves no frames, see nic_loopback.h. Its functions hold no state, so any thread may
 * call them.
 */
#include "dataplane/nic_loopback.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/steer.h"

static uint32_t loopback_rx_burst(struct nic *nic, struct pkt *pkts, uint32_t max)
{
    (void)nic;
    (void)pkts;
    (void)max;
    return 0;
}

static void loopback_rx_release(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    (void)nic;
    (void)pkts;
    (void)count;
}

static bool loopback_tx_alloc(struct nic *nic, struct pkt *out)
{
    (void)nic;
    (void)out;
    return false;
}

static uint32_t loopback_tx_burst(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    (void)nic;
    (void)pkts;
    (void)count;
    return 0;
}

static void loopback_tx_free(struct nic *nic, struct pkt *pkt)
{
    (void)nic;
    (void)pkt;
}

static void loopback_stats(struct nic *nic, struct nic_stats *out)
{
    (void)nic;
    memset(out, 0, sizeof(*out));
}

static bool loopback_link_up(struct nic *nic)
{
    (void)nic;
    return true;
}

static enum rs_status loopback_multicast_set(struct nic *nic, const uint8_t (*macs)[6],
                                             uint32_t count)
{
    (void)nic;
    (void)macs;
    (void)count;
    return RS_OK;
}

static void loopback_close(struct nic *nic)
{
    free(nic);
}

static const struct nic_ops loopback_ops = {
    .rx_burst = loopback_rx_burst,
    .rx_release = loopback_rx_release,
    .tx_alloc = loopback_tx_alloc,
    .tx_burst = loopback_tx_burst,
    .tx_free = loopback_tx_free,
    .stats = loopback_stats,
    .link_up = loopback_link_up,
    .multicast_set = loopback_multicast_set,
    .close = loopback_close,
};

enum rs_status nic_loopback_create(struct nic **out)
{
    struct nic *nic = calloc(1, sizeof(*nic));
    if (nic == NULL) {
        return RS_NO_MEMORY;
    }
    nic->ops = &loopback_ops;
    (void)snprintf(nic->name, sizeof(nic->name), "loopback");
    nic->kind = RS_NIC_LOOPBACK;
    nic->mtu_bytes = 65535;
    nic->queue_count = 1;
    nic->steering = &steer_one_queue;
    *out = nic;
    return RS_OK;
}
