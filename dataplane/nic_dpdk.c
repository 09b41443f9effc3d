/*
 * NICs by DPDK: opens ethdev ports as the configuration says and moves frames between mbufs and
 * struct pkt without allocating. The way of a frame (rx_burst, rx_release, tx_alloc, tx_burst,
 * tx_free) belongs to the queue's thread; the rest to the control thread.
 *
 * Queue threads are ringsockd's own, not EAL lcores: their pinning, names and ends are the
 * dataplane's matter, and with loopback files there is no EAL at all. Each registers itself with
 * rte_thread_register at its first burst, because a mempool's per-lcore cache needs an lcore id;
 * without one each mbuf would go through the shared ring with atomics.
 */
#include "dataplane/nic_dpdk.h"

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/log.h"
#include "dataplane/nic_dpdk_clock.h"
#include "dataplane/nic_dpdk_rss.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/tcp.h"
#include "rings/os/os.h"

#define ETHER_HEADER_BYTES 14u
#define MACS_BYTES         12u
#define VLAN_BYTES         4u
#define FRAME_MORE_BYTES   (ETHER_HEADER_BYTES + 2 * VLAN_BYTES + RTE_ETHER_CRC_LEN)
#define POOL_CACHE_MBUFS   256u
#define BIG_CACHE_MBUFS    32u
#define MC_ADDRS_MAX       1024u

/* Multicast reception, from the narrowest filter to the widest; a port only ever widens. */
enum multicast_mode { MULTICAST_LIST, MULTICAST_ALL, MULTICAST_PROMISCUOUS };

struct dpdk_nic;

/* An ethdev with all its queues; lives as long as one of them. Control thread. */
struct dpdk_port {
    struct dpdk_nic *queues[RS_QUEUES_MAX];
    struct rte_eth_conf conf;
    struct rte_eth_dev_info info;
    uint32_t queue_count;
    uint32_t open_count;
    enum multicast_mode multicast;
    enum nic_dpdk_clock_source clock_source;
    struct nic_dpdk_rss rss;
    struct nic_steering steering; /* read by the queues' threads, constant once they run */
    uint16_t id;
    bool shared; /* the kernel sees it too */
    bool started;
};

struct dpdk_nic {
    struct nic nic;
    struct dpdk_port *port;
    struct rte_mempool *pool;
    struct nic_dpdk_clock clock;
    bool tags;                    /* the NIC puts them in; else we do */
    struct rte_mempool *big_pool; /* of tx_alloc_big; NULL without TSO */
    struct rte_ether_addr *macs;  /* multicast addresses of this queue */
    uint32_t mac_count;
    uint16_t port_id, queue_id;
    bool registered;                /* queue thread: has an lcore id, or was refused one */
    _Atomic uint64_t oversize_pkts; /* queue thread writes, control thread reads (stats) */
    _Atomic uint64_t refused_pkts;  /* the same; frames that the driver will never send */
};

static struct dpdk_nic *dpdk_of(struct nic *nic)
{
    return (struct dpdk_nic *)(void *)nic;
}

/* ---- queue thread ---- */

