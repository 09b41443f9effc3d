/*
 * The whole dataplane as one object: queues (each a thread with a stack and its channels) and the
 * control thread that serves clients. main.c makes it from config files and NICs; tests and benches
 * make it in-process. dataplane_run is the control thread.
 */
#ifndef RINGSOCK_DATAPLANE_DATAPLANE_H
#define RINGSOCK_DATAPLANE_DATAPLANE_H

#include <stdbool.h>
#include <stdio.h>

#include "dataplane/config.h"
#include "dataplane/nic.h"
#include "rings/os/os.h"

struct dataplane;

/* nics[i] serves configs[i] (taken over; closed by dataplane_destroy, also when this fails).
 * Listens for clients of the instance. */
RS_CHECK_RESULT enum rs_status dataplane_create(const struct queue_config *configs,
                                                struct nic *const *nics, uint32_t count,
                                                struct dataplane **out);
/* Starts the queue threads and serves clients until `stop` is signalled. */
RS_CHECK_RESULT enum rs_status dataplane_run(struct dataplane *dataplane, struct os_event *stop);
/* The closing ledger, per queue. True: it balances (frames in = used + delivered + named drops) and
 * nothing was lost inside. After dataplane_run. */
bool dataplane_ledger(const struct dataplane *dataplane, FILE *out);
/* The same figures as JSON, one object. */
void dataplane_ledger_json(const struct dataplane *dataplane, FILE *out);
void dataplane_destroy(struct dataplane *dataplane);
/* Its control thread, which knows its queues: for tests that call control_round and queue_poll
 * themselves, in one thread, instead of dataplane_run. */
struct control;
struct control *dataplane_control(struct dataplane *dataplane);

#endif
