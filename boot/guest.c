/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. From modules to a guest that can be started. The kind is told by the first module's content. All pieces,
   the low block with the tables included, are placed together, so that none can lie on another; then apply runs the
   moves, zeroes what must be zero and writes the tables, which come from the host's copies and not from guest memory.

     low block:  | GDT page | boot_params, or Multiboot information ... | command line | setup_data | RSDP copy |   */
#include "boot/guest.h"

#include "bits.h"
#include "hostmem.h"
#include "str.h"

#include <string.h>

#define LOW_PREFERRED 0x10000u
#define LOW_END 0x9f000u
#define MODULES_MIN 0x100000u
#define CR0_PE BIT(0)
#define CR0_ET BIT(4)
#define RFLAGS_FIXED BIT(1)
#define DR6_INIT 0xffff0ff0u
#define DR7_INIT 0x400u
#define PAT_INIT 0x0007040600070406ull
#define XCR0_X87 1u
#define FLAT_LIMIT 0xffffffffu
#define TSS_LIMIT_INIT 0xffffu /* SDM 3A table 9-1 "IA-32 and Intel 64 Processor States Following Power-up ..." */
#define AR_CODE_FLAT (0xbu | AR_S | AR_P | AR_DB | AR_G)
#define AR_DATA_FLAT (0x3u | AR_S | AR_P | AR_DB | AR_G)
#define AR_TSS32_BUSY (0xbu | AR_P)
#define AR_LDT (0x2u | AR_P)

/* "32-bit Boot Protocol": __BOOT_CS 0x10 execute/read, __BOOT_DS 0x18 read/write, both 4 GiB flat. Accessed bits are
   set, so the CPU never writes to the table. Multiboot asks for the same without naming selectors. */
#define BOOT_CS 0x10u
#define BOOT_DS 0x18u
static const uint64_t boot_gdt[] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};

const char *guest_kind_name(enum guest_kind kind)
{
    return kind == GUEST_LINUX ? "linux" : "multiboot1";
}

static void *at_phys(uint64_t pa)
{
    return phys_to_virt((hpa_t){pa});
}

/* RAM that may be written: not the host's own. */
static void free_memory(const struct boot_info *bi, const struct memmap *map, struct place_free *f)
{
    place_free_from_map(f, map);
    for (uint32_t i = 0; i < bi->keep_count; i++)
        place_free_remove(f, bi->keep[i].base, bi->keep[i].end);
}

enum err guest_clear(struct boot_info *bi, const struct memmap *map, uint64_t base, uint64_t end, char *why,
                     size_t why_bytes)
{
    static struct place_free f;
    free_memory(bi, map, &f);
    place_free_remove(&f, base, end);
    place_free_remove(&f, bi->info_start, bi->info_end);
    for (uint32_t i = 0; i < bi->module_count; i++)
        place_free_remove(&f, bi->module[i].start, bi->module[i].end);
    for (uint32_t i = 0; i < bi->module_count; i++) {
        struct boot_module *m = &bi->module[i];
        if (m->start >= end || m->end <= base || m->start == m->end)
            continue;
        /* Above the first megabyte when possible: low memory is scarce, and the guest's tables go there. */
        struct place_piece p = {
            .name = "module",
            .mode = PLACE_HIGH,
            .from = m->start,
            .bytes = m->end - m->start,
            .reserve = m->end - m->start,
            .align = PAGE_BYTES,
            .max = MEMMAP_BELOW_4G,
        };
        enum err e = place_choose(&p, 1, &f, why, why_bytes);
        if (e != E_OK)
            return e;
        memmove(at_phys(p.to), at_phys(p.from), p.bytes);
        m->start = p.to;
        m->end = p.to + p.bytes;
        place_free_remove(&f, m->start, m->end);
    }
    return E_OK;
}

static struct place_piece *add_piece(struct guest_plan *plan, const char *name, enum place_mode mode, uint64_t from,
                                     uint64_t bytes, uint64_t reserve)
{
    struct place_piece *p = &plan->piece[plan->piece_count++];
    *p = (struct place_piece){
        .name = name,
        .mode = mode,
        .from = from,
        .bytes = bytes,
        .reserve = max_u64(bytes, reserve),
        .align = PAGE_BYTES,
        .max = MEMMAP_BELOW_4G,
    };
    return p;
}

