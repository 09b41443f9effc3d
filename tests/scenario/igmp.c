/* Packet scripts: IGMP. The language is in script.h. Times are random within the RFC's bounds, so
 * scripts wait for the bound and look at what came. */
#include <stdio.h>

#include "script.h"

#define REPORT "v3 IS_EX 239.1.1.1 {}"

static void a_join_is_reported_twice_within_a_second(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    expect_nothing();
    advance_ms(1001); /* robustness 2, unsolicited report interval 1 s */
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(60000);
    expect_nothing();
}

static void a_leave_is_reported_twice_and_then_forgotten(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(2000);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    leave(s, GROUP);
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
    advance_ms(2000);
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
    advance_ms(60000);
    expect_nothing();
    assert_true(stack_next_timer_ns(script_stack()) == UINT64_MAX);
}

static void a_source_join_allows_and_a_source_leave_blocks(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join_source(s, GROUP, PEER);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2}");
    advance_ms(2000);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2}");
    leave_source(s, GROUP, PEER);
    expect_igmp("v3 BLOCK 239.1.1.1 {10.0.0.2}");
    advance_ms(2000);
    expect_igmp("v3 BLOCK 239.1.1.1 {10.0.0.2}");
    advance_ms(60000);
    expect_nothing();
}

static void a_change_during_the_repetition_goes_into_it(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join_source(s, GROUP, PEER);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2}");
    join_source(s, GROUP, PEER2);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2 10.0.0.3}"); /* the repetition of the first */
    advance_ms(2000);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.3}");
    advance_ms(60000);
    expect_nothing();
}

static void allow_and_block_travel_together(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join_source(s, GROUP, PEER);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2}");
    join_source(s, GROUP, PEER2);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2 10.0.0.3}");
    leave_source(s, GROUP, PEER);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.3}, BLOCK 239.1.1.1 {10.0.0.2}");
    advance_ms(2000);
    expect_igmp("v3 BLOCK 239.1.1.1 {10.0.0.2}");
}

static void the_interface_filter_merges_the_sockets(void **state)
{
    (void)state;
    sock a = bound("any:7000");
    sock b = bound("any:7000");
    sock c = bound("any:7000");
    join_source(a, GROUP, PEER); /* include {2} */
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2}");
    advance_ms(2000);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2}");
    join(b, GROUP); /* exclude {} */
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(2000);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    block_source(b, GROUP, PEER); /* a still wants it */
    expect_nothing();
    block_source(b, GROUP, PEER2); /* nobody wants it */
    expect_igmp("v3 BLOCK 239.1.1.1 {10.0.0.3}");
    advance_ms(2000);
    expect_igmp("v3 BLOCK 239.1.1.1 {10.0.0.3}");
    join(c, GROUP); /* everything again */
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.3}");
    advance_ms(2000);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.3}");
    leave(c, GROUP);
    expect_igmp("v3 BLOCK 239.1.1.1 {10.0.0.3}");
    advance_ms(2000);
    expect_igmp("v3 BLOCK 239.1.1.1 {10.0.0.3}");
    leave(b, GROUP); /* back to include {2} */
    expect_igmp("v3 TO_IN 239.1.1.1 {10.0.0.2}");
    advance_ms(2000);
    expect_igmp("v3 TO_IN 239.1.1.1 {10.0.0.2}");
}

