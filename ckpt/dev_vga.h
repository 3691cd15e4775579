/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. A VGA in text mode: all registers, the palette, the text memory as the CPU sees it, and the two fonts in use. A
   graphics mode (legacy or Bochs VBE) is recorded as such and the picture is left to the guest to redraw. */
#ifndef SOJOURN_CKPT_DEV_VGA_H
#define SOJOURN_CKPT_DEV_VGA_H

#include "ckpt/dev_common.h"

#define DEV_VGA_VERSION 1
#define VGA_MEMORY 0xA0000u /* what the CPU sees of it, in whatever mode */
#define VGA_MEMORY_BYTES 0x20000u
#define VGA_PORTS 0x3B0u
#define VGA_PORT_COUNT 0x30u
#define DISPI_PORTS 0x1CEu /* Bochs VBE display interface: index, data */
#define DISPI_PORT_COUNT 2u
#define VGA_SEQ_COUNT 5u
#define VGA_CRTC_COUNT 25u
#define VGA_GC_COUNT 9u
#define VGA_ATC_COUNT 21u
#define VGA_DAC_BYTES 768u
#define VGA_TEXT_BYTES 32768u
#define VGA_FONT_BYTES 8192u
#define VGA_FONTS 2u
#define VGA_MISC_COLOR 0x01u
#define VGA_GC_MISC 6u
#define VGA_GC_MISC_GRAPHICS 0x01u
#define VGA_GC_MAP(misc) (((misc) >> 2) & 3u)
#define VGA_MAP_MONO 2u
#define VGA_MAP_COLOR 3u
#define VGA_SEQ_CHARACTER_MAP 3u

struct dev_vga_state {
    struct dev_head head;
    uint8_t text_mode; /* registers and memory below hold; else only this */
    uint8_t misc, seq_index, crtc_index, gc_index, atc_index, dac_index, dac_mask;
    uint8_t seq[VGA_SEQ_COUNT], crtc[VGA_CRTC_COUNT], gc[VGA_GC_COUNT], atc[VGA_ATC_COUNT];
    uint8_t zero[4];
    uint8_t dac[VGA_DAC_BYTES];
    uint8_t text[VGA_TEXT_BYTES];
    uint8_t font[VGA_FONTS][VGA_FONT_BYTES];
};

_Static_assert(sizeof(struct dev_vga_state) == 80 + VGA_DAC_BYTES + VGA_TEXT_BYTES + VGA_FONTS * VGA_FONT_BYTES,
               "saved layout");

enum err dev_vga_check(const struct dev_vga_state *s, char *why, size_t why_len) MUST_USE;
/* Offset of font A (0) or B (1) in plane 2. */
uint32_t dev_vga_font_offset(uint8_t character_map, unsigned font);
/* Text window of this graphics-controller setting, 0 if it is none. */
uint64_t dev_vga_text_window(uint8_t gc_misc);
void dev_vga_show(const struct dev_vga_state *s, char *text, size_t len);

#endif
