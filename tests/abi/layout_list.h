/*
 * Every structure, field and constant that two processes must agree on, as one list;
 * tests/abi/layout.c prints and compares it. A structure of the headers that is missing here fails
 * the test, and so does a field: the fields of a structure must fill it.
 */
#ifndef RINGSOCK_TESTS_ABI_LAYOUT_LIST_H
#define RINGSOCK_TESTS_ABI_LAYOUT_LIST_H

#include "rings/control.h"
#include "rings/layout.h"

#define LAYOUT_VERSION      RS_LAYOUT_VERSION
#define LAYOUT_VERSION_NAME "RS_LAYOUT_VERSION"

/* clang-format off */
#define LAYOUT_STRUCTS(STRUCT, FIELD)                   \
    STRUCT(rs_addr)                                     \
    FIELD(rs_addr, family)                              \
    FIELD(rs_addr, reserved)                            \
    FIELD(rs_addr, port_be16)                           \
    FIELD(rs_addr, scope_id)                            \
    FIELD(rs_addr, ip)                                  \
    STRUCT(rs_ref)                                      \
    FIELD(rs_ref, extent_idx)                           \
    FIELD(rs_ref, off)                                  \
    STRUCT(rs_extent_info)                              \
    FIELD(rs_extent_info, kind)                         \
    FIELD(rs_extent_info, generation)                   \
    FIELD(rs_extent_info, size_bytes)                   \
    STRUCT(rs_region_info)                              \
    FIELD(rs_region_info, ref)                          \
    FIELD(rs_region_info, stride_bytes)                 \
    FIELD(rs_region_info, count)                        \
    STRUCT(rs_session_header)                           \
    FIELD(rs_session_header, magic)                     \
    FIELD(rs_session_header, version)                   \
    FIELD(rs_session_header, header_bytes)              \
    FIELD(rs_session_header, epoch)                     \
    FIELD(rs_session_header, session_id)                \
    FIELD(rs_session_header, tsc_base)                  \
    FIELD(rs_session_header, unix_base_ns)              \
    FIELD(rs_session_header, tsc_mult)                  \
    FIELD(rs_session_header, tsc_hz)                    \
    FIELD(rs_session_header, limit_sockets)             \
    FIELD(rs_session_header, limit_channels)            \
    FIELD(rs_session_header, queue_count)               \
    FIELD(rs_session_header, request_slots)             \
    FIELD(rs_session_header, hint_slots)                \
    FIELD(rs_session_header, recv_ring_bytes)           \
    FIELD(rs_session_header, send_ring_bytes)           \
    FIELD(rs_session_header, spin_us)                   \
    FIELD(rs_session_header, yield_in_spin)             \
    FIELD(rs_session_header, mtu_bytes)                 \
    FIELD(rs_session_header, poisoned)                  \
    FIELD(rs_session_header, dataplane_pid)             \
    FIELD(rs_session_header, instance)                  \
    FIELD(rs_session_header, extents)                   \
    FIELD(rs_session_header, regions)                   \
    STRUCT(rs_queue_state)                              \
    FIELD(rs_queue_state, heartbeat_tsc)                \
    FIELD(rs_queue_state, kind)                         \
    FIELD(rs_queue_state, queue_idx)                    \
    FIELD(rs_queue_state, ip_be32)                      \
    FIELD(rs_queue_state, mtu_bytes)                    \
    FIELD(rs_queue_state, prefix_len)                   \
    FIELD(rs_queue_state, link_changes)                 \
    FIELD(rs_queue_state, more_count)                   \
    FIELD(rs_queue_state, more_be32)                    \
    FIELD(rs_queue_state, more_prefix_len)              \
    FIELD(rs_queue_state, reserved)                     \
    STRUCT(rs_channel_state)                            \
    FIELD(rs_channel_state, request_head)               \
    FIELD(rs_channel_state, hint_lost)                  \
    FIELD(rs_channel_state, reserved0)                  \
    FIELD(rs_channel_state, generation)                 \
    FIELD(rs_channel_state, queue_idx)                  \
    FIELD(rs_channel_state, requests)                   \
    FIELD(rs_channel_state, hints)                      \
    FIELD(rs_channel_state, replies)                    \
    FIELD(rs_channel_state, info)                       \
    FIELD(rs_channel_state, reserved1)                  \
    STRUCT(rs_channel_client)                           \
    FIELD(rs_channel_client, need_wakeup)               \
    FIELD(rs_channel_client, hint_head)                 \
    FIELD(rs_channel_client, pressure)                  \
    FIELD(rs_channel_client, reserved)                  \
    STRUCT(rs_request)                                  \
    FIELD(rs_request, seq)                              \
    FIELD(rs_request, op)                               \
    FIELD(rs_request, len_bytes)                        \
    FIELD(rs_request, port_be16)                        \
    FIELD(rs_request, socket_idx)                       \
    FIELD(rs_request, generation)                       \
    FIELD(rs_request, arg)                              \
    FIELD(rs_request, serial)                           \
    FIELD(rs_request, payload)                          \
    STRUCT(rs_reply)                                    \
    FIELD(rs_reply, serial)                             \
    FIELD(rs_reply, status)                             \
    FIELD(rs_reply, payload)                            \
    STRUCT(rs_hint)                                     \
    FIELD(rs_hint, seq)                                 \
    FIELD(rs_hint, socket_idx)                          \
    FIELD(rs_hint, generation)                          \
    FIELD(rs_hint, reserved)                            \
    STRUCT(rs_op_open)                                  \
    FIELD(rs_op_open, family)                           \
    FIELD(rs_op_open, type)                             \
    FIELD(rs_op_open, reserved)                         \
    FIELD(rs_op_open, recv_ring_bytes)                  \
    FIELD(rs_op_open, send_ring_bytes)                  \
    STRUCT(rs_open_reply)                               \
    FIELD(rs_open_reply, socket_idx)                    \
    FIELD(rs_open_reply, generation)                    \
    STRUCT(rs_op_share)                                 \
    FIELD(rs_op_share, process_id)                      \
    FIELD(rs_op_share, flags)                           \
    FIELD(rs_op_share, shut)                            \
    FIELD(rs_op_share, urgent_taken)                    \
    FIELD(rs_op_share, urgent_byte)                     \
    FIELD(rs_op_share, reserved)                        \
    STRUCT(rs_share_token)                              \
    FIELD(rs_share_token, words)                        \
    STRUCT(rs_op_share_data)                            \
    FIELD(rs_op_share_data, len_bytes)                  \
    FIELD(rs_op_share_data, flags)                      \
    STRUCT(rs_share_data)                               \
    FIELD(rs_share_data, len_bytes)                     \
    FIELD(rs_share_data, flags)                         \
    FIELD(rs_share_data, level)                         \
    FIELD(rs_share_data, unread_bytes)                  \
    STRUCT(rs_unshared)                                 \
    FIELD(rs_unshared, recv_head)                       \
    FIELD(rs_unshared, send_tail)                       \
    FIELD(rs_unshared, send_head)                       \
    FIELD(rs_unshared, urgent_seq)                      \
    STRUCT(rs_op_share_set)                             \
    FIELD(rs_op_share_set, name)                        \
    FIELD(rs_op_share_set, value)                       \
    STRUCT(rs_share_values)                             \
    FIELD(rs_share_values, seq)                         \
    FIELD(rs_share_values, shut)                        \
    FIELD(rs_share_values, options_set)                 \
    FIELD(rs_share_values, values)                      \
    STRUCT(rs_op_option)                                \
    FIELD(rs_op_option, option)                         \
    FIELD(rs_op_option, value)                          \
    STRUCT(rs_op_listen)                                \
    FIELD(rs_op_listen, backlog)                        \
    FIELD(rs_op_listen, recv_ring_bytes)                \
    FIELD(rs_op_listen, send_ring_bytes)                \
    FIELD(rs_op_listen, flags)                          \
    STRUCT(rs_op_shutdown)                              \
    FIELD(rs_op_shutdown, how)                          \
    FIELD(rs_op_shutdown, reserved)                     \
    STRUCT(rs_op_close)                                 \
    FIELD(rs_op_close, abort)                           \
    FIELD(rs_op_close, linger_ms)                       \
    STRUCT(rs_accept)                                   \
    FIELD(rs_accept, socket_idx)                        \
    FIELD(rs_accept, generation)                        \
    FIELD(rs_accept, local_be32)                        \
    FIELD(rs_accept, local_port_be16)                   \
    FIELD(rs_accept, reserved)                          \
    STRUCT(rs_tcp_limited)                              \
    FIELD(rs_tcp_limited, sent_bytes)                   \
    FIELD(rs_tcp_limited, transitions)                  \
    FIELD(rs_tcp_limited, time_ms)                      \
    STRUCT(rs_tcp_info)                                 \
    FIELD(rs_tcp_info, state)                           \
    FIELD(rs_tcp_info, mss_bytes)                       \
    FIELD(rs_tcp_info, connected_ms)                    \
    FIELD(rs_tcp_info, sent_bytes)                      \
    FIELD(rs_tcp_info, received_bytes)                  \
    FIELD(rs_tcp_info, timestamps)                      \
    FIELD(rs_tcp_info, rtt_us)                          \
    FIELD(rs_tcp_info, rtt_min_us)                      \
    FIELD(rs_tcp_info, in_flight_bytes)                 \
    FIELD(rs_tcp_info, cwnd_bytes)                      \
    FIELD(rs_tcp_info, send_window_bytes)               \
    FIELD(rs_tcp_info, recv_window_bytes)               \
    FIELD(rs_tcp_info, recv_buffer_bytes)               \
    FIELD(rs_tcp_info, reordered_bytes)                 \
    FIELD(rs_tcp_info, retransmitted_bytes)             \
    FIELD(rs_tcp_info, fast_retransmits)                \
    FIELD(rs_tcp_info, dup_acks)                        \
    FIELD(rs_tcp_info, timeout_episodes)                \
    FIELD(rs_tcp_info, syn_retransmits)                 \
    FIELD(rs_tcp_info, limited)                         \
    FIELD(rs_tcp_info, reserved)                        \
    STRUCT(rs_op_member)                                \
    FIELD(rs_op_member, action)                         \
    FIELD(rs_op_member, group_be32)                     \
    FIELD(rs_op_member, source_be32)                    \
    FIELD(rs_op_member, interface_be32)                 \
    STRUCT(rs_socket_state)                             \
    FIELD(rs_socket_state, generation)                  \
    FIELD(rs_socket_state, level)                       \
    FIELD(rs_socket_state, reserved0)                   \
    FIELD(rs_socket_state, recv_tail)                   \
    FIELD(rs_socket_state, error_seq)                   \
    FIELD(rs_socket_state, error_code)                  \
    FIELD(rs_socket_state, reset_seq)                   \
    FIELD(rs_socket_state, urgent_seq)                  \
    FIELD(rs_socket_state, connect_seq)                 \
    FIELD(rs_socket_state, accept_seq)                  \
    FIELD(rs_socket_state, recv_dropped)                \
    FIELD(rs_socket_state, mode)                        \
    FIELD(rs_socket_state, recv_notify)                 \
    FIELD(rs_socket_state, urgent_pos)                  \
    FIELD(rs_socket_state, connected_tsc)               \
    FIELD(rs_socket_state, send_head)                   \
    FIELD(rs_socket_state, share_seq)                   \
    FIELD(rs_socket_state, share_events)                \
    FIELD(rs_socket_state, share_count)                 \
    FIELD(rs_socket_state, reserved1)                   \
    STRUCT(rs_ring_ref)                                 \
    FIELD(rs_ring_ref, ref)                             \
    FIELD(rs_ring_ref, size_bytes)                      \
    FIELD(rs_ring_ref, generation)                      \
    STRUCT(rs_socket_desc)                              \
    FIELD(rs_socket_desc, local)                        \
    FIELD(rs_socket_desc, peer)                         \
    FIELD(rs_socket_desc, generation)                   \
    FIELD(rs_socket_desc, home_queue_idx)               \
    FIELD(rs_socket_desc, type)                         \
    FIELD(rs_socket_desc, flags)                        \
    FIELD(rs_socket_desc, send)                         \
    FIELD(rs_socket_desc, recv)                         \
    FIELD(rs_socket_desc, pad)                          \
    STRUCT(rs_socket_client)                            \
    FIELD(rs_socket_client, recv_head)                  \
    FIELD(rs_socket_client, send_level)                 \
    FIELD(rs_socket_client, reserved0)                  \
    FIELD(rs_socket_client, arm_seq)                    \
    FIELD(rs_socket_client, arm_events)                 \
    FIELD(rs_socket_client, channels)                   \
    FIELD(rs_socket_client, reserved1)                  \
    STRUCT(rs_dgram)                                    \
    FIELD(rs_dgram, seq)                                \
    FIELD(rs_dgram, len_bytes)                          \
    FIELD(rs_dgram, payload_off)                        \
    FIELD(rs_dgram, flags)                              \
    FIELD(rs_dgram, src_be32)                           \
    FIELD(rs_dgram, src_port_be16)                      \
    FIELD(rs_dgram, ttl)                                \
    FIELD(rs_dgram, tos)                                \
    FIELD(rs_dgram, rx_tsc)                             \
    STRUCT(rs_dgram_ext)                                \
    FIELD(rs_dgram_ext, src_v6)                         \
    FIELD(rs_dgram_ext, dst_v6)                         \
    FIELD(rs_dgram_ext, interface_be32)                 \
    FIELD(rs_dgram_ext, reserved)                       \
    STRUCT(rs_send_dgram)                               \
    FIELD(rs_send_dgram, len_bytes)                     \
    FIELD(rs_send_dgram, flags)                         \
    FIELD(rs_send_dgram, family)                        \
    FIELD(rs_send_dgram, port_be16)                     \
    FIELD(rs_send_dgram, reserved)                      \
    FIELD(rs_send_dgram, dst_be32)                      \
    FIELD(rs_send_dgram, reserved2)                     \
    STRUCT(rs_send_ext)                                 \
    FIELD(rs_send_ext, src_be32)                        \
    FIELD(rs_send_ext, stamp_id)                        \
    FIELD(rs_send_ext, has)                             \
    FIELD(rs_send_ext, ttl)                             \
    FIELD(rs_send_ext, tos)                             \
    FIELD(rs_send_ext, tos_mask)                        \
    FIELD(rs_send_ext, interface_idx)                        \
    STRUCT(rs_op_tx_stamp)                              \
    FIELD(rs_op_tx_stamp, stamp_id)                     \
    FIELD(rs_op_tx_stamp, reserved)                     \
    STRUCT(rs_tx_stamp_reply)                           \
    FIELD(rs_tx_stamp_reply, tx_tsc)                    \
    STRUCT(rs_ctl_request)                              \
    FIELD(rs_ctl_request, magic)                        \
    FIELD(rs_ctl_request, type)                         \
    FIELD(rs_ctl_request, arg)                          \
    STRUCT(rs_ctl_answer)                               \
    FIELD(rs_ctl_answer, magic)                         \
    FIELD(rs_ctl_answer, type)                          \
    FIELD(rs_ctl_answer, status)                        \
    FIELD(rs_ctl_answer, value)                         \
    FIELD(rs_ctl_answer, sizes_bytes)                   \
    FIELD(rs_ctl_answer, text)

