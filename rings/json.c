/*
 * The writer of json.h.
 */
#include "rings/json.h"

#include <inttypes.h>

static void json_quoted(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            (void)fprintf(out, "\\%c", c);
        } else if (c < 0x20) {
            (void)fprintf(out, "\\u%04x", c);
        } else {
            (void)fputc(c < 0x7f ? c : '?', out); /* names of programs need not be UTF-8 */
        }
    }
    (void)fputc('"', out);
}

static void json_begin(struct rs_json *json, const char *name)
{
    if (json->follows) {
        (void)fputs(", ", json->out);
    }
    json->follows = true;
    if (name != NULL) {
        json_quoted(json->out, name);
        (void)fputs(": ", json->out);
    }
}

static void json_open(struct rs_json *json, const char *name, char bracket)
{
    json_begin(json, name);
    (void)fputc(bracket, json->out);
    json->follows = false;
}

static void json_close(struct rs_json *json, char bracket)
{
    (void)fputc(bracket, json->out);
    json->follows = true;
}

void rs_json_object(struct rs_json *json, const char *name)
{
    json_open(json, name, '{');
}

void rs_json_object_end(struct rs_json *json)
{
    json_close(json, '}');
}

void rs_json_array(struct rs_json *json, const char *name)
{
    json_open(json, name, '[');
}

void rs_json_array_end(struct rs_json *json)
{
    json_close(json, ']');
}

void rs_json_text(struct rs_json *json, const char *name, const char *value)
{
    json_begin(json, name);
    json_quoted(json->out, value);
}

void rs_json_u64(struct rs_json *json, const char *name, uint64_t value)
{
    json_begin(json, name);
    (void)fprintf(json->out, "%" PRIu64, value);
}

void rs_json_bool(struct rs_json *json, const char *name, bool value)
{
    json_begin(json, name);
    (void)fputs(value ? "true" : "false", json->out);
}

void rs_json_null(struct rs_json *json, const char *name)
{
    json_begin(json, name);
    (void)fputs("null", json->out);
}

void rs_json_ratio(struct rs_json *json, const char *name, double value)
{
    json_begin(json, name);
    (void)fprintf(json->out, "%.3f", value);
}
