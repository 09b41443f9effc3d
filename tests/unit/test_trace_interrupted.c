/*
 * dataplane/trace.h: a reader that is stopped between any two of its instructions while every
 * record is overwritten still gets whole records only. The writer is a signal handler on the
 * reader's own thread: that hits the few instructions between two loads, which two threads on two
 * processors hardly ever do.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "dataplane/trace.h"
#include "rings/os/os.h"
#include "tests/support/check.h"

#define INTERRUPTS   1000u
#define INTERRUPT_US 50
#define PATIENCE_NS  60000000000ull

static struct trace_ring *ring;
static volatile sig_atomic_t interrupts;

static struct trace_record record_of(uint64_t number)
{
    uint32_t low = (uint32_t)number;
    return (struct trace_record){
        .tsc = number, .local_be32 = low, .peer_be32 = low, .event = low, .a = low, .b = low};
}

static void overwrite_all(int signal_number)
{
    (void)signal_number;
    uint64_t written = trace_written(ring);
    for (uint64_t number = written + 1; number <= written + TRACE_RECORDS; number++) {
        const struct trace_record record = record_of(number);
        trace_add(ring, &record);
    }
    interrupts++;
}

static bool is_whole(const struct trace_record *record, uint64_t number)
{
    uint32_t low = (uint32_t)number;
    return record->tsc == number && record->local_be32 == low && record->peer_be32 == low &&
           record->event == low && record->a == low && record->b == low;
}

int main(void)
{
    const struct sigaction action = {.sa_handler = overwrite_all, .sa_flags = SA_RESTART};
    const struct itimerval often = {{0, INTERRUPT_US}, {0, INTERRUPT_US}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    uint64_t whole = 0, refused = 0;
    ring = calloc(1, sizeof(*ring));
    CHECK(ring != NULL);
    overwrite_all(0);
    interrupts = 0;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    uint64_t give_up_ns = os_monotonic_ns() + PATIENCE_NS;
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    while (interrupts < (sig_atomic_t)INTERRUPTS) {
        for (uint32_t i = 0; i < 10000; i++) {
            struct trace_record record;
            uint64_t number = trace_written(ring);
            if (trace_read(ring, number, &record)) {
                CHECK(is_whole(&record, number));
                whole++;
            } else {
                refused++;
            }
        }
        if (os_monotonic_ns() > give_up_ns) {
            fprintf(stderr, "waited 60 s for %u signals, got %d\n", INTERRUPTS, (int)interrupts);
            return 1;
        }
    }
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    printf("%llu records read, %llu overwritten meanwhile\n", (unsigned long long)whole,
           (unsigned long long)refused);
    CHECK(whole > 0 && refused > 0);
    free(ring);
    return 0;
}
