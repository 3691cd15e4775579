/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Instruction classes over Zydis's decoder in minimal mode (raw prefixes, opcode, ModRM, immediate). SDM 2A
   chapter 2 "Instruction Format" and 2D Appendix A "Opcode Map". Whatever is not listed here is INSN_OTHER: the host
   never guesses what an instruction does. */
#include "kernel/insn.h"

#include "bits.h"
#include "msr.h"

#include <Zydis/Decoder.h>

#define PREFIX_OPSIZE 0x66
#define PREFIX_ADDRSIZE 0x67
#define PREFIX_LOCK 0xf0
#define PREFIX_REPNE 0xf2
#define PREFIX_REP 0xf3

#define MAP_LEGACY 0
#define MAP_0F 1
#define MAP_OTHER 0xff
#define OPCODE_WIDE 1u /* bit 0 of most opcodes: operand size instead of byte */

struct prefixes {
    bool opsize, addrsize, lock;
    enum insn_rep rep;
    bool has_segment;
    enum sreg segment;
};

enum insn_mode insn_mode_of(uint64_t cr0, uint64_t efer, uint64_t rflags, uint32_t cs_ar)
{
    if (efer & EFER_LMA)
        return cs_ar & AR_L ? INSN_64 : cs_ar & AR_DB ? INSN_32 : INSN_16;
    /* Real mode takes the operand size from CS.D as well ("big real" code), virtual 8086 mode never does. */
    if ((cr0 & CR0_PE) && (rflags & RFLAGS_VM))
        return INSN_16;
    return cs_ar & AR_DB ? INSN_32 : INSN_16;
}

static void take_prefix(struct prefixes *p, uint8_t byte)
{
    switch (byte) {
    case PREFIX_OPSIZE:
        p->opsize = true;
        return;
    case PREFIX_ADDRSIZE:
        p->addrsize = true;
        return;
    case PREFIX_LOCK:
        p->lock = true;
        return;
    case PREFIX_REP:
        p->rep = INSN_REP;
        return;
    case PREFIX_REPNE:
        p->rep = INSN_REPNE;
        return;
    default:
        break;
    }
    static const uint8_t segment_prefix[] = {
        [SREG_ES] = 0x26, [SREG_CS] = 0x2e, [SREG_SS] = 0x36, [SREG_DS] = 0x3e, [SREG_FS] = 0x64, [SREG_GS] = 0x65};
    for (unsigned i = 0; i < ARRAY_LEN(segment_prefix); i++)
        if (byte == segment_prefix[i]) {
            p->has_segment = true;
            p->segment = (enum sreg)i;
        }
}

static struct prefixes read_prefixes(const ZydisDecodedInstruction *z)
{
    struct prefixes p = {.segment = SREG_DS};
    for (unsigned i = 0; i < z->raw.prefix_count; i++)
        take_prefix(&p, z->raw.prefixes[i].value);
    /* In 64-bit mode only FS and GS still have a base. */
    if (z->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 && p.segment != SREG_FS && p.segment != SREG_GS)
        p.segment = SREG_DS;
    return p;
}

static uint8_t address_bytes(enum insn_mode mode, bool toggled)
{
    if (mode == INSN_64)
        return toggled ? 4 : 8;
    return (mode == INSN_32) != toggled ? 4 : 2;
}

static uint8_t operand_bytes(enum insn_mode mode, bool toggled, bool rex_w)
{
    if (rex_w)
        return 8;
    if (mode == INSN_16)
        return toggled ? 4 : 2;
    return toggled ? 2 : 4;
}

/* ModRM.reg as a register of bytes width: without REX, byte registers 4 to 7 are AH, CH, DH, BH. */
static void set_register(struct insn *in, uint8_t number, uint8_t bytes, bool has_rex)
{
    in->reg_bytes = bytes;
    in->high_byte = bytes == 1 && !has_rex && number >= 4 && number < 8;
    in->reg = in->high_byte ? (uint8_t)(number - 4) : number;
}

static void set_store(struct insn *in, uint8_t bytes)
{
    in->class = INSN_STORE;
    in->op_bytes = bytes;
}

static void set_alu(struct insn *in, enum insn_alu alu, uint8_t bytes)
{
    in->class = INSN_STORE_ALU;
    in->alu = alu;
    in->op_bytes = bytes;
}

static void set_port(struct insn *in, enum insn_class class, uint8_t wide)
{
    in->class = class;
    in->op_bytes = in->opcode & OPCODE_WIDE ? wide : 1;
    /* There is no 64-bit port access; REX.W is ignored. */
    if (in->op_bytes == 8)
        in->op_bytes = 4;
}

