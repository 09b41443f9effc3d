# Outside libraries from the system's development packages, see RingsockDeps.cmake.
include_guard(GLOBAL)
find_package(PkgConfig REQUIRED)

# ringsock_import_pkg(NAME MODULE): target ringsock::NAME from pkg-config MODULE; its include folders count as system
# headers, so our warnings do not look into them.
function(ringsock_import_pkg name module)
  pkg_check_modules(RS_${name} REQUIRED ${module})
  add_library(ringsock::${name} INTERFACE IMPORTED GLOBAL)
  set(cflags ${RS_${name}_CFLAGS_OTHER})
  # DPDK asks for -march=corei7, which any RINGSOCK_MARCH contains; as a later option it would undo ours.
  list(FILTER cflags EXCLUDE REGEX "^-march=")
  list(JOIN cflags " " cflags)
  if(cflags)
    target_compile_options(ringsock::${name} INTERFACE "SHELL:${cflags}")
  endif()
  target_include_directories(ringsock::${name} SYSTEM INTERFACE ${RS_${name}_INCLUDE_DIRS})
  target_link_libraries(ringsock::${name} INTERFACE ${RS_${name}_LDFLAGS})
endfunction()

if(RINGSOCK_WITH_DATAPLANE)
  ringsock_import_pkg(dpdk libdpdk)
endif()
if(RINGSOCK_WITH_BENCH)
  ringsock_import_pkg(benchmark benchmark)
  target_link_libraries(ringsock::benchmark INTERFACE Threads::Threads)
endif()
if(RINGSOCK_WITH_TESTS)
  ringsock_import_pkg(cmocka cmocka)
endif()

# Debian's mimalloc has no pkg-config file in every release; its CMake package names the shared library.
find_library(RS_MIMALLOC_LIBRARY mimalloc REQUIRED)
find_path(RS_MIMALLOC_INCLUDE mimalloc.h PATH_SUFFIXES mimalloc-2.0 mimalloc-2.1 REQUIRED)
add_library(ringsock::mimalloc INTERFACE IMPORTED GLOBAL)
target_include_directories(ringsock::mimalloc SYSTEM INTERFACE ${RS_MIMALLOC_INCLUDE})
target_link_libraries(ringsock::mimalloc INTERFACE ${RS_MIMALLOC_LIBRARY} Threads::Threads)
