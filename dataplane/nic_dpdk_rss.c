/*
 * See nic_dpdk_rss.h. What a driver says it took is believed; that it was asked for is not enough:
 * some have a key of their own, and some no table.
 */
#include "dataplane/nic_dpdk_rss.h"

#include <string.h>

#include "dataplane/log.h"
#include "rings/os/os.h"
#include "rings/seq.h"

#define KEY_BYTES_LEAST     16u  /* what an IPv4 flow needs: 96 bits of input, 32 of hash */
#define SOFTWARE_TABLE_SIZE 128u /* any power of two well above the number of queues */
#define PORT_HASHES         (RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV4_TCP)
#define TABLE_GROUPS        (STEER_TABLE_MAX / RTE_ETH_RETA_GROUP_SIZE)

/* A driver that does not say takes 40 bytes, as DPDK's own default is. */
static uint8_t key_bytes(const struct rte_eth_dev_info *info)
{
    return info->hash_key_size != 0 ? info->hash_key_size : TOEPLITZ_KEY_BYTES;
}

enum rs_status nic_dpdk_rss_ask(struct nic_dpdk_rss *rss, const struct rte_eth_dev_info *info,
                                struct rte_eth_conf *conf)
{
    enum rs_status status = os_random(rss->key, sizeof(rss->key));
    if (status != RS_OK) {
        return status;
    }
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf->rx_adv_conf.rss_conf.rss_hf =
        info->flow_type_rss_offloads & (RTE_ETH_RSS_IPV4 | PORT_HASHES);
    if (info->hash_key_size != 0 && info->hash_key_size <= sizeof(rss->key)) {
        conf->rx_adv_conf.rss_conf.rss_key = rss->key;
        conf->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size;
    }
    return RS_OK;
}

/* The key the port hashes with. Returns why it is not known, NULL when it is. */
static const char *read_key(const struct nic_dpdk_rss *rss, uint16_t port_id,
                            const struct rte_eth_dev_info *info, uint8_t *key)
{
    static const uint8_t no_key[NIC_DPDK_RSS_KEY_MAX];
    struct rte_eth_rss_conf ours = {.rss_key = key,
                                    .rss_key_len = key_bytes(info),
                                    .rss_hf = info->flow_type_rss_offloads &
                                              (RTE_ETH_RSS_IPV4 | PORT_HASHES)};
    struct rte_eth_rss_conf got = {.rss_key = key, .rss_key_len = key_bytes(info)};
    if (key_bytes(info) < KEY_BYTES_LEAST || key_bytes(info) > NIC_DPDK_RSS_KEY_MAX) {
        return "its hash key has an odd length";
    }
    int result = rte_eth_dev_rss_hash_conf_get(port_id, &got);
    if (result == 0 && memcmp(key, rss->key, key_bytes(info)) != 0) {
        /* Some take a key only now. */
        memcpy(key, rss->key, key_bytes(info));
        (void)rte_eth_dev_rss_hash_update(port_id, &ours);
        memset(key, 0, NIC_DPDK_RSS_KEY_MAX);
        got = (struct rte_eth_rss_conf){.rss_key = key, .rss_key_len = key_bytes(info)};
        result = rte_eth_dev_rss_hash_conf_get(port_id, &got);
    }
    if (result != 0 || memcmp(key, no_key, key_bytes(info)) == 0) {
        return "its driver shows no hash key";
    }
    return (got.rss_hf & PORT_HASHES) == PORT_HASHES ? NULL
                                                     : "it does not hash the ports of UDP and TCP";
}

/* The redirection table, with the queues in turn where the driver lets us. As read_key. */
static const char *read_table(uint16_t port_id, const struct rte_eth_dev_info *info,
                              uint32_t queue_count, uint16_t *table)
{
    struct rte_eth_rss_reta_entry64 groups[TABLE_GROUPS] = {0};
    const uint16_t size = info->reta_size;
    if (!rs_is_pow2(size) || size > STEER_TABLE_MAX) {
        return "it has no redirection table, or an odd one";
    }
    for (uint32_t i = 0; i < size; i++) {
        groups[i / RTE_ETH_RETA_GROUP_SIZE].mask |= UINT64_C(1) << i % RTE_ETH_RETA_GROUP_SIZE;
        groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] =
            (uint16_t)(i % queue_count);
    }
    (void)rte_eth_dev_rss_reta_update(port_id, groups, size);
    for (uint32_t i = 0; i < TABLE_GROUPS; i++) {
        memset(groups[i].reta, 0xff, sizeof(groups[i].reta));
    }
    if (rte_eth_dev_rss_reta_query(port_id, groups, size) != 0) {
        return "its driver does not show the redirection table";
    }
    for (uint32_t i = 0; i < size; i++) {
        table[i] = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
    }
    return NULL;
}

enum rs_status nic_dpdk_rss_read(const struct nic_dpdk_rss *rss, uint16_t port_id,
                                 const struct rte_eth_dev_info *info, uint32_t queue_count,
                                 const char *name, struct nic_steering *out)
{
    uint8_t key[NIC_DPDK_RSS_KEY_MAX] = {0};
    uint16_t table[STEER_TABLE_MAX];
    const char *why = read_key(rss, port_id, info, key);
    if (why == NULL) {
        why = read_table(port_id, info, queue_count, table);
    }
    if (why == NULL &&
        steer_init(out, STEER_NIC, key, table, info->reta_size, queue_count) != RS_OK) {
        why = "its redirection table leads to queues that nobody reads";
    }
    if (why == NULL) {
        return RS_OK;
    }
    log_line(LOG_LEVEL_INFO, "nic",
             "%s: the NIC does not spread frames over its queues as we know it (%s); a queue hands "
             "what it gets to the queue it belongs to",
             name, why);
    return steer_init(out, STEER_SOFTWARE, rss->key, NULL, SOFTWARE_TABLE_SIZE, queue_count);
}
