/*
 * Segments as text and back, see tcp_text.h.
 */
#include "tcp_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script_internal.h"

static const char flag_letters[] = "FSRPAUEC"; /* by bit */
static const char *const ecn_names[] = {"", "ect1", "ect0", "ce"};

/* ---- text to line ---- */

struct reader {
    const char *text; /* all of it, for messages */
    const char *at;
};

static void skip_space(struct reader *reader)
{
    reader->at += strspn(reader->at, " ");
}

/* True, and past it, when the word comes next. */
static bool take_word(struct reader *reader, const char *word)
{
    size_t len = strlen(word);
    skip_space(reader);
    if (strncmp(reader->at, word, len) != 0 || isalnum((unsigned char)reader->at[len])) {
        return false;
    }
    reader->at += len;
    return true;
}

static bool take_char(struct reader *reader, char c)
{
    if (*reader->at != c) {
        return false;
    }
    reader->at++;
    return true;
}

static int64_t take_number(struct reader *reader)
{
    skip_space(reader);
    if (take_char(reader, '*')) {
        return TCP_LINE_ANY;
    }
    char *end;
    long long value = strtoll(reader->at, &end, 10);
    if (end == reader->at) {
        script_fail("a number is missing in \"%s\" at \"%s\"", reader->text, reader->at);
    }
    reader->at = end;
    return value;
}

static void read_sacks(struct reader *reader, struct tcp_line *line)
{
    for (;;) {
        skip_space(reader);
        if (*reader->at == ',' || *reader->at == '>') {
            return;
        }
        if (line->sack_count == TCP_LINE_SACKS) {
            script_fail("too many SACK blocks in \"%s\"", reader->text);
        }
        struct tcp_line_sack *sack = &line->sacks[line->sack_count++];
        sack->start = take_number(reader);
        if (!take_char(reader, ':')) {
            script_fail("a SACK block is start:end, in \"%s\"", reader->text);
        }
        sack->end = take_number(reader);
    }
}

/* Pairs of hexadecimal digits. */
static void read_raw(struct reader *reader, struct tcp_line *line)
{
    skip_space(reader);
    while (isxdigit((unsigned char)reader->at[0]) && isxdigit((unsigned char)reader->at[1]) &&
           line->raw_count < TCP_LINE_RAW_BYTES) {
        const char pair[3] = {reader->at[0], reader->at[1], '\0'};
        line->raw[line->raw_count++] = (uint8_t)strtoul(pair, NULL, 16);
        reader->at += 2;
        skip_space(reader);
    }
}

static void read_options(struct reader *reader, struct tcp_line *line)
{
    line->has_options = true;
    while (!take_char(reader, '>')) {
        if (take_word(reader, "mss")) {
            line->mss = take_number(reader);
        } else if (take_word(reader, "sackOK")) {
            line->sack_ok = true;
        } else if (take_word(reader, "wscale")) {
            line->wscale = take_number(reader);
        } else if (take_word(reader, "sack")) {
            read_sacks(reader, line);
        } else if (take_word(reader, "raw")) {
            read_raw(reader, line);
        } else if (take_word(reader, "ts")) {
            skip_space(reader);
            line->ts_auto = *reader->at == ',' || *reader->at == '>';
            if (!line->ts_auto) {
                line->ts_value = take_number(reader);
                line->ts_echo = take_char(reader, ':') ? take_number(reader) : TCP_LINE_ANY;
            }
        } else if (!take_char(reader, ',')) {
            script_fail("no option: \"%s\" in \"%s\"", reader->at, reader->text);
        }
        skip_space(reader);
    }
}

static bool read_ecn(struct reader *reader, struct tcp_line *line)
{
    for (int64_t i = 1; i < 4; i++) {
        if (take_word(reader, ecn_names[i])) {
            line->ecn = i;
            return true;
        }
    }
    return false;
}

