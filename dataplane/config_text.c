/*
 * Looks over a configuration file's text before rte_cfgfile reads it. rte_cfgfile skips lines it
 * does not understand, cuts names and values that are too long, and gives up without naming the
 * file; here each of these becomes a complaint with a line number. Start-up thread only; called by
 * config.c.
 */
#include <ctype.h>
#include <string.h>

#include "dataplane/config_internal.h"

struct text_state {
    struct config_report *report;
    uint32_t line;
    bool section_seen;
    bool loadable; /* rte_cfgfile would read the file to its end */
};

struct text_span {
    const char *start;
    size_t bytes;
};

static struct text_span span_trim(const char *start, size_t bytes)
{
    while (bytes > 0 && isspace((unsigned char)*start)) {
        start++;
        bytes--;
    }
    while (bytes > 0 && isspace((unsigned char)start[bytes - 1])) {
        bytes--;
    }
    return (struct text_span){start, bytes};
}

static void check_section_line(struct text_state *state, struct text_span line)
{
    const char *end = memchr(line.start, ']', line.bytes);
    if (end == NULL) {
        config_complain_line(state->report, state->line,
                             "a section heading without ']': write [name]");
        state->loadable = false;
        return;
    }
    struct text_span name = span_trim(line.start + 1, (size_t)(end - line.start) - 1);
    if (name.bytes == 0) {
        config_complain_line(state->report, state->line,
                             "a section without a name: write [nic], [ip] or another one");
        state->loadable = false; /* rte_cfgfile would look before the start of an empty string */
    }
    if (name.bytes > CONFIG_NAME_MAX_BYTES) {
        config_complain_line(state->report, state->line,
                             "a section name of %zu characters; %u is the most", name.bytes,
                             CONFIG_NAME_MAX_BYTES);
        state->loadable = false;
    }
    if (end + 1 != line.start + line.bytes) {
        config_complain_line(state->report, state->line,
                             "text after ']': the heading must be alone on its line");
    }
    state->section_seen = true;
}

static void check_entry_line(struct text_state *state, struct text_span line)
{
    const char *equals = memchr(line.start, '=', line.bytes);
    if (equals == NULL) {
        config_complain_line(state->report, state->line,
                             "neither '[section]' nor 'key = value' nor '# comment': '%.*s'",
                             (int)(line.bytes > 60 ? 60 : line.bytes), line.start);
        return;
    }
    struct text_span key = span_trim(line.start, (size_t)(equals - line.start));
    struct text_span value = span_trim(equals + 1, line.bytes - (size_t)(equals - line.start) - 1);
    if (key.bytes == 0 || value.bytes == 0) {
        config_complain_line(
            state->report, state->line, "'%.*s' has no %s: write key = value, or remove the line",
            (int)(line.bytes > 60 ? 60 : line.bytes), line.start, key.bytes == 0 ? "key" : "value");
        state->loadable = false;
    }
    if (key.bytes > CONFIG_NAME_MAX_BYTES || value.bytes > CONFIG_VALUE_MAX_BYTES) {
        config_complain_line(state->report, state->line,
                             "a key of %zu and a value of %zu characters; %u and %u are the most",
                             key.bytes, value.bytes, CONFIG_NAME_MAX_BYTES, CONFIG_VALUE_MAX_BYTES);
        state->loadable = false;
    }
    if (!state->section_seen) {
        config_complain_line(state->report, state->line,
                             "'%.*s' stands before the first section: begin with [nic]",
                             (int)(key.bytes > 60 ? 60 : key.bytes), key.start);
        state->loadable = false;
    }
}

/* Bytes outside comments that no value can contain. */
static bool check_bytes(struct text_state *state, struct text_span line)
{
    for (size_t i = 0; i < line.bytes; i++) {
        unsigned char c = (unsigned char)line.start[i];
        if (c != '\t' && (c < 0x20 || c > 0x7e)) {
            config_complain_line(state->report, state->line,
                                 "byte 0x%02x at column %zu: only plain ASCII outside comments", c,
                                 i + 1);
            state->loadable = false;
            return false;
        }
        /* Within a word it is SDDL's separator. */
        if (c == ';' && (i == 0 || isblank((unsigned char)line.start[i - 1]))) {
            config_complain_line(state->report, state->line,
                                 "';' at column %zu: a comment starts with '%c' here", i + 1,
                                 CONFIG_COMMENT);
            /* rte_cfgfile would take '; a = b' for a key. */
            state->loadable &= i > 0 || memchr(line.start, '=', line.bytes) == NULL;
            return i > 0;
        }
    }
    return true;
}

static void check_line(struct text_state *state, const char *start, size_t bytes)
{
    if (bytes > CONFIG_LINE_MAX_BYTES) {
        config_complain_line(state->report, state->line, "a line of %zu characters; %u is the most",
                             bytes, CONFIG_LINE_MAX_BYTES);
        state->loadable = false;
        return;
    }
    const char *comment = memchr(start, CONFIG_COMMENT, bytes);
    if (comment != NULL) {
        if (comment > start && comment[-1] == '\\') {
            config_complain_line(state->report, state->line, "'\\%c': no value can contain '%c'",
                                 CONFIG_COMMENT, CONFIG_COMMENT);
            state->loadable = false;
            return;
        }
        bytes = (size_t)(comment - start);
    }
    struct text_span line = span_trim(start, bytes);
    if (line.bytes == 0 || !check_bytes(state, line)) {
        return;
    }
    if (line.start[0] == '[') {
        check_section_line(state, line);
    } else {
        check_entry_line(state, line);
    }
}

bool config_text_check(const char *text, size_t bytes, struct config_report *report)
{
    struct text_state state = {.report = report, .loadable = true};
    if (memchr(text, '\0', bytes) != NULL) {
        config_complain(report, NULL, NULL, NULL,
                        "contains NUL bytes: not a text file (UTF-16? save it as UTF-8 or ASCII)");
        return false;
    }
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        config_complain(report, NULL, NULL, NULL,
                        "starts with a byte order mark: save it as UTF-8 without one");
        return false;
    }
    size_t off = 0;
    while (off < bytes) {
        const char *end = memchr(text + off, '\n', bytes - off);
        size_t line_bytes = end != NULL ? (size_t)(end - (text + off)) : bytes - off;
        state.line++;
        check_line(&state, text + off, line_bytes);
        off += line_bytes + 1;
    }
    return state.loadable;
}
