//! The library under test through its C interface.
//!
//! Every function has one safe wrapper with the name of its verb. Knows no measurements.

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::ptr::{null, null_mut, without_provenance_mut};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::shared::{self, symbol};
use crate::texts::{json, length, terminated, text};

/// `wasi_nn_error`: success.
const SUCCESS: u32 = 0;
/// `tensor_type`: u8.
const U8: u32 = 4;
/// Room for a status report, or for the text or the metadata of a turn.
const REPORT_BYTES: u32 = 1 << 20;
/// Room for an answer: no measured turn says more.
const ANSWER_BYTES: u32 = 1 << 18;
const MESSAGE_BYTES: u32 = 4096;

/// `tensor` of the header.
#[repr(C)]
struct Tensor {
    dimensions: *mut c_void,
    kind: u32,
    data: *mut u8,
}

type Piece = unsafe extern "C" fn(*mut c_void, *const c_char, u32) -> i32;
type Init = unsafe extern "C" fn(*mut *mut c_void, *const c_char, u32) -> u32;
type Load =
    unsafe extern "C" fn(*mut c_void, *const c_char, u32, *const c_char, u32, *mut u32) -> u32;
type LoadModel = unsafe extern "C" fn(
    *mut c_void,
    *const c_char,
    u32,
    *const c_char,
    u32,
    *const c_char,
    u32,
    Option<Progress>,
    *mut c_void,
    *mut u32,
) -> u32;
type Progress = unsafe extern "C" fn(*mut c_void, f32) -> i32;
type Open = unsafe extern "C" fn(*mut c_void, u32, *mut u32) -> u32;
type OpenNamed = unsafe extern "C" fn(*mut c_void, *const c_char, *mut u32) -> u32;
type OnContext = unsafe extern "C" fn(*mut c_void, u32) -> u32;
type Run = unsafe extern "C" fn(
    *mut c_void,
    u32,
    u32,
    *mut Tensor,
    *mut u8,
    *mut u32,
    *const c_char,
    u32,
) -> u32;
type Stream = unsafe extern "C" fn(
    *mut c_void,
    u32,
    *mut Tensor,
    *const c_char,
    u32,
    Piece,
    *mut c_void,
) -> u32;

/// The functions of the library.
pub struct Library {
    init_backend_with_config: Init,
    deinit_backend: unsafe extern "C" fn(*mut c_void) -> u32,
    load_by_name_with_config: Load,
    init_execution_context: Open,
    init_execution_context_with_session_id: OpenNamed,
    close_execution_context: OnContext,
    run_inference: Run,
    get_output: unsafe extern "C" fn(*mut c_void, u32, u32, *mut u8, *mut u32) -> u32,
    get_backend_status: unsafe extern "C" fn(*mut c_void, u32, *mut c_char, u32) -> u32,
    wasi_nn_run_inference_stream: Stream,
    wasi_nn_cancel: OnContext,
    wasi_nn_count_tokens: unsafe extern "C" fn(*mut c_void, *const c_char, u32, *mut u32) -> u32,
    wasi_nn_get_last_error: unsafe extern "C" fn(*mut c_void, *mut c_char, u32) -> u32,
    wasi_nn_version: unsafe extern "C" fn() -> *const c_char,
    /// Not in every version.
    wasi_nn_set_client_key:
        Option<unsafe extern "C" fn(*mut c_void, u32, *const c_char, u32) -> u32>,
    /// Not in every version.
    wasi_nn_load_model: Option<LoadModel>,
    /// Not in every version.
    wasi_nn_get_metrics: Option<unsafe extern "C" fn(*mut c_void, *mut c_char, *mut u32) -> u32>,
    /// Not in every version.
    wasi_nn_remove_turns: Option<unsafe extern "C" fn(*mut c_void, u32, u32, u32) -> u32>,
}

/// What a host asks of a backend.
#[derive(Debug, Clone, Copy)]
pub enum Asked {
    /// `get_backend_status` of this type.
    Status(u32),
    /// `wasi_nn_get_metrics`.
    Metrics,
}

