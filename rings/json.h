/*
 * Writes JSON to a stream: commas, quoting and nesting, so that no caller thinks of them. Used by
 * the dataplane's closing ledger and by ringsockctl. One thread per writer; calls the C library
 * only.
 */
#ifndef RINGSOCK_RINGS_JSON_H
#define RINGSOCK_RINGS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct rs_json {
    FILE *out;
    bool follows; /* something stands before, on this level: a comma is due */
};

static inline struct rs_json rs_json_start(FILE *out)
{
    return (struct rs_json){.out = out};
}

/* name NULL: an element of an array, or the whole document. Bytes that no text has become escapes
 * or '?'. */
void rs_json_object(struct rs_json *json, const char *name); /* { */
void rs_json_object_end(struct rs_json *json);
void rs_json_array(struct rs_json *json, const char *name); /* [ */
void rs_json_array_end(struct rs_json *json);
void rs_json_text(struct rs_json *json, const char *name, const char *value);
void rs_json_u64(struct rs_json *json, const char *name, uint64_t value);
void rs_json_bool(struct rs_json *json, const char *name, bool value);
void rs_json_null(struct rs_json *json, const char *name);
/* With three digits behind the point. */
void rs_json_ratio(struct rs_json *json, const char *name, double value);

#endif
