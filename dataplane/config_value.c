/*
 * One configuration value: text into the field the table names, or a complaint that says what would
 * be right. Start-up thread only; called by config.c.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "dataplane/config_internal.h"
#include "rings/byteorder.h"

static void complain_range(struct config_report *report, const struct config_key *key,
                           const char *section, const char *text, const char *what)
{
    char range[128];
    config_key_range(key, range, sizeof(range));
    bool has_default = key->default_text != NULL;
    config_complain(report, section, key->key, text, "%s; right is %s%s%s%s", what, range,
                    has_default ? " (default " : "", has_default ? key->default_text : "",
                    has_default ? ")" : "");
}

/* Decimal digits from *text on, without sign. False: none, or over 64 bits. */
static bool parse_digits(const char **text, uint64_t *out)
{
    const char *c = *text;
    uint64_t value = 0;
    if (!isdigit((unsigned char)*c)) {
        return false;
    }
    for (; isdigit((unsigned char)*c); c++) {
        uint64_t digit = (uint64_t)(*c - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *text = c;
    *out = value;
    return true;
}

struct unit {
    const char *name;
    uint64_t factor; /* to bytes, or to microseconds */
};

static const struct unit byte_units[] = {{"B", 1}, {"KiB", 1024}, {"MiB", 1048576}, {NULL, 0}};
static const struct unit time_units[] = {
    {"us", 1}, {"ms", 1000}, {"s", 1000000}, {"min", 60000000}, {NULL, 0}};

static uint64_t unit_factor(const struct unit *units, const char *name)
{
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, name) == 0) {
            return units->factor;
        }
    }
    return 0;
}

/* "256 KiB", "30 s", "50". False: *why says what is wrong. */
static bool parse_number(const struct config_key *key, const char *text, uint64_t *out,
                         const char **why)
{
    const bool bytes = key->type == CONFIG_BYTES;
    const bool time = key->type == CONFIG_TIME || key->type == CONFIG_SPIN;
    uint64_t value = 0;
    if (!parse_digits(&text, &value)) {
        *why = "not a whole number";
        return false;
    }
    while (*text == ' ' || *text == '\t') {
        text++;
    }
    if (*text != '\0') {
        const struct unit *units = bytes ? byte_units : time_units;
        uint64_t factor = bytes || time ? unit_factor(units, text) : 0;
        if (factor == 0) {
            *why = bytes  ? "unknown unit (B, KiB or MiB)"
                   : time ? "unknown unit (us, ms, s or min)"
                          : "not a whole number without unit";
            return false;
        }
        uint64_t own = time ? unit_factor(time_units, key->unit) : 1;
        if (value > UINT64_MAX / factor || value * factor % own != 0) {
            *why = value > UINT64_MAX / factor ? "out of range" : "not a whole number of the unit";
            return false;
        }
        value = value * factor / own;
    }
    *out = value;
    return true;
}

static void store_number(const struct config_key *key, uint64_t value, void *base)
{
    unsigned char *field = (unsigned char *)base + key->field_off;
    value *= key->scale;
    if (key->field_bytes == 1) {
        *field = (unsigned char)value;
    } else if (key->field_bytes == 4) {
        uint32_t narrow = (uint32_t)value;
        memcpy(field, &narrow, sizeof(narrow));
    } else {
        memcpy(field, &value, sizeof(value));
    }
}

static bool parse_ranged(const struct config_key *key, const char *section, const char *text,
                         void *base, struct config_report *report)
{
    if (key->type == CONFIG_SPIN && strcmp(text, "forever") == 0) {
        store_number(key, RS_SPIN_FOREVER, base);
        return true;
    }
    if (key->type == CONFIG_CORE && strcmp(text, "none") == 0) {
        store_number(key, UINT32_MAX, base); /* -1 */
        return true;
    }
    uint64_t value = 0;
    const char *why = NULL;
    if (!parse_number(key, text, &value, &why)) {
        complain_range(report, key, section, text, why);
        return false;
    }
    if (value < key->min || value > key->max) {
        complain_range(report, key, section, text, "out of range");
        return false;
    }
    if ((key->flags & CONFIG_POWER_OF_TWO) && (value & (value - 1)) != 0) {
        complain_range(report, key, section, text, "not a power of two");
        return false;
    }
    store_number(key, value, base);
    return true;
}