impl Library {
    /// Opens the shared library. It stays in the process until that ends, so its functions may be called at any time.
    pub fn open(path: &Path) -> Result<&'static Library> {
        let from = shared::open(path)?;
        let library = Library {
            init_backend_with_config: symbol(from, c"init_backend_with_config")?,
            deinit_backend: symbol(from, c"deinit_backend")?,
            load_by_name_with_config: symbol(from, c"load_by_name_with_config")?,
            init_execution_context: symbol(from, c"init_execution_context")?,
            init_execution_context_with_session_id: symbol(
                from,
                c"init_execution_context_with_session_id",
            )?,
            close_execution_context: symbol(from, c"close_execution_context")?,
            run_inference: symbol(from, c"run_inference")?,
            get_output: symbol(from, c"get_output")?,
            get_backend_status: symbol(from, c"get_backend_status")?,
            wasi_nn_run_inference_stream: symbol(from, c"wasi_nn_run_inference_stream")?,
            wasi_nn_cancel: symbol(from, c"wasi_nn_cancel")?,
            wasi_nn_count_tokens: symbol(from, c"wasi_nn_count_tokens")?,
            wasi_nn_get_last_error: symbol(from, c"wasi_nn_get_last_error")?,
            wasi_nn_version: symbol(from, c"wasi_nn_version")?,
            wasi_nn_set_client_key: symbol(from, c"wasi_nn_set_client_key").ok(),
            wasi_nn_load_model: symbol(from, c"wasi_nn_load_model").ok(),
            wasi_nn_get_metrics: symbol(from, c"wasi_nn_get_metrics").ok(),
            wasi_nn_remove_turns: symbol(from, c"wasi_nn_remove_turns").ok(),
        };
        Ok(Box::leak(Box::new(library)))
    }

    /// `wasi_nn_version`.
    pub fn version(&self) -> String {
        // SAFETY: the function takes nothing and answers a static text.
        let text = unsafe { CStr::from_ptr((self.wasi_nn_version)()) };
        text.to_string_lossy().into_owned()
    }

    /// Whether contexts can be given to clients.
    pub fn has_client_keys(&self) -> bool {
        self.wasi_nn_set_client_key.is_some()
    }

    /// `init_backend_with_config`.
    pub fn backend(&'static self, config: &Value) -> Result<Backend> {
        let config = config.to_string();
        let mut handle = null_mut();
        // SAFETY: handle is a place for a handle, config is readable for its length.
        let code = unsafe {
            (self.init_backend_with_config)(&mut handle, config.as_ptr().cast(), length(&config))
        };
        let backend = Backend {
            library: self,
            number: handle.addr(),
        };
        backend.check("init_backend_with_config", code)?;
        Ok(backend)
    }
}

/// One backend; dropping it destroys it.
pub struct Backend {
    library: &'static Library,
    /// The handle, which the header says is a number and no address.
    number: usize,
}

impl Backend {
    /// `load_by_name_with_config`.
    pub fn load(&self, model: &Path, config: &Value) -> Result<()> {
        let (model, config) = (
            model.to_string_lossy().into_owned(),
            Value::to_string(config),
        );
        // SAFETY: both texts are readable for their lengths; no number of the model is wanted.
        let code = unsafe {
            (self.library.load_by_name_with_config)(
                self.handle(),
                model.as_ptr().cast(),
                length(&model),
                config.as_ptr().cast(),
                length(&config),
                null_mut(),
            )
        };
        self.check("load_by_name_with_config", code)
    }

    /// `wasi_nn_load_model`; the number of the model.
    pub fn load_model(&self, name: &str, model: &Path, config: &Value) -> Result<u32> {
        let Some(load) = self.library.wasi_nn_load_model else {
            return Err(Error::Setup("no wasi_nn_load_model".to_owned()));
        };
        let (model, config) = (
            model.to_string_lossy().into_owned(),
            Value::to_string(config),
        );
        let mut graph = 0;
        // SAFETY: the texts are readable for their lengths, graph is a place for a number; nobody hears of the progress.
        let code = unsafe {
            load(
                self.handle(),
                name.as_ptr().cast(),
                length(name),
                model.as_ptr().cast(),
                length(&model),
                config.as_ptr().cast(),
                length(&config),
                None,
                null_mut(),
                &mut graph,
            )
        };
        self.check("wasi_nn_load_model", code)?;
        Ok(graph)
    }

