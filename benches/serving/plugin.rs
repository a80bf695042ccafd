//! The plugin for WAMR, called as a host of WAMR 2.4 and later calls it.
//!
//! There is no such host here, so the plugin has to find out by itself: until the first output shows it, a prompt's
//! length is believed where tensor and dimensions agree, as they do here. Knows no measurements.

use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::ptr::{null_mut, without_provenance_mut};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::shared::{self, symbol};

const SUCCESS: u32 = 0;
/// `tensor_type`: u8.
const U8: u8 = 3;
/// Room for the text or the metadata of a turn.
const OUTPUT_BYTES: u32 = 1 << 20;

/// `tensor_dimensions`.
#[repr(C)]
struct Dimensions {
    buf: *mut u32,
    size: u32,
}

/// `tensor_data`, 16 bytes.
#[repr(C)]
struct Data {
    buf: *mut u8,
    size: u32,
}

/// `tensor`, 32 bytes.
#[repr(C)]
struct Tensor {
    dimensions: *mut Dimensions,
    kind: u8,
    data: Data,
}

type Load =
    unsafe extern "C" fn(*mut c_void, *const c_char, u32, *const c_char, u32, *mut u32) -> u32;

/// The functions that a guest of the measurement reaches.
pub struct Plugin {
    init_backend: unsafe extern "C" fn(*mut *mut c_void) -> u32,
    deinit_backend: unsafe extern "C" fn(*mut c_void) -> u32,
    load_by_name_with_config: Load,
    init_execution_context: unsafe extern "C" fn(*mut c_void, u32, *mut u32) -> u32,
    set_input: unsafe extern "C" fn(*mut c_void, u32, u32, *mut Tensor) -> u32,
    compute: unsafe extern "C" fn(*mut c_void, u32) -> u32,
    get_output: unsafe extern "C" fn(*mut c_void, u32, u32, *mut Data, *mut u32) -> u32,
}

impl Plugin {
    /// Opens the plugin.
    pub fn open(path: &Path) -> Result<&'static Plugin> {
        let from = shared::open(path)?;
        let plugin = Plugin {
            init_backend: symbol(from, c"init_backend")?,
            deinit_backend: symbol(from, c"deinit_backend")?,
            load_by_name_with_config: symbol(from, c"load_by_name_with_config")?,
            init_execution_context: symbol(from, c"init_execution_context")?,
            set_input: symbol(from, c"set_input")?,
            compute: symbol(from, c"compute")?,
            get_output: symbol(from, c"get_output")?,
        };
        Ok(Box::leak(Box::new(plugin)))
    }

    /// `init_backend`, as the host does for an instance of a module.
    pub fn instance(&'static self) -> Result<Instance> {
        let mut ctx = null_mut();
        // SAFETY: ctx is a place for what stands for the instance.
        let code = unsafe { (self.init_backend)(&mut ctx) };
        check("init_backend", code)?;
        Ok(Instance {
            plugin: self,
            number: ctx.addr(),
            has_ended: false,
        })
    }
}

/// An instance of a module; dropping it ends it.
pub struct Instance {
    plugin: &'static Plugin,
    /// The host's ctx, which is a number and no address.
    number: usize,
    has_ended: bool,
}

impl Instance {
    /// `load_by_name_with_config`; the number of the graph.
    pub fn load(&self, model: &Path, config: &Value) -> Result<u32> {
        // Hosts up to 2.4 see to a NUL behind both.
        let name = terminated(model.to_string_lossy().into_owned())?;
        let config = terminated(config.to_string())?;
        let mut graph = 0;
        // SAFETY: both texts are readable for their lengths, graph is a place for a number.
        let code = unsafe {
            (self.plugin.load_by_name_with_config)(
                self.ctx(),
                name.as_ptr(),
                length(name.as_bytes()),
                config.as_ptr(),
                length(config.as_bytes()),
                &mut graph,
            )
        };
        check("load_by_name_with_config", code)?;
        Ok(graph)
    }

    /// `init_execution_context`; its number.
    pub fn context(&self, graph: u32) -> Result<u32> {
        let mut context = 0;
        // SAFETY: context is a place for a number.
        let code = unsafe { (self.plugin.init_execution_context)(self.ctx(), graph, &mut context) };
        check("init_execution_context", code)?;
        Ok(context)
    }

    /// `set_input` with index 0.
    pub fn set_prompt(&self, context: u32, prompt: &str) -> Result<()> {
        const PROMPT: u32 = 0;
        let size = length(prompt.as_bytes());
        let mut lengths = [size];
        let mut dimensions = Dimensions {
            buf: lengths.as_mut_ptr(),
            size: 1,
        };
        let mut tensor = Tensor {
            dimensions: &mut dimensions,
            kind: U8,
            data: Data {
                // The plugin reads it only.
                buf: prompt.as_ptr().cast_mut(),
                size,
            },
        };
        // SAFETY: tensor has one dimension and a text that is readable for its length.
        let code = unsafe { (self.plugin.set_input)(self.ctx(), context, PROMPT, &mut tensor) };
        check("set_input", code)
    }

    /// `compute`.
    pub fn compute(&self, context: u32) -> Result<()> {
        // SAFETY: both arguments are numbers.
        let code = unsafe { (self.plugin.compute)(self.ctx(), context) };
        check("compute", code)
    }

    /// `get_output` with index 0: the text of the turn.
    pub fn text(&self, context: u32) -> Result<String> {
        const TEXT: u32 = 0;
        self.output(context, TEXT)
    }

    /// `get_output` with index 1: what is known of the turn.
    pub fn metadata(&self, context: u32) -> Result<Value> {
        const METADATA: u32 = 1;
        let text = self.output(context, METADATA)?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Setup(format!("the plugin wrote no JSON: {error}")))
    }

    /// `deinit_backend`.
    pub fn end(mut self) -> Result<()> {
        check("deinit_backend", self.deinit())
    }

    fn output(&self, context: u32, index: u32) -> Result<String> {
        let mut room = vec![0u8; OUTPUT_BYTES as usize];
        // On this stack, as a host has it.
        let mut out = Data {
            buf: room.as_mut_ptr(),
            size: OUTPUT_BYTES,
        };
        let mut written = 0;
        // SAFETY: out leads to as many bytes as it says, written is a place for a number.
        let code =
            unsafe { (self.plugin.get_output)(self.ctx(), context, index, &mut out, &mut written) };
        check("get_output", code)?;
        room.truncate(written as usize);
        String::from_utf8(room)
            .map_err(|error| Error::Setup(format!("the plugin wrote no UTF-8: {error}")))
    }

    fn deinit(&mut self) -> u32 {
        self.has_ended = true;
        // SAFETY: the ctx is a number; one that has ended is an error and no more.
        unsafe { (self.plugin.deinit_backend)(self.ctx()) }
    }

    fn ctx(&self) -> *mut c_void {
        without_provenance_mut(self.number)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if !self.has_ended {
            // Only where something else has failed, which is told.
            let _ = self.deinit();
        }
    }
}

fn check(call: &'static str, code: u32) -> Result<()> {
    match code {
        SUCCESS => Ok(()),
        code => Err(Error::Library {
            call,
            code,
            // A guest gets the number only.
            text: "a guest is told no more".to_owned(),
        }),
    }
}

fn terminated(text: String) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Setup("a name or config has a NUL".to_owned()))
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("prompts and configurations are far below 4 GiB")
}