static bool parse_choice(const struct config_key *key, const char *section, const char *text,
                         void *base, struct config_report *report)
{
    size_t bytes = strlen(text);
    uint64_t position = 0;
    for (const char *word = key->choices; word != NULL; position++) {
        const char *bar = strchr(word, '|');
        size_t word_bytes = bar != NULL ? (size_t)(bar - word) : strlen(word);
        if (word_bytes == bytes && memcmp(word, text, bytes) == 0) {
            const char *digits = text;
            uint64_t number = 0;
            store_number(key, parse_digits(&digits, &number) ? number : key->min + position, base);
            return true;
        }
        word = bar != NULL ? bar + 1 : NULL;
    }
    complain_range(report, key, section, text, "unknown word");
    return false;
}

static bool parse_text(const struct config_key *key, const char *section, const char *text,
                       void *base, struct config_report *report)
{
    size_t bytes = strlen(text);
    if (bytes < key->min || bytes > key->max) {
        complain_range(report, key, section, text, "too long");
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        bool allowed = key->type == CONFIG_NAME ? isalnum(c) || c == '_' || c == '-' : isprint(c);
        if (!allowed) {
            complain_range(report, key, section, text, "a character that is not allowed");
            return false;
        }
    }
    memcpy((char *)base + key->field_off, text, bytes + 1);
    return true;
}

#define NO_DIGIT 0xffu

