/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See sojstore_core.h. The file, as gdb and crash(8) read it (System V ABI, "Core files" of Linux: ET_CORE with
   PT_NOTE and PT_LOAD):

     0                ELF header, program headers, notes
     CORE_MEMORY_AT   the guest's RAM, once: piece behind piece, zero pages are holes
                         ^          ^
     PT_LOAD, first: every piece of RAM with p_vaddr = p_paddr: guest-physical addresses
     PT_LOAD, then:  every run of kernel-half virtual addresses that shows RAM, p_paddr what it shows

   Several PT_LOADs point to the same bytes. This is what QEMU's dump-guest-memory does with paging, with two
   differences: the physical ones come in any case, and user-half addresses do not, because they mean another process
   on each CPU and would hide the physical ones.

   Page tables are the guest's, so nothing about them is believed: a table outside RAM maps nothing, and the walk is
   bounded. Reference: SDM 3A 4.5 "4-Level Paging and 5-Level Paging" (revision 081). */
#include "tools/sojstore_core.h"

#include "bits.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_ENTRIES 512u
#define KERNEL_HALF 256u
#define LEVELS_MAX 5u
#define ENTRY_PRESENT BIT(0)
#define ENTRY_LARGE BIT(7)
#define ENTRY_ADDRESS MASK(51, 12)
#define CR0_PG BIT(31)
#define CR4_LA57 BIT(12)
#define EFER_LMA BIT(10)
/* So many tables show 8 TiB in 4 KiB pages; more of them are made to be endless. */
#define TABLES_MAX (1u << 22)
/* And no kernel shows all its memory more often than this; device memory and the like in addition. */
#define SHOWN_TIMES_MAX 16u
#define SHOWN_OTHER_MAX (1u << 20)

/* ---- memory ---- */

static void add_ram(struct core_image *image, uint64_t low, uint64_t high)
{
    if (low >= high)
        return;
    image->ram[image->ram_count++] = (struct core_ram){low, high - low, image->bytes};
    image->bytes += high - low;
}

void core_plan(struct core_image *image, const struct ckpt_layout *layout)
{
    uint64_t hidden = layout->hidden.base, behind = hidden + layout->hidden.bytes;
    memset(image, 0, sizeof *image);
    for (uint32_t i = 0; i < layout->ram_count; i++) {
        uint64_t low = layout->ram[i].base, high = low + layout->ram[i].bytes;
        if (hidden == behind || behind <= low || hidden >= high) {
            add_ram(image, low, high);
            continue;
        }
        add_ram(image, low, hidden);
        add_ram(image, behind, high);
    }
}

uint64_t core_offset(const struct core_image *image, uint64_t gpa)
{
    for (uint32_t i = 0; i < image->ram_count; i++) {
        const struct core_ram *r = &image->ram[i];
        if (gpa >= r->base && gpa - r->base < r->bytes)
            return r->at + (gpa - r->base);
    }
    return CORE_NOWHERE;
}

static const uint8_t *page_at(const struct core_image *image, uint64_t gpa)
{
    uint64_t at = core_offset(image, gpa);
    return at == CORE_NOWHERE ? NULL : image->memory + at;
}

/* ---- page tables ---- */

/* log2 of the bytes that one entry of a table of this level covers. */
static unsigned level_shift(unsigned level)
{
    return 12 + 9 * (level - 1);
}

static bool entry_is_leaf(uint64_t entry, unsigned level)
{
    return level == 1 || (level <= 3 && entry & ENTRY_LARGE);
}

/* What a leaf entry maps; bit 12 of a large page's is its memory type, hence the mask by size. */
static uint64_t leaf_address(uint64_t entry, unsigned level)
{
    return entry & MASK(51, level_shift(level));
}

uint64_t core_translate(const struct core_image *image, struct core_tables tables, uint64_t vaddr)
{
    uint64_t at = tables.root;
    for (unsigned level = tables.levels; level > 0; level--) {
        const uint8_t *table = page_at(image, at);
        if (!table)
            return CORE_NOWHERE;
        unsigned shift = level_shift(level);
        uint64_t entry = load64(table + 8 * (vaddr >> shift & (TABLE_ENTRIES - 1)));
        if (!(entry & ENTRY_PRESENT))
            return CORE_NOWHERE;
        if (entry_is_leaf(entry, level))
            return leaf_address(entry, level) | (vaddr & (BIT(shift) - 1));
        at = entry & ENTRY_ADDRESS;
    }
    return CORE_NOWHERE;
}

static bool pages_64bit(const struct vcpu_state *cpu)
{
    return cpu->cr0 & CR0_PG && cpu->msr_present & BIT(VMSR_EFER) && cpu->msr[VMSR_EFER] & EFER_LMA;
}

