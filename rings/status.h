/*
 * The one status enum of the whole project. Every fallible function of rings/, dataplane/ and
 * provider/ returns it; provider/spi has the only table that turns it into WSA codes. Values travel
 * in shared memory (reply cells, error words), so they are part of the layout: another number is
 * another RS_LAYOUT_VERSION. Owned by no thread.
 */
#ifndef RINGSOCK_RINGS_STATUS_H
#define RINGSOCK_RINGS_STATUS_H

#define RS_CHECK_RESULT __attribute__((warn_unused_result))

/* A function's arguments are checked like printf's. GCC for Windows takes plain 'printf' for the
 * old Microsoft library's, without %zu; clang knows only 'printf'. */
#ifdef __clang__
#define RS_PRINTF_LIKE(format_idx, args_idx) __attribute__((format(printf, format_idx, args_idx)))
#else
#define RS_PRINTF_LIKE(format_idx, args_idx) \
    __attribute__((format(gnu_printf, format_idx, args_idx)))
#endif

enum rs_status {
    RS_OK = 0,
    RS_WOULD_BLOCK,          /* nothing to read, or this socket's send ring is full */
    RS_IN_PROGRESS,          /* started, result comes later */
    RS_ALREADY,              /* the same operation is already under way */
    RS_NOT_SOCKET,           /* no such socket (index, generation or closed) */
    RS_INVALID,              /* argument or state the call does not allow */
    RS_DEST_REQUIRED,        /* send without a destination on an unconnected socket */
    RS_MESSAGE_SIZE,         /* datagram larger than the ring, the MTU or the caller's buffer */
    RS_BAD_OPTION,           /* unknown option for this socket */
    RS_NOT_SUPPORTED,        /* the operation does not exist for this socket */
    RS_FAMILY_NOT_SUPPORTED, /* address family */
    RS_TYPE_NOT_SUPPORTED,   /* socket type */
    RS_ADDR_IN_USE,
    RS_ADDR_NOT_AVAILABLE, /* not an address of this queue's NIC */
    RS_ACCESS,             /* broadcast without SO_BROADCAST, exclusive port */
    RS_NET_DOWN,           /* link down, or the dataplane is gone */
    RS_NET_UNREACHABLE,    /* no route */
    RS_HOST_UNREACHABLE,   /* neighbour does not answer, or ICMP said so */
    RS_PORT_UNREACHABLE,   /* ICMP port unreachable came back for a datagram of this socket */
    RS_NET_RESET,          /* keep-alive failure, or TTL expired on the way */
    RS_CONN_ABORTED,
    RS_CONN_RESET,
    RS_CONN_REFUSED,
    RS_NO_BUFFERS, /* a limit or pool of this session is exhausted */
    RS_IS_CONNECTED,
    RS_NOT_CONNECTED,
    RS_SHUTDOWN,
    RS_TIMED_OUT,
    RS_INTERRUPTED, /* the socket was closed, or the call cancelled, while it waited */
    RS_TOO_MANY_SOCKETS,
    RS_NOT_READY,        /* no dataplane with that instance name runs */
    RS_VERSION_MISMATCH, /* the dataplane speaks another layout version */
    RS_NO_MEMORY,
    RS_POISONED,       /* the dataplane ended this session for breaking the protocol */
    RS_DATAPLANE_GONE, /* the dataplane process ended */
    RS_ATTACH_REFUSED, /* this user may not attach */
    RS_CORRUPT,        /* a header, table or record that fails its check */
    RS_OS_ERROR,       /* a system call failed; os_last_error_text() says which and why */
    RS_CONFIG,         /* configuration rejected; the message was printed */
    RS_NOT_INITIALISED,
    RS_STATUS_COUNT
};

/* Short English name of a status ("would block"), for logs and tests. Any value is accepted;
 * thread-safe. */
const char *rs_status_name(enum rs_status status);

#endif
