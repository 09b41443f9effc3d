/*
 * How DPDK's net_pcap opens an interface on Windows: the linker sends its pcap_open_live here
 * (--wrap). The driver asks for nothing but a snap length and promiscuous mode, and then gets a
 * buffer of 2 MiB, which is 130 ms of the demo's traffic, and frames in blocks, a millisecond or
 * more after they came. Here it gets a buffer for seconds, and immediate mode where there is one:
 * Npcap has it; Wine exports the function, but ends the program when it is called. Functions that
 * the import library does not list are looked up by name. Start-up thread only; called by the
 * driver's probe.
 */
#include <windows.h>

#include <stdbool.h>
#include <string.h>

#include "dataplane/log.h"

struct pcap;

#define NIC_PCAP_BUFFER_BYTES (64 << 20)
#define NIC_PCAP_TIMEOUT_MS   1

/* From the manual page pcap(3pcap); all cdecl. */
struct nic_pcap_functions {
    struct pcap *(*create)(const char *source, char *errors);
    int (*set_snaplen)(struct pcap *pcap, int bytes);
    int (*set_promisc)(struct pcap *pcap, int on);
    int (*set_timeout)(struct pcap *pcap, int timeout_ms);
    int (*set_immediate_mode)(struct pcap *pcap, int on);
    int (*set_buffer_size)(struct pcap *pcap, int bytes);
    int (*activate)(struct pcap *pcap);
    void (*close)(struct pcap *pcap);
};

/* The names that ld --wrap gives. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
struct pcap *__real_pcap_open_live(const char *device, int snaplen, int promiscuous, int timeout_ms,
                                   char *errors);
struct pcap *__wrap_pcap_open_live(const char *device, int snaplen, int promiscuous, int timeout_ms,
                                   char *errors);
/* NOLINTEND(bugprone-reserved-identifier) */

static bool nic_pcap_load(struct nic_pcap_functions *out)
{
    static const char *const names[] = {
        "pcap_create",
        "pcap_set_snaplen",
        "pcap_set_promisc",
        "pcap_set_timeout",
        "pcap_set_immediate_mode",
        "pcap_set_buffer_size",
        "pcap_activate",
        "pcap_close",
    };
    FARPROC found[sizeof(names) / sizeof(names[0])];
    _Static_assert(sizeof(found) == sizeof(*out), "one name for each function");
    HMODULE library = LoadLibraryA("wpcap.dll"); /* loaded already; stays so */
    for (size_t i = 0; library != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        found[i] = GetProcAddress(library, names[i]);
        if (found[i] == NULL) {
            return false;
        }
    }
    memcpy(out, found, sizeof(*out));
    return library != NULL;
}

static bool nic_pcap_is_wine(void)
{
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");
    return ntdll != NULL && GetProcAddress(ntdll, "wine_get_version") != NULL;
}

struct pcap *__wrap_pcap_open_live(const char *device, int snaplen, int promiscuous, int timeout_ms,
                                   char *errors)
{
    struct nic_pcap_functions pcap_of;
    if (!nic_pcap_load(&pcap_of)) {
        log_line(LOG_LEVEL_WARNING, "nic",
                 "this wpcap.dll lacks pcap_create and its settings: small buffer, frames late");
        return __real_pcap_open_live(device, snaplen, promiscuous, timeout_ms, errors);
    }
    struct pcap *pcap = pcap_of.create(device, errors);
    if (pcap == NULL) {
        return NULL;
    }
    if (pcap_of.set_snaplen(pcap, snaplen) == 0 && pcap_of.set_promisc(pcap, promiscuous) == 0 &&
        pcap_of.set_timeout(pcap, NIC_PCAP_TIMEOUT_MS) == 0 &&
        (nic_pcap_is_wine() || pcap_of.set_immediate_mode(pcap, 1) == 0) &&
        pcap_of.set_buffer_size(pcap, NIC_PCAP_BUFFER_BYTES) == 0 && pcap_of.activate(pcap) >= 0) {
        return pcap;
    }
    pcap_of.close(pcap);
    log_line(LOG_LEVEL_WARNING, "nic",
             "%s does not open with our settings: small buffer, frames late", device);
    return __real_pcap_open_live(device, snaplen, promiscuous, timeout_ms, errors);
}
