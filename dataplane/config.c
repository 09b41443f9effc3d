/*
 * Reads one configuration file into struct queue_config: the text is looked over, rte_cfgfile
 * splits it, the table of keys gives each value its meaning, and what must go together is checked.
 * All complaints are printed. Start-up thread only; called by main.c and tests. rte_cfgfile needs
 * no EAL.
 */
#include "dataplane/config.h"

#include <ctype.h>
#include <errno.h>
#include <rte_cfgfile.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/config_internal.h"

static_assert(CONFIG_NAME_MAX_BYTES < CFG_NAME_LEN, "names fit rte_cfgfile");
static_assert(CONFIG_VALUE_MAX_BYTES < CFG_VALUE_LEN, "values fit rte_cfgfile");
static_assert(CONFIG_LINE_MAX_BYTES < CFG_NAME_LEN + CFG_VALUE_LEN + 4 - 2,
              "lines fit rte_cfgfile");

/* ---- complaints ---- */

#define MESSAGE_MAX_BYTES 1024u

static void print_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        (void)fprintf(out, c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
    }
}

/* The message and the end of its line. */
RS_PRINTF_LIKE(2, 0) static void print_message(FILE *out, const char *format, va_list args)
{
    char message[MESSAGE_MAX_BYTES];
    (void)vsnprintf(message, sizeof(message), format, args);
    print_escaped(out, message);
    (void)fputc('\n', out);
}

void config_complain(struct config_report *report, const char *section, const char *key,
                     const char *found, const char *format, ...)
{
    report->complaints++;
    (void)fprintf(report->out, "%s: ", report->file);
    if (section != NULL) {
        (void)fputc('[', report->out);
        print_escaped(report->out, section);
        (void)fputs(key != NULL ? "] " : "]", report->out);
    }
    if (key != NULL) {
        print_escaped(report->out, key);
    }
    if (found != NULL) {
        (void)fputs(" = ", report->out);
        print_escaped(report->out, found);
    }
    (void)fputs(section != NULL || key != NULL ? ": " : "", report->out);
    va_list args;
    va_start(args, format);
    print_message(report->out, format, args);
    va_end(args);
}

void config_complain_line(struct config_report *report, uint32_t line, const char *format, ...)
{
    report->complaints++;
    (void)fprintf(report->out, "%s:%u: ", report->file, line);
    va_list args;
    va_start(args, format);
    print_message(report->out, format, args);
    va_end(args);
}

/* ---- reading ---- */

struct load_state {
    struct config_report report;
    struct queue_config *config;
    bool given[CONFIG_KEYS_MAX];                  /* keys of plain sections */
    char sections[CONFIG_KEYS_MAX][CFG_NAME_LEN]; /* names seen so far */
    uint32_t section_count;
};

/* The whole file, NUL-terminated; NULL: complained. */
static char *read_text(const char *file, struct config_report *report, size_t *bytes)
{
    char *text = NULL;
    FILE *in = fopen(file, "rb");
    if (in == NULL) {
        config_complain(report, NULL, NULL, NULL, "cannot be opened: %s", strerror(errno));
        return NULL;
    }
    /* rte_cfgfile opens the file a second time, so it has to be one that can be read twice. */
    if (fseek(in, 0, SEEK_END) != 0 || ftell(in) < 0 || fseek(in, 0, SEEK_SET) != 0) {
        config_complain(report, NULL, NULL, NULL, "is not a regular file: name a text file");
        goto close;
    }
    text = malloc(CONFIG_FILE_MAX_BYTES + 2);
    if (text == NULL) {
        config_complain(report, NULL, NULL, NULL, "no memory to read it");
        goto close;
    }
    *bytes = fread(text, 1, CONFIG_FILE_MAX_BYTES + 1, in);
    text[*bytes] = '\0';
    if (ferror(in) || *bytes > CONFIG_FILE_MAX_BYTES) {
        if (ferror(in)) {
            config_complain(report, NULL, NULL, NULL, "cannot be read: %s", strerror(errno));
        } else {
            config_complain(report, NULL, NULL, NULL,
                            "is longer than %u bytes: not a ringsockd file", CONFIG_FILE_MAX_BYTES);
        }
        free(text);
        text = NULL;
    }
close:
    (void)fclose(in);
    return text;
}

