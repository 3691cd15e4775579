/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See vga_state.h. Index registers are put back after use. The attribute controller's flip-flop cannot be read:
   it is left in its index state, where every driver that starts with a read of input status 1 expects it. Fonts live in
   plane 2, which is made visible at A0000h for a moment. */
#include "drivers/vga_state.h"

#include "bits.h"
#include "io.h"
#include "log.h"

#define VGA_PORT_ATC 0x3C0u
#define VGA_PORT_ATC_READ 0x3C1u
#define VGA_PORT_MISC_WRITE 0x3C2u
#define VGA_PORT_SEQ 0x3C4u
#define VGA_PORT_DAC_MASK 0x3C6u
#define VGA_PORT_DAC_READ_INDEX 0x3C7u
#define VGA_PORT_DAC_WRITE_INDEX 0x3C8u
#define VGA_PORT_DAC_DATA 0x3C9u
#define VGA_PORT_MISC_READ 0x3CCu
#define VGA_PORT_GC 0x3CEu
#define VGA_PORT_CRTC_COLOR 0x3D4u
#define VGA_PORT_CRTC_MONO 0x3B4u
#define VGA_STATUS1_OFFSET 6u /* from the CRTC's index port */
#define VGA_SEQ_RESET 0u
#define VGA_SEQ_RESET_SYNC 0x01u
#define VGA_SEQ_RESET_RUN 0x03u
#define VGA_SEQ_MAP_MASK 2u
#define VGA_SEQ_MEMORY_MODE 4u
#define VGA_SEQ_MEMORY_FLAT 0x06u /* extended memory, odd/even off */
#define VGA_GC_READ_MAP 4u
#define VGA_GC_MODE 5u
#define VGA_GC_MISC_PLANE 0x05u /* graphics, window A0000h, 64 KiB */
#define VGA_GC_BIT_MASK 8u
#define VGA_GC_SET_RESET_ENABLE 1u
#define VGA_GC_ROTATE 3u
#define VGA_PLANE2 2u
#define VGA_PLANE2_MASK 0x04u
#define VGA_CRTC_PROTECT 0x11u
#define VGA_CRTC_PROTECT_BIT 0x80u
#define DISPI_PORT_INDEX DISPI_PORTS
#define DISPI_PORT_DATA (DISPI_PORTS + 1)
#define DISPI_ID 0u
#define DISPI_ID_MAGIC 0xB0C0u
#define DISPI_ID_MASK 0xFFF0u
#define DISPI_ENABLE 4u
#define DISPI_ENABLED 0x01u

#define DAC_ENTRY_BYTES 3u
#define DAC_PIECE_BYTES 384u /* each piece is some 400 or 500 reads, which a real card answers in half a millisecond */
#define PIECE_BYTES 4096u
#define VGA_SLOW_BYTES                                                                                                 \
    (VGA_DAC_BYTES + VGA_TEXT_BYTES + VGA_FONTS * VGA_FONT_BYTES) /* one after the other in the state */

static uint32_t taken; /* of that, into the state begun last */

bool vga_present(void)
{
    return io_in8(VGA_PORT_MISC_READ) != 0xFF;
}

static uint8_t indexed_read(uint16_t port, unsigned index)
{
    io_out8(port, (uint8_t)index);
    return io_in8((uint16_t)(port + 1));
}

static void indexed_write(uint16_t port, unsigned index, unsigned value)
{
    io_out8(port, (uint8_t)index);
    io_out8((uint16_t)(port + 1), (uint8_t)value);
}

static uint16_t crtc_port(void)
{
    return io_in8(VGA_PORT_MISC_READ) & VGA_MISC_COLOR ? VGA_PORT_CRTC_COLOR : VGA_PORT_CRTC_MONO;
}

static void atc_to_index(void)
{
    (void)io_in8((uint16_t)(crtc_port() + VGA_STATUS1_OFFSET));
}

/* The value of the display interface's enable register; 0 if there is no such interface. */
static uint16_t dispi_enable_get(void)
{
    uint16_t index = io_in16(DISPI_PORT_INDEX);
    io_out16(DISPI_PORT_INDEX, DISPI_ID);
    uint16_t id = io_in16(DISPI_PORT_DATA), enable = 0;
    if ((id & DISPI_ID_MASK) == DISPI_ID_MAGIC) {
        io_out16(DISPI_PORT_INDEX, DISPI_ENABLE);
        enable = io_in16(DISPI_PORT_DATA);
    }
    io_out16(DISPI_PORT_INDEX, index);
    return enable;
}

