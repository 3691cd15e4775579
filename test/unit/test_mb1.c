/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot 1 kernels: ELF of both classes, address fields, damaged files, and the information structure read back. */
/* UNITS: boot/mb1.c boot/linux.c boot/guest.c boot/place.c boot/memmap.c boot/multiboot2.c */
#include "bits.h"
#include "boot/guest.h"
#include "unit.h"

#include <elf.h>
#include <string.h>

#define MIB (1ull << 20)
#define ARENA (32 * MIB)
#define FILE_AT (8 * MIB)
#define FILE_BYTES 0x3000u
#define HEADER_AT 0x1000u

static uint8_t *memory;
static struct memmap map;
static struct boot_info bi;
static struct guest_plan plan;
static struct mb1_kernel k;
static char why[200];

static void put_header(uint8_t *at, uint32_t flags)
{
    store32(at, 0x1badb002);
    store32(at + 4, flags);
    store32(at + 8, 0u - 0x1badb002u - flags);
}

static void pattern(uint8_t *f)
{
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        f[i] = (uint8_t)(i * 11 + (i >> 8));
}

/* Two segments: text with the header at 1 MiB, data with bss, linked high and loaded low. */
static void make_elf32(uint8_t *f)
{
    pattern(f);
    Elf32_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1},
                    .e_type = ET_EXEC,
                    .e_machine = EM_386,
                    .e_entry = 0xc0100020,
                    .e_phoff = 52,
                    .e_phentsize = 32,
                    .e_phnum = 3};
    Elf32_Phdr p[] = {{.p_type = PT_LOAD,
                       .p_offset = 0x1000,
                       .p_vaddr = 0xc0100000,
                       .p_paddr = 0x100000,
                       .p_filesz = 0x800,
                       .p_memsz = 0x800},
                      {.p_type = PT_NOTE, .p_offset = 0xffffff00, .p_filesz = 0x1000},
                      {.p_type = PT_LOAD,
                       .p_offset = 0x2000,
                       .p_vaddr = 0xc0200000,
                       .p_paddr = 0x200000,
                       .p_filesz = 0x123,
                       .p_memsz = 0x5000}};
    memcpy(f, &h, sizeof h);
    memcpy(f + 52, p, sizeof p);
    put_header(f + HEADER_AT, 3);
}

static void make_elf64(uint8_t *f)
{
    pattern(f);
    Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
                    .e_type = ET_EXEC,
                    .e_machine = EM_X86_64,
                    .e_entry = 0x100020,
                    .e_phoff = 64,
                    .e_phentsize = 56,
                    .e_phnum = 1};
    Elf64_Phdr p = {.p_type = PT_LOAD,
                    .p_offset = 0x1000,
                    .p_vaddr = 0x100000,
                    .p_paddr = 0x100000,
                    .p_filesz = 0x1000,
                    .p_memsz = 0x2000};
    memcpy(f, &h, sizeof h);
    memcpy(f + 64, &p, sizeof p);
    put_header(f + HEADER_AT, 0);
}

static void make_aout(uint8_t *f, uint32_t load_end, uint32_t bss_end)
{
    pattern(f);
    put_header(f + HEADER_AT, 1u << 16);
    store32(f + HEADER_AT + 12, 0x100400); /* header_addr */
    store32(f + HEADER_AT + 16, 0x100000); /* load_addr: the file from 0xc00 on */
    store32(f + HEADER_AT + 20, load_end);
    store32(f + HEADER_AT + 24, bss_end);
    store32(f + HEADER_AT + 28, 0x100020);
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
    *m = (struct boot_module){start, start + bytes, text(string), 0};
}

static void setup(void)
{
    if (!memory) {
        memory = malloc(ARENA);
        env_phys_offset = (uintptr_t)memory;
    }
    memset(memory, 0xcc, ARENA);
    const struct memmap_entry e[] = {{0, 0x9f000, 1, 0},
                                     {0x9f000, 0xa0000, 2, 0},
                                     {0xe8000, MIB, 2, 0},
                                     {MIB, ARENA, 1, 0},
                                     {22 * MIB, ARENA, 2, 0}};
    ck_assert_int_eq(memmap_build(&map, e, ARRAY_LEN(e)), E_OK);
    memset(&bi, 0, sizeof bi);
    bi.strings_used = 1;
    make_elf32(memory + FILE_AT);
    add_module(FILE_AT, FILE_BYTES, "tiny hidden=0x1600000+0xa00000");
}

