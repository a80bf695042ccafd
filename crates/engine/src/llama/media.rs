//! An encoder of images beside a model, and what an image becomes with it: tokens, and embeddings where none fit.
//!
//! Owns libmtmd's context and a share of the model whose embeddings it writes. Any thread; one image at a time. Knows
//! no prompts: it is handed the bytes of one image.

mod image;

#[cfg(test)]
pub(super) use image::decode;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;
use parking_lot::Mutex;

use crate::error::{Error, Result};

use self::image::Pixels;
use super::ffi::{self, Fault};
use super::{Model, Token, exit, gguf, log};

/// What stands in a prompt where an image is to be: libmtmd's own mark.
pub const IMAGE_MARK: &str = "<__media__>";

/// An encoder of images for one model. Its file is the host's choice: LLaVA's family is checked as a whole, of the
/// others a tensor of a wrong shape may end the process when the file is opened.
pub(crate) struct Projector {
    raw: Mutex<Raw>,
    /// Its vocabulary is read whenever an image is cut.
    _model: Arc<Model>,
    width: usize,
    looks_ahead: bool,
}

/// A part of an image's place in a prompt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    /// Tokens of the vocabulary, such as those that stand around an image.
    Text(Vec<Token>),
    /// What only embeddings say.
    Image(Rows),
}

/// Embeddings of a run of positions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    values: Arc<[f32]>,
    width: usize,
    looks_ahead: bool,
}

struct Raw(NonNull<sys::mtmd_context>);

// SAFETY: libmtmd ties a context to no thread; the lock around it admits one at a time.
unsafe impl Send for Raw {}

/// An image as the projector cut it.
struct Cut(NonNull<sys::mtmd_input_chunks>);

/// `struct engine_media_facts` of the shim.
#[repr(C)]
#[derive(Default)]
struct Facts {
    sees: bool,
    rotates_grid: bool,
    looks_ahead: bool,
    width: i32,
}

/// `struct engine_media_part` of the shim.
#[repr(C)]
struct RawPart {
    tokens: *const sys::llama_token,
    count: usize,
}

impl Projector {
    /// Opens the projector at `path` for `model`, after `gguf::check_projector`. It computes with `threads` threads.
    ///
    /// Errors: `Load` with the path and the reason, one being positions of several dimensions.
    pub(crate) fn open(path: &Path, model: &Arc<Model>, threads: u32) -> Result<Projector> {
        gguf::check_projector(path)?;
        let refused = |reason: &str| {
            Error::Load(format!(
                "{} cannot be loaded: {reason}",
                super::opened::shown(path)
            ))
        };
        let c_path =
            CString::new(path.as_os_str().as_bytes()).map_err(|_| refused("its path has a NUL"))?;
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        let use_gpu = model.n_gpu_layers() > 0;
        let mut raw = std::ptr::null_mut();
        let computing = exit::Computing::begin();
        let (opened, lines) = log::capture(|| {
            ffi::guarded(|err, cap| {
                // SAFETY: the path is NUL-terminated and the model is valid; `raw` is written on success only.
                unsafe {
                    engine_media_open(
                        c_path.as_ptr(),
                        model.as_ptr(),
                        threads,
                        use_gpu,
                        &mut raw,
                        err,
                        cap,
                    )
                }
            })
        });
        drop(computing);
        let raw = NonNull::new(raw).map(Raw);
        opened.map_err(|fault| refused(&told(fault)))?;
        let raw = raw.ok_or_else(|| match log::reason(&lines) {
            Some(reason) => refused(&reason),
            None => refused("libmtmd gave no reason"),
        })?;
        let mut facts = Facts::default();
        ffi::guarded(|err, cap| {
            // SAFETY: both are valid; `facts` is written on success only.
            unsafe { engine_media_describe(raw.0.as_ptr(), model.as_ptr(), &mut facts, err, cap) }
        })
        .map_err(|fault| refused(&told(fault)))?;
        if !facts.sees {
            return Err(refused("it has no encoder of images"));
        }
        if facts.rotates_grid {
            let text = "its model numbers positions in several dimensions (M-RoPE), which is not supported";
            return Err(refused(text));
        }
        Ok(Projector {
            raw: Mutex::new(raw),
            _model: Arc::clone(model),
            width: usize::try_from(facts.width).unwrap_or(0),
            looks_ahead: facts.looks_ahead,
        })
    }

    /// What stands in a prompt for the image in `bytes`: a PNG, JPEG or BMP. Takes as long as the encoder computes; a
    /// second caller waits.
    ///
    /// Errors: `InvalidArgument` for bytes that are no such image and for sides that are too long; `TooLarge` for too
    /// many bytes; `Engine` where the encoder fails.
    pub(crate) fn encode(&self, bytes: &[u8]) -> Result<Vec<Part>> {
        // Pixels take much memory: those of one image at a time.
        let raw = self.raw.lock();
        let _computing = exit::Computing::begin();
        let pixels = image::decode(bytes)?;
        let (parts, lines) = log::capture_details(move || {
            let cut = Cut::of(&raw, &pixels)?;
            // The projector has its own copy, resampled.
            drop(pixels);
            (0..cut.parts())
                .map(|index| self.part(&raw, &cut, index))
                .collect::<Result<Vec<Part>>>()
        });
        parts.map_err(|error| match (error, log::reason(&lines)) {
            (Error::Engine(text), Some(reason)) => Error::Engine(format!("{text}: {reason}")),
            (error, _) => error,
        })
    }

