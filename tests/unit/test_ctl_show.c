/*
 * What ringsockctl prints of a report. The trace: all of it in the order of time, with a report
 * before only what is new, numbers outside the tables without harm. TCP's levels. Calls
 * provider/ctl/trace.c, status.c, text.c and document.c; stdout goes to a file meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "provider/ctl/ctl.h"
#include "tests/support/report_sample.h"

#define OUT_FILE "test_ctl_show.out"

static uint8_t samples[2][REPORT_SAMPLE_BYTES];
static struct rs_report_view views[2];
static char printed[8192];

static void check_sample(size_t which)
{
    const char *why;
    assert_int_equal(rs_report_check(samples[which], REPORT_SAMPLE_BYTES, &views[which], &why),
                     RS_OK);
}

static int make_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        report_sample_make(samples[i], 0);
        struct rs_report_header *header = (struct rs_report_header *)(void *)samples[i];
        header->unix_ns = 1000000000000000000u; /* 2001-09-09 01:46:40 */
        check_sample(i);
    }
    return 0;
}

static struct rs_report_trace *record(size_t which, uint32_t idx)
{
    const struct rs_report_section *section = &views[which].header.sections[RS_REPORT_TRACE];
    return (struct rs_report_trace *)(void *)(samples[which] + section->off) + idx;
}

/* Shows a part of views[0], after views[1] or as the first one; what it prints lands in
 * `printed`. */
static void show_part(unsigned part, bool with_before, bool json)
{
    const struct ctl_view view = {.now = &views[0], .before = with_before ? &views[1] : NULL};
    (void)fflush(stdout);
    FILE *out = freopen(OUT_FILE, "w+b", stdout);
    assert_non_null(out);
    if (json) {
        ctl_show_document(&views[0], part);
    } else if (part == CTL_STATUS) {
        ctl_show_status(&view);
    } else if (part == CTL_SOCKETS) {
        ctl_show_sockets(&view);
    } else {
        ctl_show_trace(&view);
    }
    rewind(stdout);
    printed[fread(printed, 1, sizeof(printed) - 1, stdout)] = '\0';
    (void)remove(OUT_FILE);
}

static void show(bool with_before, bool json)
{
    show_part(CTL_TRACE, with_before, json);
}

static void all_in_the_order_of_time(void **state)
{
    (void)state;
    show(false, false);
    assert_string_equal(
        printed, "2001-09-09 01:46:38.500000000  1.500000000 s ago  queue 0  state\n"
                 "    10.0.0.1:80 to 10.0.0.2:1: it changed: from SHUT, to OPEN\n"
                 "2001-09-09 01:46:39.000000000  1.000000000 s ago  queue 1  failed\n"
                 "    10.0.0.1:80 to 10.0.0.2:1: it failed: status out of memory\n"
                 "2001-09-09 01:46:39.999000000  0.001000000 s ago  queue 0  drop\n"
                 "    10.0.0.1:80 to 10.0.0.2:1: it was dropped: reason bx_frames, sequence number "
                 "4000000000\n");
}

static void only_what_is_new(void **state)
{
    (void)state;
    show(true, false);
    assert_string_equal(printed, "");
    record(1, 0)->number = 5; /* 5 and 7 were the newest of before: 8 is new, and 1 of queue 1 */
    record(1, 1)->number = 7;
    record(1, 2)->queue_idx = 2;
    show(true, false);
    assert_null(strstr(printed, "it changed"));
    assert_non_null(strstr(printed, "it failed"));
    assert_non_null(strstr(printed, "it was dropped"));
    assert_null(strstr(printed, "more"));
    record(0, 1)->number = 1234567;
    show(true, false);
    assert_non_null(strstr(printed, "queue 0: 1,234,559 more, too many to report\n"));
}

