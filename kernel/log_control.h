/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. What only boot, panic and console need of the log; everybody else includes log.h and calls log_line(). */
#ifndef SOJOURN_KERNEL_LOG_CONTROL_H
#define SOJOURN_KERNEL_LOG_CONTROL_H

#include "types.h"

/* Saves the last boot's log from area to previous_area, then logs into area; early lines move along. Areas: 8-byte
   aligned, LOG_RING_AREA_BYTES each, at the same physical address at every boot, and not zeroed before this call. */
void log_start(void *area, size_t area_bytes, char *previous_area, size_t previous_bytes);

/* Every line, without its end, also goes to sink, which must not block beyond a deadline. False: no room. */
bool log_attach(void (*sink)(const char *line, size_t length)) MUST_USE;
void log_detach(void (*sink)(const char *line, size_t length));

/* For panic: the interrupted code may have been inside log_line(). */
void log_break_guard(void);

/* Text of the log, or of the previous one, from *position on (0: its beginning); moves *position. 0: no more. */
size_t log_read(bool previous, uint64_t *position, char *out, size_t max);

#endif
