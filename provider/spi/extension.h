/*
 * Functions of the provider that a program has by asking for their addresses (WSAIoctl), not
 * through the procedure table. The program calls them directly, so they keep Winsock's convention:
 * FALSE or SOCKET_ERROR, and the reason in the thread's last error. Any thread.
 */
#ifndef RINGSOCK_PROVIDER_SPI_EXTENSION_H
#define RINGSOCK_PROVIDER_SPI_EXTENSION_H

#include "provider/spi/overlapped.h"

/* 0xc8000024; the headers of MinGW-w64 have no name for it. */
#ifndef SIO_GET_MULTIPLE_EXTENSION_FUNCTION_POINTER
#define SIO_GET_MULTIPLE_EXTENSION_FUNCTION_POINTER _WSAIORW(IOC_WS2, 36)
#endif

/* SIO_GET_EXTENSION_FUNCTION_POINTER and its like for several (code says which): the answer to the
 * GUID that `in` has. 0 with what is to be copied out; WSAEFAULT; WSAEINVAL: no such function. */
int spi_extension_find(DWORD code, const void *in, DWORD in_bytes, const void **answer,
                       DWORD *answer_bytes);

/* ---- operations (extension_step.c) ---- */

/* Begins a structure that step and drop of op know; drop gives back the socket, too. */
struct spi_step {
    struct spi_op op;
    struct spi_socket *socket; /* referenced */
};

/* Runs it as the call asks: overlapped, or until it is through, in its turn among the operations of
 * the socket. Takes it over. Returns 0 or the last error, which may be WSA_IO_PENDING; *transferred
 * (may be NULL) is set when it is through. */
int spi_step_start(struct spi_step *step, LPOVERLAPPED overlapped, LPDWORD transferred);
/* Ends the sending side (once: begun); with reuse, waits until the other side has ended, too, and
 * all is read, as TransmitFile's page says, and lets the socket be used again. */
int spi_disconnect_step(struct spi_socket *socket, bool *begun, bool reuse, uint32_t *want);

/* WSPRecv took something: a disconnect may wait for that. */
void spi_disconnect_read(struct spi_socket *socket);

/* 0 to TRUE; else FALSE, and the last error is set. */
WINBOOL spi_extension_result(int code);
/* The handle's record, referenced; NULL with the error. */
struct spi_socket *spi_extension_socket(SOCKET s, int *code);

/* ---- extension_connect.c, extension_transmit.c ---- */

WINBOOL WINAPI spi_connect_ex(SOCKET s, const struct sockaddr *name, int name_bytes, PVOID data,
                              DWORD data_bytes, LPDWORD sent, LPOVERLAPPED overlapped);
WINBOOL WINAPI spi_disconnect_ex(SOCKET s, LPOVERLAPPED overlapped, DWORD flags, DWORD reserved);
WINBOOL WINAPI spi_transmit_file(SOCKET s, HANDLE file, DWORD file_bytes, DWORD send_bytes,
                                 LPOVERLAPPED overlapped, LPTRANSMIT_FILE_BUFFERS buffers,
                                 DWORD flags);
WINBOOL WINAPI spi_transmit_packets(SOCKET s, LPTRANSMIT_PACKETS_ELEMENT elements, DWORD count,
                                    DWORD send_bytes, LPOVERLAPPED overlapped, DWORD flags);

/* ---- extension_accept.c ---- */

/* AcceptEx's output buffer: the data, then a slot for each address: its length, eight bytes on the
 * address itself. mswsock.h asks for 16 bytes more than an address has. */
#define SPI_ACCEPT_SLOT_HEAD_BYTES 8u
#define SPI_ACCEPT_SLOT_MORE_BYTES 16u

WINBOOL WINAPI spi_accept_ex(SOCKET s, SOCKET accepting, PVOID output, DWORD data_bytes,
                             DWORD local_bytes, DWORD remote_bytes, LPDWORD received,
                             LPOVERLAPPED overlapped);
/* Something happened to the socket, its end too, that an AcceptEx under way may wait for. */
void spi_accept_ready(struct spi_socket *socket);

void WINAPI spi_get_accept_ex_sockaddrs(PVOID output, DWORD data_bytes, DWORD local_bytes,
                                        DWORD remote_bytes, struct sockaddr **local,
                                        LPINT local_length, struct sockaddr **remote,
                                        LPINT remote_length);

#endif
