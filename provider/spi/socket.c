/*
 * A socket's life as Winsock sees it: create, bind, connect, names, shutdown, multipoint join,
 * close. Any thread; slow paths.
 */
#include "provider/spi/catalog.h"
#include "provider/spi/events.h"
#include "provider/spi/overlapped.h"
#include "provider/spi/spi.h"
#include "rings/os/os.h"

#define FLAGS_LEAF        (WSA_FLAG_MULTIPOINT_C_LEAF | WSA_FLAG_MULTIPOINT_D_LEAF)
#define RANDOM_PORT_TRIES 8u
#define RANDOM_PORT_LEAST 49152u /* 0xc000: the dynamic ports' high bits (RFC 6335) */
#define FLAGS_HARMLESS    (WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT)

/* ---- create ---- */

struct socket_wish {
    int family, type, protocol;
    DWORD flags, catalog_id;
    const WSAPROTOCOL_INFOW *duplicate; /* WSPDuplicateSocket's, of a socket there is; or NULL */
};

/* FROM_PROTOCOL_INFO takes a value from the entry that ws2_32 chose. */
static int wish_fill(struct socket_wish *wish, const WSAPROTOCOL_INFOW *info)
{
    wish->catalog_id = spi_protocol.dwCatalogEntryId;
    if (info == NULL) {
        return wish->family == FROM_PROTOCOL_INFO ? WSAEINVAL : 0;
    }
    if (!spi_can_read(info, sizeof(*info))) {
        return WSAEFAULT;
    }
    wish->duplicate = info->dwProviderReserved != 0 ? info : NULL;
    if (wish->duplicate != NULL && !spi_duplicate_is(info)) {
        return WSAEINVAL;
    }
    wish->catalog_id = info->dwCatalogEntryId;
    wish->family = wish->family == FROM_PROTOCOL_INFO ? info->iAddressFamily : wish->family;
    wish->type = wish->type == FROM_PROTOCOL_INFO ? info->iSocketType : wish->type;
    wish->protocol = wish->protocol == FROM_PROTOCOL_INFO ? info->iProtocol : wish->protocol;
    return 0;
}

static int wish_check(struct socket_wish *wish)
{
    if (wish->family == AF_UNSPEC && (wish->type != 0 || wish->protocol != 0)) {
        wish->family = AF_INET;
    }
    if (spi_catalog_find(wish->family, 0, 0) == NULL) {
        return WSAEAFNOSUPPORT;
    }
    if (wish->type != 0 && spi_catalog_find(wish->family, wish->type, 0) == NULL) {
        return WSAESOCKTNOSUPPORT;
    }
    if (wish->type == 0 && wish->protocol == 0) {
        return WSAESOCKTNOSUPPORT;
    }
    const WSAPROTOCOL_INFOW *entry = spi_catalog_find(wish->family, wish->type, wish->protocol);
    if (entry == NULL) {
        return spi_catalog_find(wish->family, 0, wish->protocol) != NULL ? WSAEPROTOTYPE
                                                                         : WSAEPROTONOSUPPORT;
    }
    wish->type = entry->iSocketType;
    if ((wish->flags & WSA_FLAG_REGISTERED_IO) != 0) {
        return WSAEOPNOTSUPP;
    }
    /* IP multicast has no roots, neither in the control nor in the data plane; TCP no multipoint.
     */
    DWORD flags = FLAGS_HARMLESS | (wish->type == SOCK_DGRAM ? FLAGS_LEAF : 0u);
    return (wish->flags & ~flags) != 0 ? WSAEINVAL : 0;
}

/* Everything of the record but the handle. */
static int socket_attach(struct spi_socket *socket, const struct socket_wish *wish)
{
    socket->catalog_id = wish->catalog_id;
    socket->overlapped = (wish->flags & WSA_FLAG_OVERLAPPED) != 0;
    socket->multipoint = (wish->flags & FLAGS_LEAF) != 0;
    socket->stream = wish->type == SOCK_STREAM;
    socket->family = (ADDRESS_FAMILY)wish->family;
    atomic_store_explicit(&socket->v6_only, wish->family == AF_INET6, memory_order_relaxed);
    enum rs_status status = spi_session_get(&socket->session);
    if (status != RS_OK) {
        return spi_wsa_error(status);
    }
    if (wish->duplicate != NULL) {
        return spi_duplicate_open(socket, wish->duplicate);
    }
    struct client_socket *core = NULL;
    status = client_socket_create(socket->session->client, RS_FAMILY_IPV4,
                                  socket->stream ? RS_SOCK_STREAM : RS_SOCK_DGRAM, &core);
    if (status != RS_OK) {
        return spi_wsa_error(status);
    }
    client_socket_ref(core); /* the record's, until its last put */
    socket->core = core;
    return 0;
}

