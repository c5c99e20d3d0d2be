# SPDX-License-Identifier: Apache-2.0
# vmi_completion(PROGRAM): bash and zsh completions, made by the program from its own option tables, and installed.
function(vmi_completion program)
  set(bash ${CMAKE_CURRENT_BINARY_DIR}/${program}.bash)
  set(zsh ${CMAKE_CURRENT_BINARY_DIR}/_${program})
  foreach(shell bash zsh)
    add_custom_command(OUTPUT ${${shell}} DEPENDS ${program} VERBATIM
      COMMAND sh -c "\"$1\" --completion ${shell} > \"$2\"" sh $<TARGET_FILE:${program}> ${${shell}})
  endforeach()
  add_custom_target(${program}_completion ALL DEPENDS ${bash} ${zsh})
  install(FILES ${bash} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ${program})
  install(FILES ${zsh} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endfunction()
