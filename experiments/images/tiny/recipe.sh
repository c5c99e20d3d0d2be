# shellcheck shell=bash disable=SC2034,SC2154,SC2016
# The smallest guest that still boots like a real one: Debian's cloud kernel, a hand-made initramfs with just the
# disk's driver, and busybox reading a fixed set of files of a Debian userland. SPDX-License-Identifier: Apache-2.0
codename=bookworm
# busybox runs; the others are what is read, or merely lies around it as on a real disk.
packages=(linux-image-cloud-amd64 busybox-static perl python3-minimal openssh-client)
mmdebstrap_options=(--variant=extract)
disk_size=$((1 << 30))
uuid=7e9d4c1a-0b52-4f0e-9a63-746e79000001
kernel_args='ro console=ttyS0 quiet loglevel=3 net.ifnames=0 nokaslr cryptomgr.notests'
readonly boot_files_bytes=$((16 << 20))

customize() {
    local root=$1 kernel
    kernel=$(basename "$root"/lib/modules/*)
    ln -s "vmlinuz-$kernel" "$root/boot/vmlinuz"
    ln -sf /bin/busybox "$root/bin/sh"
    ln -sf /bin/busybox "$root/bin/login"
    mkdir -p "$root"/{proc,sys,root,sbin,var/log,var/lib}
    ln -sf /bin/busybox "$root/sbin/init"
    head --bytes=64K /dev/zero >"$root/var/lib/boot-count"
    choose_boot_files "$root" >"$root/etc/boot-files"
    make_initramfs "$root" "$kernel"
}

# The files that a boot reads: a sample of programs, libraries and modules of interpreters, in an order that has
# nothing to do with where they lie. The same tree gives the same sample.
choose_boot_files() {
    (
        cd "$1" || exit
        find usr/bin usr/lib usr/share/perl lib/x86_64-linux-gnu -type f -size +1k -size -2048k -printf '%s /%p\n' |
            sort --random-sort --random-source=<(yes) |
            awk -v limit="$boot_files_bytes" '(total += $1) <= limit { print $2 }'
    )
}

# Uncompressed: reading 2 MB costs an emulated CPU less than unpacking 1 MB.
make_initramfs() {
    local root=$1 kernel=$2 tree module
    tree=$(mktemp -d)
    on_exit rm -rf "$tree"
    mkdir -p "$tree"/{bin,dev,proc,root,"lib/modules/$kernel"}
    cp "$root/bin/busybox" "$tree/bin"
    install -m 755 "$recipe/initramfs-init" "$tree/init"
    for module in drivers/virtio/{virtio,virtio_ring,virtio_pci,virtio_pci_legacy_dev,virtio_pci_modern_dev} \
        drivers/block/virtio_blk; do
        cp "$root/lib/modules/$kernel/kernel/$module.ko" "$tree/lib/modules/$kernel"
    done
    "$tree/bin/busybox" depmod -b "$tree" "$kernel"
    find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    (cd "$tree" && find . | sort | bin/busybox cpio -o -H newc -R 0:0 --quiet) >"$root/boot/initrd.img"
}