/* Opcode groups: ModRM.reg continues the opcode. */
static void classify_group(struct insn *in, uint8_t group_op, uint8_t bytes)
{
    switch (in->opcode) {
    case 0x80: /* ALU Eb/Ev, imm; CMP only reads */
    case 0x81:
    case 0x82:
    case 0x83:
        if (group_op != INSN_ALU_CMP)
            set_alu(in, (enum insn_alu)group_op, bytes);
        return;
    case 0xc6: /* MOV Eb/Ev, imm */
    case 0xc7:
        if (group_op == 0)
            set_store(in, bytes);
        return;
    case 0xf6: /* NOT, NEG */
    case 0xf7:
        if (group_op == 2 || group_op == 3)
            set_alu(in, group_op == 2 ? INSN_ALU_NOT : INSN_ALU_NEG, bytes);
        return;
    case 0xfe: /* INC, DEC */
    case 0xff:
        if (group_op < 2)
            set_alu(in, group_op == 0 ? INSN_ALU_INC : INSN_ALU_DEC, bytes);
        return;
    default:
        return;
    }
}

static void classify_modrm(struct insn *in, uint8_t modrm_reg, uint8_t reg, uint8_t wide, bool has_rex)
{
    uint8_t bytes = in->opcode & OPCODE_WIDE ? wide : 1;
    /* 00-3F: eight ALU operations, forms 0 and 1 write memory. */
    if (in->opcode < 0x38 && (in->opcode & 7) < 2) {
        set_alu(in, (enum insn_alu)(in->opcode >> 3), bytes);
        set_register(in, reg, bytes, has_rex);
        return;
    }
    switch (in->opcode) {
    case 0x86: /* XCHG */
    case 0x87:
        in->class = INSN_STORE_XCHG;
        in->op_bytes = bytes;
        set_register(in, reg, bytes, has_rex);
        return;
    case 0x88: /* MOV Eb,Gb / Ev,Gv */
    case 0x89:
        set_store(in, bytes);
        set_register(in, reg, bytes, has_rex);
        return;
    case 0x8a: /* MOV Gb,Eb / Gv,Ev */
    case 0x8b:
        in->class = INSN_LOAD;
        in->op_bytes = bytes;
        set_register(in, reg, bytes, has_rex);
        return;
    case 0x8c: /* MOV Ew,Sreg: always 16 bits in memory; the register number is a segment's */
        set_store(in, 2);
        return;
    case 0x63: /* MOVSXD in 64-bit mode, else ARPL */
        if (in->mode == INSN_64) {
            in->class = INSN_LOAD_SX;
            in->op_bytes = wide == 2 ? 2 : 4;
            set_register(in, reg, wide, has_rex);
        }
        return;
    default:
        classify_group(in, modrm_reg, bytes);
        return;
    }
}

/* No ModRM: accumulator moves with an address, strings, ports. */
static void classify_plain(struct insn *in, uint8_t wide)
{
    uint8_t bytes = in->opcode & OPCODE_WIDE ? wide : 1;
    switch (in->opcode) {
    case 0xa0: /* MOV AL/rAX, moffs */
    case 0xa1:
        in->class = INSN_LOAD;
        in->memory = true;
        in->op_bytes = in->reg_bytes = bytes;
        return;
    case 0xa2: /* MOV moffs, AL/rAX */
    case 0xa3:
        set_store(in, bytes);
        in->memory = true;
        in->reg_bytes = bytes;
        return;
    case 0xa4:
    case 0xa5:
        in->class = INSN_MOVS;
        in->op_bytes = bytes;
        return;
    case 0xaa:
    case 0xab:
        in->class = INSN_STOS;
        in->op_bytes = bytes;
        return;
    case 0xac:
    case 0xad:
        in->class = INSN_LODS;
        in->op_bytes = in->reg_bytes = bytes;
        return;
    case 0x6c:
    case 0x6d:
        set_port(in, INSN_INS, wide);
        return;
    case 0x6e:
    case 0x6f:
        set_port(in, INSN_OUTS, wide);
        return;
    case 0xe4:
    case 0xe5:
    case 0xec:
    case 0xed:
        set_port(in, INSN_IN, wide);
        return;
    case 0xe6:
    case 0xe7:
    case 0xee:
    case 0xef:
        set_port(in, INSN_OUT, wide);
        return;
    default:
        return;
    }
}

