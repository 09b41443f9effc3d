/* client_alloc.h on the C library. calloc gives no alignment of 64, so the block is larger and the
 * address that free wants lies in the word before the one handed out. */
#include <stdint.h>
#include <stdlib.h>

#include "provider/client/client_alloc.h"
#include "rings/layout.h"

void *client_alloc(size_t count, size_t bytes)
{
    if (bytes != 0 && count > (SIZE_MAX - 2 * RS_LINE_BYTES) / bytes) {
        return NULL;
    }
    unsigned char *block = calloc(1, count * bytes + 2 * RS_LINE_BYTES);
    if (block == NULL) {
        return NULL;
    }
    size_t misalign = (uintptr_t)block % RS_LINE_BYTES;
    /* At least a line behind the start of the block: room for the word. */
    unsigned char *result = block + 2 * RS_LINE_BYTES - misalign;
    ((void **)(void *)result)[-1] = block;
    return result;
}

void client_free(void *memory)
{
    if (memory != NULL) {
        free(((void **)memory)[-1]);
    }
}
