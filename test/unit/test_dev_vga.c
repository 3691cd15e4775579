/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VGA in text mode as a model, and the table of classes as a whole. */
/* UNITS: ckpt/devices.c ckpt/dev_common.c ckpt/dev_vga.c drivers/vga_state.c kernel/iowatch.c ckpt/dev_pic.c */
/* UNITS: ckpt/dev_pit.c ckpt/dev_rtc.c ckpt/dev_uart.c ckpt/dev_uart_hw.c ckpt/dev_kbd.c drivers/pic.c */
/* UNITS: drivers/pit.c drivers/rtc.c drivers/kbd.c ckpt/dev_clock.c ckpt/dev_hpet.c drivers/hpet.c */
/* UNITS: ckpt/dev_ioapic.c drivers/ioapic.c ckpt/dev_lapic.c ckpt/dev_lapics.c drivers/lapic.c drivers/pmtimer.c */
/* UNITS: ckpt/dev_pci.c ckpt/dev_pci_hw.c ckpt/dev_ahci.c ckpt/dev_ahci_hw.c ckpt/dev_ide.c */
/* UNITS: ckpt/dev_ide_hw.c drivers/ata_core.c drivers/pci.c ckpt/dev_e1000.c ckpt/dev_e1000_hw.c */
#include "bits.h"
#include "ckpt/dev_vga.h"
#include "ckpt/devices.h"
#include "drivers/pmtimer.h"
#include "drivers/vga_state.h"
#include "io.h"
#include "kernel/guest_access.h"
#include "unit.h"

#include <string.h>

static struct model {
    uint8_t misc, seq_i, crtc_i, gc_i, atc_i, atc_data, dac_mask, dac_w, dac_r;
    uint16_t dac_at;
    uint8_t seq[8], crtc[64], gc[16], atc[32], dac[768];
    uint8_t text[32768], plane2[65536];
    uint16_t dispi_i, dispi_enable;
} m;
static bool has_dispi;
static uint32_t pm_values[40];
static unsigned pm_reads;
static char why[200], text[200];
static struct dev_vga_state s, bad;

/* No network card here. */
bool guest_phys_read(void *ctx, gpa_t gpa, void *buf, size_t len)
{
    (void)ctx;
    (void)gpa;
    (void)buf;
    (void)len;
    return false;
}

uint8_t io_in8(uint16_t port)
{
    switch (port) {
    case 0x3CC:
        return m.misc;
    case 0x3C0:
        return m.atc_i;
    case 0x3C1:
        return m.atc[m.atc_i & 0x1f];
    case 0x3C4:
        return m.seq_i;
    case 0x3C5:
        return m.seq[m.seq_i & 7];
    case 0x3C6:
        return m.dac_mask;
    case 0x3C8:
        return m.dac_w;
    case 0x3C9:
        return m.dac[m.dac_at++ % 768];
    case 0x3CE:
        return m.gc_i;
    case 0x3CF:
        return m.gc[m.gc_i & 15];
    case 0x3D4:
        return m.crtc_i;
    case 0x3D5:
        return m.crtc[m.crtc_i & 63];
    case 0x3DA:
        m.atc_data = 0;
        return 0;
    default:
        ck_abort_msg("read of port %x", port);
        return 0;
    }
}

void io_out8(uint16_t port, uint8_t v)
{
    switch (port) {
    case 0x3C2:
        m.misc = v;
        break;
    case 0x3C0:
        if (!m.atc_data)
            m.atc_i = v;
        else if (!(m.atc_i & 0x20) || m.atc_i >= 0x30)
            m.atc[m.atc_i & 0x1f] = v;
        m.atc_data ^= 1;
        break;
    case 0x3C4:
        m.seq_i = v;
        break;
    case 0x3C5:
        m.seq[m.seq_i & 7] = v;
        break;
    case 0x3C6:
        m.dac_mask = v;
        break;
    case 0x3C7:
        m.dac_at = (uint16_t)(v * 3);
        break;
    case 0x3C8:
        m.dac_w = v, m.dac_at = (uint16_t)(v * 3);
        break;
    case 0x3C9:
        m.dac[m.dac_at++ % 768] = v;
        m.dac_w = (uint8_t)(m.dac_at / 3);
        break;
    case 0x3CE:
        m.gc_i = v;
        break;
    case 0x3CF:
        m.gc[m.gc_i & 15] = v;
        break;
    case 0x3D4:
        m.crtc_i = v;
        break;
    case 0x3D5:
        if (m.crtc_i > 7 || !(m.crtc[0x11] & 0x80))
            m.crtc[m.crtc_i & 63] = v;
        break;
    default:
        ck_abort_msg("write of port %x", port);
    }
}

