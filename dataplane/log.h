/*
 * Log lines a person can act on: time, level, area, message, one line each on standard error. Any
 * thread but the poll loops may write: a line is made whole first and written by one call.
 */
#ifndef RINGSOCK_DATAPLANE_LOG_H
#define RINGSOCK_DATAPLANE_LOG_H

#include "rings/status.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines less important than level are not written; LOG_LEVEL_INFO until told. Start-up thread. */
void log_set_level(enum log_level level);
/* area: the part that speaks, "nic", "control". The message says what happened, to what, and what
 * to do about it. */
RS_PRINTF_LIKE(3, 4) void log_line(enum log_level level, const char *area, const char *format, ...);

#endif