static unsigned privilege(const struct vcpu_state *cpu)
{
    return cpu->seg[SREG_SS].access_rights >> AR_DPL_SHIFT & 3;
}

struct core_tables core_find_tables(const struct core_image *image, const struct vcpu_state *cpus, uint32_t count)
{
    const struct vcpu_state *cpu = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (!pages_64bit(&cpus[i]))
            continue;
        if (!cpu || (privilege(cpu) && !privilege(&cpus[i])))
            cpu = &cpus[i];
    }
    if (!cpu)
        return (struct core_tables){0, 0};
    struct core_tables tables = {cpu->cr3 & ENTRY_ADDRESS, cpu->cr4 & CR4_LA57 ? 5 : 4};
    /* Linux with page-table isolation keeps the kernel's top-level table in the page before the user's. Any page could
       lie there; one that shows the same interrupt table is not any page. */
    struct core_tables before = {tables.root & ~BIT(12), tables.levels};
    uint64_t idt = core_translate(image, tables, cpu->idtr.base);
    if (privilege(cpu) && before.root != tables.root && idt != CORE_NOWHERE &&
        core_translate(image, before, cpu->idtr.base) == idt)
        return before;
    return tables;
}

static int by_length(const void *a, const void *b)
{
    uint64_t x = ((const struct core_load *)a)->bytes, y = ((const struct core_load *)b)->bytes;
    return (x < y) - (x > y);
}

static int by_address(const void *a, const void *b)
{
    uint64_t x = ((const struct core_load *)a)->vaddr, y = ((const struct core_load *)b)->vaddr;
    return (x > y) - (x < y);
}

/* Keep the longest: the direct map and the kernel's image are long, what is scattered over single pages is not. */
static void keep_longest(struct core_loads *loads)
{
    if (loads->count <= loads->most)
        return;
    qsort(loads->load, loads->count, sizeof *loads->load, by_length);
    loads->dropped += loads->count - loads->most;
    loads->count = loads->most;
    qsort(loads->load, loads->count, sizeof *loads->load, by_address);
}

static void add_load(struct core_loads *loads, struct core_load load)
{
    if (loads->count) {
        struct core_load *last = &loads->load[loads->count - 1];
        /* Behind it in both worlds, and in the file: pieces of RAM that touch lie behind one another there, too. */
        if (last->vaddr + last->bytes == load.vaddr && last->paddr + last->bytes == load.paddr) {
            last->bytes += load.bytes;
            return;
        }
    }
    if (loads->count == loads->room)
        keep_longest(loads);
    loads->load[loads->count++] = load;
}

/* [vaddr, + bytes) shows [paddr, + bytes): what of it is RAM in the checkpoint. */
static void add_mapping(const struct core_image *image, struct core_loads *loads, uint64_t vaddr, uint64_t paddr,
                        uint64_t bytes)
{
    for (uint32_t i = 0; i < image->ram_count; i++) {
        const struct core_ram *r = &image->ram[i];
        uint64_t low = max_u64(paddr, r->base), high = min_u64(paddr + bytes, r->base + r->bytes);
        if (low < high)
            add_load(loads, (struct core_load){vaddr + (low - paddr), low, high - low});
    }
}

void core_walk(const struct core_image *image, struct core_tables tables, struct core_loads *loads)
{
    struct {
        const uint8_t *table;
        uint64_t vaddr; /* of its first entry */
        uint64_t below; /* the table that the entry before points to */
        uint32_t next;
    } at[LEVELS_MAX + 1] = {0};
    uint32_t seen = 0;
    uint64_t leaves = SHOWN_TIMES_MAX * (image->bytes / PAGE_BYTES) + SHOWN_OTHER_MAX;
    unsigned level = tables.levels;
    loads->count = 0;
    loads->dropped = 0;
    loads->stopped = false;
    if (!level)
        return;
    at[level].table = page_at(image, tables.root);
    at[level].next = KERNEL_HALF;
    at[level].vaddr = ~0ull << level_shift(level + 1); /* canonical: the bits above are copies of the highest used */
    if (!at[level].table)
        return;
    while (level <= tables.levels) {
        if (at[level].next == TABLE_ENTRIES) {
            level++;
            continue;
        }
        uint32_t i = at[level].next++;
        uint64_t entry = load64(at[level].table + 8 * i), vaddr = at[level].vaddr + ((uint64_t)i << level_shift(level));
        if (!(entry & ENTRY_PRESENT))
            continue;
        if (entry_is_leaf(entry, level)) {
            if (leaves-- == 0) {
                loads->stopped = true;
                break;
            }
            add_mapping(image, loads, vaddr, leaf_address(entry, level), BIT(level_shift(level)));
            continue;
        }
        uint64_t below = entry & ENTRY_ADDRESS;
        const uint8_t *table = page_at(image, below);
        /* Neighbours that share a table are filling (KASAN's shadow of nothing, terabytes of it): once is enough. */
        if (!table || entry & ENTRY_LARGE || (i && below == at[level].below))
            continue;
        at[level].below = below;
        if (++seen > TABLES_MAX) {
            loads->stopped = true;
            break;
        }
        level--;
        at[level].table = table;
        at[level].vaddr = vaddr;
        at[level].below = CORE_NOWHERE;
        at[level].next = 0;
    }
    keep_longest(loads);
}

