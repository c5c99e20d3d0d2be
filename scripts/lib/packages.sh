# shellcheck shell=bash
# Debian packages: installing what a file lists, and this machine's own mirror for building images.
# Source common.sh first. SPDX-License-Identifier: Apache-2.0

# as_root COMMAND...: runs it as root, by sudo where need be.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root or sudo for: $*"
    fi
}

# listed_packages FILE: the package names in FILE; `#` starts a comment.
listed_packages() {
    sed -e 's/#.*//' "$1" | tr -s '[:space:]' '\n' | sed '/^$/d'
}

# packages_of FILE GROUP...: the package names in FILE below the comments that are just a GROUP's name.
packages_of() {
    local file=$1
    shift
    (IFS=$'\n' && groups="$*" awk '
        BEGIN { split(ENVIRON["groups"], names, "\n"); for (i in names) wanted[names[i]] }
        /^#/ { wanted_now = substr($0, 3) in wanted; next }
        wanted_now' "$file")
}

# install_packages FILE...: installs what the files list and is not there yet; starts no service.
install_packages() {
    local -a listed
    mapfile -t listed < <(for file; do listed_packages "$file"; done)
    install_named "${listed[@]}"
}

# install_named PACKAGE...: installs those that are not there yet; starts no service.
install_named() {
    local -a missing
    mapfile -t missing < <(_missing_packages "$@")
    ((${#missing[@]})) || return 0
    log "installing ${#missing[@]} packages: ${missing[*]}"
    {
        _forbid_services
        _fresh_lists || _apt_get update
        _apt_get install "${missing[@]}" ||
            { _apt_get update && _apt_get install "${missing[@]}"; } ||
            die "apt-get could not install: ${missing[*]}"
        _allow_services
    } >&2
}

_missing_packages() {
    printf '%s\n' "$@" | sort -u |
        comm -23 - <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u)
}

_apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends \
        -o DPkg::Lock::Timeout=600 "$@"
}

# Package lists are there and not older than a day.
_fresh_lists() {
    [[ -n $(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -print -quit) &&
        -n $(find /var/lib/apt/lists -maxdepth 0 -mtime -1) ]]
}

# Packages would start their daemons, by systemd or by init scripts; policy-rc.d is Debian's way to say no.
_policy=/usr/sbin/policy-rc.d

_forbid_services() {
    [[ ! -e $_policy ]] || return 0
    on_exit _allow_services
    printf '#!/bin/sh\n# vmilaunch\nexit 101\n' | as_root install -m 755 /dev/stdin "$_policy"
}

_allow_services() {
    ! grep -qs '^# vmilaunch$' "$_policy" || as_root rm -f "$_policy"
}

# ensure_libvirt_user: libvirt's in-process driver as root wants this user and group to exist. Their package,
# libvirt-daemon-system, is not wanted: it starts daemons.
ensure_libvirt_user() {
    getent group libvirt-qemu >/dev/null || as_root groupadd --system libvirt-qemu
    getent passwd libvirt-qemu >/dev/null ||
        as_root useradd --system --gid libvirt-qemu --home-dir /var/lib/libvirt --no-create-home \
            --shell /usr/sbin/nologin libvirt-qemu
}

# debian_sources CODENAME: one-line apt sources of Debian's own suites, from the mirrors this machine uses. For a release that
# apt here does not list: the suites that it lists of this machine's own release, of that one.
debian_sources() {
    _debian_sources "$1" || { _apt_get update >&2 && _debian_sources "$1"; } ||
        die "apt on this machine knows no mirror of Debian $1: add one to its sources"
}

_debian_sources() {
    local own
    own=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    _debian_targets "$1" || _debian_targets "${own:-none}" | awk -v own="$own" -v wanted="$1" '{ sub(own, wanted, $3); print }'
}

_debian_targets() {
    # shellcheck disable=SC2016
    apt-get indextargets 'Created-By: Packages' \
        --format '$(ORIGIN)|$(COMPONENT)|$(CODENAME)|deb $(REPO_URI) $(RELEASE) $(COMPONENT)' |
        sed -n -E "s/^Debian\|main\|$1(-updates|-security)?\|//p" | sort -u | grep .
}

# apt_network_options: this machine's apt settings for proxies and for mirrors that are snapshots, one a line.
apt_network_options() {
    apt-config dump --no-empty --format '%F "%v";%n' Acquire |
        grep -E '^Acquire::(http|https|Retries|ForceIPv|Check-)' || true
}
