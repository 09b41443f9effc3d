/*
 * pcap_name LINUX_NAME: the name under which wpcap opens a Linux interface in Wine,
 * \Device\NPF_{...}, on standard output. Wine gives the Linux name as the description. A Windows
 * program; wpcap.dll is loaded at run time, so building needs no library.
 */
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

typedef int(findalldevs_fn)(pcap_if_t **, char *);

int main(int argc, char **argv)
{
    char error[PCAP_ERRBUF_SIZE] = "";
    pcap_if_t *all = NULL;
    HMODULE library = LoadLibraryA("wpcap.dll");
    if (argc != 2 || library == NULL) {
        (void)fprintf(stderr, "pcap_name: %s\n",
                      argc != 2 ? "usage: pcap_name LINUX_NAME" : "no wpcap.dll");
        return 2;
    }
    findalldevs_fn *findalldevs =
        (findalldevs_fn *)(void (*)(void))GetProcAddress(library, "pcap_findalldevs");
    if (findalldevs == NULL || findalldevs(&all, error) != 0) {
        (void)fprintf(stderr, "pcap_name: %s\n", error);
        return 1;
    }
    for (const pcap_if_t *each = all; each != NULL; each = each->next) {
        if (each->description != NULL && strcmp(each->description, argv[1]) == 0) {
            (void)printf("%s\n", each->name);
            return 0;
        }
        (void)fprintf(stderr, "%s is %s\n", each->name,
                      each->description != NULL ? each->description : "?");
    }
    (void)fprintf(stderr, "pcap_name: %s is not among them\n", argv[1]);
    return 1;
}
