/*
 * Shared memory on Linux: one memfd per extent. Called by the dataplane's control thread (create)
 * and by the client's attach (map).
 *
 * Seals (memfd_create(2), fcntl(2)): SHRINK and GROW keep every page of the mapping in existence,
 * FUTURE_WRITE leaves the creator's mapping writable and refuses every later one, write(2), hole
 * punching and mprotect(2) of later mappings to writable; SEAL ends the discussion. Under SHRINK
 * and GROW alone a client can still punch holes, which the dataplane reads as zeros at the price of
 * a page fault: hence two kinds of memory, and os_shm_seal once the client has mapped its own.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rings/os/posix_internal.h"

#define MEMORY_PAGE_BYTES 4096u

static bool memory_size_valid(uint64_t size_bytes)
{
    return size_bytes != 0 && size_bytes % MEMORY_PAGE_BYTES == 0 &&
           size_bytes <= (uint64_t)INT64_MAX && size_bytes <= SIZE_MAX;
}

/* Maps the whole of fd, away from forked children: a child must not write into rings that its
 * parent owns. */
static enum rs_status memory_map_fd(int fd, uint64_t size_bytes, int protection, void **base)
{
    void *at = mmap(NULL, (size_t)size_bytes, protection, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        (void)posix_error("mmap");
        return errno == ENOMEM ? RS_NO_MEMORY : RS_OS_ERROR;
    }
    if (madvise(at, (size_t)size_bytes, MADV_DONTFORK) != 0) {
        (void)posix_error("madvise(MADV_DONTFORK)");
        (void)munmap(at, (size_t)size_bytes);
        return RS_OS_ERROR;
    }
    *base = at;
    return RS_OK;
}

enum rs_status os_shm_create(enum os_shm_kind kind, uint64_t size_bytes, struct os_shm *out)
{
    *out = (struct os_shm){.base = NULL, .size_bytes = 0, .handle = -1};
    if (!memory_size_valid(size_bytes)) {
        return RS_INVALID;
    }
    int fd = memfd_create(kind == OS_SHM_DP ? "ringsock-dp" : "ringsock-cl",
                          MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        (void)posix_error("memfd_create");
        return errno == ENOMEM ? RS_NO_MEMORY : RS_OS_ERROR;
    }
    enum rs_status status = RS_OS_ERROR;
    if (ftruncate(fd, (off_t)size_bytes) != 0) {
        (void)posix_error("ftruncate of a memfd");
        goto close_fd;
    }
    void *base = NULL;
    status = memory_map_fd(fd, size_bytes, PROT_READ | PROT_WRITE, &base);
    if (status != RS_OK) {
        goto close_fd;
    }
    int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    if (kind == OS_SHM_DP) {
        seals |= F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    }
    if (fcntl(fd, F_ADD_SEALS, seals) != 0) {
        status = posix_error("fcntl(F_ADD_SEALS)");
        goto unmap;
    }
    *out = (struct os_shm){.base = base, .size_bytes = size_bytes, .handle = fd};
    return RS_OK;

unmap:
    (void)munmap(base, (size_t)size_bytes);
close_fd:
    (void)close(fd);
    return status;
}

enum rs_status os_shm_seal(const struct os_shm *shm)
{
    int fd = (int)shm->handle;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0) {
        return RS_OK;
    }
    /* The client has the descriptor too, and may have sealed before us. */
    bool sealed_before = errno == EPERM;
    int seals = fcntl(fd, F_GET_SEALS);
    if (sealed_before && seals >= 0 && (seals & F_SEAL_FUTURE_WRITE) != 0) {
        return RS_OK;
    }
    (void)os_error_set("shared memory", "sealed by its client so that we cannot");
    return RS_CORRUPT;
}

/* An object that could still shrink would let its owner kill us with SIGBUS; one that is smaller
 * than said does so already. */
static enum rs_status memory_check_fd(int fd, uint64_t size_bytes)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return posix_error("fstat of shared memory");
    }
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK)) {
        (void)os_error_set("shared memory", "not a sealed memfd");
        return RS_CORRUPT;
    }
    if (info.st_size < 0 || (uint64_t)info.st_size != size_bytes) {
        (void)os_error_set("shared memory", "the object has another size than announced");
        return RS_CORRUPT;
    }
    return RS_OK;
}

enum rs_status os_shm_map(intptr_t handle, uint64_t size_bytes, bool writable, struct os_shm *out)
{
    int fd = (int)handle;
    *out = (struct os_shm){.base = NULL, .size_bytes = 0, .handle = -1};
    enum rs_status status =
        memory_size_valid(size_bytes) ? memory_check_fd(fd, size_bytes) : RS_INVALID;
    void *base = NULL;
    if (status == RS_OK) {
        status =
            memory_map_fd(fd, size_bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, &base);
    }
    if (status != RS_OK) {
        os_handle_close(handle);
        return status;
    }
    *out = (struct os_shm){.base = base, .size_bytes = size_bytes, .handle = handle};
    return RS_OK;
}

void os_shm_destroy(struct os_shm *shm)
{
    if (!shm->base) {
        return;
    }
    (void)munmap(shm->base, (size_t)shm->size_bytes);
    os_handle_close(shm->handle);
    *shm = (struct os_shm){.base = NULL, .size_bytes = 0, .handle = -1};
}
