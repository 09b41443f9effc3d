/*
 * What a dataplane and a ringsockctl of another build must agree on, as one list for
 * tests/abi/layout.c (see layout_list.h).
 */
#ifndef RINGSOCK_TESTS_ABI_REPORT_LIST_H
#define RINGSOCK_TESTS_ABI_REPORT_LIST_H

#include "rings/control.h"
#include "rings/report.h"

#define LAYOUT_VERSION      RS_REPORT_VERSION
#define LAYOUT_VERSION_NAME "RS_REPORT_VERSION"

/* clang-format off */
#define LAYOUT_STRUCTS(STRUCT, FIELD)                   \
    STRUCT(rs_report_section)                           \
    FIELD(rs_report_section, off)                       \
    FIELD(rs_report_section, stride_bytes)              \
    FIELD(rs_report_section, count)                     \
    FIELD(rs_report_section, reserved)                  \
    STRUCT(rs_report_header)                            \
    FIELD(rs_report_header, magic)                      \
    FIELD(rs_report_header, version)                    \
    FIELD(rs_report_header, header_bytes)               \
    FIELD(rs_report_header, bytes)                      \
    FIELD(rs_report_header, epoch)                      \
    FIELD(rs_report_header, tsc)                        \
    FIELD(rs_report_header, tsc_hz)                     \
    FIELD(rs_report_header, started_tsc)                \
    FIELD(rs_report_header, unix_ns)                    \
    FIELD(rs_report_header, dataplane_pid)              \
    FIELD(rs_report_header, layout_version)             \
    FIELD(rs_report_header, limit_sessions)             \
    FIELD(rs_report_header, section_count)              \
    FIELD(rs_report_header, hidden_sessions)            \
    FIELD(rs_report_header, hidden_trace)               \
    FIELD(rs_report_header, instance)                   \
    FIELD(rs_report_header, sections)                   \
    STRUCT(rs_report_queue)                             \
    FIELD(rs_report_queue, nic)                         \
    FIELD(rs_report_queue, kind)                        \
    FIELD(rs_report_queue, nic_queue_idx)               \
    FIELD(rs_report_queue, nic_queue_count)             \
    FIELD(rs_report_queue, core)                        \
    FIELD(rs_report_queue, yields)                      \
    FIELD(rs_report_queue, steering)                    \
    FIELD(rs_report_queue, link_up)                     \
    FIELD(rs_report_queue, ip_be32)                     \
    FIELD(rs_report_queue, prefix_len)                  \
    FIELD(rs_report_queue, mtu_bytes)                   \
    FIELD(rs_report_queue, mac)                         \
    FIELD(rs_report_queue, mac_filters)                 \
    FIELD(rs_report_queue, reserved)                    \
    FIELD(rs_report_queue, polls)                       \
    FIELD(rs_report_queue, busy_polls)                  \
    FIELD(rs_report_queue, busy_tsc)                    \
    FIELD(rs_report_queue, rx_bursts)                   \
    FIELD(rs_report_queue, rx_full)                     \
    FIELD(rs_report_queue, rx_burst_frames_max)         \
    FIELD(rs_report_queue, rx_frames)                   \
    FIELD(rs_report_queue, requests)                    \
    FIELD(rs_report_queue, nic_rx_pkts)                 \
    FIELD(rs_report_queue, nic_rx_bytes)                \
    FIELD(rs_report_queue, nic_rx_missed_pkts)          \
    FIELD(rs_report_queue, nic_rx_errors_pkts)          \
    FIELD(rs_report_queue, nic_rx_no_buffer_pkts)       \
    FIELD(rs_report_queue, nic_tx_pkts)                 \
    FIELD(rs_report_queue, nic_tx_bytes)                \
    FIELD(rs_report_queue, nic_tx_errors_pkts)          \
    FIELD(rs_report_queue, buffers)                     \
    FIELD(rs_report_queue, buffers_held)                \
    FIELD(rs_report_queue, tcp_connections)             \
    FIELD(rs_report_queue, tcp_connections_max)         \
    FIELD(rs_report_queue, tcp_half_open)               \
    FIELD(rs_report_queue, tcp_half_open_max)           \
    FIELD(rs_report_queue, tcp_time_waits)              \
    FIELD(rs_report_queue, tcp_time_waits_max)          \
    FIELD(rs_report_queue, more_count)                  \
    FIELD(rs_report_queue, more_be32)                   \
    FIELD(rs_report_queue, more_prefix_len)             \
    FIELD(rs_report_queue, reserved1)                   \
    STRUCT(rs_report_session)                           \
    FIELD(rs_report_session, id)                        \
    FIELD(rs_report_session, pid)                       \
    FIELD(rs_report_session, user_id)                   \
    FIELD(rs_report_session, program)                   \
    FIELD(rs_report_session, state)                     \
    FIELD(rs_report_session, never_sleeps)              \
    FIELD(rs_report_session, sockets)                   \
    FIELD(rs_report_session, limit_sockets)             \
    FIELD(rs_report_session, channels)                  \
    FIELD(rs_report_session, limit_channels)            \
    FIELD(rs_report_session, extents)                   \
    FIELD(rs_report_session, limit_extents)             \
    FIELD(rs_report_session, memory_bytes)              \
    FIELD(rs_report_session, limit_memory_bytes)        \
    FIELD(rs_report_session, budget_exhausted)          \
    FIELD(rs_report_session, signals_deferred)          \
    FIELD(rs_report_session, hints_deferred)            \
    FIELD(rs_report_session, control_waits)             \
    FIELD(rs_report_session, memberships_refused)       \
    STRUCT(rs_report_socket)                            \
    FIELD(rs_report_socket, session_id)                 \
    FIELD(rs_report_socket, idx)                        \
    FIELD(rs_report_socket, generation)                 \
    FIELD(rs_report_socket, type)                       \
    FIELD(rs_report_socket, state)                      \
    FIELD(rs_report_socket, home_queue_idx)             \
    FIELD(rs_report_socket, queue_mask)                 \
    FIELD(rs_report_socket, local)                      \
    FIELD(rs_report_socket, peer)                       \
    FIELD(rs_report_socket, recv_ring_bytes)            \
    FIELD(rs_report_socket, send_ring_bytes)            \
    FIELD(rs_report_socket, recv_bytes)                 \
    FIELD(rs_report_socket, send_wait_bytes)            \
    FIELD(rs_report_socket, recv_dropped)               \
    FIELD(rs_report_socket, errors)                     \
    FIELD(rs_report_socket, last_error)                 \
    FIELD(rs_report_socket, flags)                      \
    FIELD(rs_report_socket, backlog_used)               \
    FIELD(rs_report_socket, backlog_limit)              \
    FIELD(rs_report_socket, reserved)                   \
    FIELD(rs_report_socket, tcp)                        \
    STRUCT(rs_report_port)                              \
    FIELD(rs_report_port, ip_be32)                      \
    FIELD(rs_report_port, port_be16)                    \
    FIELD(rs_report_port, share)                        \
    FIELD(rs_report_port, type)                         \
    FIELD(rs_report_port, user_id)                      \
    FIELD(rs_report_port, reserved2)                    \
    STRUCT(rs_report_figure)                            \
    FIELD(rs_report_figure, value)                      \
    FIELD(rs_report_figure, name)                       \
    FIELD(rs_report_figure, group)                      \
    FIELD(rs_report_figure, text)                       \
    STRUCT(rs_report_counter)                           \
    FIELD(rs_report_counter, name)                      \
    FIELD(rs_report_counter, group)                     \
    FIELD(rs_report_counter, text)                      \
    STRUCT(rs_report_trace)                             \
    FIELD(rs_report_trace, number)                      \
    FIELD(rs_report_trace, tsc)                         \
    FIELD(rs_report_trace, queue_idx)                   \
    FIELD(rs_report_trace, event)                       \
    FIELD(rs_report_trace, local_be32)                  \
    FIELD(rs_report_trace, peer_be32)                   \
    FIELD(rs_report_trace, local_port_be16)             \
    FIELD(rs_report_trace, peer_port_be16)              \
    FIELD(rs_report_trace, a)                           \
    FIELD(rs_report_trace, b)                           \
    FIELD(rs_report_trace, reserved)                    \
    STRUCT(rs_report_trace_event)                       \
    FIELD(rs_report_trace_event, name)                  \
    FIELD(rs_report_trace_event, text)                  \
    FIELD(rs_report_trace_event, a_text)                \
    FIELD(rs_report_trace_event, b_text)                \
    FIELD(rs_report_trace_event, a_kind)                \
    FIELD(rs_report_trace_event, b_kind)                \
    STRUCT(rs_report_name)                              \
    FIELD(rs_report_name, name)

