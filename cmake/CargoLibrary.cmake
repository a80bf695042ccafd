# Builds libwasi_nn_backend.so by cargo, in the target wasi_nn_backend_cargo, and with WASI_NN_BACKEND_BUILD_WAMR_PLUGIN
# libwasi_nn_llamacpp.so, in the target wasi_nn_llamacpp_cargo.
#
# Sets WASI_NN_BACKEND_LIBRARY and WASI_NN_LLAMACPP_LIBRARY: copies at the top of the build folder, because hosts that
# open the library by a path relative to their working directory look for build/libwasi_nn_backend.so.

find_program(CARGO_EXECUTABLE cargo HINTS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" REQUIRED)

# The folder in which cargo builds, where the environment does not name one. All build folders of CMake share it, so that
# llama.cpp is compiled once for each profile.
if(DEFINED ENV{CARGO_TARGET_DIR})
    set(default_target_dir "$ENV{CARGO_TARGET_DIR}")
else()
    set(default_target_dir "${PROJECT_SOURCE_DIR}/target")
endif()
set(WASI_NN_BACKEND_CARGO_TARGET_DIR "${default_target_dir}" CACHE PATH "Folder in which cargo builds")

set(WASI_NN_BACKEND_LIBRARY "${CMAKE_BINARY_DIR}/libwasi_nn_backend.so")
set(WASI_NN_LLAMACPP_LIBRARY "${CMAKE_BINARY_DIR}/libwasi_nn_llamacpp.so")

set(packages --package wasi-nn-backend)
# A Debug build is what memory checkers watch: there, what the kernel wrote for us is shown to them.
set(features wasi-nn-backend/memory-checkers)
if(WASI_NN_BACKEND_BUILD_WAMR_PLUGIN)
    list(APPEND packages --package wamr-plugin)
    string(APPEND features ",wamr-plugin/memory-checkers")
endif()

# The dev profile writes to a folder called debug.
set(profile "$<IF:$<CONFIG:Debug>,dev,release>")
set(built "${WASI_NN_BACKEND_CARGO_TARGET_DIR}/$<IF:$<CONFIG:Debug>,debug,release>")

# One target calls cargo and everything that needs the library waits for it, so that there are never two cargo builds at
# once. It always runs: cargo knows better than CMake what has changed. The terminal is given to it, since the first
# build takes minutes and should be seen to live.
add_custom_target(wasi_nn_backend_cargo ALL
    COMMAND "${CMAKE_COMMAND}" -E env "CARGO_TARGET_DIR=${WASI_NN_BACKEND_CARGO_TARGET_DIR}"
        "${CARGO_EXECUTABLE}" build --locked ${packages} --profile ${profile}
        "$<$<CONFIG:Debug>:--features=${features}>"
    COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${built}/libwasi_nn_backend.so" "${WASI_NN_BACKEND_LIBRARY}"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    BYPRODUCTS "${WASI_NN_BACKEND_LIBRARY}"
    COMMENT "Building the library with cargo"
    USES_TERMINAL
    COMMAND_EXPAND_LISTS
    VERBATIM)

# The plugin is another root over the same crates: the call above has built it too.
if(WASI_NN_BACKEND_BUILD_WAMR_PLUGIN)
    add_custom_target(wasi_nn_llamacpp_cargo ALL
        COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${built}/libwasi_nn_llamacpp.so" "${WASI_NN_LLAMACPP_LIBRARY}"
        BYPRODUCTS "${WASI_NN_LLAMACPP_LIBRARY}"
        VERBATIM)
    add_dependencies(wasi_nn_llamacpp_cargo wasi_nn_backend_cargo)
endif()
