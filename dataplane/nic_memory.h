/*
 * An in-memory wire for tests and benches: the test pushes the frames a stack receives and pops
 * what it sent, or two of them are connected and what one sends the other receives. Copies each
 * frame once, as a NIC would. One thread uses it, or both ends of a connected pair.
 */
#ifndef RINGSOCK_DATAPLANE_NIC_MEMORY_H
#define RINGSOCK_DATAPLANE_NIC_MEMORY_H

#include "dataplane/nic.h"

struct nic_memory_config {
    uint8_t mac[6];
    uint32_t mtu_bytes;
    uint32_t caps;         /* NIC_CAP_*; the flags of frames travel as they are */
    uint32_t buffers;      /* transmit and receive together */
    uint32_t queue_frames; /* of each direction, a power of two */
};

/* RS_INVALID: a queue size that is no power of two. RS_NO_MEMORY. Closed with ops->close. */
RS_CHECK_RESULT enum rs_status nic_memory_create(const struct nic_memory_config *config,
                                                 struct nic **out);
/* What one sends from now on, the other receives. Both must stay open while one of them is used. */
void nic_memory_connect(struct nic *a, struct nic *b);
/* A frame arrives. flags: PKT_RX_*. False: no buffer or queue full, counted as missed. */
bool nic_memory_push(struct nic *nic, const void *frame, uint32_t len_bytes, uint32_t flags);
/* The oldest frame sent and not yet popped; copies at most max bytes. Returns its length, 0: none.
 */
uint32_t nic_memory_pop(struct nic *nic, void *frame, uint32_t max_bytes, uint32_t *flags);
/* From now on the NIC takes this many frames more; UINT32_MAX: any number. */
void nic_memory_limit_tx(struct nic *nic, uint32_t frames);
/* From now on tx_alloc succeeds this many times more; UINT32_MAX: while buffers last. */
void nic_memory_limit_alloc(struct nic *nic, uint32_t buffers);
/* Buffers that a stack holds now: transmit buffers allocated, received frames not released. */
uint32_t nic_memory_held(const struct nic *nic);

#endif
