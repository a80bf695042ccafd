//! The programs of llama.cpp beside which the library is measured: where they are and how they are started.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::server::Server;

/// The programs that were found, and what all of them are given.
pub struct Peers {
    server: Option<PathBuf>,
    batched_bench: Option<PathBuf>,
    model: PathBuf,
    threads: usize,
    logs: PathBuf,
}

/// Layout of the KV cache of llama-batched-bench.
#[derive(Debug, Clone, Copy)]
pub enum Layout {
    /// One pool for all sequences.
    Unified,
    /// An equal part for each.
    Split,
}

/// What llama-batched-bench is to compute.
#[derive(Debug, Clone, Copy)]
pub struct Batched {
    /// Sequences at once.
    pub streams: usize,
    /// Tokens of each prompt.
    pub prompt: u32,
    /// Tokens generated for each.
    pub tokens: u32,
    /// Cells of the whole cache.
    pub cells: usize,
    /// How these are shared.
    pub layout: Layout,
}

impl Peers {
    /// Looks for the programs in `folder`.
    pub fn find(folder: Option<&Path>, model: &Path, threads: usize, logs: &Path) -> Peers {
        let program = |name: &str| {
            let path = folder?.join(name);
            path.is_file().then_some(path)
        };
        Peers {
            server: program("llama-server"),
            batched_bench: program("llama-batched-bench"),
            model: model.to_owned(),
            threads,
            logs: logs.to_owned(),
        }
    }

    /// Whether there is a llama-server.
    pub fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// Whether there is a llama-batched-bench.
    pub fn has_batched_bench(&self) -> bool {
        self.batched_bench.is_some()
    }

    /// Starts llama-server with `cells` in its cache, in `slots` equal parts or, without a number, as it likes best.
    pub fn server(&self, cells: usize, slots: Option<usize>) -> Result<Server> {
        let mut command = self.command(self.server.as_deref(), "llama-server")?;
        command.args(["-c", &cells.to_string()]);
        if let Some(slots) = slots {
            command.args(["-np", &slots.to_string()]);
        }
        Server::start(command, self.logs.join("llama-server.log"))
    }

    /// Generated tokens per second of llama-batched-bench, the time for the prompts included.
    pub fn batched_bench(&self, shape: &Batched) -> Result<f64> {
        let failed = |why: &str| Error::Peer(format!("llama-batched-bench: {why}"));
        let mut command = self.command(self.batched_bench.as_deref(), "llama-batched-bench")?;
        command.args(["-npp", &shape.prompt.to_string()]);
        command.args(["-ntg", &shape.tokens.to_string()]);
        command.args(["-npl", &shape.streams.to_string()]);
        command.args(["-c", &shape.cells.to_string()]);
        command.args(["--output-format", "jsonl"]);
        command.arg(match shape.layout {
            Layout::Unified => "--kv-unified",
            Layout::Split => "--no-kv-unified",
        });
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(&error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| {
            let line = &line[line.find('{')?..];
            serde_json::from_str::<Value>(line).ok()
        });
        let seconds = line.and_then(|line| Some(line["t_pp"].as_f64()? + line["t_tg"].as_f64()?));
        match seconds {
            Some(seconds) if seconds > 0.0 => {
                Ok(f64::from(shape.tokens) * shape.streams as f64 / seconds)
            }
            _ => Err(failed(&format!(
                "printed no times ({}): {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
                    .lines()
                    .last()
                    .unwrap_or_default()
            ))),
        }
    }

    /// What is known of the programs.
    pub fn to_json(&self) -> Value {
        let version = self.server.as_ref().and_then(|program| {
            let output = Command::new(program).arg("--version").output().ok()?;
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            let line = text.lines().find(|line| line.contains("version"))?;
            Some(line.trim().to_owned())
        });
        json!({
            "llama-server": self.has_server(),
            "llama-batched-bench": self.has_batched_bench(),
            "version": version,
        })
    }

    fn command(&self, program: Option<&Path>, name: &str) -> Result<Command> {
        let Some(program) = program else {
            return Err(Error::Peer(format!("{name}: not found")));
        };
        let mut command = Command::new(program);
        command.arg("-m").arg(&self.model);
        command.args(["-t", &self.threads.to_string()]);
        Ok(command)
    }
}
