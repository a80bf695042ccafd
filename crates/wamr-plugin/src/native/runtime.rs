//! WAMR's own functions, where the host offers them: whose call it is, where its memory lies, and when it ends.
//!
//! Found once, when the host asks for the native library. Hosts that link WAMR and export nothing offer none; there
//! nothing of this is known. What the host keeps for a module instance is the number that `instances` gave it.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;

use parking_lot::Mutex;

use super::NativeSymbol;
use super::memory::Memory;
use crate::answer::answer;
use crate::failure::Failure;
use crate::handles::Caller;
use crate::{guest, host, instances};

/// `wasm_runtime_get_module_inst`.
type GetInstance = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
/// `wasm_runtime_get_native_addr_range`. Its result is a C `bool`: whatever is not 0 is true.
type GetRange = unsafe extern "C" fn(*mut c_void, *mut u8, *mut *mut u8, *mut *mut u8) -> u8;
/// What WAMR calls at the end of a module instance, with what was kept for it.
type Ending = unsafe extern "C" fn(*mut c_void, *mut c_void);
/// `wasm_runtime_create_context_key`.
type CreateKey = unsafe extern "C" fn(Ending) -> *mut c_void;
/// `wasm_runtime_get_context`.
type GetContext = unsafe extern "C" fn(*mut c_void, *mut c_void) -> *mut c_void;
/// `wasm_runtime_set_context_spread`.
type SetContext = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void);
/// `wasm_runtime_register_natives`.
type Register = unsafe extern "C" fn(*const c_char, *mut NativeSymbol, u32) -> u8;
/// `wasm_runtime_unregister_natives`.
type Unregister = unsafe extern "C" fn(*const c_char, *mut NativeSymbol) -> u8;

/// The functions, and the key under which WAMR keeps a number for each module instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runtime {
    get_instance: GetInstance,
    get_range: GetRange,
    get_context: GetContext,
    set_context: SetContext,
    register: Register,
    unregister: Unregister,
    key: usize,
}

static FOUND: OnceLock<Option<Runtime>> = OnceLock::new();

/// Two threads of one module instance call for the first time.
static FIRST_CALL: Mutex<()> = Mutex::new(());

/// The functions, looked for if nobody has. Only while no module instance is alive: WAMR makes keys at no other time.
pub(super) fn look() -> Option<&'static Runtime> {
    FOUND.get_or_init(find).as_ref()
}

/// The functions, if they were looked for and found.
pub(crate) fn found() -> Option<&'static Runtime> {
    FOUND.get().and_then(Option::as_ref)
}

fn find() -> Option<Runtime> {
    let create = host::symbol(c"wasm_runtime_create_context_key")?;
    let get_instance = host::symbol(c"wasm_runtime_get_module_inst")?;
    let get_range = host::symbol(c"wasm_runtime_get_native_addr_range")?;
    let get_context = host::symbol(c"wasm_runtime_get_context")?;
    let set_context = host::symbol(c"wasm_runtime_set_context_spread")?;
    let register = host::symbol(c"wasm_runtime_register_natives")?;
    let unregister = host::symbol(c"wasm_runtime_unregister_natives")?;
    // SAFETY: the function of this name has this type in every WAMR from 2.2 on, as all of these have theirs.
    let create = unsafe { std::mem::transmute::<*mut c_void, CreateKey>(create) };
    // SAFETY: no module instance is alive yet, as hosts promise; the function lives as long as the process.
    let key = unsafe { create(instance_ends) };
    if key.is_null() {
        return None;
    }
    Some(Runtime {
        // SAFETY: as the first.
        get_instance: unsafe { std::mem::transmute::<*mut c_void, GetInstance>(get_instance) },
        // SAFETY: as the first.
        get_range: unsafe { std::mem::transmute::<*mut c_void, GetRange>(get_range) },
        // SAFETY: as the first.
        get_context: unsafe { std::mem::transmute::<*mut c_void, GetContext>(get_context) },
        // SAFETY: as the first.
        set_context: unsafe { std::mem::transmute::<*mut c_void, SetContext>(set_context) },
        // SAFETY: as the first.
        register: unsafe { std::mem::transmute::<*mut c_void, Register>(register) },
        // SAFETY: as the first.
        unregister: unsafe { std::mem::transmute::<*mut c_void, Unregister>(unregister) },
        key: key.expose_provenance(),
    })
}

