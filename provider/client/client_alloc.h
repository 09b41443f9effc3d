/*
 * The heap of the client core. Which one it is is chosen in CMake: alloc_mimalloc.c (the DLL keeps
 * its own heap, apart from the program's) or alloc_libc.c (sanitizer builds). Slow paths only; any
 * thread.
 */
#ifndef RINGSOCK_PROVIDER_CLIENT_ALLOC_H
#define RINGSOCK_PROVIDER_CLIENT_ALLOC_H

#include <stddef.h>

/* count × bytes zeroed bytes at an address that is a multiple of 64; NULL when there is no memory.
 */
void *client_alloc(size_t count, size_t bytes);
void client_free(void *memory); /* NULL is harmless */

#endif
