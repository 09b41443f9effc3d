/*
 * The host's socket handles, which a case may make run out (linked with --wrap=host_handle_create).
 */
#include "tests/spi/stream_kit.h"

int host_refuses_handles;
void (*host_handle_made)(void);

/* --wrap gives the names. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
SOCKET __real_host_handle_create(DWORD catalog_id, DWORD_PTR context, int *error);
SOCKET __wrap_host_handle_create(DWORD catalog_id, DWORD_PTR context, int *error);
/* NOLINTEND(bugprone-reserved-identifier) */

SOCKET __wrap_host_handle_create(DWORD catalog_id, DWORD_PTR context, int *error)
{
    if (host_refuses_handles != 0) {
        *error = host_refuses_handles;
        return INVALID_SOCKET;
    }
    SOCKET s = __real_host_handle_create(catalog_id, context, error);
    if (host_handle_made != NULL) {
        host_handle_made();
    }
    return s;
}
