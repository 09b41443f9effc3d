/*
 * Spin policies (provider/include/ringsock.h): SIO_RINGSOCK_SPIN and SIO_RINGSOCK_THREAD_SPIN. What
 * they do to a wait is counted natively (tests/support/client_cases_spin.c); here is what a program
 * sees: values, ranges, errors, whose they are.
 */
#include "provider/include/ringsock.h"
#include "tests/spi/spi_test.h"

#define NOTHING RINGSOCK_SPIN_DEFAULT

static int spin_call(SOCKET s, DWORD code, const void *in, DWORD in_bytes, void *out,
                     DWORD out_bytes, DWORD *returned)
{
    *returned = 77;
    return TABLE->lpWSPIoctl(s, code, (void *)(uintptr_t)in, in_bytes, out, out_bytes, returned,
                             NULL, NULL, NULL, &spi_error);
}

static int spin_set(SOCKET s, DWORD code, DWORD microseconds, DWORD yield)
{
    const RINGSOCK_SPIN spin = {microseconds, yield};
    DWORD returned;
    int result = spin_call(s, code, &spin, sizeof(spin), NULL, 0, &returned);
    assert_int_equal(returned, 0);
    return result;
}

static void spin_expect(SOCKET s, DWORD code, DWORD microseconds, DWORD yield)
{
    RINGSOCK_SPIN spin = {7, 7};
    DWORD returned;
    OK(spin_call(s, code, NULL, 0, &spin, sizeof(spin), &returned));
    assert_int_equal(returned, sizeof(spin));
    assert_int_equal(spin.Microseconds, microseconds);
    assert_int_equal(spin.Yield, yield);
}

/* The test thread's policy would be the next case's, too. */
static void thread_says_nothing(void)
{
    OK(spin_set(spi_udp(), SIO_RINGSOCK_THREAD_SPIN, NOTHING, NOTHING));
}

CASE(WSPIoctl, spin_default, "SIO_RINGSOCK_SPIN: at first both members are the default")
{
    spin_expect(spi_udp(), SIO_RINGSOCK_SPIN, NOTHING, NOTHING);
    spin_expect(spi_new_of(SOCK_STREAM, IPPROTO_TCP, 0), SIO_RINGSOCK_SPIN, NOTHING, NOTHING);
}

CASE(WSPIoctl, spin_thread_default, "SIO_RINGSOCK_THREAD_SPIN: at first the default")
{
    spin_expect(spi_udp(), SIO_RINGSOCK_THREAD_SPIN, NOTHING, NOTHING);
}

static void spin_values(DWORD code)
{
    static const DWORD times[] = {0, 1, 50, RINGSOCK_SPIN_MOST, RINGSOCK_SPIN_FOREVER, NOTHING};
    static const DWORD yields[] = {FALSE, TRUE, NOTHING};
    SOCKET s = spi_udp();
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        for (size_t k = 0; k < sizeof(yields) / sizeof(yields[0]); k++) {
            OK(spin_set(s, code, times[i], yields[k]));
            spin_expect(s, code, times[i], yields[k]);
        }
    }
}

CASE(WSPIoctl, spin_kept, "SIO_RINGSOCK_SPIN: every value of its range is kept")
{
    spin_values(SIO_RINGSOCK_SPIN);
}

CASE(WSPIoctl, spin_thread_kept, "SIO_RINGSOCK_THREAD_SPIN: every value of its range is kept")
{
    spin_values(SIO_RINGSOCK_THREAD_SPIN);
    thread_says_nothing();
}

static void spin_range(DWORD code)
{
    static const RINGSOCK_SPIN bad[] = {{RINGSOCK_SPIN_MOST + 1, FALSE},
                                        {RINGSOCK_SPIN_DEFAULT - 1, FALSE},
                                        {50, 2},
                                        {50, RINGSOCK_SPIN_FOREVER}};
    SOCKET s = spi_udp();
    OK(spin_set(s, code, 30, TRUE));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        FAILS(WSAEINVAL, spin_set(s, code, bad[i].Microseconds, bad[i].Yield));
        spin_expect(s, code, 30, TRUE);
    }
}

CASE(WSPIoctl, spin_range_error, "SIO_RINGSOCK_SPIN: out of range is WSAEINVAL, nothing changes")
{
    spin_range(SIO_RINGSOCK_SPIN);
}

