/*
 * nic_name: prints the name by which net_pcap opens a network interface (\Device\NPF_{...}), given
 * the name that people know
 * ("Ethernet 2"; under Wine the Linux name). Without an argument it lists all. Used by demo.sh to
 * write ringsockd's configuration. Exit status 1: there is no such interface.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_BYTES_START = 16 * 1024, LIST_TRIES = 4 };

/* Wide to ASCII; other characters become '?'. */
static void nic_name_narrow(const wchar_t *wide, char *out, size_t bytes)
{
    size_t i = 0;
    for (; wide[i] != 0 && i + 1 < bytes; i++) {
        out[i] = wide[i] < 128 ? (char)wide[i] : '?';
    }
    out[i] = '\0';
}

static IP_ADAPTER_ADDRESSES *nic_name_list(void)
{
    ULONG bytes = LIST_BYTES_START;
    const ULONG flags = GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST | GAA_FLAG_SKIP_DNS_SERVER;
    for (int i = 0; i < LIST_TRIES; i++) {
        IP_ADAPTER_ADDRESSES *list = malloc(bytes);
        if (list == NULL) {
            return NULL;
        }
        ULONG error = GetAdaptersAddresses(AF_UNSPEC, flags, NULL, list, &bytes);
        if (error == NO_ERROR) {
            return list;
        }
        free(list);
        if (error != ERROR_BUFFER_OVERFLOW) {
            return NULL;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    IP_ADAPTER_ADDRESSES *list = nic_name_list();
    bool found = argc < 2;
    for (const IP_ADAPTER_ADDRESSES *nic = list; nic != NULL; nic = nic->Next) {
        char friendly[128];
        nic_name_narrow(nic->FriendlyName, friendly, sizeof(friendly));
        if (argc < 2) {
            printf("\\Device\\NPF_%s %s\n", nic->AdapterName, friendly);
        } else if (strcmp(friendly, argv[1]) == 0) {
            printf("\\Device\\NPF_%s\n", nic->AdapterName);
            found = true;
        }
    }
    free(list);
    if (!found) {
        (void)fprintf(stderr, "nic_name: no interface is called %s\n", argv[1]);
    }
    return found ? 0 : 1;
}
