/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Bounded walk over the Multiboot2 information. Every length is checked against what is left before a byte is
   read: the loader's structure lies in memory that a broken loader, or a module loaded on top of it, may have
   damaged. Unknown tags are skipped, as Multiboot2 3.6.1 "Boot information format, basic tags structure" asks. */
#include "boot/multiboot2.h"

#include "bits.h"
#include "str.h"

#include <string.h>

/* Multiboot2 3.6 "Boot information format": tag numbers. */
enum tag_type {
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_LOADER_NAME = 2,
    TAG_MODULE = 3,
    TAG_BOOTDEV = 5,
    TAG_MMAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_ACPI_OLD = 14,
    TAG_ACPI_NEW = 15,
};

#define INFO_HEADER_BYTES 8 /* total_size, reserved */
#define TAG_HEADER_BYTES 8  /* type, size */
#define TAG_ALIGN 8
#define RSDP_V1_BYTES 20

/* Offsets from the tag's start. */
#define MODULE_START 8
#define MODULE_END 12
#define MODULE_STRING 16
#define BOOTDEV_DISK 8
#define BOOTDEV_PARTITION 12
#define BOOTDEV_SUB_PARTITION 16
#define BOOTDEV_BYTES 20
#define MMAP_ENTRY_SIZE 8
#define MMAP_ENTRIES 16
#define MMAP_ENTRY_MIN 24 /* base 8, length 8, type 4, reserved 4 */
#define MMAP_ENTRY_MAX 4096
#define FB_ADDRESS 8
#define FB_PITCH 16
#define FB_WIDTH 20
#define FB_HEIGHT 24
#define FB_BPP 28
#define FB_TYPE 29
#define FB_COLOR 32
#define FB_BYTES 32
#define FB_RGB_BYTES 38

/* Copies the string in [text, text + room) to strings[]; it must end inside. E_BADTAG without an end, or no room. */
static enum err take_string(struct boot_info *bi, const uint8_t *text, size_t room, uint32_t *offset)
{
    size_t len = 0;
    while (len < room && text[len] != 0)
        len++;
    if (len == room || len + 1 > BOOT_STRINGS_BYTES - bi->strings_used)
        return E_BADTAG;
    memcpy(bi->strings + bi->strings_used, text, len + 1);
    *offset = bi->strings_used;
    bi->strings_used += (uint32_t)(len + 1);
    return E_OK;
}

static enum err take_module(struct boot_info *bi, const uint8_t *tag, uint32_t size)
{
    if (size < MODULE_STRING + 1 || bi->module_count == BOOT_MODULES_MAX)
        return E_BADTAG;
    struct boot_module *m = &bi->module[bi->module_count];
    m->start = load32(tag + MODULE_START);
    m->end = load32(tag + MODULE_END);
    if (m->start > m->end)
        return E_BADTAG;
    enum err e = take_string(bi, tag + MODULE_STRING, size - MODULE_STRING, &m->string);
    if (e != E_OK)
        return e;
    uint32_t at = m->string;
    while (bi->strings[at] == ' ')
        at++;
    while (bi->strings[at] != 0 && bi->strings[at] != ' ')
        at++;
    while (bi->strings[at] == ' ')
        at++;
    m->args = at;
    bi->module_count++;
    return E_OK;
}

static enum err take_mmap(struct boot_info *bi, const uint8_t *tag, uint32_t size)
{
    if (size < MMAP_ENTRIES || bi->map_count != 0)
        return E_BADTAG;
    uint32_t step = load32(tag + MMAP_ENTRY_SIZE);
    if (step < MMAP_ENTRY_MIN || step > MMAP_ENTRY_MAX || step % TAG_ALIGN != 0 || (size - MMAP_ENTRIES) % step != 0)
        return E_BADTAG;
    for (uint32_t at = MMAP_ENTRIES; at < size; at += step) {
        uint64_t base = load64(tag + at), len = load64(tag + at + 8);
        if (len == 0)
            continue;
        if (bi->map_count == BOOT_MAP_MAX)
            return E_BADTAG;
        struct memmap_entry *e = &bi->map[bi->map_count++];
        e->base = base;
        e->end = len > UINT64_MAX - base ? UINT64_MAX : base + len;
        e->type = load32(tag + at + 16);
    }
    return E_OK;
}

static enum err take_framebuffer(struct boot_info *bi, const uint8_t *tag, uint32_t size)
{
    if (size < FB_BYTES - 1) /* EGA text has no colour information, and loaders differ in the reserved bytes */
        return E_BADTAG;
    struct boot_framebuffer *fb = &bi->fb;
    fb->address = load64(tag + FB_ADDRESS);
    fb->pitch = load32(tag + FB_PITCH);
    fb->width = load32(tag + FB_WIDTH);
    fb->height = load32(tag + FB_HEIGHT);
    fb->bpp = tag[FB_BPP];
    fb->type = tag[FB_TYPE];
    if (fb->type == BOOT_FB_RGB) {
        if (size < FB_RGB_BYTES)
            return E_BADTAG;
        const uint8_t *c = tag + FB_COLOR;
        fb->red_pos = c[0];
        fb->red_bits = c[1];
        fb->green_pos = c[2];
        fb->green_bits = c[3];
        fb->blue_pos = c[4];
        fb->blue_bits = c[5];
    }
    fb->present = true;
    return E_OK;
}