/* The queue thread is the only writer, so no locked addition. */
static void count_one(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static uint32_t rx_flags(uint64_t ol_flags)
{
    uint32_t flags = 0;
    uint64_t ip = ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    uint64_t l4 = ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    flags |= ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD ? PKT_RX_IP_CSUM_GOOD : 0;
    flags |= ip == RTE_MBUF_F_RX_IP_CKSUM_BAD ? PKT_RX_IP_CSUM_BAD : 0;
    flags |= l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD ? PKT_RX_L4_CSUM_GOOD : 0;
    flags |= l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD ? PKT_RX_L4_CSUM_BAD : 0;
    return flags;
}

/* The tag that the NIC took out, or that we take out. */
static void rx_vlan(const struct rte_mbuf *mbuf, struct pkt *pkt)
{
    if ((mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) {
        pkt->flags |= PKT_VLAN | (uint32_t)mbuf->vlan_tci << PKT_TCI_SHIFT;
    } else {
        nic_vlan_strip(pkt);
    }
}

static uint32_t dpdk_rx_burst(struct nic *nic, struct pkt *pkts, uint32_t max)
{
    struct dpdk_nic *self = dpdk_of(nic);
    struct rte_mbuf *mbufs[NIC_BURST_PKTS];
    if (unlikely(!self->registered)) {
        /* Once per thread. Refused: slower, not wrong. */
        (void)rte_thread_register();
        self->registered = true;
    }
    uint16_t want = (uint16_t)(max < NIC_BURST_PKTS ? max : NIC_BURST_PKTS);
    uint16_t got = rte_eth_rx_burst(self->port_id, self->queue_id, mbufs, want);
    if (got == 0) {
        return 0;
    }
    uint64_t tsc = os_tsc();
    uint32_t count = 0;
    for (uint16_t i = 0; i < got; i++) {
        rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
    }
    for (uint16_t i = 0; i < got; i++) {
        struct rte_mbuf *mbuf = mbufs[i];
        if (unlikely(mbuf->nb_segs != 1)) {
            /* Longer than the MTU: the buffers hold any frame that is not. */
            count_one(&self->oversize_pkts);
            rte_pktmbuf_free(mbuf);
            continue;
        }
        pkts[count++] = (struct pkt){
            .handle = mbuf,
            .data = rte_pktmbuf_mtod(mbuf, uint8_t *),
            .len_bytes = mbuf->data_len,
            .flags = nic->caps & NIC_CAP_RX_CSUM ? rx_flags(mbuf->ol_flags) : 0,
            .rx_tsc = nic_dpdk_clock_rx(&self->clock, mbuf, tsc),
        };
        if (unlikely(nic->vlan)) {
            rx_vlan(mbuf, &pkts[count - 1]);
        }
    }
    return count;
}

static void dpdk_rx_release(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    (void)nic;
    for (uint32_t i = 0; i < count; i++) {
        rte_pktmbuf_free(pkts[i].handle);
    }
}

static bool dpdk_tx_alloc(struct nic *nic, struct pkt *out)
{
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(dpdk_of(nic)->pool);
    if (unlikely(mbuf == NULL)) {
        return false;
    }
    *out = (struct pkt){.handle = mbuf, .data = rte_pktmbuf_mtod(mbuf, uint8_t *)};
    return true;
}

static bool dpdk_tx_alloc_big(struct nic *nic, struct pkt *out)
{
    struct dpdk_nic *self = dpdk_of(nic);
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(self->big_pool);
    if (unlikely(mbuf == NULL)) {
        /* Drivers give sent mbufs back when they need descriptors, of which there are more than of
         * these. */
        (void)rte_eth_tx_done_cleanup(self->port_id, self->queue_id, NIC_BURST_PKTS);
        mbuf = rte_pktmbuf_alloc(self->big_pool);
        if (mbuf == NULL) {
            return false;
        }
    }
    *out = (struct pkt){.handle = mbuf, .data = rte_pktmbuf_mtod(mbuf, uint8_t *)};
    return true;
}

/* What the NIC must know to fill in checksums and to cut: where the headers start. */
static uint64_t tx_offload(struct rte_mbuf *mbuf, const struct pkt *pkt)
{
    const bool tagged = pkt->data[12] == 0x81 && pkt->data[13] == 0x00;
    uint64_t l2_bytes = tagged ? ETHER_HEADER_BYTES + VLAN_BYTES : ETHER_HEADER_BYTES;
    mbuf->tx_offload = 0;
    mbuf->l2_len = l2_bytes & 0x7f;
    mbuf->l3_len = (uint64_t)(pkt->data[l2_bytes] & 0x0f) * 4 & 0x1ff;
    if (pkt->flags & PKT_TX_TCP_SEG) {
        const void *tcp = pkt->data + l2_bytes + mbuf->l3_len;
        mbuf->l4_len = tcp_header_bytes(tcp) & 0xffu;
        mbuf->tso_segsz = pkt->segment_bytes;
        return RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM |
               RTE_MBUF_F_TX_TCP_SEG;
    }
    return RTE_MBUF_F_TX_IPV4 | (pkt->flags & PKT_TX_IP_CSUM ? RTE_MBUF_F_TX_IP_CKSUM : 0) |
           (pkt->flags & PKT_TX_UDP_CSUM ? RTE_MBUF_F_TX_UDP_CKSUM : 0) |
           (pkt->flags & PKT_TX_TCP_CSUM ? RTE_MBUF_F_TX_TCP_CKSUM : 0);
}

/* Into the headroom in front of the frame. A frame that is offered again has its tag. */
static void tx_vlan(struct pkt *pkt)
{
    uint8_t *data = pkt->data - VLAN_BYTES;
    memmove(data, pkt->data, MACS_BYTES);
    ethernet_put_tag(data + MACS_BYTES, (uint16_t)(pkt->flags >> PKT_TCI_SHIFT));
    pkt->data = data;
    pkt->len_bytes += VLAN_BYTES;
    pkt->flags &= PKT_VLAN - 1;
}

static uint32_t dpdk_tx_burst(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    struct dpdk_nic *self = dpdk_of(nic);
    struct rte_mbuf *mbufs[NIC_BURST_PKTS];
    uint16_t burst = (uint16_t)(count < NIC_BURST_PKTS ? count : NIC_BURST_PKTS);
    bool offload = false;
    for (uint16_t i = 0; i < burst; i++) {
        struct rte_mbuf *mbuf = pkts[i].handle;
        const bool tagged = (pkts[i].flags & PKT_VLAN) != 0;
        if (tagged && !self->tags) {
            tx_vlan(&pkts[i]);
        }
        mbuf->data_off = (uint16_t)(pkts[i].data - (uint8_t *)mbuf->buf_addr);
        mbuf->data_len = (uint16_t)pkts[i].len_bytes;
        mbuf->pkt_len = pkts[i].len_bytes;
        mbuf->ol_flags = 0;
        if (pkts[i].flags & (PKT_TX_IP_CSUM | PKT_TX_UDP_CSUM | PKT_TX_TCP_CSUM | PKT_TX_TCP_SEG)) {
            mbuf->ol_flags = tx_offload(mbuf, &pkts[i]);
            offload = true;
        }
        if (tagged && self->tags) {
            mbuf->ol_flags |= RTE_MBUF_F_TX_VLAN;
            mbuf->vlan_tci = (uint16_t)(pkts[i].flags >> PKT_TCI_SHIFT);
            offload = true;
        }
        mbufs[i] = mbuf;
    }
    if (offload) {
        burst = rte_eth_tx_prepare(self->port_id, self->queue_id, mbufs, burst);
        if (unlikely(burst == 0)) {
            /* The driver will never take the first one, and it would hold up the others. */
            rte_pktmbuf_free(mbufs[0]);
            count_one(&self->refused_pkts);
            return 1;
        }
    }
    return rte_eth_tx_burst(self->port_id, self->queue_id, mbufs, burst);
}

static void dpdk_tx_free(struct nic *nic, struct pkt *pkt)
{
    (void)nic;
    rte_pktmbuf_free(pkt->handle);
}

/* ---- control thread ---- */

static void dpdk_stats(struct nic *nic, struct nic_stats *out)
{
    struct dpdk_nic *self = dpdk_of(nic);
    struct rte_eth_stats stats = {0};
    *out = (struct nic_stats){.buffers = self->pool->size,
                              .buffers_held = rte_mempool_in_use_count(self->pool)};
    if (self->big_pool != NULL) {
        out->buffers += self->big_pool->size;
        out->buffers_held += rte_mempool_in_use_count(self->big_pool);
    }
    if (rte_eth_stats_get(self->port_id, &stats) != 0) {
        return;
    }
    if (self->port->queue_count == 1) {
        out->rx_pkts = stats.ipackets;
        out->rx_bytes = stats.ibytes;
        out->tx_pkts = stats.opackets;
        out->tx_bytes = stats.obytes;
    } else {
        out->rx_pkts = stats.q_ipackets[self->queue_id];
        out->rx_bytes = stats.q_ibytes[self->queue_id];
        out->tx_pkts = stats.q_opackets[self->queue_id];
        out->tx_bytes = stats.q_obytes[self->queue_id];
    }
    if (self->queue_id == 0) { /* what the NIC counts for the port as a whole */
        out->rx_missed_pkts = stats.imissed;
        out->rx_errors_pkts = stats.ierrors;
        out->rx_no_buffer_pkts = stats.rx_nombuf;
        out->tx_errors_pkts = stats.oerrors;
    }
    out->rx_errors_pkts += atomic_load_explicit(&self->oversize_pkts, memory_order_relaxed);
    out->tx_errors_pkts += atomic_load_explicit(&self->refused_pkts, memory_order_relaxed);
}

static bool dpdk_link_up(struct nic *nic)
{
    const struct dpdk_nic *self = dpdk_of(nic);
    struct rte_eth_link link = {0};
    bool up =
        rte_eth_link_get_nowait(self->port_id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
    return up || !nic_dpdk_link_is_told(self->port->info.if_index);
}

static void dpdk_watch(struct nic *nic)
{
    struct dpdk_nic *self = dpdk_of(nic);
    nic_dpdk_clock_watch(&self->clock, self->port_id, nic);
}

/* Programs the union of what the port's queues want. */
static enum rs_status port_program_multicast(struct dpdk_port *port)
{
    uint32_t count = 0;
    for (uint32_t q = 0; q < port->queue_count; q++) {
        count += port->queues[q] != NULL ? port->queues[q]->mac_count : 0;
    }
    if (port->multicast == MULTICAST_LIST) {
        struct rte_ether_addr *all = calloc(count + 1, sizeof(*all));
        if (all == NULL) {
            return RS_NO_MEMORY;
        }
        count = 0;
        for (uint32_t q = 0; q < port->queue_count; q++) {
            for (uint32_t i = 0; port->queues[q] != NULL && i < port->queues[q]->mac_count; i++) {
                all[count++] = port->queues[q]->macs[i];
            }
        }
        int result =
            count <= MC_ADDRS_MAX ? rte_eth_dev_set_mc_addr_list(port->id, all, count) : -ENOSPC;
        free(all);
        if (result == 0) {
            return RS_OK;
        }
        port->multicast = MULTICAST_ALL;
        if (rte_eth_allmulticast_enable(port->id) == 0) {
            log_line(LOG_LEVEL_INFO, "nic",
                     "%s filters no list of multicast addresses (%s); it takes all",
                     port->queues[0]->nic.name, rte_strerror(-result));
            return RS_OK;
        }
    }
    if (port->multicast == MULTICAST_ALL && rte_eth_allmulticast_get(port->id) == 1) {
        return RS_OK;
    }
    port->multicast = MULTICAST_PROMISCUOUS;
    if (rte_eth_promiscuous_get(port->id) != 1 && rte_eth_promiscuous_enable(port->id) != 0) {
        log_line(LOG_LEVEL_ERROR, "nic", "%s takes no multicast: its driver has no filter for it",
                 port->queues[0]->nic.name);
        return RS_NOT_SUPPORTED;
    }
    return RS_OK;
}

static enum rs_status dpdk_multicast_set(struct nic *nic, const uint8_t (*macs)[6], uint32_t count)
{
    struct dpdk_nic *self = dpdk_of(nic);
    if (self->port->shared) {
        return RS_OK; /* promiscuous since the start */
    }
    struct rte_ether_addr *copy = calloc(count + 1, sizeof(*copy));
    if (copy == NULL) {
        return RS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        memcpy(copy[i].addr_bytes, macs[i], sizeof(copy[i].addr_bytes));
    }
    free(self->macs);
    self->macs = copy;
    self->mac_count = count;
    return port_program_multicast(self->port);
}

static void dpdk_close(struct nic *nic)
{
    struct dpdk_nic *self = dpdk_of(nic);
    struct dpdk_port *port = self->port;
    /* The first queue to go stops the port: mbufs of any queue may lie in its descriptors. */
    if (port->started) {
        (void)rte_eth_dev_stop(port->id);
        port->started = false;
    }
    if (--port->open_count == 0) {
        (void)rte_eth_dev_close(port->id);
        for (uint32_t q = 0; q < port->queue_count; q++) {
            if (port->queues[q] != NULL) { /* NULL: opening failed half-way */
                rte_mempool_free(port->queues[q]->pool);
                rte_mempool_free(port->queues[q]->big_pool);
                free(port->queues[q]->macs);
                free(port->queues[q]);
            }
        }
        free(port);
    }
}

static const struct nic_ops dpdk_ops = {
    .rx_burst = dpdk_rx_burst,
    .rx_release = dpdk_rx_release,
    .tx_alloc = dpdk_tx_alloc,
    .tx_alloc_big = dpdk_tx_alloc_big,
    .tx_burst = dpdk_tx_burst,
    .tx_free = dpdk_tx_free,
    .stats = dpdk_stats,
    .link_up = dpdk_link_up,
    .watch = dpdk_watch,
    .multicast_set = dpdk_multicast_set,
    .close = dpdk_close,
};

/* ---- opening ---- */

RS_PRINTF_LIKE(3, 4)
static enum rs_status refuse(const struct queue_config *config, enum rs_status status,
                             const char *format, ...)
{
    char why[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    log_line(LOG_LEVEL_ERROR, "nic", "%s: [nic] device = %s: %s", config->file, config->device,
             why);
    return status;
}

/* DPDK names a device by what stands before its arguments; PCI addresses with their domain. */
static enum rs_status find_port(const struct queue_config *config, uint32_t queues, uint16_t *id)
{
    char name[RTE_ETH_NAME_MAX_LEN];
    size_t bytes = strcspn(config->device, ",");
    const bool short_pci =
        config_device_kind(config->device) == CONFIG_DEVICE_PCI && bytes == strlen("03:00.0");
    (void)snprintf(name, sizeof(name), "%s%.*s", short_pci ? "0000:" : "", (int)bytes,
                   config->device);
    if (rte_eth_dev_get_port_by_name(name, id) != 0) {
        if (queues > 1 && strncmp(name, "net_af_xdp", strlen("net_af_xdp")) == 0) {
            return refuse(config, RS_CONFIG,
                          "DPDK has no such port; %u files name it, so the interface needs as many "
                          "combined channels (ethtool -L IF combined %u; a veth has one)",
                          queues, queues);
        }
        return refuse(config, RS_CONFIG,
                      "DPDK has no such port; is its driver built in, the NIC bound to vfio-pci "
                      "(Windows: netuio), the interface there and up?");
    }
    return RS_OK;
}

static enum rs_status check_limits(const struct dpdk_port *port, const struct queue_config *config)
{
    const struct rte_eth_dev_info *info = &port->info;
    if (port->queue_count > info->max_rx_queues || port->queue_count > info->max_tx_queues) {
        return refuse(config, RS_CONFIG, "has %u receive and %u transmit queues; %u files name it",
                      info->max_rx_queues, info->max_tx_queues, port->queue_count);
    }
    if (nic_dpdk_queues_argument(config) != NULL && port->queue_count < info->max_rx_queues) {
        return refuse(config, RS_CONFIG,
                      "is made with %u queues, %u files name it; the frames of the others would be "
                      "lost. Leave %s out of it",
                      info->max_rx_queues, port->queue_count, nic_dpdk_queues_argument(config));
    }
    uint32_t overhead = info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu
                            ? info->max_rx_pktlen - info->max_mtu
                            : RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
    uint32_t mtu_most = info->max_rx_pktlen - overhead;
    if (nic_dpdk_af_packet_slot_bytes(config) == 0 && config->mtu_bytes > mtu_most) {
        return refuse(config, RS_CONFIG, "[nic] mtu_bytes = %u; the NIC takes at most %u",
                      config->mtu_bytes, mtu_most);
    }
    return RS_OK;
}

/* net_tap cuts segments in software, and takes none that fills the MTU: it compares the frame with
 * Ethernet's header to it (DPDK 22.11). The refused frame would hold up the queue. */
static bool tso_usable(const struct rte_eth_dev_info *info)
{
    return strcmp(info->driver_name, "net_tap") != 0;
}

/* Tags: either end by the NIC where it can, else by us. */
static void choose_vlan_offloads(struct dpdk_port *port, const struct queue_config *config)
{
    if (config->stack.vlan_id == 0) {
        return;
    }
    uint64_t rx = port->info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
    uint64_t tx = port->info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
    if (config->offload >= CONFIG_OFFLOAD_CHECKSUM) {
        port->conf.rxmode.offloads |= rx;
        port->conf.txmode.offloads |= tx;
    }
    log_line(LOG_LEVEL_INFO, "nic", "%s: VLAN %u: tags are taken out by %s and put in by %s",
             config->device, config->stack.vlan_id,
             (port->conf.rxmode.offloads & rx) != 0 ? "the NIC" : "ringsockd",
             (port->conf.txmode.offloads & tx) != 0 ? "the NIC" : "ringsockd");
}

/* What the NIC will do of what [nic] offload allows; the log says it. NIC_CAP_*. */
static uint32_t choose_offloads(struct dpdk_port *port, const struct queue_config *config)
{
    static const struct {
        uint64_t tx;
        uint32_t cap;
        const char *name;
    } offloads[] = {{RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, NIC_CAP_TX_IP_CSUM, "IPv4 checksums"},
                    {RTE_ETH_TX_OFFLOAD_UDP_CKSUM, NIC_CAP_TX_UDP_CSUM, "UDP checksums"},
                    {RTE_ETH_TX_OFFLOAD_TCP_CKSUM, NIC_CAP_TX_TCP_CSUM, "TCP checksums"},
                    {RTE_ETH_TX_OFFLOAD_TCP_TSO, NIC_CAP_TX_TSO, "TCP segmentation"}};
    const uint64_t rx =
        RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
    const uint32_t both = NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_TCP_CSUM;
    char text[160] = "";
    size_t used = 0;
    uint32_t caps = 0;
    for (size_t i = 0; i < RTE_DIM(offloads); i++) {
        const bool tso = offloads[i].cap == NIC_CAP_TX_TSO;
        if (config->offload < (tso ? CONFIG_OFFLOAD_ALL : CONFIG_OFFLOAD_CHECKSUM) ||
            !(port->info.tx_offload_capa & offloads[i].tx) ||
            (tso && ((caps & both) != both || !tso_usable(&port->info)))) {
            continue;
        }
        port->conf.txmode.offloads |= offloads[i].tx;
        caps |= offloads[i].cap;
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used > 0 ? ", " : "",
                                 offloads[i].name);
    }
    if (config->offload >= CONFIG_OFFLOAD_CHECKSUM && (port->info.rx_offload_capa & rx) == rx) {
        port->conf.rxmode.offloads |= rx;
        caps |= NIC_CAP_RX_CSUM;
        (void)snprintf(text + used, sizeof(text) - used, "%schecks of received checksums",
                       used > 0 ? ", " : "");
    }
    choose_vlan_offloads(port, config);
    log_line(LOG_LEVEL_INFO, "nic", "%s: left to the NIC: %s", config->device,
             caps != 0 ? text : "nothing");
    return caps;
}

static enum rs_status configure_port(struct dpdk_port *port, const struct queue_config *config,
                                     uint32_t *caps)
{
    int result = rte_eth_dev_info_get(port->id, &port->info);
    if (result != 0) {
        return refuse(config, RS_OS_ERROR, "tells nothing of itself: %s", rte_strerror(-result));
    }
    enum rs_status status = check_limits(port, config);
    if (status != RS_OK) {
        return status;
    }
    *caps = choose_offloads(port, config);
    port->clock_source = nic_dpdk_clock_choose(config, &port->info, &port->conf);
    if (port->queue_count > 1) {
        status = nic_dpdk_rss_ask(&port->rss, &port->info, &port->conf);
        if (status != RS_OK) {
            return refuse(config, status, "no random key: %s", os_last_error_text());
        }
    }
    /* net_af_packet says it takes 1,518 bytes, whatever its slots hold. */
    uint32_t mtu_said = port->info.max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN;
    bool af_packet = nic_dpdk_af_packet_slot_bytes(config) != 0;
    port->conf.rxmode.mtu =
        af_packet && config->mtu_bytes > mtu_said ? mtu_said : config->mtu_bytes;
    result = rte_eth_dev_configure(port->id, (uint16_t)port->queue_count,
                                   (uint16_t)port->queue_count, &port->conf);
    if (result != 0) {
        return refuse(config, RS_CONFIG, "refuses %u queue(s) with MTU %u: %s", port->queue_count,
                      config->mtu_bytes, rte_strerror(-result));
    }
    return RS_OK;
}

/* The MAC we answer for. A kernel's NIC keeps its own: setting it would change the kernel's
 * interface. */
static enum rs_status choose_mac(const struct dpdk_port *port, const struct queue_config *config,
                                 uint8_t mac[6])
{
    struct rte_ether_addr own = {{0}};
    int result = rte_eth_macaddr_get(port->id, &own);
    memcpy(mac, config->mac_set ? config->mac : own.addr_bytes, sizeof(own.addr_bytes));
    if (port->shared) {
        if (memcmp(config->mac, own.addr_bytes, sizeof(own.addr_bytes)) == 0) {
            return refuse(
                config, RS_CONFIG,
                "[nic] mac is the kernel's MAC of this interface; choose another, locally "
                "administered one such as 02:52:53:00:00:01");
        }
        return RS_OK;
    }
    if (config->mac_set && memcmp(config->mac, own.addr_bytes, sizeof(own.addr_bytes)) != 0) {
        memcpy(own.addr_bytes, config->mac, sizeof(own.addr_bytes));
        result = rte_eth_dev_default_mac_addr_set(port->id, &own);
    }
    return result == 0 ? RS_OK
                       : refuse(config, RS_CONFIG, "takes no other MAC (%s): leave [nic] mac out",
                                rte_strerror(-result));
}

/* The second pool, for frames that the NIC cuts. */
static enum rs_status create_big_pool(struct dpdk_nic *self, const struct queue_config *config,
                                      int socket)
{
    char name[32];
    const uint32_t room = NIC_TSO_HEADER_BYTES + nic_tso_bytes(config->mtu_bytes);
    (void)snprintf(name, sizeof(name), "rs-big-%u-%u", self->port_id, self->queue_id);
    self->big_pool = rte_pktmbuf_pool_create(
        name, NIC_DPDK_BIG_MBUFS, BIG_CACHE_MBUFS, 0,
        (uint16_t)(RTE_ALIGN_CEIL(room, 64) + RTE_PKTMBUF_HEADROOM), socket);
    if (self->big_pool == NULL) {
        return refuse(
            config, RS_NO_MEMORY,
            "no memory for %u buffers of %u bytes: %s. [nic] offload = checksum needs none",
            NIC_DPDK_BIG_MBUFS, room, rte_strerror(rte_errno));
    }
    self->nic.tso_max_bytes = nic_tso_bytes(config->mtu_bytes);
    return RS_OK;
}

static enum rs_status setup_queue(struct dpdk_nic *self, const struct queue_config *config)
{
    struct dpdk_port *port = self->port;
    char name[32];
    uint32_t room = config->mtu_bytes + FRAME_MORE_BYTES;
    uint32_t slot = nic_dpdk_af_packet_slot_bytes(config); /* the driver wants all of it to fit */
    room = room < slot ? slot : room;
    uint16_t rx_descriptors = (uint16_t)config->rx_descriptors;
    uint16_t tx_descriptors = (uint16_t)config->tx_descriptors;
    int socket = rte_eth_dev_socket_id(port->id);
    room = RTE_ALIGN_CEIL(room < RTE_MBUF_DEFAULT_DATAROOM ? RTE_MBUF_DEFAULT_DATAROOM : room, 64);
    (void)snprintf(name, sizeof(name), "rs-mbufs-%u-%u", port->id, self->queue_id);
    self->pool = rte_pktmbuf_pool_create(name, config->mbufs, POOL_CACHE_MBUFS, 0,
                                         (uint16_t)(room + RTE_PKTMBUF_HEADROOM), socket);
    if (self->pool == NULL) {
        return refuse(config, RS_NO_MEMORY, "no memory for [nic] mbufs = %u of %u bytes: %s",
                      config->mbufs, room, rte_strerror(rte_errno));
    }
    if (self->nic.caps & NIC_CAP_TX_TSO) {
        enum rs_status status = create_big_pool(self, config, socket);
        if (status != RS_OK) {
            return status;
        }
    }
    int result = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx_descriptors, &tx_descriptors);
    if (result == 0) {
        result = rte_eth_rx_queue_setup(port->id, self->queue_id, rx_descriptors,
                                        (unsigned int)socket, NULL, self->pool);
    }
    if (result == 0) {
        result = rte_eth_tx_queue_setup(port->id, self->queue_id, tx_descriptors,
                                        (unsigned int)socket, NULL);
    }
    if (result != 0) {
        return refuse(config, RS_CONFIG, "refuses queue %u with %u and %u descriptors: %s",
                      self->queue_id, rx_descriptors, tx_descriptors, rte_strerror(-result));
    }
    if (rx_descriptors != config->rx_descriptors || tx_descriptors != config->tx_descriptors) {
        log_line(LOG_LEVEL_INFO, "nic",
                 "%s: the driver made it %u receive and %u transmit descriptors", config->device,
                 rx_descriptors, tx_descriptors);
    }
    return RS_OK;
}

static enum rs_status start_port(struct dpdk_port *port, const struct queue_config *config)
{
    int result = rte_eth_dev_start(port->id);
    if (result != 0) {
        return refuse(config, RS_OS_ERROR, "does not start: %s", rte_strerror(-result));
    }
    port->started = true;
    if (config->promiscuous || port->shared) {
        result = rte_eth_promiscuous_enable(port->id);
        /* net_pcap has no such switch: it always is. */
        if (result != 0 && !port->shared) {
            return refuse(config, RS_CONFIG, "cannot be promiscuous: %s", rte_strerror(-result));
        }
    }
    for (uint32_t q = 0; q < port->queue_count; q++) {
        nic_dpdk_clock_open(&port->queues[q]->clock, port->id, port->clock_source,
                            &port->queues[q]->nic);
    }
    if (port->queue_count == 1) {
        port->steering = steer_one_queue;
        return RS_OK;
    }
    return nic_dpdk_rss_read(&port->rss, port->id, &port->info, port->queue_count, config->device,
                             &port->steering);
}

/* One queue's nic, not yet set up. */
static struct dpdk_nic *queue_create(struct dpdk_port *port, const struct queue_config *config)
{
    struct dpdk_nic *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    self->nic.ops = &dpdk_ops;
    self->nic.kind =
        config_device_kind(config->device) == CONFIG_DEVICE_PCI ? RS_NIC_BYPASS : RS_NIC_FUNCTIONAL;
    self->nic.mtu_bytes = config->mtu_bytes;
    self->nic.queue_idx = config->queue_idx;
    self->nic.queue_count = port->queue_count;
    self->nic.steering = &port->steering;
    (void)snprintf(self->nic.name, sizeof(self->nic.name), "%.63s", config->device);
    self->port = port;
    self->port_id = port->id;
    self->queue_id = (uint16_t)config->queue_idx;
    port->queues[config->queue_idx] = self;
    port->open_count++;
    return self;
}

/* The device of configs[first] with the queues of all configs that name it. */
static enum rs_status open_port(const struct queue_config *configs, uint32_t count, uint32_t first,
                                struct nic **nics)
{
    const struct queue_config *config = &configs[first];
    enum rs_status status = RS_NO_MEMORY;
    uint32_t caps = 0;
    struct dpdk_port *port = calloc(1, sizeof(*port));
    if (port == NULL) {
        return status;
    }
    for (uint32_t i = first; i < count; i++) {
        port->queue_count += strcmp(configs[i].device, config->device) == 0;
    }
    status = find_port(config, port->queue_count, &port->id);
    if (status != RS_OK) {
        free(port);
        return status;
    }
    port->shared = config_device_kind(config->device) == CONFIG_DEVICE_VIRTUAL_SHARED;
    status = configure_port(port, config, &caps);
    for (uint32_t i = first; i < count && status == RS_OK; i++) {
        if (strcmp(configs[i].device, config->device) != 0) {
            continue;
        }
        struct dpdk_nic *self = queue_create(port, &configs[i]);
        if (self == NULL) {
            status = RS_NO_MEMORY;
            break;
        }
        nics[i] = &self->nic;
        self->nic.caps = caps;
        self->nic.vlan = configs[i].stack.vlan_id != 0;
        self->tags = (port->conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT) != 0;
        status = choose_mac(port, &configs[i], self->nic.mac);
        if (status == RS_OK) {
            status = setup_queue(self, &configs[i]);
        }
    }
    if (status == RS_OK) {
        status = start_port(port, config);
    }
    if (port->open_count == 0) {
        free(port);
    }
    return status;
}

enum rs_status nic_dpdk_open(const struct queue_config *configs, uint32_t count, struct nic **nics)
{
    enum rs_status status = RS_OK;
    for (uint32_t i = 0; i < count && status == RS_OK; i++) {
        if (!configs[i].loopback && nics[i] == NULL) {
            status = open_port(configs, count, i, nics);
        }
    }
    for (uint32_t i = 0; i < count && status != RS_OK; i++) {
        if (!configs[i].loopback && nics[i] != NULL) {
            nics[i]->ops->close(nics[i]);
            nics[i] = NULL;
        }
    }
    return status;
}