uint16_t io_in16(uint16_t port)
{
    if (!has_dispi)
        return 0xffff;
    return port == 0x1CE ? m.dispi_i : m.dispi_i == 0 ? 0xB0C5 : m.dispi_enable;
}

void io_out16(uint16_t port, uint16_t v)
{
    if (!has_dispi)
        return;
    if (port == 0x1CE)
        m.dispi_i = v;
    else if (m.dispi_i == 4)
        m.dispi_enable = v;
}

uint32_t io_in32(uint16_t port)
{
    if (port >= 0xCF8 && port <= 0xCFF) /* an empty PCI bus */
        return UINT32_MAX;
    ck_assert_uint_eq(port, 0xb008);
    return pm_values[pm_reads++ % ARRAY_LEN(pm_values)];
}

void io_out32(uint16_t port, uint32_t v)
{
    ck_assert_msg(port == 0xCF8, "write of port %x: %x", port, v);
}

static uint8_t *memory(hpa_t where)
{
    if (where.v >= 0xB8000 && where.v < 0xC0000) {
        ck_assert_uint_eq(m.gc[6] & 0xd, 0xc);
        return m.text + (where.v - 0xB8000);
    }
    ck_assert(where.v >= 0xA0000 && where.v < 0xB0000);
    ck_assert(m.gc[6] == 5 && m.seq[4] == 6 && m.seq[2] == 4 && m.gc[4] == 2 && m.gc[5] == 0);
    return m.plane2 + (where.v - 0xA0000);
}

void mmio_read64_all(void *to, hpa_t from, uint64_t words)
{
    for (uint64_t i = 0; i < words; i++)
        store64((uint8_t *)to + 8 * i, load64(memory((hpa_t){from.v + 8 * i})));
}

void io_in8_all(uint16_t port, uint8_t *bytes, size_t count)
{
    while (count--)
        *bytes++ = io_in8(port);
}

uint32_t mmio_read32(hpa_t where)
{
    return load32(memory(where));
}

void mmio_write32(hpa_t where, uint32_t v)
{
    store32(memory(where), v);
}

static void boot(void)
{
    memset(&m, 0, sizeof m);
    memset(&s, 0, sizeof s);
    has_dispi = true;
    m.misc = 0x67;
    for (unsigned i = 0; i < 32; i++)
        m.atc[i] = (uint8_t)i;
    for (unsigned i = 0; i < VGA_CRTC_COUNT; i++)
        m.crtc[i] = (uint8_t)(0x50 + i);
    m.crtc[0x11] = 0x8e;
    m.crtc[1] = 79;
    m.seq[0] = 3, m.seq[2] = 3, m.seq[3] = 0x05, m.seq[4] = 2;
    m.gc[5] = 0x10, m.gc[6] = 0x0e, m.gc[8] = 0xff;
    m.atc_i = 0x34, m.seq_i = 2, m.gc_i = 4, m.crtc_i = 14, m.dac_w = 9, m.dac_at = 27, m.dac_mask = 0xff;
    for (unsigned i = 0; i < sizeof m.text; i++)
        m.text[i] = (uint8_t)(i * 3 + i / 256);
    for (unsigned i = 0; i < sizeof m.plane2; i++)
        m.plane2[i] = (uint8_t)(i * 5 + i / 512);
    for (unsigned i = 0; i < sizeof m.dac; i++)
        m.dac[i] = (uint8_t)(i & 63);
}

#define PIECES ((VGA_TEXT_BYTES + VGA_FONTS * VGA_FONT_BYTES) / 4096 + 2)

START_TEST(text_mode_round_trip)
{
    boot();
    struct model before = m;
    ck_assert(vga_present());
    ck_assert_int_eq(vga_capture(&s), E_OK);
    ck_assert(!memcmp(&before, &m, sizeof m));
    for (unsigned i = 1; i < PIECES; i++)
        ck_assert_int_eq(vga_capture_more(&s), E_NOTYET);
    ck_assert_int_eq(vga_capture_more(&s), E_OK);
    ck_assert(!memcmp(&before, &m, sizeof m));
    ck_assert_int_eq(vga_capture_more(&s), E_OK); /* nothing is left */
    ck_assert_int_eq(dev_vga_check(&s, why, sizeof why), E_OK);
    memset(&m, 0x5a, sizeof m);
    m.misc = 0x67, m.crtc[0x11] = 0xff, m.dispi_i = 0, m.dispi_enable = 1; /* GRUB left a graphics mode */
    ck_assert_int_eq(vga_restore(&s), E_OK);
    ck_assert_uint_eq(m.dispi_enable, 0);
    ck_assert(!memcmp(m.text, before.text, sizeof m.text) && !memcmp(m.dac, before.dac, sizeof m.dac));
    ck_assert(!memcmp(m.crtc, before.crtc, VGA_CRTC_COUNT) && !memcmp(m.gc, before.gc, VGA_GC_COUNT));
    ck_assert(!memcmp(m.seq, before.seq, VGA_SEQ_COUNT) && !memcmp(m.atc, before.atc, VGA_ATC_COUNT));
    ck_assert(!memcmp(m.plane2 + 0x4000, before.plane2 + 0x4000, 0x2000));
    ck_assert(m.atc_i == 0x34 && m.seq_i == 2 && m.gc_i == 4 && m.crtc_i == 14 && m.dac_w == 9 && m.misc == 0x67 &&
              !m.atc_data);
    dev_vga_show(&s, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "80 columns"));
}
END_TEST

