/*
 * The Winsock API about sockets themselves, on the provider's table. Any thread.
 */
#include "provider/host/winsock_internal.h"

#include <stddef.h>
#include <string.h>

/* ---- create, close ---- */

SOCKET WSAAPI WSASocketW(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info, GROUP group,
                         DWORD flags)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    if (table == NULL) {
        return INVALID_SOCKET;
    }
    WSAPROTOCOL_INFOW ours = host_catalog_entry(family, type, protocol);
    return winsock_socket_result(table->lpWSPSocket(family, type, protocol,
                                                    info != NULL ? info : &ours, group, flags,
                                                    &error),
                                 &error);
}

SOCKET WSAAPI WSASocketA(int family, int type, int protocol, LPWSAPROTOCOL_INFOA info, GROUP group,
                         DWORD flags)
{
    WSAPROTOCOL_INFOW wide;
    if (info == NULL) {
        return WSASocketW(family, type, protocol, NULL, group, flags);
    }
    /* The two differ in the name only, which nobody reads here. */
    memset(&wide, 0, sizeof(wide));
    memcpy(&wide, info, offsetof(WSAPROTOCOL_INFOA, szProtocol));
    return WSASocketW(family, type, protocol, &wide, group, flags);
}

SOCKET WSAAPI socket(int family, int type, int protocol)
{
    return WSASocketW(family, type, protocol, NULL, 0, WSA_FLAG_OVERLAPPED);
}

int WSAAPI closesocket(SOCKET s)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPCloseSocket(s, &error), &error);
}

/* ---- names ---- */

int WSAAPI bind(SOCKET s, const struct sockaddr *name, int name_bytes)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPBind(s, name, name_bytes, &error), &error);
}

int WSAAPI WSAConnect(SOCKET s, const struct sockaddr *name, int name_bytes, LPWSABUF caller_data,
                      LPWSABUF callee_data, LPQOS socket_qos, LPQOS group_qos)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL
               ? SOCKET_ERROR
               : winsock_result(table->lpWSPConnect(s, name, name_bytes, caller_data, callee_data,
                                                    socket_qos, group_qos, &error),
                                &error);
}

int WSAAPI connect(SOCKET s, const struct sockaddr *name, int name_bytes)
{
    return WSAConnect(s, name, name_bytes, NULL, NULL, NULL, NULL);
}

int WSAAPI getsockname(SOCKET s, struct sockaddr *name, int *name_bytes)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL
               ? SOCKET_ERROR
               : winsock_result(table->lpWSPGetSockName(s, name, name_bytes, &error), &error);
}

int WSAAPI getpeername(SOCKET s, struct sockaddr *name, int *name_bytes)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL
               ? SOCKET_ERROR
               : winsock_result(table->lpWSPGetPeerName(s, name, name_bytes, &error), &error);
}

SOCKET WSAAPI WSAJoinLeaf(SOCKET s, const struct sockaddr *name, int name_bytes,
                          LPWSABUF caller_data, LPWSABUF callee_data, LPQOS socket_qos,
                          LPQOS group_qos, DWORD flags)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    if (table == NULL) {
        return INVALID_SOCKET;
    }
    return winsock_socket_result(table->lpWSPJoinLeaf(s, name, name_bytes, caller_data, callee_data,
                                                      socket_qos, group_qos, flags, &error),
                                 &error);
}

/* ---- streams' calls ---- */

int WSAAPI listen(SOCKET s, int backlog)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPListen(s, backlog, &error), &error);
}

SOCKET WSAAPI WSAAccept(SOCKET s, struct sockaddr *addr, LPINT addr_bytes,
                        LPCONDITIONPROC condition, DWORD_PTR callback_data)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    if (table == NULL) {
        return INVALID_SOCKET;
    }
    return winsock_socket_result(
        table->lpWSPAccept(s, addr, addr_bytes, condition, callback_data, &error), &error);
}

SOCKET WSAAPI accept(SOCKET s, struct sockaddr *addr, int *addr_bytes)
{
    return WSAAccept(s, addr, addr_bytes, NULL, 0);
}

int WSAAPI shutdown(SOCKET s, int how)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPShutdown(s, how, &error), &error);
}

int WSAAPI WSASendDisconnect(SOCKET s, LPWSABUF data)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPSendDisconnect(s, data, &error), &error);
}

int WSAAPI WSARecvDisconnect(SOCKET s, LPWSABUF data)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPRecvDisconnect(s, data, &error), &error);
}

/* ---- options, control ---- */

int WSAAPI getsockopt(SOCKET s, int level, int name, char *value, int *value_bytes)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL
               ? SOCKET_ERROR
               : winsock_result(table->lpWSPGetSockOpt(s, level, name, value, value_bytes, &error),
                                &error);
}

int WSAAPI setsockopt(SOCKET s, int level, int name, const char *value, int value_bytes)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL
               ? SOCKET_ERROR
               : winsock_result(table->lpWSPSetSockOpt(s, level, name, value, value_bytes, &error),
                                &error);
}

int WSAAPI WSAIoctl(SOCKET s, DWORD code, LPVOID in, DWORD in_bytes, LPVOID out, DWORD out_bytes,
                    LPDWORD returned_bytes, LPWSAOVERLAPPED overlapped,
                    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    WSATHREADID thread = {.ThreadHandle = GetCurrentThread()};
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPIoctl(s, code, in, in_bytes, out, out_bytes,
                                                            returned_bytes, overlapped, routine,
                                                            &thread, &error),
                                          &error);
}

/* The 1.1 call has one argument for both directions; which one the command uses is in the command.
 */
int WSAAPI ioctlsocket(SOCKET s, __LONG32 code, u_long *argument)
{
    DWORD returned_bytes = 0;
    DWORD in_bytes = ((DWORD)code & IOC_IN) != 0 ? sizeof(*argument) : 0;
    DWORD out_bytes = ((DWORD)code & IOC_OUT) != 0 ? sizeof(*argument) : 0;
    return WSAIoctl(s, (DWORD)code, argument, in_bytes, argument, out_bytes, &returned_bytes, NULL,
                    NULL);
}

/* ---- readiness ---- */

int WSAAPI select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds,
                  const PTIMEVAL timeout)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPSelect(nfds, readfds, writefds, exceptfds,
                                                             timeout, &error),
                                          &error);
}

/* What the FD_ISSET macro calls. */
int WSAAPI __WSAFDIsSet(SOCKET s, fd_set *set)
{
    return WPUFDIsSet(s, set);
}
