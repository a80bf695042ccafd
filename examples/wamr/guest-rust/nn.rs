//! wasi-nn as a guest sees it: the functions of the module `wasi_ephemeral_nn`, and what they are called with.
//!
//! Text goes in as a pointer and a length. Hosts up to 2.4 also look for a NUL behind names and configurations and for
//! 16 readable bytes at the dimensions, and hosts up to 2.3 tell the length of a prompt by its dimensions alone: the
//! texts here are a host's arguments, which end with a NUL, and the dimensions are true and four.

/// The error number of a text that outgrew the program's memory, as wasi-nn has it.
pub const FULL: Failure = Failure {
    function: "transcript",
    number: 7,
};

const END_OF_SEQUENCE: u32 = 100;
const CONTEXT_FULL: u32 = 101;
const TYPE_U8: u8 = 3;
const PROMPT: u32 = 0;

/// A call that a host answered with a number other than 0.
pub struct Failure {
    /// Which function.
    pub function: &'static str,
    /// What it answered.
    pub number: u32,
}

/// Whether an answer that is made piece by piece has come to its end.
pub enum Ended {
    /// A piece is ready.
    Not,
    /// The model ended it, a stop string or a limit.
    Sequence,
    /// The context is full; the pieces so far are the answer.
    ContextFull,
}

/// What is read of an answer.
#[derive(Clone, Copy)]
pub enum Output {
    /// The text, or the last piece.
    Text = 0,
    /// JSON about the answer.
    Metadata = 1,
}

/// A model.
pub struct Graph(u32);

/// An execution context: one text that grows.
pub struct Context(u32);

/// 20 bytes, as hosts read them.
#[repr(C)]
struct Tensor {
    dimensions: *const u32,
    dimension_count: u32,
    kind: u8,
    data: *const u8,
    data_size: u32,
}

#[link(wasm_import_module = "wasi_ephemeral_nn")]
extern "C" {
    fn load_by_name(name: *const u8, size: u32, graph: *mut u32) -> u32;
    fn load_by_name_with_config(
        name: *const u8,
        name_size: u32,
        config: *const u8,
        config_size: u32,
        graph: *mut u32,
    ) -> u32;
    fn init_execution_context(graph: u32, context: *mut u32) -> u32;
    fn set_input(context: u32, index: u32, tensor: *const Tensor) -> u32;
    fn compute(context: u32) -> u32;
    fn get_output(context: u32, index: u32, out: *mut u8, capacity: u32, size: *mut u32) -> u32;
    fn compute_single(context: u32) -> u32;
    fn get_output_single(
        context: u32,
        index: u32,
        out: *mut u8,
        capacity: u32,
        size: *mut u32,
    ) -> u32;
    fn fini_single(context: u32) -> u32;
    fn finalize_execution_context(context: u32) -> u32;
    fn unload(graph: u32) -> u32;
}

fn check(function: &'static str, number: u32) -> Result<(), Failure> {
    match number {
        0 => Ok(()),
        _ => Err(Failure { function, number }),
    }
}

impl Graph {
    /// Loads a model by the name that the host knows it by. `config` is a JSON object, or empty.
    pub fn load(name: &[u8], config: &[u8]) -> Result<Self, Failure> {
        let mut graph = 0;
        let size = name.len() as u32;
        if config.is_empty() {
            // SAFETY: the host reads `size` bytes of `name` and writes four to `graph`.
            let number = unsafe { load_by_name(name.as_ptr(), size, &mut graph) };
            check("load_by_name", number)?;
        } else {
            let (at, bytes) = (config.as_ptr(), config.len() as u32);
            // SAFETY: as above, and `bytes` bytes of `config`.
            let number =
                unsafe { load_by_name_with_config(name.as_ptr(), size, at, bytes, &mut graph) };
            check("load_by_name_with_config", number)?;
        }
        Ok(Graph(graph))
    }

    /// A fresh text on this model.
    pub fn context(&self) -> Result<Context, Failure> {
        let mut context = 0;
        // SAFETY: the host writes four bytes to `context`.
        let number = unsafe { init_execution_context(self.0, &mut context) };
        check("init_execution_context", number)?;
        Ok(Context(context))
    }

    /// Gives the model back.
    pub fn unload(self) -> Result<(), Failure> {
        // SAFETY: takes a number.
        check("unload", unsafe { unload(self.0) })
    }
}

impl Context {
    /// Sets the text that the next answer continues. What was there before is replaced.
    pub fn set_prompt(&self, text: &[u8]) -> Result<(), Failure> {
        let dimensions = [text.len() as u32, 0, 0, 0];
        let tensor = Tensor {
            dimensions: dimensions.as_ptr(),
            dimension_count: 1,
            kind: TYPE_U8,
            data: text.as_ptr(),
            data_size: text.len() as u32,
        };
        // SAFETY: tensor, dimensions and text outlive the call, which reads them.
        check("set_input", unsafe { set_input(self.0, PROMPT, &tensor) })
    }

    /// Makes a whole answer. A full context ends it, but what there is of it can be read.
    pub fn compute(&self) -> Result<(), Failure> {
        // SAFETY: takes a number.
        match unsafe { compute(self.0) } {
            CONTEXT_FULL => Ok(()),
            number => check("compute", number),
        }
    }

    /// Reads an answer made by `compute` into `room`.
    pub fn output<'a>(&self, what: Output, room: &'a mut [u8]) -> Result<&'a [u8], Failure> {
        let (capacity, mut size) = (room.len() as u32, 0);
        // SAFETY: the host writes at most `capacity` bytes to `room`, and four to `size`.
        let number =
            unsafe { get_output(self.0, what as u32, room.as_mut_ptr(), capacity, &mut size) };
        check("get_output", number)?;
        Ok(&room[..size as usize])
    }

    /// Makes the next piece of an answer.
    pub fn compute_single(&self) -> Result<Ended, Failure> {
        // SAFETY: takes a number.
        match unsafe { compute_single(self.0) } {
            END_OF_SEQUENCE => Ok(Ended::Sequence),
            CONTEXT_FULL => Ok(Ended::ContextFull),
            number => check("compute_single", number).map(|()| Ended::Not),
        }
    }

    /// Reads the piece made last into `room`.
    pub fn output_single<'a>(&self, what: Output, room: &'a mut [u8]) -> Result<&'a [u8], Failure> {
        let (capacity, mut size) = (room.len() as u32, 0);
        let at = room.as_mut_ptr();
        // SAFETY: the host writes at most `capacity` bytes to `room`, and four to `size`.
        let number = unsafe { get_output_single(self.0, what as u32, at, capacity, &mut size) };
        check("get_output_single", number)?;
        Ok(&room[..size as usize])
    }

    /// Ends an answer that was made in pieces.
    pub fn end_streaming(&self) -> Result<(), Failure> {
        // SAFETY: takes a number.
        check("fini_single", unsafe { fini_single(self.0) })
    }

    /// Gives the context back.
    pub fn finalize(self) -> Result<(), Failure> {
        // SAFETY: takes a number.
        let number = unsafe { finalize_execution_context(self.0) };
        check("finalize_execution_context", number)
    }
}
