/*
 * The 30 entries of WSPPROC_TABLE. Any thread.
 */
#include "provider/spi/spi.h"

void spi_table_fill(LPWSPPROC_TABLE table)
{
    *table = (WSPPROC_TABLE){
        .lpWSPAccept = spi_accept,
        .lpWSPAddressToString = spi_address_to_string,
        .lpWSPAsyncSelect = spi_async_select,
        .lpWSPBind = spi_bind,
        .lpWSPCancelBlockingCall = spi_cancel_blocking_call,
        .lpWSPCleanup = spi_cleanup,
        .lpWSPCloseSocket = spi_close,
        .lpWSPConnect = spi_connect,
        .lpWSPDuplicateSocket = spi_duplicate_socket,
        .lpWSPEnumNetworkEvents = spi_enum_network_events,
        .lpWSPEventSelect = spi_event_select,
        .lpWSPGetOverlappedResult = spi_get_overlapped_result,
        .lpWSPGetPeerName = spi_get_peer_name,
        .lpWSPGetSockName = spi_get_sock_name,
        .lpWSPGetSockOpt = spi_get_sock_opt,
        .lpWSPGetQOSByName = spi_get_qos_by_name,
        .lpWSPIoctl = spi_ioctl,
        .lpWSPJoinLeaf = spi_join_leaf,
        .lpWSPListen = spi_listen,
        .lpWSPRecv = spi_recv,
        .lpWSPRecvDisconnect = spi_recv_disconnect,
        .lpWSPRecvFrom = spi_recv_from,
        .lpWSPSelect = spi_select,
        .lpWSPSend = spi_send,
        .lpWSPSendDisconnect = spi_send_disconnect,
        .lpWSPSendTo = spi_send_to,
        .lpWSPSetSockOpt = spi_set_sock_opt,
        .lpWSPShutdown = spi_shutdown,
        .lpWSPSocket = spi_socket_entry,
        .lpWSPStringToAddress = spi_string_to_address,
    };
}
