//! Writing a GGUF file: header, values, tensor table, padded data. Knows no model.
//!
//! | part | bytes |
//! | --- | --- |
//! | magic, version 3, tensor count, value count | 4, 4, 8, 8 |
//! | each value | name, type (4), data; a text is its length (8) and its bytes |
//! | each tensor | name, dimension count (4), dimensions (8 each, rows innermost), type (4), offset (8) |
//! | data | from the next multiple of 32 on, each tensor at a multiple of 32 |

use std::io::{self, Write};

use crate::random::Random;

const ALIGNMENT: u64 = 32;
/// Numbers that share a scale in both quantised formats.
const BLOCK: usize = 32;

/// A value of the header.
pub enum Value {
    /// Type 4.
    Unsigned(u32),
    /// Type 6.
    Float(f32),
    /// Type 7.
    Bool(bool),
    /// Type 8.
    Text(String),
    /// Type 9 of type 8.
    Texts(Vec<String>),
    /// Type 9 of type 6.
    Floats(Vec<f32>),
    /// Type 9 of type 5.
    Integers(Vec<i32>),
}

/// How the numbers of a tensor are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 4 bytes each.
    F32,
    /// For 32 numbers a scale in half precision and 16 bytes of two numbers each.
    Q4_0,
    /// For 32 numbers a scale in half precision and a byte each.
    Q8_0,
}

impl Format {
    fn number(self) -> u32 {
        match self {
            Format::F32 => 0,
            Format::Q4_0 => 2,
            Format::Q8_0 => 8,
        }
    }

    fn row_bytes(self, columns: usize) -> u64 {
        let bytes = match self {
            Format::F32 => columns * 4,
            Format::Q4_0 => columns / BLOCK * (2 + BLOCK / 2),
            Format::Q8_0 => columns / BLOCK * (2 + BLOCK),
        };
        bytes as u64
    }
}

/// What a tensor is filled with.
#[derive(Debug, Clone, Copy)]
pub enum Fill {
    /// Ones.
    Ones,
    /// Normally distributed numbers, but zeros in so many leading rows.
    Random {
        /// Rows of zeros.
        zero_rows: usize,
    },
}

/// A tensor; a vector has one row.
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Numbers in a row, a multiple of 32.
    pub columns: usize,
    /// Rows; `None` for a vector.
    pub rows: Option<usize>,
    /// How it is written.
    pub format: Format,
    /// What it holds.
    pub fill: Fill,
}

impl Tensor {
    fn bytes(&self) -> u64 {
        self.format.row_bytes(self.columns) * self.rows.unwrap_or(1) as u64
    }
}