#define LAYOUT_CONSTANTS(CONSTANT)                      \
    CONSTANT(RS_OK)                                     \
    CONSTANT(RS_WOULD_BLOCK)                            \
    CONSTANT(RS_IN_PROGRESS)                            \
    CONSTANT(RS_ALREADY)                                \
    CONSTANT(RS_NOT_SOCKET)                             \
    CONSTANT(RS_INVALID)                                \
    CONSTANT(RS_DEST_REQUIRED)                          \
    CONSTANT(RS_MESSAGE_SIZE)                           \
    CONSTANT(RS_BAD_OPTION)                             \
    CONSTANT(RS_NOT_SUPPORTED)                          \
    CONSTANT(RS_FAMILY_NOT_SUPPORTED)                   \
    CONSTANT(RS_TYPE_NOT_SUPPORTED)                     \
    CONSTANT(RS_ADDR_IN_USE)                            \
    CONSTANT(RS_ADDR_NOT_AVAILABLE)                     \
    CONSTANT(RS_ACCESS)                                 \
    CONSTANT(RS_NET_DOWN)                               \
    CONSTANT(RS_NET_UNREACHABLE)                        \
    CONSTANT(RS_HOST_UNREACHABLE)                       \
    CONSTANT(RS_PORT_UNREACHABLE)                       \
    CONSTANT(RS_NET_RESET)                              \
    CONSTANT(RS_CONN_ABORTED)                           \
    CONSTANT(RS_CONN_RESET)                             \
    CONSTANT(RS_CONN_REFUSED)                           \
    CONSTANT(RS_NO_BUFFERS)                             \
    CONSTANT(RS_IS_CONNECTED)                           \
    CONSTANT(RS_NOT_CONNECTED)                          \
    CONSTANT(RS_SHUTDOWN)                               \
    CONSTANT(RS_TIMED_OUT)                              \
    CONSTANT(RS_INTERRUPTED)                            \
    CONSTANT(RS_TOO_MANY_SOCKETS)                       \
    CONSTANT(RS_NOT_READY)                              \
    CONSTANT(RS_VERSION_MISMATCH)                       \
    CONSTANT(RS_NO_MEMORY)                              \
    CONSTANT(RS_POISONED)                               \
    CONSTANT(RS_DATAPLANE_GONE)                         \
    CONSTANT(RS_ATTACH_REFUSED)                         \
    CONSTANT(RS_CORRUPT)                                \
    CONSTANT(RS_OS_ERROR)                               \
    CONSTANT(RS_CONFIG)                                 \
    CONSTANT(RS_NOT_INITIALISED)                        \
    CONSTANT(RS_EXTENT_NONE)                            \
    CONSTANT(RS_EXTENT_DP)                              \
    CONSTANT(RS_EXTENT_CL)                              \
    CONSTANT(RS_REGION_SOCKET_STATE)                    \
    CONSTANT(RS_REGION_SOCKET_DESC)                     \
    CONSTANT(RS_REGION_SOCKET_CLIENT)                   \
    CONSTANT(RS_REGION_CHANNEL_STATE)                   \
    CONSTANT(RS_REGION_CHANNEL_CLIENT)                  \
    CONSTANT(RS_REGION_QUEUE_STATE)                     \
    CONSTANT(RS_NIC_LOOPBACK)                           \
    CONSTANT(RS_NIC_BYPASS)                             \
    CONSTANT(RS_NIC_FUNCTIONAL)                         \
    CONSTANT(RS_OP_NONE)                                \
    CONSTANT(RS_OP_NOP)                                 \
    CONSTANT(RS_OP_SEND_INLINE)                         \
    CONSTANT(RS_OP_POST)                                \
    CONSTANT(RS_OP_OPEN)                                \
    CONSTANT(RS_OP_BIND)                                \
    CONSTANT(RS_OP_CONNECT)                             \
    CONSTANT(RS_OP_CLOSE)                               \
    CONSTANT(RS_OP_OPTION)                              \
    CONSTANT(RS_OP_MEMBER)                              \
    CONSTANT(RS_OP_LISTEN)                              \
    CONSTANT(RS_OP_SHUTDOWN)                            \
    CONSTANT(RS_OP_URGENT)                              \
    CONSTANT(RS_OP_CONSUMED)                            \
    CONSTANT(RS_OP_TCP_INFO)                            \
    CONSTANT(RS_OP_WARM)                                \
    CONSTANT(RS_OP_TX_STAMP)                            \
    CONSTANT(RS_OP_SHARE)                               \
    CONSTANT(RS_OP_SHARE_OPEN)                          \
    CONSTANT(RS_OP_SHARE_SEND)                          \
    CONSTANT(RS_OP_SHARE_RECV)                          \
    CONSTANT(RS_OP_SHARE_SET)                           \
    CONSTANT(RS_OP_SHARE_VALUES)                        \
    CONSTANT(RS_OP_UNSHARE)                             \
    CONSTANT(RS_SHARE_BYTE_KEPT)                        \
    CONSTANT(RS_SHARE_PEEK)                             \
    CONSTANT(RS_SHARE_URGENT)                           \
    CONSTANT(RS_SHARE_OVER)                             \
    CONSTANT(RS_SHARE_AT_MARK)                          \
    CONSTANT(RS_SHARE_TOKEN)                            \
    CONSTANT(RS_SHARE_TOKEN_QUEUE)                      \
    CONSTANT(RS_SHARE_NONBLOCKING)                      \
    CONSTANT(RS_SHARE_RECV_TIMEOUT_MS)                  \
    CONSTANT(RS_SHARE_SEND_TIMEOUT_MS)                  \
    CONSTANT(RS_SHARE_LINGER_MS)                        \
    CONSTANT(RS_SHARE_OOB_INLINE)                       \
    CONSTANT(RS_SHARE_USER_0)                           \
    CONSTANT(RS_SHARE_EVENTS)                           \
    CONSTANT(RS_SHARE_VALUES)                           \
    CONSTANT(RS_SHUTDOWN_KEEP)                          \
    CONSTANT(RS_LEVEL_URGENT)                           \
    CONSTANT(RS_LEVEL_LISTENING)                        \
    CONSTANT(RS_SHUTDOWN_RECV)                          \
    CONSTANT(RS_SHUTDOWN_SEND)                          \
    CONSTANT(RS_SOCK_DGRAM)                             \
    CONSTANT(RS_SOCK_STREAM)                            \
    CONSTANT(RS_TCP_CLOSED)                             \
    CONSTANT(RS_TCP_SYN_SENT)                           \
    CONSTANT(RS_TCP_SYN_RECEIVED)                       \
    CONSTANT(RS_TCP_ESTABLISHED)                        \
    CONSTANT(RS_TCP_FIN_WAIT_1)                         \
    CONSTANT(RS_TCP_FIN_WAIT_2)                         \
    CONSTANT(RS_TCP_CLOSE_WAIT)                         \
    CONSTANT(RS_TCP_CLOSING)                            \
    CONSTANT(RS_TCP_LAST_ACK)                           \
    CONSTANT(RS_TCP_TIME_WAIT)                          \
    CONSTANT(RS_TCP_LISTEN)                             \
    CONSTANT(RS_TCP_LIMIT_RECEIVER)                     \
    CONSTANT(RS_TCP_LIMIT_CONGESTION)                   \
    CONSTANT(RS_TCP_LIMIT_SENDER)                       \
    CONSTANT(RS_OPT_NONE)                               \
    CONSTANT(RS_OPT_RCVBUF)                             \
    CONSTANT(RS_OPT_SNDBUF)                             \
    CONSTANT(RS_OPT_REUSEADDR)                          \
    CONSTANT(RS_OPT_EXCLUSIVEADDR)                      \
    CONSTANT(RS_OPT_BROADCAST)                          \
    CONSTANT(RS_OPT_TTL)                                \
    CONSTANT(RS_OPT_TOS)                                \
    CONSTANT(RS_OPT_MCAST_TTL)                          \
    CONSTANT(RS_OPT_MCAST_IF)                           \
    CONSTANT(RS_OPT_MCAST_LOOP)                         \
    CONSTANT(RS_OPT_CONNRESET)                          \
    CONSTANT(RS_OPT_NODELAY)                            \
    CONSTANT(RS_OPT_KEEPALIVE)                          \
    CONSTANT(RS_OPT_KEEP_IDLE_MS)                       \
    CONSTANT(RS_OPT_KEEP_INTERVAL_MS)                   \
    CONSTANT(RS_OPT_KEEP_COUNT)                         \
    CONSTANT(RS_OPT_USER_TIMEOUT_MS)                    \
    CONSTANT(RS_OPT_MSS_MAX)                            \
    CONSTANT(RS_OPT_CONGESTION)                         \
    CONSTANT(RS_OPT_ACK_IMMEDIATE)                      \
    CONSTANT(RS_OPT_RECV_CONTROL)                       \
    CONSTANT(RS_OPT_TX_STAMPS)                          \
    CONSTANT(RS_OPT_DONT_FRAGMENT)                      \
    CONSTANT(RS_CONTROL_ADDRESS)                        \
    CONSTANT(RS_CONTROL_STAMP)                          \
    CONSTANT(RS_CONTROL_ALL)                            \
    CONSTANT(RS_TX_STAMPS_MAX)                          \
    CONSTANT(RS_SEND_TTL)                               \
    CONSTANT(RS_SEND_STAMP)                             \
    CONSTANT(RS_SEND_ALL)                               \
    CONSTANT(RS_SEND_SHORT_OFF)                         \
    CONSTANT(RS_SEND_LONG_OFF)                          \
    CONSTANT(RS_OPT_TIMESTAMPS)                         \
    CONSTANT(RS_OPT_SYN_RTO_MS)                         \
    CONSTANT(RS_OPT_SYN_SENDS)                          \
    CONSTANT(RS_MEMBER_JOIN)                            \
    CONSTANT(RS_MEMBER_LEAVE)                           \
    CONSTANT(RS_MEMBER_JOIN_SOURCE)                     \
    CONSTANT(RS_MEMBER_LEAVE_SOURCE)                    \
    CONSTANT(RS_MEMBER_BLOCK_SOURCE)                    \
    CONSTANT(RS_MEMBER_UNBLOCK_SOURCE)                  \
    CONSTANT(RS_LEVEL_READABLE)                         \
    CONSTANT(RS_LEVEL_WRITABLE)                         \
    CONSTANT(RS_LEVEL_END)                              \
    CONSTANT(RS_LEVEL_ERROR)                            \
    CONSTANT(RS_LEVEL_CONNECTED)                        \
    CONSTANT(RS_MODE_FREE)                              \
    CONSTANT(RS_MODE_LIVE)                              \
    CONSTANT(RS_MODE_SHARED)                            \
    CONSTANT(RS_MODE_ORPHAN)                            \
    CONSTANT(RS_DGRAM_SHORT_OFF)                        \
    CONSTANT(RS_DGRAM_LONG_OFF)                         \
    CONSTANT(RS_DGRAM_PAD)                              \
    CONSTANT(RS_DGRAM_EXT)                              \
    CONSTANT(RS_DGRAM_MULTICAST)                        \
    CONSTANT(RS_DGRAM_BROADCAST)                        \
    CONSTANT(RS_FAMILY_NONE)                            \
    CONSTANT(RS_FAMILY_IPV4)                            \
    CONSTANT(RS_FAMILY_IPV6)                            \
    CONSTANT(RS_CTL_ATTACH)                             \
    CONSTANT(RS_CTL_CHANNEL_OPEN)                       \
    CONSTANT(RS_CTL_CHANNEL_CLOSE)                      \
    CONSTANT(RS_CTL_EXTENT)                             \
    CONSTANT(RS_CTL_MAPPED)                             \
    CONSTANT(RS_CTL_SLEEPS)                             \
    CONSTANT(RS_LINE_BYTES)                             \
    CONSTANT(RS_PAGE_BYTES)                             \
    CONSTANT(RS_EXTENTS_MAX)                            \
    CONSTANT(RS_QUEUES_MAX)                             \
    CONSTANT(RS_CHANNELS_MAX)                           \
    CONSTANT(RS_SOCKETS_MAX)                            \
    CONSTANT(RS_REPLY_CELLS)                            \
    CONSTANT(RS_INLINE_BYTES)                           \
    CONSTANT(RS_NO_INDEX)                               \
    CONSTANT(RS_SPIN_FOREVER)                           \
    CONSTANT(RS_CTL_ATTACH_NEVER_SLEEPS)                \
    CONSTANT(RS_CTL_ATTACH_SLEEPS)
/* clang-format on */

#endif
