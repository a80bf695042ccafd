//! A GGUF file with other texts in its metadata.

use super::text;

/// Bytes of a value of this type; texts and arrays have none of their own.
fn width(kind: u32) -> usize {
    match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => panic!("a value of type {kind} has no width"),
    }
}

const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// `file` with `value` as the text of `key`, which it has already.
pub(crate) fn rewritten(file: &[u8], key: &str, value: &str) -> Vec<u8> {
    let mut reader = Reader { file, at: 8 };
    let (tensors, pairs) = (reader.number(), reader.number());
    let mut out = file[..reader.at].to_vec();
    for _ in 0..pairs {
        let start = reader.at;
        let name = reader.text();
        let kind = reader.kind();
        reader.skip(kind);
        if name == key.as_bytes() {
            assert_eq!(kind, TEXT, "{key} is a text");
            out.extend([&text(key)[..], &TEXT.to_le_bytes(), &text(value)].concat());
        } else {
            out.extend(&file[start..reader.at]);
        }
    }
    let start = reader.at;
    for _ in 0..tensors {
        reader.text();
        let dimensions = reader.kind() as usize;
        reader.at += 8 * dimensions + 4 + 8;
    }
    out.extend(&file[start..reader.at]);
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(&file[reader.at.next_multiple_of(32)..]);
    out
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.at += N;
        self.file[self.at - N..self.at].try_into().expect("N bytes")
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    fn kind(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    fn text(&mut self) -> &'a [u8] {
        let length = self.number() as usize;
        self.at += length;
        &self.file[self.at - length..self.at]
    }

    fn skip(&mut self, kind: u32) {
        match kind {
            TEXT => {
                self.text();
            }
            ARRAY => {
                let element = self.kind();
                for _ in 0..self.number() {
                    self.skip(element);
                }
            }
            _ => self.at += width(kind),
        }
    }
}
