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
