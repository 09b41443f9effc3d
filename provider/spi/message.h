/*
 * What io.c and message.c share: WSABUFs as the core's vectors; and what message.c gives to
 * options.c, ioctl.c and extension.c. Any thread.
 */
#ifndef RINGSOCK_PROVIDER_SPI_MESSAGE_H
#define RINGSOCK_PROVIDER_SPI_MESSAGE_H

#include "provider/spi/spi.h"

#define SPI_VECTOR_LOCAL 16u /* buffers that need no allocation */

struct spi_vector {
    struct client_iov *items;
    uint32_t count;
    struct client_iov local[SPI_VECTOR_LOCAL];
};

/* io.c: copies the WSABUFs once and checks what they name. 0 or the error; then nothing to drop. */
int spi_vector_take(struct spi_vector *vector, const WSABUF *buffers, DWORD count, bool write);
void spi_vector_drop(struct spi_vector *vector);

/* Where a send without an address goes: WSPJoinLeaf's group, or NULL, the peer. */
static inline const struct rs_addr *spi_leaf(const struct spi_socket *socket, struct rs_addr *leaf)
{
    uint64_t joined = atomic_load_explicit(&socket->leaf, memory_order_relaxed);
    if (joined == 0) {
        return NULL;
    }
    *leaf = rs_addr_v4((uint32_t)(joined >> 16), (uint16_t)joined);
    return leaf;
}

/* WSARecvMsg and WSASendMsg (extension functions; the reason in the thread's last error). */
INT WSAAPI spi_recv_msg(SOCKET s, LPWSAMSG msg, LPDWORD received, LPWSAOVERLAPPED overlapped,
                        LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);
INT WSAAPI spi_send_msg(SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD sent,
                        LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);

/* Options that decide which control data WSARecvMsg gives: IP_PKTINFO and the like. False: the name
 * is none of them. *code: 0 or the error. */
bool spi_message_option_set(struct spi_socket *socket, int name, const char *value, int value_bytes,
                            int *code);
bool spi_message_option_get(const struct spi_socket *socket, int name, char *value,
                            LPINT value_bytes, int *code);
/* SIO_TIMESTAMPING. 0 or the error. */
int spi_message_timestamping(struct spi_socket *socket, const TIMESTAMPING_CONFIG *config);
/* SIO_GET_TX_TIMESTAMP: *qpc in ticks of QueryPerformanceCounter. 0, WSAEWOULDBLOCK, ... */
int spi_message_tx_timestamp(struct spi_socket *socket, uint32_t id, uint64_t *qpc);

/* qpc.c: a value of the time-stamp counter of the recent past as QueryPerformanceCounter would have
 * given it then. */
uint64_t spi_qpc_from_tsc(const struct client *client, uint64_t tsc);

#endif
