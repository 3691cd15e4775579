/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Absent memory and absent ports; see emulate.h. SDM 2A 3.1.1 "Instruction Format" (operation of each
   instruction), SDM 1 3.4.3.1 "Status Flags", 7.3.9 "String Operations". */
#include "kernel/emulate.h"

#include "bits.h"
#include "msr.h"

#define RFLAGS_CF BIT(0)
#define RFLAGS_PF BIT(2)
#define RFLAGS_AF BIT(4)
#define RFLAGS_ZF BIT(6)
#define RFLAGS_SF BIT(7)
#define RFLAGS_DF BIT(10)
#define RFLAGS_OF BIT(11)
#define RFLAGS_STATUS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

#define BITS_PER_BYTE 8u
#define HIGH_BYTE_SHIFT 8

static uint64_t ones(uint8_t bytes)
{
    return bytes >= 8 ? ~0ull : BIT(bytes * BITS_PER_BYTE) - 1;
}

static uint64_t sign_bit(uint8_t bytes)
{
    return BIT(bytes * BITS_PER_BYTE - 1);
}

/* 32-bit results clear the upper half in 64-bit mode; narrower ones leave the rest alone. Outside 64-bit mode the
   upper half is not there, and clearing it is right as well. */
static uint64_t merge(uint64_t old, uint64_t value, uint8_t bytes)
{
    if (bytes == 8)
        return value;
    if (bytes == 4)
        return (uint32_t)value;
    return (old & ~ones(bytes)) | (value & ones(bytes));
}

static uint64_t read_register(const struct insn *in, const struct emu_regs *r)
{
    uint64_t value = in->high_byte ? r->gpr[in->reg] >> HIGH_BYTE_SHIFT : r->gpr[in->reg];
    return value & ones(in->reg_bytes);
}

static void write_register(const struct insn *in, struct emu_regs *r, uint64_t value)
{
    uint64_t *gpr = &r->gpr[in->reg];
    if (in->high_byte)
        *gpr = (*gpr & ~(ones(1) << HIGH_BYTE_SHIFT)) | (value & ones(1)) << HIGH_BYTE_SHIFT;
    else
        *gpr = merge(*gpr, value, in->reg_bytes);
}

static void finish(const struct insn *in, struct emu_regs *r)
{
    static const uint8_t ip_bytes[] = {[INSN_16] = 2, [INSN_32] = 4, [INSN_64] = 8};
    r->rip = (r->rip + in->len) & ones(ip_bytes[in->mode]);
    r->rflags &= ~RFLAGS_RF;
    r->shadow_ends = true;
}

/* ---- flags ------------------------------------------------------------------------------------------------------ */

static uint64_t result_flags(uint64_t result, uint8_t bytes)
{
    uint64_t flags = 0;
    result &= ones(bytes);
    if (result == 0)
        flags |= RFLAGS_ZF;
    if (result & sign_bit(bytes))
        flags |= RFLAGS_SF;
    if (!(count_ones(result & ones(1)) & 1))
        flags |= RFLAGS_PF;
    return flags;
}

/* a + b + carry. The carries out of every bit are (a & b) | ((a | b) & ~sum); overflow is a sign neither operand had.
 */
static uint64_t add_flags(uint64_t a, uint64_t b, uint64_t carry, uint8_t bytes)
{
    uint64_t sum = a + b + carry, carries = (a & b) | ((a | b) & ~sum);
    uint64_t flags = result_flags(sum, bytes);
    if (carries & sign_bit(bytes))
        flags |= RFLAGS_CF;
    if (carries & BIT(3))
        flags |= RFLAGS_AF;
    if ((a ^ sum) & (b ^ sum) & sign_bit(bytes))
        flags |= RFLAGS_OF;
    return flags;
}

/* a - b - borrow, likewise. */
static uint64_t sub_flags(uint64_t a, uint64_t b, uint64_t borrow, uint8_t bytes)
{
    uint64_t difference = a - b - borrow, borrows = (~a & b) | ((~a | b) & difference);
    uint64_t flags = result_flags(difference, bytes);
    if (borrows & sign_bit(bytes))
        flags |= RFLAGS_CF;
    if (borrows & BIT(3))
        flags |= RFLAGS_AF;
    if ((a ^ b) & (a ^ difference) & sign_bit(bytes))
        flags |= RFLAGS_OF;
    return flags;
}

static void set_flags(struct emu_regs *r, uint64_t which, uint64_t flags)
{
    r->rflags = (r->rflags & ~which) | (flags & which);
}

