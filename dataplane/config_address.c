/*
 * What a configuration's addresses mean together: the own ones ([ip] address, the primary one, and
 * [address N]), the next hops, and those of the process's other NICs and of the kernel. Start-up
 * thread only; called by config_check.c.
 */
#include <inttypes.h>
#include <string.h>

#include "dataplane/config_internal.h"
#include "dataplane/wire/ipv4.h"

struct address_text {
    char bytes[24];
};

/* prefix_len 255: none. */
static struct address_text text_of(uint32_t ip_be32, uint32_t prefix_len)
{
    struct address_text text;
    const uint8_t *octets = (const uint8_t *)&ip_be32;
    int used = snprintf(text.bytes, sizeof(text.bytes), "%u.%u.%u.%u", octets[0], octets[1],
                        octets[2], octets[3]);
    if (prefix_len <= 32) {
        (void)snprintf(text.bytes + used, sizeof(text.bytes) - (size_t)used, "/%" PRIu32,
                       prefix_len);
    }
    return text;
}

#define NO_PREFIX 255u

static const char *section_of(uint32_t idx)
{
    return idx == 0 ? "ip" : "address N";
}

static bool is_in(uint32_t ip_be32, const struct stack_address *own)
{
    return own->ip_be32 != 0 &&
           ((ip_be32 ^ own->ip_be32) & rs_prefix_mask_be32(own->prefix_len)) == 0;
}

/* The network's own address, or its broadcast address: no host's. */
static bool is_edge_of(uint32_t ip_be32, const struct stack_address *own)
{
    uint32_t host_be32 = ~rs_prefix_mask_be32(own->prefix_len);
    return own->prefix_len < 31 && is_in(ip_be32, own) &&
           ((ip_be32 & host_be32) == 0 || (ip_be32 & host_be32) == host_be32);
}

/* ---- own addresses ---- */

/* One address against another one of the same NIC. */
static void check_own_pair(const struct stack_config *stack, uint32_t i, uint32_t j,
                           struct config_report *report)
{
    const struct stack_address one = stack_config_address(stack, i);
    const struct stack_address other = stack_config_address(stack, j);
    const struct address_text text = text_of(one.ip_be32, one.prefix_len);
    if (one.ip_be32 == 0 || other.ip_be32 == 0) {
        return; /* complained of */
    }
    if (one.ip_be32 == other.ip_be32) {
        if (j < i) {
            config_complain(report, section_of(i), "address", text.bytes,
                            "[%s] has this address too; keep one", section_of(j));
        }
    } else if (is_edge_of(one.ip_be32, &other)) {
        config_complain(report, section_of(i), "address", text.bytes,
                        "is the own or the broadcast address of the network of [%s] address %s",
                        section_of(j), text_of(other.ip_be32, other.prefix_len).bytes);
    }
}

static void check_own(const struct stack_config *stack, struct config_report *report)
{
    for (uint32_t i = 0; i <= stack->more_count; i++) {
        for (uint32_t j = 0; j <= stack->more_count; j++) {
            if (i != j) {
                check_own_pair(stack, i, j, report);
            }
        }
    }
}

static bool is_own(const struct stack_config *stack, uint32_t ip_be32)
{
    for (uint32_t i = 0; i < stack_config_address_count(stack); i++) {
        if (stack_config_address(stack, i).ip_be32 == ip_be32) {
            return true;
        }
    }
    return false;
}

/* ---- next hops ---- */

/* A next hop has to be a host on the link, other than ourselves. */
static void check_hop(const struct stack_config *stack, uint32_t hop_be32, const char *section,
                      const char *name, struct config_report *report)
{
    const struct address_text text = text_of(hop_be32, NO_PREFIX);
    bool on_link = false;
    if (is_own(stack, hop_be32)) {
        config_complain(report, section, name, text.bytes,
                        "is this NIC's address itself; name another host of this link");
        return;
    }
    for (uint32_t i = 0; i < stack_config_address_count(stack); i++) {
        const struct stack_address own = stack_config_address(stack, i);
        on_link |= is_in(hop_be32, &own);
        if (is_edge_of(hop_be32, &own)) {
            config_complain(report, section, name, text.bytes,
                            "is the network's own or its broadcast address; name a host of it");
            return;
        }
    }
    if (!on_link) {
        config_complain(report, section, name, text.bytes,
                        "is not in the network of [ip] address %s%s; name a host of it",
                        text_of(stack->ip_be32, stack->prefix_len).bytes,
                        stack->more_count > 0 ? " or of one of [address N]" : "");
    }
}