/* ---- Linux's VMCOREINFO ---- */

static const char vmcoreinfo_name[] = "VMCOREINFO";
#define VMCOREINFO_TEXT_AT (sizeof(Elf64_Nhdr) + 12) /* its name, padded to 4 */
#define VMCOREINFO_BYTES_MAX 65536u
#define UTS_BYTES 1024u /* struct uts_namespace has the six texts, 65 bytes each, near its start */

bool core_page_is_vmcoreinfo(const void *page)
{
    Elf64_Nhdr note;
    memcpy(&note, page, sizeof note);
    const char *name = (const char *)page + sizeof note, *text = (const char *)page + VMCOREINFO_TEXT_AT;
    return note.n_namesz == sizeof vmcoreinfo_name && note.n_type == 0 && note.n_descsz > 10 &&
           note.n_descsz <= VMCOREINFO_BYTES_MAX && !memcmp(name, vmcoreinfo_name, sizeof vmcoreinfo_name) &&
           !memcmp(text, "OSRELEASE=", 10);
}

/* The value behind key in lines of KEY=VALUE; its length, 0: not there. */
static size_t line_value(const char *text, size_t bytes, const char *key, const char **value)
{
    size_t key_len = strlen(key);
    for (const char *p = text, *end = text + bytes; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((eol ? eol : end) - p);
        if (len > key_len && !memcmp(p, key, key_len)) {
            *value = p + key_len;
            return len - key_len;
        }
        p += len + 1;
    }
    return 0;
}

static bool contains(const uint8_t *bytes, size_t count, const char *text, size_t len)
{
    for (size_t i = 0; i + len < count; i++) /* < : its terminating 0 must be there too */
        if (!memcmp(bytes + i, text, len) && bytes[i + len] == 0)
            return true;
    return false;
}

/* The bytes from gpa on that lie behind one another in the file, at most want. */
static size_t bytes_from(const struct core_image *image, uint64_t gpa, size_t want)
{
    for (uint32_t i = 0; i < image->ram_count; i++) {
        const struct core_ram *r = &image->ram[i];
        if (gpa >= r->base && gpa - r->base < r->bytes)
            return min_u64(want, r->bytes - (gpa - r->base));
    }
    return 0;
}

const char *core_vmcoreinfo(const struct core_image *image, struct core_tables tables, uint64_t gpa, size_t *bytes)
{
    const uint8_t *note = page_at(image, gpa);
    if (!note || !core_page_is_vmcoreinfo(note))
        return NULL;
    const char *text = (const char *)note + VMCOREINFO_TEXT_AT, *release, *digits;
    *bytes = load32(note + offsetof(Elf64_Nhdr, n_descsz));
    if (bytes_from(image, gpa, VMCOREINFO_TEXT_AT + *bytes) < VMCOREINFO_TEXT_AT + *bytes)
        return NULL;
    size_t release_len = line_value(text, *bytes, "OSRELEASE=", &release);
    size_t digit_count = line_value(text, *bytes, "SYMBOL(init_uts_ns)=", &digits);
    char number[17] = {0};
    if (!release_len || !digit_count || digit_count >= sizeof number)
        return NULL;
    memcpy(number, digits, digit_count);
    uint64_t uts = core_translate(image, tables, strtoull(number, NULL, 16));
    size_t uts_bytes = uts == CORE_NOWHERE ? 0 : bytes_from(image, uts, UTS_BYTES);
    return contains(page_at(image, uts), uts_bytes, release, release_len) ? text : NULL;
}

/* ---- the file's headers ---- */

/* struct elf_prstatus of Linux on x86-64, with its struct user_regs_struct. */
struct core_regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
    uint64_t rip, cs, rflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

struct core_prstatus {
    int32_t signal[3];
    int16_t current_signal;
    int16_t zero;
    uint64_t pending, held;
    int32_t pid, ppid, pgrp, sid;
    int64_t times[4][2];
    struct core_regs regs;
    int32_t fp_valid;
    int32_t zero2;
};
_Static_assert(offsetof(struct core_prstatus, pid) == 32 && offsetof(struct core_prstatus, regs) == 112, "Linux ABI");
_Static_assert(sizeof(struct core_regs) == 27 * 8 && sizeof(struct core_prstatus) == 336, "Linux ABI");