/* What is read between two stops leaves no trace, and a card that leaves text mode by itself is told. */
START_TEST(the_rest_is_read_in_pieces)
{
    boot();
    static struct model before;
    before = m;
    ck_assert_int_eq(vga_capture(&s), E_OK);
    enum err e = E_NOTYET;
    while (e == E_NOTYET) {
        e = vga_capture_more(&s);
        ck_assert(!memcmp(&before, &m, sizeof m));
    }
    ck_assert_int_eq(e, E_OK);
    ck_assert(!memcmp(s.dac, before.dac, sizeof s.dac) && !memcmp(s.text, before.text, sizeof s.text));
    ck_assert(!memcmp(s.font[0], before.plane2 + 0x4000, 0x2000) && !memcmp(s.font[1], s.font[0], 0x2000));
    /* A new one begins at the beginning. */
    ck_assert_int_eq(vga_capture(&s), E_OK);
    ck_assert_int_eq(vga_capture_more(&s), E_NOTYET);
    m.dispi_enable = 0x41;
    ck_assert_int_eq(vga_capture_more(&s), E_DEVICE);
}
END_TEST

START_TEST(graphics_is_left_alone)
{
    for (unsigned variant = 0; variant < 2; variant++) {
        boot();
        if (variant == 0)
            m.gc[6] = 5;
        else
            m.dispi_enable = 0x41;
        struct model before = m;
        ck_assert_int_eq(vga_capture(&s), E_OK);
        ck_assert_int_eq(vga_capture_more(&s), E_OK);
        ck_assert(!s.text_mode && !memcmp(&before, &m, sizeof m));
        ck_assert_int_eq(dev_vga_check(&s, why, sizeof why), E_OK);
        ck_assert_int_eq(vga_restore(&s), E_OK);
        ck_assert(!memcmp(&before, &m, sizeof m));
        dev_vga_show(&s, text, sizeof text);
        ck_assert_ptr_nonnull(strstr(text, "not captured"));
    }
}
END_TEST

START_TEST(fonts_windows_refusals)
{
    ck_assert_uint_eq(dev_vga_font_offset(0, 0), 0);
    ck_assert_uint_eq(dev_vga_font_offset(0x04, 0), 0x4000);
    ck_assert_uint_eq(dev_vga_font_offset(0x20, 0), 0x2000);
    ck_assert_uint_eq(dev_vga_font_offset(0x13, 1), 0xe000);
    ck_assert_uint_eq(dev_vga_text_window(0x0a), 0xB0000);
    ck_assert_uint_eq(dev_vga_text_window(0x02), 0);
    boot();
    ck_assert_int_eq(vga_capture(&s), E_OK);
    bad = s, bad.gc[6] = 5;
    ck_assert_int_eq(dev_vga_check(&bad, why, sizeof why), E_DEVICE);
    bad = s, bad.text_mode = 2;
    ck_assert_int_eq(dev_vga_check(&bad, why, sizeof why), E_DEVICE);
    bad = s, bad.head.version++;
    ck_assert_int_eq(dev_vga_check(&bad, why, sizeof why), E_STOREVERSION);
}
END_TEST

static const struct dev_class *class_of(const char *name)
{
    for (size_t i = 0; i < dev_class_count; i++)
        if (!strncmp(dev_classes[i]->name, name, 8))
            return dev_classes[i];
    ck_abort_msg("no class %s", name);
    return NULL;
}

