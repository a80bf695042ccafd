# What `cmake --install` puts where. Everything finds the rest relative to itself, so an installed tree may be moved.

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/wasi_nn_backend")

set(libraries "${WASI_NN_BACKEND_LIBRARY}")
if(WASI_NN_BACKEND_BUILD_WAMR_PLUGIN)
    list(APPEND libraries "${WASI_NN_LLAMACPP_LIBRARY}")
endif()
install(FILES ${libraries}
    DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
install(FILES
    "${PROJECT_SOURCE_DIR}/include/wasi_nn_llama.h"
    "${PROJECT_SOURCE_DIR}/include/wasi_nn_llama_ext.h"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/cmake/wasi_nn_backendConfig.cmake.in"
    "${PROJECT_BINARY_DIR}/wasi_nn_backendConfig.cmake"
    INSTALL_DESTINATION "${package_dir}"
    PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/wasi_nn_backendConfigVersion.cmake"
    COMPATIBILITY SameMajorVersion)
install(FILES
    "${PROJECT_BINARY_DIR}/wasi_nn_backendConfig.cmake"
    "${PROJECT_BINARY_DIR}/wasi_nn_backendConfigVersion.cmake"
    DESTINATION "${package_dir}")

# From the folder of the pkg-config file back to the prefix: as many steps up as its path has parts.
set(pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH prefix_from_pkgconfig "/${pkgconfig_dir}" "/")
string(REGEX REPLACE "/$" "" prefix_from_pkgconfig "${prefix_from_pkgconfig}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/wasi_nn_backend.pc.in" "${PROJECT_BINARY_DIR}/wasi_nn_backend.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/wasi_nn_backend.pc" DESTINATION "${pkgconfig_dir}")
