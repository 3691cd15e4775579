/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment registers: selectors as they are read; hidden parts by what they do. In 64-bit mode base and limit of DS and
   ES have no effect, but they are there: 32-bit code of the kernel's, entered without loading any of them again, reads
   the last bytes inside and the first ones outside through each. The descriptor tables' own registers are seen by LAR and
   LSL, which look up the tables through them. */
#include "cpu.h"
#include "msr.h"
#include "prop.h"

#define SEGMENTS 4u
#define PROBE_BYTES 4u
#define DESC_DOWN BIT32(10) /* as LAR gives it, together with a clear CODE bit */
#define DESC_CODE BIT32(11)
#define DESC_AVL BIT(52)
#define DESC_BASE_SHIFT 16
#define BASE_FLIP BIT(6)
#define LAR_MASK 0x00f0ff00u
#define LOW_MASK MASK(31, 0)
#define HUGE BIT32(31)
#define TEXT_OFFSET_MASK MASK(9, 0)

static const char *const data_name[SEGMENTS] = {"ds", "es", "fs", "gs"};
static const char *const hidden_name[SEGMENTS] = {"ds_hidden", "es_hidden", "fs_hidden", "gs_hidden"};

static const struct table_row {
    const char *lar, *lsl;
    uint16_t selector;
} table_rows[] = {{"lar_code", "lsl_code", SEL_CODE},
                  {"lar_user", "lsl_user", SEL_USER_CODE32},
                  {"lar_kernel", "lsl_kernel", SEL_ODD_KERNEL},
                  {"lar_down", "lsl_down", SEL_ODD_DOWN},
                  {"lar_pages", "lsl_pages", SEL_ODD_PAGES},
                  {"lar_conforming", "lsl_conforming", SEL_ODD_CONFORMING},
                  {"lar_tss", "lsl_tss", SEL_TSS},
                  {"lar_ldt", "lsl_ldt", SEL_LDT},
                  {"lar_in_ldt", "lsl_in_ldt", SEL_LDT_ODD}};

static struct {
    uint64_t sel[SEGMENTS], fs_base, gs_base, ldtr, tr;
    struct pseudo_descriptor gdtr, idtr;
} wanted[KIT_CPUS_MAX], found[KIT_CPUS_MAX];

static uint16_t selector_of(const struct prop_phase *phase, unsigned n)
{
    return n == 0 ? phase->ds : n == 1 ? phase->es : n == 2 ? phase->fs : phase->gs;
}

static void load_selector(unsigned n, uint16_t selector)
{
    if (n == 0)
        cpu_write_ds(selector);
    else if (n == 1)
        cpu_write_es(selector);
    else if (n == 2)
        cpu_write_fs(selector);
    else
        cpu_write_gs(selector);
}

static uint16_t read_selector(unsigned n)
{
    return n == 0 ? cpu_read_ds() : n == 1 ? cpu_read_es() : n == 2 ? cpu_read_fs() : cpu_read_gs();
}

/* Canonical, odd, and the low half inside our text: that is where 32-bit code would find it. */
static uint64_t base_in_text(struct prop_cpu *p)
{
    return (prop_canonical(p) & ~LOW_MASK) | ((uint64_t)image_start + (prop_random(p) & TEXT_OFFSET_MASK));
}

static void read_registers(unsigned n)
{
    for (unsigned i = 0; i < SEGMENTS; i++)
        found[n].sel[i] = read_selector(i);
    found[n].fs_base = cpu_rdmsr(MSR_FS_BASE);
    found[n].gs_base = cpu_rdmsr(MSR_GS_BASE);
    found[n].ldtr = cpu_read_ldtr();
    found[n].tr = cpu_read_tr();
    __asm__ volatile("sgdt %0" : "=m"(found[n].gdtr));
    __asm__ volatile("sidt %0" : "=m"(found[n].idtr));
}

/* ---- hidden parts ---------------------------------------------------------------------------------------------- */

static bool probed(const struct prop_phase *phase, unsigned n)
{
    return (selector_of(phase, n) & ~SEL_RING3) != 0;
}

static uint64_t base_of(const struct prop_cpu *p, unsigned n)
{
    if (n >= 2 && p->phase->msr_bases)
        return (n == 2 ? wanted[p->cpu->number].fs_base : wanted[p->cpu->number].gs_base) & LOW_MASK;
    return kit_segment_base(p->cpu, selector_of(p->phase, n));
}

