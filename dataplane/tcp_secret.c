/*
 * See tcp_secret.h.
 *
 * A cookie, from the lowest bit: 3 bits number the MSS, 1 is the lowest of the period's number, 28
 * are of the hash of all that the cookie stands for, the two others included. That bit tells a
 * cookie of this period from one of the last, so one hash checks either: under a flood the check
 * must be cheap.
 */
#include "dataplane/tcp_secret.h"

#include <assert.h>
#include <string.h>

enum domain { DOMAIN_ISN = 1, DOMAIN_TIMESTAMP, DOMAIN_PORT, DOMAIN_COOKIE };

enum {
    COOKIE_MSS_MASK = TCP_COOKIE_MSS_COUNT - 1,
    COOKIE_PERIOD_BIT = TCP_COOKIE_MSS_COUNT,
    COOKIE_PLAIN_MASK = COOKIE_MSS_MASK | COOKIE_PERIOD_BIT,
    TS_WSCALE_MASK = 15,
    TS_SACK_OK = 16,
    TS_ECN = 32,
    TS_MASK = TS_WSCALE_MASK | TS_SACK_OK | TS_ECN
};

#define ISN_TICK_NS 4000u /* RFC 6528 section 3 */

const uint16_t tcp_cookie_mss[TCP_COOKIE_MSS_COUNT] = {536,  1024, 1220, 1360,
                                                       1400, 1440, 1460, 8960};

static inline uint64_t rotate(uint64_t value, uint32_t bits)
{
    return value << bits | value >> (64 - bits);
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_rounds(struct sip *sip, uint32_t count)
{
    for (; count > 0; count--) {
        sip->v0 += sip->v1;
        sip->v2 += sip->v3;
        sip->v1 = rotate(sip->v1, 13) ^ sip->v0;
        sip->v3 = rotate(sip->v3, 16) ^ sip->v2;
        sip->v0 = rotate(sip->v0, 32) + sip->v3;
        sip->v2 += sip->v1;
        sip->v3 = rotate(sip->v3, 21) ^ sip->v0;
        sip->v1 = rotate(sip->v1, 17) ^ sip->v2;
        sip->v2 = rotate(sip->v2, 32);
    }
}

static inline void sip_word(struct sip *sip, uint64_t word)
{
    sip->v3 ^= word;
    sip_rounds(sip, 2);
    sip->v0 ^= word;
}

uint64_t tcp_secret_hash(const struct tcp_secret *secret, const void *data, uint32_t bytes)
{
    /* "somepseudorandomlygeneratedbytes", as the paper has it. */
    struct sip sip = {secret->key[0] ^ 0x736f6d6570736575u, secret->key[1] ^ 0x646f72616e646f6du,
                      secret->key[0] ^ 0x6c7967656e657261u, secret->key[1] ^ 0x7465646279746573u};
    const uint8_t *at = data;
    uint64_t last = (uint64_t)bytes << 56; /* the length's low byte, behind what is left over */
    for (; bytes >= 8; at += 8, bytes -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sip_word(&sip, word);
    }
    uint64_t rest = 0;
    memcpy(&rest, at, bytes);
    sip_word(&sip, last | rest);
    sip.v2 ^= 0xff;
    sip_rounds(&sip, 4);
    return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}

/* What is hashed; every byte is set. */
struct input {
    struct tcp_secret_flow flow;
    uint32_t domain;
    uint32_t extra[2];
};
static_assert(sizeof(struct input) == 24, "no padding is hashed");

static uint64_t hash_flow(const struct tcp_secret *secret, enum domain domain,
                          const struct tcp_secret_flow *flow, uint32_t extra0, uint32_t extra1)
{
    const struct input input = {*flow, (uint32_t)domain, {extra0, extra1}};
    return tcp_secret_hash(secret, &input, sizeof(input));
}

uint32_t tcp_secret_isn(const struct tcp_secret *secret, const struct tcp_secret_flow *flow,
                        uint64_t now_ns)
{
    return (uint32_t)(now_ns / ISN_TICK_NS) + (uint32_t)hash_flow(secret, DOMAIN_ISN, flow, 0, 0);
}

uint32_t tcp_secret_ts_offset(const struct tcp_secret *secret, const struct tcp_secret_flow *flow)
{
    return (uint32_t)hash_flow(secret, DOMAIN_TIMESTAMP, flow, 0, 0);
}

uint32_t tcp_secret_port_offset(const struct tcp_secret *secret, uint32_t local_be32,
                                uint32_t peer_be32, uint16_t peer_port_be16)
{
    const struct tcp_secret_flow flow = {local_be32, peer_be32, 0, peer_port_be16};
    return (uint32_t)hash_flow(secret, DOMAIN_PORT, &flow, 0, 0);
}

/* Of the period with that number. */
static uint32_t cookie_of(const struct tcp_secret *secret, const struct tcp_secret_flow *flow,
                          uint32_t peer_isn, uint32_t mss_idx, uint64_t period)
{
    uint32_t plain = mss_idx | ((period & 1) != 0 ? (uint32_t)COOKIE_PERIOD_BIT : 0);
    /* 29 bits of the period's number: it repeats after a thousand years. */
    uint32_t stamp = (uint32_t)period << 3 | mss_idx;
    uint64_t hash = hash_flow(secret, DOMAIN_COOKIE, flow, peer_isn, stamp);
    return ((uint32_t)hash & ~(uint32_t)COOKIE_PLAIN_MASK) | plain;
}

uint32_t tcp_cookie_make(const struct tcp_secret *secret, const struct tcp_secret_flow *flow,
                         uint32_t peer_isn, uint16_t peer_mss, uint64_t now_ns)
{
    uint32_t mss_idx = TCP_COOKIE_MSS_COUNT - 1;
    while (mss_idx > 0 && tcp_cookie_mss[mss_idx] > peer_mss) {
        mss_idx--;
    }
    return cookie_of(secret, flow, peer_isn, mss_idx, now_ns / TCP_COOKIE_PERIOD_NS);
}

bool tcp_cookie_check(const struct tcp_secret *secret, const struct tcp_secret_flow *flow,
                      uint32_t peer_isn, uint32_t cookie, uint64_t now_ns, uint16_t *mss)
{
    uint64_t period = now_ns / TCP_COOKIE_PERIOD_NS;
    if (((period & 1) != 0) != ((cookie & COOKIE_PERIOD_BIT) != 0)) {
        period--; /* below 0 is a period in which none was made */
    }
    uint32_t mss_idx = cookie & COOKIE_MSS_MASK;
    if (cookie_of(secret, flow, peer_isn, mss_idx, period) != cookie) {
        return false;
    }
    *mss = tcp_cookie_mss[mss_idx];
    return true;
}

uint32_t tcp_cookie_ts(uint32_t ts_clock, uint8_t wscale, bool sack_ok, bool ecn)
{
    assert(wscale <= TS_WSCALE_MASK);
    uint32_t offered = wscale | (sack_ok ? (uint32_t)TS_SACK_OK : 0) | (ecn ? (uint32_t)TS_ECN : 0);
    uint32_t step = offered > (ts_clock & TS_MASK) ? TS_MASK + 1 : 0;
    return ((ts_clock & ~(uint32_t)TS_MASK) | offered) - step;
}

void tcp_cookie_ts_decode(uint32_t tsecr, uint8_t *wscale, bool *sack_ok, bool *ecn)
{
    *wscale = (uint8_t)(tsecr & TS_WSCALE_MASK);
    *sack_ok = (tsecr & TS_SACK_OK) != 0;
    *ecn = (tsecr & TS_ECN) != 0;
}
