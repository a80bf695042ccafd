//! Reads a GGUF header byte by byte, never past the file and never more memory than the file's own size justifies.
//!
//! | Part | Layout, little-endian (ggml/src/gguf.cpp of the pinned version) |
//! |---|---|
//! | start | `GGUF`, version u32 (2 or 3), tensors i64, pairs i64 |
//! | pair | key: u64 length + bytes; type u32; value, or for type 9: element type u32, count u64, elements |
//! | tensor | name: u64 length + bytes; dimensions u32; u64 each; type u32; offset u64 |
//! | data | from the next multiple of `general.alignment` (32); tensors in order, each padded to it |
//!
//! Knows what is well-formed, not what makes sense: that is `rules`.

use std::collections::HashSet;
use std::io::{BufReader, Read, Seek};

use llama_cpp_sys_2 as sys;

use super::header::{Header, Tensor, Value};

/// A line feed as a greedy vocabulary may write it.
const LINE_FEEDS: [&[u8]; 4] = [b"\n", b"\\n", b"\\x0a", b"\\x0A"];

/// The longest key and tensor name; the format's own bound for keys, llama.cpp's is lower for tensors.
const NAME_LIMIT_BYTES: u64 = 65_535;
/// Counts beyond these are no model but an attack on memory: the largest known have a tenth.
const TENSORS_LIMIT: u64 = 1 << 18;
const PAIRS_LIMIT: u64 = 1 << 16;
const TOKENS_LIMIT: u64 = 1 << 24;
/// Numeric arrays up to this length are kept: one element per layer is what the rules look at.
const KEPT_NUMBERS: u64 = 1024;
/// Text values are kept up to this length, for the rules and their messages.
const KEPT_TEXT_BYTES: u64 = 4096;

const TEXT: u32 = 8;
const ARRAY: u32 = 9;
/// The token type of raw bytes, in `tokenizer.ggml.token_type`.
const TOKEN_TYPE_BYTE: i32 = 6;

type Walked<T> = std::result::Result<T, String>;

/// Walks the header of `file`, which has `length` bytes. The error completes a sentence that begins with the path.
pub(super) fn header(file: impl Read + Seek, length: u64) -> Walked<Header> {
    let mut walk = Walk {
        reader: BufReader::with_capacity(1 << 16, file),
        at: 0,
        length,
    };
    let (tensors, pairs) = walk.start()?;
    let mut header = Header::default();
    for _ in 0..pairs {
        walk.pair(&mut header)?;
    }
    let mut offsets = Vec::new();
    for _ in 0..tensors {
        let (tensor, offset) = walk.tensor()?;
        header.tensors.push(tensor);
        offsets.push(offset);
    }
    walk.data(&header, &offsets)?;
    Ok(header)
}

struct Walk<R> {
    reader: BufReader<R>,
    at: u64,
    length: u64,
}

impl<R: Read + Seek> Walk<R> {
    fn left(&self) -> u64 {
        self.length - self.at
    }