static enum err check(const uint8_t *f, uint64_t bytes)
{
    /* Exactly as long as said, so that the sanitizer sees a read beyond. */
    uint8_t *copy = malloc(bytes ? bytes : 1);
    memcpy(copy, f, bytes);
    enum err e = mb1_check(copy, bytes, &k, why, sizeof why);
    free(copy);
    return e;
}

/* Plain loops: a Check assertion for each of millions of bytes takes minutes. */
static bool all_bytes(const uint8_t *p, uint64_t count, uint8_t value)
{
    for (uint64_t i = 0; i < count; i++)
        if (p[i] != value)
            return false;
    return true;
}

START_TEST(starts)
{
    setup();
    /* The second module lies where the kernel's data goes. */
    for (uint32_t i = 0; i < 0x2345; i++)
        memory[0x201000 + i] = (uint8_t)(i * 3);
    add_module(0x300000, 0x1000, "first one");
    add_module(0x201000, 0x2345, "second");
    memset(memory + 0x300000, 0x77, 0x1000);
    bi.has_boot_device = true;
    bi.boot_disk = 0x80;
    bi.boot_partition = 1;
    bi.boot_sub_partition = UINT32_MAX;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    ck_assert_str_eq(guest_kind_name(plan.kind), "multiboot1");
    guest_apply(&plan);
    ck_assert_uint_eq(plan.entry.eip, 0x100020);
    ck_assert_uint_eq(plan.entry.eax, 0x2badb002);
    static uint8_t file[FILE_BYTES];
    make_elf32(file);
    ck_assert_mem_eq(memory + 0x100000, file + 0x1000, 0x800);
    ck_assert_mem_eq(memory + 0x200000, file + 0x2000, 0x123);
    ck_assert(all_bytes(memory + 0x200123, 0x5000 - 0x123, 0));
    const uint8_t *m = memory + plan.entry.ebx;
    ck_assert_uint_eq(load32(m), 0x24f);
    ck_assert_uint_eq(load32(m + 4), 0x9f000 / 1024);
    ck_assert_uint_eq(load32(m + 8), 21 * 1024); /* 1 MiB up to the hidden range */
    ck_assert_uint_eq(load32(m + 12), 0x8001ffff);
    ck_assert_str_eq((const char *)memory + load32(m + 16), "tiny hidden=0x1600000+0xa00000");
    ck_assert_str_eq((const char *)memory + load32(m + 64), "Sojourn");
    ck_assert_uint_eq(load32(m + 20), 2);
    const uint8_t *mod = memory + load32(m + 24);
    uint32_t first = load32(mod), second = load32(mod + 16);
    ck_assert_uint_eq(load32(mod + 4) - first, 0x1000);
    ck_assert_uint_eq(load32(mod + 20) - second, 0x2345);
    ck_assert_uint_eq(first % 4096 | second % 4096, 0);
    ck_assert_uint_ge(first, 0x205000);
    ck_assert_str_eq((const char *)memory + load32(mod + 8), "first one");
    ck_assert_str_eq((const char *)memory + load32(mod + 24), "second");
    ck_assert(all_bytes(memory + first, 0x1000, 0x77));
    for (uint32_t i = 0; i < 0x2345; i++)
        ck_assert_uint_eq(memory[second + i], (uint8_t)(i * 3));
    /* The map, walked as the specification says. */
    uint32_t at = load32(m + 48), end = at + load32(m + 44), n = 0;
    for (; at < end; at += load32(memory + at) + 4, n++) {
        ck_assert_uint_eq(load64(memory + at + 4), map.entry[n].base);
        ck_assert_uint_eq(load64(memory + at + 12), map.entry[n].end - map.entry[n].base);
        ck_assert_uint_eq(load32(memory + at + 20), map.entry[n].type);
    }
    ck_assert_uint_eq(n, map.count);
    ck_assert_uint_eq(load64(memory + plan.entry.gdt_base + 0x10), 0x00cf9b000000ffff);
    ck_assert(all_bytes(memory + 22 * MIB, ARENA - 22 * MIB, 0xcc));
}
END_TEST