static void copy_to(uint64_t to, const uint8_t *from, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 4)
        mmio_write32((hpa_t){to + i}, load32(from + i));
}

static void plane2_visible(void)
{
    indexed_write(VGA_PORT_SEQ, VGA_SEQ_MAP_MASK, VGA_PLANE2_MASK);
    indexed_write(VGA_PORT_SEQ, VGA_SEQ_MEMORY_MODE, VGA_SEQ_MEMORY_FLAT);
    indexed_write(VGA_PORT_GC, VGA_GC_SET_RESET_ENABLE, 0);
    indexed_write(VGA_PORT_GC, VGA_GC_ROTATE, 0);
    indexed_write(VGA_PORT_GC, VGA_GC_READ_MAP, VGA_PLANE2);
    indexed_write(VGA_PORT_GC, VGA_GC_MODE, 0);
    indexed_write(VGA_PORT_GC, VGA_GC_MISC, VGA_GC_MISC_PLANE);
    indexed_write(VGA_PORT_GC, VGA_GC_BIT_MASK, 0xFF);
}

static void seq_gc_back(const struct dev_vga_state *s)
{
    for (unsigned i = 0; i < VGA_GC_COUNT; i++)
        indexed_write(VGA_PORT_GC, i, s->gc[i]);
    indexed_write(VGA_PORT_SEQ, VGA_SEQ_MAP_MASK, s->seq[VGA_SEQ_MAP_MASK]);
    indexed_write(VGA_PORT_SEQ, VGA_SEQ_MEMORY_MODE, s->seq[VGA_SEQ_MEMORY_MODE]);
}

static void indices_back(const struct dev_vga_state *s)
{
    io_out8(VGA_PORT_SEQ, s->seq_index);
    io_out8(crtc_port(), s->crtc_index);
    io_out8(VGA_PORT_GC, s->gc_index);
    io_out8(VGA_PORT_DAC_WRITE_INDEX, s->dac_index);
    atc_to_index();
    io_out8(VGA_PORT_ATC, s->atc_index); /* with its palette address source bit: the screen is on again */
    atc_to_index();
}

static void capture_registers(struct dev_vga_state *s)
{
    uint16_t crtc = crtc_port();
    s->misc = io_in8(VGA_PORT_MISC_READ);
    s->seq_index = io_in8(VGA_PORT_SEQ);
    s->crtc_index = io_in8(crtc);
    s->gc_index = io_in8(VGA_PORT_GC);
    s->dac_index = io_in8(VGA_PORT_DAC_WRITE_INDEX);
    s->dac_mask = io_in8(VGA_PORT_DAC_MASK);
    atc_to_index();
    s->atc_index = io_in8(VGA_PORT_ATC);
    for (unsigned i = 0; i < VGA_SEQ_COUNT; i++)
        s->seq[i] = indexed_read(VGA_PORT_SEQ, i);
    for (unsigned i = 0; i < VGA_CRTC_COUNT; i++)
        s->crtc[i] = indexed_read(crtc, i);
    for (unsigned i = 0; i < VGA_GC_COUNT; i++)
        s->gc[i] = indexed_read(VGA_PORT_GC, i);
    for (unsigned i = 0; i < VGA_ATC_COUNT; i++) {
        atc_to_index();
        io_out8(VGA_PORT_ATC, (uint8_t)i);
        s->atc[i] = io_in8(VGA_PORT_ATC_READ);
    }
}

enum err vga_capture(struct dev_vga_state *s)
{
    s->head = DEV_HEAD(DEV_VGA_VERSION, struct dev_vga_state);
    uint8_t gc_index = io_in8(VGA_PORT_GC);
    uint64_t window = dev_vga_text_window(indexed_read(VGA_PORT_GC, VGA_GC_MISC));
    io_out8(VGA_PORT_GC, gc_index);
    if (!window || dispi_enable_get() & DISPI_ENABLED)
        return E_OK;
    s->text_mode = 1;
    capture_registers(s);
    indices_back(s);
    taken = 0;
    return E_OK;
}

