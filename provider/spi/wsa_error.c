/*
 * The only table that turns a status into a Winsock error code. Constant data; any thread.
 */
#include "provider/spi/spi.h"

/* RS_NOT_READY to RS_POISONED: lpErrno of a socket call has no better word for a dataplane that is
 * missing, foreign or gone than WSAENETDOWN (WSASYSNOTREADY belongs to WSPStartup alone).
 * RS_PORT_UNREACHABLE: what Windows reports on a UDP receive after ICMP port unreachable. */
static const int wsa_errors[] = {
    [RS_OK] = 0,
    [RS_WOULD_BLOCK] = WSAEWOULDBLOCK,
    [RS_IN_PROGRESS] = WSAEWOULDBLOCK,
    [RS_ALREADY] = WSAEALREADY,
    [RS_NOT_SOCKET] = WSAENOTSOCK,
    [RS_INVALID] = WSAEINVAL,
    [RS_DEST_REQUIRED] = WSAEDESTADDRREQ,
    [RS_MESSAGE_SIZE] = WSAEMSGSIZE,
    [RS_BAD_OPTION] = WSAENOPROTOOPT,
    [RS_NOT_SUPPORTED] = WSAEOPNOTSUPP,
    [RS_FAMILY_NOT_SUPPORTED] = WSAEAFNOSUPPORT,
    [RS_TYPE_NOT_SUPPORTED] = WSAESOCKTNOSUPPORT,
    [RS_ADDR_IN_USE] = WSAEADDRINUSE,
    [RS_ADDR_NOT_AVAILABLE] = WSAEADDRNOTAVAIL,
    [RS_ACCESS] = WSAEACCES,
    [RS_NET_DOWN] = WSAENETDOWN,
    [RS_NET_UNREACHABLE] = WSAENETUNREACH,
    [RS_HOST_UNREACHABLE] = WSAEHOSTUNREACH,
    [RS_PORT_UNREACHABLE] = WSAECONNRESET,
    [RS_NET_RESET] = WSAENETRESET,
    [RS_CONN_ABORTED] = WSAECONNABORTED,
    [RS_CONN_RESET] = WSAECONNRESET,
    [RS_CONN_REFUSED] = WSAECONNREFUSED,
    [RS_NO_BUFFERS] = WSAENOBUFS,
    [RS_IS_CONNECTED] = WSAEISCONN,
    [RS_NOT_CONNECTED] = WSAENOTCONN,
    [RS_SHUTDOWN] = WSAESHUTDOWN,
    [RS_TIMED_OUT] = WSAETIMEDOUT,
    [RS_INTERRUPTED] = WSAEINTR,
    [RS_TOO_MANY_SOCKETS] = WSAEMFILE,
    [RS_NOT_READY] = WSAENETDOWN,
    [RS_VERSION_MISMATCH] = WSAENETDOWN,
    [RS_NO_MEMORY] = WSAENOBUFS,
    [RS_POISONED] = WSAENETDOWN,
    [RS_DATAPLANE_GONE] = WSAENETDOWN,
    [RS_ATTACH_REFUSED] = WSAEACCES,
    [RS_CORRUPT] = WSAENETDOWN,
    [RS_OS_ERROR] = WSASYSCALLFAILURE,
    [RS_CONFIG] = WSAEINVAL,
    [RS_NOT_INITIALISED] = WSANOTINITIALISED,
};
static_assert(sizeof(wsa_errors) / sizeof(wsa_errors[0]) == RS_STATUS_COUNT,
              "every status has its WSA code");

int spi_wsa_error(enum rs_status status)
{
    return (unsigned)status < RS_STATUS_COUNT ? wsa_errors[status] : WSASYSCALLFAILURE;
}

int spi_fail(LPINT error, int code)
{
    if (spi_can_write(error, sizeof(*error))) {
        *error = code == WSAENOTSOCK && spi_hook_is_inside() ? WSAEINPROGRESS : code;
    }
    return SOCKET_ERROR;
}

int spi_fail_status(LPINT error, enum rs_status status)
{
    return spi_fail(error, spi_wsa_error(status));
}