static void nothing_and_hidden(void **state)
{
    (void)state;
    struct rs_report_header *header = (struct rs_report_header *)(void *)samples[0];
    header->sections[RS_REPORT_TRACE].count = 0;
    check_sample(0);
    show(false, false);
    assert_string_equal(printed, "nothing has been traced yet\n");
    show(true, false);
    assert_string_equal(printed, "");
    header->hidden_trace = 1;
    check_sample(0);
    show(false, false);
    assert_non_null(strstr(printed, "root and the dataplane's user see it"));
}

static void wild_numbers_do_no_harm(void **state)
{
    (void)state;
    *record(0, 0) = (struct rs_report_trace){.number = UINT64_MAX,
                                             .tsc = UINT64_MAX,
                                             .queue_idx = UINT32_MAX,
                                             .event = UINT32_MAX,
                                             .a = UINT32_MAX};
    record(0, 1)->a = UINT32_MAX; /* no such counter */
    record(0, 2)->a = UINT32_MAX; /* no such status */
    show(false, false);
    assert_non_null(strstr(printed, "queue 0  drop\n"));
    assert_non_null(strstr(printed, "reason 4294967295"));
    show(true, false);
    show(false, true);
    assert_non_null(strstr(printed, "\"event\": \"unknown\""));
}

static void as_json(void **state)
{
    (void)state;
    show(false, true);
    assert_non_null(strstr(printed, "\"hidden_trace\": false, \"trace\": [{\"queue\": 0, "
                                    "\"number\": 7, \"unix_ns\": 999999998500000000, "
                                    "\"local\": \"10.0.0.1:80\", \"peer\": \"10.0.0.2:1\", "
                                    "\"event\": \"state\", \"text\": \"it changed\", \"detail\": "
                                    "\"from SHUT, to OPEN\", \"a\": 0, \"b\": 1}, {"));
}

static void status_has_tcp_where_there_is_any(void **state)
{
    (void)state;
    const struct rs_report_section *section = &views[0].header.sections[RS_REPORT_QUEUES];
    struct rs_report_queue *queue = (struct rs_report_queue *)(void *)(samples[0] + section->off);
    show_part(CTL_STATUS, false, false);
    assert_null(strstr(printed, "TCP"));
    queue->tcp_connections = 3;
    queue->tcp_connections_max = 4096;
    queue->tcp_half_open = 2;
    queue->tcp_half_open_max = 1024;
    queue->tcp_time_waits = 1;
    queue->tcp_time_waits_max = 16384;
    show_part(CTL_STATUS, false, false);
    assert_non_null(strstr(printed, "\n  TCP       3 of 4,096 connections, 2 of 1,024 half open, "
                                    "1 of 16,384 in TIME_WAIT\n"));
    show_part(CTL_STATUS, false, true);
    assert_non_null(strstr(printed, "\"tcp\": {\"connections\": 3, \"connections_max\": 4096, "
                                    "\"half_open\": 2, \"half_open_max\": 1024, "
                                    "\"time_waits\": 1, \"time_waits_max\": 16384}"));
}

static void status_has_all_addresses(void **state)
{
    (void)state;
    const struct rs_report_section *section = &views[0].header.sections[RS_REPORT_QUEUES];
    struct rs_report_queue *queue = (struct rs_report_queue *)(void *)(samples[0] + section->off);
    queue->ip_be32 = 0x0100000au;
    queue->prefix_len = 24;
    show_part(CTL_STATUS, false, true);
    assert_non_null(strstr(printed, "\"address\": \"10.0.0.1\", \"prefix_len\": 24, "
                                    "\"more_addresses\": [], "));
    queue->more_count = 2;
    queue->more_be32[0] = 0x0200000au;
    queue->more_prefix_len[0] = 24;
    queue->more_be32[1] = 0x0100010au;
    queue->more_prefix_len[1] = 16;
    show_part(CTL_STATUS, false, true);
    assert_non_null(strstr(printed, "\"more_addresses\": [{\"address\": \"10.0.0.2\", "
                                    "\"prefix_len\": 24}, {\"address\": \"10.1.0.1\", "
                                    "\"prefix_len\": 16}], "));
    show_part(CTL_STATUS, false, false);
    assert_non_null(strstr(printed, "address   10.0.0.1/24, "));
    assert_non_null(strstr(printed, "\n            10.0.0.2/24, 10.1.0.1/16\n"));
    queue->more_count = UINT32_MAX; /* a broken report */
    show_part(CTL_STATUS, false, false);
}

