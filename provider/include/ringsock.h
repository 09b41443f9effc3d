/*
 * What Ringsock offers beyond Winsock, for C and C++ programs. Needs no library: all are plain
 * calls, which another provider refuses (WSAEOPNOTSUPP), so a program may use them wherever it
 * runs.
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
 *
 * Spin policies. A call that has to wait spins for a while, which answers soonest, and then sleeps,
 * which leaves the processor to others. How long, and whether it yields the processor between
 * looks, the dataplane's configuration says for everybody (spin_us, client_idle); a thread may say
 * otherwise for itself, and a socket for calls that wait on it. Each member counts on its own: the
 * socket's, else the thread's, else the configuration's.
 *
 *     RINGSOCK_SPIN spin = {RINGSOCK_SPIN_FOREVER, FALSE}, old;
 *     WSAIoctl(s, SIO_RINGSOCK_SPIN, &spin, sizeof(spin), &old, sizeof(old), &bytes, NULL, NULL);
 *
 * SIO_RINGSOCK_SPIN is about the socket, SIO_RINGSOCK_THREAD_SPIN about the calling thread, for all
 * of its calls; there the socket is only the way to Ringsock. Input: what shall hold from the next
 * wait on; without one (0 bytes) nothing changes. Output: what was said before; it may be left out
 * (0 bytes). At first both members are RINGSOCK_SPIN_DEFAULT; an accepted socket has what its
 * listener has, a duplicated one in another process says nothing.
 *
 * The socket's counts in connect, accept, send and receive calls and a close that lingers. select,
 * WSAPoll and the short requests of bind, setsockopt and their like go by the thread's. Overlapped
 * calls and events are served by a thread of the provider's: they go by the configuration.
 *
 * WSAEINVAL: a member out of range, or neither input nor output. WSAEFAULT: input or output is too
 * small or cannot be reached. After an error nothing has changed.
 */
#ifndef RINGSOCK_H
#define RINGSOCK_H

#include <stdint.h>

/* A flag of send, WSASend and WSPSend. */
#define MSG_RINGSOCK_WARM 0x01000000

/* The same as a command of WSAIoctl and WSPIoctl: the bytes are the input, which may be empty;
 * there is no output. */
#define SIO_RINGSOCK_WARM _WSAIOW(IOC_VENDOR, 0x5253)

#define RINGSOCK_SPIN_MOST    1000000u    /* microseconds */
#define RINGSOCK_SPIN_FOREVER 0xffffffffu /* never sleeps */
#define RINGSOCK_SPIN_DEFAULT 0xfffffffeu /* not said here */

typedef struct RINGSOCK_SPIN {
    uint32_t Microseconds; /* before it sleeps: 0 to RINGSOCK_SPIN_MOST, _FOREVER or _DEFAULT */
    uint32_t Yield;        /* between looks: TRUE, FALSE or RINGSOCK_SPIN_DEFAULT */
} RINGSOCK_SPIN;

#define SIO_RINGSOCK_SPIN        _WSAIORW(IOC_VENDOR, 0x5254)
#define SIO_RINGSOCK_THREAD_SPIN _WSAIORW(IOC_VENDOR, 0x5255)

#endif
