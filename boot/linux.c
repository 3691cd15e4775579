/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Checks a bzImage's setup header and writes boot_params. Fields go by the boot protocol's own offsets and
   names; a field is used only from the protocol version on that introduced it. */
#include "boot/linux.h"

#include "bits.h"
#include "str.h"

#include <string.h>

/* "The Real-Mode Kernel Header": offsets in the file and, the header being copied there, in boot_params. */
enum {
    HDR_SETUP_SECTS = 0x1f1,
    HDR_SYSSIZE = 0x1f4,
    HDR_VID_MODE = 0x1fa,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_JUMP_DISTANCE = 0x201,
    HDR_HEADER = 0x202,
    HDR_VERSION = 0x206,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32_START = 0x214,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_ADDR_MAX = 0x22c,
    HDR_KERNEL_ALIGNMENT = 0x230,
    HDR_RELOCATABLE_KERNEL = 0x234,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_SETUP_DATA = 0x250,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    HDR_END_2_06 = 0x23c, /* the header's length in the oldest version we start */
};

#define BOOT_FLAG_MAGIC 0xaa55u
#define HEADER_MAGIC 0x53726448u /* "HdrS" */
#define VERSION_MIN 0x206u       /* cmdline_size */
#define VERSION_SETUP_DATA 0x209u
#define VERSION_INIT_SIZE 0x20au
#define VERSION_ACPI_RSDP 0x20eu
#define LOADED_HIGH BIT32(0)
#define KEEP_SEGMENTS BIT32(6)
#define CAN_USE_HEAP BIT32(7)
#define LOADER_UNDEFINED 0xffu
#define VID_MODE_NORMAL 0xffffu
#define SECTOR_BYTES 512u
#define SETUP_SECTS_DEFAULT 4u
#define SYSSIZE_UNIT 16u
#define BZIMAGE_ADDRESS 0x100000u
/* Before 2.10 a kernel does not say what it needs to unpack itself. Three times its packed size covers gzip, the only
   packer of that time, with room for bss and heap. */
#define UNPACK_FACTOR 3u
#define UNPACK_MIN (16u << 20)

/* "Zero Page". */
enum {
    BP_SCREEN_INFO = 0x000,
    BP_ACPI_RSDP_ADDR = 0x070,
    BP_E820_ENTRIES = 0x1e8,
    BP_EDD_MBR_SIG_BUFFER = 0x290,
    BP_E820_TABLE = 0x2d0,
};
#define E820_TABLE_MAX 128u
#define E820_ENTRY_BYTES 20u
_Static_assert(BP_E820_TABLE + E820_TABLE_MAX * E820_ENTRY_BYTES <= LINUX_PARAMS_BYTES, "table inside the zero page");
_Static_assert(HDR_SETUP_SECTS + LINUX_HEADER_MAX == BP_EDD_MBR_SIG_BUFFER, "the header's part of the page");

/* struct screen_info of the same page; include/uapi/linux/screen_info.h. */
enum {
    SI_ORIG_Y = 0x01,
    SI_ORIG_VIDEO_MODE = 0x06,
    SI_ORIG_VIDEO_COLS = 0x07,
    SI_ORIG_VIDEO_EGA_BX = 0x0a,
    SI_ORIG_VIDEO_LINES = 0x0e,
    SI_ORIG_VIDEO_ISVGA = 0x0f,
    SI_ORIG_VIDEO_POINTS = 0x10,
    SI_LFB_WIDTH = 0x12,
    SI_LFB_HEIGHT = 0x14,
    SI_LFB_DEPTH = 0x16,
    SI_LFB_BASE = 0x18,
    SI_LFB_SIZE = 0x1c,
    SI_LFB_LINELENGTH = 0x24,
    SI_RED_SIZE = 0x26,
    SI_CAPABILITIES = 0x36,
    SI_EXT_LFB_BASE = 0x3a,
};
#define VIDEO_IS_VGA_TEXT 1u
#define VIDEO_TYPE_VLFB 0x23u
#define VIDEO_CAPABILITY_64BIT_BASE BIT32(1)
#define VIDEO_MODE_TEXT_80X25 3u
#define EGA_BX_256K 0x0003u /* INT 10h AH=12h BL=10h: colour, 256 KiB */
#define EGA_FONT_POINTS 16u
#define LFB_SIZE_UNIT 65536u

/* struct setup_data: next 8, type 4, len 4, data. */
#define SETUP_DATA_BYTES 16u
#define SETUP_E820_EXT 1u

bool linux_is_kernel(const void *file, uint64_t bytes)
{
    const uint8_t *f = file;
    return bytes >= HDR_END_2_06 && load16(f + HDR_BOOT_FLAG) == BOOT_FLAG_MAGIC &&
           load32(f + HDR_HEADER) == HEADER_MAGIC;
}

