//! A loaded model: weights and vocabulary, immutable and shared.
//!
//! Owns the `llama_model` pointer. Knows neither contexts nor where the file came from.

mod adapter;
mod params;

use std::ffi::{CStr, CString, c_char, c_void};
use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;
use parking_lot::RwLock;

use crate::error::{Error, Result};

use super::vocab::Walked;
use super::{OpenFile, Vocab, VocabKind, exit, ffi, gguf, log, opened, runtime};
use adapter::Adapter;

#[cfg(test)]
pub(super) use params::expert_pattern;
pub(crate) use params::{CpuExperts, ModelParams, SplitMode};

/// A loaded model. Used as `Arc<Model>`: contexts and vocabularies hold it, the last one frees it.
#[derive(Debug)]
pub(crate) struct Model {
    raw: NonNull<sys::llama_model>,
    n_gpu_layers: u32,
    /// As the file says: llama.cpp changes its own copy when a context stretches positions.
    n_ctx_train: u32,
    /// Freed by llama.cpp with the model.
    adapters: Vec<Adapter>,
    adapter_bytes: u64,
    ranks: bool,
    tabulates: bool,
    has_long_factors: bool,
    /// llama.cpp writes into the model when it makes a context that stretches positions, and reads that when it makes
    /// another: the first alone holds it for writing.
    pub(super) reshaping: RwLock<()>,
    /// Its tensors have no memory: it can be asked, and cannot compute.
    is_outline: bool,
    /// What a walk over the whole vocabulary found, once somebody asked.
    pub(super) walked: Walked,
}

// SAFETY: after the load llama.cpp writes one number of a model, the context that it was trained for, when it makes a
// context that stretches positions. `reshaping` keeps that apart from other contexts in the making, and nothing here asks
// for the number later. All else is only read; tokeniser and metadata functions are documented as thread-safe, and
// contexts of several threads share one. Freeing from any thread is allowed.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

/// What the progress trampoline needs; lives on the stack of `Model::load`.
struct Progress<'a> {
    report: &'a mut dyn FnMut(f32) -> bool,
    cancelled: bool,
    panicked: bool,
}

impl Model {
    /// Loads the model at `path`, after `gguf::check`.
    ///
    /// `progress` runs on this thread with values rising from 0.0 to 1.0; `false` cancels. A panic in it cancels too
    /// and becomes an error.
    ///
    /// Errors: `Load` with the path and llama.cpp's reason, or `load cancelled`; `InvalidArgument` for parameters out
    /// of range.
    pub(crate) fn load(
        path: &Path,
        params: &ModelParams,
        progress: &mut dyn FnMut(f32) -> bool,
    ) -> Result<Model> {
        Model::open(path, params, false, progress)
    }

    /// Reads everything but the tensors of the model at `path`: metadata, vocabulary, and what memory it would take.
    ///
    /// Errors: as `load`.
    pub(crate) fn outline(path: &Path, params: &ModelParams) -> Result<Model> {
        Model::open(path, params, true, &mut |_| true)
    }

