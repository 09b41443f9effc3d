/*
 * Options that are no business of the core's: what the provider keeps for itself, what its page
 * lets a provider store without effect, and what has one value here. A table; accepted sockets
 * inherit. Any thread.
 */
#include <string.h>

#include "provider/spi/option_names.h"
#include "provider/spi/spi.h"

enum kept_when { KEPT_ANY, KEPT_UNBOUND, KEPT_NOT_LISTENING };
enum { KEPT_DGRAM = 1, KEPT_STREAM = 2, KEPT_BOTH = 3 };
enum { KEPT_FIXED = SPI_KEPT_COUNT }; /* nothing is kept: `least` is the value */

struct kept_row {
    int level, name;
    unsigned which; /* enum spi_kept or KEPT_FIXED */
    unsigned types; /* KEPT_DGRAM, KEPT_STREAM */
    bool is_bool, read_only;
    uint32_t least, most;
    int refusal; /* of another value */
    enum kept_when when;
};

/*
 * UDP_NOCHECKSUM: its page lets a
 * provider store it without any action. UDP_RECV_MAX_COALESCED_SIZE: datagrams "may" be joined.
 * SO_PORT_SCALABILITY: more ports may be had by it, not must. TCP_BSDURGENT, TCP_EXPEDITED_1122:
 * once set, never taken back, and RFC 1122's way need not be had. IP_UNICAST_IF: of one NIC, which
 * is the only way out; with several the routes choose, and only 0 is taken.
 */
static const struct kept_row kept_rows[] = {
    {SOL_SOCKET, SO_GROUP_ID, KEPT_FIXED, KEPT_BOTH, false, true, 0, 0, 0, KEPT_ANY},
    {SOL_SOCKET, SO_GROUP_PRIORITY, SPI_KEPT_GROUP_PRIORITY, KEPT_BOTH, false, false, 0, UINT32_MAX,
     0, KEPT_ANY},
    {SOL_SOCKET, SO_CONDITIONAL_ACCEPT, SPI_KEPT_CONDITIONAL_ACCEPT, KEPT_STREAM, true, false, 0, 1,
     0, KEPT_NOT_LISTENING},
    {SOL_SOCKET, SO_PORT_SCALABILITY, SPI_KEPT_PORT_SCALABILITY, KEPT_BOTH, true, false, 0, 1, 0,
     KEPT_ANY},
    {SOL_SOCKET, SO_RANDOMIZE_PORT, SPI_KEPT_RANDOMIZE_PORT, KEPT_BOTH, true, false, 0, 1, 0,
     KEPT_UNBOUND},
    {IPPROTO_UDP, UDP_NOCHECKSUM, SPI_KEPT_NO_CHECKSUM, KEPT_DGRAM, true, false, 0, 1, 0, KEPT_ANY},
    {IPPROTO_UDP, UDP_SEND_MSG_SIZE, SPI_KEPT_SEND_MSG_SIZE, KEPT_DGRAM, false, false, 0,
     RS_DGRAM_MAX_BYTES, WSAEINVAL, KEPT_ANY},
    {IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, SPI_KEPT_COALESCED_SIZE, KEPT_DGRAM, false, false, 0,
     UINT32_MAX, 0, KEPT_ANY},
    {IPPROTO_TCP, TCP_BSDURGENT, KEPT_FIXED, KEPT_STREAM, true, false, 1, 1, WSAEINVAL, KEPT_ANY},
    {IPPROTO_TCP, TCP_EXPEDITED_1122, KEPT_FIXED, KEPT_STREAM, true, false, 0, 0, WSAENOPROTOOPT,
     KEPT_ANY},
    {IPPROTO_IP, IP_MTU_DISCOVER, SPI_KEPT_MTU_DISCOVER, KEPT_DGRAM, false, false,
     IP_PMTUDISC_NOT_SET, IP_PMTUDISC_PROBE, WSAEINVAL, KEPT_ANY},
    {IPPROTO_IP, IP_MTU_DISCOVER, SPI_KEPT_MTU_DISCOVER, KEPT_STREAM, false, false,
     IP_PMTUDISC_NOT_SET, IP_PMTUDISC_DO, WSAENOPROTOOPT, KEPT_ANY},
    {IPPROTO_IP, IP_UNICAST_IF, SPI_KEPT_UNICAST_IF, KEPT_BOTH, false, false, 0, UINT32_MAX, 0,
     KEPT_ANY},
};

