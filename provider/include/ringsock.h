/*
 * What Ringsock offers beyond Winsock, for C and C++ programs. Include winsock2.h first. Needs no
 * library: both are plain calls, which another provider refuses (WSAEOPNOTSUPP), so a program may
 * use them wherever it runs.
 *
 * Warm sends. The first message after a quiet time costs more than the others: code and data of its
 * way have left the caches. A warm send goes that way, with the bytes that the next message is
 * expected to have, and ends before anything is sent: the peer sees nothing, and nothing of the
 * socket changes. Call it from the thread that will send, a few times a second or just before the
 * message is likely. It never blocks, and transfers 0 bytes.
 *
 *     send(s, order, order_bytes, MSG_RINGSOCK_WARM);
 *
 * Connected sockets, streams and datagrams; errors are those of a send: WSAENOTCONN without a peer,
 * WSAESHUTDOWN, WSAECONNRESET, ... WSAEOPNOTSUPP with an address (sendto), or with MSG_OOB.
 */
#ifndef RINGSOCK_H
#define RINGSOCK_H

/* A flag of send, WSASend and WSPSend. */
#define MSG_RINGSOCK_WARM 0x01000000

/* The same as a command of WSAIoctl and WSPIoctl: the bytes are the input, which may be empty;
 * there is no output. */
#define SIO_RINGSOCK_WARM _WSAIOW(IOC_VENDOR, 0x5253)

#endif
