//! What is known of the host that this process is: its settings, its version, its functions, its stacks.
//!
//! The only place that reads the environment for the door itself. Found once and kept. What follows from it is decided
//! in `evidence`.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::abi::{Abi, Flavour, address};
use crate::evidence::{self, Evidence, Exports, Verdict};
use crate::failure::Failure;
use crate::guest;

/// `2.2` or `2.4`: the generation of the host, whatever it looks like.
const ABI: &str = "WASI_NN_LLAMACPP_ABI";
/// `host`: errors by the host's numbers instead of the guests'.
const ERRORS: &str = "WASI_NN_LLAMACPP_ERRORS";
/// The largest model that a guest may bring along.
const MAX_MODEL_BYTES: &str = "WASI_NN_MAX_MODEL_BYTES";

/// Why a host is refused.
const UNKNOWN: &str = "nothing shows which WAMR this host is: set WASI_NN_LLAMACPP_ABI to 2.2 (for 2.2 and 2.3) or 2.4";

const DEFAULT_MAX_MODEL_BYTES: u64 = 4 << 30;

/// More functions than any host has under one module.
const MOST_EXPORTS: u32 = 64;
/// Bytes of one entry of a host's table of functions: address of the name, of the function, of the signature, of an
/// attachment.
const EXPORT_BYTES: usize = 32;
/// Longer than any name or signature of wasi-nn.
const EXPORT_TEXT: usize = 64;

static BEFORE: OnceLock<Evidence> = OnceLock::new();
/// Empty as long as no output has shown anything: the next one may come on another stack.
static IS_OUTPUT_ON_STACK: OnceLock<bool> = OnceLock::new();
static HAS_OWN_NUMBERS: OnceLock<bool> = OnceLock::new();

/// How this host is treated, as far as that is known now.
pub(crate) fn verdict() -> Verdict {
    evidence::decide(&Evidence {
        is_output_on_stack: IS_OUTPUT_ON_STACK.get().copied(),
        ..*BEFORE.get_or_init(gather)
    })
}

/// How this host is treated, judged by the fourth argument of its first `get_output` too.
pub(crate) fn verdict_on_output(out: *const u8) -> Verdict {
    let mut is_first = false;
    // NULL is no argument of any host, so it shows nothing.
    if !out.is_null()
        && IS_OUTPUT_ON_STACK.get().is_none()
        && let Some(is_there) = is_on_stack(out.addr())
    {
        is_first = IS_OUTPUT_ON_STACK.set(is_there).is_ok();
    }
    let verdict = verdict();
    if is_first && verdict.is_contradicted {
        let text = format!(
            "the host passes outputs as one of generation {} does, and looks otherwise like one of {}",
            named(verdict.output),
            named(verdict.abi)
        );
        guest::note(log::Level::Warn, &text);
    }
    verdict
}

/// The generation in whose form outputs go. Errors: `Unsupported` where nothing is known of the host, and then the log
/// is told once: on the wrong guess a guest would choose where the engine writes.
pub(crate) fn output_form(verdict: Verdict) -> Result<Abi, Failure> {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    verdict.output.ok_or_else(|| {
        if !IS_TOLD.swap(true, Ordering::Relaxed) {
            let text = format!("{UNKNOWN}; outputs are refused");
            guest::note(log::Level::Warn, &text);
        }
        Failure::Unsupported(UNKNOWN.to_owned())
    })
}

/// Whose numbers errors have.
pub(crate) fn numbers() -> Abi {
    let is_own =
        *HAS_OWN_NUMBERS.get_or_init(|| variable(ERRORS).is_some_and(|text| text == "host"));
    match is_own {
        true => verdict().abi.unwrap_or(Abi::B),
        false => Abi::B,
    }
}

/// The largest model that a guest may bring along, in bytes.
pub(crate) fn max_model_bytes() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| match variable(MAX_MODEL_BYTES) {
        None => DEFAULT_MAX_MODEL_BYTES,
        Some(text) => text.parse().unwrap_or_else(|_| {
            ignore(MAX_MODEL_BYTES, &text, "a number of bytes");
            DEFAULT_MAX_MODEL_BYTES
        }),
    })
}

fn named(abi: Option<Abi>) -> &'static str {
    match abi {
        Some(Abi::A) => "2.2",
        Some(Abi::B) => "2.4",
        None => "none",
    }
}

fn gather() -> Evidence {
    Evidence {
        setting: setting(),
        version: version(),
        exports: exports(),
        is_output_on_stack: None,
    }
}

