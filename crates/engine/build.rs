//! Compiles the C++ shim of `engine::llama` against the headers that llama-cpp-sys-2 installed.
//! Knows nothing of llama.cpp's own build: that crate decides it.

use std::env;
use std::path::PathBuf;

fn main() {
    for file in [
        "shim.cpp",
        "shim_media.cpp",
        "shim_sampler.cpp",
        "shim_vocab.cpp",
        "shim_guard.h",
        "shim_media.h",
        "shim_vocab.h",
        "shim.h",
    ] {
        println!("cargo:rerun-if-changed=src/llama/{file}");
    }
    println!("cargo:rerun-if-env-changed=DEP_LLAMA_GGML_CMAKE_DIR");
    // The variable names `lib/cmake` of an install tree; the headers lie beside `lib`.
    let cmake = env::var("DEP_LLAMA_GGML_CMAKE_DIR")
        .expect("llama-cpp-sys-2 tells its dependents where it installed ggml");
    let include = PathBuf::from(cmake).join("../../include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("src/llama/shim.cpp")
        .file("src/llama/shim_media.cpp")
        .file("src/llama/shim_sampler.cpp")
        .file("src/llama/shim_vocab.cpp")
        .include(include)
        .compile("engine_llama_shim");
}
