//! Images beside a model: what an encoder makes of them, and what it refuses.

use std::ffi::CStr;
use std::path::Path;
use std::sync::Arc;

use super::super::*;
use super::forge::{Forge, IMAGE_TOKENS, bmp, jpeg, picture, png, png_of};
use super::support::{best, context, context_params, feed, pocket, prompt};
use crate::error::Error;

fn projector(forge: &Forge, name: &str) -> Projector {
    Projector::open(&forge.write(name), &pocket(), 1).expect("the projector opens")
}

fn rows(projector: &Projector, image: &[u8]) -> Rows {
    let parts = projector.encode(image).expect("an image");
    let images: Vec<Rows> = parts
        .into_iter()
        .filter_map(|part| match part {
            Part::Image(rows) => Some(rows),
            Part::Text(_) => None,
        })
        .collect();
    let [rows] = images.try_into().expect("one run of embeddings");
    rows
}

/// Decodes `rows` onto the end of `seq`; the logits after the last of them.
fn look(ctx: &mut Context, seq: SeqId, rows: &Rows) -> Vec<f32> {
    let mut batch = ctx.new_batch();
    let next = ctx.seq_next_pos(seq);
    for index in 0..rows.len() {
        let output = index + 1 == rows.len();
        batch
            .push_row(
                rows.row(index),
                rows.looks_ahead(),
                next + index as u32,
                seq,
                output,
            )
            .expect("room in the batch");
    }
    ctx.decode(&batch).expect("a decode");
    ctx.logits(rows.len() - 1).expect("logits").to_vec()
}

#[test]
fn an_image_becomes_embeddings_of_its_own_and_the_model_goes_on_from_them() {
    for (forge, name, looks_ahead) in [
        (Forge::llava(128), "llava.gguf", false),
        (Forge::gemma(128), "gemma.gguf", true),
    ] {
        let projector = projector(&forge, name);
        let [one, other] = [1, 2].map(|seed| rows(&projector, &picture(seed)));
        assert_eq!(one.len(), IMAGE_TOKENS);
        assert_eq!(one.looks_ahead(), looks_ahead);
        assert_eq!(one, rows(&projector, &picture(1)), "and always the same");
        assert_ne!(one, other);
        let mut ctx = context(&context_params());
        let after = [&one, &other, &one].map(|rows| {
            let seq = ctx.seq(0).unwrap();
            ctx.seq_clear(seq);
            feed(&mut ctx, seq, &prompt("Hello."));
            let seen = look(&mut ctx, seq, rows);
            assert!(seen.iter().all(|logit| logit.is_finite()));
            feed(&mut ctx, seq, &prompt(" And then"))
        });
        assert_ne!(after[0], after[1]);
        assert_eq!(best(&after[0]), best(&after[2]));
    }
}

#[test]
fn the_mark_of_an_image_is_that_of_libmtmd() {
    // SAFETY: returns a static NUL-terminated string.
    let mark = unsafe { CStr::from_ptr(llama_cpp_sys_2::mtmd_default_marker()) };
    assert_eq!(mark.to_str(), Ok(IMAGE_MARK));
}

#[test]
fn equal_pixels_in_another_format_are_equal_embeddings() {
    let projector = projector(&Forge::llava(128), "formats.gguf");
    let pixel = |x: u32, y: u32| [(x * 6) as u8, (y * 5) as u8, (x * y) as u8];
    let read = |bytes: &[u8]| rows(&projector, bytes);
    assert_eq!(read(&png(40, 30, pixel)), read(&bmp(40, 30, pixel)));
    // One stream of several blocks.
    assert_eq!(read(&png(300, 90, pixel)), read(&bmp(300, 90, pixel)));
    assert_eq!(read(&jpeg()), read(&bmp(8, 8, |_, _| [128; 3])));
}

#[test]
fn the_parts_around_an_image_that_looks_ahead_look_back_only() {
    let rows = rows(&projector(&Forge::gemma(128), "ahead.gguf"), &picture(3));
    let mut ctx = context(&context_params());
    let seq = ctx.seq(0).unwrap();
    let before = feed(&mut ctx, seq, &prompt("What is your name?"));
    ctx.seq_clear(seq);
    look(&mut ctx, seq, &rows);
    ctx.seq_clear(seq);
    assert_eq!(feed(&mut ctx, seq, &prompt("What is your name?")), before);
    let causal = Rows::of(rows.values(), rows.row(0).len(), false);
    ctx.seq_clear(seq);
    let ahead = look(&mut ctx, seq, &rows);
    ctx.seq_clear(seq);
    assert_ne!(look(&mut ctx, seq, &causal), ahead);
}

#[test]
fn an_image_that_looks_ahead_is_refused_where_a_graph_is_too_small_for_it() {
    let rows = rows(&projector(&Forge::gemma(128), "small.gguf"), &picture(3));
    let mut ctx = context(&ContextParams {
        n_ubatch: IMAGE_TOKENS as u32 - 1,
        ..context_params()
    });
    let seq = ctx.seq(0).unwrap();
    let mut batch = ctx.new_batch();
    for index in 0..rows.len() {
        batch
            .push_row(rows.row(index), true, index as u32, seq, false)
            .unwrap();
    }
    let failure = ctx.decode(&batch).unwrap_err();
    let text = "4 positions that look ahead do not fit into a graph of 3";
    assert_eq!(failure, DecodeFailure::Failed(text.into()));
}