fn setting() -> Option<Abi> {
    let text = variable(ABI)?;
    match text.as_str() {
        "2.2" => Some(Abi::A),
        "2.4" => Some(Abi::B),
        _ => {
            ignore(ABI, &text, "2.2 or 2.4");
            None
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|text| text.to_string_lossy().into_owned())
}

fn ignore(name: &str, text: &str, right: &str) {
    let text = format!("{name} is {text:?}, must be {right}: ignored");
    guest::note(log::Level::Warn, &text);
}

fn version() -> Option<(u32, u32)> {
    type Version = unsafe extern "C" fn(*mut u32, *mut u32, *mut u32);
    let function = symbol(c"wasm_runtime_get_version")?;
    // SAFETY: the function of this name has this type in every WAMR that has it.
    let function = unsafe { std::mem::transmute::<*mut c_void, Version>(function) };
    let (mut major, mut minor, mut patch) = (0, 0, 0);
    // SAFETY: three numbers of ours for it to write.
    unsafe { function(&raw mut major, &raw mut minor, &raw mut patch) };
    Some((major, minor))
}

fn exports() -> Option<Exports> {
    type Table = unsafe extern "C" fn(*mut *const u8) -> u32;
    let function = symbol(c"get_wasi_nn_export_apis")?;
    // SAFETY: the function of this name has this type in every WAMR that has it.
    let function = unsafe { std::mem::transmute::<*mut c_void, Table>(function) };
    let mut table = std::ptr::null();
    // SAFETY: a place of ours for the table's address; the function has no other effect.
    let count = unsafe { function(&raw mut table) };
    read_exports(table, count)
}

/// None if the table has no `load` of a known signature.
fn read_exports(table: *const u8, count: u32) -> Option<Exports> {
    let mut flavour = None;
    let mut has_load_by_name = false;
    for index in 0..count.min(MOST_EXPORTS) as usize {
        let at = table.wrapping_add(index * EXPORT_BYTES);
        let entry = boundary::array::<EXPORT_BYTES>(at, "export").ok()?;
        let text = |at| boundary::text(address(&entry, at), None, EXPORT_TEXT, "export").ok();
        match (text(0)?.as_slice(), text(16)?.as_slice()) {
            (b"load", b"(*iii*)i") => flavour = Some(Flavour::Ephemeral),
            (b"load", b"(*ii*)i") => flavour = Some(Flavour::Legacy),
            (b"load_by_name", _) => has_load_by_name = true,
            _ => {}
        }
    }
    flavour.map(|flavour| Exports {
        flavour,
        has_load_by_name,
    })
}

/// The function of this name that the host or its libraries offer to everybody.
pub(crate) fn symbol(name: &CStr) -> Option<*mut c_void> {
    let name: *const c_char = name.as_ptr();
    // SAFETY: a name with its NUL.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name) };
    (!found.is_null()).then_some(found)
}

/// Whether an address lies on the stack of this thread. None where that stack is not known, or is not the one on which
/// this runs, as in hosts that switch stacks themselves: there the test would say nothing.
fn is_on_stack(address: usize) -> Option<bool> {
    let here = 0u8;
    let stack = stack()?;
    let is_ours = stack.contains(&(&raw const here).addr());
    is_ours.then(|| stack.contains(&address))
}

/// The addresses of this thread's stack. Reads a file of the kernel on the main thread: not for every call.
fn stack() -> Option<Range<usize>> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let into = attributes.as_mut_ptr();
    // SAFETY: this thread lives, and the place is ours.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), into) } != 0 {
        return None;
    }
    let (mut start, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes were just filled.
    let outcome = unsafe { libc::pthread_attr_getstack(into, &raw mut start, &raw mut size) };
    // SAFETY: filled, and not used after this.
    unsafe { libc::pthread_attr_destroy(into) };
    (outcome == 0).then(|| start.addr()..start.addr().saturating_add(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locals_are_on_the_stack_and_other_memory_is_not() {
        let check = || {
            let local = 0u64;
            let heap = Box::new(0u64);
            assert_eq!(is_on_stack((&raw const local).addr()), Some(true));
            assert_eq!(is_on_stack((&raw const *heap).addr()), Some(false));
            assert_eq!(is_on_stack((&raw const BEFORE).addr()), Some(false));
            assert_eq!(is_on_stack(0), Some(false));
        };
        check();
        let small = std::thread::Builder::new().stack_size(131_072);
        small.spawn(check).unwrap().join().unwrap();
    }

    #[test]
    fn stack_of_another_thread_is_not_ours() {
        let local = 0u64;
        let at = (&raw const local).addr();
        let seen = std::thread::scope(|scope| scope.spawn(|| is_on_stack(at)).join().unwrap());
        assert_eq!(seen, Some(false));
    }

    /// A table of functions as a host has it.
    fn table(entries: &[(&CStr, &CStr)]) -> Vec<u8> {
        let word = |text: &CStr| text.as_ptr().expose_provenance().to_le_bytes();
        entries
            .iter()
            .flat_map(|(name, signature)| [word(name), [0; 8], word(signature), [0; 8]])
            .flatten()
            .collect()
    }

    #[test]
    fn table_of_functions_shows_the_flavour() {
        let check = |entries: &[(&CStr, &CStr)], expected: Option<(Flavour, bool)>| {
            let bytes = table(entries);
            let found = read_exports(bytes.as_ptr(), entries.len() as u32);
            let expected = expected.map(|(flavour, has_load_by_name)| Exports {
                flavour,
                has_load_by_name,
            });
            assert_eq!(found, expected);
        };
        check(
            &[(c"load", c"(*ii*)i"), (c"compute", c"(i)i")],
            Some((Flavour::Legacy, false)),
        );
        check(
            &[(c"load_by_name", c"(*i*)i"), (c"load", c"(*ii*)i")],
            Some((Flavour::Legacy, true)),
        );
        check(
            &[(c"load", c"(*iii*)i"), (c"load_by_name", c"(*i*)i")],
            Some((Flavour::Ephemeral, true)),
        );
        check(&[(c"load", c"(i)i")], None);
        check(&[], None);
    }

    #[test]
    fn table_that_is_none_says_nothing() {
        assert_eq!(read_exports(std::ptr::null(), 9), None);
        let loose = [0xffu8; EXPORT_BYTES];
        assert_eq!(read_exports(loose.as_ptr(), 1), None);
    }

    #[test]
    fn an_unknown_host_gets_no_outputs_and_hears_of_the_setting() {
        let unknown = evidence::decide(&gather());
        let failure = output_form(unknown).unwrap_err();
        assert!(failure.to_string().contains(ABI), "{failure}");
        for abi in [Abi::A, Abi::B] {
            let known = Verdict {
                output: Some(abi),
                ..unknown
            };
            assert_eq!(output_form(known), Ok(abi));
        }
    }

    #[test]
    fn this_process_is_no_wamr_host() {
        assert_eq!((version(), exports()), (None, None));
        assert!(symbol(c"malloc").is_some());
    }
}