int spi_socket_publish(struct spi_socket *socket, SOCKET *out)
{
    INT error = WSAENOBUFS;
    client_socket_set_user(socket->core, socket);
    SOCKET s = spi_upcalls.lpWPUCreateSocketHandle(socket->catalog_id, (DWORD_PTR)socket, &error);
    if (s == INVALID_SOCKET) {
        return error;
    }
    enum rs_status status = spi_handle_insert(s, socket);
    if (status != RS_OK) {
        (void)spi_upcalls.lpWPUCloseSocketHandle(s, &error);
        return spi_wsa_error(status);
    }
    *out = s;
    return 0;
}

SOCKET WSPAPI spi_socket_entry(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info,
                               GROUP group, DWORD flags, LPINT error)
{
    (void)group; /* socket groups: accepted and without meaning, as in every known provider */
    struct socket_wish wish = {
        .family = family, .type = type, .protocol = protocol, .flags = flags};
    SOCKET s = INVALID_SOCKET;
    int code = spi_started() ? 0 : WSANOTINITIALISED;
    code = code == 0 && spi_hook_is_inside() ? WSAEINPROGRESS : code;
    code = code == 0 ? wish_fill(&wish, info) : code;
    code = code == 0 ? wish_check(&wish) : code;
    if (code != 0) {
        (void)spi_fail(error, code);
        return INVALID_SOCKET;
    }
    struct spi_socket *socket = spi_socket_new();
    if (socket == NULL) {
        (void)spi_fail(error, WSAENOBUFS);
        return INVALID_SOCKET;
    }
    code = socket_attach(socket, &wish);
    if (code == 0) {
        code = spi_socket_publish(socket, &s);
        if (code != 0) {
            (void)!client_socket_close(socket->core);
        }
    }
    if (code != 0) {
        spi_socket_put(socket);
        (void)spi_fail(error, code);
    }
    return s;
}

/* ---- bind, connect ---- */

/* SO_RANDOMIZE_PORT: a few ports at random before the dataplane's own choice, which is the next one
 * that is free. */
static enum rs_status bind_random(struct spi_socket *socket, const struct rs_addr *local)
{
    struct rs_addr at = *local;
    uint16_t random[RANDOM_PORT_TRIES];
    if (os_random(random, sizeof(random)) == RS_OK) {
        for (unsigned i = 0; i < RANDOM_PORT_TRIES; i++) {
            at.port_be16 = __builtin_bswap16((uint16_t)(random[i] | RANDOM_PORT_LEAST));
            enum rs_status status = client_bind(socket->core, &at);
            if (status != RS_ADDR_IN_USE) {
                return status;
            }
        }
    }
    return client_bind(socket->core, local);
}

int WSPAPI spi_bind(SOCKET s, const struct sockaddr *name, int name_bytes, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    struct rs_addr local;
    int code = spi_sockaddr_read_local(socket, name, name_bytes, &local);
    if (code == 0 && spi_is_multicast(local.ip.v4_be32)) {
        code = WSAEADDRNOTAVAIL; /* a group is not a local address; Linux is laxer than Windows */
    }
    if (code == 0) {
        bool random = local.port_be16 == 0 && spi_kept(socket, SPI_KEPT_RANDOMIZE_PORT) != 0;
        code =
            spi_wsa_error(random ? bind_random(socket, &local) : client_bind(socket->core, &local));
    }
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}

/* An address of AF_UNSPEC, or all zero, dissolves a datagram socket's peer. */
static int connect_dgram(struct spi_socket *socket, const struct sockaddr *name, int name_bytes)
{
    struct rs_addr peer;
    int code = spi_sockaddr_read(socket, name, name_bytes, &peer);
    if (code == WSAEAFNOSUPPORT && name->sa_family == AF_UNSPEC) {
        peer = (struct rs_addr){.family = RS_FAMILY_NONE};
        code = 0;
    } else if (code == 0 && (peer.ip.v4_be32 == 0) != (peer.port_be16 == 0)) {
        code = WSAEADDRNOTAVAIL;
    }
    if (code == 0) {
        code = spi_wsa_error(client_connect(socket->core, &peer));
    }
    if (code == 0) {
        atomic_store_explicit(&socket->leaf, 0, memory_order_relaxed);
    }
    return code;
}

/* WSAEINVAL is documented for a listening socket only; an address that no connection can have is
 * WSAEADDRNOTAVAIL: a group's, a broadcast's; which of them are a network's, the dataplane knows.
 */
