/*
 * Options that read what a socket and its connection are just now. Any thread; slow path.
 */
#include <string.h>

#include "provider/spi/option_names.h"
#include "provider/spi/spi.h"

#define IP_TCP_HEADER_BYTES 40u
#define TIMESTAMPS_BYTES    12u
#define MSS_DEFAULT_BYTES   536u /* RFC 9293: what a peer that says nothing takes */

bool spi_is_bound(struct spi_socket *socket)
{
    struct rs_addr local;
    return client_local_addr(socket->core, &local) == RS_OK;
}

/* ---- SO_BSP_STATE ---- */

/* Puts an address into the buffer at *used_bytes; false: no room. */
static bool bsp_address(const struct spi_socket *socket, const struct rs_addr *addr, char *value,
                        int room_bytes, int *used_bytes, SOCKET_ADDRESS *out)
{
    SOCKADDR_STORAGE storage;
    int bytes = sizeof(storage);
    spi_sockaddr_write(socket, addr, (struct sockaddr *)&storage, &bytes);
    if (room_bytes - *used_bytes < bytes) {
        return false;
    }
    memcpy(value + *used_bytes, &storage, (size_t)bytes);
    out->lpSockaddr = (LPSOCKADDR)(void *)(value + *used_bytes);
    out->iSockaddrLength = bytes;
    *used_bytes += bytes;
    return true;
}

/* The addresses lie behind the structure that points to them. */
static int bsp_state_get(struct spi_socket *socket, char *value, LPINT value_bytes)
{
    CSADDR_INFO info = {.iSocketType = socket->stream ? SOCK_STREAM : SOCK_DGRAM,
                        .iProtocol = socket->stream ? IPPROTO_TCP : IPPROTO_UDP};
    struct rs_addr local;
    struct rs_addr remote;
    int room_bytes = *value_bytes;
    int used_bytes = sizeof(info);
    if (room_bytes < used_bytes || !spi_can_write(value, (size_t)room_bytes)) {
        return WSAEFAULT;
    }
    if ((client_local_addr(socket->core, &local) == RS_OK &&
         !bsp_address(socket, &local, value, room_bytes, &used_bytes, &info.LocalAddr)) ||
        (client_peer_addr(socket->core, &remote) == RS_OK &&
         !bsp_address(socket, &remote, value, room_bytes, &used_bytes, &info.RemoteAddr))) {
        return WSAEFAULT;
    }
    memcpy(value, &info, sizeof(info));
    *value_bytes = used_bytes;
    return 0;
}

/* ---- sizes of packets ---- */

/* Its page: an estimate, of a connected socket. */
static int path_mtu_get(struct spi_socket *socket, char *value, LPINT value_bytes)
{
    struct rs_addr peer;
    struct rs_tcp_info info;
    DWORD mtu_bytes = client_mtu_bytes(socket->core);
    if (client_peer_addr(socket->core, &peer) != RS_OK) {
        return WSAENOTCONN;
    }
    if (socket->stream && client_tcp_info(socket->core, &info) == RS_OK && info.mss_bytes != 0) {
        DWORD path_bytes =
            info.mss_bytes + IP_TCP_HEADER_BYTES + (info.timestamps != 0 ? TIMESTAMPS_BYTES : 0u);
        mtu_bytes = path_bytes < mtu_bytes ? path_bytes : mtu_bytes;
    }
    return spi_option_answer(value, value_bytes, &mtu_bytes, sizeof(mtu_bytes));
}

/* Of the connection; without one, what was asked for, else RFC 9293's default. */
static int segment_get(struct spi_socket *socket, char *value, LPINT value_bytes)
{
    struct rs_tcp_info info;
    uint32_t word = 0;
    if (client_tcp_info(socket->core, &info) == RS_OK && info.mss_bytes != 0) {
        word = info.mss_bytes;
    } else {
        enum rs_status status = client_get_option(socket->core, RS_OPT_MSS_MAX, &word);
        if (status != RS_OK) {
            return spi_wsa_error(status);
        }
        word = word != 0 ? word : MSS_DEFAULT_BYTES;
    }
    return spi_option_answer(value, value_bytes, &word, sizeof(word));
}

int spi_state_option_get(struct spi_socket *socket, int level, int name, char *value,
                         LPINT value_bytes)
{
    if (level == SOL_SOCKET && name == SO_BSP_STATE) {
        return bsp_state_get(socket, value, value_bytes);
    }
    if (level == IPPROTO_IP && name == IP_MTU) {
        return path_mtu_get(socket, value, value_bytes);
    }
    return level == IPPROTO_TCP && name == TCP_MAXSEG && socket->stream
               ? segment_get(socket, value, value_bytes)
               : WSAENOPROTOOPT;
}
