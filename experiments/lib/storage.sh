# shellcheck shell=bash disable=SC2154
# The storage node of a cluster in a box. Its callers set: prefix and state. SPDX-License-Identifier: Apache-2.0

# start_storage DISK IMAGE...: an NBD server whose exports are the images' file names.
start_storage() {
    local disk=$1 image
    shift
    (($#)) || return 0
    need_commands nbdkit
    mkdir "$state/images"
    for image; do
        [[ ! -e $state/images/${image##*/} ]] || die "two images are named ${image##*/}"
        ln -s "$image" "$state/images/"
    done
    local -a filters=() parameters=()
    if [[ -n $disk ]]; then
        filters+=(--filter=noparallel --filter=delay --filter=rate)
        parameters+=(serialize=all-requests "rdelay=${disk%%:*}" "rate=$(bits_per_second "${disk#*:}")")
    fi
    nsenter --net="/run/netns/$prefix-storage" nbdkit --readonly --ipaddr "$storage_address" --pidfile "$state/nbdkit.pid" \
        --threads 64 "${filters[@]}" file dir="$state/images" "${parameters[@]}"
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        [[ ! -s $state/nbdkit.pid ]] || return 0
        sleep 0.05
    done
    die 'the storage node does not come up'
}

# 100MB or 100M, a second, as nbdkit has it.
bits_per_second() {
    local text=${1%B}
    case $text in
    *[kK]) printf '%d\n' $((${text%?} * 8000)) ;;
    *[mM]) printf '%d\n' $((${text%?} * 8000000)) ;;
    *[gG]) printf '%d\n' $((${text%?} * 8000000000)) ;;
    *) printf '%d\n' $((text * 8)) ;;
    esac
}