CASE(WSPIoctl, spin_thread_range_error, "SIO_RINGSOCK_THREAD_SPIN: out of range is WSAEINVAL")
{
    spin_range(SIO_RINGSOCK_THREAD_SPIN);
    thread_says_nothing();
}

CASE(WSPIoctl, spin_before, "SIO_RINGSOCK_SPIN: the output is what was said before")
{
    const RINGSOCK_SPIN in = {RINGSOCK_SPIN_FOREVER, FALSE};
    RINGSOCK_SPIN out = {7, 7};
    DWORD returned;
    SOCKET s = spi_udp();
    OK(spin_set(s, SIO_RINGSOCK_SPIN, 12, TRUE));
    OK(spin_call(s, SIO_RINGSOCK_SPIN, &in, sizeof(in), &out, sizeof(out), &returned));
    assert_int_equal(returned, sizeof(out));
    assert_int_equal(out.Microseconds, 12);
    assert_int_equal(out.Yield, TRUE);
    spin_expect(s, SIO_RINGSOCK_SPIN, RINGSOCK_SPIN_FOREVER, FALSE);
}

CASE(WSPIoctl, spin_before_same, "SIO_RINGSOCK_SPIN: input and output may be one buffer")
{
    RINGSOCK_SPIN spin = {9, TRUE};
    DWORD returned;
    SOCKET s = spi_udp();
    OK(spin_call(s, SIO_RINGSOCK_SPIN, &spin, sizeof(spin), &spin, sizeof(spin), &returned));
    assert_int_equal(spin.Microseconds, NOTHING);
    spin_expect(s, SIO_RINGSOCK_SPIN, 9, TRUE);
}

CASE(WSPIoctl, spin_empty, "SIO_RINGSOCK_SPIN: neither input nor output is WSAEINVAL")
{
    DWORD returned;
    SOCKET s = spi_udp();
    FAILS(WSAEINVAL, spin_call(s, SIO_RINGSOCK_SPIN, NULL, 0, NULL, 0, &returned));
    FAILS(WSAEINVAL, spin_call(s, SIO_RINGSOCK_THREAD_SPIN, NULL, 0, NULL, 0, &returned));
}

CASE(WSPIoctl, spin_fault_in, "SIO_RINGSOCK_SPIN: an input that is short or bad is WSAEFAULT")
{
    const RINGSOCK_SPIN in = {5, TRUE};
    DWORD returned;
    SOCKET s = spi_udp();
    FAILS(WSAEFAULT, spin_call(s, SIO_RINGSOCK_SPIN, &in, sizeof(in) - 1, NULL, 0, &returned));
    FAILS(WSAEFAULT, spin_call(s, SIO_RINGSOCK_SPIN, NULL, sizeof(in), NULL, 0, &returned));
    FAILS(WSAEFAULT,
          spin_call(s, SIO_RINGSOCK_SPIN, spi_bad_pointer(), sizeof(in), NULL, 0, &returned));
    spin_expect(s, SIO_RINGSOCK_SPIN, NOTHING, NOTHING);
}

CASE(WSPIoctl, spin_fault_out,
     "SIO_RINGSOCK_SPIN: an output that is short or bad is WSAEFAULT, and "
     "nothing changes")
{
    const RINGSOCK_SPIN in = {5, TRUE};
    RINGSOCK_SPIN out;
    DWORD returned;
    SOCKET s = spi_udp();
    FAILS(WSAEFAULT,
          spin_call(s, SIO_RINGSOCK_SPIN, &in, sizeof(in), &out, sizeof(out) - 1, &returned));
    FAILS(WSAEFAULT, spin_call(s, SIO_RINGSOCK_SPIN, &in, sizeof(in), spi_bad_pointer(),
                               sizeof(out), &returned));
    FAILS(WSAEFAULT, spin_call(s, SIO_RINGSOCK_SPIN, &in, sizeof(in), spi_read_only_page(),
                               sizeof(out), &returned));
    FAILS(WSAEFAULT,
          spin_call(s, SIO_RINGSOCK_THREAD_SPIN, &in, sizeof(in), NULL, sizeof(out), &returned));
    spin_expect(s, SIO_RINGSOCK_SPIN, NOTHING, NOTHING);
    spin_expect(s, SIO_RINGSOCK_THREAD_SPIN, NOTHING, NOTHING);
}

