/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_vga.h. IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem". */
#include "ckpt/dev_vga.h"

#include "str.h"

#define VGA_WINDOW_MONO 0xB0000u
#define VGA_WINDOW_COLOR 0xB8000u

uint32_t dev_vga_font_offset(uint8_t character_map, unsigned font)
{
    /* Font A: bits 3:2 and 5; font B: bits 1:0 and 4. Each step is 16 KiB, the high bit adds 8 KiB. */
    unsigned low = font == 0 ? character_map >> 2 : character_map;
    unsigned high = font == 0 ? character_map >> 5 : character_map >> 4;
    return (low & 3u) * 2 * VGA_FONT_BYTES + (high & 1u) * VGA_FONT_BYTES;
}

uint64_t dev_vga_text_window(uint8_t gc_misc)
{
    if (gc_misc & VGA_GC_MISC_GRAPHICS)
        return 0;
    return VGA_GC_MAP(gc_misc) == VGA_MAP_COLOR  ? VGA_WINDOW_COLOR
           : VGA_GC_MAP(gc_misc) == VGA_MAP_MONO ? VGA_WINDOW_MONO
                                                 : 0;
}

enum err dev_vga_check(const struct dev_vga_state *s, char *why, size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_VGA_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (s->text_mode > 1 || (s->text_mode && !dev_vga_text_window(s->gc[VGA_GC_MISC])))
        return dev_refuse(E_DEVICE, why, why_len, "vga: registers and mode do not fit");
    return E_OK;
}

void dev_vga_show(const struct dev_vga_state *s, char *text, size_t len)
{
    if (s->text_mode)
        str_format(text, len, "text mode, window %05x, %u columns, fonts and palette captured",
                   (unsigned)dev_vga_text_window(s->gc[VGA_GC_MISC]), s->crtc[1] + 1u);
    else
        str_format(text, len, "graphics mode: the picture is not captured");
}
