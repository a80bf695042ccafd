//! A guest that talks to a model, in Rust without a standard library.
//!
//! usage: chat.wasm whole|stream MODEL CONFIG PROMPT...
//!
//! Does what the guest in C beside it does, and prints the same. Prompts are raw: the caller writes the model's
//! template into them. Each further PROMPT continues the text so far. Answers go to stdout, metadata to stderr; the exit
//! status is the error number of wasi-nn. `stream` needs the functions that the plugin adds by `iwasm --native-lib`.
//!
//! build: sh build.sh, which is in short
//!     rustc --target wasm32-unknown-unknown -C panic=abort -C opt-level=s --crate-type cdylib main.rs

#![no_std]

mod nn;
mod wasi;

use nn::{Context, Ended, Graph, Output};

/// Prompts and answers in the order in which the model saw them.
const TRANSCRIPT_BYTES: usize = 256 * 1024;
const METADATA_BYTES: usize = 16 * 1024;

struct Memory {
    transcript: [u8; TRANSCRIPT_BYTES],
    metadata: [u8; METADATA_BYTES],
    arguments: wasi::Arguments,
}

/// A guest has one thread and one run: the memory is handed out once, by `_start`.
static mut MEMORY: Memory = Memory {
    transcript: [0; TRANSCRIPT_BYTES],
    metadata: [0; METADATA_BYTES],
    arguments: wasi::Arguments::EMPTY,
};

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// The way in that hosts call.
#[no_mangle]
pub extern "C" fn _start() {
    // SAFETY: `_start` runs once, on the only thread, and nothing else names MEMORY.
    let memory = unsafe { &mut *core::ptr::addr_of_mut!(MEMORY) };
    let status = match talk(memory) {
        Ok(()) => 0,
        Err(nn::Failure { function, number }) => {
            let mut digits = [0; 10];
            wasi::print(wasi::STDERR, function.as_bytes());
            wasi::print(wasi::STDERR, b": error ");
            wasi::print(wasi::STDERR, decimal(number, &mut digits));
            wasi::print(wasi::STDERR, b"\n");
            number
        }
    };
    wasi::exit(status)
}

fn talk(memory: &mut Memory) -> Result<(), nn::Failure> {
    let mut arguments = match memory.arguments.read() {
        Some(arguments) => arguments.skip(1),
        None => return usage(),
    };
    let (mode, model, config) = match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(mode), Some(model), Some(config)) => (mode, model, config),
        _ => return usage(),
    };
    let streams = mode.starts_with(b"stream");

    let graph = Graph::load(model, config)?;
    let context = graph.context()?;
    let mut used = 0;
    for prompt in arguments {
        let room = memory.transcript.get_mut(used..used + prompt.len());
        room.ok_or(nn::FULL)?.copy_from_slice(prompt);
        used += prompt.len();
        context.set_prompt(&memory.transcript[..used])?;
        used = if streams {
            answer_in_pieces(&context, &mut memory.transcript, used, &mut memory.metadata)?
        } else {
            answer_whole(&context, &mut memory.transcript, used, &mut memory.metadata)?
        };
        wasi::print(wasi::STDOUT, b"\n");
        wasi::print(wasi::STDERR, b"\n");
    }

    // A host gives all of it back when the instance ends; a guest that lives on does it as soon as it can.
    if streams {
        context.finalize()?;
        graph.unload()?;
    }
    Ok(())
}

/// Computes and prints an answer at once. Returns how much of the transcript is in use then.
fn answer_whole(
    context: &Context,
    transcript: &mut [u8],
    used: usize,
    metadata: &mut [u8],
) -> Result<usize, nn::Failure> {
    context.compute()?;
    let text = context.output(Output::Text, &mut transcript[used..])?;
    wasi::print(wasi::STDOUT, text);
    let used = used + text.len();
    wasi::print(wasi::STDERR, context.output(Output::Metadata, metadata)?);
    Ok(used)
}

/// The same, piece by piece.
fn answer_in_pieces(
    context: &Context,
    transcript: &mut [u8],
    mut used: usize,
    metadata: &mut [u8],
) -> Result<usize, nn::Failure> {
    while let Ended::Not = context.compute_single()? {
        let piece = context.output_single(Output::Text, &mut transcript[used..])?;
        wasi::print(wasi::STDOUT, piece);
        used += piece.len();
    }
    let told = context.output_single(Output::Metadata, metadata)?;
    wasi::print(wasi::STDERR, told);
    context.end_streaming()?;
    Ok(used)
}

fn usage() -> Result<(), nn::Failure> {
    wasi::print(
        wasi::STDERR,
        b"usage: chat.wasm whole|stream MODEL CONFIG PROMPT...\n",
    );
    wasi::exit(1)
}

fn decimal(number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &digits[at..];
        }
    }
}
