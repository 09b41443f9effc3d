/*
 * Functions of the provider that a program has by asking for their addresses (WSAIoctl), not
 * through the procedure table. The program calls them directly, so they keep Winsock's convention:
 * FALSE or SOCKET_ERROR, and the reason in the thread's last error. Any thread.
 */
#ifndef RINGSOCK_PROVIDER_SPI_EXTENSION_H
#define RINGSOCK_PROVIDER_SPI_EXTENSION_H

#include "provider/spi/spi.h"

/* 0xc8000024; the headers of MinGW-w64 have no name for it. */
#ifndef SIO_GET_MULTIPLE_EXTENSION_FUNCTION_POINTER
#define SIO_GET_MULTIPLE_EXTENSION_FUNCTION_POINTER _WSAIORW(IOC_WS2, 36)
#endif

/* SIO_GET_EXTENSION_FUNCTION_POINTER and its like for several (code says which): the answer to the
 * GUID that `in` has. 0 with what is to be copied out; WSAEFAULT; WSAEINVAL: no such function. */
int spi_extension_find(DWORD code, const void *in, DWORD in_bytes, const void **answer,
                       DWORD *answer_bytes);

/* ---- extension_accept.c ---- */

/* AcceptEx's output buffer: the data, then a slot for each address: its length, eight bytes on the
 * address itself. mswsock.h asks for 16 bytes more than an address has. */
#define SPI_ACCEPT_SLOT_HEAD_BYTES 8u
#define SPI_ACCEPT_SLOT_MORE_BYTES 16u

void WINAPI spi_get_accept_ex_sockaddrs(PVOID output, DWORD data_bytes, DWORD local_bytes,
                                        DWORD remote_bytes, struct sockaddr **local,
                                        LPINT local_length, struct sockaddr **remote,
                                        LPINT remote_length);

#endif
