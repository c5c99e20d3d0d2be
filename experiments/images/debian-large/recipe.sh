# shellcheck shell=bash disable=SC1091,SC2034,SC2154,SC2016
# A server that does something: the small Debian of ../debian, which the links here lead to, with a web server, databases, an
# application on scientific Python, all of which run before the login prompt comes, and compilers and R, which just lie there.
# SPDX-License-Identifier: Apache-2.0
folder=$(dirname "${BASH_SOURCE[0]}")
source "$folder/base.sh"
packages+=(nginx mariadb-server redis-server gunicorn python3-flask python3-pandas python3-scipy
    build-essential gfortran git r-base-core vim)
mmdebstrap_options+=(--customize-hook='chroot "$1" systemctl --quiet enable nginx mariadb redis-server')
disk_size=$((6 << 30))
uuid=7e9d4c1a-0b52-4f0e-9a63-6c6172000001

customize() {
    local root=$1 own=$uuid
    (source "$folder/base.sh" && uuid=$own && customize "$root")
    tar --create --directory "$folder/services" --owner=0 --group=0 --mode=u=rwX,go=rX --mtime="@$SOURCE_DATE_EPOCH" . |
        tar --extract --directory "$root" --no-overwrite-dir
    rm "$root/etc/nginx/sites-enabled/default"
    ln -s ../app.service "$root/etc/systemd/system/multi-user.target.wants/app.service"
}
