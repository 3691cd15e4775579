; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. The door between the worlds while the guest runs native.
;
;   guest's address space            gateway (same address in both)            host's address space
;   any instruction --- NMI ----> gateway_nmi
;                                   which CPU is this? its block
;                                   not ours: every register as it was -----> (guest's own NMI handler)
;                                   console byte: into the ring, IRETQ
;                                   end of line, ring full, output due, another CPU calls:
;                                   save context; host CR4, CR3, stack ----> gateway.host_entry (C)
;   the interrupted instruction <- IRETQ <- guest CR3, CR4, registers <----- gateway_out
;
; Code and data pages are neighbours; only RIP-relative references, so that they work at any address. NMIs stay blocked
; from gateway_nmi to the final IRETQ unless the host executes an IRETQ of its own.
; Nothing is left on the guest's NMI stack: below the CPU's frame Linux keeps its "NMI executing" mark and copies of
; an interrupted handler's frame. A CPU that does not know its block yet keeps its registers in a scratch area that a
; lock guards: taking it needs no register, and it is held for two dozen instructions that cannot fault.
; SDM 3A 6.7.1 "Handling Multiple NMIs", 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches".

%include "offsets.inc"

MSR_EFER        equ 0xc0000080
EFER_NXE        equ 1 << 11
CR4_PGE         equ 1 << 7
CPUID_FEATURES  equ 1           ; EBX 31:24: initial APIC id, which the guest cannot change
APIC_ID_SHIFT   equ 24
UART_IER        equ 1
UART_IIR        equ 2
UART_LSR        equ 5
IER_RECEIVE     equ 1
IER_BOTH        equ 3
IIR_NONE        equ 1
LSR_DATA        equ 1
LSR_THRE        equ 0x20
UART_FIFO       equ 16
CONSOLE_ROUNDS  equ 64          ; bound of the drain loop

%define GW(member) rel gateway + member
%define RAX_AT rbx + GC_GPR + 0 * 8
%define RCX_AT rbx + GC_GPR + 1 * 8
%define RDX_AT rbx + GC_GPR + 2 * 8
%define RBX_AT rbx + GC_GPR + 3 * 8
%define RSP_AT rbx + GC_GPR + 4 * 8
%define RBP_AT rbx + GC_GPR + 5 * 8
%define RSI_AT rbx + GC_GPR + 6 * 8
%define RDI_AT rbx + GC_GPR + 7 * 8
%define R_AT(number) rbx + GC_GPR + (number) * 8

bits 64
default rel
section .gateway.text progbits alloc exec nowrite align=16
global gateway_nmi, gateway_out, gateway_switched

gateway_nmi:
    db 0xf3, 0x0f, 0x1e, 0xfa   ; ENDBR64
.take:
    lock bts dword [GW(GW_LOCK)], 0
    jc .taken
    mov [GW(GW_SCRATCH + 0 * 8)], rax
    mov [GW(GW_SCRATCH + 1 * 8)], rbx
    mov [GW(GW_SCRATCH + 2 * 8)], rcx
    mov [GW(GW_SCRATCH + 3 * 8)], rdx
    mov eax, CPUID_FEATURES
    cpuid
    shr ebx, APIC_ID_SHIFT
    lea rax, [GW(GW_INDEX)]
    movzx ebx, byte [rax + rbx]
    cmp ebx, GW_NO_CPU
    je stranger
    imul ebx, ebx, GW_CPU_BYTES
    lea rax, [GW(GW_CPU)]
    add rbx, rax                ; from here on: this CPU's block
    mov rax, [GW(GW_SCRATCH + 0 * 8)]
    mov [RAX_AT], rax
    mov rax, [GW(GW_SCRATCH + 1 * 8)]
    mov [RBX_AT], rax
    mov rax, [GW(GW_SCRATCH + 2 * 8)]
    mov [RCX_AT], rax
    mov rax, [GW(GW_SCRATCH + 3 * 8)]
    mov [RDX_AT], rax
    mov dword [GW(GW_LOCK)], 0
    rdtsc
    mov [rbx + GC_TSC_IN], eax
    mov [rbx + GC_TSC_IN + 4], edx
    cmp dword [rbx + GC_CALLED], 0
    jne called
    cmp dword [rbx + GC_HAS_CONSOLE], 0
    je no_cause
    mov edx, [GW(GW_UART_PORT)]
    test edx, edx
    jz no_cause
    add edx, UART_IIR
    in al, dx
    test al, IIR_NONE
    jnz no_cause                ; an absent UART reads FF: no cause either
    jmp console
.taken:
    pause
    cmp dword [GW(GW_LOCK)], 0
    jne .taken
    jmp .take

; A CPU that the firmware did not list: whatever it is doing, it is not under the host.
stranger:
    mov rax, [GW(GW_SCRATCH + 0 * 8)]
    mov rbx, [GW(GW_SCRATCH + 1 * 8)]
    mov rcx, [GW(GW_SCRATCH + 2 * 8)]
    mov rdx, [GW(GW_SCRATCH + 3 * 8)]
    mov dword [GW(GW_LOCK)], 0
    jmp [GW(GW_GUEST_NMI)]

called:
    mov dword [rbx + GC_OWED], 0
    inc qword [rbx + GC_OURS]
    jmp switch_in

console:
    mov [RSI_AT], rsi
    mov [RDI_AT], rdi
    xor esi, esi                ; world switch wanted
    mov rcx, [GW(GW_TIMER_TSC)]
    dec rcx
    cmp rcx, [rbx + GC_TSC_IN]
    adc esi, esi                ; the timer's NMI may be one with it: the host looks
    mov ecx, CONSOLE_ROUNDS
    inc qword [rbx + GC_OURS]
    ; All causes off: the line goes low, and what happens from here on makes no edge, whose NMI would find no cause any
    ; more. Switched on again, a cause that is there makes one.
    mov edx, [GW(GW_UART_PORT)]
    add edx, UART_IER
    xor eax, eax
    mov [GW(GW_UART_IER)], eax
    out dx, al

.round:
    mov edx, [GW(GW_UART_PORT)]
    add edx, UART_LSR
    in al, dx
    test al, LSR_DATA
    jz .transmit
    mov edx, [GW(GW_UART_PORT)]
    in al, dx                   ; the received byte; reading it re-arms the edge
    mov edx, [GW(GW_RX_HEAD)]
    mov edi, edx
    sub edi, [GW(GW_RX_TAIL)]
    cmp edi, GW_RX_SIZE
    jae .overrun
    mov edi, edx
    and edi, GW_RX_SIZE - 1
    lea rdx, [GW(GW_RX)]
    mov [rdx + rdi], al
    inc dword [GW(GW_RX_HEAD)]
    cmp al, 0x20                ; anything but a printable byte is for the host's line editor
    jb .wanted
    cmp al, 0x7f
    jae .wanted
    mov edx, [GW(GW_RX_HEAD)]
    sub edx, [GW(GW_RX_TAIL)]
    cmp edx, GW_RX_SIZE * 3 / 4
    jae .wanted
    cmp dword [GW(GW_ECHO)], 0
    je .next
    mov edi, [GW(GW_TX_HEAD)]
    mov edx, edi
    sub edx, [GW(GW_TX_TAIL)]
    cmp edx, GW_TX_SIZE
    jae .next
    and edi, GW_TX_SIZE - 1
    lea rdx, [GW(GW_TX)]
    mov [rdx + rdi], al
    inc dword [GW(GW_TX_HEAD)]
    jmp .next
.overrun:
    inc dword [GW(GW_RX_OVERRUN)]
.wanted:                        ; what else the UART has is not to be echoed here: the line before it ends first
    jmp .switch
.next:
    dec ecx
    jnz .round
    jmp .transmit_rearm

.transmit:
    test al, LSR_THRE
    jz .transmit_rearm
    mov ecx, UART_FIFO
.byte:
    mov edi, [GW(GW_TX_TAIL)]
    cmp edi, [GW(GW_TX_HEAD)]
    je .empty
    and edi, GW_TX_SIZE - 1
    lea rdx, [GW(GW_TX)]
    mov al, [rdx + rdi]
    mov edx, [GW(GW_UART_PORT)]
    out dx, al
    inc dword [GW(GW_TX_TAIL)]
    dec ecx
    jnz .byte
    jmp .transmit_rearm
.empty:
    cmp dword [GW(GW_TX_MORE)], 0
    je .transmit_rearm
    mov esi, 1                  ; the host has more

.transmit_rearm:
    test esi, esi
    jnz .switch                 ; the host goes on
    mov edx, [GW(GW_UART_PORT)]
    add edx, UART_IER
    mov eax, IER_BOTH           ; more to send here, or with the host
    cmp dword [GW(GW_TX_MORE)], 0
    jne .ier
    mov edi, [GW(GW_TX_HEAD)]
    cmp edi, [GW(GW_TX_TAIL)]
    jne .ier
    mov al, IER_RECEIVE
.ier:
    mov [GW(GW_UART_IER)], eax
    out dx, al
    mov rsi, [RSI_AT]
    mov rdi, [RDI_AT]
    mov rax, [rsp]
    mov [GW(GW_FORGIVE_RIP)], rax
    rdtsc
    mov [GW(GW_FORGIVE_TSC)], eax
    mov [GW(GW_FORGIVE_TSC + 4)], edx
    mov dword [GW(GW_FORGIVE)], 1
    jmp resume
.switch:
    mov rsi, [RSI_AT]
    mov rdi, [RDI_AT]
    jmp switch_in

resume:
    mov rdx, [RDX_AT]
    mov rcx, [RCX_AT]
    mov rax, [RAX_AT]
    mov rbx, [RBX_AT]
    iretq

; Nobody calls, and the console is quiet. Still ours: an NMI from another CPU whose call was noticed before it came.
no_cause:
    xor eax, eax
    xchg eax, [rbx + GC_OWED]
    test eax, eax
    jz .not_owed
    cmp dword [rbx + GC_CALLED], 0 ; a call made meanwhile sends no NMI of its own if one was owed
    jne called
    jmp resume
.not_owed:
    ; Bytes that came before the causes were off may have made an edge each: their NMI was latched while NMIs were
    ; blocked, finds no cause any more, and comes before the resumed guest has executed anything. The same RIP alone
    ; would not say so: in a short loop the guest's own NMI finds it there, too, only later.
    cmp dword [rbx + GC_HAS_CONSOLE], 0
    je .guests
    ; The host's timer: an edge leaves no trace in the HPET, whose registers are not mapped here either. The time says
    ; roughly whether it can be, and the host looks at the counter. 0 less one is the end of time: none.
    mov rcx, [GW(GW_TIMER_TSC)]
    dec rcx
    cmp rcx, [rbx + GC_TSC_IN]
    jb .timer
    btr qword [GW(GW_TIMER_TSC)], GW_TIMER_PASS
    cmp dword [GW(GW_FORGIVE)], 0
    je .guests
    mov dword [GW(GW_FORGIVE)], 0
    mov rax, [rsp]
    cmp rax, [GW(GW_FORGIVE_RIP)]
    jne .guests
    mov rax, [rbx + GC_TSC_IN]
    sub rax, [GW(GW_FORGIVE_TSC)]
    cmp rax, [GW(GW_FORGIVE_CYCLES)]
    jb resume
.guests:
    inc qword [rbx + GC_FOREIGN]
    mov rdx, [RDX_AT]
    mov rcx, [RCX_AT]
    mov rax, [rbx + GC_GUEST_NMI]
    cmp rax, [GW(GW_GUEST_NMI)]
    jne .own_handler
    mov rax, [RAX_AT]
    mov rbx, [RBX_AT]
    jmp [GW(GW_GUEST_NMI)]
.timer:
    mov qword [GW(GW_TIMER_TSC)], 0
    inc qword [rbx + GC_OURS]
    jmp switch_in
.own_handler:
    ; CPUs with IDTs and handlers of their own: the address goes where the handler's first push will go.
    mov [rsp - 8], rax
    mov rax, [RAX_AT]
    mov rbx, [RBX_AT]
    jmp [rsp - 8]

; The world switch, inwards. RAX, RCX, RDX and RBX are saved already.
switch_in:
    mov dword [rbx + GC_IN_HOST], 1
    mov [RBP_AT], rbp
    mov [RSI_AT], rsi
    mov [RDI_AT], rdi
%assign n 8
%rep 8
    mov [R_AT(n)], r %+ n
%assign n n + 1
%endrep
%assign slot 0
%rep 5
    mov rax, [rsp + 8 * slot]
    mov [rbx + GC_FRAME + 8 * slot], rax
%assign slot slot + 1
%endrep
    mov rax, [rsp + 24]
    mov [RSP_AT], rax
    mov rax, cr0
    mov [rbx + GC_CR0], rax
    mov rax, cr3
    mov [rbx + GC_CR3], rax
    mov rax, cr4
    mov [rbx + GC_CR4], rax
    mov rax, cr2                ; a page fault of the host's own would overwrite it
    mov [rbx + GC_CR2], rax
    mov rax, dr7
    mov [rbx + GC_DR7], rax
    xor eax, eax
    mov dr7, rax                ; the guest's breakpoints are addresses of its world
    sgdt [rbx + GC_GDTR]
    sidt [rbx + GC_IDTR]
    mov ecx, MSR_EFER
    rdmsr
    mov [rbx + GC_EFER], eax
    mov [rbx + GC_EFER + 4], edx
    test eax, EFER_NXE
    jnz .nx
    or eax, EFER_NXE            ; the host's tables use the bit
    wrmsr
.nx:
gateway_switched:               ; a 32-bit guest's NMI comes in here (kernel/bridge32.asm)
    ; CR4 first: it drops PCIDE (else the CR3 write would keep another PCID's entries), PGE (flushing global entries),
    ; SMEP, SMAP and CET while still on the guest's tables.
    mov rax, [GW(GW_HOST_CR4)]
    mov cr4, rax
    mov rax, [GW(GW_HOST_CR3)]
    mov cr3, rax
    mov rsp, [rbx + GC_HOST_RSP]
    lgdt [rbx + GC_HOST_GDTR]
    lidt [GW(GW_HOST_IDTR)]
    cld
    xor ebp, ebp
    push qword [GW(GW_HOST_CS)]
    push qword [GW(GW_HOST_ENTRY)]
    retfq

; The world switch, outwards: jumped to at the gateway's address, on the host's tables, NMIs blocked, TR, segment
; registers and MSRs already the guest's; RDI: this CPU's block, at the gateway's address. GDTR, IDTR, CR0, CR2, CR3,
; CR4, EFER, DR7 and the general registers follow here.
gateway_out:
    mov rbx, rdi
    mov rax, [rbx + GC_CR3_BASE]
    mov cr3, rax
    mov rax, [rbx + GC_CR4]
    mov rcx, rax
    or rcx, CR4_PGE
    mov cr4, rcx                ; PGE 0 -> 1 flushes every PCID and all globals that an earlier stay left behind
    mov cr4, rax
    mov rax, [rbx + GC_CR3]
    mov cr3, rax
    mov rax, [rbx + GC_CR2]
    mov cr2, rax
    mov rax, [rbx + GC_CR0]
    mov cr0, rax
    lgdt [rbx + GC_GDTR]
    lidt [rbx + GC_IDTR]
    mov ecx, MSR_EFER
    mov eax, [rbx + GC_EFER]
    mov edx, [rbx + GC_EFER + 4]
    wrmsr
    mov rcx, [RCX_AT]
    mov rdx, [RDX_AT]
    mov rbp, [RBP_AT]
    mov rsi, [RSI_AT]
    mov rdi, [RDI_AT]
%assign n 8
%rep 8
    mov r %+ n, [R_AT(n)]
%assign n n + 1
%endrep
    lea rsp, [rbx + GC_FRAME]
    mov rax, [rbx + GC_DR7]
    mov dr7, rax
    mov rax, [RAX_AT]
    mov rbx, [RBX_AT]
    iretq

section .gateway.data nobits alloc noexec write align=4096
global gateway
gateway:
    resb GW_BYTES
    resb -GW_BYTES & 4095       ; to the end of its last page

section .note.GNU-stack noalloc noexec nowrite progbits
