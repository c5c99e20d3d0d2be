# shellcheck shell=bash disable=SC2034
# Debian's own installer as it comes for booting over a network: a kernel, and an initramfs that is the whole system.
# Here they are on a disk, and nothing but the boot loader reads them. SPDX-License-Identifier: Apache-2.0
codename=bookworm
packages=(debian-installer-12-netboot-amd64)
mmdebstrap_options=(--variant=extract)
disk_size=$((512 << 20))
uuid=7e9d4c1a-0b52-4f0e-9a63-64692d000001
kernel_args='console=ttyS0 quiet'

customize() {
    local root=$1 files=usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64
    ln -s "/$files/linux" "$root/boot/vmlinuz"
    ln -s "/$files/initrd.gz" "$root/boot/initrd.img"
}
