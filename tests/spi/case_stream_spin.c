/*
 * Spin policies (provider/include/ringsock.h) of connections: who inherits them, and that calls
 * which wait are woken under each.
 */
#include "provider/include/ringsock.h"
#include "tests/spi/stream_kit.h"

#define NOTHING RINGSOCK_SPIN_DEFAULT

static void spin_set(SOCKET s, DWORD microseconds, DWORD yield)
{
    RINGSOCK_SPIN spin = {microseconds, yield};
    DWORD returned;
    OK(TABLE->lpWSPIoctl(s, SIO_RINGSOCK_SPIN, &spin, sizeof(spin), NULL, 0, &returned, NULL, NULL,
                         NULL, &spi_error));
}

static void spin_expect(SOCKET s, DWORD microseconds, DWORD yield)
{
    RINGSOCK_SPIN spin = {7, 7};
    DWORD returned;
    OK(TABLE->lpWSPIoctl(s, SIO_RINGSOCK_SPIN, NULL, 0, &spin, sizeof(spin), &returned, NULL, NULL,
                         NULL, &spi_error));
    assert_int_equal(spin.Microseconds, microseconds);
    assert_int_equal(spin.Yield, yield);
}

CASE(WSPIoctl, spin_accepted, "SIO_RINGSOCK_SPIN: an accepted socket has what its listener has")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at), client = stream_new();
    spin_set(listener, 21, TRUE);
    OK(spi_connect_to(client, &at));
    SOCKET server = stream_accept(listener);
    spin_expect(server, 21, TRUE);
    spin_expect(client, NOTHING, NOTHING);
    spin_set(listener, 22, FALSE);
    spin_expect(server, 21, TRUE);
}

CASE(WSPIoctl, spin_woken, "SIO_RINGSOCK_SPIN: what waits is woken under every policy")
{
    static const DWORD times[] = {0, 50, RINGSOCK_SPIN_FOREVER, NOTHING};
    struct stream_pair pair = stream_connected();
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct stream_call call = {.kind = CALL_RECV, .s = pair.server, .bytes = 5};
        spin_set(pair.server, times[i], TRUE);
        stream_begin(&call);
        stream_send(pair.client, "hello");
        assert_int_equal(stream_finish(&call), 0);
        assert_int_equal(call.count, 5);
    }
}

CASE(WSPIoctl, spin_cancelled, "SIO_RINGSOCK_SPIN: closing ends a call that never sleeps")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_RECV, .s = pair.server, .bytes = 5};
    spin_set(pair.server, RINGSOCK_SPIN_FOREVER, TRUE);
    stream_begin(&call);
    stream_close(pair.server);
    stream_cancelled(&call);
}
