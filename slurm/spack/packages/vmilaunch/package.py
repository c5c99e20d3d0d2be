# SPDX-License-Identifier: Apache-2.0
"""Spack recipe: spack repo add slurm/spack && spack install vmilaunch (spack dev-build for a checkout)."""
from spack.package import *


class Vmilaunch(CMakePackage):
    """Starts virtual machines on all nodes of an MPI job at once, from a boot cache of their image."""

    homepage = "https://doi.org/10.1145/2503210.2503274"
    version("0.1.0")
    license("Apache-2.0")

    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("scdoc", type="build")
    depends_on("mpi")
    depends_on("hdf5~mpi")
    depends_on("boost+program_options")
    depends_on("libvirt")
    depends_on("zstd")
    depends_on("xxhash")
    depends_on("nlohmann-json")
    depends_on("qemu", type="run")

    generator("ninja")

    def cmake_args(self):
        return [self.define("BUILD_TESTING", False)]