enum err vga_capture_more(struct dev_vga_state *s)
{
    if (!s->text_mode || taken == VGA_SLOW_BYTES)
        return E_OK;
    if (dispi_enable_get() & DISPI_ENABLED) {
        log_line("vga", "the guest left its text mode before all of the screen was read");
        return E_DEVICE;
    }
    uint8_t *to = (uint8_t *)s + offsetof(struct dev_vga_state, dac) + taken;
    if (taken < VGA_DAC_BYTES) {
        io_out8(VGA_PORT_DAC_READ_INDEX, (uint8_t)(taken / DAC_ENTRY_BYTES));
        io_in8_all(VGA_PORT_DAC_DATA, to, DAC_PIECE_BYTES);
        taken += DAC_PIECE_BYTES;
    } else {
        uint32_t of_text = taken - VGA_DAC_BYTES, of_fonts = of_text - VGA_TEXT_BYTES;
        uint64_t from = dev_vga_text_window(s->gc[VGA_GC_MISC]) + of_text;
        if (of_text >= VGA_TEXT_BYTES) {
            plane2_visible();
            from = VGA_MEMORY + of_fonts % VGA_FONT_BYTES +
                   dev_vga_font_offset(s->seq[VGA_SEQ_CHARACTER_MAP], of_fonts / VGA_FONT_BYTES);
        }
        mmio_read64_all(to, (hpa_t){from}, PIECE_BYTES / sizeof(uint64_t));
        seq_gc_back(s);
        taken += PIECE_BYTES;
    }
    indices_back(s);
    return taken == VGA_SLOW_BYTES ? E_OK : E_NOTYET;
}

static void restore_registers(const struct dev_vga_state *s)
{
    io_out8(VGA_PORT_MISC_WRITE, s->misc);
    indexed_write(VGA_PORT_SEQ, VGA_SEQ_RESET, VGA_SEQ_RESET_SYNC);
    for (unsigned i = 1; i < VGA_SEQ_COUNT; i++)
        indexed_write(VGA_PORT_SEQ, i, s->seq[i]);
    indexed_write(VGA_PORT_SEQ, VGA_SEQ_RESET, VGA_SEQ_RESET_RUN);
    uint16_t crtc = crtc_port();
    indexed_write(crtc, VGA_CRTC_PROTECT, s->crtc[VGA_CRTC_PROTECT] & ~VGA_CRTC_PROTECT_BIT);
    for (unsigned i = 0; i < VGA_CRTC_COUNT; i++)
        if (i != VGA_CRTC_PROTECT)
            indexed_write(crtc, i, s->crtc[i]);
    indexed_write(crtc, VGA_CRTC_PROTECT, s->crtc[VGA_CRTC_PROTECT]);
    for (unsigned i = 0; i < VGA_ATC_COUNT; i++) {
        atc_to_index();
        io_out8(VGA_PORT_ATC, (uint8_t)i);
        io_out8(VGA_PORT_ATC, s->atc[i]);
    }
    io_out8(VGA_PORT_DAC_MASK, s->dac_mask);
    io_out8(VGA_PORT_DAC_WRITE_INDEX, 0);
    for (unsigned i = 0; i < VGA_DAC_BYTES; i++)
        io_out8(VGA_PORT_DAC_DATA, s->dac[i]);
}

enum err vga_restore(const struct dev_vga_state *s)
{
    if (!s->text_mode)
        return E_OK;
    if (dispi_enable_get() & DISPI_ENABLED) {
        io_out16(DISPI_PORT_INDEX, DISPI_ENABLE);
        io_out16(DISPI_PORT_DATA, 0);
    }
    restore_registers(s);
    plane2_visible();
    for (unsigned f = 0; f < VGA_FONTS; f++)
        copy_to(VGA_MEMORY + dev_vga_font_offset(s->seq[VGA_SEQ_CHARACTER_MAP], f), s->font[f], VGA_FONT_BYTES);
    seq_gc_back(s);
    copy_to(dev_vga_text_window(s->gc[VGA_GC_MISC]), s->text, VGA_TEXT_BYTES);
    indices_back(s);
    return E_OK;
}
