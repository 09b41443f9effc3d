/* Two threads on two processors, see pair.h. */
#include "bench/pair.h"

#include <stdatomic.h>
#include <stdio.h>

#include "rings/os/os.h"

enum { PAIR_STARTING, PAIR_READY, PAIR_FAILED };

struct pair {
    void (*far)(void *arg);
    void *arg;
    uint32_t core;
    _Atomic int state; /* far tells near that it runs where it should */
};

static void pair_far(void *arg)
{
    struct pair *pair = arg;
    if (os_thread_pin(pair->core) != RS_OK) {
        atomic_store(&pair->state, PAIR_FAILED);
        return;
    }
    atomic_store(&pair->state, PAIR_READY);
    pair->far(pair->arg);
}

uint64_t pair_run(struct bench_context *context, void (*near)(void *arg), void (*far)(void *arg),
                  void *arg)
{
    struct pair pair = {.far = far, .arg = arg, .core = context->core_far, .state = PAIR_STARTING};
    struct os_thread thread;
    if (os_thread_start(&thread, pair_far, &pair, "bench-far") != RS_OK) {
        (void)snprintf(context->error, sizeof(context->error), "second thread: %s",
                       os_last_error_text());
        return 0;
    }
    while (atomic_load(&pair.state) == PAIR_STARTING) {
        os_yield();
    }
    if (atomic_load(&pair.state) == PAIR_FAILED) {
        os_thread_join(&thread);
        (void)snprintf(context->error, sizeof(context->error), "cannot run on processor %u",
                       context->core_far);
        return 0;
    }
    uint64_t start_ns = os_monotonic_ns();
    near(arg);
    uint64_t elapsed_ns = os_monotonic_ns() - start_ns;
    os_thread_join(&thread);
    return elapsed_ns != 0 ? elapsed_ns : 1;
}