CASE(WSPIoctl, spin_handle, "SIO_RINGSOCK_SPIN, SIO_RINGSOCK_THREAD_SPIN: WSAENOTSOCK")
{
    const RINGSOCK_SPIN in = {5, TRUE};
    const SOCKET none = (SOCKET)0x7ffffff4;
    DWORD returned;
    FAILS(WSAENOTSOCK, spin_call(none, SIO_RINGSOCK_SPIN, &in, sizeof(in), NULL, 0, &returned));
    FAILS(WSAENOTSOCK,
          spin_call(none, SIO_RINGSOCK_THREAD_SPIN, &in, sizeof(in), NULL, 0, &returned));
}

CASE(WSPIoctl, spin_apart, "SIO_RINGSOCK_SPIN is the socket's, SIO_RINGSOCK_THREAD_SPIN is not")
{
    SOCKET s = spi_udp(), other = spi_udp();
    OK(spin_set(s, SIO_RINGSOCK_SPIN, 11, TRUE));
    spin_expect(other, SIO_RINGSOCK_SPIN, NOTHING, NOTHING);
    spin_expect(s, SIO_RINGSOCK_THREAD_SPIN, NOTHING, NOTHING);
    OK(spin_set(s, SIO_RINGSOCK_THREAD_SPIN, 22, FALSE));
    spin_expect(other, SIO_RINGSOCK_THREAD_SPIN, 22, FALSE);
    spin_expect(s, SIO_RINGSOCK_SPIN, 11, TRUE);
    thread_says_nothing();
}

struct spin_elsewhere {
    SOCKET s;
    int error;
    RINGSOCK_SPIN thread, socket;
};

static DWORD WINAPI spin_elsewhere_run(void *arg)
{
    struct spin_elsewhere *elsewhere = arg;
    DWORD returned;
    (void)(TABLE->lpWSPIoctl(elsewhere->s, SIO_RINGSOCK_THREAD_SPIN, NULL, 0, &elsewhere->thread,
                             sizeof(RINGSOCK_SPIN), &returned, NULL, NULL, NULL,
                             &elsewhere->error) == 0 &&
           TABLE->lpWSPIoctl(elsewhere->s, SIO_RINGSOCK_SPIN, NULL, 0, &elsewhere->socket,
                             sizeof(RINGSOCK_SPIN), &returned, NULL, NULL, NULL,
                             &elsewhere->error) == 0);
    return 0;
}

CASE(WSPIoctl, spin_other_thread, "SIO_RINGSOCK_THREAD_SPIN is about the calling thread alone")
{
    struct spin_elsewhere elsewhere = {.s = spi_udp()};
    OK(spin_set(elsewhere.s, SIO_RINGSOCK_THREAD_SPIN, 33, TRUE));
    OK(spin_set(elsewhere.s, SIO_RINGSOCK_SPIN, 44, TRUE));
    HANDLE thread = CreateThread(NULL, 0, spin_elsewhere_run, &elsewhere, 0, NULL);
    assert_non_null(thread);
    assert_int_equal(WaitForSingleObject(thread, 10000), WAIT_OBJECT_0);
    CloseHandle(thread);
    assert_int_equal(elsewhere.error, 0);
    assert_int_equal(elsewhere.thread.Microseconds, NOTHING);
    assert_int_equal(elsewhere.thread.Yield, NOTHING);
    assert_int_equal(elsewhere.socket.Microseconds, 44);
    thread_says_nothing();
}

CASE(WSPIoctl, spin_time_out, "SIO_RINGSOCK_SPIN: a receive times out whatever the policy is")
{
    static const DWORD times[] = {0, 50, RINGSOCK_SPIN_FOREVER, NOTHING};
    SOCKET s = spi_bound(NULL);
    char got[4];
    DWORD count, flags;
    spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, 30);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        OK(spin_set(s, SIO_RINGSOCK_SPIN, times[i], TRUE));
        flags = 0;
        FAILS(WSAETIMEDOUT, spi_recv_one(s, got, sizeof(got), &flags, &count));
    }
}