    fn need(&self, bytes: u64) -> Walked<()> {
        if bytes > self.left() {
            return Err(format!(
                "is cut off: {bytes} bytes are expected at offset {}, the file has {}",
                self.at, self.length
            ));
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Walked<[u8; N]> {
        self.need(N as u64)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Walked<()> {
        self.reader
            .read_exact(bytes)
            .map_err(|e| format!("cannot be read at offset {}: {e}", self.at))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn u32(&mut self) -> Walked<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Walked<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn skip(&mut self, bytes: u64) -> Walked<()> {
        self.need(bytes)?;
        let step = i64::try_from(bytes).map_err(|_| "is larger than 8 EiB".to_owned())?;
        self.reader
            .seek_relative(step)
            .map_err(|e| format!("cannot be read at offset {}: {e}", self.at))?;
        self.at += bytes;
        Ok(())
    }

    fn text(&mut self) -> Walked<Vec<u8>> {
        let length = self.u64()?;
        self.need(length)?;
        // Bounded by the file's length, which the caller already decided to load.
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn name(&mut self, what: &str) -> Walked<String> {
        let at = self.at;
        let length = self.u64()?;
        if length == 0 || length > NAME_LIMIT_BYTES {
            return Err(format!(
                "has a {what} of {length} bytes at offset {at}, must be 1 to {NAME_LIMIT_BYTES}"
            ));
        }
        self.need(length)?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| format!("has a {what} at offset {at} that is no text"))
    }

    /// Magic, version and the two counts: (tensors, pairs).
    fn start(&mut self) -> Walked<(u64, u64)> {
        if self.length < 4 || self.bytes::<4>()? != *b"GGUF" {
            return Err("is not a GGUF file".to_owned());
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(format!("has GGUF version {version}, must be 2 or 3"));
        }
        let tensors = self.u64()?;
        let pairs = self.u64()?;
        // The shortest tensor line has 33 bytes, the shortest pair 14: larger counts cannot be true.
        if tensors > TENSORS_LIMIT.min(self.length / 33) {
            return Err(format!("claims {tensors} tensors in {} bytes", self.length));
        }
        if pairs > PAIRS_LIMIT.min(self.length / 14) {
            return Err(format!(
                "claims {pairs} metadata pairs in {} bytes",
                self.length
            ));
        }
        Ok((tensors, pairs))
    }

    fn pair(&mut self, header: &mut Header) -> Walked<()> {
        let key = self.name("key")?;
        let kind = self.u32()?;
        let value = if kind == ARRAY {
            self.array(&key, header)?
        } else {
            self.scalar(&key, kind)?
        };
        header.kinds.insert(key.clone(), kind);
        if header.values.insert(key.clone(), value).is_some() {
            return Err(format!("has the key {key} twice"));
        }
        Ok(())
    }

    fn scalar(&mut self, key: &str, kind: u32) -> Walked<Value> {
        Ok(match kind {
            0 => Value::Unsigned(self.bytes::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes()?).into()),
            7 => Value::Bool(self.bytes::<1>()?[0] != 0),
            TEXT => self.kept_text()?,
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Double(f64::from_le_bytes(self.bytes()?)),
            _ => return Err(format!("has the unknown value type {kind} for {key}")),
        })
    }

    fn kept_text(&mut self) -> Walked<Value> {
        let length = self.u64()?;
        self.need(length)?;
        if length > KEPT_TEXT_BYTES {
            self.skip(length)?;
            return Ok(Value::Text(String::new()));
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(Value::Text(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn array(&mut self, key: &str, header: &mut Header) -> Walked<Value> {
        let element = self.u32()?;
        let count = self.u64()?;
        let size = match element {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            // Each text has at least its length of 8 bytes.
            TEXT => 8,
            _ => return Err(format!("has the unknown element type {element} in {key}")),
        };
        let bytes = count
            .checked_mul(size)
            .ok_or_else(|| format!("claims {count} elements in {key}"))?;
        self.need(bytes)?;
        let mut numbers = Vec::new();
        if element == TEXT {
            let tokens = key == "tokenizer.ggml.tokens";
            self.texts(count, tokens.then_some(header))?;
        } else if key == "tokenizer.ggml.token_type" && element == 5 {
            self.token_types(count, header)?;
        } else if count <= KEPT_NUMBERS {
            for _ in 0..count {
                numbers.extend(self.scalar(key, element)?.numbers());
            }
        } else {
            self.skip(bytes)?;
        }
        Ok(Value::Array {
            element,
            count,
            numbers,
        })
    }

    /// Walks `count` texts; those of the vocabulary are compared, because llama.cpp asserts that they differ.
    fn texts(&mut self, count: u64, vocabulary: Option<&mut Header>) -> Walked<()> {
        let Some(header) = vocabulary else {
            for _ in 0..count {
                let length = self.u64()?;
                self.skip(length)?;
            }
            return Ok(());
        };
        if count > TOKENS_LIMIT {
            return Err(format!("claims {count} tokens"));
        }
        let tokens = header.tokens.get_or_insert_default();
        tokens.count = count;
        let mut seen = HashSet::new();
        for index in 0..count {
            let mut text = self.text()?;
            // llama.cpp reads them as C strings and renames the empty ones.
            if let Some(end) = text.iter().position(|byte| *byte == 0) {
                text.truncate(end);
            }
            if text.is_empty() {
                text = format!("[EMPTY_{index}]").into_bytes();
            }
            if tokens.repeated.is_none() && seen.contains(&text) {
                tokens.repeated = Some(String::from_utf8_lossy(&text).into_owned());
            }
            tokens.longest = tokens.longest.max(text.len());
            tokens.has_line_feed |= LINE_FEEDS.contains(&text.as_slice());
            seen.insert(text);
        }
        Ok(())
    }

    fn token_types(&mut self, count: u64, header: &mut Header) -> Walked<()> {
        let tokens = header.tokens.get_or_insert_default();
        for _ in 0..count {
            tokens.has_byte |= i32::from_le_bytes(self.bytes()?) == TOKEN_TYPE_BYTE;
        }
        Ok(())
    }

    /// A tensor's line and its offset in the data.
    fn tensor(&mut self) -> Walked<(Tensor, u64)> {
        let name = self.name("tensor name")?;
        let dimensions = self.u32()?;
        if !(1..=4).contains(&dimensions) {
            return Err(format!(
                "has {dimensions} dimensions for tensor {name}, must be 1 to 4"
            ));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let extent = self.u64()?;
            if extent == 0 || extent > i64::MAX as u64 {
                return Err(format!("has a dimension of {extent} in tensor {name}"));
            }
            shape.push(extent);
        }
        let kind = self.u32()?;
        if kind >= sys::GGML_TYPE_COUNT || block(kind).0 == 0 {
            return Err(format!("has the unknown type {kind} for tensor {name}"));
        }
        let offset = self.u64()?;
        Ok((Tensor { name, shape, kind }, offset))
    }

    /// Checks that the tensors lie one after the other and inside the file.
    fn data(&self, header: &Header, offsets: &[u64]) -> Walked<()> {
        let alignment = match header.values.get("general.alignment") {
            None => 32,
            Some(Value::Unsigned(n)) if n.is_power_of_two() && *n <= 1 << 20 => *n,
            Some(_) => return Err("has an alignment that is no power of two".to_owned()),
        };
        let start = self.at.next_multiple_of(alignment);
        let mut expected = 0_u64;
        for (tensor, offset) in header.tensors.iter().zip(offsets) {
            let name = &tensor.name;
            if *offset != expected {
                return Err(format!(
                    "has tensor {name} at offset {offset}, must be {expected}"
                ));
            }
            let size = size_bytes(tensor)
                .ok_or_else(|| format!("has an impossible shape for tensor {name}"))?;
            let end = start
                .checked_add(expected)
                .and_then(|at| at.checked_add(size))
                .ok_or_else(|| format!("has an impossible shape for tensor {name}"))?;
            if end > self.length {
                return Err(format!(
                    "is cut off: tensor {name} ends at offset {end}, the file has {}",
                    self.length
                ));
            }
            expected = (end - start).next_multiple_of(alignment);
        }
        Ok(())
    }
}

/// Elements per block (0 for a retired type) and bytes per block of a ggml type below `GGML_TYPE_COUNT`.
fn block(kind: u32) -> (u64, u64) {
    // SAFETY: reads a constant table; its only demand is an id below GGML_TYPE_COUNT, which the caller checked.
    let elements = unsafe { sys::ggml_blck_size(kind) };
    // SAFETY: as above.
    let bytes = unsafe { sys::ggml_type_size(kind) };
    (u64::try_from(elements).unwrap_or(0), bytes as u64)
}

/// A tensor's bytes; `None` where its shape overflows or does not fill whole blocks.
pub(super) fn size_bytes(tensor: &Tensor) -> Option<u64> {
    let (elements, bytes) = block(tensor.kind);
    let row = tensor.shape.first()?;
    if row % elements != 0 {
        return None;
    }
    let mut size = (row / elements).checked_mul(bytes)?;
    for extent in &tensor.shape[1..] {
        size = size.checked_mul(*extent)?;
    }
    Some(size)
}
