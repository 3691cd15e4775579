/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The extended state: filled by XRSTOR of an image of random values, read back at once (that is what is wanted: an
   emulator may not keep everything), and read again after the wait. Without XSAVE: the same with FXSAVE's 512 bytes.
   SDM 1 13.4 "XSAVE Area", 10.5.1.1 "x87 State". */
#include "cpu.h"
#include "msr.h"
#include "prop.h"

#define FCW 0u
#define FSW 2u
#define FTW 4u
#define FOP 6u
#define FIP 8u
#define FDP 16u
#define MXCSR 24u
#define MXCSR_MASK 28u
#define ST(n) (32u + 16u * (n))
#define ST_BYTES 10u
#define XMM(n) (160u + 16u * (n))
#define XSTATE_BV 512u
#define HEADER_END 576u
#define CPUID_XSTATE 0xdu
#define COMPONENT_PKRU 9u
#define COMPONENTS 64u
#define REGISTERS 16u
#define X87_REGISTERS 8u

/* Rounding and precision odd, one exception unmasked whose flag is clear: nothing is pending. */
#define FCW_MASKS 0x3bu /* all but zero-divide */
#define FCW_FIXED 0x340u
#define FCW_ROUND(n) ((unsigned)(n) << 10)
#define FSW_FLAGS 0x4563u /* C3, C2, C0, SF, PE, DE, IE */
#define FSW_TOP(n) ((unsigned)(n) << 11)
#define FOP_MASK 0x7ffu
#define MXCSR_MASKS 0x1d80u /* all but denormal... whose flag is clear */
#define MXCSR_FLAGS 0x25u
#define MXCSR_ROUND(n) ((unsigned)(n) << 13)
#define MXCSR_FTZ BIT32(15)
#define MXCSR_DAZ BIT32(6)
#define PKRU_KEY0 3u
#define BACKGROUND 0xccu /* what no register holds: an emulator may not write all of the image */

static bool has_xsave;
static uint8_t zero_image[PROP_XSAVE_BYTES] ALIGNED(64);

void prop_fpu_setup(void)
{
    has_xsave = cpu_cpuid(1, 0).ecx & CPUID1_ECX_XSAVE;
}

static void ready(void)
{
    cpu_write_cr0(cpu_read_cr0() & ~(CR0_TS | CR0_EM));
    if (has_xsave)
        cpu_write_cr4(cpu_read_cr4() | CR4_OSXSAVE);
}

static void restore(const uint8_t *image)
{
    if (has_xsave)
        cpu_xrstor(image, cpu_xgetbv(0));
    else
        cpu_fxrstor(image);
}

static void save(uint8_t *image, uint8_t background)
{
    for (unsigned i = 0; i < PROP_XSAVE_BYTES; i++)
        image[i] = background;
    for (unsigned i = XSTATE_BV; i < HEADER_END; i++)
        image[i] = 0;
    if (has_xsave)
        cpu_xsave(image, cpu_xgetbv(0));
    else
        cpu_fxsave(image);
}

/* Where a component above SSE lies in the image; 0 bytes if it is not enabled. */
static unsigned component(unsigned n, uint32_t *offset)
{
    if (n < 2 || !has_xsave || !(cpu_xgetbv(0) & BIT(n)))
        return 0;
    struct cpuid_regs r = cpu_cpuid(CPUID_XSTATE, n);
    *offset = r.ebx;
    return r.ebx + r.eax <= PROP_XSAVE_BYTES ? r.eax : 0;
}

static void fill_image(struct prop_cpu *p)
{
    uint8_t *image = p->xsave_load;
    uint64_t r = prop_random(p);
    for (unsigned i = 0; i < PROP_XSAVE_BYTES; i++)
        image[i] = 0;
    store16(image + FCW, (uint16_t)(FCW_MASKS | FCW_FIXED | FCW_ROUND(r & 3)));
    store16(image + FSW, (uint16_t)(FSW_FLAGS | FSW_TOP(r >> 2 & 7)));
    image[FTW] = (uint8_t)(r >> 8 | 1);
    store16(image + FOP, (uint16_t)(r >> 16 & FOP_MASK));
    store64(image + FIP, prop_canonical(p));
    store64(image + FDP, prop_canonical(p));
    save(p->xsave_got, 0);
    uint32_t daz = load32(p->xsave_got + MXCSR_MASK) & MXCSR_DAZ;
    store32(image + MXCSR, (uint32_t)(MXCSR_MASKS | MXCSR_FLAGS | MXCSR_FTZ | daz | MXCSR_ROUND(r >> 5 & 3)));
    for (unsigned n = 0; n < X87_REGISTERS; n++) {
        store64(image + ST(n), prop_random(p) | BIT(63)); /* a normal number, and an MMX register's content */
        store16(image + ST(n) + 8, (uint16_t)(prop_random(p) & MASK(14, 0)));
    }
    for (unsigned n = 0; n < REGISTERS; n++) {
        store64(image + XMM(n), prop_random(p));
        store64(image + XMM(n) + 8, prop_random(p));
    }
    uint32_t offset = 0;
    for (unsigned n = 2; n < COMPONENTS; n++)
        for (unsigned i = 0, bytes = component(n, &offset); i + 8 <= bytes; i += 8)
            store64(image + offset + i,
                    n == COMPONENT_PKRU ? prop_random(p) & MASK(31, 0) & ~(uint64_t)PKRU_KEY0 : prop_random(p));
    if (has_xsave)
        store64(image + XSTATE_BV, cpu_xgetbv(0));
}

