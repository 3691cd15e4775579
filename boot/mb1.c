/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Reads a Multiboot 1 kernel (ELF of either class with a 32-bit entry, or the address fields of the header) and
   writes the information structure. The file is untrusted: every offset is checked against its length in 64 bits. */
#include "boot/mb1.h"

#include "bits.h"
#include "str.h"

#include <string.h>

/* 3.1.1 "The layout of Multiboot header". */
#define SEARCH_BYTES 8192u
#define HEADER_ALIGN 4u
#define HEADER_MAGIC 0x1badb002u
#define HEADER_BYTES 12u
#define HEADER_ADDRESS_BYTES 32u
enum { HDR_FLAGS = 4, HDR_CHECKSUM = 8, HDR_HEADER_ADDR = 12, HDR_LOAD_ADDR = 16, HDR_LOAD_END_ADDR = 20 };
enum { HDR_BSS_END_ADDR = 24, HDR_ENTRY_ADDR = 28 };
/* 3.1.2 "The magic fields of Multiboot header": bits 0-15 are demands; one we do not know forbids to load. */
#define FLAG_PAGE_ALIGN BIT32(0)
#define FLAG_MEMORY_INFO BIT32(1)
#define FLAG_VIDEO_MODE BIT32(2)
#define FLAG_DEMANDS 0xffffu
#define FLAG_ADDRESS_FIELDS BIT32(16)

/* ELF-32 and ELF-64 object file formats: the few fields a loader needs. */
#define ELF_MAGIC 0x464c457fu
#define ELF_CLASS 4
#define ELF_DATA 5
#define ELF_CLASS_32 1
#define ELF_CLASS_64 2
#define ELF_DATA_LSB 1
#define ELF_MACHINE 18
#define EM_386 3
#define EM_X86_64 62
#define PT_LOAD 1
struct elf_layout {
    uint32_t header_bytes, entry, phoff, phentsize, phnum, phdr_bytes;
    uint32_t p_offset, p_vaddr, p_paddr, p_filesz, p_memsz;
    bool wide;
};
static const struct elf_layout elf32 = {52, 24, 28, 42, 44, 32, 4, 8, 12, 16, 20, false};
static const struct elf_layout elf64 = {64, 24, 32, 54, 56, 56, 8, 16, 24, 32, 40, true};

/* 3.3 "Boot information format". */
enum {
    INFO_FLAGS = 0,
    INFO_MEM_LOWER = 4,
    INFO_MEM_UPPER = 8,
    INFO_BOOT_DEVICE = 12,
    INFO_CMDLINE = 16,
    INFO_MODS_COUNT = 20,
    INFO_MODS_ADDR = 24,
    INFO_MMAP_LENGTH = 44,
    INFO_MMAP_ADDR = 48,
    INFO_BOOT_LOADER_NAME = 64,
    INFO_BYTES = 120, /* up to the framebuffer fields, which stay empty */
};
#define INFO_HAS_MEM BIT32(0)
#define INFO_HAS_BOOT_DEVICE BIT32(1)
#define INFO_HAS_CMDLINE BIT32(2)
#define INFO_HAS_MODS BIT32(3)
#define INFO_HAS_MMAP BIT32(6)
#define INFO_HAS_LOADER_NAME BIT32(9)
#define MODULE_BYTES 16u
#define MMAP_ENTRY_BYTES 24u
#define MMAP_SIZE_FIELD_BYTES 4u /* size does not count itself */
#define PARTITION_NONE 0xffu
#define LOWER_MAX 0xa0000u
#define UPPER_START 0x100000u
#define KIB 1024u
static const char loader_name[] = "Sojourn";

static enum err bad(char *why, size_t why_bytes, const char *text, uint64_t a, uint64_t b)
{
    str_format(why, why_bytes, "%s (0x%lx, 0x%lx)", text, (unsigned long)a, (unsigned long)b);
    return E_BADKERNEL;
}

static bool find_header(const uint8_t *f, uint64_t bytes, uint32_t *at)
{
    uint64_t end = min_u64(bytes, SEARCH_BYTES);
    for (uint32_t i = 0; i + HEADER_BYTES <= end; i += HEADER_ALIGN) {
        if (load32(f + i) == HEADER_MAGIC &&
            HEADER_MAGIC + load32(f + i + HDR_FLAGS) + load32(f + i + HDR_CHECKSUM) == 0) {
            *at = i;
            return true;
        }
    }
    return false;
}

bool mb1_is_kernel(const void *file, uint64_t bytes)
{
    uint32_t at;
    return find_header(file, bytes, &at);
}

