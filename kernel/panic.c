/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Our own bug: say so everywhere and stop. Staged, so that a fault inside the dump moves on to the next stage
   instead of looping. */
#include "cpu.h"
#include "kernel/console_irq.h"
#include "kernel/log_control.h"
#include "kernel/screen.h"
#include "kernel/smp.h"
#include "log.h"
#include "str.h"

_Noreturn void panic(const char *fmt, ...)
{
    static volatile int stage;
    static char text[LOG_LINE_MAX];
    if (stage++ == 0) {
        smp_freeze();
        log_break_guard();
        va_list args;
        va_start(args, fmt);
        (void)str_vformat(text, sizeof text, fmt, args);
        va_end(args);
        log_line("PANIC", "%s", text);
    }
    if (stage++ <= 1) {
        console_irq_emergency("\r\n* PANIC in Sojourn: ");
        console_irq_emergency(text);
        console_irq_emergency("\r\n* The machine is stopped; after a reset `log previous` shows what led here.\r\n");
    }
    if (stage++ <= 2) {
        screen_print("PANIC in Sojourn: ");
        screen_print(text);
    }
    for (;;)
        cpu_cli_hlt();
}