#define LAYOUT_CONSTANTS(CONSTANT)                      \
    CONSTANT(RS_CTL_REPORT)                             \
    CONSTANT(RS_REPORT_SECTIONS)                        \
    CONSTANT(RS_REPORT_QUEUES)                          \
    CONSTANT(RS_REPORT_SESSIONS)                        \
    CONSTANT(RS_REPORT_SOCKETS)                         \
    CONSTANT(RS_REPORT_PORTS)                           \
    CONSTANT(RS_REPORT_FIGURES)                         \
    CONSTANT(RS_REPORT_COUNTERS)                        \
    CONSTANT(RS_REPORT_VALUES)                          \
    CONSTANT(RS_REPORT_TRACE)                           \
    CONSTANT(RS_REPORT_TRACE_EVENTS)                    \
    CONSTANT(RS_REPORT_TCP_STATES)                      \
    CONSTANT(RS_REPORT_VALUE_NONE)                      \
    CONSTANT(RS_REPORT_VALUE_NUMBER)                    \
    CONSTANT(RS_REPORT_VALUE_TCP_STATE)                 \
    CONSTANT(RS_REPORT_VALUE_COUNTER)                   \
    CONSTANT(RS_REPORT_VALUE_STATUS)                    \
    CONSTANT(RS_REPORT_STEER_ONE)                       \
    CONSTANT(RS_REPORT_STEER_NIC)                       \
    CONSTANT(RS_REPORT_STEER_SOFTWARE)                  \
    CONSTANT(RS_REPORT_SESSION_LIVE)                    \
    CONSTANT(RS_REPORT_SESSION_ENDING)                  \
    CONSTANT(RS_REPORT_SESSION_ENDED)                   \
    CONSTANT(RS_REPORT_SESSION_POISONED)                \
    CONSTANT(RS_REPORT_SOCKET_OPEN)                     \
    CONSTANT(RS_REPORT_SOCKET_BOUND)                    \
    CONSTANT(RS_REPORT_SOCKET_CONNECTED)                \
    CONSTANT(RS_REPORT_SOCKET_CLOSING)                  \
    CONSTANT(RS_REPORT_SOCKET_ORPHAN)                   \
    CONSTANT(RS_REPORT_SOCKET_LOCAL)                    \
    CONSTANT(RS_REPORT_SOCKET_PLACE)                    \
    CONSTANT(RS_REPORT_SOCKET_CONNECTION)               \
    CONSTANT(RS_REPORT_SOCKET_UNTOLD)
/* clang-format on */

#endif
