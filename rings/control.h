/*
 * Messages on the control connection between a client process and the dataplane's control thread:
 * attach, open and close a channel, fetch an extent. Everything that passes an operating-system
 * handle goes here; everything else goes through the rings. Strictly request, answer; one at a time
 * per connection; fixed-size structures. A message with another length, type or magic poisons the
 * session.
 */
#ifndef RINGSOCK_RINGS_CONTROL_H
#define RINGSOCK_RINGS_CONTROL_H

#include <assert.h>
#include <stdint.h>

#include "rings/layout.h"

/* Set in the arg of RS_CTL_ATTACH by a client that does not go by the header's spin_us. Whose
 * threads only ever spin costs the dataplane no fence, and its events are never signalled. */
#define RS_CTL_ATTACH_NEVER_SLEEPS 0x80000000u
#define RS_CTL_ATTACH_SLEEPS       0x40000000u

enum rs_ctl_type {
    RS_CTL_ATTACH =
        1,                /* arg: the client's RS_LAYOUT_VERSION, and a flag above or none. Answer:
                             value = session id, handles =    extent 0 (dp, read), extent 1 (cl, write) */
    RS_CTL_CHANNEL_OPEN,  /* arg: queue index. Answer: value = channel index, handles = its event */
    RS_CTL_CHANNEL_CLOSE, /* arg: channel index. Its posts are consumed first. */
    RS_CTL_EXTENT, /* arg: extent index >= 2. Answer: value = size in bytes, handles = the extent */
    RS_CTL_REPORT, /* instead of ATTACH, any number of times; arg: the asker's RS_REPORT_VERSION.
                      Answer: value = size in bytes, handles = a report (rings/report.h, read) */
    RS_CTL_MAPPED, /* arg: index of a cl extent that the client has mapped. Nobody can map it
                      writable, or punch holes into it, from then on, and only then is anything read
                      from it: channels are opened after that of extent 1, a send ring is posted
                      after that of its extent */
    /* For root and the dataplane's user, one at a time (rings/capture.h): */
    RS_CTL_CAPTURE, /* instead of ATTACH; arg: RS_CAPTURE_VERSION. Answer: sizes_bytes and handles
                       of the header with its rings (dp, read) and the readers' words (cl, write) */
    RS_CTL_CAPTURE_START, /* once; arg: RS_CAPTURE_START_ARG. The words are mapped. */
    RS_CTL_CAPTURE_STOP,  /* once; answered when no queue writes any more */
    RS_CTL_SLEEPS /* arg: 0. From now on the session is one whose threads sleep, whatever it said at
                     ATTACH: its sockets are hinted on, its events signalled */
};

struct rs_ctl_request {
    _Alignas(8) uint64_t magic; /* RS_MAGIC */
    uint32_t type;              /* enum rs_ctl_type */
    uint32_t arg;
};
static_assert(sizeof(struct rs_ctl_request) == 16, "layout: rs_ctl_request");

struct rs_ctl_answer {
    _Alignas(8) uint64_t magic;
    uint32_t type;   /* echoed */
    uint32_t status; /* enum rs_status */
    _Alignas(8) uint64_t value;
    uint64_t sizes_bytes[2]; /* ATTACH: sizes of extents 0 and 1 */
    char text[216];          /* why, in English, when status is not RS_OK; NUL-terminated */
};
static_assert(sizeof(struct rs_ctl_answer) == 256, "layout: rs_ctl_answer");

#endif
