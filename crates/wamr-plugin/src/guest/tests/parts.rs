//! A model that is split into two files, below a root.

use std::path::{Path, PathBuf};

use super::*;

/// A pair of a GGUF header.
fn pair(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    let length = (key.len() as u64).to_le_bytes();
    [&length[..], key.as_bytes(), &kind.to_le_bytes(), value].concat()
}

/// The pairs of part `no` of two, whose length is a multiple of the alignment: tensors stay where they are.
fn pairs(no: u16, tensors: i32) -> Vec<u8> {
    let said = [
        pair("split.no", 2, &no.to_le_bytes()),
        pair("split.count", 2, &2_u16.to_le_bytes()),
        pair("split.tensors.count", 5, &tensors.to_le_bytes()),
    ]
    .concat();
    let empty = pair("padding", 8, &0_u64.to_le_bytes()).len();
    let missing = (said.len() + empty).next_multiple_of(32) - said.len() - empty;
    let padding = [&(missing as u64).to_le_bytes()[..], &vec![b'.'; missing]].concat();
    [said, pair("padding", 8, &padding)].concat()
}

/// The model with all tensors in the first part, and a second one without any.
fn parts(model: &[u8]) -> [Vec<u8>; 2] {
    let word = |at: usize| u64::from_le_bytes(model[at..at + 8].try_into().unwrap());
    let (tensors, count) = (word(8), word(16));
    let head = |tensors: u64, count: u64| {
        let numbers = [tensors.to_le_bytes(), count.to_le_bytes()].concat();
        [&model[..8], &numbers].concat()
    };
    let pairs = |no| pairs(no, tensors as i32);
    [
        [head(tensors, count + 4), pairs(0), model[24..].to_vec()].concat(),
        [head(0, 4), pairs(1)].concat(),
    ]
}

struct Root(PathBuf);

impl Root {
    fn new() -> Root {
        let name = format!("wasi-nn-split-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        for (no, part) in parts(&std::fs::read(pocket("a")).unwrap())
            .iter()
            .enumerate()
        {
            std::fs::write(path.join(Root::name(no + 1)), part).unwrap();
        }
        Root(path)
    }

    fn name(no: usize) -> String {
        format!("pip-{no:05}-of-00002.gguf")
    }

    fn names(&self) -> Names {
        Names::read(None, self.0.to_str(), None).0
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_split_model_below_the_root_answers_and_its_second_part_names_the_first() {
    let root = Root::new();
    let names = root.names();
    let config = text_of(&json!({"temp": 0, "n-predict": 64, "ctx-size": 1024})).unwrap();
    let me = bound(maker());
    let load = |no| Graph::load(me.maker, Source::named(&names, &Root::name(no))?, &config);
    let graph = load(1).unwrap();
    let context = Context::open(&graph, me.maker).unwrap();
    // It is read again when it wakes up: what lies at the path by then is another one.
    std::fs::write(root.0.join(Root::name(2)), "GGUF").unwrap();
    context.set_prompt(QUESTION.to_owned()).unwrap();
    context.compute().unwrap();
    let text = context.output(0).unwrap();
    assert!(text.contains("Pip"), "{text}");
    drop((context, graph));
    let second = Path::new("/proc/self/fd");
    std::fs::write(
        root.0.join(Root::name(2)),
        &parts(&std::fs::read(pocket("a")).unwrap())[1],
    )
    .unwrap();
    let said = load(2).err().unwrap().to_string();
    let expect = format!(
        "{} is part 2 of 2, load part 1: {}",
        root.0.join(Root::name(2)).display(),
        root.0.join(Root::name(1)).display()
    );
    assert!(said.contains(&expect), "{said}");
    assert!(!said.contains(&*second.to_string_lossy()), "{said}");
    end_instance(me.maker);
}
