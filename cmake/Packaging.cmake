# SPDX-License-Identifier: Apache-2.0
# `cpack -G DEB` in the build folder makes a Debian package of what `cmake --install` would put under /usr.
# Packages of the libraries that programs are linked with are found by dpkg-shlibdeps; these are what they run or load.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The vmilaunch authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGE_DESCRIPTION "vmilaunch is an MPI program: started by srun, mpirun or alone, it boots VMs of one image or several on
all nodes of a job at once. What a boot reads comes from a small cache on each node, and not over the network from the image.")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ${VMI_INSTALL_STRIPPED})
# Files that know their prefix are to know the one that they will have, and not that of a staging folder.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Firmware (and QEMU, where that with the driver is not installed), qemu-img; what reads images while caches are made; what starts MPI
# programs; vmireport's Python.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "qemu-system-x86, qemu-utils, libnbd0, openmpi-bin, python3, python3-h5py, python3-pandas")
# The libvirt backend; images of further protocols under stock QEMU; vmireport --plot.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS
  "libvirt0, libvirt-daemon, libvirt-daemon-driver-qemu, qemu-block-extra, python3-matplotlib")
include(CPack)