static void add_low(struct guest_plan *plan, uint32_t bytes)
{
    plan->low_bytes = (uint32_t)align_up(bytes, PAGE_BYTES);
    struct place_piece *p = add_piece(plan, "boot tables", PLACE_LOW, 0, 0, plan->low_bytes);
    p->min = LOW_PREFERRED;
    p->max = LOW_END;
}

/* Choose targets; the low block falls back to anywhere in the first 640 KiB. Pieces are in order of need. */
static enum err place_all(struct guest_plan *plan, struct place_piece *low, char *why, size_t why_bytes)
{
    static struct place_free f;
    free_memory(plan->bi, plan->map, &f);
    enum err e = place_choose(plan->piece, plan->piece_count, &f, why, why_bytes);
    if (e == E_NOMEM && low->to == 0) {
        low->min = PAGE_BYTES;
        e = place_choose(plan->piece, plan->piece_count, &f, why, why_bytes);
    }
    if (e != E_OK)
        return e;
    plan->low = (uint32_t)low->to;
    return place_order(plan->piece, plan->piece_count, &f, &plan->ops, why, why_bytes);
}

static enum err plan_linux(struct guest_plan *plan, char *why, size_t why_bytes)
{
    const struct boot_info *bi = plan->bi;
    const struct boot_module *kernel = &bi->module[0];
    const struct boot_module *initrd = bi->module_count > 1 ? &bi->module[1] : NULL;
    struct linux_kernel *k = &plan->bzimage;
    enum err e = linux_check(at_phys(kernel->start), kernel->end - kernel->start, k, why, why_bytes);
    if (e != E_OK)
        return e;
    plan->cmdline = boot_string(bi, kernel->args);
    size_t cmdline_bytes = strlen(plan->cmdline) + 1;
    if (cmdline_bytes - 1 > k->cmdline_max) {
        str_format(why, why_bytes, "the kernel's command line has %u characters; it takes %u",
                   (unsigned)(cmdline_bytes - 1), (unsigned)k->cmdline_max);
        return E_BADMODULE;
    }
    if (bi->module_count > 2)
        str_format(plan->note, sizeof plan->note, "Linux takes one initrd; %u more modules are ignored",
                   (unsigned)(bi->module_count - 2));
    add_low(plan, 0);
    struct place_piece *low = &plan->piece[0];
    bool copy_rsdp = bi->rsdp_address == 0 && bi->rsdp_bytes != 0;
    uint32_t at = 2 * PAGE_BYTES; /* GDT page, boot_params */
    uint32_t cmdline_at = at;
    at += (uint32_t)align_up(cmdline_bytes, 8);
    uint32_t setup_data_at = at;
    /* Marking the RSDP copy cuts the map into up to two entries more: leave room for those. */
    at += (uint32_t)align_up(linux_setup_data_bytes(k, plan->map) + 3 * 20 + 16, 8);
    uint32_t rsdp_at = (uint32_t)align_up(at, PAGE_BYTES);
    plan->low_bytes = rsdp_at + (copy_rsdp ? PAGE_BYTES : 0);
    low->reserve = plan->low_bytes;

    struct place_piece *p = add_piece(plan, "kernel", k->relocatable ? PLACE_LOW : PLACE_FIXED,
                                      kernel->start + k->setup_bytes, k->kernel_bytes, k->init_bytes);
    p->min = p->to = k->preferred;
    p->align = k->relocatable ? k->alignment : 1;
    if (initrd) {
        struct place_piece *r = add_piece(plan, "initrd", PLACE_HIGH, initrd->start, initrd->end - initrd->start, 0);
        r->min = LOW_END;
        r->max = min_u64(k->initrd_end_max, MEMMAP_BELOW_4G);
    }
    e = place_all(plan, low, why, why_bytes);
    if (e != E_OK)
        return e;