/// Writes a whole file.
pub fn write(out: &mut impl Write, values: &[(&str, Value)], tensors: &[Tensor]) -> io::Result<()> {
    let mut head = Vec::new();
    head.extend(b"GGUF");
    head.extend(3u32.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((values.len() as u64).to_le_bytes());
    for (name, value) in values {
        text(&mut head, name);
        self::value(&mut head, value);
    }
    let mut offset = 0;
    for tensor in tensors {
        text(&mut head, &tensor.name);
        head.extend(if tensor.rows.is_some() { 2u32 } else { 1 }.to_le_bytes());
        head.extend((tensor.columns as u64).to_le_bytes());
        if let Some(rows) = tensor.rows {
            head.extend((rows as u64).to_le_bytes());
        }
        head.extend(tensor.format.number().to_le_bytes());
        head.extend(u64::to_le_bytes(offset));
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    pad(&mut head);
    out.write_all(&head)?;
    for (number, tensor) in tensors.iter().enumerate() {
        data(out, tensor, Random::new(number as u64))?;
    }
    out.flush()
}

fn value(head: &mut Vec<u8>, value: &Value) {
    let array = |head: &mut Vec<u8>, element: u32, count: usize| {
        head.extend(9u32.to_le_bytes());
        head.extend(element.to_le_bytes());
        head.extend((count as u64).to_le_bytes());
    };
    match value {
        Value::Unsigned(number) => {
            head.extend(4u32.to_le_bytes());
            head.extend(number.to_le_bytes());
        }
        Value::Float(number) => {
            head.extend(6u32.to_le_bytes());
            head.extend(number.to_le_bytes());
        }
        Value::Bool(on) => {
            head.extend(7u32.to_le_bytes());
            head.push(u8::from(*on));
        }
        Value::Text(words) => {
            head.extend(8u32.to_le_bytes());
            text(head, words);
        }
        Value::Texts(texts) => {
            array(head, 8, texts.len());
            texts.iter().for_each(|words| text(head, words));
        }
        Value::Floats(numbers) => {
            array(head, 6, numbers.len());
            head.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
        Value::Integers(numbers) => {
            array(head, 5, numbers.len());
            head.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
    }
}

fn text(head: &mut Vec<u8>, text: &str) {
    head.extend((text.len() as u64).to_le_bytes());
    head.extend(text.as_bytes());
}

fn pad(bytes: &mut Vec<u8>) {
    let whole = bytes.len().next_multiple_of(ALIGNMENT as usize);
    bytes.resize(whole, 0);
}

fn data(out: &mut impl Write, tensor: &Tensor, mut random: Random) -> io::Result<()> {
    // Sums of a whole row keep the size of their parts.
    let scale = 1.0 / (tensor.columns as f32).sqrt();
    let mut bytes = Vec::new();
    for row in 0..tensor.rows.unwrap_or(1) {
        for _ in 0..tensor.columns / BLOCK {
            let mut block = [1.0; BLOCK];
            if let Fill::Random { zero_rows } = tensor.fill {
                let scale = if row < zero_rows { 0.0 } else { scale };
                block.fill_with(|| random.normal() * scale);
            }
            encode(&mut bytes, &block, tensor.format);
        }
        out.write_all(&bytes)?;
        bytes.clear();
    }
    let written = tensor.bytes();
    let missing = written.next_multiple_of(ALIGNMENT) - written;
    out.write_all(&vec![0; missing as usize])
}

/// Quantises as llama.cpp does: the number of the largest size decides the scale.
fn encode(bytes: &mut Vec<u8>, block: &[f32; BLOCK], format: Format) {
    let largest = block
        .iter()
        .copied()
        .fold(0.0, |a: f32, b| if b.abs() > a.abs() { b } else { a });
    let inverse = |scale: f32| if scale == 0.0 { 0.0 } else { 1.0 / scale };
    match format {
        Format::F32 => bytes.extend(block.iter().flat_map(|number| number.to_le_bytes())),
        Format::Q4_0 => {
            let scale = largest / -8.0;
            let inverse = inverse(scale);
            bytes.extend(half(scale).to_le_bytes());
            let four_bits = |number: f32| ((number * inverse + 8.5) as u8).min(15);
            let (low, high) = block.split_at(BLOCK / 2);
            let pairs = low.iter().zip(high);
            bytes.extend(pairs.map(|(low, high)| four_bits(*low) | (four_bits(*high) << 4)));
        }
        Format::Q8_0 => {
            let scale = largest.abs() / 127.0;
            let inverse = inverse(scale);
            bytes.extend(half(scale).to_le_bytes());
            bytes.extend(
                block
                    .iter()
                    .map(|number| ((number * inverse).round() as i8).cast_unsigned()),
            );
        }
    }
}

/// The bits of a number in half precision. Scales of weights are far from its limits: what is too small becomes 0, and
/// what is lost is cut off.
fn half(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let exponent = ((bits >> 23) & 0xFF) as i32 - 127 + 15;
    match exponent {
        ..1 => sign,
        exponent => sign | ((exponent as u16) << 10) | ((bits >> 13) & 0x3FF) as u16,
    }
}
