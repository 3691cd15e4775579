/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting Linux: header checks, boot_params, and the whole way from modules to an entry in simulated memory. */
/* UNITS: boot/linux.c boot/mb1.c boot/guest.c boot/place.c boot/memmap.c boot/multiboot2.c */
#include "bits.h"
#include "boot/guest.h"
#include "unit.h"

#include <string.h>

#define MIB (1ull << 20)
#define ARENA (96 * MIB)
#define SETUP_BYTES 2048u /* 3 sectors and the boot sector */
#define KERNEL_BYTES 0x20000u

static uint8_t *memory; /* physical memory from 0 */
static struct memmap map;
static struct boot_info bi;
static struct guest_plan plan;
static char why[200];

/* A bzImage with a kernel part of recognisable bytes. */
static void make_kernel(uint8_t *f)
{
    memset(f, 0, SETUP_BYTES);
    for (uint32_t i = 0; i < KERNEL_BYTES; i++)
        f[SETUP_BYTES + i] = (uint8_t)(i * 7 + (i >> 8));
    f[0x1f1] = 3;
    store32(f + 0x1f4, KERNEL_BYTES / 16);
    store16(f + 0x1fe, 0xaa55);
    f[0x200] = 0xeb;
    f[0x201] = 0x6a; /* header up to 0x26c */
    memcpy(f + 0x202, "HdrS", 4);
    store16(f + 0x206, 0x20f);
    f[0x211] = 0x81; /* LOADED_HIGH, CAN_USE_HEAP */
    store32(f + 0x214, 0x100000);
    store32(f + 0x22c, 0x7fffffff);
    store32(f + 0x230, 0x200000);
    f[0x234] = 1;
    store32(f + 0x238, 2047);
    store64(f + 0x258, 16 * MIB);
    store32(f + 0x260, 8 * MIB);
}

static uint32_t text(const char *s)
{
    uint32_t at = bi.strings_used;
    memcpy(bi.strings + at, s, strlen(s) + 1);
    bi.strings_used += (uint32_t)strlen(s) + 1;
    return at;
}

static void add_module(uint64_t start, uint64_t bytes, const char *string)
{
    struct boot_module *m = &bi.module[bi.module_count++];
    m->start = start;
    m->end = start + bytes;
    m->string = text(string);
    const char *space = strchr(string, ' ');
    m->args = m->string + (uint32_t)(space ? space + 1 - string : (long)strlen(string));
}

/* 96 MiB with a hidden range of 10 MiB on top; kernel and initrd where the loader put them. */
static void setup(void)
{
    if (!memory) {
        memory = malloc(ARENA);
        env_phys_offset = (uintptr_t)memory;
    }
    memset(memory, 0xcc, ARENA);
    const struct memmap_entry e[] = {{0, 0x9fc00, 1, 0},
                                     {0x9fc00, 0xa0000, 2, 0},
                                     {0xf0000, MIB, 2, 0},
                                     {MIB, ARENA, 1, 0},
                                     {86 * MIB, ARENA, 2, 0}};
    ck_assert_int_eq(memmap_build(&map, e, ARRAY_LEN(e)), E_OK);
    memset(&bi, 0, sizeof bi);
    bi.strings_used = 1;
    make_kernel(memory + 4 * MIB);
    add_module(4 * MIB, SETUP_BYTES + KERNEL_BYTES, "vmlinuz console=ttyS0 quiet");
    for (uint32_t i = 0; i < 0x5001; i++)
        memory[15 * MIB + i] = (uint8_t)(i * 13);
    add_module(15 * MIB, 0x5001, "initrd");
}

/* Plain loops: a Check assertion for each of millions of bytes takes minutes. */
static bool all_bytes(const uint8_t *p, uint64_t count, uint8_t value)
{
    for (uint64_t i = 0; i < count; i++)
        if (p[i] != value)
            return false;
    return true;
}

static void check_initrd(uint32_t at)
{
    static uint8_t wanted[0x5001];
    for (uint32_t i = 0; i < sizeof wanted; i++)
        wanted[i] = (uint8_t)(i * 13);
    ck_assert_mem_eq(memory + at, wanted, sizeof wanted);
}

static void check_kernel(uint32_t at)
{
    static uint8_t wanted[SETUP_BYTES + KERNEL_BYTES];
    make_kernel(wanted);
    ck_assert_mem_eq(memory + at, wanted + SETUP_BYTES, KERNEL_BYTES);
}

