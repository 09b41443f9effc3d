/*
 * Cases of a NIC with several addresses, for streams: tests/spi/run gives the dataplane
 * 10.77.0.1/24, 10.77.0.9/24 and 10.78.0.1/16. The rules are those of Microsoft's pages.
 */
#include <string.h>

#include "tests/spi/stream_kit.h"

static const char *const own[] = {SPI_OWN, SPI_OWN_B, SPI_OWN_C};
#define OWN_COUNT 3

static SOCKET listening(const char *ip, SOCKADDR_IN *at)
{
    SOCKADDR_IN local = spi_at(ip, 0);
    SOCKET s = stream_new();
    OK(spi_bind_at(s, &local));
    OK(TABLE->lpWSPListen(s, 8, &spi_error));
    *at = spi_name(s);
    return s;
}

static void expect_name(SOCKET s, const char *ip)
{
    assert_int_equal(spi_name(s).sin_addr.s_addr, spi_at(ip, 0).sin_addr.s_addr);
}

CASE(WSPAccept, addresses_accept_any, "a listener on INADDR_ANY accepts on each address")
{
    SOCKADDR_IN at;
    SOCKET listener = listening("0.0.0.0", &at);
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        SOCKET client = stream_new();
        at.sin_addr = spi_at(own[i], 0).sin_addr;
        OK(spi_connect_to(client, &at));
        SOCKET server = stream_accept(listener);
        expect_name(server, own[i]); /* the address that was asked */
        expect_name(client, own[i]);
        stream_send(client, "to");
        stream_expect(server, "to");
        stream_send(server, "fro");
        stream_expect(client, "fro");
    }
}

CASE(WSPListen, addresses_listen_one, "a listener on one address is on that one alone")
{
    SOCKADDR_IN at;
    SOCKET listener = listening(own[1], &at), client = stream_new(), other = stream_new();
    at.sin_addr = spi_at(own[0], 0).sin_addr;
    FAILS(WSAECONNREFUSED, spi_connect_to(client, &at));
    at.sin_addr = spi_at(own[1], 0).sin_addr;
    OK(spi_connect_to(other, &at));
    expect_name(stream_accept(listener), own[1]);
}

CASE(WSPListen, addresses_listen_each, "the same port can be listened on at each address")
{
    SOCKADDR_IN at, second;
    SOCKET a = listening(own[0], &at), b = stream_new(), again = stream_new(),
           client = stream_new();
    second = at;
    second.sin_addr = spi_at(own[2], 0).sin_addr;
    OK(spi_bind_at(b, &second));
    OK(TABLE->lpWSPListen(b, 8, &spi_error));
    FAILS(WSAEADDRINUSE, spi_bind_at(again, &second));
    OK(spi_connect_to(client, &second));
    expect_name(stream_accept(b), own[2]);
    assert_int_equal(stream_select(a, READ, 0), 0);
}

CASE(WSPConnect, addresses_connect_bound, "a bound socket connects from the address it is bound to")
{
    SOCKADDR_IN at, from = spi_at(SPI_OWN_B, 0);
    SOCKET listener = listening(own[2], &at), client = stream_new();
    OK(spi_bind_at(client, &from));
    OK(spi_connect_to(client, &at));
    expect_name(client, own[1]);
    SOCKET server = stream_accept(listener);
    int bytes = sizeof(from);
    OK(TABLE->lpWSPGetPeerName(server, (SOCKADDR *)&from, &bytes, &spi_error));
    assert_int_equal(from.sin_addr.s_addr, spi_at(own[1], 0).sin_addr.s_addr);
}

CASE(WSPBind, addresses_stream_bind_other, "WSAEADDRNOTAVAIL: not an address of this machine")
{
    SOCKADDR_IN at = spi_at("10.78.0.2", 0);
    FAILS(WSAEADDRNOTAVAIL, spi_bind_at(stream_new(), &at));
}
