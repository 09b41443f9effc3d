/*
 * WSPGetQOSByName of a provider without a template: the list of names is empty, and no name is one.
 * Any thread.
 */
#include "provider/spi/spi.h"

static int qos_answer(const WSABUF *name, QOS *qos)
{
    if (!spi_can_read(name, sizeof(*name))) {
        return WSAEFAULT;
    }
    const WSABUF copy = *name;
    WCHAR *text = (WCHAR *)(void *)copy.buf;
    if (copy.len < sizeof(*text) || !spi_can_read(text, sizeof(*text))) {
        return WSAEFAULT;
    }
    if (*text != L'\0') {
        return spi_can_write(qos, sizeof(*qos)) ? WSAEINVAL : WSAEFAULT;
    }
    /* The list that is asked for ends with an empty name, which is all there is. */
    if (!spi_can_write(text, sizeof(*text))) {
        return WSAEFAULT;
    }
    *text = L'\0';
    return 0;
}

WINBOOL WSPAPI spi_get_qos_by_name(SOCKET s, LPWSABUF name, LPQOS qos, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        (void)spi_fail(error, WSAENOTSOCK);
        return FALSE;
    }
    int code = qos_answer(name, qos);
    spi_socket_put(socket);
    if (code != 0) {
        (void)spi_fail(error, code);
    }
    return code == 0;
}
