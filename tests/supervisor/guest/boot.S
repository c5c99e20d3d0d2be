# SPDX-License-Identifier: Apache-2.0
# The smallest guest that boots from its disk: a boot sector that reads 32 KiB of the disk through the BIOS, says so on the
# serial port and stays. Ready within 0.1 s under tcg, so that a test can start many. What it says last is assembled in:
#     READY      says "READY" and halts           POWEROFF  says "READY" and powers off (ACPI PM1a at 0x604: machine pc)
#     SILENT     halts without a word             SPIN      says "spinning" and uses its CPU for ever
#     CPU        says in one line what CPUID has told it, and whether that makes an x86-64-v2 (x86-64 psABI, 3.1.1)
#define V2 (1 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23) /* sse3, ssse3, cx16, sse4.1, sse4.2, popcnt */
    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    sti
    movb $0x42, %ah             # extended read: 64 sectors from LBA 128 to 0x10000
    movw $packet, %si
    int $0x13
    jc halt
    movw $words, %si
#if defined(CPU)
    movw $leaves, %di
5:  movl (%di), %eax
    xorl %ecx, %ecx
    cpuid
    pushl %edx
    pushl %ecx
    pushl %ebx
    movw $4, %bp
6:  call say_hex                # of %eax, then of what was pushed
    popl %eax
    decw %bp
    jnz 6b
    pushl %eax                  # popped one too many
    addw $4, %di
    cmpw $end_of_leaves, %di
    jne 5b
    movl $1, %eax
    cpuid
    andl $V2, %ecx
    cmpl $V2, %ecx
    je 1f
    movw $no, %si
1:
#endif
#if !defined(SILENT)
    movw $0x3f8, %dx
1:  lodsb
    testb %al, %al
    jz 2f
    outb %al, %dx
    jmp 1b
2:
#endif
#if defined(POWEROFF)
    movw $0x604, %dx
    movw $0x2000, %ax
    outw %ax, %dx
#endif
#if defined(SPIN)
3:  jmp 3b
#endif
halt:
    cli
4:  hlt
    jmp 4b

#if defined(CPU)
say_hex:
    movl %eax, %ebx
    movw $8, %cx
    movw $0x3f8, %dx
1:  roll $4, %ebx
    movb %bl, %al
    andb $15, %al
    cmpb $10, %al
    jb 2f
    addb $'a' - '0' - 10, %al
2:  addb $'0', %al
    outb %al, %dx
    loopw 1b
    movb $' ', %al
    outb %al, %dx
    ret
leaves:
    .long 1, 7, 13, 0x40000000, 0x40000001, 0x80000001, 0x80000008
end_of_leaves:
no: .asciz "x86-64-v2 no\r\n"
#endif
packet:
    .byte 16, 0
    .word 64
    .word 0, 0x1000             # offset, segment
    .quad 128
words:
#if defined(SPIN)
    .asciz "spinning\r\n"
#elif defined(CPU)
    .asciz "x86-64-v2 yes\r\n"
#else
    .asciz "booting\r\nREADY\r\n"
#endif
    .org 510
    .word 0xaa55
