/*
 * What a NIC does with the frames whose flags ask for it: cuts a TCP segment into frames and fills
 * in checksums. In software, for NICs that only tests and benches have (nic_memory.c), so that the
 * stack can use such a NIC's help anywhere. Pure functions on bytes; any thread. A frame that is
 * not as nic.h says it must be is the stack's fault: asserted.
 */
#ifndef RINGSOCK_DATAPLANE_NIC_SEGMENT_H
#define RINGSOCK_DATAPLANE_NIC_SEGMENT_H

#include "dataplane/nic.h"

/* How many frames pkt becomes; 1 without PKT_TX_TCP_SEG. */
uint32_t nic_segment_count(const struct pkt *pkt);
/* The length of the idx-th of them, Ethernet header included; the first is the longest. */
uint32_t nic_segment_bytes(const struct pkt *pkt, uint32_t idx);
/* Writes the idx-th of them, complete, to out; its length. */
uint32_t nic_segment_emit(const struct pkt *pkt, uint32_t idx, uint8_t *out);
/* Fills in the checksums that flags (PKT_TX_*_CSUM) ask for, in place. */
void nic_segment_fill(uint8_t *frame, uint32_t len_bytes, uint32_t flags);

#endif
