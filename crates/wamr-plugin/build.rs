//! Gives the plugin what cargo has no key for: its SONAME, a stay in memory after `dlclose`, and calls that stay inside.
//!
//! Writes nothing. What is exported is decided by rustc: the functions with fixed names, and nothing of llama.cpp.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|system| system == "linux") {
        // With it a host that has opened the file by path finds it again by its bare name.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libwasi_nn_llamacpp.so");
        // Hosts open, close and open again; threads and thread-local destructors may outlive a `dlclose`.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
        // The names are as common as `load`; a host may open several backends with global scope.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    }
}
