# shellcheck shell=bash disable=SC2154
# The NFS server of a cluster's storage node. Its callers set: prefix, state and storage_address. SPDX-License-Identifier: Apache-2.0
#
# rpcbind and nfs-ganesha serve the images beside the NBD server, read-only, by NFS version 3, which is what QEMU's driver speaks. They live
# in the storage node's network namespace, so nothing listens on this machine, and have a mount namespace of their own with a /run
# of their own, so that they meet neither the machine's rpcbind nor its D-Bus. There /run/images has the images themselves, bound: QEMU
# would follow links on its own side, and ganesha sees what is bound only on another file system than it lies on.

start_nfs() {
    need_commands rpcbind rpcinfo ganesha.nfsd
    mkdir "$state/nfs"
    nfs_configuration >"$state/nfs/ganesha.conf"
    nsenter --net="/run/netns/$prefix-storage" setsid unshare --uts --mount "$self" _nfs --name "$name" </dev/null >"$state/nfs/out" 2>&1 &
    wait_for 30 "the NFS server (see $state/nfs)" nsenter --net="/run/netns/$prefix-storage" rpcinfo -T tcp "$storage_address" mountd 3
}

# Becomes the NFS server, in the namespaces that start_nfs made.
serve_nfs() {
    local image
    hostname storage
    mount --bind "$state" /mnt
    mount -t tmpfs tmpfs /run
    mkdir -p "$state" /run/rpcbind /run/images
    mount --bind /mnt "$state"
    umount /mnt
    for image in "$state"/images/*; do
        : >"/run/images/${image##*/}"
        mount --bind "$(readlink -f "$image")" "/run/images/${image##*/}"
    done
    rpcbind -f -h "$storage_address" &
    wait_for 10 rpcbind test -S /run/rpcbind.sock
    exec ganesha.nfsd -F -f "$state/nfs/ganesha.conf" -L "$state/nfs/log" -p "$state/nfs/pid"
}

nfs_configuration() {
    cat <<END
NFS_CORE_PARAM { Protocols = 3; Bind_addr = $storage_address; Enable_NLM = false; Enable_RQUOTA = false; mount_path_pseudo = true; }
NFSV4 { Graceless = true; RecoveryRoot = "$state/nfs"; }
EXPORT {
    Export_Id = 1; Path = /run/images; Pseudo = /images; Protocols = 3; Transports = TCP;
    Access_Type = RO; Squash = None; SecType = sys; FSAL { Name = VFS; }
}
END
}