static void read_word(struct reader *reader, struct tcp_line *line)
{
    if (take_word(reader, "ack")) {
        line->ack = take_number(reader);
    } else if (take_word(reader, "win")) {
        line->window = take_number(reader);
    } else if (take_word(reader, "rawwin")) {
        line->raw_window = take_number(reader);
    } else if (take_word(reader, "urg")) {
        line->urgent = take_number(reader);
    } else if (take_word(reader, "ttl")) {
        line->ttl = take_number(reader);
    } else if (take_word(reader, "tos")) {
        line->tos = take_number(reader);
    } else if (take_word(reader, "offset")) {
        line->offset_words = take_number(reader);
    } else if (take_word(reader, "nodf")) {
        line->fragmentable = true;
    } else if (take_word(reader, "nopush")) {
        line->no_push = true;
    } else if (take_word(reader, "badsum")) {
        line->bad_checksum = true;
    } else if (take_word(reader, "junk")) {
        line->junk = true;
    } else if (take_char(reader, '<')) {
        read_options(reader, line);
    } else if (!read_ecn(reader, line)) {
        script_fail("not understood: \"%s\" in \"%s\"", reader->at, reader->text);
    }
}

static struct tcp_line empty_line(void)
{
    return (struct tcp_line){
        .ack = TCP_LINE_NONE,
        .window = TCP_LINE_NONE,
        .raw_window = TCP_LINE_NONE,
        .urgent = TCP_LINE_NONE,
        .ttl = TCP_LINE_NONE,
        .tos = TCP_LINE_NONE,
        .mss = TCP_LINE_NONE,
        .wscale = TCP_LINE_NONE,
        .ts_value = TCP_LINE_NONE,
        .ts_echo = TCP_LINE_NONE,
        .offset_words = TCP_LINE_NONE,
    };
}

struct tcp_line tcp_line_parse(const char *text)
{
    struct tcp_line line = empty_line();
    struct reader reader = {text, text};
    skip_space(&reader);
    for (; *reader.at != '\0' && *reader.at != ' '; reader.at++) {
        const char *letter = strchr(flag_letters, *reader.at);
        if (letter != NULL) {
            line.flags |= (uint8_t)(1u << (letter - flag_letters));
        } else if (*reader.at != '-') {
            script_fail("flags are of FSRPAUEC, or - for none: \"%s\"", text);
        }
    }
    line.seq = take_number(&reader);
    line.end = take_char(&reader, ':') ? take_number(&reader) : line.seq;
    for (skip_space(&reader); *reader.at != '\0'; skip_space(&reader)) {
        read_word(&reader, &line);
    }
    return line;
}

/* ---- line to text ---- */

struct writer {
    char *out;
    size_t size, used;
};

