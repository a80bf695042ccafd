//! llama-server as a side: a child process and its streaming completions over HTTP. Knows no measurements.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::{Agent, Body};

use crate::engine::{Engine, OnPiece, Request, Turn};
use crate::error::{Error, Result};

/// How long a server may take to load its model.
const START_LIMIT: Duration = Duration::from_secs(300);

/// A running llama-server; dropping it kills it.
pub struct Server {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Server {
    /// Starts `command` on a free port, its output going to `log`, and waits until it serves. Then a turn of a few
    /// tokens is run, as on the other side.
    pub fn start(mut command: Command, log: PathBuf) -> Result<Server> {
        let port = free_port()?;
        let output = File::options().create(true).append(true).open(&log);
        let output = output.and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = output.map_err(|error| failed(&format!("log file: {error}")))?;
        let child = command
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| failed(&format!("cannot be started: {error}")))?;
        let mut server = Server {
            child,
            url: format!("http://127.0.0.1:{port}"),
            log,
        };
        server.wait()?;
        server.run(Request {
            prompt: "warm",
            tokens: 4,
        })?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT {
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = self.log.display();
                return Err(failed(&format!("ended at once ({status}), see {log}")));
            }
            if agent().get(format!("{}/health", self.url)).call().is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(failed("did not become healthy"))
    }

    fn post(&self, request: Request<'_>, stream: bool) -> Result<Body> {
        let body = json!({
            "prompt": request.prompt,
            "n_predict": request.tokens,
            "temperature": 0,
            "ignore_eos": true,
            "cache_prompt": false,
            "stream": stream,
        });
        let answer = agent()
            .post(format!("{}/completion", self.url))
            .content_type("application/json")
            .send(body.to_string());
        answer
            .map(ureq::http::Response::into_body)
            .map_err(|error| failed(&error.to_string()))
    }
}

impl Engine for Server {
    fn run(&self, request: Request<'_>) -> Result<Turn> {
        let answer = self.post(request, false)?.read_to_string();
        let answer = answer.map_err(|error| failed(&error.to_string()))?;
        counts(&event(&answer)?)
    }

    fn stream(&self, request: Request<'_>, on_piece: OnPiece<'_>) -> Result<Turn> {
        let answer = BufReader::new(self.post(request, true)?.into_reader());
        let mut pieces = 0;
        for line in answer.lines() {
            let line = line.map_err(|error| failed(&error.to_string()))?;
            let Some(text) = line.strip_prefix("data: ") else {
                continue;
            };
            let event = event(text)?;
            if event["stop"] == Value::Bool(true) {
                return counts(&event);
            }
            if event["content"].as_str().is_some_and(str::is_empty) {
                continue;
            }
            pieces += 1;
            if let ControlFlow::Break(()) = on_piece() {
                // The connection closes with the reader, and the server ends the turn.
                return Ok(Turn {
                    prompt_tokens: 0,
                    completion_tokens: pieces,
                });
            }
        }
        Err(failed("ended an answer without its last event"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection of its own for each turn, as separate clients have.
fn agent() -> Agent {
    Agent::new_with_defaults()
}

fn event(text: &str) -> Result<Value> {
    let event: Value =
        serde_json::from_str(text).map_err(|error| failed(&format!("wrote no JSON: {error}")))?;
    match event.get("error") {
        Some(error) => Err(failed(&error.to_string())),
        None => Ok(event),
    }
}

fn counts(event: &Value) -> Result<Turn> {
    let count = |key: &str| event[key].as_u64();
    match (count("tokens_evaluated"), count("tokens_predicted")) {
        (Some(prompt_tokens), Some(completion_tokens)) => Ok(Turn {
            prompt_tokens,
            completion_tokens,
        }),
        _ => Err(failed("answered without token counts")),
    }
}

fn free_port() -> Result<u16> {
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    port.map(|address| address.port())
        .map_err(|error| failed(&format!("no free port: {error}")))
}

fn failed(why: &str) -> Error {
    Error::Peer(format!("llama-server: {why}"))
}