START_TEST(starts)
{
    setup();
    bi.rsdp_address = 0xf59e0;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    ck_assert_str_eq(guest_kind_name(plan.kind), "linux");
    guest_apply(&plan);
    ck_assert_uint_eq(plan.entry.eip, 16 * MIB);
    check_kernel(plan.entry.eip);
    const uint8_t *bp = memory + plan.entry.esi;
    ck_assert_uint_eq(plan.entry.esi, 0x11000);
    ck_assert_uint_eq(bp[0x210], 0xff);
    ck_assert_uint_eq(bp[0x211], 0x01);
    ck_assert_uint_eq(load32(bp + 0x214), 16 * MIB);
    ck_assert_str_eq((const char *)memory + load32(bp + 0x228), "console=ttyS0 quiet");
    uint32_t initrd = load32(bp + 0x218);
    ck_assert_uint_eq(load32(bp + 0x21c), 0x5001);
    ck_assert_uint_eq(initrd, 86 * MIB - 0x6000); /* as high as it goes below the hidden range */
    check_initrd(initrd);
    ck_assert_uint_eq(load64(bp + 0x70), 0xf59e0);
    ck_assert_uint_eq(bp[0x1ef], 0); /* sentinel */
    ck_assert_uint_eq(bp[0x1e8], map.count);
    ck_assert_uint_eq(load64(bp + 0x2d0 + 4 * 20), 86 * MIB); /* the hidden range, reserved */
    ck_assert_uint_eq(load32(bp + 0x2d0 + 4 * 20 + 16), 2);
    ck_assert_uint_eq(bp[0x0f], 1); /* VGA text, 80x25 */
    ck_assert_uint_eq(bp[0x07], 80);
    ck_assert_uint_eq(bp[0x0e], 25);
    /* The GDT the entry is defined with. */
    ck_assert_uint_eq(load64(memory + plan.entry.gdt_base + plan.entry.cs), 0x00cf9b000000ffff);
    ck_assert_uint_eq(load64(memory + plan.entry.gdt_base + plan.entry.ds), 0x00cf93000000ffff);
    ck_assert_uint_eq(plan.entry.gdt_limit, 31);
    ck_assert_str_eq(plan.note, "");
    /* Nothing was written into the hidden range. */
    ck_assert(all_bytes(memory + 86 * MIB, ARENA - 86 * MIB, 0xcc));
}
END_TEST

/* Modules on each other's targets and in the future hidden range. */
START_TEST(pieces_in_the_way)
{
    setup();
    memmove(memory + 16 * MIB + 0x1000, memory + 15 * MIB, 0x5001);
    bi.module[1].start = 16 * MIB + 0x1000;
    bi.module[1].end = bi.module[1].start + 0x5001;
    make_kernel(memory + 86 * MIB - 0x8000);
    bi.module[0].start = 86 * MIB - 0x8000; /* reaches into the hidden range */
    bi.module[0].end = bi.module[0].start + SETUP_BYTES + KERNEL_BYTES;
    bi.info_start = 86 * MIB - 0x200000;
    bi.info_end = 86 * MIB - 0x9000;
    ck_assert_int_eq(guest_clear(&bi, &map, 86 * MIB, ARENA, why, sizeof why), E_OK);
    ck_assert_uint_le(bi.module[0].end, bi.info_start); /* not into the range, not onto the loader's structure */
    memset(memory + 86 * MIB, 0xcc, ARENA - 86 * MIB);  /* the host moves in */
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    guest_apply(&plan);
    check_kernel(plan.entry.eip);
    check_initrd(plan.linux_start.initrd);
    /* A second call has nothing to do. */
    struct boot_module m = bi.module[0];
    ck_assert_int_eq(guest_clear(&bi, &map, 86 * MIB, ARENA, why, sizeof why), E_OK);
    ck_assert_mem_eq(&m, &bi.module[0], sizeof m);
}
END_TEST

START_TEST(clear_without_room)
{
    setup();
    bi.keep_count = 2;
    bi.keep[0].base = 0;
    bi.keep[0].end = 40 * MIB;
    bi.keep[1].base = 41 * MIB;
    bi.keep[1].end = 86 * MIB;
    bi.module[0].start = 84 * MIB;
    bi.module[0].end = 88 * MIB;
    ck_assert_int_eq(guest_clear(&bi, &map, 86 * MIB, ARENA, why, sizeof why), E_NOMEM);
}
END_TEST