    if (copy_rsdp) {
        plan->rsdp_copy = plan->low + rsdp_at;
        e = memmap_set(&plan->guest_map, plan->rsdp_copy, plan->rsdp_copy + PAGE_BYTES, MEMMAP_ACPI);
        if (e != E_OK)
            return e;
    }
    plan->linux_start = (struct linux_start){
        .kernel = (uint32_t)plan->piece[1].to,
        .initrd = initrd ? (uint32_t)plan->piece[2].to : 0,
        .initrd_bytes = initrd ? (uint32_t)plan->piece[2].bytes : 0,
        .cmdline = plan->low + cmdline_at,
        .rsdp = copy_rsdp ? plan->rsdp_copy : bi->rsdp_address,
        .setup_data = plan->low + setup_data_at,
        .map = &plan->guest_map,
        .fb = &bi->fb,
    };
    plan->entry.eip = plan->linux_start.kernel;
    plan->entry.esi = plan->low + PAGE_BYTES;
    return E_OK;
}

static enum err plan_mb1(struct guest_plan *plan, char *why, size_t why_bytes)
{
    const struct boot_info *bi = plan->bi;
    const struct boot_module *kernel = &bi->module[0];
    struct mb1_kernel *k = &plan->multiboot;
    struct mb1_start *s = &plan->mb1_start;
    enum err e = mb1_check(at_phys(kernel->start), kernel->end - kernel->start, k, why, why_bytes);
    if (e != E_OK)
        return e;
    if (k->wants_video)
        str_format(plan->note, sizeof plan->note, "the kernel asked for a video mode; the screen stays as it is");
    uint64_t after = 0;
    for (uint32_t i = 0; i < k->segment_count; i++) {
        const struct mb1_segment *seg = &k->segment[i];
        struct place_piece *p =
            add_piece(plan, "kernel segment", PLACE_FIXED, kernel->start + seg->offset, seg->file_bytes, seg->bytes);
        p->to = seg->address;
        p->align = 1;
        after = max_u64(after, (uint64_t)seg->address + seg->bytes);
    }
    *s = (struct mb1_start){
        .bi = bi,
        .map = &plan->guest_map,
        .cmdline = boot_string(bi, kernel->string), /* the whole: a Multiboot kernel skips its own name */
        .module_count = bi->module_count - 1,
    };
    for (uint32_t i = 0; i < s->module_count; i++)
        s->module[i].string = boot_string(bi, bi->module[i + 1].string);
    add_low(plan, PAGE_BYTES + mb1_info_bytes(s));
    struct place_piece *low = &plan->piece[plan->piece_count - 1];
    uint32_t first_module = plan->piece_count;
    for (uint32_t i = 0; i < s->module_count; i++) {
        const struct boot_module *m = &bi->module[i + 1];
        /* Behind the kernel and page-aligned, asked for or not, as other loaders do it. */
        struct place_piece *p = add_piece(plan, "module", PLACE_LOW, m->start, m->end - m->start, 0);
        p->min = max_u64(after, MODULES_MIN);
    }
    e = place_all(plan, low, why, why_bytes);
    if (e != E_OK)
        return e;
    for (uint32_t i = 0; i < s->module_count; i++) {
        const struct place_piece *p = &plan->piece[first_module + i];
        s->module[i].start = (uint32_t)p->to;
        s->module[i].end = (uint32_t)(p->to + p->bytes);
    }
    plan->entry.eip = k->entry;
    plan->entry.eax = MB1_BOOTLOADER_MAGIC;
    plan->entry.ebx = plan->low + PAGE_BYTES;
    return E_OK;
}

enum err guest_plan(const struct boot_info *bi, const struct memmap *edited, struct guest_plan *out, char *why,
                    size_t why_bytes)
{
    memset(out, 0, sizeof *out);
    out->bi = bi;
    out->map = edited;
    out->guest_map = *edited;
    if (bi->module_count == 0) {
        str_format(why, why_bytes, "the loader gave no module");
        return E_NOMODULE;
    }
    const struct boot_module *m = &bi->module[0];
    const void *file = at_phys(m->start);
    enum err e;
    if (linux_is_kernel(file, m->end - m->start)) {
        out->kind = GUEST_LINUX;
        e = plan_linux(out, why, why_bytes);
    } else if (mb1_is_kernel(file, m->end - m->start)) {
        out->kind = GUEST_MB1;
        e = plan_mb1(out, why, why_bytes);
    } else {
        str_format(why, why_bytes, "module \"%.60s\" of %u bytes has neither signature", boot_string(bi, m->string),
                   (unsigned)(m->end - m->start));
        return E_BADMODULE;
    }
    out->entry.gdt_base = out->low;
    out->entry.gdt_limit = sizeof boot_gdt - 1;
    out->entry.cs = BOOT_CS;
    out->entry.ds = BOOT_DS;
    return e;
}