/* Two offsets for each segment. The last bytes of a huge one may be a device's, and a flat one has no outside: some text,
   twice. */
static void plan_probe(struct prop_cpu *p)
{
    for (unsigned n = 0; n < SEGMENTS; n++) {
        uint64_t *offset = &p->probe.offset[2 * n];
        offset[0] = offset[1] = 0;
        if (!probed(p->phase, n))
            continue;
        uint32_t limit = kit_segment_limit(p->cpu, selector_of(p->phase, n));
        uint32_t rights = kit_segment_rights(p->cpu, selector_of(p->phase, n));
        bool down = !(rights & DESC_CODE) && rights & DESC_DOWN;
        if (limit >= HUGE)
            offset[0] = offset[1] = (uint64_t)image_start;
        else {
            offset[0] = down ? limit + 1 : limit + 1 - PROBE_BYTES;
            offset[1] = down ? limit : limit + 1;
        }
    }
}

static void probe_now(struct prop_cpu *p)
{
    __asm__ volatile("mov %0, %%ss" : : "r"(SEL_DATA));
    prop_probe(&p->probe);
}

/* The emulator's own behaviour first: QEMU does not check segment limits at all. */
static void tell_unchecked(const struct prop_cpu *p)
{
    for (unsigned n = 0; n < SEGMENTS; n++)
        if (probed(p->phase, n) && p->probe.offset[2 * n] != p->probe.offset[2 * n + 1] && !p->probe.fault[2 * n + 1])
            prop_skip(p, hidden_name[n], "limits are not checked");
}

static uint32_t memory_at(uint64_t address)
{
    return load32((const void *)(address & LOW_MASK));
}

static void check_probe(struct prop_cpu *p, const uint64_t fault_before[2 * SEGMENTS])
{
    for (unsigned i = 0; i < 2 * SEGMENTS; i++) {
        unsigned n = i / 2;
        uint64_t expect = fault_before[i];
        prop_check_at(p, hidden_name[n], p->probe.fault[i], expect, p->probe.offset[i]);
        if (probed(p->phase, n) && !expect)
            prop_check_at(p, hidden_name[n], p->probe.value[i], memory_at(base_of(p, n) + p->probe.offset[i]),
                          p->probe.offset[i]);
    }
}

/* ---- fill, read, check ----------------------------------------------------------------------------------------- */

static uint32_t expected_rights[ARRAY_LEN(table_rows)][KIT_CPUS_MAX];
static uint32_t expected_limit[ARRAY_LEN(table_rows)][KIT_CPUS_MAX];
static uint64_t faults_before[KIT_CPUS_MAX][2 * SEGMENTS];

static void harm(struct prop_cpu *p)
{
    for (unsigned n = 0; n < SEGMENTS; n++) {
        uint16_t selector = selector_of(p->phase, n);
        uint32_t base_msr = n == 2 ? MSR_FS_BASE : MSR_GS_BASE;
        if (prop_harmed(p, data_name[n]))
            load_selector(n, selector == SEL_DATA ? SEL_USER_DATA | SEL_RING3 : SEL_DATA);
        if (!prop_harmed(p, hidden_name[n]) || !probed(p->phase, n))
            continue;
        if (n >= 2 && p->phase->msr_bases) {
            cpu_wrmsr(base_msr, cpu_rdmsr(base_msr) ^ BASE_FLIP);
            continue;
        }
        uint64_t *descriptor = kit_descriptor(p->cpu, selector), kept = load64(descriptor);
        store64(descriptor, kept ^ BASE_FLIP << DESC_BASE_SHIFT);
        load_selector(n, selector);
        store64(descriptor, kept);
    }
    if (prop_harmed(p, "fs_base"))
        cpu_wrmsr(MSR_FS_BASE, cpu_rdmsr(MSR_FS_BASE) ^ 1);
    if (prop_harmed(p, "gs_base"))
        cpu_wrmsr(MSR_GS_BASE, cpu_rdmsr(MSR_GS_BASE) ^ 1);
    if (prop_harmed(p, "ldtr"))
        cpu_lldt(0);
    struct pseudo_descriptor gdtr = p->cpu->gdtr, idtr = p->cpu->idtr;
    gdtr.limit = (uint16_t)(gdtr.limit ^ (prop_harmed(p, "gdtr_limit") ? 1 : 0));
    idtr.limit = (uint16_t)(idtr.limit ^ (prop_harmed(p, "idtr_limit") ? 1 : 0));
    gdtr.base += prop_harmed(p, "gdtr_base") ? KIT_PHYSMAP : 0; /* the same table, by its other address */
    cpu_lgdt(&gdtr);
    cpu_lidt(&idtr);
    if (prop_harmed(p, "lar_kernel"))
        store64(kit_descriptor(p->cpu, SEL_ODD_KERNEL), load64(kit_descriptor(p->cpu, SEL_ODD_KERNEL)) ^ DESC_AVL);
    if (prop_harmed(p, "lsl_kernel"))
        store64(kit_descriptor(p->cpu, SEL_ODD_KERNEL), load64(kit_descriptor(p->cpu, SEL_ODD_KERNEL)) ^ 1);
}