static enum err bad(char *why, size_t why_bytes, const char *text, uint64_t a, uint64_t b)
{
    int n = str_format(why, why_bytes, "%s", text);
    if (n > 0 && (size_t)n < why_bytes)
        str_format(why + n, why_bytes - (size_t)n, " (0x%lx, 0x%lx)", (unsigned long)a, (unsigned long)b);
    return E_BADKERNEL;
}

/* Where it wants to lie and how much room it takes there. */
static void read_load_address(const uint8_t *f, struct linux_kernel *k)
{
    k->relocatable = f[HDR_RELOCATABLE_KERNEL] != 0;
    k->alignment = load32(f + HDR_KERNEL_ALIGNMENT);
    if (k->version >= VERSION_INIT_SIZE && k->header_bytes >= HDR_INIT_SIZE + 4 - HDR_SETUP_SECTS) {
        k->preferred = load64(f + HDR_PREF_ADDRESS);
        k->init_bytes = load32(f + HDR_INIT_SIZE);
        if (k->init_bytes < k->kernel_bytes)
            k->init_bytes = k->kernel_bytes;
        return;
    }
    k->preferred = BZIMAGE_ADDRESS;
    k->relocatable = false; /* such a kernel may be moved, but without a size it can only be trusted at its own place */
    uint64_t room = max_u64((uint64_t)k->kernel_bytes * UNPACK_FACTOR, UNPACK_MIN);
    k->init_bytes = (uint32_t)min_u64(room, UINT32_MAX);
}

enum err linux_check(const void *file, uint64_t bytes, struct linux_kernel *k, char *why, size_t why_bytes)
{
    const uint8_t *f = file;
    memset(k, 0, sizeof *k);
    if (!linux_is_kernel(file, bytes))
        return bad(why, why_bytes, "no bzImage signature; file length", bytes, 0);
    k->version = load16(f + HDR_VERSION);
    if (k->version < VERSION_MIN)
        return bad(why, why_bytes, "boot protocol too old; has, needs", k->version, VERSION_MIN);
    if (!(f[HDR_LOADFLAGS] & LOADED_HIGH))
        return bad(why, why_bytes, "a zImage, which loads low, cannot be started; loadflags", f[HDR_LOADFLAGS], 0);
    uint32_t sects = f[HDR_SETUP_SECTS] ? f[HDR_SETUP_SECTS] : SETUP_SECTS_DEFAULT;
    k->setup_bytes = (sects + 1) * SECTOR_BYTES;
    uint64_t need = k->setup_bytes + (uint64_t)load32(f + HDR_SYSSIZE) * SYSSIZE_UNIT;
    /* syssize is rounded up to its unit; the last unit need not be whole in the file. */
    if (bytes <= k->setup_bytes || bytes + SYSSIZE_UNIT - 1 < need || bytes > UINT32_MAX)
        return bad(why, why_bytes, "the kernel file is truncated; has, needs", bytes, need);
    k->kernel_bytes = (uint32_t)(bytes - k->setup_bytes);
    uint32_t end = HDR_HEADER + f[HDR_JUMP_DISTANCE];
    if (end < HDR_END_2_06 || end - HDR_SETUP_SECTS > LINUX_HEADER_MAX || end > k->setup_bytes)
        return bad(why, why_bytes, "setup header of impossible length; end, setup", end, k->setup_bytes);
    k->header_bytes = end - HDR_SETUP_SECTS;
    memcpy(k->header, f + HDR_SETUP_SECTS, k->header_bytes);
    read_load_address(f, k);
    if (k->relocatable && (k->alignment == 0 || (k->alignment & (k->alignment - 1)) != 0))
        return bad(why, why_bytes, "kernel_alignment is no power of two", k->alignment, 0);
    if (k->preferred < BZIMAGE_ADDRESS || k->preferred >= MEMMAP_BELOW_4G)
        return bad(why, why_bytes, "pref_address out of range", k->preferred, k->init_bytes);
    k->initrd_end_max = (uint64_t)load32(f + HDR_INITRD_ADDR_MAX) + 1;
    k->cmdline_max = load32(f + HDR_CMDLINE_SIZE);
    return E_OK;
}

uint32_t linux_setup_data_bytes(const struct linux_kernel *k, const struct memmap *map)
{
    if (map->count <= E820_TABLE_MAX || k->version < VERSION_SETUP_DATA ||
        k->header_bytes < HDR_SETUP_DATA + 8 - HDR_SETUP_SECTS)
        return 0;
    return SETUP_DATA_BYTES + (map->count - E820_TABLE_MAX) * E820_ENTRY_BYTES;
}

static void write_e820(const struct memmap_entry *e, uint8_t *to)
{
    store64(to, e->base);
    store64(to + 8, e->end - e->base);
    store32(to + 16, e->type);
}

