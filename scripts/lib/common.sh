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

# on_exit COMMAND...: run when the script ends, however it ends; last registered, first run.
# A subshell that registers its own clean-up keeps its parent's for the parent.
on_exit() {
    if [[ ${_cleanup_owner:-} != "$BASHPID" ]]; then
        _cleanup_owner=$BASHPID
        _cleanups=()
        trap _run_cleanups EXIT
        trap 'exit 129' HUP
        trap 'exit 130' INT
        trap 'exit 143' TERM
    fi
    _cleanups+=("$(printf '%q ' "$@")")
}

_run_cleanups() {
    local status=$? i
    for ((i = ${#_cleanups[@]} - 1; i >= 0; i--)); do
        eval "${_cleanups[i]}" || log "clean-up failed: ${_cleanups[i]}"
    done
    exit "$status"
}

# cache_dir: where built things are kept between runs.
cache_dir() {
    printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/vmilaunch-build"
}

# key_of PATH...: a digest of the names and contents of files and of all files in folders.
# Names count as they are given, so call it from the repository's root with relative paths.
key_of() {
    find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# with_cached TARGET KEY COMMAND...: makes the file or folder TARGET by running `COMMAND... OUT`, unless
# it is there already with the same KEY, which is kept in TARGET.key. TARGET appears by a rename, complete
# or not at all; of several runs at once one builds and the others wait for it.
with_cached() {
    local target=$1 key=$2
    shift 2
    _is_cached "$target" "$key" || (
        mkdir -p "${target%/*}"
        exec {lock}>"$target.lock"
        flock --timeout "${BUILD_LOCK_TIMEOUT_S:-3600}" "$lock" ||
            die "another run has been building $target for too long (it holds $target.lock)"
        if ! _is_cached "$target" "$key"; then
            tmp=$(mktemp -d "$target.XXXXXX")
            on_exit rm -rf "$tmp"
            # The lock dies with this shell: nothing the command leaves running may keep it.
            "$@" "$tmp/new" {lock}>&-
            rm -f "$target.key"
            [[ ! -d $target ]] || mv -T "$target" "$tmp/old"
            mv -T "$tmp/new" "$target"
            printf '%s\n' "$key" >"$tmp/key"
            mv -T "$tmp/key" "$target.key"
        fi
    )
}

_is_cached() {
    [[ -e $1 && -e $1.key && $(<"$1.key") == "$2" ]]
}
