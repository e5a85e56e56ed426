# SPDX-License-Identifier: MIT
#
# Link-time optimisation of what is installed and has a fast path, machnetd, libmachnet.so and machnet: the engine is many small files, and a
# message crosses most of them. Their objects hold both forms (-ffat-lto-objects), so that the tests, which are many, link as quickly as ever.
option(MACHNET_LTO "Optimise machnetd, libmachnet.so and machnet at link time (gcc only)" ON)

set(lto_used OFF)
if(MACHNET_LTO AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE MATCHES "^Rel" AND NOT MACHNET_SANITIZE)
  set(lto_used ON)
endif()

# Objects of these targets can be optimised at link time.
function(machnet_lto_objects)
  if(lto_used)
    foreach(name IN LISTS ARGN)
      target_compile_options(${name} PRIVATE -flto -ffat-lto-objects)
    endforeach()
  endif()
endfunction()

# Without this gcc optimises at link time whatever has such objects.
macro(machnet_lto_not_here)
  if(lto_used)
    add_link_options(-fno-lto)
  endif()
endmacro()

# These targets are.
function(machnet_lto_link)
  if(lto_used)
    foreach(name IN LISTS ARGN)
      target_link_options(${name} PRIVATE -flto=auto)
    endforeach()
  endif()
endfunction()
