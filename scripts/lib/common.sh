# shellcheck shell=bash
# What every script here shares: messages, clean-up and the build cache. Source it; it runs nothing.
# SPDX-License-Identifier: Apache-2.0

# log WORDS...: progress, for people (stdout is for data).
log() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# die WORDS...: says what is wrong, then ends the script; clean-up runs.
die() {
    log "error: $*"
    exit 1
}

# need_commands NAME...: dies unless each is installed.
need_commands() {
    local name
    for name; do
        command -v "$name" >/dev/null || die "$name is not installed: install the packages that scripts/packages lists"
    done
}

# on_exit COMMAND...: run when the script ends, however it ends; last registered, first run. Not for subshells.
on_exit() {
    trap _clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    _cleanups+=("$(printf '%q ' "$@")")
}

_cleanups=()
_child=

_clean_up() {
    local status=$? i
    trap '' HUP INT TERM
    [[ -z $_child ]] || _end_group "$_child"
    for ((i = ${#_cleanups[@]} - 1; i >= 0; i--)); do
        eval "${_cleanups[i]}" || log "clean-up failed: ${_cleanups[i]}"
    done
    exit "$status"
}

# run COMMAND...: a signal that ends this script ends COMMAND too, all its process group, before clean-up. (bash
# by itself would put the signal off until COMMAND is done.) Needs an on_exit before it.
run() {
    set -m
    "$@" <&0 &
    _child=$!
    set +m
    wait "$_child"
    _child=
}

# Ends the process group. INT comes first, as from a terminal: fakeroot tidies up only then. One of each, because a
# second would hit what the first made tidy up.
_end_group() {
    local signal tries
    for signal in INT TERM KILL; do
        kill -s "$signal" -- "-$1" 2>/dev/null || return 0
        for ((tries = 0; tries < 400; tries++)); do
            kill -s 0 -- "-$1" 2>/dev/null || return 0
            sleep 0.05
        done
    done
}

# cache_dir: where built things are kept between runs.
cache_dir() {
    printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/vmilaunch-build"
}

# key_of PATH...: a digest of the names and contents of files and of all files in folders, those that links lead to included.
# Names count as they are given, so call it from the repository's root with relative paths.
key_of() {
    find -L "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# with_cached TARGET KEY COMMAND...: makes the file or folder TARGET by running `COMMAND... OUT`, unless
# it is there already with the same KEY, which is kept in TARGET.key. TARGET appears by a rename, complete
# or not at all; of several runs at once one builds and the others wait for it.
with_cached() {
    local target=$1 key=$2 lock tmp
    shift 2
    ! _is_cached "$target" "$key" || return 0
    mkdir -p "${target%/*}"
    tmp=$(mktemp -d "$target.XXXXXX")
    on_exit rm -rf "$tmp"
    exec {lock}>"$target.lock"
    run flock --timeout "${BUILD_LOCK_TIMEOUT_S:-3600}" "$lock" ||
        die "another run has been building $target for too long (it holds $target.lock)"
    if ! _is_cached "$target" "$key"; then
        # The lock dies with this shell: nothing the command leaves running may keep it.
        run "$@" "$tmp/new" {lock}>&- >&2
        rm -f "$target.key"
        [[ ! -d $target ]] || mv -T "$target" "$tmp/old"
        mv -T "$tmp/new" "$target"
        printf '%s\n' "$key" >"$tmp/key"
        mv -T "$tmp/key" "$target.key"
    fi
    exec {lock}>&-
    rm -rf "$tmp"
}

_is_cached() {
    [[ -e $1 && -e $1.key && $(<"$1.key") == "$2" ]]
}