/* Everything that has a default gets it, by the same parser that reads the file. */
static void set_defaults(struct load_state *state)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->default_text != NULL) {
            (void)config_value_parse(key, key->section, key->default_text, state->config,
                                     &state->report);
        }
    }
}

/* "route 12" is number 12 of "route N". */
static const struct config_numbered *numbered_find(const char *section, unsigned long *number)
{
    for (uint32_t i = 0; i < config_numbered_count; i++) {
        const char *name = config_numbered_sections[i].section;
        size_t bytes = strlen(name);
        if (strncmp(section, name, bytes) != 0 ||
            (section[bytes] != ' ' && section[bytes] != '\0')) {
            continue;
        }
        char *end = NULL;
        const char *digits = section + bytes + (section[bytes] == ' ');
        *number = isdigit((unsigned char)*digits) ? strtoul(digits, &end, 10) : 0;
        if (end == NULL || *end != '\0' || *digits == '0') {
            *number = 0;
        }
        return &config_numbered_sections[i];
    }
    return NULL;
}

static bool section_in_table(const char *section)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        if (strcmp(config_keys[i].section, section) == 0) {
            return true;
        }
    }
    return false;
}

/* The key's place in the table, or config_key_count. `table_section`: "route N" for [route 3]. */
static uint32_t key_find(const char *table_section, const char *name)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        if (strcmp(config_keys[i].section, table_section) == 0 &&
            strcmp(config_keys[i].key, name) == 0) {
            return i;
        }
    }
    return config_key_count;
}

static void complain_unknown_key(struct load_state *state, const char *section,
                                 const char *table_section, const struct rte_cfgfile_entry *entry)
{
    char known[512] = "";
    const char *home = NULL;
    size_t used = 0;
    for (uint32_t i = 0; i < config_key_count; i++) {
        if (strcmp(config_keys[i].section, table_section) == 0) {
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
                                     used > 0 ? ", " : "", config_keys[i].key);
        } else if (strcmp(config_keys[i].key, entry->name) == 0) {
            home = config_keys[i].section;
        }
    }
    if (home != NULL) {
        config_complain(&state->report, section, entry->name, entry->value,
                        "unknown key here; it belongs in [%s]; this section has %s", home, known);
    } else {
        config_complain(&state->report, section, entry->name, entry->value,
                        "unknown key; this section has %s", known);
    }
}

/* Entries of one section into base; given[i] tells which keys stood there. */
static void take_entries(struct load_state *state, const char *section, const char *table_section,
                         const struct rte_cfgfile_entry *entries, int count, void *base,
                         bool *given)
{
    for (int e = 0; e < count; e++) {
        uint32_t i = key_find(table_section, entries[e].name);
        if (i == config_key_count) {
            complain_unknown_key(state, section, table_section, &entries[e]);
        } else if (given[i]) {
            config_complain(&state->report, section, entries[e].name, entries[e].value,
                            "given twice; keep one");
        } else {
            given[i] = true;
            (void)config_value_parse(&config_keys[i], section, entries[e].value, base,
                                     &state->report);
        }
    }
}

static void complain_missing(struct load_state *state, const struct config_key *key,
                             const char *section, const char *why)
{
    char range[128];
    config_key_range(key, range, sizeof(range));
    config_complain(&state->report, section, key->key, NULL, "missing%s; add %s = %s", why,
                    key->key, strcmp(key->key, "device") == 0 ? "loopback, or the NIC" : range);
}

static void take_numbered(struct load_state *state, const char *section,
                          const struct config_numbered *numbered, unsigned long number,
                          const struct rte_cfgfile_entry *entries, int count)
{
    bool given[CONFIG_KEYS_MAX] = {false};
    char table_section[CFG_NAME_LEN];
    (void)snprintf(table_section, sizeof(table_section), "%s N", numbered->section);
    uint32_t *used = (uint32_t *)(void *)((char *)state->config + numbered->count_off);
    if (number < 1 || number > numbered->max || *used == numbered->max) {
        config_complain(&state->report, section, NULL, NULL,
                        "a %s section needs a number; right is [%s 1] to [%s %u]",
                        numbered->section, numbered->section, numbered->section, numbered->max);
        return;
    }
    void *element =
        (char *)state->config + numbered->elements_off + *used * numbered->element_bytes;
    take_entries(state, section, table_section, entries, count, element, given);
    (*used)++;
    for (uint32_t i = 0; i < config_key_count; i++) {
        if (strcmp(config_keys[i].section, table_section) == 0 &&
            (config_keys[i].flags & CONFIG_REQUIRED) && !given[i]) {
            complain_missing(state, &config_keys[i], section, "");
        }
    }
}

