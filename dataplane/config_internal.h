/*
 * What the configuration's files share: complaints, the table of keys, and the steps of reading one
 * file. Start-up thread only. config.c calls the others in this order: config_text_check,
 * rte_cfgfile, config_value_parse for each entry.
 */
#ifndef RINGSOCK_DATAPLANE_CONFIG_INTERNAL_H
#define RINGSOCK_DATAPLANE_CONFIG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/config.h"

/* Limits of rte_cfgfile (CFG_NAME_LEN, CFG_VALUE_LEN less the NUL): beyond them it cuts silently.
 */
#define CONFIG_NAME_MAX_BYTES  63u
#define CONFIG_VALUE_MAX_BYTES 255u
#define CONFIG_LINE_MAX_BYTES  320u
#define CONFIG_FILE_MAX_BYTES  65536u
#define CONFIG_COMMENT         '#'
#define CONFIG_KEYS_MAX        96u

/* ---- complaints: one line each, counted; nothing stops at the first ---- */

struct config_report {
    const char *file;
    FILE *out;
    uint32_t complaints;
};

/* "FILE: [section] key = found: message". key or found NULL: left out. Bytes a terminal should not
 * see are escaped. */
RS_PRINTF_LIKE(5, 6)
void config_complain(struct config_report *report, const char *section, const char *key,
                     const char *found, const char *format, ...);
/* "FILE:line: message", about the text before it means anything. */
RS_PRINTF_LIKE(3, 4)
void config_complain_line(struct config_report *report, uint32_t line, const char *format, ...);

/* Lines of the file with faults rte_cfgfile would skip, cut or misread. False: do not hand it to
 * rte_cfgfile at all. */
bool config_text_check(const char *text, size_t bytes, struct config_report *report);

/* ---- the table of keys ---- */

enum config_type {
    CONFIG_COUNT,  /* decimal number */
    CONFIG_BYTES,  /* number with B, KiB, MiB */
    CONFIG_TIME,   /* number with us, ms, s; without: the key's unit */
    CONFIG_SPIN,   /* CONFIG_TIME or "forever" */
    CONFIG_CORE,   /* number or "none" */
    CONFIG_CHOICE, /* one word of choices; stored as min + its position, or its number where the
                      words are numbers */
    CONFIG_NAME,   /* letters, digits, '_', '-' */
    CONFIG_TEXT,   /* printable, as it stands */
    CONFIG_MAC,
    CONFIG_ADDRESS, /* IPv4 */
    CONFIG_PREFIX,  /* IPv4/length, the address kept whole */
    CONFIG_NETWORK  /* IPv4/length without host bits */
};

enum {
    CONFIG_REQUIRED = 1,
    CONFIG_POWER_OF_TWO = 2,
    CONFIG_NOT_LOOPBACK = 4, /* says nothing about device = loopback: refused there */
    CONFIG_NOT_LOOPBACK_REQUIRED = 8,
    CONFIG_PER_PROCESS = 16, /* the same in all files of one process */
    CONFIG_PER_NIC = 32      /* the same in all files of one NIC */
};

struct config_key {
    const char *section;
    const char *key;
    enum config_type type;
    uint32_t flags;
    const char *unit;         /* of the stored number, "" for none */
    const char *default_text; /* parsed like a value; NULL: none */
    uint64_t min, max;        /* in unit; text: bytes; min of choices: what the first one is */
    const char *choices;      /* "spin|yield" */
    size_t field_off;   /* into struct queue_config, or into the element of a numbered section */
    size_t field_bytes; /* of a number 1, 4 or 8 */
    uint64_t scale;     /* stored = value * scale */
    size_t second_off;  /* CONFIG_PREFIX, _NETWORK: the length byte; CONFIG_MAC: bool "set" or 0 */
    const char *meaning;
};

/* A section whose name carries a number: [route 1] */
struct config_numbered {
    const char *section;
    uint32_t max;
    size_t elements_off, element_bytes, count_off;
};

extern const struct config_key config_keys[];
extern const uint32_t config_key_count;
extern const struct config_numbered config_numbered_sections[];
extern const uint32_t config_numbered_count;

/* What a right value looks like, for messages and configs/README.md: "64 to 32768", "spin or
 * yield", "a.b.c.d". */
void config_key_range(const struct config_key *key, char *out, size_t bytes);

/* The key's row of the table in configs/README.md. */
void config_key_row(const struct config_key *key, char *out, size_t bytes);

/* ---- values ---- */

/* Parses text into base + field_off. False: complained. With CONFIG_MAC a bool at second_off
 * becomes true. */
bool config_value_parse(const struct config_key *key, const char *section, const char *text,
                        void *base, struct config_report *report);

/* ---- what belongs together ---- */

/* given[i]: config_keys[i] stood in the file. First sets config->loopback and refuses what loopback
 * has no use for. */
void config_check_device(struct queue_config *config, const bool *given,
                         struct config_report *report);
void config_check_values(struct queue_config *config, const bool *given,
                         struct config_report *report);

/* config_address.c: own addresses and next hops of one file; of two files, of one NIC or of two;
 * what the kernel has. */
void config_check_addresses(const struct queue_config *config, struct config_report *report);
void config_check_same_addresses(const struct queue_config *a, const struct queue_config *b,
                                 struct config_report *report);
void config_check_other_addresses(const struct queue_config *a, const struct queue_config *b,
                                  struct config_report *report);
void config_check_host_addresses(const struct queue_config *config, struct config_report *report);

/* The stored value as text. */
void config_value_format(const struct config_key *key, const void *base, char *out, size_t bytes);

#endif