    fn open(
        path: &Path,
        params: &ModelParams,
        is_outline: bool,
        progress: &mut dyn FnMut(f32) -> bool,
    ) -> Result<Model> {
        runtime::init();
        let checked = gguf::check(path, &params.adapters)?;
        let shown = opened::shown(path);
        // All parts by name: llama.cpp would derive the others from the first one's, and that may be a number.
        let files = checked.files.iter();
        let c_paths = files.map(|file| CString::new(file.as_os_str().as_bytes()));
        let c_paths = c_paths
            .collect::<std::result::Result<Vec<CString>, _>>()
            .map_err(|_| Error::Load(format!("file not found: {shown}")))?;
        let mut paths: Vec<*const c_char> = c_paths.iter().map(|path| path.as_ptr()).collect();
        let arrays = params.arrays()?;
        let mut progress = Progress {
            report: progress,
            cancelled: false,
            panicked: false,
        };
        // SAFETY: no arguments; returns a struct by value.
        let mut raw_params = unsafe { sys::llama_model_default_params() };
        params.fill(&mut raw_params, &arrays);
        raw_params.no_alloc = is_outline;
        if is_outline {
            raw_params.load_mode = sys::LLAMA_LOAD_MODE_NONE;
            raw_params.check_tensors = false;
        }
        raw_params.progress_callback = Some(report_progress);
        raw_params.progress_callback_user_data = (&raw mut progress).cast();
        let mut raw = std::ptr::null_mut();
        // The end of the process waits for this call, whose progress it cuts short.
        let _reading = exit::Reading::begin().ok_or_else(ending)?;
        let (loaded, lines) = log::capture(|| {
            ffi::guarded(|err, cap| {
                let (first, count) = (paths.as_mut_ptr(), paths.len());
                // SAFETY: `count` paths, each NUL-terminated and alive over the call; the parameters point to `arrays`
                // and `progress`, which outlive the call; `raw` is written on success only.
                unsafe { ffi::engine_model_load(first, count, &raw_params, &mut raw, err, cap) }
            })
        });
        let model = NonNull::new(raw).map(|raw| Model {
            raw,
            n_gpu_layers: 0,
            n_ctx_train: 0,
            adapters: Vec::new(),
            adapter_bytes: checked.adapter_bytes,
            ranks: checked.ranks,
            tabulates: checked.tabulates,
            has_long_factors: checked.has_long_factors,
            reshaping: RwLock::new(()),
            is_outline,
            walked: Walked::default(),
        });
        if progress.panicked {
            return Err(Error::Load(
                "load cancelled: the progress callback panicked".to_owned(),
            ));
        }
        if progress.cancelled {
            return Err(Error::Load("load cancelled".to_owned()));
        }
        loaded.map_err(|fault| match fault.during("load") {
            Error::Engine(text) => Error::Load(format!("{shown} cannot be loaded: {text}")),
            other => other,
        })?;
        let mut model = model.ok_or_else(|| {
            let reason = log::reason(&lines).unwrap_or_else(|| "llama.cpp gave no reason".into());
            Error::Load(format!("{shown} cannot be loaded: {reason}"))
        })?;
        model.n_gpu_layers = model.offloaded(params.n_gpu_layers);
        // SAFETY: the model is valid.
        model.n_ctx_train = unsigned(unsafe { sys::llama_model_n_ctx_train(model.as_ptr()) });
        if model.vocab_kind() == VocabKind::Other {
            return Err(Error::Load(format!(
                "{shown} has a tokenizer of a kind that the engine does not read"
            )));
        }
        // What has no tensors has nothing to change.
        for path in params.adapters.iter().filter(|_| !is_outline) {
            model.adapters.push(Adapter::load(model.raw, path)?);
        }
        Ok(model)
    }