/* "memory op operand", the memory holding a: sets the flags, returns what would be stored. */
static uint64_t alu(const struct insn *in, struct emu_regs *r, uint64_t a)
{
    uint8_t bytes = in->op_bytes;
    uint64_t b = (in->has_imm ? in->imm : read_register(in, r)) & ones(bytes);
    uint64_t carry = r->rflags & RFLAGS_CF ? 1 : 0;
    switch (in->alu) {
    case INSN_ALU_ADD:
        set_flags(r, RFLAGS_STATUS, add_flags(a, b, 0, bytes));
        return a + b;
    case INSN_ALU_ADC:
        set_flags(r, RFLAGS_STATUS, add_flags(a, b, carry, bytes));
        return a + b + carry;
    case INSN_ALU_CMP:
        set_flags(r, RFLAGS_STATUS, sub_flags(a, b, 0, bytes));
        return a;
    case INSN_ALU_SUB:
        set_flags(r, RFLAGS_STATUS, sub_flags(a, b, 0, bytes));
        return a - b;
    case INSN_ALU_SBB:
        set_flags(r, RFLAGS_STATUS, sub_flags(a, b, carry, bytes));
        return a - b - carry;
    case INSN_ALU_OR:
        set_flags(r, RFLAGS_STATUS, result_flags(a | b, bytes));
        return a | b;
    case INSN_ALU_AND:
        set_flags(r, RFLAGS_STATUS, result_flags(a & b, bytes));
        return a & b;
    case INSN_ALU_XOR:
        set_flags(r, RFLAGS_STATUS, result_flags(a ^ b, bytes));
        return a ^ b;
    case INSN_ALU_INC:
        set_flags(r, RFLAGS_STATUS & ~RFLAGS_CF, add_flags(a, 1, 0, bytes));
        return a + 1;
    case INSN_ALU_DEC:
        set_flags(r, RFLAGS_STATUS & ~RFLAGS_CF, sub_flags(a, 1, 0, bytes));
        return a - 1;
    case INSN_ALU_NEG:
        set_flags(r, RFLAGS_STATUS, sub_flags(0, a, 0, bytes));
        return (uint64_t)0 - a;
    case INSN_ALU_NOT:
        return ~a;
    }
    return a;
}

/* ---- strings ---------------------------------------------------------------------------------------------------- */

static void step_index(const struct insn *in, struct emu_regs *r, enum gpr index)
{
    uint64_t step = r->rflags & RFLAGS_DF ? (uint64_t)0 - in->op_bytes : in->op_bytes;
    r->gpr[index] = merge(r->gpr[index], r->gpr[index] + step, in->address_bytes);
}

static uint64_t counter(const struct insn *in, const struct emu_regs *r)
{
    return r->gpr[GPR_RCX] & ones(in->address_bytes);
}

/* One element is done. RIP moves on with the last one. */
static void finish_string(const struct insn *in, struct emu_regs *r)
{
    if (in->rep != INSN_REP_NONE) {
        r->gpr[GPR_RCX] = merge(r->gpr[GPR_RCX], r->gpr[GPR_RCX] - 1, in->address_bytes);
        if (counter(in, r) != 0) {
            r->shadow_ends = true;
            return;
        }
    }
    finish(in, r);
}

/* A REP with counter zero touches nothing, so it cannot have faulted; should it come here it is simply over. */
static bool nothing_to_do(const struct insn *in, struct emu_regs *r)
{
    if (in->rep == INSN_REP_NONE || counter(in, r) != 0)
        return false;
    finish(in, r);
    return true;
}

/* ---- the questions ------------------------------------------------------------------------------------------------- */

bool emu_drop_write(const struct insn *in, struct emu_regs *r)
{
    switch (in->class) {
    case INSN_STORE:
        break;
    case INSN_STORE_ALU:
        (void)alu(in, r, ones(in->op_bytes));
        break;
    case INSN_STORE_XCHG:
        write_register(in, r, ones(in->op_bytes));
        break;
    case INSN_STOS:
    case INSN_MOVS:
        if (nothing_to_do(in, r))
            return true;
        step_index(in, r, GPR_RDI);
        if (in->class == INSN_MOVS)
            step_index(in, r, GPR_RSI);
        finish_string(in, r);
        return true;
    default:
        return false;
    }
    finish(in, r);
    return true;
}

/* MOV from a register or an immediate; not SETcc, not a vector's. */
static bool is_plain_store(const struct insn *in)
{
    return in->class == INSN_STORE && in->op_bytes && in->map == 0;
}

bool emu_device_write(const struct insn *in, struct emu_regs *r, uint64_t old, uint64_t *value)
{
    if (is_plain_store(in)) {
        *value = in->has_imm ? in->imm : read_register(in, r);
    } else if (in->class == INSN_STORE_XCHG) {
        *value = read_register(in, r);
        write_register(in, r, old);
    } else if (in->class == INSN_STORE_ALU) {
        *value = alu(in, r, old & ones(in->op_bytes));
    } else {
        return false;
    }
    *value &= ones(in->op_bytes);
    finish(in, r);
    return true;
}

bool emu_absent_read(const struct insn *in, struct emu_regs *r)
{
    switch (in->class) {
    case INSN_LOAD:
    case INSN_LOAD_ZX:
        write_register(in, r, ones(in->op_bytes));
        break;
    case INSN_LOAD_SX:
        write_register(in, r, ones(in->reg_bytes));
        break;
    case INSN_LODS:
        if (nothing_to_do(in, r))
            return true;
        write_register(in, r, ones(in->op_bytes));
        step_index(in, r, GPR_RSI);
        finish_string(in, r);
        return true;
    default:
        return false;
    }
    finish(in, r);
    return true;
}

bool emu_absent_port(const struct insn *in, struct emu_regs *r, struct emu_store *store)
{
    *store = (struct emu_store){0};
    switch (in->class) {
    case INSN_IN:
        r->gpr[GPR_RAX] = merge(r->gpr[GPR_RAX], ones(in->op_bytes), in->op_bytes);
        break;
    case INSN_OUT:
        break;
    case INSN_INS:
        if (nothing_to_do(in, r))
            return true;
        *store = (struct emu_store){true, r->gpr[GPR_RDI] & ones(in->address_bytes), in->op_bytes, ones(in->op_bytes)};
        step_index(in, r, GPR_RDI);
        finish_string(in, r);
        return true;
    case INSN_OUTS:
        if (nothing_to_do(in, r))
            return true;
        step_index(in, r, GPR_RSI);
        finish_string(in, r);
        return true;
    default:
        return false;
    }
    finish(in, r);
    return true;
}
