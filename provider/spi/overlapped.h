/*
 * Overlapped operations. An operation is made by the file that knows what it does (io.c and the
 * like), with `op` as its first member, and handed over with spi_op_submit. Operations of one
 * socket and direction are carried out in the order they were submitted: only the first one in its
 * queue is stepped, by the thread that submits it and later by the helper.
 */
#ifndef RINGSOCK_PROVIDER_SPI_OVERLAPPED_H
#define RINGSOCK_PROVIDER_SPI_OVERLAPPED_H

#include "provider/spi/spi.h"

#define SPI_OP_PENDING (-1)
/* A step takes no more of the program's memory at a time: what it takes is to be checked before,
 * page by page, and all that is left of a large operation would be checked again in every step. */
#define SPI_STEP_BYTES (1u << 20)

struct spi_op {
    /* The maker's: */
    enum spi_way way;
    uint32_t want; /* RS_LEVEL_*, CLIENT_POLL_*: when the next step is worth while; may change in a
                      step. 0 (SPI_WAY_OTHER): somebody else says so by spi_helper_look */
    /*
     * Tries, without blocking, on any thread but one at a time. SPI_OP_PENDING, or the final code,
     * 0 for success; then *transferred and *flags (both 0 before) are what the completion says.
     * Steps behind the first find helped == true: the program's memory may be gone, check it again.
     */
    int (*step)(struct spi_op *op, DWORD *transferred, DWORD *flags);
    void (*aborted)(struct spi_op *op); /* before notice of an end that no step brought; or NULL */
    void (*drop)(struct spi_op *op);    /* gives the memory back; NULL: mi_free(op) */
    LPWSAOVERLAPPED overlapped;
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine; /* NULL: event or port */
    LPWSATHREADID thread;                       /* whose routine; read by spi_op_submit only */
    SOCKET s;
    bool part_counts;  /* bytes that went cannot be taken back: they count where it cannot go on */
    bool offset_stays; /* Offset and OffsetHigh are the program's (TransmitFile): only an error that
                          is told is stored there */
    /* overlapped.c's: */
    struct spi_socket
        *socket; /* set before the first step; lives as long as the operation is queued */
    bool queued;
    struct spi_op *next;
    WSATHREADID thread_id;
    bool thread_ours; /* opened by us, to be closed */
    bool helped;
    bool reset_due;    /* its event was not reset yet */
    HANDLE done_event; /* a synchronous call waits: no other notice */
    int code;
    DWORD transferred, flags;
};

/* Takes the operation over, whatever happens. 0: it is done, and notice is given as if it had been
 * pending; *transferred and *flags (both may be NULL) were set before. Else SOCKET_ERROR:
 * WSA_IO_PENDING, or another error in *error, and no notice will come. The caller holds the socket.
 */
int spi_op_submit(struct spi_socket *socket, struct spi_op *op, LPDWORD transferred, LPDWORD flags,
                  LPINT error);
/* A blocking call that has operations before it: waits its turn, and until it is done, at most
 * timeout_ms (0: for ever). Takes the operation over. 0 or the error: WSAETIMEDOUT, WSAEINTR when
 * the socket is closed meanwhile or the thread's blocking hook ends it. */
int spi_op_wait(struct spi_socket *socket, struct spi_op *op, DWORD timeout_ms, LPDWORD transferred,
                LPDWORD flags);
/* One that nobody has notice of: overlapped and routine are NULL. Takes it over. 0: it is queued,
 * or its step said 0; else what the step or the helper's start said. */
int spi_op_leave(struct spi_socket *socket, struct spi_op *op);
/* Notice of a call that was done synchronously and had an overlapped structure or a routine. 0 or
 * an error of the arguments; WSAENOTSOCK: the socket was closed meanwhile. The caller holds it. */
int spi_op_done(struct spi_socket *socket, SOCKET s, LPWSAOVERLAPPED overlapped,
                LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread,
                DWORD transferred);
/* Before the handle of the socket goes back: all end with WSA_OPERATION_ABORTED, and no new one is
 * taken. */
void spi_ops_abort(struct spi_socket *socket);
/* Something of the socket has changed that the dataplane may not tell of. */
void spi_ops_poke(struct spi_socket *socket);
/* Helper: steps what is first in the socket's queues. */
void spi_overlapped_ready(struct spi_socket *socket);
/* Any thread: steps them in this queue, also one that is being submitted. */
void spi_ops_step(struct spi_socket *socket, enum spi_way way);
void spi_overlapped_init(void); /* WSPStartup: finds WPUCompleteOverlappedRequest */

#endif
