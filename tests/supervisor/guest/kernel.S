# SPDX-License-Identifier: Apache-2.0
# A guest that is started as a kernel (-kernel), for machines whose firmware boots no disk: a Multiboot header (version 1,
# section 3.1), 32-bit protected mode, "READY" on the serial port.
    .section .text
    .globl _start
    .align 4
    .long 0x1badb002, 0, -0x1badb002
_start:
    movl $words, %esi
    movw $0x3f8, %dx
1:  lodsb
    testb %al, %al
    jz 2f
    outb %al, %dx
    jmp 1b
2:  cli
3:  hlt
    jmp 3b
words:
    .asciz "booting\r\nREADY\r\n"