static void a_second_member_changes_nothing(void **state)
{
    (void)state;
    sock a = bound("any:7000");
    sock b = bound("any:7000");
    join(a, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(2000);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    join(b, GROUP);
    leave(a, GROUP);
    expect_nothing();
}

static void joined_and_quiet(sock s)
{
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(2000);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
}

static void a_general_query_is_answered_within_its_time(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    inject_query_v3("0.0.0.0", 100, ""); /* 10 s */
    expect_nothing();
    uint64_t waited_ms = script_wait_for_frame(10000);
    assert_in_range(waited_ms, 1, 10001);
    expect_igmp(REPORT);
    advance_ms(60000);
    expect_nothing();
    expect_count(igmp_queries_in, 1);
}

static void one_report_names_every_group(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    join_source(s, GROUP2, PEER);
    expect_igmp("v3 ALLOW 239.1.1.2 {10.0.0.2}");
    advance_ms(2000);
    expect_igmp("v3 ALLOW 239.1.1.2 {10.0.0.2}");
    inject_query_v3("0.0.0.0", 100, "");
    advance_ms(10001);
    expect_igmp("v3 IS_IN 239.1.1.2 {10.0.0.2}, IS_EX 239.1.1.1 {}");
}

static void without_groups_a_query_is_not_answered(void **state)
{
    (void)state;
    inject_query_v3("0.0.0.0", 100, "");
    advance_ms(10001);
    expect_nothing();
    sock s = bound("any:7000");
    join(s, "224.0.0.1"); /* all systems: known to everybody */
    inject_query_v3("0.0.0.0", 100, "");
    advance_ms(10001);
    expect_nothing();
}

static void a_second_query_does_not_double_the_answer(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    inject_query_v3("0.0.0.0", 100, "");
    inject_query_v3("0.0.0.0", 100, "");
    advance_ms(20000);
    expect_igmp(REPORT);
    expect_nothing();
}

static void a_group_query_is_answered_for_the_group(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    join(s, GROUP2);
    expect_igmp("v3 TO_EX 239.1.1.2 {}");
    advance_ms(2000);
    expect_igmp("v3 TO_EX 239.1.1.2 {}");
    inject_query_v3(GROUP, 10, ""); /* 1 s */
    advance_ms(1001);
    expect_igmp(REPORT);
    inject_query_v3("239.9.9.9", 10, ""); /* not joined: not even for us */
    advance_ms(1001);
    expect_nothing();
}

static void a_source_query_is_answered_with_what_is_wanted(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join_source(s, GROUP, PEER);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2}");
    advance_ms(2000);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2}");
    inject_query_v3(GROUP, 10, PEER " " PEER2);
    advance_ms(1001);
    expect_igmp("v3 IS_IN 239.1.1.1 {10.0.0.2}");
    inject_query_v3(GROUP, 10, PEER2); /* not wanted: silence */
    advance_ms(1001);
    expect_nothing();
}

static void a_source_query_to_an_excluding_host(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    block_source(s, GROUP, PEER2);
    expect_igmp("v3 BLOCK 239.1.1.1 {10.0.0.3}");
    advance_ms(2000);
    expect_igmp("v3 BLOCK 239.1.1.1 {10.0.0.3}");
    inject_query_v3(GROUP, 10, PEER " " PEER2);
    advance_ms(1001);
    expect_igmp("v3 IS_IN 239.1.1.1 {10.0.0.2}");
}

static void source_queries_add_up_and_a_group_query_overrides_them(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    inject_query_v3(GROUP, 100, PEER);
    inject_query_v3(GROUP, 100, PEER2);
    advance_ms(10001);
    expect_igmp("v3 IS_IN 239.1.1.1 {10.0.0.2 10.0.0.3}");
    inject_query_v3(GROUP, 100, PEER);
    inject_query_v3(GROUP, 100, "");
    inject_query_v3(GROUP, 100, PEER2);
    advance_ms(10001);
    expect_igmp(REPORT);
    expect_nothing();
}

static void a_query_for_more_sources_than_fit_gets_the_whole_state(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    char sources[70 * 12] = "";
    int used = 0;
    for (int i = 1; i <= 70; i++) {
        used += snprintf(sources + used, sizeof(sources) - (size_t)used, "10.1.0.%d ", i);
    }
    inject_query_v3(GROUP, 10, sources);
    advance_ms(1001);
    expect_igmp(REPORT);
}

static void a_long_response_code_is_a_small_float(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    inject_query_v3("0.0.0.0", 0xff, ""); /* 31744 tenths of a second */
    advance_ms(3174401);
    expect_igmp(REPORT);
}

static void many_sources_are_split_over_reports(void **state)
{
    (void)state;
    char source[32];
    uint8_t frame[FRAME_MAX_BYTES];
    for (int socket = 0; socket < 8; socket++) { /* 8 x 64 sources of one group */
        sock s = bound("any:7000");
        for (int i = 0; i < 16; i++) {
            (void)snprintf(source, sizeof(source), "10.2.%d.%d", socket, i + 1);
            join_source(s, GROUP, source);
        }
    }
    advance_ms(5000);
    while (nic_memory_pop(script_nic(), frame, sizeof(frame), NULL) != 0) {
    }
    inject_query_v3(GROUP, 10, "");
    advance_ms(1001);
    expect_igmp("v3 IS_IN 239.1.1.1 {128 sources}");
    expect_nothing();
}

static void with_a_small_mtu_sources_go_into_several_reports(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    char source[32];
    uint8_t frame[FRAME_MAX_BYTES];
    for (int i = 0; i < 64; i++) {
        (void)snprintf(source, sizeof(source), "10.2.0.%d", i + 1);
        join_source(s, GROUP, source);
    }
    advance_ms(5000);
    while (nic_memory_pop(script_nic(), frame, sizeof(frame), NULL) != 0) {
    }
    script_nic()->mtu_bytes = 24 + 8 + 8 + 4 * 60;
    inject_query_v3(GROUP, 10, "");
    advance_ms(1001);
    expect_igmp("v3 IS_IN 239.1.1.1 {60 sources}");
    expect_out("igmp v3 IS_IN 239.1.1.1 {10.2.0.1 10.2.0.2 10.2.0.3 10.2.0.4}");
}

