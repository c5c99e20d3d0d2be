# shellcheck shell=bash disable=SC2154
# A folder made into a disk that boots by itself under a PC's BIOS, without root, mounts or loop devices.
#
# Layout: sector 0 holds GRUB's boot.img and the partition table; GRUB's core.img follows in the gap before
# the only partition, which starts at 1 MiB and holds an ext4 file system that mke2fs fills from the folder.
# A stock boot.img looks for core.img in sector 1, and a stock core.img for its rest from sector 2 on, so
# nothing has to be patched as long as core.img lies there in one piece.
# SPDX-License-Identifier: Apache-2.0

readonly grub_dir=/usr/lib/grub/i386-pc
readonly partition_offset=$((1 << 20))

# make_disk ROOT DISK: writes the raw image DISK from the tree ROOT, using the recipe's disk_size (bytes), uuid and
# kernel_args. ROOT must hold /boot/vmlinuz and /boot/initrd.img, which may be links.
make_disk() {
    local root=$1 disk=$2 core
    mkdir -p "$root/boot/grub"
    grub_config >"$root/boot/grub/grub.cfg"

    core=$(mktemp)
    on_exit rm -f "$core"
    grub-mkimage --format=i386-pc --directory="$grub_dir" --prefix='(,msdos1)/boot/grub' --output="$core" \
        biosdisk part_msdos ext2 normal linux smbios
    (($(stat -c %s "$core") <= partition_offset - 512)) || die "GRUB's core.img does not fit before the partition"

    truncate --size="$disk_size" "$disk"
    mke2fs -q -t ext4 -b 4096 -L root -U "$uuid" -O ^resize_inode -m 1 -d "$root" \
        -E "offset=$partition_offset,hash_seed=$uuid,lazy_itable_init=0,lazy_journal_init=0" \
        "$disk" $(((disk_size - partition_offset) / 4096))
    put_bytes "$disk" 0 < <(head --bytes=440 "$grub_dir/boot.img")
    put_bytes "$disk" 440 < <(partition_table)
    put_bytes "$disk" 512 <"$core"
}

# What one VM adds to the kernel's arguments is the asset tag of its SMBIOS baseboard (-smbios type=2,asset=...).
# An emulated guest on a busy host may get too few timer interrupts while its kernel counts them, and panics; under KVM the
# kernel does not count.
grub_config() {
    cat <<END
smbios --type 2 --get-string 8 --set vm_args
linux /boot/vmlinuz root=UUID=$uuid no_timer_check $kernel_args \$vm_args
initrd /boot/initrd.img
boot
END
}

# The disk's signature, one active Linux partition, three empty ones.
partition_table() {
    le32 $((16#${uuid%%-*}))
    printf '\0\0'
    printf '\x80\xfe\xff\xff\x83\xfe\xff\xff'
    le32 $((partition_offset / 512))
    le32 $(((disk_size - partition_offset) / 512))
    head --bytes=48 /dev/zero
    printf '\x55\xaa'
}

le32() {
    local byte
    for byte in $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); do
        # shellcheck disable=SC2059
        printf "\\x$(printf %02x "$byte")"
    done
}

# put_bytes FILE OFFSET: overwrites FILE at OFFSET with stdin.
put_bytes() {
    dd of="$1" oflag=seek_bytes seek="$2" bs=64K conv=notrunc status=none
}
