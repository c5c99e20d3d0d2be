# shellcheck shell=bash
# Configuring, building and finding this project's programs. Source common.sh and packages.sh first.
# SPDX-License-Identifier: Apache-2.0

# prepare_machine [GROUP...]: the packages that scripts/packages lists, all or of these groups, and the user that libvirt as
# root wants.
prepare_machine() {
    local -a packages
    if (($#)); then
        mapfile -t packages < <(packages_of scripts/packages "$@")
    else
        mapfile -t packages < <(listed_packages scripts/packages)
    fi
    install_named "${packages[@]}"
    ((EUID != 0)) || ensure_libvirt_user
    # The distribution's python and compilers, whatever a user's PATH puts in front of them.
    export PATH=/usr/bin:$PATH
}

# build_project PRESET [CMAKE-ARGS...]: configures when needed and builds into build/PRESET; all, or the words of $BUILD_TARGET.
build_project() {
    local preset=$1
    shift
    log "building (preset $preset)"
    cmake --preset "$preset" "$@" >"build-$preset.log" 2>&1 || { cat "build-$preset.log" >&2; die "cmake could not configure"; }
    rm -f "build-$preset.log"
    local -a targets
    read -ra targets <<<"${BUILD_TARGET:-all}"
    cmake --build "build/$preset" --target "${targets[@]}" -- --quiet >&2
}

# mpi_here: lets mpirun run as root and with more ranks than cores, which these scripts need and programs never assume.
mpi_here() {
    export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
    ((EUID != 0)) || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
}
