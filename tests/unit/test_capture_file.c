/*
 * What `ringsockctl capture` says of the NICs in its file: a capture of two NICs (queues_rig.h)
 * that ends at once. What is captured, tests/programs/capture compares.
 */
#include <stdio.h>
#include <string.h>

#include "provider/ctl/ctl.h"
#include "rings/byteorder.h"
#include "tests/support/check.h"
#include "tests/unit/queues_rig.h"

enum { BLOCK_INTERFACE = 1, IF_NAME = 2, IF_IPV4ADDR = 4, WORDS = 1024 };

static uint32_t words[WORDS];

static uint32_t captured_words(void)
{
    char file[64];
    struct os_event stop;
    (void)snprintf(file, sizeof(file), "capture-%u.pcapng", os_process_id());
    const struct ctl_capture what = {
        .instance = queues_rig.configs[0].instance, .file = file, .queue_idx = RS_NO_INDEX};
    CHECK(os_event_create(&stop) == RS_OK);
    os_event_signal(&stop);
    assert_int_equal(ctl_capture(&what, &stop), CTL_CAPTURE_DONE);
    os_event_destroy(&stop);
    FILE *in = fopen(file, "rb");
    CHECK(in != NULL);
    size_t count = fread(words, sizeof(words[0]), WORDS, in);
    CHECK(fclose(in) == 0 && remove(file) == 0);
    assert_in_range(count, 1, WORDS - 1); /* it is all there */
    return (uint32_t)count;
}

/* "NAME ADDRESS/MASK ...": the options from word `at` on. */
static void interface_text(uint32_t at, char *text, size_t bytes)
{
    uint32_t code, len_bytes;
    text[0] = '\0';
    do {
        code = words[at] & 0xffff;
        len_bytes = words[at] >> 16;
        size_t used = strlen(text);
        if (code == IF_NAME) {
            (void)snprintf(text + used, bytes - used, "%.*s", (int)len_bytes,
                           (const char *)&words[at + 1]);
        } else if (code == IF_IPV4ADDR) {
            assert_int_equal(len_bytes, 8);
            (void)snprintf(text + used, bytes - used, " %08x/%08x", rs_be32(words[at + 1]),
                           rs_be32(words[at + 2]));
        }
        at += 1 + (len_bytes + 3) / 4;
    } while (code != 0);
}

static void an_interface_has_all_addresses_of_its_nic(void **state)
{
    (void)state;
    static const char *const expected[] = {" 0a000001/ffffff00", "local queue 0",
                                           " 0a010001/ffffff00 0a020001/ffff0000", "local queue 1"};
    uint32_t count = captured_words(), found = 0;
    for (uint32_t at = 0; at < count; at += words[at + 1] / 4) {
        char text[256];
        if (words[at] == BLOCK_INTERFACE) {
            interface_text(at + 4, text, sizeof(text));
            CHECK(found < 4);
            size_t end_bytes = strlen(expected[found]);
            size_t skip = strlen(text) > end_bytes ? strlen(text) - end_bytes : 0;
            assert_string_equal(text + skip, expected[found]);
            found++;
        }
    }
    assert_int_equal(found, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_interface_has_all_addresses_of_its_nic,
                                        queues_start_two_gateways, queues_stop),
    };
    return cmocka_run_group_tests_name("capture_file", tests, NULL, NULL);
}
