/*
 * From the time-stamp counter, in which the core and the dataplane tell times, to the ticks of
 * QueryPerformanceCounter, in which Winsock does. Any thread.
 *
 * Both counters are read side by side now, and the time between then and now is scaled by the ratio
 * of their rates: first by the frequencies that both sides give, later by what this process has
 * measured since it first asked, so the error does not grow with the age of the process. What is
 * left of it for a time t ago is a tick and t times the error of the ratio (the calibration of the
 * session's header, or, after a tenth of a second, less).
 */
#include "provider/spi/message.h"
#include "rings/os/os.h"

#define QPC_TRIES         4   /* the closest pair of readings counts */
#define QPC_MEASURE_SHARE 10u /* of a second: a longer time measures the ratio well enough */

struct qpc_pair {
    uint64_t tsc;
    int64_t qpc;
};

static SRWLOCK qpc_lock = SRWLOCK_INIT;
static struct qpc_pair qpc_first; /* under the lock; tsc 0: not read yet */

static struct qpc_pair qpc_read(void)
{
    struct qpc_pair best = {0};
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < QPC_TRIES; i++) {
        LARGE_INTEGER now;
        uint64_t before = os_tsc();
        (void)QueryPerformanceCounter(&now);
        uint64_t took = os_tsc() - before;
        if (took < least) {
            least = took;
            best = (struct qpc_pair){.tsc = before + took / 2, .qpc = now.QuadPart};
        }
    }
    return best;
}

uint64_t spi_qpc_from_tsc(const struct client *client, uint64_t tsc)
{
    struct client_info info;
    LARGE_INTEGER qpc_hz;
    client_get_info(client, &info);
    struct qpc_pair now = qpc_read();
    AcquireSRWLockExclusive(&qpc_lock);
    if (qpc_first.tsc == 0) {
        qpc_first = now;
    }
    struct qpc_pair first = qpc_first;
    ReleaseSRWLockExclusive(&qpc_lock);
    double ratio;
    if (now.tsc - first.tsc > info.tsc_hz / QPC_MEASURE_SHARE) {
        ratio = (double)(now.qpc - first.qpc) / (double)(now.tsc - first.tsc);
    } else {
        (void)QueryPerformanceFrequency(&qpc_hz);
        ratio = (double)qpc_hz.QuadPart / (double)info.tsc_hz;
    }
    return (uint64_t)(now.qpc - (int64_t)((double)(int64_t)(now.tsc - tsc) * ratio));
}
