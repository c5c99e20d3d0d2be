# SPDX-License-Identifier: Apache-2.0
# How every target of this project is compiled, and how its tests are declared.

option(VMI_WERROR "Treat compiler warnings as errors" OFF)
option(VMI_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)

find_program(CCACHE ccache)
if(CCACHE)
  # Another checkout of the same sources finds what this one compiled.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
endif()

add_library(vmi_options INTERFACE)
target_compile_options(vmi_options INTERFACE
  -Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wconversion $<$<BOOL:${VMI_WERROR}>:-Werror>)
# A library that only another library's archive mentions, and nothing calls, is not loaded at each start.
target_link_options(vmi_options INTERFACE LINKER:--as-needed)
target_include_directories(vmi_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(vmi_options INTERFACE VMI_VERSION="${PROJECT_VERSION}")
if(VMI_SANITIZE)
  # Line numbers are all that a report needs of the debug information.
  target_compile_options(vmi_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1)
  target_link_options(vmi_options INTERFACE -fsanitize=address,undefined)
endif()

# vmi_library(NAME SOURCES... ): a static library of one folder; includes are written from the project's root.
function(vmi_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC vmi_options ${ARG_LIBS})
endfunction()

# What the tests with the label unit run, and nothing else: scripts/test --label unit builds this.
add_custom_target(unit_tests)

# vmi_test(NAME LABELS... SOURCES... LIBS...): one Catch2 program, registered with CTest under its labels.
function(vmi_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE vmi_test_main ${ARG_LIBS})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  if("unit" IN_LIST ARG_LABELS)
    add_dependencies(unit_tests ${name})
  endif()
endfunction()
