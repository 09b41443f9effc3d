/*
 * What the files of ringsockctl share. One thread.
 *
 *   main.c      command line, the loop of --watch
 *   fetch.c     asks a dataplane for a report (rings/report.h)
 *   capture.c   `ringsockctl capture`; pcapng.c writes its file
 *   status.c    \
 *   sockets.c    | a report for a person
 *   counters.c   |
 *   trace.c     /
 *   document.c  a report as JSON
 *   text.c      numbers, addresses, names as text
 */
#ifndef RINGSOCK_PROVIDER_CTL_CTL_H
#define RINGSOCK_PROVIDER_CTL_CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "rings/control.h"
#include "rings/os/os.h"
#include "rings/report_view.h"

#define CTL_WIDTH              100u /* columns that a person's output may use */
#define CTL_TRACE_DETAIL_BYTES 192u

enum ctl_part { CTL_STATUS = 1, CTL_SOCKETS = 2, CTL_COUNTERS = 4, CTL_TRACE = 8 };

/* A report in private memory. */
struct ctl_report {
    uint8_t *copy;
    struct rs_report_view view;
};

/* What is shown: a report, and one before it, or none, to tell rates from. */
struct ctl_view {
    const struct rs_report_view *now;
    const struct rs_report_view *before; /* NULL: since the dataplane's start */
    double seconds;                      /* between the two, or since the start */
    bool all;                            /* counters that are 0, too */
};

/* ---- fetch.c ---- */

/* Asks the dataplane of an instance. Any status but RS_OK was told on stderr. */
RS_CHECK_RESULT enum rs_status ctl_fetch(const char *instance, struct ctl_report *out);
void ctl_report_free(struct ctl_report *report); /* harmless on a zeroed one */

/* A control connection; and one question on it, whose answer is of the same type and brings
 * handle_count handles, the caller's then. Any status but RS_OK was told on stderr. */
RS_CHECK_RESULT enum rs_status ctl_connect(const char *instance, struct os_conn *out);
RS_CHECK_RESULT enum rs_status ctl_ask(const char *instance, struct os_conn *conn, uint32_t type,
                                       uint32_t arg, struct rs_ctl_answer *answer,
                                       intptr_t *handles, uint32_t handle_count);

/* ---- capture.c ---- */

struct ctl_capture {
    const char *instance;
    const char *file;
    const char *nic;     /* NULL: all, and local traffic, which "loopback" names */
    uint32_t queue_idx;  /* RS_NO_INDEX: all */
    uint32_t snap_bytes; /* of each frame, up to 65535; 0: all */
    uint64_t count;      /* frames; 0: no limit */
    uint64_t ns;         /* time; 0: no limit */
    bool json;           /* the summary, to stdout; else as text to stderr */
};

enum ctl_capture_result {
    CTL_CAPTURE_DONE,
    CTL_CAPTURE_FAILED, /* refused, not written, or the dataplane ended; told on stderr */
    CTL_CAPTURE_NOTHING /* there is no such NIC or queue; told on stderr */
};

/* Captures until a limit is reached or `stop` is signalled. */
enum ctl_capture_result ctl_capture(const struct ctl_capture *what, struct os_event *stop);

/* ---- to stdout ---- */

void ctl_show_status(const struct ctl_view *view);
void ctl_show_sockets(const struct ctl_view *view);
void ctl_show_hidden(const struct ctl_view *view); /* programs that may not be shown, if any */
void ctl_show_counters(const struct ctl_view *view);
/* Of a report before: only what is new since then; nothing at all when nothing is. */
void ctl_show_trace(const struct ctl_view *view);
/* One line; parts: enum ctl_part, what of it. */
void ctl_show_document(const struct rs_report_view *report, unsigned parts);

/* ---- trace.c: what a record says ---- */

uint64_t ctl_trace_unix_ns(const struct rs_report_view *report,
                           const struct rs_report_trace *record);
void ctl_trace_event(const struct rs_report_view *report, const struct rs_report_trace *record,
                     struct rs_report_trace_event *out);
/* "from SYN_SENT, to ESTABLISHED". bytes: CTL_TRACE_DETAIL_BYTES hold any. */
void ctl_trace_detail(const struct rs_report_view *report,
                      const struct rs_report_trace_event *event,
                      const struct rs_report_trace *record, char *out, size_t bytes);

/* ---- text.c ---- */

struct ctl_text { /* a short text by value, so that several fit one printf */
    char bytes[64];
};

struct ctl_text ctl_number(uint64_t value);              /* 1,234,567 */
struct ctl_text ctl_bytes(uint64_t value);               /* 512, 12.5 KiB; "unknown" */
struct ctl_text ctl_seconds(double seconds);             /* 12.5 s, 2 min 5 s, 3 h 2 min, 4 d 3 h */
struct ctl_text ctl_time(uint64_t unix_ns);              /* UTC: 2026-11-25 18:46:06.123456789 */
struct ctl_text ctl_address(const struct rs_addr *addr); /* 10.0.0.1:5000, *:5000, - */
struct ctl_text ctl_ipv4(uint32_t ip_be32);
struct ctl_text ctl_mac(const uint8_t mac[6]);
/* Printable ASCII only: a program chose the bytes, and a terminal would obey them. */
void ctl_clean(char *text);
struct ctl_text ctl_printable(const uint8_t *text);
const char *ctl_kind(uint32_t kind); /* of a NIC, enum rs_nic_kind */
const char *ctl_session_state(uint32_t state);
const char *ctl_socket_state(uint32_t state);
/* TCP's name of it where it has one: ESTABLISHED, LISTEN; else place, or as above. */
struct ctl_text ctl_stream_state(const struct rs_report_view *report,
                                 const struct rs_report_socket *socket);
/* Prints words as they are, after a separator and, where the line would be too long, a line break;
 * `column` is where the line is now, `indent` where every one begins. Returns the new column. */
uint32_t ctl_item(const char *words, const char *separator, uint32_t column, uint32_t indent);
/* Prints words with line breaks between them, from column `indent` on; takes them apart. */
void ctl_words(char *words, uint32_t indent);

/* The rate of a word that grows; before: ignored when there is no report before. */
double ctl_rate(const struct ctl_view *view, uint64_t now, uint64_t before);

#endif
