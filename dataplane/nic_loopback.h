/*
 * The NIC of a queue without a wire: `device = loopback`, the embedded default. No frame ever comes
 * or goes; local programs talk through the stack. Made by the start-up thread, used by the queue.
 */
#ifndef RINGSOCK_DATAPLANE_NIC_LOOPBACK_H
#define RINGSOCK_DATAPLANE_NIC_LOOPBACK_H

#include "dataplane/nic.h"

/* *out is closed with out->ops->close. RS_NO_MEMORY. */
RS_CHECK_RESULT enum rs_status nic_loopback_create(struct nic **out);

#endif
