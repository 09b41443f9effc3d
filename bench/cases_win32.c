/*
 * Which benches there are on Windows: Ringsock's own. The kernel baselines are native only: under
 * Wine they would measure Wine's sockets, which nobody should compare with.
 */
#include <stddef.h>

#include "bench/bench.h"
#include "bench/child.h"

const struct bench_case bench_cases[] = {
    {"floor", bench_floor, 200000, false},
    {"floor_two_lines", bench_floor_two_lines, 200000, false},
    {"slot_round_trip", bench_slot_round_trip, 200000, false},
    {"slot_stream", bench_slot_stream, 5000000, false},
    {"record_stream", bench_record_stream, 5000000, false},
    {"ping", bench_ping, 100000, false},
    {"udp_one_thread", bench_udp_one_thread, 100000, false},
    {"udp_two_programs", bench_udp_two_programs, 50000, false},
    {"udp_messages", bench_udp_messages, 2000000, false},
    {"tcp_one_thread", bench_tcp_one_thread, 100000, false},
    {"tcp_two_programs", bench_tcp_two_programs, 50000, false},
    {"tcp_messages", bench_tcp_messages, 2000000, false},
    {"tcp_bulk", bench_tcp_bulk, 100000, false},
    {"tcp_connections", bench_tcp_connections, 100000, false},
    {"tcp_echo", bench_tcp_echo, 1000000, false},
    {NULL, NULL, 0, false},
};

int child_echo_kernel(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 2; /* no kernel baseline here */
}

int child_stream_kernel(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 2;
}

int child_echo_server_kernel(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 2;
}