    /// Puts a model's bytes into an anonymous file in memory that nobody can change any more.
    ///
    /// A mapped model keeps the memory alive after the file is closed.
    pub(crate) fn open_bytes(bytes: &[u8]) -> Result<OpenFile> {
        let failed =
            |e: std::io::Error| Error::Load(format!("{} bytes of model: {e}", bytes.len()));
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: the name is a NUL-terminated literal; the flags are valid.
        let fd = unsafe { libc::memfd_create(c"model".as_ptr(), flags) };
        if fd < 0 {
            return Err(failed(std::io::Error::last_os_error()));
        }
        // SAFETY: `fd` was just created and nobody else owns it.
        let mut file = unsafe { File::from_raw_fd(fd) };
        file.write_all(bytes).map_err(failed)?;
        let seals =
            libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
        // SAFETY: `fd` is open, and the command takes the seals as its argument.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } < 0 {
            return Err(failed(std::io::Error::last_os_error()));
        }
        let shown = format!("{} bytes in memory", bytes.len());
        Ok(OpenFile::new(file.into(), &shown, Vec::new()))
    }

    /// Whether it was read without its tensors.
    pub(super) fn is_outline(&self) -> bool {
        self.is_outline
    }

    /// The model's vocabulary.
    pub(crate) fn vocab(self: &Arc<Self>) -> Vocab {
        Vocab::of(Arc::clone(self))
    }

    /// The context length that the model was trained with, in tokens.
    pub(crate) fn n_ctx_train(&self) -> u32 {
        self.n_ctx_train
    }

    /// The context before the stretch that the model itself says, in tokens; the trained one where it says none.
    pub(crate) fn original_context(&self) -> u32 {
        let architecture = self.meta("general.architecture").unwrap_or_default();
        let written = self.meta(&format!(
            "{architecture}.rope.scaling.original_context_length"
        ));
        let written = written.and_then(|text| text.parse().ok());
        written.filter(|n| *n > 0).unwrap_or(self.n_ctx_train)
    }

    /// Whether sequences of up to `tokens` are rotated otherwise than those of its original context.
    pub(super) fn rotates_long(&self, tokens: u32) -> bool {
        self.has_long_factors && tokens > self.original_context()
    }

    /// Layers.
    pub(crate) fn n_layer(&self) -> u32 {
        // SAFETY: the pointer is valid for the life of `self`.
        unsigned(unsafe { sys::llama_model_n_layer(self.as_ptr()) })
    }

    /// The width of the embedding.
    pub(crate) fn n_embd(&self) -> u32 {
        // SAFETY: as above.
        unsigned(unsafe { sys::llama_model_n_embd(self.as_ptr()) })
    }

    /// Numbers of an embedding that stands in place of a token.
    pub(super) fn n_embd_inp(&self) -> u32 {
        // SAFETY: as above.
        unsigned(unsafe { sys::llama_model_n_embd_inp(self.as_ptr()) })
    }

    /// Attention heads of the first layer; 0 for models without attention.
    pub(crate) fn n_head(&self) -> u32 {
        // SAFETY: as above.
        unsigned(unsafe { sys::llama_model_n_head(self.as_ptr()) })
    }

    /// Positions that a layer with a sliding window looks back on; 0 without such layers.
    pub(crate) fn n_swa(&self) -> u32 {
        // SAFETY: as above.
        unsigned(unsafe { sys::llama_model_n_swa(self.as_ptr()) })
    }

    /// Key-value heads of the first layer.
    pub(crate) fn n_head_kv(&self) -> u32 {
        // SAFETY: as above.
        unsigned(unsafe { sys::llama_model_n_head_kv(self.as_ptr()) })
    }

    /// Tokens of the vocabulary.
    pub(super) fn vocab_size(&self) -> u32 {
        // SAFETY: the vocabulary lives as long as the model.
        unsigned(unsafe { sys::llama_vocab_n_tokens(self.vocab_ptr()) })
    }

    /// Parameters.
    pub(crate) fn n_params(&self) -> u64 {
        // SAFETY: as above.
        unsafe { sys::llama_model_n_params(self.as_ptr()) }
    }

    /// The bytes of all tensors.
    pub(crate) fn size_bytes(&self) -> u64 {
        // SAFETY: as above.
        unsafe { sys::llama_model_size(self.as_ptr()) }
    }

    /// The bytes of its adapters, which are no part of `size_bytes`.
    pub(super) fn adapter_bytes(&self) -> u64 {
        self.adapter_bytes
    }

    /// Architecture, size class and file type in one line.
    pub(crate) fn description(&self) -> String {
        text(|buffer, room| {
            // SAFETY: as above; the buffer has `room` bytes.
            unsafe { sys::llama_model_desc(self.as_ptr(), buffer, room) }
        })
        .unwrap_or_default()
    }

    /// The file type by name, such as `Q4_K - Medium`.
    pub(crate) fn file_type(&self) -> String {
        // SAFETY: as above.
        let kind = unsafe { sys::llama_model_ftype(self.as_ptr()) };
        // SAFETY: returns a static string or null for any number.
        let name = unsafe { sys::llama_ftype_name(kind) };
        if name.is_null() {
            return String::new();
        }
        // SAFETY: not null, hence a static NUL-terminated string.
        let name = unsafe { CStr::from_ptr(name) };
        name.to_string_lossy().into_owned()
    }

    /// The chat template of the file: the default one, or the one called `name`.
    pub(crate) fn chat_template(&self, name: Option<&str>) -> Option<String> {
        let name = name.map(CString::new).transpose().ok()?;
        let name = name.as_ref().map_or(std::ptr::null(), |n| n.as_ptr());
        // SAFETY: as above; the name is null or NUL-terminated.
        let template = unsafe { sys::llama_model_chat_template(self.as_ptr(), name) };
        if template.is_null() {
            return None;
        }
        // SAFETY: not null, hence a string owned by the model.
        let template = unsafe { CStr::from_ptr(template) };
        Some(template.to_string_lossy().into_owned())
    }

    /// A metadata value of the file as text; arrays have none.
    pub(crate) fn meta(&self, key: &str) -> Option<String> {
        let key = CString::new(key).ok()?;
        text(|buffer, room| {
            // SAFETY: as above; the key is NUL-terminated, the buffer has `room` bytes.
            unsafe { sys::llama_model_meta_val_str(self.as_ptr(), key.as_ptr(), buffer, room) }
        })
    }

    /// Whether it looks positions up in a table: there are none beyond the trained context.
    pub(crate) fn tabulates_positions(&self) -> bool {
        self.tabulates
    }

    /// Whether it has a head that gives texts a score.
    pub(crate) fn ranks(&self) -> bool {
        self.ranks
    }

    /// The width of an embedding, which is a score's where it is one.
    pub(super) fn n_embd_out(&self, is_score: bool) -> u32 {
        match is_score {
            // SAFETY: as above.
            true => unsafe { sys::llama_model_n_cls_out(self.as_ptr()) },
            // SAFETY: as above.
            false => unsigned(unsafe { sys::llama_model_n_embd_out(self.as_ptr()) }),
        }
    }

    /// Whether the model has an encoder, which this engine does not run.
    pub(crate) fn has_encoder(&self) -> bool {
        // SAFETY: as above.
        unsafe { sys::llama_model_has_encoder(self.as_ptr()) }
    }

    /// Whether the model has a decoder.
    pub(crate) fn has_decoder(&self) -> bool {
        // SAFETY: as above.
        unsafe { sys::llama_model_has_decoder(self.as_ptr()) }
    }

    /// Whether the model keeps a state instead of cells, such as Mamba.
    pub(crate) fn is_recurrent(&self) -> bool {
        // SAFETY: as above.
        unsafe { sys::llama_model_is_recurrent(self.as_ptr()) }
    }

    /// Whether the model mixes attention with recurrent layers.
    pub(crate) fn is_hybrid(&self) -> bool {
        // SAFETY: as above.
        unsafe { sys::llama_model_is_hybrid(self.as_ptr()) }
    }

    /// Layers that are on a device other than the CPU, the output counted as one.
    pub(crate) fn n_gpu_layers(&self) -> u32 {
        self.n_gpu_layers
    }

    /// Its adapters, in the order in which they were named.
    pub(super) fn adapters(&self) -> Vec<*mut sys::llama_adapter_lora> {
        self.adapters.iter().map(Adapter::as_ptr).collect()
    }

    pub(super) fn as_ptr(&self) -> *mut sys::llama_model {
        self.raw.as_ptr()
    }

    pub(super) fn vocab_ptr(&self) -> *const sys::llama_vocab {
        // SAFETY: the pointer is valid for the life of `self`; the vocabulary is part of the model.
        unsafe { sys::llama_model_get_vocab(self.as_ptr()) }
    }

    pub(super) fn vocab_kind(&self) -> VocabKind {
        // SAFETY: the vocabulary lives as long as the model.
        match unsafe { sys::llama_vocab_type(self.vocab_ptr()) } {
            sys::LLAMA_VOCAB_TYPE_SPM => VocabKind::Spm,
            sys::LLAMA_VOCAB_TYPE_BPE => VocabKind::Bpe,
            sys::LLAMA_VOCAB_TYPE_WPM => VocabKind::Wpm,
            sys::LLAMA_VOCAB_TYPE_UGM => VocabKind::Ugm,
            sys::LLAMA_VOCAB_TYPE_RWKV => VocabKind::Rwkv,
            sys::LLAMA_VOCAB_TYPE_PLAMO2 => VocabKind::Plamo,
            _ => VocabKind::Other,
        }
    }

    fn offloaded(&self, asked: Option<i32>) -> u32 {
        let mut devices = 0;
        let counted = ffi::guarded(|err, cap| {
            // SAFETY: the model is valid; `devices` is written on success only.
            unsafe { ffi::engine_model_devices(self.as_ptr(), &mut devices, err, cap) }
        });
        if counted.is_err() || devices <= 0 {
            return 0;
        }
        let all = self.n_layer() + 1;
        asked.map_or(all, |n| u32::try_from(n).map_or(all, |n| n.min(all)))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let freed = ffi::guarded(|err, cap| {
            // SAFETY: `self` owns the pointer; contexts and vocabularies hold an `Arc` of it, so none is left.
            unsafe { ffi::engine_model_free(self.as_ptr(), err, cap) }
        });
        if let Err(fault) = freed {
            ::log::error!(target: "engine", "{}", fault.during("free model"));
        }
    }
}

