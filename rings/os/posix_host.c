/*
 * What Linux says of the host: interface addresses and huge pages. Called by ringsockd's start-up.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "rings/os/posix_internal.h"

static bool host_has(int family, const void *bytes, size_t count)
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (const struct ifaddrs *each = all; each != NULL && !found; each = each->ifa_next) {
        if (each->ifa_addr == NULL || each->ifa_addr->sa_family != family) {
            continue;
        }
        if (family == AF_INET) {
            struct sockaddr_in v4;
            memcpy(&v4, each->ifa_addr, sizeof v4);
            found = memcmp(&v4.sin_addr, bytes, count) == 0;
        } else {
            struct sockaddr_ll link;
            memcpy(&link, each->ifa_addr, sizeof link);
            found = link.sll_halen == count && memcmp(link.sll_addr, bytes, count) == 0;
        }
    }
    freeifaddrs(all);
    return found;
}

bool os_host_has_ipv4(uint32_t ip_be32)
{
    return host_has(AF_INET, &ip_be32, sizeof ip_be32);
}

bool os_host_has_mac(const uint8_t mac[6])
{
    return host_has(AF_PACKET, mac, 6);
}

/* Free pages of one size, 0 when there is no such file. */
static bool pages_free(const char *size_name)
{
    char path[300];
    unsigned long pages = 0;
    (void)snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/%s/free_hugepages", size_name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    char text[32] = "";
    if (fgets(text, sizeof text, file) != NULL) {
        pages = strtoul(text, NULL, 10);
    }
    (void)fclose(file);
    return pages > 0;
}

bool os_huge_pages_usable(void)
{
    DIR *sizes = opendir("/sys/kernel/mm/hugepages");
    bool usable = false;
    if (sizes == NULL) {
        return false;
    }
    for (const struct dirent *each = readdir(sizes); each != NULL && !usable;
         each = readdir(sizes)) {
        usable = strncmp(each->d_name, "hugepages-", 10) == 0 && pages_free(each->d_name);
    }
    (void)closedir(sizes);
    return usable;
}

/* ---- tables ---- */

#define HUGE_PAGE_BYTES  ((size_t)2 << 20)
#define TABLE_LINE_BYTES 64u

static bool table_is_large(size_t bytes)
{
    return bytes >= 2 * HUGE_PAGE_BYTES;
}

static size_t table_round(size_t bytes, size_t unit)
{
    return (bytes / unit + 1) * unit;
}

/* Begins on a huge page: what lies before it and behind it is given back. */
static void *table_map(size_t bytes)
{
    size_t len = table_round(bytes, HUGE_PAGE_BYTES);
    uint8_t *at = mmap(NULL, len + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return NULL;
    }
    size_t before = HUGE_PAGE_BYTES - ((uintptr_t)at & (HUGE_PAGE_BYTES - 1));
    (void)munmap(at, before);
    if (before < HUGE_PAGE_BYTES) {
        (void)munmap(at + before + len, HUGE_PAGE_BYTES - before);
    }
    (void)madvise(at + before, len, MADV_HUGEPAGE); /* else it works with small ones */
    return at + before;
}

void *os_table_alloc(size_t bytes)
{
    if (table_is_large(bytes)) {
        return table_map(bytes);
    }
    size_t len = table_round(bytes, TABLE_LINE_BYTES);
    void *table = aligned_alloc(TABLE_LINE_BYTES, len);
    if (table != NULL) {
        memset(table, 0, len);
    }
    return table;
}

void os_table_free(void *table, size_t bytes)
{
    if (table != NULL && table_is_large(bytes)) {
        (void)munmap(table, table_round(bytes, HUGE_PAGE_BYTES));
    } else {
        free(table);
    }
}