    /// `init_execution_context` with the current model.
    pub fn context(&self) -> Result<Context<'_>> {
        self.context_on(u32::MAX)
    }

    /// `init_execution_context`.
    pub fn context_on(&self, graph: u32) -> Result<Context<'_>> {
        let mut id = 0;
        // SAFETY: id is a place for a number.
        let code = unsafe { (self.library.init_execution_context)(self.handle(), graph, &mut id) };
        self.check("init_execution_context", code)?;
        Ok(Context { backend: self, id })
    }

    /// `init_execution_context_with_session_id`. The conversation outlives the context.
    pub fn named_context(&self, name: &str) -> Result<Context<'_>> {
        let (name, mut id) = (terminated(name)?, 0);
        let open = self.library.init_execution_context_with_session_id;
        // SAFETY: name is a text with a NUL, id is a place for a number.
        let code = unsafe { open(self.handle(), name.as_ptr(), &mut id) };
        self.check("init_execution_context_with_session_id", code)?;
        Ok(Context { backend: self, id })
    }

    /// `wasi_nn_count_tokens`.
    pub fn count_tokens(&self, text: &str) -> Result<u32> {
        let mut count = 0;
        // SAFETY: text is readable for its length, count is a place for a number.
        let code = unsafe {
            (self.library.wasi_nn_count_tokens)(
                self.handle(),
                text.as_ptr().cast(),
                length(text),
                &mut count,
            )
        };
        self.check("wasi_nn_count_tokens", code)?;
        Ok(count)
    }

    /// `get_backend_status` of the model.
    pub fn model_status(&self) -> Result<Value> {
        const MODEL: u32 = 4;
        self.status(MODEL)
    }

    /// `get_backend_status` of the memory.
    pub fn memory_status(&self) -> Result<Value> {
        const MEMORY: u32 = 1;
        self.status(MEMORY)
    }

    /// Asks for a report, which is written to `room` with a NUL.
    pub fn ask(&self, asked: Asked, room: &mut [u8]) -> Result<()> {
        let mut size = u32::try_from(room.len()).unwrap_or(u32::MAX);
        let at = room.as_mut_ptr().cast();
        match asked {
            Asked::Status(kind) => {
                // SAFETY: room has the bytes that are claimed.
                let code =
                    unsafe { (self.library.get_backend_status)(self.handle(), kind, at, size) };
                self.check("get_backend_status", code)
            }
            Asked::Metrics => {
                let Some(write) = self.library.wasi_nn_get_metrics else {
                    return Err(Error::Setup("no wasi_nn_get_metrics".to_owned()));
                };
                // SAFETY: room has the bytes that size claims, size is a place for a number.
                let code = unsafe { write(self.handle(), at, &mut size) };
                self.check("wasi_nn_get_metrics", code)
            }
        }
    }

    fn status(&self, kind: u32) -> Result<Value> {
        let mut buffer = vec![0u8; REPORT_BYTES as usize];
        self.ask(Asked::Status(kind), &mut buffer)?;
        json(&text(&buffer))
    }

    /// `wasi_nn_get_last_error`.
    pub fn last_error(&self) -> String {
        let mut buffer = vec![0u8; MESSAGE_BYTES as usize];
        // SAFETY: buffer has the bytes that are claimed. The answer does not matter: without a text it stays empty.
        let _ = unsafe {
            (self.library.wasi_nn_get_last_error)(
                self.handle(),
                buffer.as_mut_ptr().cast(),
                MESSAGE_BYTES,
            )
        };
        text(&buffer)
    }

    fn handle(&self) -> *mut c_void {
        without_provenance_mut(self.number)
    }

    fn check(&self, call: &'static str, code: u32) -> Result<()> {
        match code {
            SUCCESS => Ok(()),
            code => Err(Error::Library {
                call,
                code,
                text: self.last_error(),
            }),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // SAFETY: the handle is a number; a dead one is an error and no more.
        let _ = unsafe { (self.library.deinit_backend)(self.handle()) };
    }
}

/// One execution context; dropping it closes it.
pub struct Context<'a> {
    backend: &'a Backend,
    id: u32,
}

