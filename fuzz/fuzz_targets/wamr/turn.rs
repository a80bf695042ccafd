//! Whole turns: prompts and metadata in every shape, computing, results into every buffer.

use crate::abi::{
    self, Generation, INVALID_ARGUMENT, RUNTIME_ERROR, SUCCESS, TOO_LARGE, span, tensor,
};
use crate::call::{Config, Output, Shape, capacity, lie};
use crate::host::{Case, Host};
use crate::memory::Place;
use crate::world::Picked;

/// The tensor that carries metadata.
const METADATA: u32 = 1;

/// A tensor that was laid down.
struct Laid {
    tensor: Place,
    /// The library finds all of the data, and nothing else.
    is_whole: bool,
}

/// Where a result goes.
pub struct Target {
    pub buffer: Place,
    pub capacity: u32,
    pub size: Place,
    /// The outcome can only be that an argument is wrong.
    pub is_bad: bool,
    pub before: Vec<u64>,
}

impl Host<'_> {
    pub fn set_prompt(&self, ctx: u8, context: u8, index: u32, text: &[u8], shape: &Shape) {
        let index = match index % 4 {
            0..=2 => 0,
            _ => index.max(2),
        };
        let code = self.set_input(ctx, context, index, text, shape);
        let is_certain = self.world.is_calm && self.world.is_alone && code.is_whole && !code.is_bad;
        if is_certain && std::str::from_utf8(text).is_err() {
            assert_eq!(code.number, INVALID_ARGUMENT, "a prompt that is not UTF-8");
        }
    }

    pub fn set_metadata(&self, ctx: u8, context: u8, config: &Config, shape: &Shape) {
        self.set_input(ctx, context, METADATA, config.text(), shape);
    }

    fn set_input(&self, ctx: u8, context: u8, index: u32, text: &[u8], shape: &Shape) -> Outcome {
        let ctx = self.world.instance(ctx);
        let context = self.world.context(context, Some(ctx));
        let laid = self.tensor(text, shape);
        let before = self.memory.snapshot();
        // SAFETY: a tensor in the guest's memory, or an address that is no memory.
        let number = unsafe { abi::set_input(ctx.handle, context.handle, index, laid.tensor.at) };
        let is_bad = self.is_refused(ctx) || context.is_bad;
        // An open host has a tensor of either length.
        let is_tensor = laid.tensor.is_right || self.generation == Generation::OpenB;
        self.check(
            &Case {
                function: "set_input",
                documented: abi::LOAD,
                is_bad: is_bad || !is_tensor,
            },
            number,
        );
        if is_bad {
            assert_eq!(
                number, INVALID_ARGUMENT,
                "input for a context that is not there"
            );
        }
        self.check_changes("set_input", &before, &[]);
        Outcome {
            number,
            is_whole: laid.is_whole,
            is_bad,
        }
    }

    /// Lays a tensor down: dimensions that say `[1]`, the length, something else, or nothing.
    fn tensor(&self, text: &[u8], shape: &Shape) -> Laid {
        let has_nul = shape.manner & 1 == 1;
        let data = match has_nul {
            true => [text, b"\0"].concat(),
            false => text.to_vec(),
        };
        let data = self.memory.lay(shape.places[3], &data);
        let (len, is_true) = lie(shape.lie, text.len());
        let sizes: &[u32] = match (shape.manner >> 1) % 8 {
            0..=2 => &[1],
            3 | 4 => &[len],
            5 => &[1, 1, len],
            6 => &[u32::MAX; 9],
            _ => &[],
        };
        let words: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        let words = self.memory.lay(shape.places[2], &words);
        let (count, is_count) = lie(shape.lie.rotate_left(3), sizes.len());
        let dimensions = span(words.at, count, shape.kind);
        let dimensions = self.memory.lay(shape.places[1], &dimensions);
        let bytes = tensor(dimensions.at, shape.kind, data.at, len);
        let tensor = self.memory.lay(shape.places[0], &bytes);
        let declares = dimensions.is_right && words.is_right && is_count && sizes.contains(&len);
        let is_found = match self.generation {
            Generation::B => is_true,
            // A NUL inside the text would end it without dimensions.
            Generation::A | Generation::OpenB => is_true && declares && len > 1,
        };
        Laid {
            tensor,
            is_whole: tensor.is_right && data.is_right && is_found && text.last() != Some(&0),
        }
    }

    pub fn compute(&self, ctx: u8, context: u8) {
        let ctx = self.world.instance(ctx);
        let context = self.world.context(context, Some(ctx));
        let before = self.memory.snapshot();
        // SAFETY: numbers only.
        let code = unsafe { abi::compute(ctx.handle, context.handle) };
        self.check_of_context("compute", code, abi::COMPUTE, context, self.is_refused(ctx));
        self.check_changes("compute", &before, &[]);
    }

    pub fn get_output(&self, ctx: u8, context: u8, index: u8, output: &Output) {
        let ctx = self.world.instance(ctx);
        let context = self.world.context(context, Some(ctx));
        let index = u32::from(index % 8)
            .saturating_sub(5)
            .max(u32::from(index % 2));
        let mut target = self.target(output);
        let laid = span(target.buffer.at, target.capacity, output.noise);
        // Of a host that is not known the library looks at where this lies: on a stack, as in every host of B.
        let on_stack: [u8; 16] = laid.as_slice().try_into().expect("sixteen bytes");
        let out = match self.generation {
            Generation::A => target.buffer,
            Generation::B => self.memory.lay(output.places[2], &laid),
            Generation::OpenB => Place {
                at: (&raw const on_stack).expose_provenance(),
                is_right: true,
                is_torn: false,
            },
        };
        target.is_bad |= self.is_refused(ctx) || context.is_bad || index > 1;
        target.is_bad |= self.generation == Generation::B && !out.is_right;
        target.before = self.memory.snapshot();
        // SAFETY: a buffer of that capacity, a size, or addresses that are no memory.
        let code =
            unsafe { abi::get_output(ctx.handle, context.handle, index, out.at, target.size.at) };
        self.check_output("get_output", code, index, &target);
    }

    /// Lays down a buffer and a size.
    pub fn target(&self, output: &Output) -> Target {
        let capacity = capacity(output.capacity);
        let buffer = self.memory.room(output.places[0], capacity as usize);
        let size = match self.generation {
            Generation::A => capacity,
            Generation::B | Generation::OpenB => output.noise,
        };
        let size = self.memory.lay(output.places[1], &size.to_le_bytes());
        Target {
            buffer,
            capacity,
            size,
            is_bad: !size.is_right,
            before: Vec::new(),
        }
    }

    /// The bytes are in the buffer and their number in the size; or only the size that is needed; or nothing.
    pub fn check_output(
        &self,
        function: &'static str,
        code: u32,
        index: u32,
        target: &Target,
    ) -> Option<String> {
        let documented = [INVALID_ARGUMENT, RUNTIME_ERROR, TOO_LARGE];
        self.check(
            &Case {
                function,
                documented: &documented,
                is_bad: target.is_bad,
            },
            code,
        );
        if !self.world.is_calm {
            return None;
        }
        assert!(
            !target.is_bad || code == INVALID_ARGUMENT,
            "{function} answered {code} to what cannot be used"
        );
        let size = target.size.at..target.size.at.wrapping_add(4);
        let buffer = target.buffer.at;
        match code {
            SUCCESS => {
                let written = self.memory.word(target.size.at);
                assert!(
                    written <= target.capacity,
                    "{function} claims {written} bytes"
                );
                let end = buffer.wrapping_add(written as usize);
                self.check_changes(function, &target.before, &[size, buffer..end]);
                // Of a bad buffer a part may be there.
                if !target.buffer.is_right {
                    return None;
                }
                let text = String::from_utf8(self.memory.read(buffer, written as usize));
                let text = text.unwrap_or_else(|error| panic!("{function}: {error}"));
                if index == METADATA {
                    let json = serde_json::from_str::<serde_json::Value>(&text);
                    assert!(
                        json.is_ok_and(|json| json.is_object()),
                        "{function}: {text}"
                    );
                }
                Some(text)
            }
            TOO_LARGE => {
                let needed = self.memory.word(target.size.at);
                assert!(needed > target.capacity, "{function} needs {needed} bytes");
                self.check_changes(function, &target.before, &[size]);
                None
            }
            _ if target.buffer.is_right => {
                self.check_changes(function, &target.before, &[]);
                None
            }
            // A first part may have found memory.
            _ => {
                let end = buffer.saturating_add(target.capacity as usize);
                self.check_changes(function, &target.before, &[buffer..end]);
                None
            }
        }
    }

    /// A call that needs a context and nothing else.
    pub fn check_of_context(
        &self,
        function: &'static str,
        code: u32,
        documented: &[u32],
        context: Picked<u32>,
        is_refused: bool,
    ) {
        let is_bad = context.is_bad || is_refused;
        self.check(
            &Case {
                function,
                documented,
                is_bad,
            },
            code,
        );
        if is_bad {
            assert_eq!(
                code, INVALID_ARGUMENT,
                "{function} of a context that is not there"
            );
        }
    }
}

/// What came of an input.
struct Outcome {
    number: u32,
    is_whole: bool,
    is_bad: bool,
}
