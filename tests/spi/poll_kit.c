/* poll_kit.h. */
#include "tests/spi/poll_kit.h"

static LPFN_WSAPOLL poll_found;

LPFN_WSAPOLL poll_function(SOCKET s)
{
    GUID guid = WSAID_WSAPOLL;
    DWORD returned = 0;
    OK(TABLE->lpWSPIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &guid, sizeof(guid), &poll_found,
                         sizeof(poll_found), &returned, NULL, NULL, NULL, &spi_error));
    assert_int_equal(returned, sizeof(poll_found));
    return poll_found;
}

int poll_call(WSAPOLLFD *fds, ULONG count, INT timeout_ms)
{
    SetLastError(0);
    int result = poll_found(fds, count, timeout_ms);
    spi_error = (int)GetLastError();
    return result;
}

int poll_one(WSAPOLLFD *fd, INT timeout_ms)
{
    (void)poll_function(fd->fd);
    return poll_call(fd, 1, timeout_ms);
}
