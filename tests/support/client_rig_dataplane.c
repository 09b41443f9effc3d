/*
 * client_rig.h on the real dataplane: its control thread and its queues run in this process, the
 * client attaches over the real control connection. The configuration file and (Linux) the runtime
 * directory are made in the working directory, under names with the process id.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/config.h"
#include "dataplane/dataplane.h"
#include "dataplane/nic_loopback.h"
#include "tests/support/check.h"
#include "tests/support/client_rig.h"

/* How many loopback queues the program that links this has its dataplane serve. */
#ifndef RIG_QUEUES
#define RIG_QUEUES 1
#endif

/* 1: listeners leave SO_RCVBUF alone, so the dataplane shares rings (client_stream_kit.c). */
#ifndef RIG_SHARES_RINGS
#define RIG_SHARES_RINGS 0
#endif

const bool rig_shares_rings = RIG_SHARES_RINGS;
const uint32_t rig_queue_count = RIG_QUEUES;

const struct rig_spec rig_defaults = {.limit_sockets = 32,
                                      .limit_channels = 8,
                                      .recv_ring_bytes = 1u << 17,
                                      .send_ring_bytes = 1u << 17,
                                      .spin_us = 50};

static struct {
    struct queue_config configs[RIG_QUEUES];
    struct dataplane *dataplane;
    struct os_event stop;
    struct os_thread thread;
    bool running;
} rig;

static void rig_run(void *arg)
{
    (void)arg;
    CHECK(dataplane_run(rig.dataplane, &rig.stop) == RS_OK);
}

static void rig_load_config(const struct rig_spec *spec, uint32_t queue_idx)
{
    char file[64];
    char spin[16] = "forever";
    if (spec->spin_us != RS_SPIN_FOREVER) {
        (void)snprintf(spin, sizeof(spin), "%u", spec->spin_us);
    }
    (void)snprintf(file, sizeof(file), "client-rig-%u.conf", os_process_id());
    FILE *out = fopen(file, "w");
    CHECK(out != NULL);
    (void)fprintf(out,
                  "[nic]\ndevice = loopback\nqueue = %u\n[queue]\nidle = yield\n"
                  "[instance]\nname = rig-%u\nspin_us = %s\nclient_idle = yield\n"
                  "[limits]\nsockets = %u\nchannels = %u\nrecv_ring_bytes = %u\n"
                  "send_ring_bytes = %u\n[log]\nlevel = error\n",
                  queue_idx, os_process_id(), spin, spec->limit_sockets,
                  spec->limit_channels + RIG_QUEUES - 1, spec->recv_ring_bytes,
                  spec->send_ring_bytes);
    CHECK(fclose(out) == 0);
    CHECK(config_load(file, &rig.configs[queue_idx], stderr) == RS_OK);
    CHECK(remove(file) == 0);
}

void rig_start(const struct rig_spec *spec)
{
    struct nic *nics[RIG_QUEUES];
    for (uint32_t i = 0; i < RIG_QUEUES; i++) {
        rig_load_config(spec, i);
        CHECK(nic_loopback_create(&nics[i]) == RS_OK);
    }
    CHECK(config_check_set(rig.configs, RIG_QUEUES, stderr) == RS_OK);
    CHECK(os_event_create(&rig.stop) == RS_OK);
    CHECK(dataplane_create(rig.configs, nics, RIG_QUEUES, &rig.dataplane) == RS_OK);
    CHECK(os_thread_start(&rig.thread, rig_run, NULL, "rig-dataplane") == RS_OK);
    rig.running = true;
}

struct dataplane *rig_dataplane(void)
{
    return rig.dataplane;
}

struct client *rig_attach(void)
{
    struct client *client = NULL;
    const struct client_config config = {
        .instance = rig.configs[0].instance, .spin_us = -1, .yield_in_spin = -1};
    enum rs_status status = client_open(&config, &client);
    if (status != RS_OK) {
        fprintf(stderr, "client_open: %s: %s\n", rs_status_name(status), client_last_error_text());
    }
    CHECK(status == RS_OK);
    return client;
}

void rig_share_with_another(struct client_socket *socket, struct client_share_info *info)
{
    enum rs_status status = RS_INVALID;
    for (uint32_t other = 1; status == RS_INVALID; other++) {
        CHECK(other < 100000);
        status = other != os_process_id() ? client_share(socket, other, info) : RS_INVALID;
    }
    CHECK(status == RS_OK);
}

void rig_end_dataplane(void)
{
    if (rig.running) {
        os_event_signal(&rig.stop);
        os_thread_join(&rig.thread);
        dataplane_destroy(rig.dataplane);
        os_event_destroy(&rig.stop);
        rig.running = false;
    }
}

void rig_stop(void)
{
    rig_end_dataplane();
}