static void a_v2_query_is_answered_in_v2(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    inject_query_v2("0.0.0.0", 100);
    advance_ms(10001);
    expect_igmp("v2 report 239.1.1.1");
    expect_count(igmp_fallbacks, 1);
    join(s, GROUP2);
    expect_igmp("v2 report 239.1.1.2");
    advance_ms(10001);
    expect_igmp("v2 report 239.1.1.2");
    leave(s, GROUP2);
    expect_igmp("v2 leave 239.1.1.2");
}

static void after_the_older_querier_v3_comes_back(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    inject_query_v2("0.0.0.0", 1);
    advance_ms(200);
    expect_igmp("v2 report 239.1.1.1");
    advance_ms(259000);
    inject_query_v3(GROUP, 10, ""); /* still spoken to in v2 */
    advance_ms(1001);               /* 2 x 125 s + 10 s are over */
    expect_out("igmp v2 report 239.1.1.1");
    expect_count(igmp_fallbacks, 2);
    join(s, GROUP2);
    expect_igmp("v3 TO_EX 239.1.1.2 {}");
    advance_ms(1001);
    expect_igmp("v3 TO_EX 239.1.1.2 {}");
}

static void falling_back_cancels_what_was_under_way(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    inject_query_v2("239.9.9.9", 10); /* about another group; dropped below */
    inject_query_v2("0.0.0.0", 1);    /* 100 ms */
    advance_ms(101);
    expect_igmp("v2 report 239.1.1.1");
    advance_ms(60000); /* no second TO_EX */
    expect_nothing();
}

static void another_hosts_report_saves_ours_and_our_leave(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    inject_query_v2("0.0.0.0", 100);
    inject_report_v2(PEER, GROUP);
    advance_ms(20000);
    expect_nothing();
    leave(s, GROUP); /* not the last reporter */
    expect_nothing();
    expect_count(igmp_reports_in, 1);
}

static void a_v2_group_query_is_answered_for_the_group(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    inject_query_v2(GROUP, 10);
    advance_ms(1001);
    expect_igmp("v2 report 239.1.1.1");
}

static void a_shorter_v2_query_shortens_the_wait(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    inject_query_v2("0.0.0.0", 255);
    inject_query_v2(GROUP, 1);
    advance_ms(101);
    expect_igmp("v2 report 239.1.1.1");
    advance_ms(30000);
    expect_nothing();
}

static void a_v1_query_has_ten_seconds(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    inject_query_v2("0.0.0.0", 0);
    advance_ms(10001);
    expect_igmp("v2 report 239.1.1.1");
}

static void configured_for_v2_a_host_speaks_v2(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join_source(s, GROUP, PEER); /* v2 has no sources: the group is joined, the filter is ours */
    expect_igmp("v2 report 239.1.1.1");
    advance_ms(10001);
    expect_igmp("v2 report 239.1.1.1");
    inject_udp(PEER2 ":5000", GROUP ":7000", "unwanted");
    expect_count(udp_no_member, 1);
    inject_query_v3("0.0.0.0", 10, "");
    advance_ms(1001);
    expect_igmp("v2 report 239.1.1.1");
    leave(s, GROUP);
    expect_igmp("v2 leave 239.1.1.1");
    expect_count(igmp_fallbacks, 0);
}

static void a_rejoin_while_the_leave_is_repeated(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    leave(s, GROUP);
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(2000);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(60000);
    expect_nothing();
}

static void the_robustness_of_the_querier_is_taken_over(void **state)
{
    (void)state;
    struct frame query = frame_igmp_v3_query(ROUTER, "0.0.0.0", 1, "");
    query.data[34 + 8] = 4; /* QRV */
    frame_fix_payload(&query);
    inject(&query);
    advance_ms(200);
    sock s = bound("any:7000");
    join(s, GROUP);
    advance_ms(10000);
    for (int i = 0; i < 4; i++) {
        expect_igmp("v3 TO_EX 239.1.1.1 {}");
    }
    expect_nothing();
}

static void a_querier_without_an_address_is_heard(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    struct frame query = frame_igmp_v3_query("0.0.0.0", "0.0.0.0", 10, "");
    mac_of(query.data + 6, ROUTER);
    inject(&query);
    advance_ms(1001);
    expect_igmp(REPORT);
}

