/* Starts and stops a ringsockd for one bench run, see dataplane.h. */
#include "bench/dataplane.h"

#include <stdio.h>
#include <string.h>

#include "rings/os/os.h"

enum { DATAPLANE_START_MS = 10000 };

static bool dataplane_write_config(struct bench_context *context, enum bench_profile profile,
                                   const struct bench_dataplane *dataplane)
{
    FILE *out = fopen(dataplane->config, "w");
    if (out == NULL) {
        (void)snprintf(context->error, sizeof(context->error), "cannot write %s",
                       dataplane->config);
        return false;
    }
    bool latency = profile == BENCH_PROFILE_LATENCY;
    (void)fprintf(out,
                  "[nic]\ndevice = loopback\n[queue]\ncore = %u\nidle = %s\n[instance]\nname = "
                  "%s\nspin_us = %s\n"
                  "client_idle = %s\n[log]\nlevel = warning\n",
                  context->core_far, latency ? "spin" : "yield", dataplane->instance,
                  latency ? "forever" : "1000000", latency ? "spin" : "yield");
    if (profile == BENCH_PROFILE_CROWD) {
        (void)fprintf(out,
                      "[limits]\nsockets = %d\nchannels = 4\nrecv_ring_bytes = 4096\n"
                      "send_ring_bytes = 4096\n",
                      BENCH_CROWD + 128);
    }
    return fclose(out) == 0;
}

bool bench_dataplane_start(struct bench_context *context, enum bench_profile profile,
                           struct bench_dataplane *out)
{
    char directory[400];
    memset(out, 0, sizeof(*out));
    out->process = (struct process){.handle = -1, .output = -1};
    process_temp_directory(directory, sizeof(directory));
    (void)snprintf(out->instance, sizeof(out->instance), "bench-%u", os_process_id());
    (void)snprintf(out->config, sizeof(out->config), "%sringsock-%s.conf", directory,
                   out->instance);
    if (!dataplane_write_config(context, profile, out)) {
        return false;
    }
    const char *argv[] = {context->dataplane, out->config, NULL};
    if (!process_start(argv, &out->process, context->error, sizeof(context->error))) {
        return false;
    }
    if (!process_wait_line(&out->process, "ringsockd: ready", DATAPLANE_START_MS)) {
        (void)snprintf(context->error, sizeof(context->error), "%s was not ready within %d s",
                       context->dataplane, DATAPLANE_START_MS / 1000);
        (void)process_stop(&out->process);
        (void)remove(out->config);
        return false;
    }
    return true;
}

bool bench_dataplane_stop(struct bench_context *context, struct bench_dataplane *dataplane)
{
    if (dataplane->process.handle == -1) {
        return true;
    }
    int status = process_stop(&dataplane->process);
    (void)remove(dataplane->config);
    if (status == 0 || !process_stop_is_graceful()) {
        return true;
    }
    (void)snprintf(context->error, sizeof(context->error), "ringsockd ended with status %d",
                   status);
    return false;
}
