# SPDX-License-Identifier: Apache-2.0
# The smallest guest that boots from its disk: a boot sector that reads 32 KiB of the disk through the BIOS, says so on the
# serial port and stays. Ready within 0.1 s under tcg, so that a test can start many. What it says last is assembled in:
#     READY      says "READY" and halts           POWEROFF  says "READY" and powers off (ACPI PM1a at 0x604: machine pc)
#     SILENT     halts without a word             SPIN      says "spinning" and uses its CPU for ever
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
#if !defined(SILENT)
    movw $words, %si
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

packet:
    .byte 16, 0
    .word 64
    .word 0, 0x1000             # offset, segment
    .quad 128
words:
#if defined(SPIN)
    .asciz "spinning\r\n"
#else
    .asciz "booting\r\nREADY\r\n"
#endif
    .org 510
    .word 0xaa55
