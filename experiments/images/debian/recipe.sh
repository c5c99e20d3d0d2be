# shellcheck shell=bash disable=SC2034,SC2154,SC2016
# A small Debian server as it comes: systemd, udev, networkd, sshd, guest agent, initramfs-tools' own initramfs.
# SPDX-License-Identifier: Apache-2.0
codename=bookworm
packages=(linux-image-cloud-amd64 initramfs-tools zstd systemd-sysv udev dbus libpam-systemd openssh-server
    qemu-guest-agent iproute2 iputils-ping procps less nano python3-minimal ca-certificates)
mmdebstrap_options=(--variant=minbase
    --customize-hook='chroot "$1" systemctl --quiet enable systemd-networkd'
    --customize-hook='chroot "$1" systemctl --quiet disable systemd-networkd-wait-online apt-daily.timer apt-daily-upgrade.timer'
    --customize-hook='chroot "$1" passwd --quiet --delete root')
disk_size=$((2 << 30))
uuid=7e9d4c1a-0b52-4f0e-9a63-646562000001
kernel_args='ro console=ttyS0 quiet'

customize() {
    local root=$1 kernel
    kernel=$(basename "$root"/lib/modules/*)
    ln -sf "vmlinuz-$kernel" "$root/boot/vmlinuz"
    ln -sf "initrd.img-$kernel" "$root/boot/initrd.img"
    printf 'UUID=%s / ext4 defaults 0 1\n' "$uuid" >"$root/etc/fstab"
    # What makes one machine itself comes at its first boot.
    rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/var/lib/dbus/machine-id"
    : >"$root/etc/machine-id"
}
