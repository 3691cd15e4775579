/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What the boot loader told us, copied out of its memory: struct boot_info holds no pointer, so it survives the
   host's move into hidden memory. Layout of the source: Multiboot2 1.6, 3.6 "Boot information format". */
#ifndef SOJOURN_BOOT_MULTIBOOT2_H
#define SOJOURN_BOOT_MULTIBOOT2_H

#include "boot/memmap.h"
#include "err.h"
#include "types.h"

#define MULTIBOOT2_BOOTLOADER_MAGIC 0x36d76289u

#define BOOT_MODULES_MAX 32
#define BOOT_MAP_MAX 128
#define BOOT_STRINGS_BYTES 16384
#define BOOT_KEEP_MAX 4
#define BOOT_RSDP_MAX 36

struct boot_module {
    uint64_t start, end;
    uint32_t string; /* the whole string, offset into strings[] */
    uint32_t args;   /* the same without its first word, the name */
};

/* Multiboot2 3.6.12 "Framebuffer info". */
enum boot_fb_type { BOOT_FB_INDEXED = 0, BOOT_FB_RGB = 1, BOOT_FB_EGA_TEXT = 2 };

struct boot_framebuffer {
    bool present;
    uint8_t type; /* enum boot_fb_type */
    uint8_t bpp;
    uint8_t red_pos, red_bits, green_pos, green_bits, blue_pos, blue_bits;
    uint32_t pitch, width, height; /* bytes; pixels, or characters for EGA text */
    uint64_t address;
};

struct boot_info {
    uint64_t info_start, info_end; /* where the loader's own structure lies (info_start: filled by the caller) */
    uint32_t cmdline;              /* Sojourn's options, offset into strings[]; "" when there is none */
    uint32_t loader_name;
    uint32_t module_count;
    struct boot_module module[BOOT_MODULES_MAX];
    uint32_t map_count;
    struct memmap_entry map[BOOT_MAP_MAX]; /* as the loader said it: unsorted, unchecked for overlaps */
    struct boot_framebuffer fb;
    bool has_boot_device;
    uint32_t boot_disk, boot_partition, boot_sub_partition; /* BIOS drive number; ~0 when not set */
    uint32_t rsdp_bytes;                                    /* 0: the loader gave none */
    uint8_t rsdp[BOOT_RSDP_MAX];
    uint64_t rsdp_address; /* where the firmware's own lies; 0 until drivers/acpi.c found it */
    /* Memory no move may write to and no piece may go to: the host's image and tables. Filled by the caller. */
    uint32_t keep_count;
    struct {
        uint64_t base, end;
    } keep[BOOT_KEEP_MAX];
    uint32_t strings_used;
    char strings[BOOT_STRINGS_BYTES]; /* offset 0 is the empty string */
};

/* Read the structure at info, of which max_bytes may be touched. Fills all of out. E_BADTAG: why says which tag. */
enum err multiboot2_parse(const void *info, size_t max_bytes, struct boot_info *out, char *why,
                          size_t why_bytes) MUST_USE;
/* Take the module whose string's first word is name out of the list. false: there is none. */
bool boot_remove_module(struct boot_info *bi, const char *name, struct boot_module *out);
const char *boot_string(const struct boot_info *bi, uint32_t offset);

#endif