static const struct field {
    const char *name;
    unsigned offset, bytes;
} fields[] = {{"fcw", FCW, 2}, {"fsw", FSW, 2}, {"ftw", FTW, 1},     {"fop", FOP, 2},
              {"fip", FIP, 8}, {"fdp", FDP, 8}, {"mxcsr", MXCSR, 4}, {NULL, 0, 0}};

static const char *const st_name[X87_REGISTERS] = {"st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7"};
static const char *const xmm_name[REGISTERS] = {"xmm0", "xmm1", "xmm2",  "xmm3",  "xmm4",  "xmm5",  "xmm6",  "xmm7",
                                                "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"};
static const char *const component_name[] = {
    [2] = "ymm", [3] = "bndregs", [4] = "bndcsr", [5] = "opmask", [6] = "zmm_high", [7] = "zmm16_31", [9] = "pkru"};

static uint64_t part(const uint8_t *image, unsigned offset, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)image[offset + i] << (8 * i);
    return value;
}

/* Calls use() for each piece of at most eight bytes that has a meaning. */
static void each(struct prop_cpu *p, void (*use)(struct prop_cpu *, const char *, unsigned, unsigned))
{
    for (const struct field *f = fields; f->name; f++)
        use(p, f->name, f->offset, f->bytes);
    for (unsigned n = 0; n < X87_REGISTERS; n++) {
        use(p, st_name[n], ST(n), 8);
        use(p, st_name[n], ST(n) + 8, ST_BYTES - 8);
    }
    for (unsigned n = 0; n < REGISTERS; n++) {
        use(p, xmm_name[n], XMM(n), 8);
        use(p, xmm_name[n], XMM(n) + 8, 8);
    }
    uint32_t offset = 0;
    for (unsigned n = 2; n < COMPONENTS; n++) {
        const char *name = n < ARRAY_LEN(component_name) && component_name[n] ? component_name[n] : "xstate";
        for (unsigned i = 0, bytes = component(n, &offset); i < bytes; i += 8)
            use(p, name, offset + i, n == COMPONENT_PKRU ? 4 : 8);
    }
}

static void tell_unkept(struct prop_cpu *p, const char *name, unsigned offset, unsigned bytes)
{
    if (part(p->xsave_load, offset, bytes) != part(p->xsave_want, offset, bytes))
        prop_skip(p, name, "not kept");
}

/* A harm turns over the first byte of what it names; of a register, that is. */
static void harm(struct prop_cpu *p, const char *name, unsigned offset, unsigned bytes)
{
    (void)bytes;
    if (prop_harmed(p, name))
        p->xsave_load[offset] ^= offset == MXCSR ? MXCSR_FLAGS : 1;
}

/* The control registers stay as they were: the caller's come later. */
void prop_fpu_fill(struct prop_cpu *p)
{
    ready();
    if (has_xsave)
        (void)cpu_xsetbv_safe(0, prop_value_xcr0(p, 0));
    restore(zero_image); /* XRSTOR of components in their initial state */
    fill_image(p);
    restore(p->xsave_load);
    save(p->xsave_want, BACKGROUND);
    each(p, tell_unkept);
    if (*p->harm) {
        each(p, harm);
        restore(p->xsave_load);
    }
}

static void compare(struct prop_cpu *p, const char *name, unsigned offset, unsigned bytes)
{
    prop_check_at(p, name, part(p->xsave_got, offset, bytes), part(p->xsave_want, offset, bytes), offset);
}

void prop_fpu_check(struct prop_cpu *p)
{
    ready();
    save(p->xsave_got, BACKGROUND);
    each(p, compare);
}

void prop_fpu_list(void)
{
    for (const struct field *f = fields; f->name; f++) {
        say(" ");
        say(f->name);
    }
    for (unsigned n = 0; n < X87_REGISTERS; n++) {
        say(" ");
        say(st_name[n]);
    }
    for (unsigned n = 0; n < REGISTERS; n++) {
        say(" ");
        say(xmm_name[n]);
    }
    say(" ymm");
}
