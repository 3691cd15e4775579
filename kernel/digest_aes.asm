; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. void digest_aes(const struct image_range *ranges, uint64_t count, uint64_t key, struct digest_value *out)
;
; Sixteen bytes per instruction: AESENC state, block is a round of AES with the block as its round key (SDM 2 "AESENC-
; Perform One Round of an AES Encryption Flow"). For a given block it is a bijection of the state, and for a given state
; of the block: a change within one lane always changes the result, and changes in several cancel with a probability of
; 2^-128. Eight lanes, because the next round of a lane waits for the last one; then the lanes go into each other, and
; four more rounds let each bit reach every other.
;
; The only vector code in the image (tools/check-elf). The guest's registers are in the CPU: those used are put back,
; and an encoding without VEX leaves their upper halves alone. Runs with the host's CR0 (TS, EM clear) and CR4 (OSFXSR
; set), which visit_entry() and the gateway load before anything else. Ranges are whole chunks of 256 bytes, aligned to
; them: linker.ld checks that.
bits 64
default rel

BLOCK_BYTES     equ 16
LANES           equ 8
CHUNK_BYTES     equ 256
LAST_ROUNDS     equ 4

section .text.digest_aes progbits alloc exec nowrite align=16
global digest_aes:function
digest_aes:
    sub rsp, LANES * BLOCK_BYTES
%assign lane 0
%rep LANES
    movups [rsp + lane * BLOCK_BYTES], xmm %+ lane
%assign lane lane + 1
%endrep
    movq xmm0, rdx
    punpcklqdq xmm0, xmm0
%assign lane 1
%rep LANES - 1
    movdqa xmm %+ lane, xmm0
%assign lane lane + 1
%endrep
.range:
    mov r8, [rdi]
    mov r9, [rdi + 8]
    add rdi, 16
    sub r8, r9                  ; from the end, up to 0
    jz .next
    test r8d, CHUNK_BYTES
    jz .two
    sub r8, CHUNK_BYTES         ; an odd number of chunks begins with the second half
    jmp .one
%macro CHUNK 1
%assign block 0
%rep CHUNK_BYTES / BLOCK_BYTES
%assign lane block % LANES
    aesenc xmm %+ lane, [r9 + r8 + (%1) + block * BLOCK_BYTES]
%assign block block + 1
%endrep
%endmacro
.two:
    CHUNK 0
.one:
    CHUNK CHUNK_BYTES
    add r8, 2 * CHUNK_BYTES
    jnz .two
.next:
    dec rsi
    jnz .range
%assign lane 1
%rep LANES - 1
    aesenc xmm0, xmm %+ lane
%assign lane lane + 1
%endrep
    movq xmm1, rdx
%rep LAST_ROUNDS
    aesenc xmm0, xmm1
%endrep
    movups [rcx], xmm0
%assign lane 0
%rep LANES
    movups xmm %+ lane, [rsp + lane * BLOCK_BYTES]
%assign lane lane + 1
%endrep
    add rsp, LANES * BLOCK_BYTES
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
