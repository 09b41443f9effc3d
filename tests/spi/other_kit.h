/*
 * What the cases of WSPDuplicateSocket share: the other process (other.h), and descriptors made
 * here. Main thread, cmocka's asserts.
 */
#ifndef RINGSOCK_TESTS_SPI_OTHER_KIT_H
#define RINGSOCK_TESTS_SPI_OTHER_KIT_H

#include "tests/spi/other.h"
#include "tests/spi/spi_test.h"

extern struct other_process {
    HANDLE process, to, from;
    DWORD id;
} other; /* while it runs */

void other_start(void);
/* It is gone when this returns; kill: before it can see that its input ends. */
void other_end(bool kill);
struct other_answer other_ask(const struct other_request *request);
/* The value of an answer that is no error. */
DWORD other_do(unsigned op, int level, int name, DWORD value);
/* 0: none. */
int other_error(unsigned op, DWORD value);
struct other_answer other_open(const WSAPROTOCOL_INFOW *info);
void other_send(const char *text);
void other_expect(const char *text);

/* WSPDuplicateSocket, WSPSocket with what it gave, and both in this process. */
WSAPROTOCOL_INFOW duplicate_info(SOCKET s, DWORD process_id);
SOCKET duplicate_open(WSAPROTOCOL_INFOW *info);
SOCKET duplicate_here(SOCKET s);

#endif
