/*
 * What the cases of extension functions share: finding them, their way to report errors, files to
 * transmit, another thread that reads or closes. Test thread, unless said otherwise.
 */
#ifndef RINGSOCK_TESTS_SPI_EXT_KIT_H
#define RINGSOCK_TESTS_SPI_EXT_KIT_H

#include "tests/spi/stream_kit.h"

/* The function with this GUID, as any socket gives it. Fails when there is none. */
void ext_find(GUID id, void *function, DWORD function_bytes);
#define EXT_FUNCTION(type, name, id)                 \
    static type name(void)                           \
    {                                                \
        static type function;                        \
        const GUID guid = id;                        \
        ext_find(guid, &function, sizeof(function)); \
        return function;                             \
    }

#define EXT_OK(call)                                                                    \
    do {                                                                                \
        if (!(call)) {                                                                  \
            fail_msg("%s failed with error %lu", #call, (unsigned long)GetLastError()); \
        }                                                                               \
    } while (0)
#define EXT_FAILS(code, call)                                                                    \
    do {                                                                                         \
        SetLastError(0);                                                                         \
        if (call) {                                                                              \
            fail_msg("%s succeeded, %s expected", #call, #code);                                 \
        }                                                                                        \
        if (GetLastError() != (DWORD)(code)) {                                                   \
            fail_msg("%s: error %lu, %s expected", #call, (unsigned long)GetLastError(), #code); \
        }                                                                                        \
    } while (0)

/* ---- overlapped calls ---- */

struct ext_op {
    OVERLAPPED o; /* with an event of its own */
    DWORD bytes;  /* of the completion */
};
void ext_op_make(struct ext_op *op);
void ext_op_drop(struct ext_op *op);
/* The call has begun: TRUE, or WSA_IO_PENDING. */
#define EXT_BEGINS(call)                                                                \
    do {                                                                                \
        SetLastError(0);                                                                \
        if (!(call) && GetLastError() != WSA_IO_PENDING) {                              \
            fail_msg("%s failed with error %lu", #call, (unsigned long)GetLastError()); \
        }                                                                               \
    } while (0)
bool ext_op_pending(const struct ext_op *op);
/* Waits, at most 10 s, until the operation of the socket has ended, with this code. */
void ext_op_ends(SOCKET s, struct ext_op *op, int code);
/* Likewise, of a socket that is closed. */
void ext_op_aborted(struct ext_op *op);
/* A completion port for the socket; the next packet of it, at most 10 s. */
HANDLE ext_port(SOCKET s, ULONG_PTR key);
struct ext_op *ext_port_next(HANDLE port, ULONG_PTR *key, DWORD *bytes);

/* A file of so many bytes of a pattern, which ends with its handle. flags: FILE_FLAG_*. */
HANDLE ext_file(DWORD bytes, DWORD flags);
HANDLE ext_file_writable(void); /* an empty one */
char ext_byte(DWORD position);  /* of the pattern */
/* Receives exactly these bytes of the pattern. */
void ext_expect(SOCKET s, DWORD position, DWORD bytes);

/* ---- another thread, at the other end of a connection ---- */

struct ext_peer {
    SOCKET s;
    /* Closes it when the end has come; else it goes on reading only. It forgets what it reads. */
    bool closes;
    bool resets; /* waits for the end and resets */
    /* out */
    DWORD bytes; /* read */
    int error;   /* of the receive that found no more; 0: the end */
    HANDLE thread;
};
void ext_peer_begin(struct ext_peer *peer);
/* Waits for its end, at most 10 s. */
void ext_peer_finish(struct ext_peer *peer);

#endif
