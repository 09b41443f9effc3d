/*
 * What CreateIoCompletionPort is to the differential test's two programs: the only call that is not
 * Winsock's and yet takes a socket (DIFF_HOST: the host's; else the system's).
 */
#include "tests/spi/diff.h"

#ifdef DIFF_HOST
#include "provider/host/host.h"
#endif

HANDLE diff_completion_port(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads)
{
#ifdef DIFF_HOST
    return host_completion_port(file, port, key, threads);
#else
    return CreateIoCompletionPort(file, port, key, threads);
#endif
}
