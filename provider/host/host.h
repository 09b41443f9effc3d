/*
 * What ws2_32 is to a provider, for programs and tests that bring their own: loading the DLL,
 * WSPStartup, the 15 upcalls, a kernel handle behind each socket, completion of overlapped
 * requests. One provider per process. Any thread; load and unload one at a time.
 *
 * host_winsock (winsock_*.c) is the Winsock API on top of it: a program compiled with
 * WINSOCK_API_LINKAGE defined empty links either host_winsock or the system's ws2_32.
 */
#ifndef RINGSOCK_PROVIDER_HOST_HOST_H
#define RINGSOCK_PROVIDER_HOST_HOST_H

#include <winsock2.h>

#include <ws2spi.h>

#include <stdbool.h>

/* ---- the provider (load.c) ---- */

struct host_provider {
    HMODULE dll;
    LPWSPSTARTUP startup;
    WSPDATA data;
    WSPPROC_TABLE table;
    WSAPROTOCOL_INFOW info; /* the catalog entry it was started as */
    WCHAR path[MAX_PATH];
};

/* Loads the DLL at path; NULL: $RINGSOCK_PROVIDER, else ringsock.dll beside the program. Does not
 * start it. Returns 0, or the system's error code. */
int host_load(const WCHAR *path, struct host_provider *out);
/* WSPStartup with our upcalls. Returns what it returned. */
int host_startup(struct host_provider *provider, WORD version);
/* The catalog id of the entry our provider is started as, its first; the others follow. */
#define HOST_CATALOG_ID 1001u
/* The entry that serves the triple, as ws2_32 hands it to WSPSocket; when none does, the first: the
 * provider says what is wrong. */
WSAPROTOCOL_INFOW host_catalog_entry(int family, int type, int protocol);

/* ---- upcalls (upcalls.c) ---- */

void host_fill_upcalls(WSPUPCALLTABLE *out);
/* What WPUGetProviderPath tells; set by host_load. */
void host_set_provider_path(const WCHAR *path);

/* The calling thread's blocking hook, as a program of Winsock 1.1 installs one; NULL: none. Returns
 * the one before. */
LPBLOCKINGCALLBACK host_set_blocking_hook(LPBLOCKINGCALLBACK hook, DWORD_PTR context);

/* ---- socket handles (handles.c) ---- */

/* A real kernel handle, so that the system calls which take any handle work on a socket. */
SOCKET host_handle_create(DWORD catalog_id, DWORD_PTR context, int *error);
int host_handle_close(SOCKET s);                       /* 0 or WSAENOTSOCK */
int host_handle_context(SOCKET s, DWORD_PTR *context); /* 0 or WSAENOTSOCK */
/* The completion port of a socket, as CreateIoCompletionPort would attach it. 0 or the error: a
 * handle has one port for life (WSAEINVAL). */
int host_handle_set_port(SOCKET s, HANDLE port, ULONG_PTR key);
/* What CreateIoCompletionPort is to a program: for a socket of ours the above, for any other handle
 * the system's (host_winsock). NULL with the last error. */
HANDLE WINAPI host_completion_port(HANDLE file, HANDLE existing, ULONG_PTR key, DWORD threads);
bool host_handle_port(SOCKET s, HANDLE *port, ULONG_PTR *key);
unsigned host_handle_count(void); /* open ones: tests look for leaks */

#endif
