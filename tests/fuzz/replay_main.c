/*
 * Stands in for libFuzzer where the compiler has none: runs each file of the named corpus folders
 * through the target once. Exit status 1 when a folder cannot be read or holds nothing; a crash is
 * the test's failure.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX_BYTES (1024u * 1024u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int replay_file(const char *path)
{
    FILE *in = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX_BYTES);
    if (in == NULL || data == NULL) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        free(data);
        if (in != NULL) {
            (void)fclose(in);
        }
        return 1;
    }
    size_t bytes = fread(data, 1, INPUT_MAX_BYTES, in);
    (void)fclose(in);
    /* A block of exactly that size, so that a sanitizer sees reads behind it. */
    uint8_t *exact = malloc(bytes > 0 ? bytes : 1);
    if (exact != NULL) {
        memcpy(exact, data, bytes);
        (void)LLVMFuzzerTestOneInput(exact, bytes);
    }
    free(exact);
    free(data);
    return exact == NULL;
}

static int replay_folder(const char *folder, unsigned int *count)
{
    char path[4096];
    int result = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        perror(folder);
        return 1;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            result |= replay_file(path);
            (*count)++;
        }
    }
    (void)closedir(dir);
    return result;
}

int main(int argc, char **argv)
{
    unsigned int count = 0;
    int result = 0;
    for (int i = 1; i < argc; i++) {
        result |= replay_folder(argv[i], &count);
    }
    (void)printf("%u inputs replayed\n", count);
    return result != 0 || count == 0;
}
