/*
 * WSPDuplicateSocket, and WSPSocket with what it gave. Any thread; slow paths.
 *
 * What another process needs is a token of 128 bits (rings/README.md, "Shared sockets"). The
 * structure's place for the provider is one DWORD; the rest lies in the service flags that its page
 * has as reserved. So the other fields are the catalog entry's, as ws2_32 wants them to find us.
 */
#include "provider/spi/catalog.h"
#include "provider/spi/spi.h"

#define WORD_BITS 32

static void duplicate_write(WSAPROTOCOL_INFOW *info, const struct rs_share_token *token)
{
    info->dwProviderReserved = (DWORD)token->words[0];
    info->dwServiceFlags2 = (DWORD)(token->words[0] >> WORD_BITS);
    info->dwServiceFlags3 = (DWORD)token->words[1];
    info->dwServiceFlags4 = (DWORD)(token->words[1] >> WORD_BITS);
}

static struct rs_share_token duplicate_read(const WSAPROTOCOL_INFOW *info)
{
    return (struct rs_share_token){
        .words = {(uint64_t)info->dwServiceFlags2 << WORD_BITS | info->dwProviderReserved,
                  (uint64_t)info->dwServiceFlags4 << WORD_BITS | info->dwServiceFlags3}};
}

bool spi_duplicate_is(const WSAPROTOCOL_INFOW *info)
{
    return (info->dwProviderReserved & RS_SHARE_TOKEN) != 0;
}

/* What the page has no error of its own for is an invalid parameter: a structure that was used, is
 * too old, another process's or another dataplane's. */
static int duplicate_error(enum rs_status status)
{
    return status == RS_NOT_SOCKET || status == RS_ACCESS ? WSAEINVAL : spi_wsa_error(status);
}

int spi_duplicate_open(struct spi_socket *socket, const WSAPROTOCOL_INFOW *info)
{
    const struct client_share_info share = {
        .token = duplicate_read(info), .type = socket->stream ? RS_SOCK_STREAM : RS_SOCK_DGRAM};
    struct client_socket *core = NULL;
    enum rs_status status = client_share_open(socket->session->client, &share, &core);
    if (status != RS_OK) {
        return duplicate_error(status);
    }
    client_socket_ref(core); /* the record's, until its last put */
    socket->core = core;
    return 0;
}

/* What only the record knows goes along. */
static void duplicate_tell(struct spi_socket *socket)
{
    if (!client_is_shared(socket->core)) {
        (void)spi_option_set(socket, SPI_SHARED_LINGER_S,
                             atomic_load_explicit(&socket->linger_s, memory_order_relaxed));
        (void)spi_option_set(socket, SPI_SHARED_HINTS,
                             atomic_load_explicit(&socket->hints, memory_order_relaxed));
        (void)spi_option_set(socket, SPI_SHARED_V6_ONLY,
                             atomic_load_explicit(&socket->v6_only, memory_order_relaxed));
    }
}

static int duplicate_fill(struct spi_socket *socket, DWORD process_id, LPWSAPROTOCOL_INFOW info)
{
    const WSAPROTOCOL_INFOW *entry =
        spi_catalog_find(socket->family, socket->stream ? SOCK_STREAM : SOCK_DGRAM, 0);
    struct client_share_info share;
    if (!spi_can_write(info, sizeof(*info))) {
        return WSAEFAULT;
    }
    if (process_id == 0 || entry == NULL) {
        return WSAEINVAL;
    }
    duplicate_tell(socket);
    enum rs_status status = client_share(socket->core, process_id, &share);
    if (status != RS_OK) {
        return spi_wsa_error(status);
    }
    *info = *entry;
    info->dwCatalogEntryId = socket->catalog_id;
    duplicate_write(info, &share.token);
    return 0;
}

int WSPAPI spi_duplicate_socket(SOCKET s, DWORD process_id, LPWSAPROTOCOL_INFOW info, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    int code = duplicate_fill(socket, process_id, info);
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}