static const struct kept_row *kept_find(const struct spi_socket *socket, int level, int name)
{
    unsigned type = socket->stream ? KEPT_STREAM : KEPT_DGRAM;
    for (size_t i = 0; i < sizeof(kept_rows) / sizeof(kept_rows[0]); i++) {
        const struct kept_row *row = &kept_rows[i];
        if (row->level == level && row->name == name && (row->types & type) != 0) {
            return row;
        }
    }
    return NULL;
}

static bool kept_too_late(struct spi_socket *socket, enum kept_when when)
{
    switch (when) {
    case KEPT_UNBOUND:
        return spi_is_bound(socket);
    case KEPT_NOT_LISTENING:
        return client_is_listening(socket->core);
    default:
        return false;
    }
}

void spi_options_inherit(struct spi_socket *socket, const struct spi_socket *listener)
{
    for (unsigned i = 0; i < SPI_KEPT_COUNT; i++) {
        atomic_store_explicit(&socket->kept[i], spi_kept(listener, (enum spi_kept)i),
                              memory_order_relaxed);
    }
    atomic_store_explicit(&socket->hints,
                          atomic_load_explicit(&listener->hints, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&socket->linger_s,
                          atomic_load_explicit(&listener->linger_s, memory_order_relaxed),
                          memory_order_relaxed);
}

static int kept_check_interface(const struct spi_socket *socket, uint32_t index_be32)
{
    const struct client *client = socket->session->client;
    uint32_t index = __builtin_bswap32(index_be32);
    uint32_t ip_be32;
    bool only = client_interfaces(client, NULL, 0) == 1 &&
                client_interface_addr(client, index, &ip_be32) == RS_OK;
    return index == 0 || only ? 0 : WSAEADDRNOTAVAIL;
}

/* What the dataplane has to know of IP_MTU_DISCOVER: datagrams with DF, which is an error where
 * they do not fit. Streams always do path MTU discovery. */
static int kept_tell(struct spi_socket *socket, const struct kept_row *row, uint32_t word)
{
    if (row->which != SPI_KEPT_MTU_DISCOVER || socket->stream) {
        return 0;
    }
    return spi_option_set(socket, RS_OPT_DONT_FRAGMENT,
                          word == IP_PMTUDISC_DO || word == IP_PMTUDISC_PROBE);
}

int spi_kept_option_set(struct spi_socket *socket, int level, int name, const char *value,
                        int value_bytes)
{
    const struct kept_row *row = kept_find(socket, level, name);
    uint32_t word;
    if (row == NULL || row->read_only) {
        return WSAENOPROTOOPT;
    }
    if (value_bytes < (int)sizeof(word) || !spi_can_read(value, sizeof(word))) {
        return WSAEFAULT;
    }
    memcpy(&word, value, sizeof(word));
    word = row->is_bool ? word != 0 : word;
    if (word < row->least || word > row->most) {
        return row->refusal;
    }
    if (kept_too_late(socket, row->when)) {
        return WSAEINVAL;
    }
    int code = row->which == SPI_KEPT_UNICAST_IF ? kept_check_interface(socket, word)
                                                 : kept_tell(socket, row, word);
    if (code == 0 && row->which != KEPT_FIXED) {
        atomic_store_explicit(&socket->kept[row->which], word, memory_order_relaxed);
    }
    if (code == 0 && row->which == SPI_KEPT_SEND_MSG_SIZE && word != 0) {
        atomic_fetch_or_explicit(&socket->attention, SPI_ATTENTION_SENDS, memory_order_relaxed);
    }
    return code;
}

int spi_kept_option_get(struct spi_socket *socket, int level, int name, char *value,
                        LPINT value_bytes)
{
    const struct kept_row *row = kept_find(socket, level, name);
    if (row == NULL) {
        return WSAENOPROTOOPT;
    }
    uint32_t word =
        row->which == KEPT_FIXED ? row->least : spi_kept(socket, (enum spi_kept)row->which);
    return spi_option_answer(value, value_bytes, &word, sizeof(word));
}
