/*
 * What the SPI tests share: cases that register themselves by the function and the documented rule
 * they hold, and the provider called as ws2_32 calls it, through the table. Test thread, unless
 * said otherwise.
 */
#ifndef RINGSOCK_TESTS_SPI_SPI_TEST_H
#define RINGSOCK_TESTS_SPI_SPI_TEST_H

#include <winsock2.h>
#include <ws2tcpip.h>

#include <mstcpip.h>
#include <mswsock.h>

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "provider/host/host.h"

/* ---- cases ---- */

typedef void (*spi_case_run)(void **state);
void spi_case_add(const char *function, const char *rule, spi_case_run run);
/* One of a table's: while it runs, spi_case_context is context. The texts are kept by reference. */
void spi_case_add_row(const char *function, const char *rule, spi_case_run run,
                      const void *context);
extern const void *spi_case_context;

#define CASE(function, id, rule)                                 \
    static void id(void **state);                                \
    __attribute__((constructor)) static void id##_register(void) \
    {                                                            \
        spi_case_add(#function, rule, id);                       \
    }                                                            \
    static void id(void **state __attribute__((unused)))

/* ---- the provider: provider_dll.c or provider_fake.c ---- */

/* Loads, does not start it. 0 or an error. */
int spi_load(struct host_provider *out);
void spi_unload(void); /* behind the last WSPCleanup */

/* ---- calls ---- */

extern struct host_provider provider; /* loaded; started while cases run */
#define TABLE (&provider.table)
/* lpErrno of the call under test. */
extern int spi_error;

#define OK(call)                                                   \
    do {                                                           \
        spi_error = 0;                                             \
        if ((call) == SOCKET_ERROR) {                              \
            fail_msg("%s failed with error %d", #call, spi_error); \
        }                                                          \
    } while (0)
#define FAILS(code, call)                                                   \
    do {                                                                    \
        spi_error = 0;                                                      \
        if ((call) != SOCKET_ERROR) {                                       \
            fail_msg("%s succeeded, %s expected", #call, #code);            \
        }                                                                   \
        if (spi_error != (code)) {                                          \
            fail_msg("%s: error %d, %s expected", #call, spi_error, #code); \
        }                                                                   \
    } while (0)

/* ---- sockets; closed at the end of the case ---- */

SOCKET spi_new(DWORD flags); /* UDP, as WSASocketW makes it, nothing set */
SOCKET spi_new_of(int type, int protocol, DWORD flags);
void spi_keep(SOCKET s);           /* one that the case got elsewhere */
SOCKET spi_udp(void);              /* overlapped flag, receives time out after 5 s */
SOCKET spi_bound(SOCKADDR_IN *at); /* on 127.0.0.1, its address in *at */
SOCKADDR_IN spi_gone(void);        /* of a socket that was closed: nobody has it */
void spi_forget(SOCKET s);         /* the case closed it itself */
void spi_forget_all(void);         /* WSPCleanup did */

/* A thread's start: closes *(SOCKET *)socket when a call has had time to wait on it. */
DWORD WINAPI spi_close_later(void *socket);

SOCKADDR_IN spi_at(const char *ip, unsigned port);
SOCKADDR_IN spi_name(SOCKET s);
int spi_bind_at(SOCKET s, const SOCKADDR_IN *at);
int spi_connect_to(SOCKET s, const SOCKADDR_IN *to);
/* One buffer. Result of the call, error in spi_error. */
int spi_send_one(SOCKET s, const void *data, DWORD length_bytes, DWORD flags, DWORD *sent);
int spi_send_to_one(SOCKET s, const void *data, DWORD length_bytes, const SOCKADDR_IN *to);
int spi_recv_one(SOCKET s, void *data, DWORD length_bytes, DWORD *flags, DWORD *received);
int spi_recv_from_one(SOCKET s, void *data, DWORD length_bytes, SOCKADDR_IN *from, DWORD *received);
/* FIONBIO. */
void spi_nonblocking(SOCKET s);
int spi_set_dword(SOCKET s, int level, int name, DWORD value);
DWORD spi_get_dword(SOCKET s, int level, int name);
int spi_ioctl_in(SOCKET s, DWORD code, DWORD value);
/* Waits (bounded) until a datagram is there. */
void spi_await_readable(SOCKET s);

/* An address nobody may read; one page that may be read only. */
void *spi_bad_pointer(void);
void *spi_read_only_page(void);

/* The own addresses of the dataplane that tests/spi/run starts: the primary one, another one in its
 * network, one in another network. */
#define SPI_OWN   "10.77.0.1"
#define SPI_OWN_B "10.77.0.9"
#define SPI_OWN_C "10.78.0.1"

#endif