static uint32_t hex_digit(char c)
{
    const uint32_t lower = (uint32_t)tolower((unsigned char)c);
    if (isdigit((unsigned char)c)) {
        return lower - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : NO_DIGIT;
}

static bool parse_mac(const struct config_key *key, const char *section, const char *text,
                      void *base, struct config_report *report)
{
    uint8_t mac[6];
    uint8_t any = 0;
    bool good = strlen(text) == 17;
    for (size_t i = 0; good && i < 6; i++) {
        uint32_t high = hex_digit(text[3 * i]);
        uint32_t low = hex_digit(text[3 * i + 1]);
        char separator = text[3 * i + 2];
        good = high != NO_DIGIT && low != NO_DIGIT &&
               (i == 5 ? separator == '\0' : separator == ':' || separator == '-');
        mac[i] = (uint8_t)((high << 4 | low) & 0xff);
        any |= mac[i];
    }
    if (!good) {
        complain_range(report, key, section, text, "not a MAC address");
        return false;
    }
    if ((mac[0] & 1) || any == 0) {
        complain_range(report, key, section, text,
                       mac[0] & 1 ? "a group address cannot be a host's" : "all zero");
        return false;
    }
    memcpy((uint8_t *)base + key->field_off, mac, sizeof(mac));
    if (key->second_off != 0) {
        *((bool *)base + key->second_off) = true;
    }
    return true;
}

/* Four decimal octets, host byte order out; *text is left behind them. No leading zeros: some
 * readers take them for octal. */
static bool parse_ipv4(const char **text, uint32_t *out)
{
    uint32_t address = 0;
    const char *c = *text;
    for (int i = 0; i < 4; i++) {
        uint64_t octet = 0;
        const char *start = c;
        if (!parse_digits(&c, &octet) || octet > 255 || (*start == '0' && c - start > 1) ||
            (i < 3 && *c++ != '.')) {
            return false;
        }
        address = address << 8 | (uint32_t)octet;
    }
    *text = c;
    *out = address;
    return true;
}

/* Why an address cannot be one host's, or NULL. */
static const char *not_a_host(uint32_t address)
{
    uint32_t top = address >> 24;
    return top == 0     ? "an address of network 0 cannot be a host's"
           : top == 127 ? "127.0.0.0/8 never leaves a host; the dataplane has it anyway"
           : top >= 240 ? "a reserved or broadcast address cannot be a host's"
           : top >= 224 ? "a multicast address cannot be a host's"
                        : NULL;
}

static bool parse_address(const struct config_key *key, const char *section, const char *text,
                          void *base, struct config_report *report)
{
    const char *rest = text;
    uint32_t address = 0;
    uint64_t length = 32;
    const bool prefixed = key->type != CONFIG_ADDRESS;
    bool good = parse_ipv4(&rest, &address);
    if (good && prefixed) {
        good = *rest == '/';
        rest += good;
        good = good && parse_digits(&rest, &length) && length <= 32;
    }
    if (!good || *rest != '\0') {
        complain_range(report, key, section, text,
                       prefixed ? "not an IPv4 address with prefix length (0 to 32)"
                                : "not an IPv4 address");
        return false;
    }
    uint32_t mask = rs_be32(rs_prefix_mask_be32((uint32_t)length));
    const char *why = NULL;
    if (key->type == CONFIG_NETWORK) {
        why = (address & ~mask) != 0 ? "bits are set behind the prefix" : NULL;
    } else {
        why = not_a_host(address);
    }
    if (why == NULL && key->type == CONFIG_PREFIX) {
        if (length < 1) {
            why = "a prefix length of 0 would be the whole Internet";
        } else if (length < 31 && ((address & ~mask) == 0 || (address & ~mask) == ~mask)) {
            why = "the network's own or its broadcast address cannot be a host's";
        }
    }
    if (why != NULL) {
        complain_range(report, key, section, text, why);
        return false;
    }
    const uint8_t wire[4] = {(uint8_t)(address >> 24), (uint8_t)(address >> 16),
                             (uint8_t)(address >> 8), (uint8_t)address};
    memcpy((uint8_t *)base + key->field_off, wire, sizeof(wire));
    if (key->second_off != 0) {
        *((uint8_t *)base + key->second_off) = (uint8_t)length;
    }
    return true;
}

bool config_value_parse(const struct config_key *key, const char *section, const char *text,
                        void *base, struct config_report *report)
{
    switch (key->type) {
    case CONFIG_COUNT:
    case CONFIG_BYTES:
    case CONFIG_TIME:
    case CONFIG_SPIN:
    case CONFIG_CORE:
        return parse_ranged(key, section, text, base, report);
    case CONFIG_CHOICE:
        return parse_choice(key, section, text, base, report);
    case CONFIG_NAME:
    case CONFIG_TEXT:
        return parse_text(key, section, text, base, report);
    case CONFIG_MAC:
        return parse_mac(key, section, text, base, report);
    case CONFIG_ADDRESS:
    case CONFIG_PREFIX:
    case CONFIG_NETWORK:
        return parse_address(key, section, text, base, report);
    }
    return false;
}

/* Numbers as a file would say them: words for choices, "forever", "none". */
static void format_number(const struct config_key *key, const uint8_t *field, char *out,
                          size_t bytes)
{
    uint64_t value = 0; /* x86: the low bytes come first */
    memcpy(&value, field, key->field_bytes);
    const char *word = key->type == CONFIG_CHOICE ? key->choices : "";
    uint64_t position = isdigit((unsigned char)word[0]) ? 0 : value - key->min;
    while (position > 0 && *word != '\0') {
        position -= *word++ == '|';
    }
    if (key->type == CONFIG_CHOICE && !isdigit((unsigned char)word[0])) {
        (void)snprintf(out, bytes, "%.*s", (int)strcspn(word, "|"), word);
    } else if (value == UINT32_MAX && (key->type == CONFIG_SPIN || key->type == CONFIG_CORE)) {
        (void)snprintf(out, bytes, "%s", key->type == CONFIG_SPIN ? "forever" : "none");
    } else {
        (void)snprintf(out, bytes, "%" PRIu64, value / key->scale);
    }
}

void config_value_format(const struct config_key *key, const void *base, char *out, size_t bytes)
{
    const uint8_t *field = (const uint8_t *)base + key->field_off;
    if (key->type == CONFIG_TEXT || key->type == CONFIG_NAME) {
        (void)snprintf(out, bytes, "%s", *field != '\0' ? (const char *)field : "none");
    } else if (key->type == CONFIG_MAC) {
        (void)snprintf(out, bytes, "%02x:%02x:%02x:%02x:%02x:%02x", field[0], field[1], field[2],
                       field[3], field[4], field[5]);
    } else if (key->type == CONFIG_ADDRESS) {
        (void)snprintf(out, bytes, "%u.%u.%u.%u", field[0], field[1], field[2], field[3]);
    } else if (key->type == CONFIG_PREFIX || key->type == CONFIG_NETWORK) {
        (void)snprintf(out, bytes, "%u.%u.%u.%u/%u", field[0], field[1], field[2], field[3],
                       ((const uint8_t *)base)[key->second_off]);
    } else {
        format_number(key, field, out, bytes);
    }
}
