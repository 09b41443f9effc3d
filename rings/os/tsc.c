/*
 * TSC frequency. The figure is measured against a clock that no time daemon steers
 * (os_reference_ns); a figure stated by the processor or the hypervisor is more exact than 20 ms of
 * measuring, so it is taken instead, but only when the measurement agrees: both are known to be
 * wrong on some machines (scaled TSC in a virtual machine, firmware bugs). Any thread; slow at the
 * first call.
 */
#include <cpuid.h>
#include <stdatomic.h>
#include <string.h>

#include "rings/os/internal.h"

#define TSC_WINDOW_NS (20 * OS_NS_PER_MS)
#define TSC_WINDOWS_MAX \
    4u /* each twice as long as the one before: 20 + 40 + 80 + 160 ms at worst */
#define TSC_SPREAD_PPM      50u  /* two halves of a window that differ by more were disturbed */
#define TSC_STATED_PPM      500u /* how far a stated figure may be from the measured one */
#define TSC_PAIR_TRIES      16u
#define CPUID_TSC_CRYSTAL   0x15u
#define CPUID_HYPERVISOR    0x40000000u
#define CPUID_HYPERVISOR_HZ 0x40000010u

/* One moment on both clocks. */
struct tsc_moment {
    uint64_t tsc;
    uint64_t ns;
};

/* Reads both clocks as one moment: of several tries the one whose two TSC reads lie closest
 * together. */
static struct tsc_moment tsc_moment_read(void)
{
    struct tsc_moment best = {0, 0};
    uint64_t best_ticks = UINT64_MAX;
    for (uint32_t i = 0; i < TSC_PAIR_TRIES; i++) {
        uint64_t before = os_tsc();
        uint64_t ns = os_reference_ns();
        uint64_t ticks = os_tsc() - before;
        if (ticks < best_ticks) {
            best_ticks = ticks;
            best = (struct tsc_moment){before + ticks / 2, ns};
        }
    }
    return best;
}

static uint64_t tsc_hz_between(const struct tsc_moment *from, const struct tsc_moment *to)
{
    uint64_t ns = to->ns - from->ns;
    if (ns == 0) {
        return 0;
    }
    /* ticks x 1e9 does not fit 64 bits; x86's long double has a 64-bit mantissa, in 32-bit programs
     * too. */
    return (uint64_t)((long double)(to->tsc - from->tsc) * (long double)OS_NS_PER_S /
                      (long double)ns);
}

static bool tsc_within_ppm(uint64_t a, uint64_t b, uint64_t ppm)
{
    uint64_t difference = a > b ? a - b : b - a;
    return difference <= b / 1000000u * ppm;
}

static uint64_t tsc_hz_measure(void)
{
    uint64_t hz = 0;
    uint64_t window_ns = TSC_WINDOW_NS;
    for (uint32_t i = 0; i < TSC_WINDOWS_MAX; i++, window_ns *= 2) {
        struct tsc_moment first = tsc_moment_read();
        os_sleep_ns(window_ns / 2);
        struct tsc_moment middle = tsc_moment_read();
        os_sleep_ns(window_ns / 2);
        struct tsc_moment last = tsc_moment_read();
        hz = tsc_hz_between(&first, &last);
        if (tsc_within_ppm(tsc_hz_between(&first, &middle), tsc_hz_between(&middle, &last),
                           TSC_SPREAD_PPM)) {
            break;
        }
    }
    return hz;
}

/* Intel SDM vol. 2, CPUID leaf 15H: TSC = crystal Hz × EBX / EAX; 0 in any of them means 'not
 * enumerated'. */
static uint64_t tsc_hz_stated_by_processor(void)
{
    uint32_t denominator = 0;
    uint32_t numerator = 0;
    uint32_t crystal_hz = 0;
    uint32_t unused = 0;
    if (!__get_cpuid(CPUID_TSC_CRYSTAL, &denominator, &numerator, &crystal_hz, &unused) ||
        denominator == 0) {
        return 0;
    }
    return (uint64_t)crystal_hz * numerator / denominator;
}

/* The timing leaf that VMware defined and KVM took over: EAX is the TSC in kHz. Other hypervisors
 * use the number otherwise. */
static uint64_t tsc_hz_stated_by_hypervisor(void)
{
    uint32_t regs[4] = {0, 0, 0, 0};
    if (!__get_cpuid(1, &regs[0], &regs[1], &regs[2], &regs[3]) || !(regs[2] & (1u << 31))) {
        return 0;
    }
    __cpuid(CPUID_HYPERVISOR, regs[0], regs[1], regs[2], regs[3]);
    if (regs[0] < CPUID_HYPERVISOR_HZ || (memcmp(&regs[1], "KVMKVMKVM\0\0\0", 12) != 0 &&
                                          memcmp(&regs[1], "VMwareVMware", 12) != 0)) {
        return 0;
    }
    __cpuid(CPUID_HYPERVISOR_HZ, regs[0], regs[1], regs[2], regs[3]);
    return (uint64_t)regs[0] * 1000u;
}

uint64_t os_tsc_hz(void)
{
    /* Partner: the same word in other threads; whoever is first decides for all. */
    static _Atomic uint64_t cached_hz;
    uint64_t hz = atomic_load_explicit(&cached_hz, memory_order_relaxed);
    if (hz != 0) {
        return hz;
    }
    hz = tsc_hz_measure();
    const uint64_t stated_hz[2] = {tsc_hz_stated_by_processor(), tsc_hz_stated_by_hypervisor()};
    for (uint32_t i = 0; i < 2; i++) {
        if (stated_hz[i] != 0 && tsc_within_ppm(stated_hz[i], hz, TSC_STATED_PPM)) {
            hz = stated_hz[i];
            break;
        }
    }
    uint64_t none = 0;
    return atomic_compare_exchange_strong(&cached_hz, &none, hz) ? hz : none;
}
