# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` does beside the programs, which their own folders install. To be included before those folders.

# Nine tenths of the programs are debug information, which stays in the build folder.
option(VMI_INSTALL_STRIPPED "Install programs without debug information" ON)
if(VMI_INSTALL_STRIPPED)
  install(CODE "set(CMAKE_INSTALL_DO_STRIP 1)")
endif()

# QEMU with the block driver, where qemu-driver/build has made it. It may be built after this project is configured: so it is looked
# for while installing.
set(VMI_QEMU_PREFIX "" CACHE STRING "The cache-enabled QEMU to install too: what qemu-driver/build prints; empty: its latest build; OFF: none")
set(VMI_QEMU_FOLDER ${CMAKE_INSTALL_LIBEXECDIR}/vmilaunch/qemu)
configure_file(${CMAKE_CURRENT_LIST_DIR}/InstallQemu.cmake.in ${CMAKE_BINARY_DIR}/InstallQemu.cmake @ONLY)
install(SCRIPT ${CMAKE_BINARY_DIR}/InstallQemu.cmake)

# Pages, with the folders between them as here, so that the links from page to page hold.
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs slurm DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "*.png" PATTERN "*.csv"
  PATTERN man EXCLUDE PATTERN questions EXCLUDE PATTERN site EXCLUDE PATTERN templates EXCLUDE PATTERN spack EXCLUDE)

# vmi_install_with_prefix(FILE DESTINATION): installs a file with the prefix, which is known only then, in place of the one that the
# source names.
function(vmi_install_with_prefix file destination)
  install(CODE "
    file(READ \"${CMAKE_SOURCE_DIR}/${file}\" text)
    string(REPLACE /opt/vmilaunch/0.1.0 \"\${CMAKE_INSTALL_PREFIX}\" text \"\${text}\")
    message(STATUS \"Installing: \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${destination}\")
    file(WRITE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${destination}\" \"\${text}\")
    list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${CMAKE_INSTALL_PREFIX}/${destination}\")")
endfunction()

# For sites with Slurm.
set(slurm_data ${CMAKE_INSTALL_DATADIR}/vmilaunch/slurm)
install(DIRECTORY slurm/templates DESTINATION ${slurm_data})
install(PROGRAMS slurm/site/set-features slurm/site/epilog.sh DESTINATION ${slurm_data})
vmi_install_with_prefix(slurm/site/modulefile ${CMAKE_INSTALL_DATADIR}/vmilaunch/modulefiles/vmilaunch/${PROJECT_VERSION})
