/*
 * AcceptEx's addresses. Any thread.
 */
#include <string.h>

#include "provider/spi/extension.h"

/* One slot. NULL and 0 when there is none: the buffer was not AcceptEx's. */
static struct sockaddr *slot_read(char *slot, DWORD slot_bytes, INT *length)
{
    INT stored = 0;
    *length = 0;
    if (slot_bytes < SPI_ACCEPT_SLOT_HEAD_BYTES || !spi_can_read(slot, slot_bytes)) {
        return NULL;
    }
    memcpy(&stored, slot, sizeof(stored));
    if (stored <= 0 || (DWORD)stored > slot_bytes - SPI_ACCEPT_SLOT_HEAD_BYTES) {
        return NULL;
    }
    *length = stored;
    return (struct sockaddr *)(slot + SPI_ACCEPT_SLOT_HEAD_BYTES);
}

void WINAPI spi_get_accept_ex_sockaddrs(PVOID output, DWORD data_bytes, DWORD local_bytes,
                                        DWORD remote_bytes, struct sockaddr **local,
                                        LPINT local_length, struct sockaddr **remote,
                                        LPINT remote_length)
{
    char *slots = (char *)output + data_bytes;
    if (output == NULL || !spi_can_write(local, sizeof(struct sockaddr *)) ||
        !spi_can_write(local_length, sizeof(*local_length)) ||
        !spi_can_write(remote, sizeof(struct sockaddr *)) ||
        !spi_can_write(remote_length, sizeof(*remote_length))) {
        return; /* all of them must be given, and there is no word for an error */
    }
    *local = slot_read(slots, local_bytes, local_length);
    *remote = slot_read(slots + local_bytes, remote_bytes, remote_length);
}
