/*
 * Addresses of diff.h's calls. Plans and traces know IPv4 only; a socket of AF_INET6, which is in
 * dual mode, is given the same ones as mapped addresses.
 */
#include "tests/spi/diff.h"

#define MAPPED_AT 12u /* bytes in front of the IPv4 address */

static const unsigned char mapped[MAPPED_AT] = {[10] = 0xff, [11] = 0xff};

int diff_name_to(unsigned slot, const SOCKADDR_IN *in, int bytes, struct diff_name *out)
{
    *out = (struct diff_name){{{0}}};
    if (!diff_slots[slot].six) {
        out->is.in = *in;
        return bytes;
    }
    SOCKADDR_IN6 *six = &out->is.six;
    six->sin6_family = in->sin_family == AF_INET    ? AF_INET6
                       : in->sin_family == AF_INET6 ? AF_INET
                                                    : in->sin_family;
    six->sin6_port = in->sin_port;
    if (in->sin_addr.s_addr != 0) {
        memcpy(six->sin6_addr.s6_addr, mapped, MAPPED_AT);
        memcpy(six->sin6_addr.s6_addr + MAPPED_AT, &in->sin_addr, sizeof(in->sin_addr));
    }
    return bytes == 0 ? 0 : bytes - (int)sizeof(*in) + (int)sizeof(*six);
}

int diff_name_room(unsigned slot, int bytes)
{
    struct diff_name name;
    const SOCKADDR_IN none = {0};
    return diff_name_to(slot, &none, bytes, &name);
}

int diff_name_from(unsigned slot, const struct diff_name *name, int bytes, SOCKADDR_IN *in)
{
    if (!diff_slots[slot].six) {
        *in = name->is.in;
        return bytes;
    }
    const SOCKADDR_IN6 *six = &name->is.six;
    static const unsigned char any[sizeof(six->sin6_addr)];
    bool is_mapped = memcmp(six->sin6_addr.s6_addr, mapped, MAPPED_AT) == 0;
    bool is_any = memcmp(six->sin6_addr.s6_addr, any, sizeof(any)) == 0;
    *in = (SOCKADDR_IN){.sin_port = six->sin6_port,
                        .sin_family = six->sin6_family == AF_INET6 ? AF_INET : AF_UNSPEC};
    memcpy(&in->sin_addr, six->sin6_addr.s6_addr + MAPPED_AT, sizeof(in->sin_addr));
    if (!is_mapped && !is_any) {
        in->sin_family = AF_UNSPEC; /* seen in the trace */
    }
    return bytes <= 0 ? bytes : bytes - (int)sizeof(*six) + (int)sizeof(*in);
}
