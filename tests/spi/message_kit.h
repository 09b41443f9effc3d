/*
 * What the cases of WSARecvMsg and WSASendMsg share: the two functions, a message with room for
 * everything, and its control data written and read by the documented macros. Test thread.
 */
#ifndef RINGSOCK_TESTS_SPI_MESSAGE_KIT_H
#define RINGSOCK_TESTS_SPI_MESSAGE_KIT_H

#include "provider/spi/option_names.h"
#include "tests/spi/spi_test.h"

#define MESSAGE_BYTES 512u

/* WSA_CMSG_SPACE; the headers' own mixes signs. */
#define MESSAGE_ALIGN(bytes) \
    (((bytes) + TYPE_ALIGNMENT(WSACMSGHDR) - 1) & ~((size_t)TYPE_ALIGNMENT(WSACMSGHDR) - 1))
#define MESSAGE_SPACE(bytes) MESSAGE_ALIGN((size_t)WSA_CMSG_LEN(0) + (size_t)(bytes))
_Static_assert(MESSAGE_SPACE(4) == WSA_CMSG_SPACE(4) && MESSAGE_SPACE(8) == WSA_CMSG_SPACE(8),
               "as the headers have it");

struct message {
    WSAMSG msg;
    WSABUF buffer;
    SOCKADDR_IN name;
    DWORD bytes; /* received or sent */
    char data[MESSAGE_BYTES];
    _Alignas(16) char control[MESSAGE_BYTES];
};

/* Room for a name, data and control data; dwFlags 0. */
void message_clear(struct message *message);
/* One call; bytes and spi_error are set. */
int message_recv(SOCKET s, struct message *message);
int message_send(SOCKET s, struct message *message);
int message_send_flags(SOCKET s, struct message *message, DWORD flags);
/* Overlapped when overlapped is not NULL. */
int message_recv_over(SOCKET s, struct message *message, LPWSAOVERLAPPED overlapped,
                      LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);
int message_send_over(SOCKET s, struct message *message, LPWSAOVERLAPPED overlapped,
                      LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);
LPFN_WSARECVMSG message_recv_function(void);
LPFN_WSASENDMSG message_send_function(void);
/* A message of these bytes to *to (NULL: the peer), without control data; more is added behind what
 * there is. */
void message_make(struct message *message, const void *data, DWORD data_bytes,
                  const SOCKADDR_IN *to);
void message_add(struct message *message, int level, int type, const void *data, DWORD data_bytes);
void message_add_int(struct message *message, int level, int type, INT value);
/* Control data of this kind that came: its address, NULL when there is none; it must have so many
 * bytes, and come once. */
const void *message_find(const struct message *message, int level, int type, DWORD data_bytes);
DWORD message_objects(const struct message *message);
INT message_int(const struct message *message, int level, int type); /* there is one */
IN_PKTINFO message_pktinfo(const struct message *message);

int message_timestamping(SOCKET s, ULONG flags, USHORT buffered);
int message_tx_timestamp(SOCKET s, UINT32 id, UINT64 *qpc);
UINT64 message_qpc(void);

#endif