static void classify_0f(struct insn *in, const struct prefixes *p, uint8_t reg, uint8_t wide, bool has_rex)
{
    switch (in->opcode) {
    case 0xb6: /* MOVZX Gv, Eb / Ew */
    case 0xb7:
        in->class = INSN_LOAD_ZX;
        in->op_bytes = in->opcode & OPCODE_WIDE ? 2 : 1;
        set_register(in, reg, wide, has_rex);
        return;
    case 0xbe: /* MOVSX Gv, Eb / Ew */
    case 0xbf:
        in->class = INSN_LOAD_SX;
        in->op_bytes = in->opcode & OPCODE_WIDE ? 2 : 1;
        set_register(in, reg, wide, has_rex);
        return;
    case 0xc3: /* MOVNTI */
        set_store(in, wide);
        set_register(in, reg, wide, has_rex);
        return;
    case 0x11: /* MOVUPS, MOVSS, MOVUPD, MOVSD */
    case 0x13: /* MOVLPS, MOVLPD */
    case 0x17: /* MOVHPS, MOVHPD */
    case 0x29: /* MOVAPS, MOVAPD */
    case 0x2b: /* MOVNTPS, MOVNTPD */
    case 0x7f: /* MOVQ, MOVDQA, MOVDQU */
    case 0xe7: /* MOVNTQ, MOVNTDQ */
        set_store(in, 0);
        return;
    case 0x7e: /* MOVD, MOVQ to memory; with F3 it is a load */
        if (p->rep == INSN_REP_NONE)
            set_store(in, 0);
        return;
    case 0xd6: /* MOVQ to memory */
        if (p->opsize)
            set_store(in, 0);
        return;
    default:
        /* SETcc */
        if (in->opcode >= 0x90 && in->opcode <= 0x9f)
            set_store(in, 1);
        return;
    }
}

static uint8_t map_number(const ZydisDecodedInstruction *z)
{
    if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return MAP_OTHER;
    switch (z->opcode_map) {
    case ZYDIS_OPCODE_MAP_DEFAULT:
        return MAP_LEGACY;
    case ZYDIS_OPCODE_MAP_0F:
        return MAP_0F;
    case ZYDIS_OPCODE_MAP_0F38:
        return 2;
    case ZYDIS_OPCODE_MAP_0F3A:
        return 3;
    default:
        return MAP_OTHER;
    }
}

static bool is_string_or_port(enum insn_class class)
{
    return class >= INSN_STOS;
}

static void classify(struct insn *in, const ZydisDecodedInstruction *z, const struct prefixes *p)
{
    bool has_rex = z->attributes & ZYDIS_ATTRIB_HAS_REX;
    uint8_t wide = operand_bytes(in->mode, p->opsize, has_rex && z->raw.rex.W);
    uint8_t reg = (uint8_t)(z->raw.modrm.reg | (has_rex && z->raw.rex.R ? 8 : 0));
    if (in->map == MAP_LEGACY && in->has_modrm)
        classify_modrm(in, z->raw.modrm.reg, reg, wide, has_rex);
    else if (in->map == MAP_LEGACY)
        classify_plain(in, wide);
    else if (in->map == MAP_0F)
        classify_0f(in, p, reg, wide, has_rex);
    /* A register operand where we look for memory: nothing can have faulted there. */
    if (in->has_modrm && !in->memory)
        in->class = INSN_OTHER;
    in->rep = is_string_or_port(in->class) ? p->rep : INSN_REP_NONE;
}

bool insn_decode(enum insn_mode mode, const uint8_t *bytes, size_t len, struct insn *in)
{
    static const struct {
        ZydisMachineMode machine;
        ZydisStackWidth stack;
    } modes[] = {
        [INSN_16] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
        [INSN_32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
        [INSN_64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
    };
    ZydisDecoder decoder;
    ZydisDecodedInstruction z;
    *in = (struct insn){.mode = mode};
    if ((unsigned)mode >= ARRAY_LEN(modes) || len == 0)
        return false;
    if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, modes[mode].machine, modes[mode].stack)))
        return false;
    /* A library built without the full tables refuses the switch: it has no other mode. */
    (void)ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
    if (len > INSN_BYTES_MAX)
        len = INSN_BYTES_MAX;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, len, &z)))
        return false;
    struct prefixes p = read_prefixes(&z);
    in->len = z.length;
    in->lock = p.lock;
    in->map = map_number(&z);
    in->opcode = z.opcode;
    in->has_modrm = z.attributes & ZYDIS_ATTRIB_HAS_MODRM;
    in->memory = in->has_modrm && z.raw.modrm.mod != 3;
    in->address_bytes = address_bytes(mode, p.addrsize);
    in->segment = p.segment;
    in->has_imm = z.raw.imm[0].size != 0;
    in->imm = z.raw.imm[0].value.u;
    classify(in, &z, &p);
    return true;
}