/* Without setup_data an overlong map is cut at its end: what is not listed is not RAM to Linux, so memory is lost and
   nothing else. The map is ascending, so the low memory everything depends on is always in. */
static void write_map(const struct linux_start *s, uint8_t *params, uint8_t *setup_data)
{
    const struct memmap *map = s->map;
    uint32_t in_table = map->count < E820_TABLE_MAX ? map->count : E820_TABLE_MAX;
    for (uint32_t i = 0; i < in_table; i++)
        write_e820(&map->entry[i], params + BP_E820_TABLE + i * E820_ENTRY_BYTES);
    params[BP_E820_ENTRIES] = (uint8_t)in_table;
    if (!setup_data)
        return;
    uint32_t rest = map->count - in_table;
    store64(setup_data, 0);
    store32(setup_data + 8, SETUP_E820_EXT);
    store32(setup_data + 12, rest * E820_ENTRY_BYTES);
    for (uint32_t i = 0; i < rest; i++)
        write_e820(&map->entry[in_table + i], setup_data + SETUP_DATA_BYTES + i * E820_ENTRY_BYTES);
    store64(params + HDR_SETUP_DATA, s->setup_data);
}

static void write_screen(const struct boot_framebuffer *fb, uint8_t *si)
{
    if (fb->present && fb->type == BOOT_FB_RGB) {
        si[SI_ORIG_VIDEO_ISVGA] = VIDEO_TYPE_VLFB;
        store16(si + SI_LFB_WIDTH, (uint16_t)fb->width);
        store16(si + SI_LFB_HEIGHT, (uint16_t)fb->height);
        store16(si + SI_LFB_DEPTH, fb->bpp);
        store16(si + SI_LFB_LINELENGTH, (uint16_t)fb->pitch);
        store32(si + SI_LFB_BASE, (uint32_t)fb->address);
        store32(si + SI_LFB_SIZE,
                (uint32_t)(align_up((uint64_t)fb->pitch * fb->height, LFB_SIZE_UNIT) / LFB_SIZE_UNIT));
        const uint8_t color[] = {fb->red_bits, fb->red_pos, fb->green_bits, fb->green_pos, fb->blue_bits, fb->blue_pos};
        memcpy(si + SI_RED_SIZE, color, sizeof color);
        if (fb->address >> 32) {
            store32(si + SI_CAPABILITIES, VIDEO_CAPABILITY_64BIT_BASE);
            store32(si + SI_EXT_LFB_BASE, (uint32_t)(fb->address >> 32));
        }
        return;
    }
    if (fb->present && fb->type != BOOT_FB_EGA_TEXT)
        return; /* palette graphics: Linux has no driver that could take it over */
    /* Text, or nothing said: a BIOS machine starts in 80x25. */
    bool sized = fb->present && fb->width > 0 && fb->width < 256 && fb->height > 0 && fb->height < 256;
    si[SI_ORIG_VIDEO_MODE] = VIDEO_MODE_TEXT_80X25;
    si[SI_ORIG_VIDEO_COLS] = sized ? (uint8_t)fb->width : 80;
    si[SI_ORIG_VIDEO_LINES] = sized ? (uint8_t)fb->height : 25;
    si[SI_ORIG_Y] = (uint8_t)(si[SI_ORIG_VIDEO_LINES] - 1); /* continue below what is on the screen */
    store16(si + SI_ORIG_VIDEO_EGA_BX, EGA_BX_256K);
    si[SI_ORIG_VIDEO_ISVGA] = VIDEO_IS_VGA_TEXT;
    store16(si + SI_ORIG_VIDEO_POINTS, EGA_FONT_POINTS);
}

void linux_write_params(const struct linux_kernel *k, const struct linux_start *s, uint8_t *params, uint8_t *setup_data)
{
    memset(params, 0, LINUX_PARAMS_BYTES);
    memcpy(params + HDR_SETUP_SECTS, k->header, k->header_bytes);
    params[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
    params[HDR_LOADFLAGS] = (uint8_t)(params[HDR_LOADFLAGS] & ~(CAN_USE_HEAP | KEEP_SEGMENTS));
    store16(params + HDR_VID_MODE, VID_MODE_NORMAL);
    store32(params + HDR_CODE32_START, s->kernel);
    store32(params + HDR_RAMDISK_IMAGE, s->initrd_bytes ? s->initrd : 0);
    store32(params + HDR_RAMDISK_SIZE, s->initrd_bytes);
    store32(params + HDR_CMD_LINE_PTR, s->cmdline);
    if (k->version >= VERSION_ACPI_RSDP)
        store64(params + BP_ACPI_RSDP_ADDR, s->rsdp);
    write_screen(s->fb, params + BP_SCREEN_INFO);
    write_map(s, params, setup_data);
}
