#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Per-VM identity as a real guest sees it: Linux's own FAT driver reads the seed disk that cloud-init would read."""
import hashlib
import os
import subprocess
import unittest

from harness import LaunchCase, image

# Prints what it finds on the disk labelled CIDATA as one line, which is this guest's sign that it is ready.
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in MODULES; do insmod /modules/$module.ko; done
seed=$(findfs LABEL=CIDATA)
mount -t vfat -o ro $seed /seed
echo "seed on $seed: $(ls /seed | tr '\\n' ' ')$(sha256sum </seed/user-data | cut -c 1-64) $(tr '\\n' ' ' </seed/meta-data)"
exec sleep 600
"""
MODULES = ("drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_modern_dev",
           "drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci", "drivers/block/virtio_blk",
           "fs/nls/nls_cp437", "fs/nls/nls_ascii", "fs/fat/fat", "fs/fat/vfat")


class UserData(LaunchCase):
    def dump(self, disk, source, target):
        """A file of the disk's file system, which begins at 1 MiB."""
        subprocess.run(["/usr/sbin/debugfs", "-R", f"dump {source} {target}", f"{disk}?offset={2**20}"], check=True, capture_output=True)
        self.assertTrue(target.exists() and target.stat().st_size > 0, source)

    def make_guest(self):
        """The kernel of `tiny`, and an initial RAM disk with its busybox and modules."""
        disk = self.folder / "tiny.raw"
        subprocess.run(["qemu-img", "convert", "-O", "raw", image("tiny"), disk], check=True)
        listing = subprocess.run(["/usr/sbin/debugfs", "-R", "ls -p /lib/modules", f"{disk}?offset={2**20}"],
                                 check=True, capture_output=True, text=True).stdout
        version = next(line.split("/")[5] for line in listing.splitlines() if "-amd64" in line)
        kernel, root = self.folder / "vmlinuz", self.folder / "root"
        for folder in ("bin", "dev", "proc", "seed", "modules"):
            (root / folder).mkdir(parents=True)
        self.dump(disk, f"/boot/vmlinuz-{version}", kernel)
        self.dump(disk, "/bin/busybox", root / "bin/busybox")
        (root / "bin/busybox").chmod(0o755)
        for module in MODULES:
            self.dump(disk, f"/lib/modules/{version}/kernel/{module}.ko", root / "modules" / f"{os.path.basename(module)}.ko")
        (root / "init").write_text(INIT.replace("MODULES", " ".join(map(os.path.basename, MODULES))))
        (root / "init").chmod(0o755)
        initrd = self.folder / "initrd"
        with initrd.open("wb") as out:
            subprocess.run("find . | bin/busybox cpio -o -H newc", shell=True, cwd=root, stdout=out, stderr=subprocess.DEVNULL, check=True)
        return ["--kernel", kernel, "--initrd", initrd, "--append", "console=ttyS0 quiet no_timer_check"]

    def test_each_guest_reads_its_own_seed_and_the_profile_had_one(self):
        user_data = self.folder / "user data.yaml"
        user_data.write_bytes(b"#cloud-config\n" + b"# more than one cluster \xff\0\n" * 1000)
        digest = hashlib.sha256(user_data.read_bytes()).hexdigest()
        record = self.folder / "run.h5"
        # The names are those of the profile's boot and of the two VMs.
        ready = f"serial:^seed on /dev/vdb: meta-data user-data {digest} instance-id: (vm[01]|vmicache-profile) local-hostname: (vm[01]|vmicache)"
        self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 2, "--user-data", user_data, "--ready", ready, "--timeout", "60s",
                                        "--output", record, *self.make_guest()))
        self.assert_nothing_left()
        tables, _ = self.read_record(record)
        self.assertEqual(list(tables["vms"].state), ["ready", "ready"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
