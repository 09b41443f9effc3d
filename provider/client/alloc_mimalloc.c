/* client_alloc.h on mimalloc. */
#include <mimalloc.h>

#include "provider/client/client_alloc.h"
#include "rings/layout.h"

void *client_alloc(size_t count, size_t bytes)
{
    return mi_calloc_aligned(count, bytes, RS_LINE_BYTES);
}

void client_free(void *memory)
{
    mi_free(memory);
}