static int connect_stream(struct spi_socket *socket, const struct sockaddr *name, int name_bytes)
{
    struct rs_addr peer;
    int code = spi_sockaddr_read(socket, name, name_bytes, &peer);
    if (code != 0) {
        return code;
    }
    if (spi_is_multicast(peer.ip.v4_be32) || peer.ip.v4_be32 == INADDR_BROADCAST) {
        return WSAEADDRNOTAVAIL;
    }
    enum rs_status status = client_connect(socket->core, &peer);
    if (status == RS_INVALID && !client_is_listening(socket->core)) {
        return WSAEADDRNOTAVAIL;
    }
    return spi_wsa_error(status);
}

/* Neither TCP's handshake nor a join carries user data (WSAConnect's and WSPJoinLeaf's pages:
 * WSAEPROTONOSUPPORT). What would come back is none. */
static int connect_data(const WSABUF *caller_data, WSABUF *callee_data)
{
    if ((caller_data != NULL && !spi_can_read(caller_data, sizeof(*caller_data))) ||
        (callee_data != NULL && !spi_can_write(callee_data, sizeof(*callee_data)))) {
        return WSAEFAULT;
    }
    if (caller_data != NULL && caller_data->len != 0) {
        return WSAEPROTONOSUPPORT;
    }
    if (callee_data != NULL) {
        callee_data->len = 0;
    }
    return 0;
}

int WSPAPI spi_connect(SOCKET s, const struct sockaddr *name, int name_bytes, LPWSABUF caller_data,
                       LPWSABUF callee_data, LPQOS socket_qos, LPQOS group_qos, LPINT error)
{
    /* Quality of service is documented as ignored where there is none; so are connect data of a
     * datagram socket. */
    (void)socket_qos, (void)group_qos;
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    int code;
    long before = spi_events_before_connect(socket);
    if (socket->stream) {
        code = connect_data(caller_data, callee_data);
        code = code == 0 ? connect_stream(socket, name, name_bytes) : code;
    } else {
        code = connect_dgram(socket, name, name_bytes);
    }
    spi_events_after_connect(socket, before, code);
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}

/* ---- names ---- */

typedef enum rs_status (*name_query)(struct client_socket *core, struct rs_addr *out);

/* AcceptEx's and ConnectEx's pages: not before SO_UPDATE_*_CONTEXT. What ConnectEx connected was
 * bound before. */
static int name_of_half(struct spi_socket *socket, name_query query, struct rs_addr *out)
{
    if (query == client_peer_addr) {
        return WSAENOTCONN;
    }
    return spi_context(socket) == SPI_CONTEXT_ACCEPT ? WSAEINVAL
                                                     : spi_wsa_error(query(socket->core, out));
}

static int name_get(SOCKET s, name_query query, struct sockaddr *name, LPINT name_bytes,
                    LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    struct rs_addr addr;
    int code = spi_context(socket) == SPI_CONTEXT_WHOLE ? spi_wsa_error(query(socket->core, &addr))
                                                        : name_of_half(socket, query, &addr);
    if (code == 0) {
        code = spi_sockaddr_room(socket, name, name_bytes);
    }
    if (code == 0) {
        spi_sockaddr_write(socket, &addr, name, name_bytes);
    }
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}

int WSPAPI spi_get_sock_name(SOCKET s, struct sockaddr *name, LPINT name_bytes, LPINT error)
{
    return name_get(s, client_local_addr, name, name_bytes, error);
}

int WSPAPI spi_get_peer_name(SOCKET s, struct sockaddr *name, LPINT name_bytes, LPINT error)
{
    return name_get(s, client_peer_addr, name, name_bytes, error);
}

/* ---- shutdown, close ---- */

int WSPAPI spi_shutdown(SOCKET s, int how, LPINT error)
{
    static const uint32_t ways[] = {[SD_RECEIVE] = CLIENT_SHUT_RECV,
                                    [SD_SEND] = CLIENT_SHUT_SEND,
                                    [SD_BOTH] = CLIENT_SHUT_RECV | CLIENT_SHUT_SEND};
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    int code = WSAEINVAL;
    if (spi_context(socket) != SPI_CONTEXT_WHOLE) {
        code = WSAENOTCONN; /* as for the names */
    } else if (how >= SD_RECEIVE && how <= SD_BOTH) {
        code = spi_wsa_error(client_shutdown(socket->core, ways[how]));
        spi_ops_poke(socket);
    }
    spi_events_after(socket, 0);
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}

/* TCP carries no data with a FIN: WSAENOPROTOOPT is documented then. */
static int disconnect_data(const WSABUF *data)
{
    if (data == NULL) {
        return 0;
    }
    return spi_can_read(data, sizeof(*data)) ? WSAENOPROTOOPT : WSAEFAULT;
}

static int disconnect(SOCKET s, const WSABUF *data, uint32_t how, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    int code = disconnect_data(data);
    if (code == 0) {
        code = spi_wsa_error(client_shutdown(socket->core, how));
        spi_ops_poke(socket);
    }
    spi_events_after(socket, 0);
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}

