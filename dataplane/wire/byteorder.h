/*
 * What the header formats beside this file share: byte order, and how a header lies over a frame.
 */
#ifndef RINGSOCK_DATAPLANE_WIRE_BYTEORDER_H
#define RINGSOCK_DATAPLANE_WIRE_BYTEORDER_H

#include "rings/byteorder.h"
#include <assert.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "x86 only; the swaps below assume it");

/* A header laid over frame bytes: any alignment, and it may alias the byte buffer. */
#define WIRE_HEADER __attribute__((packed, may_alias))

#endif
