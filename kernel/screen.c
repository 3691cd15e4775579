/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. EGA text mode: one line at a time, scrolling. A linear framebuffer is left alone: boot messages are then on
 * the console and in the log only. */
#include "kernel/screen.h"

#include "hostmem.h"
#include "io.h"

#include <string.h>

#define ATTRIBUTE 0x0700u
#define EGA_BASE 0xb8000u
#define CRTC_INDEX 0x3d4u
#define CRTC_DATA 0x3d5u
#define CRTC_CURSOR_HIGH 0x0eu
#define CRTC_CURSOR_LOW 0x0fu
#define MAX_COLUMNS 132u
#define MAX_ROWS 60u

static uint16_t *cells;
static unsigned columns, rows, row;

void screen_init(const struct boot_framebuffer *fb)
{
    if (fb->present && fb->type != BOOT_FB_EGA_TEXT)
        return;
    columns = fb->present ? fb->width : 80;
    rows = fb->present ? fb->height : 25;
    if (!columns || !rows || columns > MAX_COLUMNS || rows > MAX_ROWS) {
        columns = 0;
        return;
    }
    cells = phys_to_virt((hpa_t){fb->present && fb->address ? fb->address : EGA_BASE});
    for (unsigned i = 0; i < columns * rows; i++)
        cells[i] = ATTRIBUTE | ' ';
    row = 0;
}

static void set_cursor(void)
{
    unsigned at = row * columns;
    io_out8(CRTC_INDEX, CRTC_CURSOR_HIGH);
    io_out8(CRTC_DATA, (uint8_t)(at >> 8));
    io_out8(CRTC_INDEX, CRTC_CURSOR_LOW);
    io_out8(CRTC_DATA, (uint8_t)at);
}

static void next_row(void)
{
    if (++row < rows)
        return;
    row = rows - 1;
    memmove(cells, cells + columns, (size_t)columns * (rows - 1) * sizeof *cells);
    for (unsigned i = 0; i < columns; i++)
        cells[row * columns + i] = ATTRIBUTE | ' ';
}

void screen_print(const char *line)
{
    if (!columns)
        return;
    unsigned column = 0;
    for (; *line; line++) {
        if (column == columns) {
            next_row();
            column = 0;
        }
        cells[row * columns + column++] = (uint16_t)(ATTRIBUTE | (uint8_t)*line);
    }
    next_row();
    set_cursor();
}

void screen_release(void)
{
    columns = 0;
}
