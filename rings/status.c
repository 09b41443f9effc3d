/*
 * Names of the statuses, for logs, tests and tools. Constant data only: any thread may call it.
 * Called by everything that prints a status; calls nothing.
 */
#include "rings/status.h"

static const char *const status_names[RS_STATUS_COUNT] = {
    [RS_OK] = "ok",
    [RS_WOULD_BLOCK] = "would block",
    [RS_IN_PROGRESS] = "in progress",
    [RS_ALREADY] = "already under way",
    [RS_NOT_SOCKET] = "no such socket",
    [RS_INVALID] = "invalid argument or state",
    [RS_DEST_REQUIRED] = "destination required",
    [RS_MESSAGE_SIZE] = "message too long",
    [RS_BAD_OPTION] = "unknown option",
    [RS_NOT_SUPPORTED] = "not supported for this socket",
    [RS_FAMILY_NOT_SUPPORTED] = "address family not supported",
    [RS_TYPE_NOT_SUPPORTED] = "socket type not supported",
    [RS_ADDR_IN_USE] = "address in use",
    [RS_ADDR_NOT_AVAILABLE] = "address not available",
    [RS_ACCESS] = "access denied",
    [RS_NET_DOWN] = "network down",
    [RS_NET_UNREACHABLE] = "network unreachable",
    [RS_HOST_UNREACHABLE] = "host unreachable",
    [RS_PORT_UNREACHABLE] = "port unreachable",
    [RS_NET_RESET] = "connection lost in the network",
    [RS_CONN_ABORTED] = "connection aborted",
    [RS_CONN_RESET] = "connection reset",
    [RS_CONN_REFUSED] = "connection refused",
    [RS_NO_BUFFERS] = "limit or pool exhausted",
    [RS_IS_CONNECTED] = "already connected",
    [RS_NOT_CONNECTED] = "not connected",
    [RS_SHUTDOWN] = "direction shut down",
    [RS_TIMED_OUT] = "timed out",
    [RS_INTERRUPTED] = "interrupted",
    [RS_TOO_MANY_SOCKETS] = "too many sockets",
    [RS_NOT_READY] = "no dataplane running",
    [RS_VERSION_MISMATCH] = "layout version mismatch",
    [RS_NO_MEMORY] = "out of memory",
    [RS_POISONED] = "session ended for breaking the protocol",
    [RS_DATAPLANE_GONE] = "dataplane ended",
    [RS_ATTACH_REFUSED] = "attach refused",
    [RS_CORRUPT] = "corrupt data",
    [RS_OS_ERROR] = "system call failed",
    [RS_CONFIG] = "configuration rejected",
    [RS_NOT_INITIALISED] = "not initialised",
};

const char *rs_status_name(enum rs_status status)
{
    unsigned int idx = (unsigned int)status;
    if (idx >= RS_STATUS_COUNT || !status_names[idx]) {
        return "unknown status";
    }
    return status_names[idx];
}
