/*
 * Finding, loading and starting the provider DLL. One thread at a time.
 */
#include "provider/host/host.h"

#include <string.h>

#include "provider/spi/catalog.h"

#define PROVIDER_NAME L"ringsock.dll"

/* 0 or the system's error. */
static int load_default_path(WCHAR path[MAX_PATH])
{
    DWORD chars = GetEnvironmentVariableW(L"RINGSOCK_PROVIDER", path, MAX_PATH);
    if (chars != 0) {
        return chars < MAX_PATH ? 0 : ERROR_FILENAME_EXCED_RANGE;
    }
    chars = GetModuleFileNameW(NULL, path, MAX_PATH);
    while (chars != 0 && path[chars - 1] != L'\\' && path[chars - 1] != L'/') {
        chars--;
    }
    if (chars + sizeof(PROVIDER_NAME) / sizeof(WCHAR) > MAX_PATH) {
        return ERROR_FILENAME_EXCED_RANGE;
    }
    memcpy(path + chars, PROVIDER_NAME, sizeof(PROVIDER_NAME));
    return 0;
}

int host_load(const WCHAR *path, struct host_provider *out)
{
    memset(out, 0, sizeof(*out));
    if (path == NULL) {
        int error = load_default_path(out->path);
        if (error != 0) {
            return error;
        }
    } else {
        wcsncpy(out->path, path, MAX_PATH - 1);
    }
    out->dll = LoadLibraryW(out->path);
    if (out->dll == NULL) {
        return (int)GetLastError();
    }
    FARPROC startup = GetProcAddress(out->dll, "WSPStartup");
    if (startup == NULL) {
        return ERROR_PROC_NOT_FOUND;
    }
    memcpy(&out->startup, &startup, sizeof(startup));
    out->info = host_catalog_entry(FROM_PROTOCOL_INFO, 0, 0);
    host_set_provider_path(out->path);
    return 0;
}

WSAPROTOCOL_INFOW host_catalog_entry(int family, int type, int protocol)
{
    const WSAPROTOCOL_INFOW *found =
        spi_catalog_find(family == AF_UNSPEC ? AF_INET : family, type, protocol);
    WSAPROTOCOL_INFOW entry = found != NULL ? *found : spi_catalog_entries[0];
    entry.dwCatalogEntryId =
        HOST_CATALOG_ID + (found != NULL ? (DWORD)(found - spi_catalog_entries) : 0u);
    return entry;
}

int host_startup(struct host_provider *provider, WORD version)
{
    WSPUPCALLTABLE upcalls;
    host_fill_upcalls(&upcalls);
    return provider->startup(version, &provider->data, &provider->info, upcalls, &provider->table);
}