fn ending() -> Error {
    Error::Load("the process is ending".into())
}

unsafe extern "C" fn report_progress(value: f32, data: *mut c_void) -> bool {
    // SAFETY: `data` is the `Progress` on the stack of `Model::load`, which waits for llama.cpp and does not touch it
    // meanwhile.
    let progress = unsafe { &mut *data.cast::<Progress<'_>>() };
    if progress.cancelled || progress.panicked || exit::is_under_way() {
        return false;
    }
    match catch_unwind(AssertUnwindSafe(|| (progress.report)(value))) {
        Ok(go_on) => progress.cancelled = !go_on,
        Err(_) => progress.panicked = true,
    }
    !progress.cancelled && !progress.panicked
}

/// Calls a function of the snprintf kind until its text fits; `None` where it answers a negative number.
fn text(mut fill: impl FnMut(*mut c_char, usize) -> i32) -> Option<String> {
    let mut buffer = vec![0_u8; 256];
    loop {
        let length = fill(buffer.as_mut_ptr().cast(), buffer.len());
        let length = usize::try_from(length).ok()?;
        if length < buffer.len() {
            buffer.truncate(length);
            return Some(String::from_utf8_lossy(&buffer).into_owned());
        }
        buffer.resize(length + 1, 0);
    }
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}
