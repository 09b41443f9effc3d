# Outside libraries cross-built by cmake/deps/setup, all static, see RingsockDeps.cmake.
include_guard(GLOBAL)

# ringsock_import_static(NAME LIBRARY SYSTEM_LIBRARIES...): target ringsock::NAME from RINGSOCK_DEPS_DIR/NAME. With nothing
# built yet the target is left out, and whoever links it gets CMake's "target not found" with that name.
function(ringsock_import_static name library)
  set(prefix ${RINGSOCK_DEPS_DIR}/${name})
  if(NOT EXISTS ${prefix}/lib/${library})
    message(STATUS "ringsock::${name} is missing (no ${prefix}/lib/${library}): run cmake/deps/setup")
    return()
  endif()
  add_library(ringsock::${name} INTERFACE IMPORTED GLOBAL)
  target_include_directories(ringsock::${name} SYSTEM INTERFACE ${prefix}/include)
  target_link_libraries(ringsock::${name} INTERFACE ${prefix}/lib/${library} ${ARGN})
endfunction()

ringsock_import_static(mimalloc libmimalloc.a psapi shell32 user32 advapi32 bcrypt)
ringsock_import_static(cmocka libcmocka.a)
if(RINGSOCK_WITH_BENCH)
  ringsock_import_static(benchmark libbenchmark.a Threads::Threads shlwapi)
  if(TARGET ringsock::benchmark)
    target_compile_definitions(ringsock::benchmark INTERFACE BENCHMARK_STATIC_DEFINE)
  endif()
endif()

if(RINGSOCK_WITH_DATAPLANE AND EXISTS ${RINGSOCK_DEPS_DIR}/dpdk/lib/librte_eal.a)
  set(dpdk ${RINGSOCK_DEPS_DIR}/dpdk)
  # Drivers, mempool handlers and log types register themselves in constructors that nothing refers to, so the archives
  # are linked whole; --gc-sections drops what stays unused.
  file(GLOB dpdk_archives ${dpdk}/lib/librte_*.a)
  if(NOT RINGSOCK_DPDK_MLX5)
    list(FILTER dpdk_archives EXCLUDE REGEX "mlx5")
  endif()
  list(JOIN dpdk_archives "," dpdk_archives)
  add_library(ringsock::dpdk INTERFACE IMPORTED GLOBAL)
  target_include_directories(ringsock::dpdk SYSTEM INTERFACE ${dpdk}/include)
  target_compile_options(ringsock::dpdk INTERFACE "SHELL:-include rte_config.h")
  target_link_libraries(
    ringsock::dpdk
    INTERFACE "-Wl,--whole-archive,${dpdk_archives},--no-whole-archive"
              ${dpdk}/lib/libwpcap.a
              Threads::Threads
              setupapi
              dbghelp
              ws2_32
              iphlpapi
              mincore
              bcrypt
              shlwapi
              shell32)
  if(RINGSOCK_DPDK_MLX5)
    target_link_libraries(ringsock::dpdk INTERFACE ${dpdk}/lib/libmlx5devx.a)
  endif()
elseif(RINGSOCK_WITH_DATAPLANE)
  message(STATUS "ringsock::dpdk is missing (no ${RINGSOCK_DEPS_DIR}/dpdk): run cmake/deps/setup")
endif()
