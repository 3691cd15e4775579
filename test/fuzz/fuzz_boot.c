/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as what a boot loader leaves behind: the Multiboot2 structure, the memory map in it, and what is made of
   that: the place to hide in, the free ranges, and what a Multiboot 1 or Linux guest is handed. The same bytes as the
   guest's kernel file. */
/* UNITS: boot/multiboot2.c boot/memmap.c boot/place.c boot/linux.c boot/mb1.c */
#include "bits.h"
#include "boot/linux.h"
#include "boot/mb1.h"
#include "boot/place.h"
#include "fuzz.h"

#include <string.h>

static struct boot_info bi;
static struct memmap map;
static char why[200];

static void map_sane(void)
{
    FUZZ_CHECK(map.count <= MEMMAP_MAX);
    for (uint32_t i = 0; i < map.count; i++) {
        FUZZ_CHECK(map.entry[i].base < map.entry[i].end);
        FUZZ_CHECK(!i || map.entry[i - 1].end <= map.entry[i].base);
    }
}

static void hand_to_guest(void)
{
    static uint8_t at[1u << 17] ALIGNED(8);
    static struct mb1_start s;
    s = (struct mb1_start){.bi = &bi, .map = &map, .cmdline = boot_string(&bi, bi.cmdline)};
    for (uint32_t i = 0; i < bi.module_count; i++)
        s.module[s.module_count++] = (struct mb1_module){1, 2, boot_string(&bi, bi.module[i].args)};
    uint32_t bytes = mb1_info_bytes(&s);
    FUZZ_CHECK(bytes <= sizeof at);
    memset(at, 0xa5, sizeof at);
    mb1_write_info(&s, at, 0x10000);
    for (uint32_t i = bytes; i < bytes + 64 && i < sizeof at; i++)
        FUZZ_CHECK(at[i] == 0xa5);
}

static void as_loader(const uint8_t *data, size_t size)
{
    static struct place_free f;
    uint64_t base;
    void *info = aligned_alloc(8, align_up(size ? size : 1, 8));
    uint8_t *end = (uint8_t *)info + align_up(size ? size : 1, 8) - size; /* so that its end is the block's */
    end = (uintptr_t)end % 8 ? info : end;
    memcpy(end, data, size);
    enum err e = multiboot2_parse(end, size, &bi, why, sizeof why);
    FUZZ_CHECK(!e || memchr(why, 0, sizeof why));
    FUZZ_CHECK(bi.module_count <= BOOT_MODULES_MAX && bi.map_count <= BOOT_MAP_MAX &&
               bi.strings_used <= BOOT_STRINGS_BYTES && bi.rsdp_bytes <= BOOT_RSDP_MAX);
    if (!e) {
        FUZZ_CHECK(strlen(boot_string(&bi, bi.loader_name)) < BOOT_STRINGS_BYTES);
        for (uint32_t i = 0; i < bi.module_count; i++)
            FUZZ_CHECK(strlen(boot_string(&bi, bi.module[i].args)) <= strlen(boot_string(&bi, bi.module[i].string)));
        if (!memmap_build(&map, bi.map, bi.map_count)) {
            map_sane();
            uint64_t usable = memmap_usable_bytes(&map), bytes = memmap_hidden_bytes(usable);
            (void)!memmap_choose_log(&map, bytes, &base);
            if (!memmap_choose_hidden(&map, bytes, &base, why, sizeof why)) {
                FUZZ_CHECK(memmap_is(&map, base, base + bytes, MEMMAP_RAM) && base + bytes <= MEMMAP_BELOW_4G);
                if (!memmap_set(&map, base, base + bytes, MEMMAP_RESERVED)) {
                    map_sane();
                    FUZZ_CHECK(memmap_is(&map, base, base + bytes, MEMMAP_RESERVED));
                }
            }
            place_free_from_map(&f, &map);
            FUZZ_CHECK(f.count <= PLACE_RANGES_MAX);
            hand_to_guest();
        }
    }
    free(info);
}

static void as_kernel(const uint8_t *data, size_t size)
{
    static struct linux_kernel l;
    static struct mb1_kernel k;
    static uint8_t params[LINUX_PARAMS_BYTES], setup_data[MEMMAP_MAX * 32];
    (void)linux_is_kernel(data, size);
    if (!linux_check(data, size, &l, why, sizeof why)) {
        struct linux_start s = {.kernel = 1u << 20, .map = &map, .fb = &bi.fb};
        FUZZ_CHECK(l.header_bytes <= LINUX_HEADER_MAX && l.setup_bytes + (uint64_t)l.kernel_bytes <= size);
        FUZZ_CHECK(!l.relocatable || (l.alignment && (l.alignment & (l.alignment - 1)) == 0));
        uint32_t bytes = linux_setup_data_bytes(&l, &map);
        FUZZ_CHECK(bytes <= sizeof setup_data);
        s.setup_data = bytes ? 1u << 16 : 0;
        memset(params, 0, sizeof params);
        linux_write_params(&l, &s, params, bytes ? setup_data : NULL);
    }
    (void)mb1_is_kernel(data, size);
    if (!mb1_check(data, size, &k, why, sizeof why)) {
        FUZZ_CHECK(k.segment_count <= MB1_SEGMENTS_MAX);
        for (uint32_t i = 0; i < k.segment_count; i++) {
            const struct mb1_segment *g = &k.segment[i];
            FUZZ_CHECK((uint64_t)g->offset + g->file_bytes <= size && g->file_bytes <= g->bytes);
            FUZZ_CHECK((uint64_t)g->address + g->bytes <= MEMMAP_BELOW_4G);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&map, 0, sizeof map);
    memset(&bi, 0, sizeof bi);
    as_loader(data, size);
    as_kernel(data, size);
    return 0;
}