START_TEST(kernel_module_on_its_own_target)
{
    setup();
    make_elf32(memory + 0x1ff000); /* the file's second segment comes to lie inside the file itself */
    bi.module[0].start = 0x1ff000;
    bi.module[0].end = 0x1ff000 + FILE_BYTES;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    guest_apply(&plan);
    static uint8_t file[FILE_BYTES];
    make_elf32(file);
    ck_assert_mem_eq(memory + 0x100000, file + 0x1000, 0x800);
    ck_assert_mem_eq(memory + 0x200000, file + 0x2000, 0x123);
}
END_TEST

START_TEST(target_not_free)
{
    setup();
    bi.keep_count = 1;
    bi.keep[0].base = 0x204fff;
    bi.keep[0].end = 0x206000;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OVERLAP);
    ck_assert_ptr_nonnull(strstr(why, "kernel segment"));
    bi.keep[0].base = 0x205000;
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    memory[FILE_AT + 4] = 9; /* neither class */
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_BADKERNEL);
}
END_TEST

START_TEST(elf64)
{
    static uint8_t f[FILE_BYTES];
    make_elf64(f);
    ck_assert_int_eq(check(f, sizeof f), E_OK);
    ck_assert_uint_eq(k.entry, 0x100020);
    ck_assert_uint_eq(k.segment_count, 1);
    ck_assert_uint_eq(k.segment[0].bytes, 0x2000);
    store64(f + 24, 1ull << 32); /* entry */
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL);
    make_elf64(f);
    store64(f + 64 + 24, UINT64_MAX - 0x10); /* p_paddr */
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL);
    make_elf64(f);
    store64(f + 64 + 8, UINT64_MAX - 0x10); /* p_offset */
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL);
    make_elf64(f);
    store64(f + 32, UINT64_MAX - 0x10); /* e_phoff */
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL);
}
END_TEST

START_TEST(address_fields)
{
    static uint8_t f[FILE_BYTES];
    make_aout(f, 0, 0);
    ck_assert_int_eq(check(f, sizeof f), E_OK);
    ck_assert_uint_eq(k.segment[0].offset, 0xc00);
    ck_assert_uint_eq(k.segment[0].file_bytes, FILE_BYTES - 0xc00);
    ck_assert_uint_eq(k.segment[0].bytes, FILE_BYTES - 0xc00);
    make_aout(f, 0x101000, 0x108000);
    ck_assert_int_eq(check(f, sizeof f), E_OK);
    ck_assert_uint_eq(k.segment[0].file_bytes, 0x1000);
    ck_assert_uint_eq(k.segment[0].bytes, 0x8000);
    make_aout(f, 0x200000, 0);
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL); /* beyond the file */
    make_aout(f, 0xff000, 0);
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL);
    make_aout(f, 0, 0x100100);
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL); /* bss ends inside the data */
    make_aout(f, 0, 0);
    store32(f + HEADER_AT + 16, 0x100401);
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL); /* load above the header */
    store32(f + HEADER_AT + 16, 0x1000);
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL); /* load before the file */
    make_aout(f, 0, 0);
    ck_assert_int_eq(check(f, HEADER_AT + 31), E_BADKERNEL);
    store32(f + HEADER_AT + 28, 0x90000);
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL); /* entry outside */
}
END_TEST

START_TEST(header_search)
{
    static uint8_t f[FILE_BYTES];
    make_elf32(f);
    ck_assert_int_eq(check(f, sizeof f), E_OK);
    f[HEADER_AT + 8] ^= 1; /* checksum */
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL);
    ck_assert(!mb1_is_kernel(f, sizeof f));
    put_header(f + 8192 - 12, 3); /* the last possible place */
    ck_assert_int_eq(check(f, sizeof f), E_OK);
    memset(f + 8192 - 12, 0, 12);
    put_header(f + 8192 - 8, 3);
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL);
    memset(f + 8192 - 8, 0, 12);
    put_header(f + 0x802, 3); /* not aligned */
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL);
    make_elf32(f);
    put_header(f + HEADER_AT, 8); /* a demand nobody knows */
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL);
    ck_assert_ptr_nonnull(strstr(why, "demands"));
    put_header(f + HEADER_AT, 4 | 1u << 20); /* video mode; an optional one nobody knows */
    ck_assert_int_eq(check(f, sizeof f), E_OK);
    ck_assert(k.wants_video);
}
END_TEST

