/*
 * The two fences of the shared-memory protocol that are not part of a load or store. Pure; any
 * thread. Every use names the store and the load it keeps apart, and the partner that does the
 * mirror image.
 */
#ifndef RINGSOCK_RINGS_FENCE_H
#define RINGSOCK_RINGS_FENCE_H

#include <stdatomic.h>

/* Store-load fence: stores before it are visible to all before any load after it is done. Release
 * and acquire do not give this. */
static inline void rs_fence_full(void)
{
#if defined(__SANITIZE_THREAD__) && defined(__GNUC__) && !defined(__clang__)
/* TSan does not model fences, and GCC says so. Nothing here relies on a fence for happens-before:
 * each is beside release stores and acquire loads. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
    atomic_thread_fence(memory_order_seq_cst);
#pragma GCC diagnostic pop
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Compiler fence after a copy out of shared memory: the compiler may not read the original again
 * where the code uses the copy. */
static inline void rs_fence_copied(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

#endif
