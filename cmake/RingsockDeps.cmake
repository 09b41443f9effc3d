# The outside libraries, by the same names on both systems:
#   ringsock::dpdk  ringsock::mimalloc  ringsock::benchmark  ringsock::cmocka  ringsock::winsock (Windows only)
# Native: Debian's development packages. Windows: what cmake/deps/setup built into the cache; RINGSOCK_DEPS_DIR is the
# cache's folder for the target, with one sub-folder (bin, include, lib) per library.
# A library that is missing is an error only for a target that links it: a preset without the dataplane needs no DPDK.
include_guard(GLOBAL)
find_package(Threads REQUIRED)

set(ringsock_cache_home "$ENV{XDG_CACHE_HOME}")
if(NOT ringsock_cache_home)
  set(ringsock_cache_home "$ENV{HOME}/.cache")
endif()
set(RINGSOCK_CACHE "${ringsock_cache_home}/ringsock" CACHE PATH "Where cmake/deps/setup keeps what it built")

if(WIN32)
  set(RINGSOCK_DEPS_DIR "${RINGSOCK_CACHE}/windows-${CMAKE_SYSTEM_PROCESSOR}" CACHE PATH
      "Cross-built libraries for this target")
  include(RingsockDepsWindows)
else()
  include(RingsockDepsNative)
endif()