impl Context<'_> {
    /// `run_inference`.
    pub fn run(&self, prompt: &str, config: &Value) -> Result<()> {
        let (prompt, config) = (terminated(prompt)?, config.to_string());
        let mut input = tensor(&prompt);
        let mut answer = vec![0u8; ANSWER_BYTES as usize];
        let mut size = ANSWER_BYTES;
        // SAFETY: input points to a text with a NUL, answer has size bytes, config is readable for its length.
        let code = unsafe {
            (self.backend.library.run_inference)(
                self.backend.handle(),
                self.id,
                0,
                &mut input,
                answer.as_mut_ptr(),
                &mut size,
                config.as_ptr().cast(),
                length(&config),
            )
        };
        self.backend.check("run_inference", code)
    }

    /// `wasi_nn_run_inference_stream`. `on_piece` hears of every piece; false ends the answer there.
    pub fn stream(
        &self,
        prompt: &str,
        config: &Value,
        mut on_piece: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        let (prompt, config) = (terminated(prompt)?, config.to_string());
        let mut input = tensor(&prompt);
        // SAFETY: input points to a text with a NUL, config is readable for its length, and on_piece, which lives
        // until the call returns, is what forward takes its user data for.
        let code = unsafe {
            (self.backend.library.wasi_nn_run_inference_stream)(
                self.backend.handle(),
                self.id,
                &mut input,
                config.as_ptr().cast(),
                length(&config),
                forward,
                (&raw mut on_piece).cast(),
            )
        };
        self.backend.check("wasi_nn_run_inference_stream", code)
    }

    /// `wasi_nn_cancel`.
    pub fn cancel(&self) -> Result<()> {
        // SAFETY: both arguments are numbers.
        let code = unsafe { (self.backend.library.wasi_nn_cancel)(self.backend.handle(), self.id) };
        self.backend.check("wasi_nn_cancel", code)
    }

    /// `wasi_nn_set_client_key`, where the library has it.
    pub fn set_client_key(&self, key: &str) -> Result<()> {
        let Some(set) = self.backend.library.wasi_nn_set_client_key else {
            return Err(Error::Setup("no wasi_nn_set_client_key".to_owned()));
        };
        // SAFETY: key is readable for its length.
        let code = unsafe {
            set(
                self.backend.handle(),
                self.id,
                key.as_ptr().cast(),
                length(key),
            )
        };
        self.backend.check("wasi_nn_set_client_key", code)
    }

    /// `wasi_nn_remove_turns` of the oldest one, where the library has it.
    pub fn remove_oldest_turn(&self) -> Result<()> {
        let Some(remove) = self.backend.library.wasi_nn_remove_turns else {
            return Err(Error::Setup("no wasi_nn_remove_turns".to_owned()));
        };
        // SAFETY: all arguments are numbers.
        let code = unsafe { remove(self.backend.handle(), self.id, 0, 1) };
        self.backend.check("wasi_nn_remove_turns", code)
    }

    /// `get_output` with index 0: the text of the last turn.
    pub fn text(&self) -> Result<String> {
        const TEXT: u32 = 0;
        self.output(TEXT)
    }

    /// `get_output` with index 1: what is known of the last turn.
    pub fn metadata(&self) -> Result<Value> {
        const METADATA: u32 = 1;
        json(&self.output(METADATA)?)
    }

    fn output(&self, index: u32) -> Result<String> {
        let mut buffer = vec![0u8; REPORT_BYTES as usize];
        let mut size = REPORT_BYTES;
        // SAFETY: buffer has size bytes.
        let code = unsafe {
            (self.backend.library.get_output)(
                self.backend.handle(),
                self.id,
                index,
                buffer.as_mut_ptr(),
                &mut size,
            )
        };
        self.backend.check("get_output", code)?;
        Ok(text(&buffer))
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: both arguments are numbers; a context that is gone already is an error and no more.
        let _ = unsafe {
            (self.backend.library.close_execution_context)(self.backend.handle(), self.id)
        };
    }
}

/// The callback of `stream`.
///
/// # Safety
/// `user_data` points to the `&mut dyn FnMut` of a `stream` that has not returned.
unsafe extern "C" fn forward(user_data: *mut c_void, _piece: *const c_char, _len: u32) -> i32 {
    // SAFETY: this function's own contract.
    let on_piece = unsafe { &mut *user_data.cast::<&mut dyn FnMut() -> bool>() };
    i32::from(!on_piece())
}

fn tensor(prompt: &CStr) -> Tensor {
    Tensor {
        dimensions: null::<c_void>().cast_mut(),
        kind: U8,
        // The library reads it only.
        data: prompt.as_ptr().cast_mut().cast(),
    }
}
