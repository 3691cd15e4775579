/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. str.h over newlib's integer-only vsniprintf. The variadic sniprintf is not used: newlib's is compiled with SSE
   and saves xmm registers in its prologue, while this one is compiled with -mgeneral-regs-only. Conversions: d i u x X
   o c s p with flags, width, precision and h l ll; newlib's default build knows neither z, j, t, hh nor floating point.
 */
#include "str.h"

/* newlib's <stdio.h>; declared here so that the file also compiles where only the build host's C library is seen. */
int vsniprintf(char *buf, size_t len, const char *fmt, va_list args);

int str_vformat(char *buf, size_t len, const char *fmt, va_list args)
{
    return vsniprintf(buf, len, fmt, args);
}

int str_format(char *buf, size_t len, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsniprintf(buf, len, fmt, args);
    va_end(args);
    return n;
}
