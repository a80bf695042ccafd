//! A call through the native library: who makes it, in which memory, and what the functions of both modules share.
//!
//! Does not know in which form arguments come.

use std::ffi::c_void;

use crate::abi::Span;
use crate::argument::{self, ModelParts};
use crate::failure::Failure;
use crate::handles::Caller;
use crate::output::Output;
use crate::{guest, host, input, instances};

use super::memory::Memory;
use super::runtime::{self, Instance, Runtime};

/// The tensor that carries settings instead of a prompt.
const METADATA: u32 = 1;

/// Who calls where the host offers nothing to tell it by: the number of a handle is all that counts there.
const ANYBODY: Caller = Caller {
    maker: 0,
    is_bound: false,
};

/// Who makes a call.
pub(super) struct Call {
    /// Whose handles it may use.
    pub(super) caller: Caller,
    from: Option<(&'static Runtime, Instance)>,
}

impl Call {
    /// The call that came with `env`.
    pub(super) fn of(env: *mut c_void) -> Result<Call, Failure> {
        let Some(runtime) = runtime::found() else {
            return Ok(Call {
                caller: ANYBODY,
                from: None,
            });
        };
        let (instance, caller) = runtime.caller(env)?;
        Ok(Call {
            caller,
            from: Some((runtime, instance)),
        })
    }

    /// The memory of the guest, in which the argument at `at` lies.
    pub(super) fn memory(&self, at: *mut u8, what: &'static str) -> Result<Memory, Failure> {
        let unknown = || Failure::Unsupported("the host does not show the guest's memory".into());
        let (runtime, instance) = self.from.ok_or_else(unknown)?;
        runtime.memory(instance, at, what)
    }

    /// The memory as [`Call::memory`] finds it for four bytes that a number goes to; nothing where the host shows none.
    pub(super) fn room_for(
        &self,
        at: *mut u32,
        what: &'static str,
    ) -> Result<Option<Memory>, Failure> {
        if self.from.is_none() {
            return Ok(None);
        }
        let memory = self.memory(at.cast(), what)?;
        memory.check(at.cast_const().cast(), size_of::<u32>(), what)?;
        Ok(Some(memory))
    }

    /// Ends what the call has made if its instance ended meanwhile: nobody else would.
    pub(super) fn made<T>(&self, handle: T) -> Result<T, Failure> {
        if let Some((_, instance)) = self.from {
            instances::check_open(instance.ctx, self.caller)?;
        }
        Ok(handle)
    }

    /// Loads the model in the guest's memory.
    pub(super) fn load(&self, parts: &ModelParts) -> Result<u32, Failure> {
        let config = parts.config()?;
        let bytes = parts.model_bytes(host::max_model_bytes())?;
        let room = guest::may_load_bytes(self.caller.maker, bytes)?;
        self.made(guest::load_bytes(
            self.caller.maker,
            parts.model()?,
            room,
            config,
        )?)
    }

    /// Loads the model of that name.
    pub(super) fn load_by_name(
        &self,
        memory: &Memory,
        name: Span,
        config: Option<Span>,
    ) -> Result<u32, Failure> {
        let text = |span: Span, what| {
            memory
                .check(span.start, span.size as usize, what)
                .map(|()| span.start.cast_const().cast())
        };
        let config = match config {
            Some(config) => argument::config(text(config, "config")?, config.size)?,
            None => None,
        };
        let name = argument::name(text(name, "name")?, name.size)?;
        self.made(guest::load_by_name(self.caller.maker, &name, config)?)
    }

    /// Takes the settings or the prompt in `bytes`.
    pub(super) fn set_input(
        &self,
        context: u32,
        index: u32,
        bytes: Vec<u8>,
    ) -> Result<(), Failure> {
        match index {
            METADATA => guest::set_metadata(self.caller, context, bytes),
            _ => guest::set_prompt(self.caller, context, input::text(bytes)?),
        }
    }

    /// `output`, bounded by the memory in which its buffer begins.
    pub(super) fn bounded(output: Output, memory: Option<Memory>) -> Output {
        match memory {
            Some(memory) => {
                let room = memory.left(output.start());
                output.within(room)
            }
            None => output,
        }
    }
}