static enum err add_segment(struct mb1_kernel *k, uint64_t file_total, uint64_t offset, uint64_t file_bytes,
                            uint64_t address, uint64_t bytes, char *why, size_t why_bytes)
{
    if (offset > file_total || file_bytes > file_total - offset)
        return bad(why, why_bytes, "a segment lies beyond the file's end; offset, length", offset, file_bytes);
    if (bytes < file_bytes || bytes >= MEMMAP_BELOW_4G || address > MEMMAP_BELOW_4G - bytes)
        return bad(why, why_bytes, "a segment has an impossible size or address", address, bytes);
    if (k->segment_count == MB1_SEGMENTS_MAX)
        return bad(why, why_bytes, "too many segments; at most", MB1_SEGMENTS_MAX, 0);
    if (bytes != 0)
        k->segment[k->segment_count++] = (struct mb1_segment){.offset = (uint32_t)offset,
                                                              .file_bytes = (uint32_t)file_bytes,
                                                              .address = (uint32_t)address,
                                                              .bytes = (uint32_t)bytes};
    return E_OK;
}

/* 3.1.3 "The address fields of Multiboot header": the a.out kludge. */
static enum err check_address_fields(const uint8_t *f, uint64_t bytes, uint32_t at, struct mb1_kernel *k, char *why,
                                     size_t why_bytes)
{
    if (at + HEADER_ADDRESS_BYTES > bytes)
        return bad(why, why_bytes, "the Multiboot header is truncated; offset, length", at, bytes);
    const uint8_t *h = f + at;
    uint32_t header = load32(h + HDR_HEADER_ADDR), load = load32(h + HDR_LOAD_ADDR);
    uint32_t load_end = load32(h + HDR_LOAD_END_ADDR), bss_end = load32(h + HDR_BSS_END_ADDR);
    if (header < load || header - load > at)
        return bad(why, why_bytes, "load_addr lies before the file; header_addr, load_addr", header, load);
    uint32_t offset = at - (header - load);
    if (load_end != 0 && load_end < load)
        return bad(why, why_bytes, "load_end_addr before load_addr", load_end, load);
    uint64_t file_bytes = load_end ? load_end - load : bytes - offset;
    if (bss_end != 0 && bss_end < load + file_bytes)
        return bad(why, why_bytes, "bss_end_addr before the end of data", bss_end, load + file_bytes);
    k->entry = load32(h + HDR_ENTRY_ADDR);
    return add_segment(k, bytes, offset, file_bytes, load, bss_end ? bss_end - load : file_bytes, why, why_bytes);
}

static uint64_t elf_word(const struct elf_layout *l, const uint8_t *at)
{
    return l->wide ? load64(at) : load32(at);
}

static enum err check_elf(const uint8_t *f, uint64_t bytes, struct mb1_kernel *k, char *why, size_t why_bytes)
{
    if (bytes < elf64.header_bytes || load32(f) != ELF_MAGIC || f[ELF_DATA] != ELF_DATA_LSB)
        return bad(why, why_bytes, "neither ELF nor address fields in the Multiboot header; length", bytes, 0);
    uint16_t machine = load16(f + ELF_MACHINE);
    const struct elf_layout *l = f[ELF_CLASS] == ELF_CLASS_32 ? &elf32 : f[ELF_CLASS] == ELF_CLASS_64 ? &elf64 : NULL;
    if (!l || (machine != EM_386 && machine != EM_X86_64))
        return bad(why, why_bytes, "an ELF file for another machine; class, machine", f[ELF_CLASS], machine);
    uint64_t entry = elf_word(l, f + l->entry), phoff = elf_word(l, f + l->phoff);
    uint64_t step = load16(f + l->phentsize), count = load16(f + l->phnum);
    if (step < l->phdr_bytes || phoff > bytes || count * step > bytes - phoff)
        return bad(why, why_bytes, "the ELF program headers lie beyond the file's end; offset, count", phoff, count);
    uint64_t start = entry;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *ph = f + phoff + i * step;
        if (load32(ph) != PT_LOAD)
            continue;
        uint64_t memsz = elf_word(l, ph + l->p_memsz), vaddr = elf_word(l, ph + l->p_vaddr);
        uint64_t paddr = elf_word(l, ph + l->p_paddr);
        enum err e = add_segment(k, bytes, elf_word(l, ph + l->p_offset), elf_word(l, ph + l->p_filesz), paddr, memsz,
                                 why, why_bytes);
        if (e != E_OK)
            return e;
        /* The entry is linked at a virtual address; paging is off, so it is the physical one that counts. */
        if (entry >= vaddr && entry - vaddr < memsz)
            start = entry - vaddr + paddr;
    }
    if (start >= MEMMAP_BELOW_4G)
        return bad(why, why_bytes, "the entry point is not a 32-bit address", start, entry);
    k->entry = (uint32_t)start;
    return E_OK;
}