static bool section_seen(struct load_state *state, const char *section)
{
    for (uint32_t i = 0; i < state->section_count; i++) {
        if (strcmp(state->sections[i], section) == 0) {
            return true;
        }
    }
    if (state->section_count < CONFIG_KEYS_MAX) {
        (void)snprintf(state->sections[state->section_count++], CFG_NAME_LEN, "%s", section);
    }
    return false;
}

static void take_section(struct load_state *state, const char *section,
                         const struct rte_cfgfile_entry *entries, int count)
{
    unsigned long number = 0;
    const struct config_numbered *numbered = numbered_find(section, &number);
    bool known = numbered != NULL || (section_in_table(section) && strchr(section, ' ') == NULL);
    if (!known) {
        config_complain(&state->report, section, NULL, NULL,
                        "unknown section; right are nic, queue, ip, arp, igmp, tcp, address N, "
                        "route N, neighbour N, instance, access, limits, eal, log");
    } else if (section_seen(state, section)) {
        config_complain(&state->report, section, NULL, NULL,
                        "stands twice; put all its keys under one heading");
    } else if (numbered != NULL) {
        take_numbered(state, section, numbered, number, entries, count);
    } else {
        take_entries(state, section, section, entries, count, state->config, state->given);
    }
}

static void take_file(struct load_state *state, struct rte_cfgfile *cfg)
{
    int sections = rte_cfgfile_num_sections(cfg, "", 0);
    for (int s = 0; s < sections; s++) {
        char name[CFG_NAME_LEN] = "";
        int count = rte_cfgfile_section_num_entries_by_index(cfg, name, s);
        struct rte_cfgfile_entry *entries =
            calloc((size_t)(count > 0 ? count : 1), sizeof(*entries));
        if (count < 0 || entries == NULL) {
            config_complain(&state->report, name, NULL, NULL, "no memory to read the section");
        } else {
            count = rte_cfgfile_section_entries_by_index(cfg, s, name, entries, count);
            take_section(state, name, entries, count);
        }
        free(entries);
    }
}

/* ---- the whole ---- */

static void check_required(struct load_state *state)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (state->given[i] || strchr(key->section, ' ') != NULL) {
            continue;
        }
        if (key->flags & CONFIG_REQUIRED) {
            complain_missing(state, key, key->section, "");
        } else if ((key->flags & CONFIG_NOT_LOOPBACK_REQUIRED) &&
                   state->config->device[0] != '\0' && !state->config->loopback) {
            complain_missing(state, key, key->section, " (every NIC but loopback needs it)");
        }
    }
}

enum rs_status config_load(const char *file, struct queue_config *out, FILE *errors)
{
    struct load_state *state = calloc(1, sizeof(*state));
    if (state == NULL) {
        return RS_NO_MEMORY;
    }
    assert(config_key_count <= CONFIG_KEYS_MAX);
    memset(out, 0, sizeof(*out));
    state->report = (struct config_report){.file = file, .out = errors};
    state->config = out;
    size_t bytes = 0;
    char *text = NULL;
    if (strlen(file) >= sizeof(out->file)) {
        config_complain(&state->report, NULL, NULL, NULL, "a path of more than %zu characters",
                        sizeof(out->file) - 1);
    } else {
        (void)snprintf(out->file, sizeof(out->file), "%s", file);
        text = read_text(file, &state->report, &bytes);
    }
    if (text != NULL && config_text_check(text, bytes, &state->report)) {
        const struct rte_cfgfile_parameters parameters = {.comment_character = CONFIG_COMMENT};
        struct rte_cfgfile *cfg = rte_cfgfile_load_with_params(file, 0, &parameters);
        if (cfg == NULL) {
            config_complain(&state->report, NULL, NULL, NULL,
                            "rte_cfgfile cannot read it; did it change just now?");
        } else {
            set_defaults(state);
            take_file(state, cfg);
            (void)rte_cfgfile_close(cfg);
            config_check_device(out, state->given, &state->report);
            check_required(state);
            config_check_values(out, state->given, &state->report);
        }
    }
    enum rs_status status = state->report.complaints == 0 ? RS_OK : RS_CONFIG;
    free(text);
    free(state);
    return status;
}
