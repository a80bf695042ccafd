//! A busy neighbour: this program once more, doing nothing with as many threads as wanted. Knows no measurements.

use std::env;
use std::hint;
use std::io::{Read, stdin};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::error::{Error, Result};

/// A running neighbour; dropping it ends it.
pub struct Spinner(Child);

impl Spinner {
    /// Starts one with `threads` busy threads.
    pub fn start(threads: usize) -> Result<Spinner> {
        let failed = |error: std::io::Error| Error::Setup(format!("busy process: {error}"));
        let child = Command::new(env::current_exe().map_err(failed)?)
            .args(["--spin", &threads.to_string()])
            .stdin(Stdio::piped())
            .spawn();
        child.map(Spinner).map_err(failed)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        // Both fail only where the process is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the neighbour does: busy until its parent closes the pipe, also by ending in whatever way.
pub fn spin(threads: usize) {
    for _ in 0..threads {
        thread::spawn(|| {
            loop {
                hint::black_box(());
            }
        });
    }
    // An error ends it as the end does.
    let _ = stdin().read_to_end(&mut Vec::new());
}