    fn part(&self, raw: &Raw, cut: &Cut, index: usize) -> Result<Part> {
        let part = cut.part(index)?;
        if !part.tokens.is_null() {
            // SAFETY: the tokens belong to the cut, which outlives this function.
            let tokens = unsafe { std::slice::from_raw_parts(part.tokens, part.count) };
            return Ok(Part::Text(tokens.iter().copied().map(Token).collect()));
        }
        let mut values = std::ptr::null();
        ffi::guarded(|err, cap| {
            // SAFETY: both are valid and the index is that of a part; `values` is written on success only.
            unsafe {
                engine_image_encode(raw.0.as_ptr(), cut.0.as_ptr(), index, &mut values, err, cap)
            }
        })
        .map_err(|fault| fault.during("image"))?;
        let count = part.count * self.width;
        if values.is_null() || count == 0 {
            return Err(Error::Engine("image: it became nothing".into()));
        }
        // SAFETY: the encoder wrote one row of the model's width for each position, and nobody calls it meanwhile.
        let values: Arc<[f32]> = unsafe { std::slice::from_raw_parts(values, count) }.into();
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Error::Engine("image: its embeddings are not finite".into()));
        }
        Ok(Part::Image(Rows {
            values,
            width: self.width,
            looks_ahead: self.looks_ahead,
        }))
    }
}

impl Rows {
    /// Positions that they stand for.
    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Bytes of them.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.values)
    }

    /// The embedding of position `index`.
    pub(crate) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..][..self.width]
    }

    /// Whether all of them must be evaluated in one graph, in which they attend to each other in both directions.
    pub(crate) fn looks_ahead(&self) -> bool {
        self.looks_ahead
    }

    #[cfg(test)]
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    #[cfg(test)]
    pub(crate) fn of(values: &[f32], width: usize, looks_ahead: bool) -> Rows {
        Rows {
            values: values.into(),
            width,
            looks_ahead,
        }
    }
}

impl Cut {
    fn of(raw: &Raw, pixels: &Pixels) -> Result<Cut> {
        let Pixels {
            width,
            height,
            bytes,
        } = pixels;
        debug_assert_eq!(
            bytes.len() as u64,
            3 * u64::from(*width) * u64::from(*height)
        );
        let mut cut = std::ptr::null_mut();
        ffi::guarded(|err, cap| {
            // SAFETY: the context is valid and `bytes`, three for each pixel, outlive the call; `cut` is written on
            // success only.
            unsafe {
                engine_image_cut(
                    raw.0.as_ptr(),
                    bytes.as_ptr(),
                    *width,
                    *height,
                    &mut cut,
                    err,
                    cap,
                )
            }
        })
        .map_err(|fault| match fault {
            Fault::Failed(text) => image::refused(&text),
            other => other.during("image"),
        })?;
        let cut = NonNull::new(cut).map(Cut);
        cut.ok_or_else(|| Error::Engine("image: it became nothing".into()))
    }

    fn parts(&self) -> usize {
        // SAFETY: the pointer is valid for the life of `self`.
        unsafe { engine_image_parts(self.0.as_ptr()) }
    }

    fn part(&self, index: usize) -> Result<RawPart> {
        let mut part = RawPart {
            tokens: std::ptr::null(),
            count: 0,
        };
        ffi::guarded(|err, cap| {
            // SAFETY: the pointer is valid and the caller's index below the count; `part` is written on success only.
            unsafe { engine_image_part(self.0.as_ptr(), index, &mut part, err, cap) }
        })
        .map_err(|fault| fault.during("image"))?;
        Ok(part)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        // SAFETY: `self` owns the pointer.
        unsafe { engine_image_free(self.0.as_ptr()) }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: `self` owns the pointer; the model that it names is freed after it.
        unsafe { engine_media_free(self.0.as_ptr()) }
    }
}

impl std::fmt::Debug for Projector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projector")
            .field("width", &self.width)
            .field("looks_ahead", &self.looks_ahead)
            .finish_non_exhaustive()
    }
}

fn told(fault: Fault) -> String {
    match fault {
        Fault::Failed(text) => text,
        other => other.during("projector").to_string(),
    }
}

unsafe extern "C" {
    fn engine_media_open(
        path: *const std::ffi::c_char,
        model: *const sys::llama_model,
        n_threads: i32,
        use_gpu: bool,
        out: *mut *mut sys::mtmd_context,
        err: *mut std::ffi::c_char,
        cap: usize,
    ) -> i32;
    fn engine_media_free(media: *mut sys::mtmd_context);
    fn engine_media_describe(
        media: *const sys::mtmd_context,
        model: *const sys::llama_model,
        out: *mut Facts,
        err: *mut std::ffi::c_char,
        cap: usize,
    ) -> i32;
    fn engine_image_cut(
        media: *const sys::mtmd_context,
        pixels: *const u8,
        width: u32,
        height: u32,
        out: *mut *mut sys::mtmd_input_chunks,
        err: *mut std::ffi::c_char,
        cap: usize,
    ) -> i32;
    fn engine_image_free(cut: *mut sys::mtmd_input_chunks);
    fn engine_image_parts(cut: *const sys::mtmd_input_chunks) -> usize;
    fn engine_image_part(
        cut: *const sys::mtmd_input_chunks,
        index: usize,
        out: *mut RawPart,
        err: *mut std::ffi::c_char,
        cap: usize,
    ) -> i32;
    fn engine_image_encode(
        media: *mut sys::mtmd_context,
        cut: *const sys::mtmd_input_chunks,
        index: usize,
        out: *mut *const f32,
        err: *mut std::ffi::c_char,
        cap: usize,
    ) -> i32;
}
