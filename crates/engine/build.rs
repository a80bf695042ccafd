//! Compiles the C++ shim of `engine::llama` against the headers that llama-cpp-sys-2 installed, and against those
//! that it does not install, where its sources lie.
//! Knows nothing of llama.cpp's own build: that crate decides it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

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
    let installed = PathBuf::from(cmake).join("../..");
    let include = installed.join("include");
    // No declaration of llama.cpp is copied: where it changes, the shim does not compile.
    let internal = source(&installed).join("src");
    for header in ["llama-ext.h", "llama-vocab.h", "unicode.h"] {
        println!("cargo:rerun-if-changed={}", internal.join(header).display());
    }
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .file("src/llama/shim.cpp")
        .file("src/llama/shim_media.cpp")
        .file("src/llama/shim_sampler.cpp")
        .file("src/llama/shim_vocab.cpp")
        .include(&include)
        .include(&internal);
    build.compile("engine_llama_shim");
    // For the test that compiles the shim against changed headers.
    for (name, path) in [
        ("ENGINE_TEST_COMPILER", build.get_compiler().path()),
        ("ENGINE_TEST_INSTALLED", &include),
        ("ENGINE_TEST_INTERNAL", &internal),
    ] {
        println!("cargo:rustc-env={name}={}", path.display());
    }
}

/// Where the sources lie that llama.cpp was compiled from, as its build noted it.
fn source(installed: &Path) -> PathBuf {
    let notes = installed.join("build/CMakeCache.txt");
    println!("cargo:rerun-if-changed={}", notes.display());
    let text = fs::read_to_string(&notes)
        .unwrap_or_else(|error| panic!("llama.cpp's build left no {}: {error}", notes.display()));
    let place = text
        .lines()
        .find_map(|line| line.strip_prefix("CMAKE_HOME_DIRECTORY:INTERNAL="));
    PathBuf::from(place.expect("llama.cpp's build noted where its sources lie"))
}