/* The tag holds a copy of the RSDP; a new one (ACPI 2.0 and later) replaces an old one, never the other way round. */
static enum err take_rsdp(struct boot_info *bi, const uint8_t *tag, uint32_t size, uint32_t min_bytes)
{
    uint32_t len = size - TAG_HEADER_BYTES;
    if (len < min_bytes)
        return E_BADTAG;
    if (bi->rsdp_bytes > min_bytes)
        return E_OK;
    memset(bi->rsdp, 0, sizeof bi->rsdp);
    memcpy(bi->rsdp, tag + TAG_HEADER_BYTES, min_bytes);
    bi->rsdp_bytes = min_bytes;
    return E_OK;
}

static enum err take_tag(struct boot_info *bi, const uint8_t *tag, uint32_t type, uint32_t size)
{
    switch (type) {
    case TAG_CMDLINE:
        return take_string(bi, tag + TAG_HEADER_BYTES, size - TAG_HEADER_BYTES, &bi->cmdline);
    case TAG_LOADER_NAME:
        return take_string(bi, tag + TAG_HEADER_BYTES, size - TAG_HEADER_BYTES, &bi->loader_name);
    case TAG_MODULE:
        return take_module(bi, tag, size);
    case TAG_BOOTDEV:
        if (size < BOOTDEV_BYTES)
            return E_BADTAG;
        bi->boot_disk = load32(tag + BOOTDEV_DISK);
        bi->boot_partition = load32(tag + BOOTDEV_PARTITION);
        bi->boot_sub_partition = load32(tag + BOOTDEV_SUB_PARTITION);
        bi->has_boot_device = true;
        return E_OK;
    case TAG_MMAP:
        return take_mmap(bi, tag, size);
    case TAG_FRAMEBUFFER:
        return take_framebuffer(bi, tag, size);
    case TAG_ACPI_OLD:
        return take_rsdp(bi, tag, size, RSDP_V1_BYTES);
    case TAG_ACPI_NEW:
        return take_rsdp(bi, tag, size, BOOT_RSDP_MAX);
    default:
        return E_OK;
    }
}

enum err multiboot2_parse(const void *info, size_t max_bytes, struct boot_info *out, char *why, size_t why_bytes)
{
    const uint8_t *p = info;
    memset(out, 0, sizeof *out);
    out->strings_used = 1; /* offset 0: "" */
    uint32_t total = max_bytes >= INFO_HEADER_BYTES ? load32(p) : 0;
    if (total < INFO_HEADER_BYTES + TAG_HEADER_BYTES || total > max_bytes) {
        str_format(why, why_bytes, "Multiboot2 information of %u bytes; at most %u are possible", (unsigned)total,
                   (unsigned)max_bytes);
        return E_BADTAG;
    }
    uint32_t at = INFO_HEADER_BYTES;
    while (total - at >= TAG_HEADER_BYTES) {
        uint32_t type = load32(p + at), size = load32(p + at + 4);
        if (size < TAG_HEADER_BYTES || size > total - at || (type == TAG_END && size != TAG_HEADER_BYTES)) {
            str_format(why, why_bytes, "Multiboot2 tag %u at %u: length %u of %u left", (unsigned)type, (unsigned)at,
                       (unsigned)size, (unsigned)(total - at));
            return E_BADTAG;
        }
        if (type == TAG_END) {
            if (out->map_count != 0)
                return E_OK;
            str_format(why, why_bytes, "the loader gave no memory map");
            return E_BADTAG;
        }
        enum err e = take_tag(out, p + at, type, size);
        if (e != E_OK) {
            str_format(why, why_bytes, "Multiboot2 tag %u at %u (length %u) is damaged or beyond our limits",
                       (unsigned)type, (unsigned)at, (unsigned)size);
            return e;
        }
        uint64_t next = align_up((uint64_t)at + size, TAG_ALIGN);
        if (next > total)
            break;
        at = (uint32_t)next;
    }
    str_format(why, why_bytes, "Multiboot2 information ends at %u without an end tag", (unsigned)at);
    return E_BADTAG;
}

bool boot_remove_module(struct boot_info *bi, const char *name, struct boot_module *out)
{
    size_t bytes = strlen(name);
    for (uint32_t i = 0; i < bi->module_count; i++) {
        const char *string = boot_string(bi, bi->module[i].string);
        string += strspn(string, " ");
        if (strncmp(string, name, bytes) || (string[bytes] && string[bytes] != ' '))
            continue;
        *out = bi->module[i];
        bi->module_count--;
        memmove(&bi->module[i], &bi->module[i + 1], (bi->module_count - i) * sizeof bi->module[0]);
        return true;
    }
    return false;
}

const char *boot_string(const struct boot_info *bi, uint32_t offset)
{
    return offset < bi->strings_used ? bi->strings + offset : "";
}