/* Every truncation and every damaged byte of the headers: no read beyond, and what passes is inside the file. */
START_TEST(damage)
{
    static uint8_t f[FILE_BYTES];
    for (int class = 0; class < 2; class ++) {
        for (uint32_t n = 0; n < FILE_BYTES; n += n < 200 ? 1 : 61) {
            if (class)
                make_elf64(f);
            else
                make_elf32(f);
            if (check(f, n) == E_OK) /* cut behind the last segment's bytes */
                ck_assert_uint_ge(n, class ? 0x2000 : 0x2123);
        }
        unsigned refused = 0;
        for (uint32_t n = 0; n < 160; n++) {
            for (unsigned flip = 1; flip < 256; flip = flip * 2 + 1) {
                if (class)
                    make_elf64(f);
                else
                    make_elf32(f);
                f[n] ^= (uint8_t)flip;
                if (check(f, FILE_BYTES) != E_OK) {
                    refused++;
                    continue;
                }
                for (uint32_t i = 0; i < k.segment_count; i++)
                    ck_assert((uint64_t)k.segment[i].offset + k.segment[i].file_bytes <= FILE_BYTES &&
                              (uint64_t)k.segment[i].address + k.segment[i].bytes <= 1ull << 32 &&
                              k.segment[i].file_bytes <= k.segment[i].bytes);
            }
        }
        ck_assert_uint_gt(refused, 100);
    }
}
END_TEST

START_TEST(many_segments)
{
    static uint8_t f[FILE_BYTES];
    make_elf32(f);
    Elf32_Phdr p = {.p_type = PT_LOAD,
                    .p_offset = 0x1000,
                    .p_vaddr = 0xc0100000,
                    .p_paddr = 0x100000,
                    .p_filesz = 0x40,
                    .p_memsz = 0x40};
    for (uint16_t i = 0; i < 17; i++)
        memcpy(f + 52 + 32u * i, &p, sizeof p);
    store16(f + 44, 17);
    ck_assert_int_eq(check(f, sizeof f), E_BADKERNEL);
    ck_assert_ptr_nonnull(strstr(why, "too many"));
    store16(f + 44, 16);
    ck_assert_int_eq(check(f, sizeof f), E_OK);
    setup(); /* overlapping ones are caught by the planner */
    memcpy(memory + FILE_AT, f, sizeof f);
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OVERLAP);
}
END_TEST

/* The most there can be: 16 segments and 31 modules. */
START_TEST(full_house)
{
    setup();
    uint8_t *f = memory + FILE_AT;
    for (uint16_t i = 0; i < 16; i++) {
        Elf32_Phdr p = {.p_type = PT_LOAD,
                        .p_offset = 0x1000,
                        .p_vaddr = 0xc0100000 + 0x1000u * i,
                        .p_paddr = 0x100000 + 0x1000u * i,
                        .p_filesz = 0x40,
                        .p_memsz = 0x40};
        memcpy(f + 52 + 32u * i, &p, sizeof p);
    }
    store16(f + 44, 16);
    for (uint32_t i = 0; i < 31; i++) {
        memset(memory + 0x110000 + i * 0x800, (int)i, 0x800);
        add_module(0x110000 + i * 0x800, 0x800, "module with a string");
    }
    ck_assert_int_eq(guest_plan(&bi, &map, &plan, why, sizeof why), E_OK);
    guest_apply(&plan);
    const uint8_t *mod = memory + load32(memory + plan.entry.ebx + 24);
    for (uint32_t i = 0; i < 31; i++)
        ck_assert(all_bytes(memory + load32(mod + 16 * i), 0x800, (uint8_t)i));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mb1");
    TCase *t = tcase_create("all");
    tcase_add_test(t, starts);
    tcase_add_test(t, kernel_module_on_its_own_target);
    tcase_add_test(t, target_not_free);
    tcase_add_test(t, elf64);
    tcase_add_test(t, address_fields);
    tcase_add_test(t, header_search);
    tcase_add_test(t, damage);
    tcase_add_test(t, many_segments);
    tcase_add_test(t, full_house);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("mb1", suite)
