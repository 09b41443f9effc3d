/*
 * `ringsockctl capture` at the queue's end: copies of what passes into the ring of rings/capture.h.
 * Off, a queue pays one branch for a burst of frames, a local datagram, or a copy between local
 * connections. On, it never waits: what finds the ring full is counted and left out.
 *
 * Frames are shown as they are on the wire: what the NIC is asked to do (checksums, cutting) is
 * done to the copy. Local traffic has no frames, so they are made up around it: Ethernet addresses
 * of 0, IPv4 and UDP; for a connection TCP segments with handshake, acknowledgments and ends, whose
 * sequence numbers are its positions.
 *
 * A struct capture is the queue's from CONTROL_CAPTURE until QUEUE_CAPTURE_STOPPED; made by
 * control_capture.c. Queue thread; called by stack.c, udp.c, queue.c and stream_local.c; calls
 * nic_segment.c.
 */
#ifndef RINGSOCK_DATAPLANE_CAPTURE_H
#define RINGSOCK_DATAPLANE_CAPTURE_H

#include "dataplane/stack.h"
#include "rings/capture.h"

struct capture {
    struct capture_writer writer;
    uint32_t snap_bytes; /* of each frame; not 0 */
    bool nic, local;     /* what is wanted */
    bool broken;         /* the reader's index cannot be: nothing is written any more */
    uint32_t tx_seen;    /* the stack's transmit queue up to here; a frame may be offered twice */
    uint8_t scratch[RS_CAPTURE_FRAME_MAX_BYTES];
};

/* The rings are empty. snap_bytes 0: whole frames. */
void capture_init(struct capture *capture, uint8_t *base, uint32_t size_bytes,
                  struct rs_capture_queue *shared, const rs_atomic_u32 *head_word,
                  uint32_t snap_bytes);

/* A burst from the NIC; one for it, before it is offered. */
void capture_rx(struct capture *capture, uint64_t now_ns, const struct pkt *pkts, uint32_t count);
void capture_tx(struct capture *capture, uint64_t now_ns, const struct pkt *pkts, uint32_t count);
/* A datagram that does not leave the process. */
void capture_udp(struct capture *capture, uint64_t now_ns, const struct udp_datagram *datagram);

/* A segment that a local connection would have sent. Its payload lies in a ring, in two pieces. */
struct capture_segment {
    uint32_t src_be32, dst_be32;
    uint16_t src_port_be16, dst_port_be16;
    uint32_t seq, ack;
    uint32_t window_bytes; /* in the SYN shown as it is, afterwards scaled */
    uint8_t flags;         /* TCP_FLAG_* */
    struct {
        const uint8_t *base;
        uint32_t len_bytes;
    } pieces[2];
};
void capture_tcp(struct capture *capture, uint64_t now_ns, const struct capture_segment *segment);

#endif
