/*
 * Shared memory on Windows: one pagefile section per extent, without a name. Called by the
 * dataplane's control thread (create) and by the client's attach (map).
 *
 * The client gets its section handle from the dataplane (win32_connection.c) with SECTION_MAP_READ
 * alone for dataplane-written memory: a writable view and VirtualProtect to writable are then
 * refused. A section cannot shrink and a view's pages cannot be decommitted. Between processes of
 * one user this keeps mistakes out, not intent: Windows lets such a process open the dataplane
 * itself, as ptrace(2) does elsewhere.
 */
#include "rings/os/win32_internal.h"
#include "rings/os/win32_security.h"

#define MEMORY_PAGE_BYTES 4096u

static bool memory_size_valid(uint64_t size_bytes)
{
    return size_bytes != 0 && size_bytes % MEMORY_PAGE_BYTES == 0 &&
           size_bytes <= (uint64_t)INT64_MAX && size_bytes <= SIZE_MAX;
}

static enum rs_status memory_error(const char *call)
{
    (void)win32_error(call);
    switch (GetLastError()) {
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_DISK_FULL:
        return RS_NO_MEMORY;
    default:
        return RS_OS_ERROR;
    }
}

enum rs_status os_shm_create(enum os_shm_kind kind, uint64_t size_bytes, struct os_shm *out)
{
    (void)kind; /* decides the rights when the handle is sent */
    *out = (struct os_shm){.base = NULL, .size_bytes = 0, .handle = -1};
    if (!memory_size_valid(size_bytes)) {
        return RS_INVALID;
    }
    /* Without an access list of its own, a section lets whoever holds a read-only handle duplicate
     * it into a writable one. */
    struct win32_security closed;
    enum rs_status status = win32_security_make_closed(&closed);
    if (status != RS_OK) {
        return status;
    }
    SECURITY_ATTRIBUTES attributes = {sizeof attributes, closed.descriptor, FALSE};
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, &attributes, PAGE_READWRITE,
                                        (DWORD)(size_bytes >> 32), (DWORD)size_bytes, NULL);
    status = section ? RS_OK : memory_error("CreateFileMapping");
    win32_security_free(&closed);
    if (status != RS_OK) {
        return status;
    }
    void *base = MapViewOfFile(section, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, (SIZE_T)size_bytes);
    if (!base) {
        status = memory_error("MapViewOfFile");
        (void)CloseHandle(section);
        return status;
    }
    *out = (struct os_shm){.base = base, .size_bytes = size_bytes, .handle = (intptr_t)section};
    return RS_OK;
}

enum rs_status os_shm_map(intptr_t handle, uint64_t size_bytes, bool writable, struct os_shm *out)
{
    *out = (struct os_shm){.base = NULL, .size_bytes = 0, .handle = -1};
    enum rs_status status = RS_INVALID;
    void *base = NULL;
    if (!memory_size_valid(size_bytes)) {
        goto close_handle;
    }
    /* The whole section: asked for a size, the system would also map a part. */
    base = MapViewOfFile(win32_handle(handle),
                         writable ? FILE_MAP_READ | FILE_MAP_WRITE : FILE_MAP_READ, 0, 0, 0);
    if (!base) {
        status = memory_error("MapViewOfFile");
        goto close_handle;
    }
    MEMORY_BASIC_INFORMATION view;
    if (VirtualQuery(base, &view, sizeof view) == 0) {
        status = win32_error("VirtualQuery");
        goto unmap;
    }
    if (view.RegionSize != size_bytes) {
        (void)os_error_set("shared memory", "the section has another size than announced");
        status = RS_CORRUPT;
        goto unmap;
    }
    *out = (struct os_shm){.base = base, .size_bytes = size_bytes, .handle = handle};
    return RS_OK;

unmap:
    (void)UnmapViewOfFile(base);
close_handle:
    os_handle_close(handle);
    return status;
}

enum rs_status os_shm_seal(const struct os_shm *shm)
{
    (void)shm;
    return RS_OK;
}

void os_shm_destroy(struct os_shm *shm)
{
    if (!shm->base) {
        return;
    }
    /* After a fault the guard has put private pages in the view's place. */
    if (!UnmapViewOfFile(shm->base)) {
        (void)VirtualFree(shm->base, 0, MEM_RELEASE);
    }
    os_handle_close(shm->handle);
    *shm = (struct os_shm){.base = NULL, .size_bytes = 0, .handle = -1};
}
