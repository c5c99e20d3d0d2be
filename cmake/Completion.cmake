# SPDX-License-Identifier: Apache-2.0
# vmi_program(FILE DEPENDS NAME): where the build has the program, a target or a script, and what to depend on for it.
function(vmi_program file depends name)
  if(TARGET ${name})
    set(${file} $<TARGET_FILE:${name}> PARENT_SCOPE)
    set(${depends} ${name} PARENT_SCOPE)
  else()
    set(${file} ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${name} PARENT_SCOPE)
    set(${depends} ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${name} PARENT_SCOPE)
  endif()
endfunction()

# vmi_completion(PROGRAM SOURCES...): bash and zsh completions, made by the program from its own options, and installed. A script is
# run anew when its SOURCES change.
function(vmi_completion program)
  set(bash ${CMAKE_CURRENT_BINARY_DIR}/${program}.bash)
  set(zsh ${CMAKE_CURRENT_BINARY_DIR}/_${program})
  vmi_program(file depends ${program})
  foreach(shell bash zsh)
    add_custom_command(OUTPUT ${${shell}} DEPENDS ${depends} ${ARGN} VERBATIM
      COMMAND sh -c "\"$1\" --completion ${shell} > \"$2\"" sh ${file} ${${shell}})
  endforeach()
  add_custom_target(${program}_completion ALL DEPENDS ${bash} ${zsh})
  install(FILES ${bash} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ${program})
  install(FILES ${zsh} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endfunction()
