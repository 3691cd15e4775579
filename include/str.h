/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. Formatting into a buffer: newlib's vsniprintf in the image (no floating point, no SSE), the host's
   vsnprintf in unit tests and tools. */
#ifndef SOJOURN_STR_H
#define SOJOURN_STR_H

#include "types.h"

#include <stdarg.h>

/* As snprintf: always terminated when len > 0, returns the length it would have had. No floating point, and of the
   length modifiers only h, l and ll: newlib's small build lacks z, j, t and hh and goes astray on them. */
int str_format(char *buf, size_t len, const char *fmt, ...) PRINTF_LIKE(3, 4);
int str_vformat(char *buf, size_t len, const char *fmt, va_list args) PRINTF_LIKE(3, 0);

#endif
