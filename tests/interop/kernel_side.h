/*
 * The kernel as TCP peer, seen from a test: network namespaces that end with the process, their
 * interfaces, settings and tables, and plain non-blocking sockets in them. One process is in one
 * namespace at a time. What fails for the host's sake ends the program with status 77 (skipped),
 * anything else with 1.
 */
#ifndef RINGSOCK_TESTS_INTEROP_KERNEL_SIDE_H
#define RINGSOCK_TESTS_INTEROP_KERNEL_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KERNEL_SKIPPED 77

/* Leaves the namespace of before for a fresh one with its loopback interface up; returns what
 * kernel_enter takes. */
int kernel_namespace(void);
void kernel_enter(int namespace_fd);
/* One or several commands for ip(8), a line each, in the namespace of now. */
void kernel_ip(const char *commands);
/* name: below /proc/sys/net/ipv4. */
void kernel_set(const char *name, const char *value);
/* False: this kernel has no such setting, or not this value. */
bool kernel_try_set(const char *name, const char *value);

/* The interface sends frames with their checksums filled in: a NIC that would do it is not there.
 * False, and errno: it cannot. */
bool kernel_sum_in_software(const char *interface);

/* The states of /proc/net/tcp (include/net/tcp_states.h). */
enum kernel_state {
    KERNEL_ESTABLISHED = 1,
    KERNEL_SYN_SENT,
    KERNEL_SYN_RECV,
    KERNEL_FIN_WAIT1,
    KERNEL_FIN_WAIT2,
    KERNEL_TIME_WAIT,
    KERNEL_CLOSE,
    KERNEL_CLOSE_WAIT,
    KERNEL_LAST_ACK,
    KERNEL_LISTEN,
    KERNEL_CLOSING
};

/* TCP sockets of the namespace in that state. */
uint32_t kernel_count(enum kernel_state state);
/* A counter of /proc/net/netstat or /proc/net/snmp, "TCPWinProbe". */
uint64_t kernel_counter(const char *name);
/* All but listeners and TIME_WAITs. */
uint32_t kernel_count_open(void);

/* ---- sockets; port in host order, address "192.0.2.1" ---- */

struct kernel_options { /* 0: the kernel's own */
    int send_buffer, recv_buffer;
    int user_timeout_ms;
    int keep_idle_s, keep_interval_s, keep_count;
    int backlog, segment_max;
    uint16_t local_port;
    bool nodelay;
    const char *congestion; /* "cubic"; root may choose one that others may not */
};

int kernel_listen(uint16_t port, const struct kernel_options *options);
/* Begun; writable when it has an end. */
int kernel_connect(const char *address, uint16_t port, const struct kernel_options *options);
/* -1: there is none now. */
int kernel_accept(int listener);
/* Of a connect: EINPROGRESS, 0 or why it failed. */
int kernel_connect_result(int fd);
/* Bytes, 0: the end; -EAGAIN, or another error, negative. */
ssize_t kernel_send(int fd, const void *data, size_t bytes);
ssize_t kernel_recv(int fd, void *data, size_t bytes);
/* SO_ERROR, which it clears. */
int kernel_error(int fd);
/* Waits until there is something to read, or (writes) room to write, or a second has passed. */
void kernel_wait(int fd, bool reads, bool writes);
/* One byte of urgent data; out of band when it is received. */
void kernel_send_urgent(int fd, uint8_t byte);
/* -1: there is none now. */
int kernel_recv_urgent(int fd);
/* Bytes that have arrived and were not read. */
uint32_t kernel_unread(int fd);
/* TCPI_OPT_*: what the handshake agreed on. */
uint32_t kernel_agreed(int fd);
/* Segments that the kernel has sent again. */
uint32_t kernel_retransmits(int fd);
void kernel_shutdown_send(int fd);
void kernel_close(int fd);
/* With SO_LINGER 0: a reset. */
void kernel_abort(int fd);

#endif