static void apply_linux(const struct guest_plan *plan)
{
    const struct linux_start *s = &plan->linux_start;
    bool more = linux_setup_data_bytes(&plan->bzimage, s->map) != 0;
    linux_write_params(&plan->bzimage, s, at_phys(plan->entry.esi), more ? at_phys(s->setup_data) : NULL);
    memcpy(at_phys(s->cmdline), plan->cmdline, strlen(plan->cmdline) + 1);
    if (plan->rsdp_copy)
        memcpy(at_phys(plan->rsdp_copy), plan->bi->rsdp, plan->bi->rsdp_bytes);
}

void guest_apply(const struct guest_plan *plan)
{
    for (uint32_t i = 0; i < plan->ops.count; i++) {
        const struct place_op *op = &plan->ops.op[i];
        memmove(at_phys(op->to), at_phys(op->from), op->bytes);
    }
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct place_piece *p = &plan->piece[i];
        /* bss of a segment, and the low block; Linux clears its own. */
        if (plan->kind == GUEST_MB1 || p->bytes == 0)
            memset(at_phys(p->to + p->bytes), 0, p->reserve - p->bytes);
    }
    memcpy(at_phys(plan->entry.gdt_base), boot_gdt, sizeof boot_gdt);
    if (plan->kind == GUEST_LINUX)
        apply_linux(plan);
    else
        mb1_write_info(&plan->mb1_start, at_phys(plan->entry.ebx), plan->entry.ebx);
}

void guest_entry_state(const struct guest_entry *entry, struct vcpu_state *s)
{
    static const enum sreg data[] = {SREG_ES, SREG_SS, SREG_DS, SREG_FS, SREG_GS};
    memset(s->gpr, 0, sizeof s->gpr);
    s->gpr[GPR_RAX] = entry->eax;
    s->gpr[GPR_RBX] = entry->ebx;
    s->gpr[GPR_RSI] = entry->esi;
    s->rip = entry->eip;
    s->rflags = RFLAGS_FIXED;
    for (size_t i = 0; i < ARRAY_LEN(data); i++)
        s->seg[data[i]] = (struct segment){.selector = entry->ds, .access_rights = AR_DATA_FLAT, .limit = FLAT_LIMIT};
    s->seg[SREG_CS] = (struct segment){.selector = entry->cs, .access_rights = AR_CODE_FLAT, .limit = FLAT_LIMIT};
    s->seg[SREG_LDTR] = (struct segment){.access_rights = AR_LDT, .limit = TSS_LIMIT_INIT};
    s->seg[SREG_TR] = (struct segment){.access_rights = AR_TSS32_BUSY, .limit = TSS_LIMIT_INIT};
    s->gdtr = (struct table_register){.base = entry->gdt_base, .limit = entry->gdt_limit};
    s->idtr = (struct table_register){0};
    s->cr0 = CR0_PE | CR0_ET;
    s->cr2 = s->cr3 = s->cr4 = s->cr8 = 0;
    memset(s->dr, 0, sizeof s->dr);
    s->dr6 = DR6_INIT;
    s->dr7 = DR7_INIT;
    s->xcr0 = XCR0_X87;
    s->msr[VMSR_EFER] = 0;
    s->msr_present |= BIT(VMSR_EFER);
    if (!(s->msr_present & BIT(VMSR_PAT))) {
        s->msr[VMSR_PAT] = PAT_INIT;
        s->msr_present |= BIT(VMSR_PAT);
    }
    s->activity = ACTIVITY_ACTIVE;
    s->block_sti = s->block_mov_ss = s->block_nmi = 0;
    s->event = (struct vcpu_event){0};
    s->pending_debug = 0;
}
