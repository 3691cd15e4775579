; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. void hash_fold_avx2(uint64_t lanes[8], const void *page, const uint8_t *secret)
;
; The long loop of XXH3 over one page (hash_fold() in hash.c is the same as scalar code): 64 stripes of 64 bytes, each
; under its own part of the secret, and after every 16th the lanes are scrambled, but for the last.
;
; The vector registers are the guest's, and so is XCR0, which may not enable them: what this touches is enabled, saved,
; and put back, whole components at a time, because an encoding with VEX clears what lies above its 256 bits. XRSTOR also
; brings back which of them are in their initial state. Runs with the host's CR0 (TS and EM clear) and CR4 (OSXSAVE set), on
; one CPU at a time.
bits 64
default rel

STRIPE_BYTES        equ 64
STRIPES             equ 64      ; in a page
STRIPES_PER_BLOCK   equ 16
SECRET_STEP         equ 8       ; from one stripe to the next
SCRAMBLE_SECRET     equ 128
PRIME32_1           equ 0x9e3779b1
AREA_BYTES          equ 4096    ; kernel/base.c checks it

section .bss.hash_avx2 nobits alloc noexec write align=64
area: resb AREA_BYTES
; The caller's: components of the XSAVE area that hold vectors, as bits of XCR0; all that this CPU has.
global hash_avx2_components:data
hash_avx2_components: resd 1

; lanes, offset in the stripe: add the product of the halves of (data ^ secret), and the data to the lane's neighbour
%macro FOLD 2
    vmovdqu ymm2, [rsi + %2]
    vpxor ymm3, ymm2, [rdx + %2]
    vpshufd ymm4, ymm3, 0x31
    vpmuludq ymm3, ymm3, ymm4
    vpshufd ymm2, ymm2, 0x4e
    vpaddq %1, %1, ymm2
    vpaddq %1, %1, ymm3
%endmacro

; lanes, offset: (lane ^ lane >> 47 ^ secret) * PRIME32_1
%macro SCRAMBLE 2
    vpsrlq ymm2, %1, 47
    vpxor %1, %1, ymm2
    vpxor %1, %1, [r9 + SCRAMBLE_SECRET + %2]
    vpsrlq ymm2, %1, 32
    vpmuludq ymm2, ymm2, ymm5
    vpmuludq %1, %1, ymm5
    vpsllq ymm2, ymm2, 32
    vpaddq %1, %1, ymm2
%endmacro

section .text.hash_fold_avx2 progbits alloc exec nowrite align=16
global hash_fold_avx2:function
hash_fold_avx2:
    mov r9, rdx
    xor ecx, ecx
    xgetbv
    mov r8d, eax
    mov r10d, edx
    mov r11d, [hash_avx2_components]
    or eax, r11d
    cmp eax, r8d
    je .enabled
    xsetbv
.enabled:
    mov eax, r11d
    xor edx, edx
    xsave64 [area]

    mov eax, PRIME32_1
    vmovd xmm5, eax
    vpbroadcastd ymm5, xmm5
    vmovdqu ymm0, [rdi]
    vmovdqu ymm1, [rdi + 32]
    mov eax, STRIPES / STRIPES_PER_BLOCK
.block:
    mov rdx, r9
    mov ecx, STRIPES_PER_BLOCK
    cmp eax, 2
    sbb ecx, 0                  ; one less in the last block
.stripe:
    FOLD ymm0, 0
    FOLD ymm1, 32
    add rsi, STRIPE_BYTES
    add rdx, SECRET_STEP
    dec ecx
    jnz .stripe
    dec eax
    js .done
    jz .last
    SCRAMBLE ymm0, 0
    SCRAMBLE ymm1, 32
    jmp .block
.last:                          ; the last stripe has the secret's last bytes but 7, which is one byte on
    inc rdx
    inc ecx
    jmp .stripe
.done:
    vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm1

    mov eax, r11d
    xor edx, edx
    xrstor64 [area]
    xor ecx, ecx
    mov edx, r10d
    or r11d, r8d
    mov eax, r8d
    cmp r11d, eax
    je .restored
    xsetbv
.restored:
    ret
