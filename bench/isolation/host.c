/*
 * The dataplane of the isolation bench, in this process, with its poll loop on the far processor;
 * and which thread runs where. With two processors the neighbour shares the near one with the
 * measured thread, which is asleep between two round trips and goes first when it wakes: what it
 * then meets is what the neighbour has left in its rings. Fixed priorities (SCHED_FIFO) where the
 * system allows them; else the neighbour is SCHED_IDLE. Main thread.
 */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/isolation/isolation.h"
#include "dataplane/config.h"
#include "dataplane/control.h"
#include "dataplane/dataplane.h"
#include "dataplane/log.h"
#include "dataplane/nic_loopback.h"
#include "rings/os/os.h"

#define HOST_REST_NS      2000000ull
#define HOST_REST_WAIT_NS 10000000000ull

static struct {
    struct isolation_host *host;
    struct queue_config config;
    struct dataplane *dataplane;
    struct os_event stop;
    struct os_thread thread;
    double ns_per_tick;
} self;

static const int host_priorities[] = {[HOST_MEASURED] = 4, [HOST_CONTROL] = 3, [HOST_BESIDE] = 2};

void host_place(uint32_t core, enum host_role role, bool realtime)
{
    (void)!os_thread_pin(core);
    struct sched_param param = {.sched_priority = realtime ? host_priorities[role] : 0};
    if (realtime) {
        (void)sched_setscheduler(0, SCHED_FIFO, &param);
    } else if (role == HOST_BESIDE) {
        (void)sched_setscheduler(0, SCHED_IDLE, &param);
    }
}

static bool host_may_be_realtime(void)
{
    struct sched_param param = {.sched_priority = 1};
    struct sched_param plain = {.sched_priority = 0};
    return sched_setscheduler(0, SCHED_FIFO, &param) == 0 &&
           sched_setscheduler(0, SCHED_OTHER, &plain) == 0;
}

/* The poll loop is a thread of ours that we know by its name. */
static bool host_raise_poll_loop(void)
{
    struct sched_param param = {.sched_priority = 1};
    bool found = false;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks != NULL && (task = readdir(tasks)) != NULL;) {
        char path[300];
        char name[32] = "";
        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
        FILE *comm = fopen(path, "r");
        if (comm != NULL) {
            if (fgets(name, sizeof(name), comm) != NULL && strcmp(name, "ringsock-queue\n") == 0) {
                pid_t thread = (pid_t)strtol(task->d_name, NULL, 10);
                found = sched_setscheduler(thread, SCHED_FIFO, &param) == 0;
            }
            (void)fclose(comm);
        }
    }
    if (tasks != NULL) {
        (void)closedir(tasks);
    }
    return found;
}

static void host_run(void *arg)
{
    const struct isolation_host *host = arg;
    host_place(host->core_near, HOST_CONTROL, host->realtime);
    if (dataplane_run(self.dataplane, &self.stop) != RS_OK) {
        (void)fprintf(stderr, "the dataplane ended with an error\n");
    }
}

static bool host_choose_cores(struct isolation_host *host)
{
    cpu_set_t allowed;
    uint32_t cores[3];
    uint32_t count = 0;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < CPU_SETSIZE && count < 3; i++) {
        if (CPU_ISSET(i, &allowed)) {
            cores[count++] = i;
        }
    }
    if (count < 2) {
        return false;
    }
    host->core_near = cores[0];
    host->core_far = cores[1];
    host->core_neighbour = count == 3 ? cores[2] : cores[0];
    return true;
}

static bool host_load_config(const struct isolation_host *host)
{
    char directory[300];
    char path[400];
    process_temp_directory(directory, sizeof(directory));
    (void)snprintf(path, sizeof(path), "%sringsock-%s.conf", directory, host->instance);
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        return false;
    }
    (void)fprintf(out,
                  "[nic]\ndevice = loopback\n[queue]\ncore = %u\nidle = yield\n[instance]\nname = "
                  "%s\nspin_us = 1000000\nclient_idle = yield\n[limits]\nsessions = 80\nsockets = "
                  "%u\nchannels = "
                  "%u\nmemberships = %u\n[log]\nlevel = error\n",
                  host->core_far, host->instance, (unsigned)ISOLATION_SOCKETS,
                  (unsigned)ISOLATION_CHANNELS, (unsigned)ISOLATION_MEMBERSHIPS);
    bool written = fclose(out) == 0;
    bool loaded = written && config_load(path, &self.config, stderr) == RS_OK;
    (void)remove(path);
    return loaded && config_check_set(&self.config, 1, stderr) == RS_OK;
}

/* The poll loop runs once it counts its iterations. */
static bool host_wait_running(void)
{
    uint64_t deadline_ns = os_monotonic_ns() + HOST_REST_WAIT_NS;
    while (host_load_now().polls == 0) {
        if (os_monotonic_ns() > deadline_ns) {
            return false;
        }
        os_yield();
    }
    return true;
}

bool host_start(struct isolation_host *host)
{
    struct nic *nic;
    memset(host, 0, sizeof(*host));
    (void)snprintf(host->instance, sizeof(host->instance), "isolation-%u", os_process_id());
    log_set_level(LOG_LEVEL_ERROR);
    self.host = host;
    self.ns_per_tick = 1e9 / (double)os_tsc_hz();
    if (!host_choose_cores(host)) {
        (void)fprintf(stderr, "needs two processors\n");
        return false;
    }
    host->realtime = host_may_be_realtime();
    if (!host_load_config(host) || nic_loopback_create(&nic) != RS_OK ||
        os_event_create(&self.stop) != RS_OK ||
        dataplane_create(&self.config, &nic, 1, &self.dataplane) != RS_OK ||
        os_thread_start(&self.thread, host_run, host, "isolation-host") != RS_OK) {
        (void)fprintf(stderr, "no dataplane: %s\n", os_last_error_text());
        return false;
    }
    if (!host_wait_running() || (host->realtime && !host_raise_poll_loop())) {
        (void)fprintf(stderr, "the poll loop does not run\n");
        return false;
    }
    host_place(host->core_near, HOST_MEASURED, host->realtime);
    return true;
}

void host_stop(void)
{
    os_event_signal(&self.stop);
    os_thread_join(&self.thread);
    dataplane_destroy(self.dataplane);
    os_event_destroy(&self.stop);
}

struct host_load host_load_now(void)
{
    const struct queue_load *load = &dataplane_control(self.dataplane)->queues[0]->load;
    return (struct host_load){
        .polls = atomic_load_explicit(&load->polls, memory_order_relaxed),
        .busy_polls = atomic_load_explicit(&load->busy_polls, memory_order_relaxed),
        .busy_tsc = atomic_load_explicit(&load->busy_tsc, memory_order_relaxed)};
}

double host_iteration_ns(const struct host_load *before, const struct host_load *after)
{
    uint64_t polls = after->busy_polls - before->busy_polls;
    return polls != 0
               ? (double)(after->busy_tsc - before->busy_tsc) * self.ns_per_tick / (double)polls
               : 0;
}

bool host_rest(void)
{
    uint64_t deadline_ns = os_monotonic_ns() + HOST_REST_WAIT_NS;
    for (;;) {
        struct host_load before = host_load_now();
        os_sleep_ns(HOST_REST_NS); /* the length of the look, not a guess of when it is over */
        struct host_load after = host_load_now();
        if (after.busy_polls == before.busy_polls && after.polls != before.polls) {
            return true;
        }
        if (os_monotonic_ns() > deadline_ns) {
            return false;
        }
    }
}
