/*
 * An in-memory wire for tests and benches: the test pushes the frames a stack receives and pops
 * what it sent, or two of them are connected and what one sends the other receives. Copies each
 * frame once, as a NIC would, and cuts segments and fills in checksums as one does.
 *
 * A port with one queue is used by one thread, or both ends of a connected pair by one, unless its
 * configuration says threads. A port with several queues takes one thread per queue and any others
 * that push and pop: it has a lock, which only a test NIC may have.
 */
#ifndef RINGSOCK_DATAPLANE_NIC_MEMORY_H
#define RINGSOCK_DATAPLANE_NIC_MEMORY_H

#include "dataplane/nic.h"
#include "dataplane/steer.h"

struct nic_memory_config {
    uint8_t mac[6];
    uint32_t mtu_bytes;
    /* NIC_CAP_*. To a popped frame is done what PKT_TX_TCP_CSUM and PKT_TX_TCP_SEG ask for; other
     * checksums are left out, and the flags are as the stack set them. What a connected port
     * receives has all checksums. */
    uint32_t caps;
    uint32_t buffers;      /* per queue, transmit and receive together */
    uint32_t big_buffers;  /* per queue, of tx_alloc_big; with NIC_CAP_TX_TSO, else 0 */
    uint32_t queue_frames; /* of each queue and direction, a power of two */
    /* Of a port with several queues. STEER_NIC: by the published Toeplitz key and the queues in
     * turn; STEER_SOFTWARE: wrongly, to each queue in turn whatever the frame is. */
    enum steer_mode steering;
    bool vlan;    /* nic.vlan: tags come out of received frames, and into popped ones */
    bool threads; /* one queue, but others than its thread push and pop */
};

/* RS_INVALID: a queue size that is no power of two; big buffers without NIC_CAP_TX_TSO, or that
 * without them or without both checksums. RS_NO_MEMORY. Closed with ops->close. */
RS_CHECK_RESULT enum rs_status nic_memory_create(const struct nic_memory_config *config,
                                                 struct nic **out);
/* A port with count queues, nics[0] to nics[count - 1]; steering is not STEER_ONE_QUEUE. Each is
 * closed by itself, the port goes with the last. Memory lasts till then, so no queue may be closed
 * while another one is polled. RS_INVALID (also: no queue, or more than RS_QUEUES_MAX),
 * RS_NO_MEMORY. */
RS_CHECK_RESULT enum rs_status nic_memory_create_queues(const struct nic_memory_config *config,
                                                        uint32_t count, struct nic **nics);
/* What one port sends from now on, by any queue, the other receives. Both must stay open while one
 * of them is used. */
void nic_memory_connect(struct nic *a, struct nic *b);
/* A frame arrives at the port that nic is a queue of, on the queue that the port steers it to.
 * flags: PKT_RX_*. False: no buffer or queue full, counted there as missed. */
bool nic_memory_push(struct nic *nic, const void *frame, uint32_t len_bytes, uint32_t flags);
/* The oldest frame that any queue of the port sent, not yet popped; copies at most max bytes.
 * Returns its length, 0: none. */
uint32_t nic_memory_pop(struct nic *nic, void *frame, uint32_t max_bytes, uint32_t *flags);
/* From now on this queue takes this many frames more (one that is cut counts once); UINT32_MAX: any
 * number. */
void nic_memory_limit_tx(struct nic *nic, uint32_t frames);
/* From now on this queue's tx_alloc and tx_alloc_big succeed this many times more; UINT32_MAX:
 * while buffers last. */
void nic_memory_limit_alloc(struct nic *nic, uint32_t buffers);
/* What link_up of all the port's queues says from now on; it is true at first. */
void nic_memory_set_link(struct nic *nic, bool up);
/* Buffers of this queue that a stack holds now: transmit buffers allocated, received frames not
 * released. */
uint32_t nic_memory_held(struct nic *nic);

#endif