void prop_segments_fill(struct prop_cpu *p)
{
    unsigned n = p->cpu->number;
    for (size_t i = 0; i < ARRAY_LEN(table_rows); i++) {
        expected_rights[i][n] = kit_segment_rights(p->cpu, table_rows[i].selector);
        expected_limit[i][n] = kit_segment_limit(p->cpu, table_rows[i].selector);
    }
    for (unsigned i = 0; i < SEGMENTS; i++)
        load_selector(i, selector_of(p->phase, i));
    if (p->phase->msr_bases) {
        cpu_wrmsr(MSR_FS_BASE, base_in_text(p));
        cpu_wrmsr(MSR_GS_BASE, base_in_text(p));
    }
    read_registers(n);
    wanted[n] = found[n];
    plan_probe(p);
    probe_now(p);
    for (unsigned i = 0; i < 2 * SEGMENTS; i++)
        faults_before[n][i] = p->probe.fault[i];
    tell_unchecked(p);
    harm(p);
}

void prop_segments_read(struct prop_cpu *p)
{
    read_registers(p->cpu->number);
    probe_now(p);
}

static uint32_t lar(uint16_t selector)
{
    uint32_t rights = 0;
    __asm__("lar %1, %0" : "+r"(rights) : "r"((uint32_t)selector) : "cc");
    return rights & LAR_MASK;
}

static uint32_t lsl(uint16_t selector)
{
    uint32_t limit = 0;
    __asm__("lsl %1, %0" : "+r"(limit) : "r"((uint32_t)selector) : "cc");
    return limit;
}

void prop_segments_check(struct prop_cpu *p)
{
    unsigned n = p->cpu->number;
    for (unsigned i = 0; i < SEGMENTS; i++) {
        prop_check(p, data_name[i], found[n].sel[i], wanted[n].sel[i]);
        prop_check(p, data_name[i], found[n].sel[i], selector_of(p->phase, i));
    }
    prop_check(p, "fs_base", found[n].fs_base, wanted[n].fs_base);
    prop_check(p, "gs_base", found[n].gs_base, wanted[n].gs_base);
    prop_check(p, "ldtr", found[n].ldtr, SEL_LDT);
    prop_check(p, "tr", found[n].tr, SEL_TSS);
    prop_check(p, "gdtr_base", found[n].gdtr.base, p->cpu->gdtr.base);
    prop_check(p, "gdtr_limit", found[n].gdtr.limit, p->cpu->gdtr.limit);
    prop_check(p, "idtr_base", found[n].idtr.base, p->cpu->idtr.base);
    prop_check(p, "idtr_limit", found[n].idtr.limit, p->cpu->idtr.limit);
    check_probe(p, faults_before[n]);
    for (size_t i = 0; i < ARRAY_LEN(table_rows); i++) {
        const struct table_row *t = &table_rows[i];
        prop_check(p, t->lar, lar(t->selector), expected_rights[i][n]);
        prop_check(p, t->lsl, lsl(t->selector), expected_limit[i][n]);
    }
}

void prop_segments_list(void)
{
    static const char *const others[] = {"fs_base",    "gs_base",    "ldtr",       "gdtr_base",
                                         "gdtr_limit", "idtr_limit", "lar_kernel", "lsl_kernel"};
    for (unsigned i = 0; i < SEGMENTS; i++) {
        say(" ");
        say(data_name[i]);
        say(" ");
        say(hidden_name[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        say(" ");
        say(others[i]);
    }
}
