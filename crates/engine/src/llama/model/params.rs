//! How a model is brought into memory, as numbers and enums, and the form in which llama.cpp takes them.
//!
//! Knows neither file nor vocabulary.

use std::ffi::CString;
use std::path::PathBuf;

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};

/// How a model is divided among devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SplitMode {
    /// Not at all.
    None,
    /// By layers.
    Layer,
    /// By rows of matrices.
    Row,
}

/// Experts that stay in the machine's memory although their layer is on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CpuExperts {
    /// Those of the first so many layers.
    First(u32),
    /// All.
    All,
}

/// How a model is brought into memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelParams {
    /// Layers moved to a GPU, `None` or a negative number for all; without a GPU in the build it has no effect.
    pub(crate) n_gpu_layers: Option<i32>,
    /// The device for what is not split, from 0.
    pub(crate) main_gpu: i32,
    /// Shares of the model per device; empty for an automatic split.
    pub(crate) tensor_split: Vec<f32>,
    /// How it is divided among devices.
    pub(crate) split_mode: SplitMode,
    /// Experts that stay in the machine's memory.
    pub(crate) cpu_experts: CpuExperts,
    /// Map the file instead of reading it.
    pub(crate) use_mmap: bool,
    /// Keep the weights from being swapped out; a failure to lock is a warning in the log.
    pub(crate) use_mlock: bool,
    /// Refuse values that are no numbers.
    pub(crate) check_tensors: bool,
    /// Adapters that are loaded with it. Contexts say how much of each they want.
    pub(crate) adapters: Vec<PathBuf>,
}

/// Arrays that the raw parameters point into; to be kept until llama.cpp has returned.
pub(super) struct Arrays {
    split: Option<Vec<f32>>,
    /// The text of the one pattern in `overrides`.
    _pattern: Option<CString>,
    overrides: Vec<sys::llama_model_tensor_buft_override>,
}

impl ModelParams {
    /// Checks them and builds the arrays. Errors: `InvalidArgument` for parameters out of range.
    pub(super) fn arrays(&self) -> Result<Arrays> {
        let pattern = expert_pattern(self.cpu_experts)
            .map(CString::new)
            .transpose();
        let pattern = pattern.map_err(|e| Error::Internal(format!("a pattern of ours: {e}")))?;
        let mut overrides = Vec::new();
        if let Some(pattern) = &pattern {
            overrides.push(sys::llama_model_tensor_buft_override {
                pattern: pattern.as_ptr(),
                // SAFETY: no arguments; returns a pointer to a static description.
                buft: unsafe { sys::ggml_backend_cpu_buffer_type() },
            });
            overrides.push(sys::llama_model_tensor_buft_override {
                pattern: std::ptr::null(),
                buft: std::ptr::null_mut(),
            });
        }
        Ok(Arrays {
            split: tensor_split(self)?,
            _pattern: pattern,
            overrides,
        })
    }

    /// Writes them into `raw`, which points into `arrays` then.
    pub(super) fn fill(&self, raw: &mut sys::llama_model_params, arrays: &Arrays) {
        raw.n_gpu_layers = self.n_gpu_layers.unwrap_or(-1);
        raw.main_gpu = self.main_gpu;
        raw.tensor_split = arrays
            .split
            .as_ref()
            .map_or(std::ptr::null(), |s| s.as_ptr());
        raw.split_mode = match self.split_mode {
            SplitMode::None => sys::LLAMA_SPLIT_MODE_NONE,
            SplitMode::Layer => sys::LLAMA_SPLIT_MODE_LAYER,
            SplitMode::Row => sys::LLAMA_SPLIT_MODE_ROW,
        };
        if !arrays.overrides.is_empty() {
            raw.tensor_buft_overrides = arrays.overrides.as_ptr();
        }
        raw.check_tensors = self.check_tensors;
        raw.load_mode = match (self.use_mmap, self.use_mlock) {
            (true, true) => sys::LLAMA_LOAD_MODE_MMAP_MLOCK,
            (true, false) => sys::LLAMA_LOAD_MODE_MMAP,
            (false, true) => sys::LLAMA_LOAD_MODE_MLOCK,
            (false, false) => sys::LLAMA_LOAD_MODE_NONE,
        };
    }
}

/// What the names of those experts' tensors look like, as an ECMAScript regular expression. One for all layers:
/// llama.cpp compiles it anew for every tensor.
pub(in crate::llama) fn expert_pattern(experts: CpuExperts) -> Option<String> {
    const EXPERTS: &str = r"\.ffn_(up|down|gate|gate_up)_(ch)?exps\.";
    match experts {
        CpuExperts::First(0) => None,
        CpuExperts::All => Some(EXPERTS.to_owned()),
        CpuExperts::First(count) => {
            // No model has more layers.
            let layers = (0..count.min(512)).map(|layer| layer.to_string());
            let layers = layers.collect::<Vec<_>>().join("|");
            Some(format!("^blk\\.({layers}){EXPERTS}"))
        }
    }
}

/// The shares as llama.cpp wants them: one per possible device.
fn tensor_split(params: &ModelParams) -> Result<Option<Vec<f32>>> {
    if params.main_gpu < 0 {
        return Err(Error::InvalidArgument(format!(
            "main_gpu is {}, must be 0 or more",
            params.main_gpu
        )));
    }
    // SAFETY: no arguments; returns a constant of the build.
    let devices = unsafe { sys::llama_max_devices() };
    let shares = &params.tensor_split;
    if shares.len() > devices {
        return Err(Error::InvalidArgument(format!(
            "tensor_split has {} shares, must have at most {devices}",
            shares.len()
        )));
    }
    if let Some(share) = shares.iter().find(|s| !s.is_finite() || **s < 0.0) {
        return Err(Error::InvalidArgument(format!(
            "tensor_split has the share {share}, must be 0 or more"
        )));
    }
    if shares.iter().all(|share| *share == 0.0) {
        return Ok(None);
    }
    let mut shares = shares.clone();
    shares.resize(devices, 0.0);
    Ok(Some(shares))
}
