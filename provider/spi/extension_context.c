/*
 * SO_UPDATE_ACCEPT_CONTEXT and SO_UPDATE_CONNECT_CONTEXT: a socket that AcceptEx or ConnectEx
 * connected becomes as one that accept or connect did. Any thread; slow path.
 */
#include <string.h>

#include "provider/spi/extension.h"

/* The option's value is the listening socket. */
static int context_accept(struct spi_socket *socket, const char *value, int value_bytes)
{
    SOCKET s;
    if (value_bytes < (int)sizeof(s) || !spi_can_read(value, sizeof(s))) {
        return WSAEFAULT;
    }
    memcpy(&s, value, sizeof(s));
    struct spi_socket *listener = spi_socket_get(s);
    if (listener == NULL) {
        return WSAENOTSOCK;
    }
    int code = WSAEINVAL;
    if (listener->session == socket->session) {
        code = spi_wsa_error(client_inherit(socket->core, listener->core));
    }
    if (code == 0) {
        spi_options_inherit(socket, listener);
        atomic_store_explicit(&socket->context, SPI_CONTEXT_WHOLE, memory_order_relaxed);
    }
    spi_socket_put(listener);
    return code;
}

/* Without a value. Its options were its own all along. */
static int context_connect(struct spi_socket *socket)
{
    uint64_t ignored_ns;
    enum rs_status status = client_connected_ns(socket->core, &ignored_ns);
    if (status == RS_OK && spi_context(socket) == SPI_CONTEXT_CONNECT) {
        atomic_store_explicit(&socket->context, SPI_CONTEXT_WHOLE, memory_order_relaxed);
    }
    return spi_wsa_error(status);
}

int spi_context_update(struct spi_socket *socket, int name, const char *value, int value_bytes)
{
    return name == SO_UPDATE_ACCEPT_CONTEXT ? context_accept(socket, value, value_bytes)
                                            : context_connect(socket);
}