START_TEST(keep_is_kept)
{
    setup();
    bi.keep_count = 2;
    bi.keep[0].base = 17 * MIB; /* the preferred place is not free: the next aligned one is */
    bi.keep[0].end = 18 * MIB + 5;
    bi.keep[1].base = 0x10000;
    bi.keep[1].end = 0x9f000; /* the low block falls back to below 64 KiB */
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    ck_assert_uint_eq(plan.entry.eip, 20 * MIB);
    ck_assert_uint_eq(plan.low, 0x1000);
    bi.keep[1].base = 0;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_NOMEM);
    ck_assert_ptr_nonnull(strstr(why, "boot tables"));
    bi.keep_count = 1;
    memory[4 * MIB + 0x234] = 0; /* not relocatable: only its own place will do */
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OVERLAP);
    ck_assert_ptr_nonnull(strstr(why, "kernel"));
}
END_TEST

START_TEST(no_initrd_and_too_many_modules)
{
    setup();
    bi.module_count = 1;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    guest_apply(&plan);
    ck_assert_uint_eq(load32(memory + plan.entry.esi + 0x218), 0);
    ck_assert_uint_eq(load32(memory + plan.entry.esi + 0x21c), 0);
    setup();
    add_module(20 * MIB, 10, "more");
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    ck_assert_ptr_nonnull(strstr(plan.note, "1 more modules are ignored"));
}
END_TEST

START_TEST(refusals)
{
    setup();
    bi.module_count = 0;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_NOMODULE);
    setup();
    memory[4 * MIB + 0x202] = 'h';
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_BADMODULE);
    ck_assert_ptr_nonnull(strstr(why, "vmlinuz"));
    setup();
    bi.module[0].end = bi.module[0].start; /* empty */
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_BADMODULE);
    setup();
    store32(memory + 4 * MIB + 0x238, 18);
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_BADMODULE);
    ck_assert_str_eq(why, "the kernel's command line has 19 characters; it takes 18");
    store32(memory + 4 * MIB + 0x238, 19);
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    setup();
    store32(memory + 4 * MIB + 0x260, 75 * MIB);
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_NOMEM);
}
END_TEST

START_TEST(header_checks)
{
    static const struct {
        uint32_t at;
        uint8_t value;
        const char *text;
    } bad[] = {
        {0x206, 0x05, "too old"},      {0x211, 0, "zImage"},        {0x1f1, 250, "truncated"},
        {0x1f5, 0xff, "truncated"},    {0x201, 0xff, "impossible"}, {0x201, 0x10, "impossible"},
        {0x232, 0x30, "power of two"}, {0x25c, 1, "pref_address"},  {0x25b, 0, "pref_address"},
        {0x1fe, 0, "signature"},       {0x202, 0, "signature"},
    };
    static uint8_t file[SETUP_BYTES + KERNEL_BYTES];
    struct linux_kernel k;
    make_kernel(file);
    ck_assert_int_eq(linux_check(file, sizeof file, &k, why, sizeof why), E_OK);
    ck_assert_uint_eq(k.header_bytes, 0x26c - 0x1f1);
    ck_assert_uint_eq(k.initrd_end_max, 0x80000000);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        make_kernel(file);
        if (bad[i].at == 0x25b)
            store64(file + 0x258, 0xfffff);
        file[bad[i].at] = bad[i].value;
        ck_assert_msg(linux_check(file, sizeof file, &k, why, sizeof why) == E_BADKERNEL, "%zu", i);
        ck_assert_msg(strstr(why, bad[i].text) != NULL, "%zu: %s", i, why);
    }
    /* Cut anywhere: refused, without a read beyond. The last unit may be short. */
    make_kernel(file);
    for (size_t n = 0; n < sizeof file - 15; n += n < 0x300 ? 1 : 4099) {
        uint8_t *cut = malloc(n ? n : 1);
        memcpy(cut, file, n);
        ck_assert_int_eq(linux_check(cut, n, &k, why, sizeof why), E_BADKERNEL);
        free(cut);
    }
    ck_assert_int_eq(linux_check(file, sizeof file - 15, &k, why, sizeof why), E_OK);
    ck_assert_int_eq(linux_check(file, sizeof file - 16, &k, why, sizeof why), E_BADKERNEL);
}
END_TEST

