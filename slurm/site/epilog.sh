#!/bin/bash
# Epilog and task epilog: removes what killed launches of the job's user left on this node. It calls no Slurm command, ends
# within seconds, and never fails the node: whatever happens, it exits 0.
#   Epilog=.../epilog.sh                 in slurm.conf: after each job
#   SLURM_TASK_EPILOG=.../epilog.sh      in the user's environment: after each step, for which it needs no administrator
# The SPANK plugin runs it as the user, with the site's node folder in VMILAUNCH_NODE_DIR.
# SPDX-License-Identifier: Apache-2.0
PATH=/usr/bin:/bin:/usr/sbin:/sbin
user=${SLURM_JOB_UID:-$EUID}
((user > 0)) || exit 0  # root's processes are none of a job's

# Is this process, which started then, still there?
lives() {
    local pid=$1 start=$2 stat
    [[ $pid =~ ^[0-9]+$ ]] && stat=$(<"/proc/$pid/stat") || return 1
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    [[ $1 != [ZX] && ${20} == "$start" ]]
}

# Is a folder's owner surely dead? Its owner file says "PID START-TIME BOOT-ID HOST"; without one, the folder is being made.
is_stale() {
    local pid start boot host
    read -r pid start boot host <"$1/owner" || return 1
    [[ $host == "$(uname -n)" ]] || return 1
    [[ $boot != "$(</proc/sys/kernel/random/boot_id)" ]] || ! lives "$pid" "$start"
}

sweep() {
    local folder pid
    for folder in "$@"; do
        [[ -d $folder && ! -L $folder && $(stat -c %u "$folder") == "$user" ]] || continue
        # Who holds the folder's lock lives, in whatever pid namespace. By descriptor: flock would make a file of this name where
        # another epilog has just removed the folder.
        { flock --nonblock --exclusive 9; } 9<"$folder" || continue
        is_stale "$folder" || continue
        for pid in $(pgrep -U "$user" -f -- "$folder/"); do
            [[ $(readlink "/proc/$pid/exe") == */qemu-* ]] && kill -KILL "$pid"
        done
        rm -rf --one-file-system -- "$folder"
    done
}

# Does a supervisor of this step still live? It cleans up, or dies of the SIGKILL that its whole step got.
step_lives() {
    local folder pid start
    for folder in "$@"; do
        read -r pid start _ <"$folder/owner" || continue
        lives "$pid" "$start" || continue
        grep -qzx "SLURM_JOB_ID=$SLURM_JOB_ID" "/proc/$pid/environ" || continue
        grep -qzx "SLURM_STEP_ID=$SLURM_STEP_ID" "/proc/$pid/environ" && return 0
    done
    return 1
}

# Launches' folders are where their sockets are, or among the caches.
{
    shopt -s nullglob
    places=(/dev/shm/vmilaunch-run-* /tmp/vmilaunch-run-* "/dev/shm/vmilaunch-$user"/vmilaunch-run-*)
    for place in "${VMILAUNCH_NODE_DIR:-}" "${XDG_RUNTIME_DIR:-}" "${SLURM_TMPDIR:-}" "${TMPDIR:-}"; do
        [[ $place == /* ]] && places+=("$place"/vmilaunch-run-*)
    done
    if [[ ${SLURM_SCRIPT_CONTEXT:-} == epilog_task ]]; then
        for _ in {1..20}; do
            step_lives "${places[@]}" || break
            sleep 0.1
        done
    fi
    sweep "${places[@]}"
} >/dev/null 2>&1
exit 0