enum err mb1_check(const void *file, uint64_t bytes, struct mb1_kernel *k, char *why, size_t why_bytes)
{
    const uint8_t *f = file;
    uint32_t at;
    memset(k, 0, sizeof *k);
    if (bytes > UINT32_MAX || !find_header(f, bytes, &at))
        return bad(why, why_bytes, "no Multiboot header in the first 8 KiB; length", bytes, 0);
    k->flags = load32(f + at + HDR_FLAGS);
    uint32_t unknown = k->flags & FLAG_DEMANDS & ~(FLAG_PAGE_ALIGN | FLAG_MEMORY_INFO | FLAG_VIDEO_MODE);
    if (unknown)
        return bad(why, why_bytes, "the Multiboot header demands something unknown; flags, unknown", k->flags, unknown);
    k->wants_video = k->flags & FLAG_VIDEO_MODE;
    enum err e = k->flags & FLAG_ADDRESS_FIELDS ? check_address_fields(f, bytes, at, k, why, why_bytes)
                                                : check_elf(f, bytes, k, why, why_bytes);
    if (e != E_OK)
        return e;
    for (uint32_t i = 0; i < k->segment_count; i++)
        if (k->entry >= k->segment[i].address && k->entry - k->segment[i].address < k->segment[i].bytes)
            return E_OK;
    return bad(why, why_bytes, "the entry point lies in no segment; entry, segments", k->entry, k->segment_count);
}

/* The parts follow each other: structure, map, modules, strings. */
struct parts {
    uint32_t map, modules, strings, end;
};

static struct parts lay_out(const struct mb1_start *s)
{
    struct parts p = {.map = INFO_BYTES};
    p.modules = p.map + s->map->count * MMAP_ENTRY_BYTES;
    p.strings = p.modules + s->module_count * MODULE_BYTES;
    p.end = p.strings + (uint32_t)(strlen(s->cmdline) + 1 + sizeof loader_name);
    for (uint32_t i = 0; i < s->module_count; i++)
        p.end += (uint32_t)strlen(s->module[i].string) + 1;
    return p;
}

uint32_t mb1_info_bytes(const struct mb1_start *s)
{
    return lay_out(s).end;
}

/* Copies text to at + *offset and returns its guest-physical address. */
static uint32_t put_string(uint8_t *at, uint32_t where, uint32_t *offset, const char *text)
{
    uint32_t here = *offset, len = (uint32_t)strlen(text) + 1;
    memcpy(at + here, text, len);
    *offset = here + len;
    return where + here;
}

static void write_map(const struct memmap *map, uint8_t *at)
{
    for (uint32_t i = 0; i < map->count; i++, at += MMAP_ENTRY_BYTES) {
        store32(at, MMAP_ENTRY_BYTES - MMAP_SIZE_FIELD_BYTES);
        store64(at + 4, map->entry[i].base);
        store64(at + 12, map->entry[i].end - map->entry[i].base);
        store32(at + 20, map->entry[i].type);
    }
}

/* KiB of RAM from start to the first hole. */
static uint32_t contiguous_kib(const struct memmap *map, uint64_t start, uint64_t max_end)
{
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memmap_entry *e = &map->entry[i];
        if (e->type == MEMMAP_RAM && e->base <= start && start < e->end)
            return (uint32_t)((min_u64(e->end, max_end) - start) / KIB);
    }
    return 0;
}

void mb1_write_info(const struct mb1_start *s, uint8_t *at, uint32_t where)
{
    struct parts p = lay_out(s);
    uint32_t flags = INFO_HAS_MEM | INFO_HAS_CMDLINE | INFO_HAS_MODS | INFO_HAS_MMAP | INFO_HAS_LOADER_NAME;
    memset(at, 0, p.end);
    store32(at + INFO_MEM_LOWER, contiguous_kib(s->map, 0, LOWER_MAX));
    store32(at + INFO_MEM_UPPER, contiguous_kib(s->map, UPPER_START, MEMMAP_BELOW_4G));
    if (s->bi->has_boot_device) {
        /* Drive in the top byte, then the partition numbers; 0xff: not used. */
        flags |= INFO_HAS_BOOT_DEVICE;
        store32(at + INFO_BOOT_DEVICE, s->bi->boot_disk << 24 | (s->bi->boot_partition & PARTITION_NONE) << 16 |
                                           (s->bi->boot_sub_partition & PARTITION_NONE) << 8 | PARTITION_NONE);
    }
    uint32_t text = p.strings;
    store32(at + INFO_CMDLINE, put_string(at, where, &text, s->cmdline));
    store32(at + INFO_BOOT_LOADER_NAME, put_string(at, where, &text, loader_name));
    store32(at + INFO_MODS_COUNT, s->module_count);
    store32(at + INFO_MODS_ADDR, where + p.modules);
    for (uint32_t i = 0; i < s->module_count; i++) {
        uint8_t *m = at + p.modules + i * MODULE_BYTES;
        store32(m, s->module[i].start);
        store32(m + 4, s->module[i].end);
        store32(m + 8, put_string(at, where, &text, s->module[i].string));
    }
    write_map(s->map, at + p.map);
    store32(at + INFO_MMAP_LENGTH, s->map->count * MMAP_ENTRY_BYTES);
    store32(at + INFO_MMAP_ADDR, where + p.map);
    store32(at + INFO_FLAGS, flags);
}
