# shellcheck shell=bash disable=SC1091,SC2034,SC2016
# The small Debian server of ../debian, which the links here lead to, in Debian's next release.
# SPDX-License-Identifier: Apache-2.0
source "$(dirname "${BASH_SOURCE[0]}")/base.sh"
codename=trixie
uuid=7e9d4c1a-0b52-4f0e-9a63-747278000001
# An emulated CPU that others use too may take longer than the usual 90 s to find the console or to start a service.
mmdebstrap_options+=(--customize-hook='mkdir -p "$1/etc/systemd/system.conf.d"'
    --customize-hook='printf "[Manager]\n%s\n" DefaultDeviceTimeoutSec=15min DefaultTimeoutStartSec=15min \
        >"$1/etc/systemd/system.conf.d/patience.conf"')