/// The end of a module instance: everything that it made goes. WAMR calls it for those that made nothing, too.
unsafe extern "C" fn instance_ends(_instance: *mut c_void, ctx: *mut c_void) {
    if !ctx.is_null() {
        answer("the end of an instance", move || {
            guest::end_instance(instances::close(ctx)?);
            Ok(())
        });
    }
}

impl Runtime {
    /// The module instance that calls with `env`, and what it holds here: a ctx of its own from the first call on.
    pub(super) fn caller(&self, env: *mut c_void) -> Result<(Instance, Caller), Failure> {
        // SAFETY: the host has passed its environment to the function that it has just called.
        let address = unsafe { (self.get_instance)(env) };
        if address.is_null() {
            let text = "the host names no module instance for the call";
            return Err(Failure::Runtime(text.to_owned()));
        }
        let mut instance = Instance {
            address,
            ctx: self.context(address),
        };
        if let Some(caller) = instances::known(instance.ctx) {
            return Ok((instance, caller));
        }
        let _first = FIRST_CALL.lock();
        instance.ctx = self.context(address);
        if instances::known(instance.ctx).is_none() {
            instance.ctx = instances::open()?;
            // SAFETY: the instance is alive as long as its call, the key is ours, and no other thread is here.
            unsafe { (self.set_context)(address, self.key(), instance.ctx) };
        }
        let caller = instances::known(instance.ctx);
        let ended = || Failure::InvalidArgument("the instance has ended".to_owned());
        Ok((instance, caller.ok_or_else(ended)?))
    }

    fn context(&self, instance: *mut c_void) -> *mut c_void {
        // SAFETY: the instance is alive as long as its call, and the key is ours.
        unsafe { (self.get_context)(instance, self.key()) }
    }

    fn key(&self) -> *mut c_void {
        std::ptr::with_exposed_provenance_mut(self.key)
    }

    /// The memory of an instance in which `at` lies. Errors: `InvalidArgument` where it lies elsewhere.
    pub(super) fn memory(
        &self,
        instance: Instance,
        at: *mut u8,
        what: &'static str,
    ) -> Result<Memory, Failure> {
        let (mut start, mut end) = (null_mut(), null_mut());
        let (to_start, to_end) = (&raw mut start, &raw mut end);
        // SAFETY: the instance is alive as long as its call; the address is not followed; two places of ours.
        let is_inside = unsafe { (self.get_range)(instance.address, at, to_start, to_end) };
        match is_inside {
            0 => Err(Failure::InvalidArgument(format!(
                "{what} is not in the guest's memory"
            ))),
            _ => Ok(Memory::new(start, end)),
        }
    }

    /// Offers `count` functions to guests that import `module`, before those that were offered already; once, however
    /// often it is called. False where the host has no memory for it.
    pub(super) fn offer(
        &self,
        module: &'static CStr,
        table: *mut NativeSymbol,
        count: u32,
    ) -> bool {
        self.withdraw(module, table);
        // SAFETY: name and table are statics, and the host alone uses the table.
        unsafe { (self.register)(module.as_ptr(), table, count) != 0 }
    }

    /// Takes back what was offered.
    pub(super) fn withdraw(&self, module: &'static CStr, table: *mut NativeSymbol) {
        // SAFETY: both are compared and not changed.
        unsafe { (self.unregister)(module.as_ptr(), table) };
    }
}

/// The module instance of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instance {
    address: *mut c_void,
    /// What `instances` knows it by.
    pub(super) ctx: *mut c_void,
}
