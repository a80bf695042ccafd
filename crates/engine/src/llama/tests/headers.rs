//! What the shim takes from headers that llama.cpp does not install: a build against other ones fails.

use std::path::Path;
use std::process::Command;

/// Compiles the shim's first file against `llama-ext.h` as `text` has it; the compiler's words where it fails.
fn compile(name: &str, text: &str) -> Result<(), String> {
    let folder = Path::new(env!("OUT_DIR")).join("test-headers").join(name);
    std::fs::create_dir_all(&folder).expect("a folder for a header");
    std::fs::write(folder.join("llama-ext.h"), text).expect("a header");
    let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/llama/shim.cpp");
    let output = Command::new(env!("ENGINE_TEST_COMPILER"))
        .args(["-std=c++17", "-fsyntax-only", "-I"])
        .arg(&folder)
        .args(["-I", env!("ENGINE_TEST_INSTALLED")])
        .arg(shim)
        .output()
        .expect("the compiler that the shim was built with");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn a_changed_declaration_of_llama_cpp_fails_the_build() {
    let header = Path::new(env!("ENGINE_TEST_INTERNAL")).join("llama-ext.h");
    let header = std::fs::read_to_string(header).expect("llama.cpp's own header");
    assert_eq!(compile("same", &header), Ok(()));
    let devices = "int32_t llama_model_n_devices(const struct llama_model * model);";
    let breakdown = "llama_get_memory_breakdown(const struct llama_context * ctx);";
    for (name, from, to, expect) in [
        ("gone", devices, "", "llama_model_n_devices"),
        (
            "wider",
            devices,
            "int64_t llama_model_n_devices(const struct llama_model * model);",
            "static assertion",
        ),
        (
            "asked",
            devices,
            "int32_t llama_model_n_devices(const struct llama_model * model, int kind);",
            "static assertion",
        ),
        (
            "part",
            breakdown,
            "llama_get_memory_breakdown(const struct llama_context * ctx, int part);",
            "static assertion",
        ),
        (
            "field",
            "size_t context = 0;",
            "size_t cells = 0;",
            "context",
        ),
        (
            "signed",
            "size_t model   = 0;",
            "long model = 0;",
            "static assertion",
        ),
    ] {
        assert!(header.contains(from), "{from} is not in the header");
        let words = compile(name, &header.replacen(from, to, 1)).expect_err(name);
        assert!(words.contains(expect), "{name}: {words}");
    }
}
