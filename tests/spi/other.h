/*
 * Another process with the provider, which does what it is told: one request on its standard input,
 * one answer on its standard output, until the input ends. It has one socket at a time, but for a
 * listener while it has a connection of it.
 */
#ifndef RINGSOCK_TESTS_SPI_OTHER_H
#define RINGSOCK_TESTS_SPI_OTHER_H

#include <winsock2.h>

enum other_op {
    OTHER_OPEN,     /* info: WSPSocket with FROM_PROTOCOL_INFO */
    OTHER_SEND,     /* value bytes of data */
    OTHER_RECV,     /* value bytes at most, to data */
    OTHER_SHUTDOWN, /* value: how */
    OTHER_CLOSE,
    OTHER_SET,       /* level, name, value */
    OTHER_GET,       /* level, name: value */
    OTHER_IOCTL,     /* name: the command; value */
    OTHER_LINGER,    /* value: SO_LINGER with so many seconds */
    OTHER_SELECT,    /* value: 1 when a receive does not block, waiting 5 s at most */
    OTHER_DUPLICATE, /* value: the process; info */
    OTHER_PEER,      /* value: the peer's port */
    OTHER_BIND,      /* to a free port of 127.0.0.1; value: which */
    OTHER_CONNECT,   /* value: to this port there */
    OTHER_LISTEN,    /* value: the backlog */
    OTHER_ACCEPT,    /* the connection is its socket, until it is closed */
    OTHER_EVENTS,    /* value: WSPEventSelect's mask */
    OTHER_TOLD       /* value: the events, waiting so many ms at most for one */
};

struct other_request {
    unsigned op;
    int level, name;
    DWORD value;
    WSAPROTOCOL_INFOW info;
    char data[64];
};

struct other_answer {
    int result, error;
    DWORD value;
    WSAPROTOCOL_INFOW info;
    char data[64];
};

#endif