static void bad_igmp_is_counted(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    joined_and_quiet(s);
    for (uint32_t len = 0; len < 12; len++) { /* v3 query truncated at every length */
        struct frame query = frame_igmp_v3_query(ROUTER, "0.0.0.0", 10, "");
        query.data[17] = (uint8_t)(20 + len);
        frame_fix_ip(&query);
        if (len != 8) { /* that would be a v2 query */
            inject(&query);
        }
    }
    expect_count(igmp_malformed, 11);
    struct frame query = frame_igmp_v3_query(ROUTER, GROUP, 10, PEER);
    query.data[34 + 11] = 2; /* more sources than there are */
    frame_fix_payload(&query);
    inject(&query);
    query = frame_igmp_v3_query(ROUTER, "0.0.0.0", 10, "");
    query.data[30] = 239; /* a general query to a group */
    query.data[31] = query.data[32] = query.data[33] = 1;
    frame_fix_ip(&query);
    inject(&query);
    expect_count(igmp_malformed, 13);
    query = frame_igmp_v3_query(ROUTER, "0.0.0.0", 10, "");
    query.data[36] ^= 1;
    inject(&query);
    expect_count(igmp_checksum, 1);
    struct frame leave_group = frame_igmp_v2(PEER, "224.0.0.2", 0x17, 0, GROUP);
    inject(&leave_group);
    struct frame report = frame_igmp_v2(PEER, "239.9.9.9", 0x16, 0, "239.9.9.9");
    inject(&report);
    expect_count(igmp_ignored, 2);
    advance_ms(60000);
    expect_nothing();
}

static void without_a_buffer_a_report_is_a_counted_loss(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    nic_memory_limit_alloc(script_nic(), 0);
    join(s, GROUP);
    expect_count(tx_no_buffer, 1);
    nic_memory_limit_alloc(script_nic(), UINT32_MAX);
    advance_ms(1001);
    expect_igmp("v3 TO_EX 239.1.1.1 {}"); /* the repetition */
}

static void groups_come_and_go_without_leaking_records(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    uint8_t frame[FRAME_MAX_BYTES];
    char group[32];
    for (int i = 0; i < 400; i++) { /* two memberships, five records */
        (void)snprintf(group, sizeof(group), "239.7.%d.%d", i / 100, i % 100);
        join_source(s, group, PEER);
        leave(s, group);
        while (nic_memory_pop(script_nic(), frame, sizeof(frame), NULL) != 0) {
        }
    }
    advance_ms(2000);
    while (nic_memory_pop(script_nic(), frame, sizeof(frame), NULL) != 0) {
    }
    joined_and_quiet(s);
    inject_udp(PEER ":5000", GROUP ":7000", "tick");
    expect_received(s, PEER ":5000", "tick");
}

int main(void)
{
    const struct CMUnitTest scripts[] = {
        SCRIPT(a_join_is_reported_twice_within_a_second),
        SCRIPT(a_leave_is_reported_twice_and_then_forgotten),
        SCRIPT(a_source_join_allows_and_a_source_leave_blocks),
        SCRIPT(a_change_during_the_repetition_goes_into_it),
        SCRIPT(allow_and_block_travel_together),
        SCRIPT(the_interface_filter_merges_the_sockets),
        SCRIPT(a_second_member_changes_nothing),
        SCRIPT(a_general_query_is_answered_within_its_time),
        SCRIPT(one_report_names_every_group),
        SCRIPT(without_groups_a_query_is_not_answered),
        SCRIPT(a_second_query_does_not_double_the_answer),
        SCRIPT(a_group_query_is_answered_for_the_group),
        SCRIPT(a_source_query_is_answered_with_what_is_wanted),
        SCRIPT(a_source_query_to_an_excluding_host),
        SCRIPT(source_queries_add_up_and_a_group_query_overrides_them),
        SCRIPT(a_query_for_more_sources_than_fit_gets_the_whole_state),
        SCRIPT(a_long_response_code_is_a_small_float),
        SCRIPT(many_sources_are_split_over_reports),
        SCRIPT(with_a_small_mtu_sources_go_into_several_reports),
        SCRIPT(a_v2_query_is_answered_in_v2),
        SCRIPT(after_the_older_querier_v3_comes_back),
        SCRIPT(falling_back_cancels_what_was_under_way),
        SCRIPT(another_hosts_report_saves_ours_and_our_leave),
        SCRIPT(a_v2_group_query_is_answered_for_the_group),
        SCRIPT(a_shorter_v2_query_shortens_the_wait),
        SCRIPT(a_v1_query_has_ten_seconds),
        SCRIPT_WITH(configured_for_v2_a_host_speaks_v2, igmp2),
        SCRIPT(a_rejoin_while_the_leave_is_repeated),
        SCRIPT(the_robustness_of_the_querier_is_taken_over),
        SCRIPT(a_querier_without_an_address_is_heard),
        SCRIPT(bad_igmp_is_counted),
        SCRIPT(without_a_buffer_a_report_is_a_counted_loss),
        SCRIPT_WITH(groups_come_and_go_without_leaking_records, small),
    };
    return cmocka_run_group_tests_name("igmp", scripts, NULL, NULL);
}
