# shellcheck shell=bash disable=SC2154
# The storage node of a cluster in a box. Its callers set: prefix, state and what parse_storage() does. SPDX-License-Identifier: Apache-2.0
#
# Two NBD servers: one has the images, on a disk that may be modelled (../storage); the other has what is in the node's memory.

readonly memory_port=10810

# make_storage IMAGE...: gives the storage node its images, and starts it.
make_storage() {
    local image
    mkdir "$state/images" "$state/memory"
    for image; do
        [[ ! -e $state/images/${image##*/} ]] || die "two images are named ${image##*/}"
        ln -s "$image" "$state/images/"
    done
    for image in "${in_memory[@]}"; do ln -s "$image" "$state/memory/"; done
    start_storage
}

# What holds afterwards: the servers answer, and nothing was ever read from the disk.
start_storage() {
    local -a filter=()
    if [[ -n $disk ]]; then
        local plugin=${VMI_TEST_BIN:-$here/../build/release/bin}/nbdkit-disk-filter.so
        [[ -e $plugin ]] || die "$plugin is missing: install nbdkit-plugin-dev, cmake --preset release && cmake --build build/release"
        filter=("--filter=$(readlink -f "$plugin")" file "disk-seek-us=$(microseconds "${disk%%:*}")" "disk-rate=$(size_of "${disk#*:}")"
            "disk-memory=$(size_of "$storage_memory")" "disk-copies=$copies" "disk-statistics=$state/disk.json")
    fi
    if [[ -n $(ls -A "$state/images") ]]; then serve 10809 images "${filter[@]:-file}"; fi
    if [[ -n $(ls -A "$state/memory") ]]; then serve "$memory_port" memory file; fi
}

# serve PORT FOLDER [--filter=...] file PARAMETER...: an NBD server whose exports are the names in a folder of the cluster's. Each connection
# makes so many threads at once, as QEMU has requests in flight on one.
serve() {
    local port=$1 folder=$2 tries
    shift 2
    need_commands nbdkit
    nsenter --net="/run/netns/$prefix-storage" nbdkit --readonly --ipaddr "$storage_address" --port "$port" --pidfile "$state/$folder.pid" \
        --threads 16 "$@" dir="$state/$folder"
    for ((tries = 0; tries < 200; tries++)); do
        [[ ! -s $state/$folder.pid ]] || return 0
        sleep 0.05
    done
    die 'the storage node does not come up'
}

stop_storage() {
    local file pid tries
    for file in "$state"/images.pid "$state"/memory.pid; do
        [[ -s $file ]] || continue
        pid=$(<"$file")
        kill "$pid" 2>/dev/null || true
        for ((tries = 0; tries < 200; tries++)); do
            [[ -e /proc/$pid/exe ]] || break  # a process that has ended has none, though nobody waits for it
            sleep 0.05
        done
        ((tries < 200)) || die "the storage node's server (process $pid) does not end"
        rm "$file"
    done
    rm -f "$state/disk.json"
}

disk_counters() {
    [[ -e $state/disk.json ]] || die "the cluster $name has no modelled disk: give --disk to 'up' or 'storage'"
    cat "$state/disk.json"
}

# 8ms, 500us or 1s.
microseconds() {
    case $1 in
    *us) printf '%d\n' "${1%us}" ;;
    *ms) printf '%d000\n' "${1%ms}" ;;
    *s) printf '%d000000\n' "${1%s}" ;;
    esac
}

# Bytes of 100MB or 100M, in powers of 1000.
size_of() {
    local text=${1%B}
    case $text in
    *[kK]) printf '%d000\n' "${text%?}" ;;
    *[mM]) printf '%d000000\n' "${text%?}" ;;
    *[gG]) printf '%d000000000\n' "${text%?}" ;;
    *) printf '%d\n' "$text" ;;
    esac
}
