/*
 * One frame as one line of text, for scripts and traces (script.h shows the forms).
 */
#ifndef RINGSOCK_TESTS_SCENARIO_FRAME_TEXT_H
#define RINGSOCK_TESTS_SCENARIO_FRAME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* checked: say so when a length or checksum is wrong; else such a frame is only described. */
void frame_text(const uint8_t *data, uint32_t len_bytes, bool checked, char *out, size_t size);

#endif
