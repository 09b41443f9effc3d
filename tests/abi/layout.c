/*
 * The golden test of a layout that two processes share: prints size and offset of everything in a
 * list (layout_list.h, report_list.h) and compares with the committed golden file, which begins
 * with the version it is for. A changed layout fails until the version is bumped, and a bumped
 * version until the file is written anew.
 *
 * Arguments: GOLDEN HEADER... compares, and wants every 'struct rs_' of the headers in the list;
 * --write GOLDEN writes, only for a higher version. LAYOUT_LIST names the list's header, which says
 * LAYOUT_VERSION and LAYOUT_VERSION_NAME.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include LAYOUT_LIST

enum { TEXT_MAX = 64 * 1024, LINE_MAX_BYTES = 512 };

struct text {
    char bytes[TEXT_MAX];
    size_t len;
};

struct entry {
    const char *struct_name;
    const char *field; /* NULL: the structure itself */
    size_t offset, size;
};

struct constant {
    const char *name;
    unsigned long value;
};

#define STRUCT_ENTRY(type) {#type, NULL, 0, sizeof(struct type)},
#define FIELD_ENTRY(type, member) \
    {#type, #member, offsetof(struct type, member), sizeof(((struct type *)0)->member)},
#define CONSTANT_ENTRY(name) {#name, (unsigned long)(name)},

static const struct entry entries[] = {LAYOUT_STRUCTS(STRUCT_ENTRY, FIELD_ENTRY)};
static const struct constant constants[] = {LAYOUT_CONSTANTS(CONSTANT_ENTRY)};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void text_add(struct text *text, const char *line)
{
    size_t len = strlen(line);
    if (text->len + len >= sizeof(text->bytes)) {
        fprintf(stderr, "the layout no longer fits TEXT_MAX\n");
        exit(2);
    }
    memcpy(text->bytes + text->len, line, len + 1);
    text->len += len;
}

static void layout_print(struct text *text)
{
    char line[LINE_MAX_BYTES];
    snprintf(line, sizeof(line), "version %u\n", LAYOUT_VERSION);
    text_add(text, line);
    for (size_t i = 0; i < COUNT(entries); i++) {
        const struct entry *e = &entries[i];
        if (e->field == NULL) {
            snprintf(line, sizeof(line), "struct %s %u\n", e->struct_name, (unsigned)e->size);
        } else {
            snprintf(line, sizeof(line), "field %s %s %u %u\n", e->struct_name, e->field,
                     (unsigned)e->offset, (unsigned)e->size);
        }
        text_add(text, line);
    }
    for (size_t i = 0; i < COUNT(constants); i++) {
        snprintf(line, sizeof(line), "constant %s %lu\n", constants[i].name, constants[i].value);
        text_add(text, line);
    }
}

/* Fields in order, without a hole: padding that nobody named differs from compiler to compiler. */
static bool fields_fill(void)
{
    bool ok = true;
    for (size_t i = 0; i < COUNT(entries); i++) {
        if (entries[i].field != NULL) {
            continue;
        }
        size_t end = 0;
        for (size_t k = i + 1; k < COUNT(entries) && entries[k].field != NULL; k++) {
            if (entries[k].offset != end) {
                fprintf(stderr, "%s: hole or missing field before %s\n", entries[i].struct_name,
                        entries[k].field);
                ok = false;
            }
            end = entries[k].offset + entries[k].size;
        }
        if (end != entries[i].size) {
            fprintf(stderr, "%s: %u bytes at the end belong to no field\n", entries[i].struct_name,
                    (unsigned)(entries[i].size - end));
            ok = false;
        }
    }
    return ok;
}

static bool listed(const char *struct_name, size_t len)
{
    for (size_t i = 0; i < COUNT(entries); i++) {
        if (entries[i].field == NULL && strlen(entries[i].struct_name) == len &&
            memcmp(entries[i].struct_name, struct_name, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool header_listed(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return false;
    }
    char line[LINE_MAX_BYTES];
    bool ok = true;
    while (fgets(line, sizeof(line), file) != NULL) {
        size_t len = strcspn(line, "{") - strlen("struct ");
        if (strncmp(line, "struct rs_", 10) != 0 || strchr(line, '{') == NULL) {
            continue;
        }
        while (len > 0 && line[strlen("struct ") + len - 1] == ' ') {
            len--;
        }
        if (!listed(line + strlen("struct "), len)) {
            fprintf(stderr, "%s: not in " LAYOUT_LIST ": %s", path, line);
            ok = false;
        }
    }
    fclose(file);
    return ok;
}

static bool golden_read(const char *path, struct text *text, unsigned *version)
{
    FILE *file = fopen(path, "rb");
    *version = 0;
    if (file == NULL) {
        return false;
    }
    text->len = fread(text->bytes, 1, sizeof(text->bytes) - 1, file);
    text->bytes[text->len] = '\0';
    fclose(file);
    if (strncmp(text->bytes, "version ", 8) == 0) {
        *version = (unsigned)strtoul(text->bytes + 8, NULL, 10);
    }
    return true;
}

static int golden_write(const char *path, const struct text *now)
{
    static struct text golden;
    unsigned version;
    if (golden_read(path, &golden, &version) && version >= LAYOUT_VERSION) {
        fprintf(stderr, "%s is for version %u; bump " LAYOUT_VERSION_NAME " (%u) first\n", path,
                version, LAYOUT_VERSION);
        return 1;
    }
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(now->bytes, 1, now->len, file) != now->len || fclose(file) != 0) {
        fprintf(stderr, "%s: cannot be written\n", path);
        return 1;
    }
    return 0;
}

/* Says which lines differ: both texts have one entry a line, in the same order as long as nothing
 * was inserted. */
static void differences_print(const char *golden, const char *now)
{
    for (int shown = 0; shown < 10 && (*golden != '\0' || *now != '\0');) {
        int golden_len = (int)strcspn(golden, "\n"), now_len = (int)strcspn(now, "\n");
        if (golden_len != now_len || memcmp(golden, now, (size_t)now_len) != 0) {
            fprintf(stderr, "  golden: %-44.*s now: %.*s\n", golden_len, golden, now_len, now);
            shown++;
        }
        golden += golden_len + (golden[golden_len] == '\n');
        now += now_len + (now[now_len] == '\n');
    }
}

static int golden_compare(const char *path, const struct text *now)
{
    static struct text golden;
    unsigned version;
    if (!golden_read(path, &golden, &version)) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return 1;
    }
    if (version != LAYOUT_VERSION) {
        fprintf(stderr, "%s is for version %u, the headers say %u: write it anew (--write)\n", path,
                version, LAYOUT_VERSION);
        return 1;
    }
    if (strcmp(golden.bytes, now->bytes) != 0) {
        fprintf(stderr,
                "the shared layout differs from version %u: bump " LAYOUT_VERSION_NAME
                ", then --write\n",
                version);
        differences_print(golden.bytes, now->bytes);
        return 1;
    }
    printf("layout version %u: %u structures, fields and constants as recorded\n", version,
           (unsigned)(COUNT(entries) + COUNT(constants)));
    return 0;
}

int main(int argc, char **argv)
{
    static struct text now;
    layout_print(&now);
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        return golden_write(argv[2], &now);
    }
    if (argc < 2) {
        fprintf(stderr, "usage: layout GOLDEN HEADER... | layout --write GOLDEN\n");
        return 2;
    }
    bool ok = fields_fill();
    for (int i = 2; i < argc; i++) {
        ok = header_listed(argv[i]) && ok;
    }
    return golden_compare(argv[1], &now) == 0 && ok ? 0 : 1;
}
