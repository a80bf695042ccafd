//! Models that are split into several files: found by their names, or open before anybody reads them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::forge::Forge;
use super::support::*;
use crate::llama::*;

/// Three parts of the forged model under names of `stem`.
fn write(stem: &str) -> Vec<PathBuf> {
    let parts = Forge::model().parts(3).into_iter().enumerate();
    parts
        .map(|(no, part)| part.write(&format!("{stem}-{:05}-of-00003.gguf", no + 1)))
        .collect()
}

fn open(path: &Path, shown: &str, parts: Vec<Arc<OpenFile>>) -> OpenFile {
    let file = File::open(path).expect("a file that was written");
    OpenFile::new(file.into(), shown, parts)
}

/// All `files` but those behind the first `count`, open under the name of the first.
fn open_all(files: &[PathBuf], count: usize) -> OpenFile {
    let shown = |path: &Path| path.display().to_string();
    let parts = files[1..count].iter();
    let parts = parts.map(|path| Arc::new(open(path, &shown(path), Vec::new())));
    open(&files[0], &shown(&files[0]), parts.collect())
}

fn numbers(model: &Model) -> (u64, u64) {
    (model.n_params(), model.size_bytes())
}

#[test]
fn a_split_model_is_the_whole_one_by_its_names_and_by_open_files() {
    let whole = load(&Forge::model().write("whole-of-parts.gguf")).expect("the forged model");
    let files = write("named");
    let named = load(&files[0]).expect("a split model");
    assert_eq!(numbers(&named), numbers(&whole));
    let held = open_all(&files, 3);
    let opened = load(held.path()).expect("a split model");
    assert_eq!(numbers(&opened), numbers(&whole));
    let checked = gguf::check(held.path(), &[]).expect("a split model");
    assert_eq!(checked.files.len(), 3);
}

#[test]
fn open_parts_are_those_that_were_judged() {
    let files = write("exchanged");
    let held = open_all(&files, 3);
    for path in &files {
        std::fs::remove_file(path).expect("it was written");
        std::fs::write(path, b"GGUF, but no model").expect("a temporary file");
    }
    assert!(load(held.path()).is_ok());
    assert!(load(&files[0]).is_err());
}

#[test]
fn a_later_part_names_the_first_one() {
    let files = write("later");
    let check = |path: &Path| {
        let error = load(path).expect_err("a refusal").to_string();
        let expect = format!(
            "{} is part 2 of 3, load part 1: {}",
            files[1].display(),
            files[0].display()
        );
        assert_eq!(error, expect);
    };
    check(&files[1]);
    let held = open(&files[1], &files[1].display().to_string(), Vec::new());
    check(held.path());
}

#[test]
fn a_part_that_is_missing_is_named_and_not_the_number_of_a_descriptor() {
    let files = write("missing");
    let held = open_all(&files, 2);
    let expect = format!("file not found: {}", files[2].display());
    let error = load(held.path()).expect_err("a refusal").to_string();
    assert_eq!(error, expect);
    std::fs::remove_file(&files[2]).expect("it was written");
    let error = load(&files[0]).expect_err("a refusal").to_string();
    assert_eq!(error, expect);
    let odd = open(&files[0], "/models/renamed.gguf", Vec::new());
    let error = load(odd.path()).expect_err("a refusal").to_string();
    assert_eq!(error, "/models/renamed.gguf is not named as part 1 of 3");
}

#[test]
fn a_refusal_of_llama_cpp_has_the_name_of_the_file_too() {
    let mut forge = Forge::model();
    forge.text("general.architecture", "no-such-architecture");
    let path = forge.write("foreign.gguf");
    let held = open(&path, "/models/foreign.gguf", Vec::new());
    let error = load(held.path()).expect_err("a refusal").to_string();
    assert!(error.starts_with("/models/foreign.gguf "), "{error}");
    assert!(!error.contains("/proc/self/fd"), "{error}");
}
