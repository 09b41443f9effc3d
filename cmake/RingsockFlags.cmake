# ringsock_flags: what every C target of the tree links (PRIVATE or PUBLIC). It carries the warnings, the CPU baseline
# and the include root, so that an include names its folder: #include "rings/layout.h".
# Sanitizers go on globally, or the linker would meet objects with and without them.
include_guard(GLOBAL)

add_library(ringsock_flags INTERFACE)
target_include_directories(ringsock_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(
  ringsock_flags
  INTERFACE -Wall
            -Wextra
            -Wconversion
            -Wshadow
            -Wvla
            -Wformat=2
            $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
            $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
            $<$<BOOL:${RINGSOCK_WERROR}>:-Werror>
            -march=${RINGSOCK_MARCH}
            -fno-common)
if(NOT WIN32)
  target_compile_definitions(ringsock_flags INTERFACE _GNU_SOURCE)
else()
  # NTDDI_WIN10_FE: the headers have SIO_TIMESTAMPING from there on.
  target_compile_definitions(ringsock_flags INTERFACE NTDDI_VERSION=0x0A00000A)
  # 32-bit Windows keeps the stack at four bytes. To keep it at its own sixteen GCC would align it anew in each function
  # that calls another one, or that it lets write neighbouring words as one vector, which those who read them singly wait
  # for. Both together are 3 ns of a send by datagram and 8 of one by stream (spi.call_cost).
  if(CMAKE_SIZEOF_VOID_P EQUAL 4)
    target_compile_options(ringsock_flags INTERFACE -mpreferred-stack-boundary=2 -mincoming-stack-boundary=2
                                                    -fno-tree-slp-vectorize)
  endif()
endif()

# -O2 -g without NDEBUG: an assert guards our own invariants and the hot path has none that costs.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g")

if(RINGSOCK_SANITIZE)
  add_compile_options(-fsanitize=${RINGSOCK_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${RINGSOCK_SANITIZE})
  if(RINGSOCK_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=all)
    add_link_options(-fno-sanitize-recover=all)
  endif()
endif()
if(RINGSOCK_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "RINGSOCK_FUZZ needs clang: cmake --preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
