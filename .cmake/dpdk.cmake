# SPDX-License-Identifier: MIT

# Finds DPDK as option MACHNET_DPDK says, and sets dpdk_found and dpdk_link: what a module with the back end is linked with.
#
# Linked statically, the module holds EAL and all network drivers, and starts five times as fast as with DPDK's shared libraries
# (engine/nic/README.md has the figures). Where that does not link, the shared ones are taken.

include(CheckCSourceCompiles)

# dpdk_static_link(<variable>): from what pkg-config says of a static link, the network drivers with what they stand on, whole (but for pcap,
# which brings a dozen libraries and no network); the rest of DPDK as needed; and those system libraries that are there, as needed.
function(dpdk_static_link variable)
  execute_process(COMMAND ${PKG_CONFIG_EXECUTABLE} --static --libs libdpdk OUTPUT_VARIABLE flags ERROR_QUIET)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  foreach(flag IN LISTS flags)
    if(flag MATCHES "^-L")
      list(APPEND paths ${flag})
      string(SUBSTRING ${flag} 2 -1 directory)
      list(APPEND directories ${directory})
    elseif(flag MATCHES "librte_(bus|common|mempool|net)_" AND NOT flag MATCHES "librte_(common_qat|common_cpt|net_pcap)")
      list(APPEND drivers ${flag})
    elseif(flag MATCHES "librte_")
      list(APPEND others ${flag})
    elseif(NOT flag MATCHES "^-l(rte_|:)" AND flag MATCHES "^-l(.+)$")
      find_library(dpdk_system_library_${CMAKE_MATCH_1} ${CMAKE_MATCH_1} HINTS ${directories} ${CMAKE_C_IMPLICIT_LINK_DIRECTORIES})
      mark_as_advanced(dpdk_system_library_${CMAKE_MATCH_1})
      if(dpdk_system_library_${CMAKE_MATCH_1})
        list(APPEND system ${flag})
      endif()
    endif()
  endforeach()
  list(REMOVE_DUPLICATES system)
  set(${variable} ${paths}
    -Wl,--wrap=get_tsc_freq_arch -Wl,--wrap=munmap
    -Wl,--whole-archive ${drivers} -Wl,--no-whole-archive
    -Wl,--start-group ${others} -Wl,--end-group
    -Wl,--as-needed ${system} -Wl,--no-as-needed
    PARENT_SCOPE)
endfunction()

set(dpdk_found OFF)
set_property(CACHE MACHNET_DPDK PROPERTY STRINGS AUTO ON OFF)
if(NOT MACHNET_DPDK STREQUAL "OFF")
  pkg_check_modules(DPDK IMPORTED_TARGET libdpdk>=22.11)
  set(dpdk_found ${DPDK_FOUND})
  if(NOT dpdk_found AND NOT MACHNET_DPDK STREQUAL "AUTO")
    message(FATAL_ERROR "MACHNET_DPDK=${MACHNET_DPDK} needs DPDK 22.11 or later: install libdpdk-dev")
  endif()
endif()

if(dpdk_found)
  dpdk_static_link(dpdk_link)
  set(CMAKE_REQUIRED_FLAGS ${DPDK_CFLAGS})
  list(JOIN CMAKE_REQUIRED_FLAGS " " CMAKE_REQUIRED_FLAGS)
  set(CMAKE_REQUIRED_LINK_OPTIONS "")
  set(CMAKE_REQUIRED_LIBRARIES ${dpdk_link})
  check_c_source_compiles("
    #define _GNU_SOURCE
    #include <rte_ethdev.h>
    #include <stdint.h>
    uint64_t __wrap_get_tsc_freq_arch(void) { return 1; }
    int __wrap_munmap(void *a, size_t n) { return a != 0 && n != 0; }
    int main(int c, char **v) { return rte_eal_init(c, v) + rte_eth_dev_count_avail(); }" MACHNET_DPDK_STATIC)
  unset(CMAKE_REQUIRED_FLAGS)
  unset(CMAKE_REQUIRED_LIBRARIES)
  if(NOT MACHNET_DPDK_STATIC)
    set(dpdk_link ${DPDK_LINK_LIBRARIES})
  endif()
  message(STATUS "DPDK ${DPDK_VERSION}")
else()
  message(STATUS "DPDK: not built in")
endif()
