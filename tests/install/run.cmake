# Installs BUILD, moves what was installed, and builds and runs the project CONSUMER against it.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${status}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK}/run)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
file(RENAME ${WORK}/first ${WORK}/prefix)
set(ENV{XDG_CACHE_HOME} ${WORK}/cache)

# Only public headers are installed.
file(GLOB_RECURSE headers RELATIVE ${WORK}/prefix/include ${WORK}/prefix/include/*)
foreach(header IN LISTS headers)
  if(NOT header MATCHES "^kiln/((detail|nn)/)?[a-z_]+\\.h$")
    message(FATAL_ERROR "installed as a header: ${header}")
  endif()
endforeach()

# build(NAME OPTION...): the project in a build folder of its own.
function(build name)
  run(${CMAKE_COMMAND} -S ${CONSUMER} -B ${WORK}/${name} -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=${COMPILER}
      -DCMAKE_CXX_FLAGS=${FLAGS} -DCMAKE_PREFIX_PATH=${WORK}/prefix ${ARGN})
  run(${CMAKE_COMMAND} --build ${WORK}/${name})
endfunction()

build(build)
run(${CMAKE_COMMAND} -E chdir ${WORK}/run ${WORK}/build/train)
message(STATUS "find_package(Kiln): ${output}")

# The runtime needs no LLVM, neither to be configured nor to run.
build(runtime -DRUNTIME_ONLY=ON -DCMAKE_DISABLE_FIND_PACKAGE_LLVM=ON)
run(${CMAKE_COMMAND} -E chdir ${WORK}/run ${WORK}/runtime/arrays)
if(NOT output STREQUAL "f32[2, 2] {{1, 2}, {3, 4}}\n")
  message(FATAL_ERROR "the runtime's program printed:\n${output}")
endif()
find_program(LDD ldd)
if(LDD)
  run(${LDD} ${WORK}/runtime/arrays)
  if(output MATCHES "LLVM")
    message(FATAL_ERROR "a program of the runtime alone is linked with LLVM:\n${output}")
  endif()
endif()

if(WITH_COMMAND)
  run(${WORK}/prefix/${BINDIR}/kiln --version)
  message(STATUS "installed: ${output}")
endif()

find_program(PKG_CONFIG pkg-config)
if(PKG_CONFIG)
  set(ENV{PKG_CONFIG_PATH} ${WORK}/prefix/${LIBDIR}/pkgconfig)
  run(${PKG_CONFIG} --cflags --libs kiln)
  separate_arguments(flags UNIX_COMMAND "${output}")
  run(${COMPILER} ${FLAGS} ${CONSUMER}/train.cpp -o ${WORK}/build/train_pkg_config ${flags})
  run(${CMAKE_COMMAND} -E chdir ${WORK}/run ${WORK}/build/train_pkg_config)
  message(STATUS "pkg-config: ${output}")
endif()