#[test]
fn bytes_that_are_no_image_are_refused_and_the_next_image_is_read() {
    let projector = projector(&Forge::llava(128), "refuses.gguf");
    let refused = |bytes: &[u8], expect: &str| {
        let error = projector.encode(bytes).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    let good = picture(1);
    refused(b"", "no PNG, JPEG or BMP");
    refused(b"GIF89a", "no PNG, JPEG or BMP");
    refused(b"BM and nothing else", "cannot be read");
    refused(b"\x89PNG\r\n\x1a\nshort", "cannot be read");
    refused(b"\xff\xd8\xff\xe0", "cannot be read");
    refused(&bmp(2, 65, |_, _| [0; 3]), "32 times as long");
    refused(&huge(), "pixels, must have at most");
    let passes = [&jpeg()[..], &[0xff, 0xda].repeat(101)].concat();
    refused(&passes, "more than 100 passes");
    // A header alone says how many pixels follow.
    refused(&good[..54], "cut off");
    let large = vec![b'B'; (64 << 20) + 1];
    assert!(matches!(
        projector.encode(&large),
        Err(Error::TooLarge { .. })
    ));
    assert_eq!(rows(&projector, &good).len(), IMAGE_TOKENS);
    // What a stream holds beyond its pixels is not looked at.
    let swollen = rows(&projector, &png_of(2, 2, &swollen(1 << 22)));
    assert_eq!(swollen, rows(&projector, &bmp(2, 2, |_, _| [0; 3])));
}

/// A packed stream of more than so many zeros: one, and repetitions of what came before it in the fixed code.
fn swollen(zeros: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    // From the highest bit on.
    let mut push = |number: u32, count: u32| {
        bits.extend((0..count).rev().map(|at| number >> at & 1 == 1));
    };
    // The last block, whose type 01 stands with its lower bit first.
    push(0b110, 3);
    push(0x30, 8);
    for _ in 0..zeros / 258 + 1 {
        // 258 bytes, from one byte back.
        push(0xc5, 8);
        push(0, 5);
    }
    push(0, 7);
    let mut stream = vec![0x78, 0x01];
    for bits in bits.chunks(8) {
        stream.push((0..).zip(bits).map(|(at, bit)| u8::from(*bit) << at).sum());
    }
    stream.extend([0; 4]);
    stream
}

/// The header of a BMP with more pixels than are allowed.
fn huge() -> Vec<u8> {
    let mut bytes = bmp(1, 1, |_, _| [0; 3]);
    bytes[18..22].copy_from_slice(&20_000_u32.to_le_bytes());
    bytes[22..26].copy_from_slice(&20_000_u32.to_le_bytes());
    bytes
}

#[test]
fn no_damage_to_an_image_ends_the_process() {
    let projector = projector(&Forge::llava(128), "damaged.gguf");
    let pixel = |x: u32, y: u32| [x as u8, y as u8, 9];
    for good in [bmp(9, 7, pixel), png(9, 7, pixel), jpeg()] {
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut damaged = good.clone();
                damaged[at] ^= 1 << bit;
                // Either answer is right; that there is one is what counts.
                drop(projector.encode(&damaged));
            }
            drop(projector.encode(&good[..at]));
        }
    }
}

#[test]
fn a_projector_must_fit_its_model_and_be_whole() {
    let open = |forge: &Forge, name: &str| {
        let opened = Projector::open(&forge.write(name), &pocket(), 1);
        opened.expect_err("it is refused").to_string()
    };
    let refused = |forge: &Forge, name: &str, expect: &str| {
        let error = open(forge, name);
        assert!(error.contains(expect), "{error}");
    };
    refused(
        &Forge::llava(64),
        "narrow.gguf",
        "mismatch between text model",
    );
    refused(&Forge::model(), "model.gguf", "is no projector");
    let blind = Forge::llava(128).without("clip.has_vision_encoder");
    refused(&blind, "blind.gguf", "has no encoder of images");
    let nameless = Forge::llava(128).without("clip.projector_type");
    refused(&nameless, "nameless.gguf", "names no projector");
    let mut heads = Forge::llava(128);
    heads.number("clip.vision.attention.head_count", 3);
    refused(&heads, "heads.gguf", "must divide it");
    let mut layers = Forge::llava(128);
    layers.number("clip.vision.block_count", 3);
    refused(&layers, "layers.gguf", "has no tensor v.blk.2.");
    let mut side = Forge::llava(128);
    side.number("clip.vision.image_size", 42);
    refused(
        &side,
        "side.gguf",
        "v.position_embd.weight of the impossible shape",
    );
    let mut unknown = Forge::llava(128);
    unknown.text("clip.projector_type", "crystal");
    refused(&unknown, "unknown.gguf", "unknown projector type");
    let (bytes, start) = Forge::llava(128).bytes();
    let cut = super::support::file("cut.gguf", &bytes[..start + 100]);
    let error = Projector::open(&cut, &pocket(), 1).unwrap_err().to_string();
    assert!(error.contains("is cut off"), "{error}");
    let nowhere = Projector::open(Path::new("/nowhere/mmproj.gguf"), &pocket(), 1);
    assert!(nowhere.unwrap_err().to_string().contains("file not found"));
}

#[test]
fn one_projector_serves_many_threads() {
    let projector = Arc::new(projector(&Forge::llava(128), "shared.gguf"));
    let alone: Vec<Rows> = (0..4)
        .map(|seed| rows(&projector, &picture(seed)))
        .collect();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (projector, alone) = (&projector, &alone);
            scope.spawn(move || assert_eq!(rows(projector, &picture(seed)), alone[seed as usize]));
        }
    });
}
