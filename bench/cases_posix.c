/* Which benches there are natively: everything, each baseline beside what it is compared with. */
#include <stddef.h>

#include "bench/bench.h"

const struct bench_case bench_cases[] = {
    {"floor", bench_floor, 200000, false},
    {"floor_two_lines", bench_floor_two_lines, 200000, false},
    {"slot_round_trip", bench_slot_round_trip, 200000, false},
    {"slot_stream", bench_slot_stream, 5000000, false},
    {"record_stream", bench_record_stream, 5000000, false},
    {"ping", bench_ping, 100000, false},
    {"udp_one_thread", bench_udp_one_thread, 100000, false},
    {"udp_one_thread_kernel", bench_udp_one_thread_kernel, 50000, true},
    {"udp_two_programs", bench_udp_two_programs, 50000, false},
    {"udp_blocking_kernel", bench_udp_blocking_kernel, 3000, true},
    {"udp_busy_kernel", bench_udp_busy_kernel, 50000, true},
    {"udp_messages", bench_udp_messages, 2000000, false},
    {"udp_messages_kernel", bench_udp_messages_kernel, 200000, true},
    {"tcp_one_thread", bench_tcp_one_thread, 100000, false},
    {"tcp_one_thread_kernel", bench_tcp_one_thread_kernel, 50000, true},
    {"tcp_two_programs", bench_tcp_two_programs, 50000, false},
    {"tcp_blocking_kernel", bench_tcp_blocking_kernel, 3000, true},
    {"tcp_busy_kernel", bench_tcp_busy_kernel, 50000, true},
    {"tcp_messages", bench_tcp_messages, 2000000, false},
    {"tcp_messages_kernel", bench_tcp_messages_kernel, 200000, true},
    {"tcp_bulk", bench_tcp_bulk, 100000, false},
    {"tcp_bulk_kernel", bench_tcp_bulk_kernel, 100000, true},
    {"tcp_bulk_busy_kernel", bench_tcp_bulk_busy_kernel, 100000, true},
    {"tcp_bulk_one_kernel", bench_tcp_bulk_one_kernel, 100000, true},
    {"tcp_connections", bench_tcp_connections, 100000, false},
    {"tcp_connections_kernel", bench_tcp_connections_kernel, 50000, true},
    {"tcp_connections_two_kernel", bench_tcp_connections_two_kernel, 50000, true},
    {"tcp_echo", bench_tcp_echo, 1000000, false},
    {"tcp_echo_kernel", bench_tcp_echo_kernel, 400000, true},
    {NULL, NULL, 0, false},
};
