/*
 * The control thread: attaches and detaches clients, opens channels, grants ports and rings,
 * watches processes, programs the NIC's multicast filter, logs. Slow by design and the only
 * authority; the queues ask it by messages. Called by dataplane.c.
 */
#ifndef RINGSOCK_DATAPLANE_CONTROL_H
#define RINGSOCK_DATAPLANE_CONTROL_H

#include "dataplane/ports.h"
#include "dataplane/queue.h"

struct control {
    const struct queue_config *config;
    struct queue *queue;
    struct nic *nic;
    struct rs_clock clock;
    uint64_t epoch;
    struct os_listener listener;
    struct os_poller *poller;
    struct os_event wake;      /* queues signal it */
    _Atomic uint32_t sleeping; /* partner: queue_tell_control */
    struct ports *ports;
    struct dp_session *sessions;
    uint32_t session_count;
    uint64_t next_session_id;
    bool stopping;
    uint64_t next_watch_ns;
    bool link_was_up;
};

RS_CHECK_RESULT enum rs_status control_create(const struct queue_config *config, struct nic *nic,
                                              struct control *out);
/* Serves until stop is signalled, then ends every session in order. The queue runs meanwhile. */
RS_CHECK_RESULT enum rs_status control_run(struct control *control, struct os_event *stop);
void control_destroy(struct control *control); /* after the queue's thread ended */

#endif