/* 2.06 has no preferred address, no init_size, no setup_data, no RSDP field. */
START_TEST(old_protocol)
{
    setup();
    uint8_t *f = memory + 4 * MIB;
    store16(f + 0x206, 0x206);
    f[0x201] = 0x3a;
    memset(f + 0x23c, 0x5a, 0x40); /* code, not header */
    bi.rsdp_address = 0xf0000;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    ck_assert_uint_eq(plan.entry.eip, MIB);
    ck_assert_uint_eq(plan.piece[1].reserve, 16 * MIB);
    guest_apply(&plan);
    check_kernel(MIB);
    ck_assert_uint_eq(load64(memory + plan.entry.esi + 0x70), 0);
    ck_assert_uint_eq(load64(memory + plan.entry.esi + 0x250), 0);
    ck_assert_uint_eq(memory[plan.entry.esi + 0x211], 0x01);
}
END_TEST

/* More than 128 entries go on in a setup_data list; for 2.08 and older they are dropped. */
START_TEST(long_map)
{
    setup();
    for (uint64_t i = 0; i < 150; i++)
        ck_assert_int_eq(memmap_set(&map, (1ull << 32) + i * 0x2000, (1ull << 32) + i * 0x2000 + 0x1000, 1), E_OK);
    uint32_t n = map.count;
    ck_assert_uint_gt(n, 128);
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    guest_apply(&plan);
    const uint8_t *bp = memory + plan.entry.esi;
    ck_assert_uint_eq(bp[0x1e8], 128);
    uint64_t data = load64(bp + 0x250);
    ck_assert_uint_ne(data, 0);
    ck_assert_uint_le(data + 16 + (n - 128) * 20, plan.low + plan.low_bytes);
    ck_assert_uint_eq(load64(memory + data), 0);
    ck_assert_uint_eq(load32(memory + data + 8), 1);
    ck_assert_uint_eq(load32(memory + data + 12), (n - 128) * 20);
    ck_assert_uint_eq(load64(memory + data + 16), map.entry[128].base);
    ck_assert_uint_eq(load64(memory + data + 16 + (n - 129) * 20), map.entry[n - 1].base);
    ck_assert_str_eq((const char *)memory + load32(bp + 0x228), "console=ttyS0 quiet");
    store16(memory + 4 * MIB + 0x206, 0x208);
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    guest_apply(&plan);
    ck_assert_uint_eq(memory[plan.entry.esi + 0x1e8], 128);
    ck_assert_uint_eq(load64(memory + plan.entry.esi + 0x250), 0);
}
END_TEST

/* Exactly 128 entries, and the RSDP's page makes them more. */
START_TEST(rsdp_copy)
{
    setup();
    for (uint64_t i = 0; map.count < 128; i++)
        ck_assert_int_eq(memmap_set(&map, (1ull << 32) + i * 0x2000, (1ull << 32) + i * 0x2000 + 0x1000, 1), E_OK);
    memcpy(bi.rsdp, "RSD PTR and the rest of the pointer", 36);
    bi.rsdp_bytes = 36;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    guest_apply(&plan);
    const uint8_t *bp = memory + plan.entry.esi;
    uint64_t rsdp = load64(bp + 0x70);
    ck_assert_mem_eq(memory + rsdp, bi.rsdp, 36);
    ck_assert(memmap_is(&plan.guest_map, rsdp, rsdp + 4096, MEMMAP_ACPI));
    ck_assert_uint_eq(plan.guest_map.count, 130);
    uint64_t data = load64(bp + 0x250);
    ck_assert_uint_eq(load32(memory + data + 12), 2 * 20);
    ck_assert_uint_le(data + 16 + 2 * 20, rsdp);
}
END_TEST

