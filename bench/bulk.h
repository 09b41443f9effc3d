/*
 * The bytes of the bulk benches: a block that both sides know, sent from another place in it each
 * time, so that bytes which come in the wrong order are seen. Nothing is computed while it is
 * measured but the comparison of what arrived. Pure functions but bulk_prepare; any thread.
 */
#ifndef RINGSOCK_BENCH_BULK_H
#define RINGSOCK_BENCH_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BULK_BLOCK_BYTES = 64 * 1024 }; /* of one send or receive call, at most */

/* The bytes of the stream from `position` on, bulk_bytes of them. */
const uint8_t *bulk_at(uint64_t position);
/* What a call at `position` asks for: up to the end of its block. */
size_t bulk_bytes(uint64_t position, uint64_t total_bytes);
bool bulk_check(const uint8_t *got, uint64_t position, size_t bytes);
/* Fills the block. Before the others. */
void bulk_prepare(void);

#endif
