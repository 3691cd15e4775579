/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every register that 32-bit code can see: filled, and compared. */
#include "narrow.h"

#define EFLAGS_ODD 0x240ed7u /* ID, AC, and what arithmetic leaves; IF, DF */
#define EFLAGS_IOPL 0x3000u
#define DR7_ODD 0x9d550400u /* kinds and lengths, nothing armed */
#define MSR_SYSENTER_CS 0x174u
#define MSRS 3u

struct special {
    uint32_t cr0, cr2, cr3, cr4, dr[8], gdt_base, gdt_limit, idt_base, idt_limit, tr, ldtr, efer, sum;
    uint32_t msr[2 * MSRS];
};

static struct special want[CPUS_MAX];
static uint32_t seed; /* not among what is summed up */

static uint32_t random32(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed ^ seed >> 13;
}

#define READ(name, field) __asm__ volatile("mov %%" #name ", %0" : "=r"(s->field))
#define WRITE(name, value) __asm__ volatile("mov %0, %%" #name : : "r"(value))

static void read_special(struct special *s)
{
    struct pseudo32 g, i;
    READ(cr0, cr0);
    READ(cr2, cr2);
    READ(cr3, cr3);
    READ(cr4, cr4);
    READ(dr0, dr[0]);
    READ(dr1, dr[1]);
    READ(dr2, dr[2]);
    READ(dr3, dr[3]);
    s->dr[4] = s->dr[5] = 0;
    READ(dr6, dr[6]);
    READ(dr7, dr[7]);
    __asm__ volatile("sgdt %0\n sidt %1\n str %w2\n sldt %w3" : "=m"(g), "=m"(i), "=r"(s->tr), "=r"(s->ldtr));
    s->tr &= 0xffff;
    s->ldtr &= 0xffff;
    s->gdt_base = g.base;
    s->gdt_limit = g.limit;
    s->idt_base = i.base;
    s->idt_limit = i.limit;
    s->efer = (uint32_t)rdmsr(0xc0000080u);
    for (uint32_t n = 0; n < MSRS; n++) {
        s->msr[2 * n] = (uint32_t)rdmsr(MSR_SYSENTER_CS + n);
        s->msr[2 * n + 1] = (uint32_t)(rdmsr(MSR_SYSENTER_CS + n) >> 32);
    }
    s->sum = cpu_sum();
}

void hold_fill(struct cpu *c, uint32_t kind)
{
    struct hold *h = &c->hold;
    bool user = kind == 0;
    for (uint32_t i = 0; i < ARRAY_LEN(h->gpr); i++)
        h->gpr[i] = random32();
    h->eip = (uint32_t)(kind == 2 ? narrow_halt : narrow_spin);
    h->cs = user ? SEL_USER_CODE : SEL_CODE;
    h->eflags = EFLAGS_ODD;
    h->esp = random32();
    if (kind == 3)
        h->esp &= 0xffff;
    h->ss = SEL_USER_DATA;
    h->ds = user ? SEL_USER_DATA : SEL_ODD;
    h->es = user ? SEL_ODD : 0;
    h->fs = user ? SEL_READ_ONLY : SEL_LDT_ODD;
    h->gs = user ? SEL_LDT_ODD : SEL_READ_ONLY;
    if (kind == 3) {
        h->eflags = (EFLAGS_ODD & ~BIT32(18)) | EFLAGS_VM | EFLAGS_IOPL;
        h->cs = AP_PAGE >> 4;
        h->eip = (uint32_t)(narrow_v86 - narrow_ap_start);
        h->ss = 0x1230;
        h->ds = 0x2341;
        h->es = 0x3452;
        h->fs = 0x4563;
        h->gs = 0x5674;
    }
    __asm__ volatile("fninit\n fxsave %0" : "=m"(h->fx));
    for (uint32_t i = 32; i < 288; i++) /* eight x87 registers of ten bytes in sixteen, eight XMM registers */
        h->fx[i] = i >= 160 || i % 16 < 10 ? (uint8_t)random32() : 0;
    h->fx[4] = 0xff; /* none of the x87 registers empty */
    WRITE(cr2, random32());
    WRITE(dr0, random32());
    WRITE(dr1, random32());
    WRITE(dr2, random32());
    WRITE(dr3, random32());
    WRITE(dr6, 0xffff0ff0u | 5u);
    WRITE(dr7, DR7_ODD);
    wrmsr(MSR_SYSENTER_CS, random32() & 0xfffc);
    wrmsr(MSR_SYSENTER_CS + 1, random32());
    wrmsr(MSR_SYSENTER_CS + 2, random32());
    if (user) /* in the other address space */
        WRITE(cr3, cpu_second_root);
    c->nmis = c->checks = c->failed = 0;
    read_special(&want[c->number]);
}

static void check(struct cpu *c, const char *name, uint32_t number, uint32_t got, uint32_t expected)
{
    c->checks++;
    if (got == expected)
        return;
    c->failed++;
    say("narrow FAIL ");
    say(name);
    say_number(" number", number);
    say_number(" cpu", c->number);
    say_number(" got", got);
    say_number(" want", expected);
    say("\n");
}

static uint32_t null_or(uint32_t selector)
{
    return selector & ~3u ? selector : 0;
}

void hold_check(struct cpu *c)
{
    struct hold *h = &c->hold;
    const struct frame *f = &c->got;
    bool v86 = h->eflags & EFLAGS_VM, user = v86 || (h->cs & 3);
    struct special now;
    const uint32_t gpr[8] = {f->eax, f->ecx, f->edx, f->ebx, h->gpr[4], f->ebp, f->esi, f->edi};
    __asm__ volatile("fxsave %0" : "=m"(c->fx));
    read_special(&now);
    for (uint32_t i = 0; i < 8; i++)
        check(c, "gpr", i, gpr[i], h->gpr[i]);
    check(c, "esp", 0, user ? f->esp : f->kernel_esp + 20, user ? h->esp : h->saved);
    check(c, "cs", 0, f->cs, h->cs);
    if (user)
        check(c, "ss", 0, f->ss, h->ss);
    check(c, "eflags", 0, f->eflags, h->eflags);
    const uint32_t segments[4] = {h->ds, h->es, h->fs, h->gs}, in_v86[4] = {f->v86_ds, f->v86_es, f->v86_fs, f->v86_gs};
    const uint32_t got[4] = {f->ds, f->es, f->fs, f->gs};
    for (uint32_t i = 0; i < 4; i++) {
        check(c, "segment", i, (v86 ? in_v86[i] : got[i]) & 0xffff, v86 ? segments[i] : null_or(segments[i]));
        if (!v86)
            check(c, "segment hidden", i, f->probe[3 - i], cpu_segment_word(segments[i]));
    }
    for (uint32_t i = 0; i < sizeof now / 4; i++)
        check(c, "special", i, ((const uint32_t *)&now)[i], ((const uint32_t *)&want[c->number])[i]);
    for (uint32_t i = 0; i < 288; i += 4)
        check(c, "fx", i, load32(&c->fx[i]), load32(&h->fx[i]));
}
