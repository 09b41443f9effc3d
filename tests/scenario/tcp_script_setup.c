/*
 * Fixtures of the TCP script language, see tcp_script.h.
 */
#include "tcp_script.h"

#include <string.h>

#include "dataplane/tcp_secret.h"
#include "script_internal.h"

#define PEER_ISN     100000u
#define PEER_TS_BASE 5000000u
#define WRAP_BEFORE  0x200u /* so far from 2^32 begin the numbers of script_setup_tcp_wrap */
#define ISN_TICK_NS  4000u  /* RFC 6528's clock */
#define START_ISN_NS (1020000 * MS) /* the clock when a script begins */

struct tcp_config script_tcp_config(void)
{
    struct tcp_config config = tcp_config_default(64);
    config.syn_tries = 4; /* fewer than the default: scripts wait for each */
    for (uint32_t i = 0; i < sizeof(config.secret); i++) {
        config.secret[i] = (uint8_t)(i * 17 + 1);
    }
    return config;
}

static int setup(const struct tcp_config *config, struct script_options options, uint32_t peer_isn,
                 uint32_t peer_ts_base)
{
    options.tcp = config;
    tcp_flow_reset(peer_isn, peer_ts_base);
    int result = script_setup_with(&options);
    script_on_flow(OWN ":7000", PEER ":5000");
    return result;
}

int script_setup_tcp_config(const struct tcp_config *config, uint32_t mtu_bytes)
{
    return setup(config, (struct script_options){.gateway = true, .mtu_bytes = mtu_bytes}, PEER_ISN,
                 PEER_TS_BASE);
}

int script_setup_tcp(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    return script_setup_tcp_config(&config, 0);
}

int script_setup_tcp_wrap(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    struct tcp_secret secret;
    memcpy(&secret, config.secret, sizeof(secret));
    const struct tcp_secret_flow flow = {ip_of(OWN), ip_of(PEER), port_of(OWN ":7000"),
                                         port_of(PEER ":5000")};
    /* The script begins so late that the clock of ISNs stands right. */
    uint32_t isn = tcp_secret_isn(&secret, &flow, START_ISN_NS);
    uint64_t later_ns = (uint64_t)(0u - WRAP_BEFORE - isn) * ISN_TICK_NS;
    return setup(&config, (struct script_options){.gateway = true, .later_ns = later_ns},
                 0u - WRAP_BEFORE, 0u - WRAP_BEFORE);
}

int script_setup_tcp_small_mtu(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    return script_setup_tcp_config(&config, 576);
}

int script_setup_tcp_jumbo(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    return script_setup_tcp_config(&config, 9000);
}

int script_setup_tcp_ecn(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.ecn = TCP_ECN_ON;
    return script_setup_tcp_config(&config, 0);
}

int script_setup_tcp_no_ecn(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.ecn = TCP_ECN_OFF;
    return script_setup_tcp_config(&config, 0);
}

int script_setup_tcp_ack_now(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.ack_immediate = true;
    return script_setup_tcp_config(&config, 0);
}

int script_setup_tcp_none(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.congestion = TCP_CONGESTION_NONE;
    return script_setup_tcp_config(&config, 0);
}

int script_setup_tcp_few(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.connections_max = 4;
    config.requests_max = 4;
    config.time_waits_max = 2;
    return script_setup_tcp_config(&config, 0);
}

int script_setup_tcp_many(void **state)
{
    (void)state;
    struct tcp_config many = tcp_config_default(4096);
    memcpy(many.secret, script_tcp_config().secret, sizeof(many.secret));
    return script_setup_tcp_config(&many, 0);
}

int script_setup_tcp_queues(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    return setup(&config, (struct script_options){.gateway = true, .queues = true}, PEER_ISN,
                 PEER_TS_BASE);
}

int script_setup_tcp_addresses(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    return setup(&config, (struct script_options){.addresses = true, .queues = true}, PEER_ISN,
                 PEER_TS_BASE);
}

int script_setup_tcp_offload(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    return setup(&config,
                 (struct script_options){.gateway = true,
                                         .caps = NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_UDP_CSUM |
                                                 NIC_CAP_TX_TCP_CSUM | NIC_CAP_TX_TSO},
                 PEER_ISN, PEER_TS_BASE);
}

int script_setup_tcp_off(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.connections_max = 0;
    return script_setup_tcp_config(&config, 0);
}
