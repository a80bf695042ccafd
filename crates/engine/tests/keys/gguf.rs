//! Files made for a row: an adapter for a pocket model, and a pocket model with a value that is no number.

use std::path::PathBuf;

use crate::common::*;

/// A file of one test, gone when it is over.
pub struct Made(pub PathBuf);

impl Made {
    fn new(name: &str, bytes: &[u8]) -> Made {
        let name = format!("keys-{name}-{}.gguf", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        Made(path)
    }

    /// Its path, as a configuration has it.
    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

/// A LoRA adapter of rank 4 for what attention and feed-forward put out in the second layer of pocket model `a`.
pub fn adapter() -> Made {
    const RANK: u64 = 4;
    let changed = [
        ("blk.1.attn_output.weight", [128, 128]),
        ("blk.1.ffn_down.weight", [256, 128]),
    ];
    let pairs = [
        ("general.type", "adapter"),
        ("general.architecture", "llama"),
        ("adapter.type", "lora"),
    ];
    let mut random = Random(7);
    let (mut lines, mut data) = (Vec::new(), Vec::<u8>::new());
    for (name, [input, output]) in changed {
        for (half, shape) in [("a", [input, RANK]), ("b", [RANK, output])] {
            lines.extend(text(&format!("{name}.lora_{half}")));
            lines.extend(2_u32.to_le_bytes());
            shape
                .iter()
                .for_each(|extent| lines.extend(extent.to_le_bytes()));
            lines.extend(0_u32.to_le_bytes());
            lines.extend((data.len() as u64).to_le_bytes());
            for _ in 0..shape[0] * shape[1] {
                let value = (random.below(2001) as f32 / 1000.0 - 1.0) * 0.5;
                data.extend(value.to_le_bytes());
            }
            data.resize(data.len().next_multiple_of(32), 0);
        }
    }
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend((2 * changed.len() as u64).to_le_bytes());
    file.extend((pairs.len() as u64).to_le_bytes());
    for (key, value) in pairs {
        file.extend(text(key));
        file.extend(8_u32.to_le_bytes());
        file.extend(text(value));
    }
    file.extend(lines);
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(data);
    Made::new("adapter", &file)
}

/// Pocket model `a` with a last weight that is no number.
pub fn poisoned() -> Made {
    let mut bytes = std::fs::read(pocket("a")).unwrap();
    let end = bytes.len();
    // The last tensor is a matrix of 16 bit floats that fills the file to its end.
    bytes[end - 2..].copy_from_slice(&0x7e00_u16.to_le_bytes());
    Made::new("poisoned", &bytes)
}
