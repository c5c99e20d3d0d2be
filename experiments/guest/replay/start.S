# SPDX-License-Identifier: Apache-2.0
# Where QEMU's -kernel enters (Multiboot 0.6.96, section 3): 32-bit protected mode, paging and interrupts off, %ebx = the
# multiboot information. Sets up what interrupts and SSE2 need, then calls replay(information).
    .section .text
    .globl _start
    .align 4
    .long 0x1badb002, 2, -(0x1badb002 + 2)      # flags: memory information wanted
_start:
    movl $stack_end, %esp
    lgdt gdt_pointer
    ljmp $8, $1f
1:  movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    lidt idt_pointer
    movl %cr0, %eax
    andl $~4, %eax              # no emulation of the FPU
    orl $2, %eax
    movl %eax, %cr0
    movl %cr4, %eax
    orl $0x600, %eax            # OSFXSR, OSXMMEXCPT: SSE2 may be used
    movl %eax, %cr4
    pushl %ebx
    call replay

# Halts for good.
    .globl halt
halt:
    cli
1:  hlt
    jmp 1b

# void wait_for_interrupt(void): interrupts are taken nowhere else. A handler does not return to the instruction behind
# the hlt but, its frame dropped, to our caller: some KVMs cannot do IRET in protected mode, and nothing here needs it.
    .globl wait_for_interrupt
wait_for_interrupt:
    sti
    hlt
    cli
    ret

    .globl on_timer, on_device, on_spurious
on_timer:
    movl $1, timer_fired
on_device:
    movl $0, 0xfee000b0         # end of interrupt, to the local APIC
on_spurious:
    addl $12, %esp
    ret

    .section .data
    .globl timer_fired
timer_fired:
    .long 0
    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    # code, flat
    .quad 0x00cf93000000ffff    # data, flat
gdt_pointer:
    .word . - gdt - 1
    .long gdt
    .globl idt
    .align 8
idt:
    .fill 256, 8, 0             # filled by set_handler()
idt_pointer:
    .word 256 * 8 - 1
    .long idt

    .section .bss
    .align 16
    .fill 16384
stack_end:
    .section .note.GNU-stack, "", @progbits