static void fill_status(struct core_prstatus *p, const struct vcpu_state *cpu, uint32_t number)
{
    const uint64_t *g = cpu->gpr;
    const struct segment *s = cpu->seg;
    memset(p, 0, sizeof *p);
    p->pid = (int32_t)number + 1; /* gdb takes 0 for "no thread" */
    p->regs = (struct core_regs){
        .r15 = g[GPR_R15],
        .r14 = g[GPR_R14],
        .r13 = g[GPR_R13],
        .r12 = g[GPR_R12],
        .rbp = g[GPR_RBP],
        .rbx = g[GPR_RBX],
        .r11 = g[GPR_R11],
        .r10 = g[GPR_R10],
        .r9 = g[GPR_R9],
        .r8 = g[GPR_R8],
        .rax = g[GPR_RAX],
        .rcx = g[GPR_RCX],
        .rdx = g[GPR_RDX],
        .rsi = g[GPR_RSI],
        .rdi = g[GPR_RDI],
        .orig_rax = UINT64_MAX, /* in no system call */
        .rip = cpu->rip,
        .cs = s[SREG_CS].selector,
        .rflags = cpu->rflags,
        .rsp = g[GPR_RSP],
        .ss = s[SREG_SS].selector,
        .fs_base = s[SREG_FS].base,
        .gs_base = s[SREG_GS].base,
        .ds = s[SREG_DS].selector,
        .es = s[SREG_ES].selector,
        .fs = s[SREG_FS].selector,
        .gs = s[SREG_GS].selector,
    };
}

/* A place to write to: at counts on behind room, so that the bytes needed are known. */
struct core_out {
    uint8_t *bytes;
    size_t at, room;
};

static void put(struct core_out *out, const void *bytes, size_t count)
{
    if (out->at + count <= out->room)
        memcpy(out->bytes + out->at, bytes, count);
    out->at += count;
}

static void put_note(struct core_out *out, const char *name, uint32_t type, const void *content, size_t bytes)
{
    static const uint8_t zeros[4];
    Elf64_Nhdr note = {(uint32_t)strlen(name) + 1, (uint32_t)bytes, type};
    put(out, &note, sizeof note);
    put(out, name, note.n_namesz);
    put(out, zeros, (0 - note.n_namesz) & 3);
    put(out, content, bytes);
    put(out, zeros, (0 - bytes) & 3);
}

static void put_load(struct core_out *out, const struct core_image *image, struct core_load load)
{
    Elf64_Phdr header = {.p_type = PT_LOAD,
                         .p_flags = PF_R | PF_W | PF_X,
                         .p_offset = CORE_MEMORY_AT + core_offset(image, load.paddr),
                         .p_vaddr = load.vaddr,
                         .p_paddr = load.paddr,
                         .p_filesz = load.bytes,
                         .p_memsz = load.bytes}; /* p_align 0: by this crash tells a kdump from older formats */
    put(out, &header, sizeof header);
}

size_t core_headers(const struct core_content *content, uint8_t *bytes, size_t room)
{
    const struct core_image *image = content->image;
    struct core_out out = {bytes, 0, room};
    uint32_t count = 1 + image->ram_count + content->loads->count;
    Elf64_Ehdr elf = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                      .e_type = ET_CORE,
                      .e_machine = EM_X86_64,
                      .e_version = EV_CURRENT,
                      .e_phoff = sizeof elf,
                      .e_ehsize = sizeof elf,
                      .e_phentsize = sizeof(Elf64_Phdr),
                      .e_phnum = (uint16_t)count};
    if (count > CORE_HEADERS_MAX)
        return 0;
    put(&out, &elf, sizeof elf);
    size_t note_header = out.at, notes = sizeof elf + count * sizeof(Elf64_Phdr);
    Elf64_Phdr note = {.p_type = PT_NOTE, .p_offset = notes, .p_align = 4};
    put(&out, &note, sizeof note);
    for (uint32_t i = 0; i < image->ram_count; i++)
        put_load(&out, image, (struct core_load){image->ram[i].base, image->ram[i].base, image->ram[i].bytes});
    for (uint32_t i = 0; i < content->loads->count; i++)
        put_load(&out, image, content->loads->load[i]);
    for (uint32_t i = 0; i < content->cpu_count; i++) {
        struct core_prstatus status;
        fill_status(&status, &content->cpus[i], i);
        put_note(&out, "CORE", NT_PRSTATUS, &status, sizeof status);
    }
    if (content->vmcoreinfo)
        put_note(&out, vmcoreinfo_name, 0, content->vmcoreinfo, content->vmcoreinfo_bytes);
    size_t end = out.at;
    note.p_filesz = end - notes;
    out.at = note_header;
    put(&out, &note, sizeof note);
    return end <= room ? end : 0;
}