static void check_routes(const struct stack_config *stack, struct config_report *report)
{
    for (uint32_t i = 0; i < stack->route_count; i++) {
        const struct stack_route *route = &stack->routes[i];
        if (route->gateway_be32 != 0) {
            check_hop(stack, route->gateway_be32, "route N", "gateway", report);
        }
        if (route->source_be32 != 0 && !is_own(stack, route->source_be32)) {
            config_complain(report, "route N", "source",
                            text_of(route->source_be32, NO_PREFIX).bytes,
                            "is no address of this NIC; name that of [ip] or of an [address N]");
        }
        for (uint32_t j = 0; j < i; j++) {
            if (stack->routes[j].prefix_be32 == route->prefix_be32 &&
                stack->routes[j].prefix_len == route->prefix_len) {
                config_complain(report, "route N", "prefix",
                                text_of(route->prefix_be32, route->prefix_len).bytes,
                                "two routes to it; keep one");
            }
        }
    }
}

void config_check_addresses(const struct queue_config *config, struct config_report *report)
{
    const struct stack_config *stack = &config->stack;
    check_own(stack, report);
    if (stack->ip_be32 == 0) {
        if (config->loopback && stack->more_count > 0) {
            config_complain(report, "ip", "address", NULL,
                            "missing: it is the first address, those of [address N] follow it");
        }
        return; /* complained of as missing */
    }
    if (stack->gateway_be32 != 0) {
        check_hop(stack, stack->gateway_be32, "ip", "gateway", report);
    }
    check_routes(stack, report);
    for (uint32_t i = 0; i < stack->neighbour_count; i++) {
        if (stack->neighbours[i].ip_be32 != 0) {
            check_hop(stack, stack->neighbours[i].ip_be32, "neighbour N", "address", report);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (stack->neighbours[j].ip_be32 == stack->neighbours[i].ip_be32) {
                config_complain(report, "neighbour N", "address", NULL,
                                "two neighbours have it; keep one");
            }
        }
    }
}

/* ---- several files, and the kernel ---- */

void config_check_same_addresses(const struct queue_config *a, const struct queue_config *b,
                                 struct config_report *report)
{
    bool same = a->stack.more_count == b->stack.more_count;
    for (uint32_t i = 0; same && i < a->stack.more_count; i++) {
        same = a->stack.more[i].ip_be32 == b->stack.more[i].ip_be32 &&
               a->stack.more[i].prefix_len == b->stack.more[i].prefix_len;
    }
    if (!same) {
        config_complain(report, "address N", NULL, NULL,
                        "%s has other ones; all files of one NIC must say the same, in one order",
                        a->file);
    }
}

void config_check_other_addresses(const struct queue_config *a, const struct queue_config *b,
                                  struct config_report *report)
{
    for (uint32_t i = 0; i < stack_config_address_count(&b->stack); i++) {
        const struct stack_address one = stack_config_address(&b->stack, i);
        for (uint32_t j = 0; j < stack_config_address_count(&a->stack); j++) {
            const struct stack_address other = stack_config_address(&a->stack, j);
            const struct address_text text = text_of(one.ip_be32, one.prefix_len);
            if (one.ip_be32 != 0 && one.ip_be32 == other.ip_be32) {
                config_complain(report, section_of(i), "address", text.bytes,
                                "%s has the same address on another device; give each NIC its own",
                                a->file);
            } else if (is_edge_of(one.ip_be32, &other) || is_edge_of(other.ip_be32, &one)) {
                config_complain(report, section_of(i), "address", text.bytes,
                                "%s has %s on another device, and one is the own or the broadcast "
                                "address of the other's network",
                                a->file, text_of(other.ip_be32, other.prefix_len).bytes);
            }
        }
    }
}

void config_check_host_addresses(const struct queue_config *config, struct config_report *report)
{
    for (uint32_t i = 0; i < stack_config_address_count(&config->stack); i++) {
        const struct stack_address own = stack_config_address(&config->stack, i);
        if (own.ip_be32 != 0 && os_host_has_ipv4(own.ip_be32)) {
            config_complain(report, section_of(i), "address",
                            text_of(own.ip_be32, own.prefix_len).bytes,
                            "an interface of this host has it; the kernel would answer too. Give "
                            "the dataplane an address of its own");
        }
    }
}