int WSPAPI spi_send_disconnect(SOCKET s, LPWSABUF data, LPINT error)
{
    return disconnect(s, data, CLIENT_SHUT_SEND, error);
}

/* Unlike WSPShutdown's, its page says that what arrives is still taken. */
int WSPAPI spi_recv_disconnect(SOCKET s, LPWSABUF data, LPINT error)
{
    return disconnect(s, data, CLIENT_SHUT_RECV | CLIENT_SHUT_KEEP, error);
}

/* WSPCloseSocket's page: a non-blocking socket with a linger time that would have to wait stays
 * open and says WSAEWOULDBLOCK, until the program shuts it down or changes the time. */
static bool close_would_block(SOCKET s)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return false;
    }
    uint32_t nonblocking = 0;
    uint32_t linger_ms = CLIENT_LINGER_OFF;
    bool waits = socket->stream &&
                 client_get_option(socket->core, CLIENT_OPT_NONBLOCKING, &nonblocking) == RS_OK &&
                 client_get_option(socket->core, CLIENT_OPT_LINGER_MS, &linger_ms) == RS_OK &&
                 nonblocking != 0 && linger_ms != 0 && linger_ms != CLIENT_LINGER_OFF &&
                 client_unacknowledged(socket->core) && client_alive(socket->session->client);
    spi_socket_put(socket);
    return waits;
}

int WSPAPI spi_close(SOCKET s, LPINT error)
{
    if (close_would_block(s)) {
        return spi_fail(error, WSAEWOULDBLOCK);
    }
    struct spi_socket *socket = spi_handle_remove(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    /* A dataplane that is gone closes nothing, but the socket is closed all the same. */
    (void)!spi_socket_close(socket, s);
    return 0;
}

/* ---- multipoint ---- */

/* A leaf receives: bound to the group's port if it has none yet, and a member. RS_IS_CONNECTED: it
 * is one already. */
static enum rs_status leaf_receive(struct spi_socket *socket, const struct rs_addr *group)
{
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = group->ip.v4_be32};
    struct rs_addr local = rs_addr_v4(0, group->port_be16);
    enum rs_status status = client_local_addr(socket->core, &local);
    if (status == RS_INVALID) {
        status = client_bind(socket->core, &local);
    }
    if (status != RS_OK) {
        return status;
    }
    status = client_member(socket->core, &join);
    return status == RS_ADDR_NOT_AVAILABLE ? RS_IS_CONNECTED : status;
}

static int leaf_join(struct spi_socket *socket, const struct rs_addr *group, DWORD flags)
{
    if (!socket->multipoint ||
        (flags != JL_SENDER_ONLY && flags != JL_RECEIVER_ONLY && flags != JL_BOTH)) {
        return WSAEINVAL;
    }
    if (!spi_is_multicast(group->ip.v4_be32) || group->port_be16 == 0) {
        return WSAEADDRNOTAVAIL;
    }
    const uint64_t leaf = (uint64_t)group->ip.v4_be32 << 16 | group->port_be16;
    if (flags == JL_SENDER_ONLY &&
        atomic_load_explicit(&socket->leaf, memory_order_relaxed) == leaf) {
        return WSAEISCONN;
    }
    if (flags != JL_SENDER_ONLY) {
        enum rs_status status = leaf_receive(socket, group);
        if (status != RS_OK) {
            return spi_wsa_error(status);
        }
    }
    if (flags != JL_RECEIVER_ONLY) {
        /* Not the core's connect: that would only let through what the group itself sends. */
        atomic_store_explicit(&socket->leaf, leaf, memory_order_relaxed);
        atomic_fetch_or_explicit(&socket->attention, SPI_ATTENTION_SENDS, memory_order_relaxed);
    }
    return 0;
}

/* In a nonrooted control plane, which IP multicast's is, the descriptor returned is s itself. */
SOCKET WSPAPI spi_join_leaf(SOCKET s, const struct sockaddr *name, int name_bytes,
                            LPWSABUF caller_data, LPWSABUF callee_data, LPQOS socket_qos,
                            LPQOS group_qos, DWORD flags, LPINT error)
{
    (void)socket_qos, (void)group_qos;
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        (void)spi_fail(error, WSAENOTSOCK);
        return INVALID_SOCKET;
    }
    struct rs_addr group;
    int code = spi_sockaddr_read(socket, name, name_bytes, &group);
    if (code == 0) {
        code = connect_data(caller_data, callee_data);
    }
    if (code == 0) {
        code = leaf_join(socket, &group, flags);
    }
    if (code == 0) {
        spi_events_tell(socket, FD_CONNECT, 0);
    }
    spi_socket_put(socket);
    if (code != 0) {
        (void)spi_fail(error, code);
        return INVALID_SOCKET;
    }
    return s;
}