START_TEST(the_table_of_classes)
{
    ck_assert_uint_eq(dev_class_count, 16);
    uint16_t bus_masters = class_of("pcibm")->order;
    size_t early = 0;
    for (size_t i = 0; i < dev_class_count; i++) {
        const struct dev_class *c = dev_classes[i];
        ck_assert(c->bytes > 0 && c->version > 0 && c->name[0]);
        ck_assert(c->present && c->capture && c->check && c->restore && c->show);
        for (size_t k = 0; k < i; k++) {
            ck_assert(strncmp(c->name, dev_classes[k]->name, sizeof c->name));
            ck_assert_uint_ne(dev_classes[k]->order, c->order);
        }
        early += c->order < bus_masters;
    }
    /* What starts by itself as soon as it may master the bus comes behind that, all else before. */
    ck_assert_uint_eq(early, dev_class_count - 3);
    ck_assert_uint_lt(bus_masters, class_of("ahci")->order);
    ck_assert_uint_lt(class_of("ahci")->order, class_of("e1000")->order);
}
END_TEST

static uint64_t now_tsc;
static uint64_t written;

static uint64_t tsc(void)
{
    return now_tsc;
}

static bool tsc_is_fixed;

static enum err write_tsc(uint64_t v)
{
    if (tsc_is_fixed)
        return E_TSC;
    written = now_tsc = v;
    return E_OK;
}

START_TEST(the_clock_class_plans_and_sets)
{
    const struct dev_class *clock = class_of("clock");
    struct dev_clock_state state = {0};
    struct dev_restore_clock how = {0};
    struct devices_env env = {
        .pm_timer_port = 0xb008, .pm_timer_bits = 24, .tsc = tsc, .tsc_hz = 3579545000ull, .write_tsc = write_tsc};
    devices_init(&env);
    ck_assert(!devices_clock_plan()->valid);
    for (unsigned i = 0; i < ARRAY_LEN(pm_values); i++)
        pm_values[i] = 0xff000000 + 0xfffff0 + i; /* the high byte is noise: 24 bits */
    pm_reads = 0;
    now_tsc = 1000000;
    ck_assert_int_eq(clock->capture(&state), E_OK);
    ck_assert_uint_eq(state.cut.pm, 0xfffff2);
    ck_assert_int_eq(clock->check(&state, why, sizeof why), E_OK);
    for (unsigned i = 0; i < ARRAY_LEN(pm_values); i++)
        pm_values[i] = 0x10;
    now_tsc = 77; /* after a power cut */
    ck_assert_int_eq(clock->restore(&state, &how), E_OK);
    ck_assert_uint_eq(written, 1000000 + 1000 * (0x1000010 - 0xfffff2));
    ck_assert_uint_eq(dev_clock_tsc_at(devices_clock_plan(), now_tsc + 5), now_tsc + 5); /* nothing more to write */
    written = 0;
    how.run_on = true;
    ck_assert_int_eq(clock->restore(&state, &how), E_OK);
    ck_assert_uint_eq(written, 0);
    how.run_on = false;
    now_tsc = 77;
    tsc_is_fixed = true; /* not set, not fatal: the plan still speaks of the raw counter */
    ck_assert_int_eq(clock->restore(&state, &how), E_OK);
    ck_assert_uint_gt(dev_clock_tsc_at(devices_clock_plan(), now_tsc), 1000000);
    env.pm_timer_port = 0;
    devices_init(&env);
    ck_assert_int_eq(clock->check(&state, why, sizeof why), E_LAYOUT);
    ck_assert_int_eq(clock->restore(&state, &how), E_LAYOUT);
}
END_TEST

START_TEST(pm_timer_reads_until_in_order)
{
    for (unsigned i = 0; i < ARRAY_LEN(pm_values); i++)
        pm_values[i] = 1000 + i;
    pm_values[1] = 5; /* torn: three more reads are made */
    pm_reads = 0;
    pmtimer_init(0xb008, 24);
    ck_assert_uint_eq(pmtimer_read(), 1005);
    for (unsigned i = 0; i < ARRAY_LEN(pm_values); i++)
        pm_values[i] = 1000 - i; /* hopeless: the tries are bounded */
    pm_reads = 0;
    (void)pmtimer_read();
    ck_assert_uint_eq(pm_reads, 30);
    pmtimer_init(0, 32);
    ck_assert_uint_eq(pmtimer_bits(), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *u = suite_create("dev_vga");
    TCase *c = tcase_create("all");
    tcase_add_test(c, text_mode_round_trip);
    tcase_add_test(c, the_rest_is_read_in_pieces);
    tcase_add_test(c, graphics_is_left_alone);
    tcase_add_test(c, fonts_windows_refusals);
    tcase_add_test(c, the_table_of_classes);
    tcase_add_test(c, the_clock_class_plans_and_sets);
    tcase_add_test(c, pm_timer_reads_until_in_order);
    suite_add_tcase(u, c);
    return u;
}

UNIT_MAIN("dev_vga", suite)
