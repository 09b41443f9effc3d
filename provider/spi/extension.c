/*
 * From a GUID to an extension function. One table; a row is all that a new function needs. Any
 * thread; slow path, called by ioctl.c.
 */
#include <string.h>

#include "provider/spi/extension.h"
#include "provider/spi/message.h"

struct extension_row {
    DWORD code; /* the command that asks for it */
    GUID id;
    const void *answer; /* a pointer to the function, or a structure of them */
    DWORD answer_bytes;
};

/* type: the function's LPFN type, so that a wrong signature does not compile. */
#define EXTENSION(id, type, function)                                                 \
    {                                                                                 \
        SIO_GET_EXTENSION_FUNCTION_POINTER, id, &(const type){function}, sizeof(type) \
    }

static const struct extension_row extension_rows[] = {
    EXTENSION(WSAID_ACCEPTEX, LPFN_ACCEPTEX, spi_accept_ex),
    EXTENSION(WSAID_CONNECTEX, LPFN_CONNECTEX, spi_connect_ex),
    EXTENSION(WSAID_DISCONNECTEX, LPFN_DISCONNECTEX, spi_disconnect_ex),
    EXTENSION(WSAID_GETACCEPTEXSOCKADDRS, LPFN_GETACCEPTEXSOCKADDRS, spi_get_accept_ex_sockaddrs),
    EXTENSION(WSAID_TRANSMITFILE, LPFN_TRANSMITFILE, spi_transmit_file),
    EXTENSION(WSAID_TRANSMITPACKETS, LPFN_TRANSMITPACKETS, spi_transmit_packets),
    EXTENSION(WSAID_WSAPOLL, LPFN_WSAPOLL, spi_poll),
    EXTENSION(WSAID_WSARECVMSG, LPFN_WSARECVMSG, spi_recv_msg),
    EXTENSION(WSAID_WSASENDMSG, LPFN_WSASENDMSG, spi_send_msg),
};

int spi_extension_find(DWORD code, const void *in, DWORD in_bytes, const void **answer,
                       DWORD *answer_bytes)
{
    GUID id;
    if (in_bytes < sizeof(id) || !spi_can_read(in, sizeof(id))) {
        return WSAEFAULT;
    }
    memcpy(&id, in, sizeof(id));
    for (size_t i = 0; i < sizeof(extension_rows) / sizeof(extension_rows[0]); i++) {
        const struct extension_row *row = &extension_rows[i];
        if (row->code == code && memcmp(&row->id, &id, sizeof(id)) == 0) {
            *answer = row->answer;
            *answer_bytes = row->answer_bytes;
            return 0;
        }
    }
    return WSAEINVAL; /* WSAIoctl's page: an input parameter that is not acceptable */
}
