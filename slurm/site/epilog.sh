#!/bin/bash
# Epilog example: removes what killed launches of the job's user left on this node, when that user has no other job here.
# It calls no Slurm command, ends within seconds, and never fails the node: whatever happens, it exits 0.
# The SPANK plugin runs it as the user, with the site's node folder in VMILAUNCH_NODE_DIR.
# SPDX-License-Identifier: Apache-2.0
user=${SLURM_JOB_UID:-0}
((user > 0)) || exit 0  # root's processes are none of a job's

# Which of the user's folders have a dead owner: their owner file says "PID START-TIME BOOT-ID HOST".
stale() {
    local pid start boot
    read -r pid start boot _ <"$1/owner" || return 1
    [[ $boot == "$(</proc/sys/kernel/random/boot_id)" ]] || return 0
    [[ $pid =~ ^[0-9]+$ && -r /proc/$pid/stat ]] || return 0
    local stat
    stat=$(<"/proc/$pid/stat") || return 0
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    [[ ${20} != "$start" ]]
}

sweep() {
    local folder pid
    for folder in "$@"; do
        [[ -d $folder && ! -L $folder && $(stat -c %u "$folder") == "$user" ]] || continue
        # Who holds the folder's lock lives, in whatever pid namespace.
        flock --nonblock --exclusive "$folder" true 2>/dev/null || continue
        stale "$folder" || continue
        for pid in $(pgrep -U "$user" -f -- "$folder/"); do
            [[ $(readlink "/proc/$pid/exe") == */qemu-* ]] && kill -KILL "$pid"
        done
        rm -rf --one-file-system -- "$folder"
    done
}

{
    sweep /dev/shm/vmilaunch-run-* /tmp/vmilaunch-run-* "/dev/shm/vmilaunch-$user"/vmilaunch-run-* \
        ${VMILAUNCH_NODE_DIR:+"$VMILAUNCH_NODE_DIR"/vmilaunch-run-*}
} >/dev/null 2>&1
exit 0