static void streams_are_shown(void **state)
{
    (void)state;
    const struct rs_report_section *section = &views[0].header.sections[RS_REPORT_SOCKETS];
    struct rs_report_socket *sockets =
        (struct rs_report_socket *)(void *)(samples[0] + section->off);
    sockets[0].type = RS_SOCK_STREAM;
    sockets[0].local = rs_addr_v4(0, 0x5000);
    sockets[0].tcp.state = 1; /* the sample has two names, SHUT and OPEN */
    sockets[0].flags = RS_REPORT_SOCKET_CONNECTION | RS_REPORT_SOCKET_ORPHAN;
    sockets[0].tcp.in_flight_bytes = 1448;
    sockets[0].tcp.cwnd_bytes = 14480;
    sockets[0].tcp.rtt_us = 12345;
    sockets[0].tcp.retransmitted_bytes = 77;
    sockets[0].send_wait_bytes = 5;
    sockets[0].recv_bytes[0] = 300;
    sockets[1].type = RS_SOCK_DGRAM;
    show_part(CTL_SOCKETS, false, false);
    assert_non_null(strstr(printed, "\n    udp queue local"));
    assert_non_null(strstr(printed, "\n    tcp queue local"));
    assert_non_null(strstr(printed, "\n      0     0 *:80                  -                    "
                                    " OPEN              300        0        5\n"));
    assert_non_null(strstr(printed,
                           "in flight 1.4 KiB, cwnd 14.1 KiB, rtt 12,345 us, sent again 77, "
                           "closed by its program\n"));
    sockets[0].tcp.state = UINT32_MAX; /* no such state */
    show_part(CTL_SOCKETS, false, false);
    assert_non_null(strstr(printed, " *:80 "));
    sockets[0].flags = RS_REPORT_SOCKET_UNTOLD;
    show_part(CTL_SOCKETS, false, false);
    assert_non_null(strstr(printed, "its queue did not say more in time\n"));
    show_part(CTL_SOCKETS, false, true);
    assert_non_null(strstr(printed, "\"type\": \"tcp\", \"state\": \"open\""));
    assert_non_null(strstr(printed, "\"told\": false"));
}

static void times_of_the_calendar(void **state)
{
    (void)state;
    static const struct {
        uint64_t unix_s;
        const char *text;
    } cases[] = {{0, "1970-01-01 00:00:00.000000007"},
                 {951782399, "2000-02-28 23:59:59.000000007"},
                 {951782400, "2000-02-29 00:00:00.000000007"},
                 {951868800, "2000-03-01 00:00:00.000000007"},
                 {1798761599, "2026-12-31 23:59:59.000000007"},
                 {1798761600, "2027-01-01 00:00:00.000000007"},
                 {4107542400, "2100-03-01 00:00:00.000000007"},
                 {18446744073, "2554-07-21 23:34:33.000000007"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(ctl_time(cases[i].unix_s * 1000000000 + 7).bytes, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_in_the_order_of_time, make_samples),
        cmocka_unit_test_setup(only_what_is_new, make_samples),
        cmocka_unit_test_setup(nothing_and_hidden, make_samples),
        cmocka_unit_test_setup(wild_numbers_do_no_harm, make_samples),
        cmocka_unit_test_setup(as_json, make_samples),
        cmocka_unit_test_setup(status_has_tcp_where_there_is_any, make_samples),
        cmocka_unit_test_setup(status_has_all_addresses, make_samples),
        cmocka_unit_test_setup(streams_are_shown, make_samples),
        cmocka_unit_test(times_of_the_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