START_TEST(framebuffers)
{
    setup();
    bi.fb = (struct boot_framebuffer){.present = true,
                                      .type = BOOT_FB_RGB,
                                      .bpp = 32,
                                      .red_pos = 16,
                                      .red_bits = 8,
                                      .green_pos = 8,
                                      .green_bits = 8,
                                      .blue_bits = 8,
                                      .pitch = 4096,
                                      .width = 1024,
                                      .height = 768,
                                      .address = 0x4fd000000};
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    guest_apply(&plan);
    const uint8_t *si = memory + plan.entry.esi;
    ck_assert_uint_eq(si[0x0f], 0x23);
    ck_assert_uint_eq(load16(si + 0x12), 1024);
    ck_assert_uint_eq(load16(si + 0x14), 768);
    ck_assert_uint_eq(load16(si + 0x16), 32);
    ck_assert_uint_eq(load32(si + 0x18), 0xfd000000);
    ck_assert_uint_eq(load32(si + 0x1c), 48);
    ck_assert_uint_eq(load16(si + 0x24), 4096);
    ck_assert_uint_eq(si[0x27], 16);
    ck_assert_uint_eq(load32(si + 0x36), 2);
    ck_assert_uint_eq(load32(si + 0x3a), 4);
    bi.fb = (struct boot_framebuffer){.present = true, .type = BOOT_FB_EGA_TEXT, .width = 132, .height = 50};
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    guest_apply(&plan);
    ck_assert_uint_eq(si[0x0f], 1);
    ck_assert_uint_eq(si[0x07], 132);
    ck_assert_uint_eq(si[0x0e], 50);
    bi.fb.type = BOOT_FB_INDEXED;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    guest_apply(&plan);
    ck_assert_uint_eq(si[0x0f], 0);
}
END_TEST

START_TEST(entry_state)
{
    static struct vcpu_state s;
    const struct guest_entry e = {.eip = 0x1000000,
                                  .esi = 0x11000,
                                  .ebx = 7,
                                  .eax = 8,
                                  .gdt_base = 0x10000,
                                  .gdt_limit = 31,
                                  .cs = 0x10,
                                  .ds = 0x18};
    memset(&s, 0xff, sizeof s);
    s.msr_present = BIT(VMSR_PAT) | BIT(VMSR_APIC_BASE);
    guest_entry_state(&e, &s);
    ck_assert_uint_eq(s.rip, e.eip);
    ck_assert_uint_eq(s.gpr[GPR_RSI], 0x11000);
    ck_assert_uint_eq(s.gpr[GPR_RBX], 7);
    ck_assert_uint_eq(s.gpr[GPR_RAX], 8);
    ck_assert_uint_eq(s.gpr[GPR_RSP] | s.gpr[GPR_RDI] | s.gpr[GPR_RBP] | s.gpr[GPR_R15], 0);
    ck_assert_uint_eq(s.rflags, 2);
    ck_assert_uint_eq(s.cr0, 0x11);
    ck_assert_uint_eq(s.cr3 | s.cr4, 0);
    ck_assert_uint_eq(s.msr[VMSR_EFER], 0);
    ck_assert_uint_eq(s.msr[VMSR_PAT], UINT64_MAX); /* captured: kept */
    ck_assert_uint_eq(s.seg[SREG_CS].access_rights, 0xc09b);
    ck_assert_uint_eq(s.seg[SREG_SS].access_rights, 0xc093);
    ck_assert_uint_eq(s.seg[SREG_GS].limit, 0xffffffff);
    ck_assert_uint_eq(s.seg[SREG_TR].access_rights, 0x8b);
    ck_assert_uint_eq(s.seg[SREG_CS].selector, 0x10);
    ck_assert_uint_eq(s.seg[SREG_CS].base, 0);
    ck_assert_uint_eq(s.activity, ACTIVITY_ACTIVE);
    ck_assert_uint_eq(s.event.valid, 0);
    s.msr_present = 0;
    guest_entry_state(&e, &s);
    ck_assert_uint_eq(s.msr[VMSR_PAT], 0x0007040600070406);
    ck_assert_uint_eq(s.msr_present, BIT(VMSR_PAT) | BIT(VMSR_EFER));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("linux");
    TCase *t = tcase_create("all");
    tcase_add_test(t, starts);
    tcase_add_test(t, pieces_in_the_way);
    tcase_add_test(t, clear_without_room);
    tcase_add_test(t, keep_is_kept);
    tcase_add_test(t, no_initrd_and_too_many_modules);
    tcase_add_test(t, refusals);
    tcase_add_test(t, header_checks);
    tcase_add_test(t, old_protocol);
    tcase_add_test(t, long_map);
    tcase_add_test(t, rsdp_copy);
    tcase_add_test(t, framebuffers);
    tcase_add_test(t, entry_state);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("linux", suite)
