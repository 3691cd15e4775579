/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. One guest instruction, decoded as far as the host must understand it: its length, and whether it is one of
   the simple accesses that emulate.c can carry out. Zydis finds the length; the class is decided here. */
#ifndef SOJOURN_KERNEL_INSN_H
#define SOJOURN_KERNEL_INSN_H

#include "types.h"
#include "vcpu_state.h"

#define INSN_BYTES_MAX 15

enum insn_mode { INSN_16, INSN_32, INSN_64 };

enum insn_class {
    INSN_OTHER,
    INSN_STORE,      /* memory = something; nothing else changes (MOV, MOVNTI, SETcc, vector stores) */
    INSN_STORE_ALU,  /* memory = memory op operand, flags change: ADD OR ADC SBB AND SUB XOR INC DEC NEG NOT */
    INSN_STORE_XCHG, /* register <-> memory */
    INSN_LOAD,       /* register = memory */
    INSN_LOAD_ZX,    /* MOVZX */
    INSN_LOAD_SX,    /* MOVSX, MOVSXD */
    INSN_STOS,
    INSN_MOVS,
    INSN_LODS,
    INSN_IN,
    INSN_OUT,
    INSN_INS,
    INSN_OUTS,
};

enum insn_alu {
    INSN_ALU_ADD,
    INSN_ALU_OR,
    INSN_ALU_ADC,
    INSN_ALU_SBB,
    INSN_ALU_AND,
    INSN_ALU_SUB,
    INSN_ALU_XOR,
    INSN_ALU_CMP,
    INSN_ALU_INC,
    INSN_ALU_DEC,
    INSN_ALU_NOT,
    INSN_ALU_NEG
};

enum insn_rep { INSN_REP_NONE, INSN_REP, INSN_REPNE };

struct insn {
    uint8_t len;
    enum insn_mode mode;
    enum insn_class class;
    enum insn_alu alu; /* INSN_STORE_ALU */
    enum insn_rep rep; /* string and port instructions only */
    bool lock;
    uint8_t map; /* 0 one-byte, 1 0F, 2 0F38, 3 0F3A; 0xff VEX, EVEX, XOP or 3DNow */
    uint8_t opcode;
    bool has_modrm, memory; /* memory: ModRM names a memory operand */
    uint8_t op_bytes;       /* width of the memory access: 1, 2, 4, 8; 0 for vector stores */
    uint8_t reg_bytes;      /* width of the register written (MOVZX: wider than the access) */
    uint8_t address_bytes;  /* 2, 4, 8 */
    uint8_t reg;            /* enum gpr; see high_byte */
    bool high_byte;         /* reg is AH, CH, DH or BH of RAX, RCX, RDX, RBX */
    bool has_imm;
    uint64_t imm;      /* sign-extended */
    enum sreg segment; /* of the memory operand named by rSI; ES for rDI forms is fixed */
};

/* The mode from CS's access rights and the control registers; rflags for virtual 8086. */
enum insn_mode insn_mode_of(uint64_t cr0, uint64_t efer, uint64_t rflags, uint32_t cs_ar);

/* false: truncated, or no instruction. len: how many bytes are there, at most INSN_BYTES_MAX are looked at. */
bool insn_decode(enum insn_mode mode, const uint8_t *bytes, size_t len, struct insn *insn) MUST_USE;

#endif
