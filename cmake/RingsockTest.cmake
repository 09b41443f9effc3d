# How a test is declared. The label is the folder under tests/; run-tests picks the labels per preset.
include_guard(GLOBAL)

# ringsock_add_test(
#   NAME unit.ring_stream          ctest name, also the target's name with '.' turned into '_'
#   LABEL unit                     folder of tests/: unit model scenario interop crash fuzz abi spi programs
#                                  bench-smoke style full soak
#   SOURCES a.c b.c                a program is built from them; exit status 0 passes, 77 skips
#   COMMAND script arg             instead of SOURCES: a command to run (generator expressions allowed)
#   LIBS ringsock_client …         linked besides ringsock_flags; cmocka where LABEL is unit
#   ARGS …                         arguments of the program
#   ENVIRONMENT VAR=value …
#   TIMEOUT 30                     seconds, 60 when left out; CTest ends the test after that
#   CMOCKA                         link ringsock::cmocka also outside label unit
#   TSAN                           this test also runs in the tsan preset (label tsan), whatever its folder
#   SERIAL                         runs alone: it measures, or needs all cores
#   ROOT)                          needs root; without it the test is reported as skipped
# A Windows program runs under Wine: the toolchain's emulator is cmake/wine-run.
function(ringsock_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 T "CMOCKA;TSAN;SERIAL;ROOT" "NAME;LABEL;TIMEOUT"
                        "SOURCES;COMMAND;LIBS;ARGS;ENVIRONMENT")
  if(T_UNPARSED_ARGUMENTS OR NOT T_NAME OR NOT T_LABEL)
    message(FATAL_ERROR "ringsock_add_test(${ARGV}): NAME and LABEL are needed, unknown: ${T_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 60)
  endif()

  if(T_SOURCES)
    string(REPLACE "." "_" target test_${T_NAME})
    add_executable(${target} ${T_SOURCES})
    target_link_libraries(${target} PRIVATE ringsock_flags ${T_LIBS})
    if(T_CMOCKA OR T_LABEL STREQUAL "unit")
      target_link_libraries(${target} PRIVATE ringsock::cmocka)
    endif()
    set(command ${target})
  else()
    set(command ${T_COMMAND})
  endif()

  if(T_ROOT)
    ringsock_is_root(root)
    if(NOT root)
      set(command ${CMAKE_COMMAND} -E echo "${T_NAME}: needs root")
      set(T_ARGS "")
    endif()
  endif()
  add_test(NAME ${T_NAME} COMMAND ${command} ${T_ARGS})
  set(labels ${T_LABEL})
  if(T_TSAN)
    list(APPEND labels tsan)
  endif()
  set_tests_properties(${T_NAME} PROPERTIES LABELS "${labels}" TIMEOUT ${T_TIMEOUT} SKIP_RETURN_CODE 77)
  if(T_ROOT AND NOT root)
    set_tests_properties(${T_NAME} PROPERTIES SKIP_REGULAR_EXPRESSION "needs root")
  endif()
  if(T_ENVIRONMENT)
    set_tests_properties(${T_NAME} PROPERTIES ENVIRONMENT "${T_ENVIRONMENT}")
  endif()
  # A test with a polling dataplane keeps two cores busy: under -j no other test runs beside it there.
  if(T_LABEL MATCHES "^(interop|crash|spi|programs|bench-smoke|full|soak|style)$")
    set_tests_properties(${T_NAME} PROPERTIES PROCESSORS 2)
  endif()
  if(T_SERIAL)
    set_tests_properties(${T_NAME} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()

function(ringsock_is_root out)
  execute_process(COMMAND id -u OUTPUT_VARIABLE uid OUTPUT_STRIP_TRAILING_WHITESPACE)
  string(COMPARE EQUAL "${uid}" "0" root)
  set(${out} ${root} PARENT_SCOPE)
endfunction()

# ringsock_add_fuzzer(NAME packet SOURCES packet.c LIBS … CORPUS dir): in preset fuzz a libFuzzer program fuzz_NAME and the
# test fuzz.NAME, which replays CORPUS and then mutates it for a bounded number of runs from a fixed seed; the target `fuzzers`
# is all of them with what they need, and nothing more. Elsewhere a program replay_NAME (tests/fuzz/replay_main.c in libFuzzer's
# place), and fuzz.NAME only replays CORPUS.
if(RINGSOCK_FUZZ)
  add_custom_target(fuzzers)
endif()
function(ringsock_add_fuzzer)
  cmake_parse_arguments(PARSE_ARGV 0 F "" "NAME;CORPUS;RUNS;TIMEOUT" "SOURCES;LIBS;ARGS")
  if(F_UNPARSED_ARGUMENTS OR NOT F_NAME OR NOT F_SOURCES OR NOT F_CORPUS)
    message(FATAL_ERROR "ringsock_add_fuzzer(${ARGV}): NAME, SOURCES and CORPUS are needed")
  endif()
  if(NOT F_RUNS)
    set(F_RUNS 20000)
  endif()
  if(NOT F_TIMEOUT)
    set(F_TIMEOUT 120)
  endif()
  cmake_path(ABSOLUTE_PATH F_CORPUS)
  if(NOT RINGSOCK_FUZZ)
    add_executable(replay_${F_NAME} ${F_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.c)
    target_link_libraries(replay_${F_NAME} PRIVATE ringsock_flags ${F_LIBS})
    add_test(NAME fuzz.${F_NAME} COMMAND replay_${F_NAME} ${F_CORPUS})
    set_tests_properties(fuzz.${F_NAME} PROPERTIES LABELS fuzz TIMEOUT ${F_TIMEOUT})
    return()
  endif()
  add_executable(fuzz_${F_NAME} ${F_SOURCES})
  target_link_libraries(fuzz_${F_NAME} PRIVATE ringsock_flags ${F_LIBS})
  target_link_options(fuzz_${F_NAME} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers fuzz_${F_NAME})
  # New inputs that libFuzzer finds go to the build tree, never into the checked-in corpus.
  set(found ${CMAKE_CURRENT_BINARY_DIR}/found-${F_NAME})
  file(MAKE_DIRECTORY ${found})
  add_test(NAME fuzz.${F_NAME} COMMAND fuzz_${F_NAME} -seed=1 -runs=${F_RUNS} -timeout=10 -max_total_time=60
                                       -artifact_prefix=${found}/ ${F_ARGS} ${found} ${F_CORPUS})
  set_tests_properties(fuzz.${F_NAME} PROPERTIES LABELS fuzz TIMEOUT ${F_TIMEOUT})
endfunction()