static void put(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void put(struct writer *writer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int written = vsnprintf(writer->out + writer->used, writer->size - writer->used, format, args);
    va_end(args);
    if (written > 0) {
        writer->used += (size_t)written;
        writer->used = writer->used < writer->size ? writer->used : writer->size - 1;
    }
}

static void put_number(struct writer *writer, const char *name, int64_t value)
{
    if (value == TCP_LINE_ANY) {
        put(writer, "%s*", name);
    } else if (value != TCP_LINE_NONE) {
        put(writer, "%s%lld", name, (long long)value);
    }
}

static void put_options(struct writer *writer, const struct tcp_line *line)
{
    size_t start = writer->used;
    put_number(writer, ",mss ", line->mss);
    put(writer, "%s", line->sack_ok ? ",sackOK" : "");
    if (line->ts_value != TCP_LINE_NONE) {
        put_number(writer, line->ts_value >= 0 ? ",ts +" : ",ts ", line->ts_value);
        put_number(writer, ":", line->ts_echo);
    } else if (line->ts_auto) {
        put(writer, ",ts");
    }
    put_number(writer, ",wscale ", line->wscale);
    for (uint32_t i = 0; i < line->sack_count; i++) {
        put_number(writer, i == 0 ? ",sack " : " ", line->sacks[i].start);
        put_number(writer, ":", line->sacks[i].end);
    }
    for (uint32_t i = 0; i < line->raw_count; i++) {
        put(writer, i == 0 ? ",raw %02x" : "%02x", line->raw[i]);
    }
    if (writer->used == start) {
        put(writer, " <");
    } else if (writer->used - start < writer->size - writer->used) {
        memmove(writer->out + start + 1, writer->out + start, writer->used - start);
        writer->used++;
        writer->out[writer->used] = '\0';
        memcpy(writer->out + start, " <", 2);
    }
    put(writer, ">");
}

void tcp_line_print(const struct tcp_line *line, char *out, size_t size)
{
    struct writer writer = {out, size, 0};
    out[0] = '\0';
    for (uint32_t bit = 0; bit < 8; bit++) {
        /* In the order that people write them. */
        static const char order[] = "SFRPAUEC";
        const char *letter = strchr(flag_letters, order[bit]);
        if ((line->flags & (1u << (letter - flag_letters))) != 0) {
            put(&writer, "%c", order[bit]);
        }
    }
    put(&writer, "%s", line->flags == 0 ? "-" : "");
    put_number(&writer, " ", line->seq);
    if (line->end != line->seq) {
        put_number(&writer, ":", line->end);
    }
    put_number(&writer, " ack ", line->ack);
    put_number(&writer, " win ", line->window);
    put_number(&writer, " rawwin ", line->raw_window);
    put_number(&writer, " urg ", line->urgent);
    put(&writer, "%s%s", line->ecn != 0 ? " " : "", ecn_names[line->ecn & 3]);
    put_number(&writer, " ttl ", line->ttl);
    put_number(&writer, " tos ", line->tos);
    put_number(&writer, " offset ", line->offset_words);
    put(&writer, "%s%s%s%s", line->fragmentable ? " nodf" : "", line->no_push ? " nopush" : "",
        line->bad_checksum ? " badsum" : "", line->junk ? " junk" : "");
    if (line->has_options) {
        put_options(&writer, line);
    }
    put(&writer, "%s%s", line->problem[0] != '\0' ? " " : "", line->problem);
}

/* ---- comparison ---- */

static bool same(int64_t want, int64_t got)
{
    return want == TCP_LINE_ANY || want == got;
}

static bool same_if_said(int64_t want, int64_t got)
{
    return want == TCP_LINE_NONE || same(want, got);
}

static bool same_options(const struct tcp_line *want, const struct tcp_line *got)
{
    bool ts_same = want->ts_auto
                       ? got->ts_value != TCP_LINE_NONE
                       : same(want->ts_value, got->ts_value) && same(want->ts_echo, got->ts_echo);
    bool sacks_same = want->sack_count == got->sack_count;
    for (uint32_t i = 0; sacks_same && i < want->sack_count; i++) {
        sacks_same = same(want->sacks[i].start, got->sacks[i].start) &&
                     same(want->sacks[i].end, got->sacks[i].end);
    }
    return ts_same && sacks_same && same(want->mss, got->mss) && want->sack_ok == got->sack_ok &&
           same(want->wscale, got->wscale) && want->raw_count == got->raw_count &&
           memcmp(want->raw, got->raw, want->raw_count) == 0;
}

bool tcp_line_matches(const struct tcp_line *want, const struct tcp_line *got, const char **why)
{
    /* P is compared only when it is said. */
    uint8_t mask = (want->flags & TCP_FLAG_PSH) != 0 || want->no_push ? 0xff : 0xff ^ TCP_FLAG_PSH;
    *why = NULL;
    if (got->problem[0] != '\0') {
        *why = "what is wrong with it";
    } else if ((want->flags & mask) != (got->flags & mask)) {
        *why = "flags";
    } else if (!same(want->seq, got->seq) || !same(want->end, got->end)) {
        *why = "sequence numbers";
    } else if (!same_if_said(want->ack, got->ack)) {
        *why = "ack";
    } else if (!same_if_said(want->window, got->window) ||
               !same_if_said(want->raw_window, got->raw_window)) {
        *why = "window";
    } else if (!same(want->urgent, got->urgent)) {
        *why = "urgent pointer";
    } else if (!same(want->ttl, got->ttl) || !same(want->tos, got->tos) ||
               want->fragmentable != got->fragmentable) {
        *why = "ttl, tos or DF";
    } else if (want->ecn != got->ecn) {
        *why = "ECN codepoint";
    } else if (want->has_options && !same_options(want, got)) {
        *why = "options";
    }
    return *why == NULL;
}
