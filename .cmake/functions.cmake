# SPDX-License-Identifier: MIT

# machnet_static_library(<name> <source>...): an ordinary static library, or, while its folder is still empty,
# an interface library, so that the targets which link it need not care.
function(machnet_static_library name)
  if(ARGN)
    add_library(${name} STATIC ${ARGN})
    set_target_properties(${name} PROPERTIES ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/internal)
  else()
    add_library(${name} INTERFACE)
  endif()
endfunction()

# machnet_library_usage(<name> INCLUDE <dir>... LINK <library>...): what <name> and those who link it need.
function(machnet_library_usage name)
  cmake_parse_arguments(PARSE_ARGV 1 USAGE "" "" "INCLUDE;LINK")
  get_target_property(type ${name} TYPE)
  set(scope PUBLIC)
  if(type STREQUAL "INTERFACE_LIBRARY")
    set(scope INTERFACE)
  endif()
  target_include_directories(${name} ${scope} ${USAGE_INCLUDE})
  target_link_libraries(${name} ${scope} ${USAGE_LINK})
endfunction()
