# SPDX-License-Identifier: Apache-2.0
"""Spack recipe, not tried with a real Spack: spack repo add slurm/spack && spack dev-build vmilaunch@0.1.0 in a checkout.

libvirt, libnbd and scdoc are the system's (with their development files): Spack has no packages of them."""
from spack.package import *


class Vmilaunch(CMakePackage):
    """Starts virtual machines on all nodes of an MPI job at once, from a boot cache of their image."""

    homepage = "https://doi.org/10.1145/2503210.2503274"
    version("0.1.0")
    license("Apache-2.0")
    variant("spank", default=False, description="Build the SPANK plugin for Slurm")

    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("hdf5~mpi")
    depends_on("boost+program_options")
    depends_on("zstd")
    depends_on("xxhash")
    depends_on("nlohmann-json")
    depends_on("qemu", type="run")
    depends_on("slurm", when="+spank")

    generator("ninja")

    def cmake_args(self):
        return [self.define("BUILD_TESTING", False), self.define("VMI_SPANK", "ON" if "+spank" in self.spec else "OFF")]

    def setup_build_environment(self, env):
        # Behind those of Spack's own packages.
        for folder in ("/usr/lib64/pkgconfig", "/usr/lib/x86_64-linux-gnu/pkgconfig", "/usr/share/pkgconfig"):
            env.append_path("PKG_CONFIG_PATH", folder)

    def setup_run_environment(self, env):
        # As slurm/site/modulefile says.
        env.prepend_path("PYTHONPATH", self.prefix.share.vmilaunch.python)
        env.set("SLURM_PMIX_FENCE", "ring")
        env.set("SLURM_TASK_EPILOG", self.prefix.share.vmilaunch.slurm.join("epilog.sh"))
