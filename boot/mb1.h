/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. A Multiboot 1 kernel: its header, its segments, and the information structure it is handed. Manual: "The
   Multiboot Specification version 0.6.96", 3.1 "OS image format", 3.3 "Boot information format". */
#ifndef SOJOURN_BOOT_MB1_H
#define SOJOURN_BOOT_MB1_H

#include "boot/memmap.h"
#include "boot/multiboot2.h"
#include "err.h"
#include "types.h"

#define MB1_BOOTLOADER_MAGIC 0x2badb002u
#define MB1_SEGMENTS_MAX 16

struct mb1_segment {
    uint32_t offset, file_bytes; /* in the file */
    uint32_t address, bytes;     /* in memory; the rest is zeroed */
};

struct mb1_kernel {
    uint32_t flags; /* of the header */
    uint32_t entry;
    uint32_t segment_count;
    bool wants_video; /* asked for a video mode, which is not set */
    struct mb1_segment segment[MB1_SEGMENTS_MAX];
};

/* Where a module lies in the end. */
struct mb1_module {
    uint32_t start, end;
    const char *string;
};

struct mb1_start {
    const struct boot_info *bi;
    const struct memmap *map;
    const char *cmdline;
    uint32_t module_count;
    struct mb1_module module[BOOT_MODULES_MAX];
};

/* Is there a header, with the right checksum, in the first 8 KiB? */
bool mb1_is_kernel(const void *file, uint64_t bytes);
/* E_BADKERNEL with the reason. */
enum err mb1_check(const void *file, uint64_t bytes, struct mb1_kernel *k, char *why, size_t why_bytes) MUST_USE;
/* Length of the information structure with all it points to. */
uint32_t mb1_info_bytes(const struct mb1_start *s);
/* Write it: at is where the host sees guest-physical address where; both 8-byte aligned. */
void mb1_write_info(const struct mb1_start *s, uint8_t *at, uint32_t where);

#endif
