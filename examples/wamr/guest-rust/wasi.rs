//! The four functions of `wasi_snapshot_preview1` that a program needs to read its arguments and to print.

/// Where answers go.
pub const STDOUT: u32 = 1;
/// Where everything else goes.
pub const STDERR: u32 = 2;

const MAX_ARGUMENTS: usize = 64;
const MAX_BYTES: usize = 64 * 1024;

#[repr(C)]
struct Slice {
    at: *const u8,
    size: u32,
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
extern "C" {
    fn args_sizes_get(count: *mut u32, bytes: *mut u32) -> u32;
    fn args_get(places: *mut u32, bytes: *mut u8) -> u32;
    fn fd_write(fd: u32, slices: *const Slice, count: u32, written: *mut u32) -> u32;
    fn proc_exit(status: u32) -> !;
}

/// Room for the arguments of the program.
pub struct Arguments {
    bytes: [u8; MAX_BYTES],
    places: [u32; MAX_ARGUMENTS],
}

impl Arguments {
    /// Before they are read.
    pub const EMPTY: Arguments = Arguments {
        bytes: [0; MAX_BYTES],
        places: [0; MAX_ARGUMENTS],
    };

    /// The arguments, the program's name first. None if there are more than there is room for.
    pub fn read(&mut self) -> Option<impl Iterator<Item = &[u8]>> {
        let (mut count, mut size) = (0, 0);
        // SAFETY: the host writes four bytes to each.
        let number = unsafe { args_sizes_get(&mut count, &mut size) };
        if number != 0 || count as usize > MAX_ARGUMENTS || size as usize > MAX_BYTES {
            return None;
        }
        // SAFETY: the host writes `count` places and `size` bytes, for which there is room.
        let number = unsafe { args_get(self.places.as_mut_ptr(), self.bytes.as_mut_ptr()) };
        // Each argument ends with a NUL, so that the bytes alone say where they are.
        let texts = self.bytes[..size as usize].split(|byte| *byte == 0);
        (number == 0).then(|| texts.take(count as usize))
    }
}

/// Writes all of `text`; a closed output ends the program.
pub fn print(fd: u32, mut text: &[u8]) {
    while !text.is_empty() {
        let slice = Slice {
            at: text.as_ptr(),
            size: text.len() as u32,
        };
        let mut written = 0;
        // SAFETY: `slice` names `text`, which outlives the call; the host writes four bytes to `written`.
        let number = unsafe { fd_write(fd, &slice, 1, &mut written) };
        match text.get(written as usize..) {
            Some(rest) if number == 0 && written > 0 => text = rest,
            _ => exit(1),
        }
    }
}

/// Ends the program.
pub fn exit(status: u32) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { proc_exit(status) }
}
