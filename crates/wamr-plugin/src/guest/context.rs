//! An execution context as a guest holds it: a prompt, a configuration, and the turn that answers it.
//!
//! One caller at a time is inside; who comes meanwhile is told that it is busy. Closing is the exception: it cancels.

use std::io::Write;
use std::sync::Arc;

use engine::{Backend, Completion, Prompt};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use super::account::{Account, Share};
use super::graph::Graph;
use super::models::Model;
use super::settings::Settings;
use super::source::Source;
use super::{NAMES, asked, images, metadata};
use crate::failure::Failure;

/// An open context.
pub struct Context {
    /// Its seat in the engine; for those who cancel what the caller inside is doing.
    seat: Mutex<Arc<Seat>>,
    state: Mutex<State>,
    /// On whose account its turns run.
    client: String,
    /// The instance that made it.
    maker: u32,
}

/// A context of the engine, closed with its last holder.
struct Seat {
    model: Arc<Model>,
    number: u32,
}

struct State {
    /// Where its model comes from. Not its graph: that would keep the first model after a move to another.
    source: Source,
    settings: Settings,
    prompt: Option<Arc<str>>,
    /// What prompt and text take of the instance's account.
    room: Share,
    /// What the images of the running turn take of it.
    pictures: Option<Share>,
    turn: Turn,
    /// The text of the last turn that has ended, or the embedding.
    text: Arc<str>,
    /// The last piece of a streamed turn.
    piece: Arc<str>,
    /// What the engine told of that turn.
    told: Value,
}

/// A turn that is being streamed.
enum Turn {
    None,
    Running(Box<Completion>),
    /// Its end was told, and is told again until a new one is asked for.
    Ended,
}

impl Context {
    /// Opens one on `graph` for the instance `maker`. Errors: `Busy` where there are too many.
    pub fn open(graph: &Graph, maker: u32) -> Result<Context, Failure> {
        let client = format!("guest {maker}");
        let settings = graph.settings.clone();
        let seat = Seat::take(graph.model.clone(), &settings, &client)?;
        Ok(Context {
            seat: Mutex::new(Arc::new(seat)),
            state: Mutex::new(State {
                source: graph.source.clone(),
                settings,
                prompt: None,
                room: Account::of_texts(maker).share(),
                pictures: None,
                turn: Turn::None,
                text: "".into(),
                piece: "".into(),
                told: json!({}),
            }),
            client,
            maker,
        })
    }

    /// Keeps the prompt of the next turn. Errors: `Busy` where the texts of the instance take too much.
    pub fn set_prompt(&self, text: String) -> Result<(), Failure> {
        let mut state = self.enter()?;
        state.leave();
        let bytes = text.len() + state.text.len();
        if !state.room.try_set(bytes as u64) {
            return Err(too_many_texts());
        }
        state.prompt = Some(text.into());
        // What is told from now on is of this prompt.
        state.told = json!({});
        Ok(())
    }

    /// Lays a configuration over that of the context; what it says of the model gives the context another one. Errors:
    /// those of the configuration and of a load; then nothing has changed.
    pub fn set_metadata(&self, json: &[u8]) -> Result<(), Failure> {
        let mut state = self.enter()?;
        let settings = state.settings.with(json, &NAMES, &state.source)?;
        let seat = self.seat();
        if settings.has_model_of(&state.settings) {
            seat.apply(&settings)?;
        } else {
            let model = Model::get(self.maker, &state.source, &settings)?;
            let seat = Seat::take(model, &settings, &self.client)?;
            state.leave();
            state.forget_count();
            *self.seat.lock() = Arc::new(seat);
        }
        let options = &settings.options;
        let backend = &seat.model.backend;
        asked::ask(backend, options.enable_log, options.enable_debug_log);
        state.settings = settings;
        Ok(())
    }

    /// Runs the prompt's turn to its end.
    pub fn compute(&self) -> Result<(), Failure> {
        let mut state = self.enter()?;
        let seat = self.seat();
        state.leave();
        if state.settings.options.embedding {
            return state.embed(&seat);
        }
        let echo = state.settings.options.stream_stdout;
        let mut turn = state.start(self.maker, &seat, echo)?;
        let result = loop {
            match turn.next_piece() {
                Ok(Some(piece)) if echo => print(&piece),
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(Failure::from(error)),
            }
        };
        state.keep(&turn);
        match turn.is_context_full() {
            true => Err(context_full()),
            false => result,
        }
    }

    /// Makes the next piece of the prompt's turn, which the first call starts.
    pub fn compute_single(&self) -> Result<(), Failure> {
        let mut state = self.enter()?;
        let seat = self.seat();
        if state.settings.options.embedding {
            return Err(Failure::Unsupported(
                "an embedding comes whole: use compute".into(),
            ));
        }
        let mut turn = match std::mem::replace(&mut state.turn, Turn::None) {
            Turn::None => Box::new(state.start(self.maker, &seat, true)?),
            Turn::Running(turn) => turn,
            Turn::Ended => {
                state.turn = Turn::Ended;
                return Err(Failure::EndOfSequence);
            }
        };
        match turn.next_piece() {
            Ok(Some(piece)) => {
                state.piece = piece.into();
                state.turn = Turn::Running(turn);
                Ok(())
            }
            Ok(None) => {
                state.end(&turn);
                Err(match turn.is_context_full() {
                    true => context_full(),
                    false => Failure::EndOfSequence,
                })
            }
            Err(error) => {
                state.end(&turn);
                Err(error.into())
            }
        }
    }

    /// 0: the text so far, or the embedding; 1: the metadata.
    pub fn output(&self, index: u32) -> Result<Arc<str>, Failure> {
        let mut state = self.enter()?;
        match (index, &state.turn) {
            (0, Turn::Running(turn)) => Ok(turn.text().into()),
            (1, _) => Ok(state.document(&self.seat())),
            _ => state.output(index, &state.text),
        }
    }

    /// 0: the last piece; 1: the metadata.
    pub fn output_single(&self, index: u32) -> Result<Arc<str>, Failure> {
        let mut state = self.enter()?;
        match index {
            1 => Ok(state.document(&self.seat())),
            _ => state.output(index, &state.piece),
        }
    }

    /// Ends the turn that is being streamed.
    pub fn finish_single(&self) -> Result<(), Failure> {
        let mut state = self.enter()?;
        state.leave();
        Ok(())
    }

    /// Cancels what runs; the caller inside, if there is one, hears of it.
    pub fn close(&self) {
        let seat = self.seat();
        // It is closed for good when its last holder goes; a context that is closed already has nothing to cancel.
        drop(seat.model.backend.close_context(seat.number));
    }

    fn enter(&self) -> Result<MutexGuard<'_, State>, Failure> {
        let busy = || Failure::Busy("another thread is inside this execution context".into());
        self.state.try_lock().ok_or_else(busy)
    }

    fn seat(&self) -> Arc<Seat> {
        self.seat.lock().clone()
    }
}

impl Seat {
    fn take(model: Arc<Model>, settings: &Settings, client: &str) -> Result<Seat, Failure> {
        let backend = &model.backend;
        let number = backend.open_context(model.graph)?.0;
        let seat = Seat { model, number };
        seat.model.backend.set_client(number, client.as_bytes())?;
        seat.apply(settings)?;
        Ok(seat)
    }

    /// What holds for a context and cannot be said by a call.
    fn apply(&self, settings: &Settings) -> Result<(), Failure> {
        let options = &settings.options;
        let backend: &Backend = &self.model.backend;
        backend.set_memory(self.number, |memory| {
            memory.overflow = Some(match options.context_shift {
                true => engine::Overflow::Shift,
                false => engine::Overflow::Error,
            });
            // More than half of the context is never kept.
            memory.keep = Some(options.n_keep);
        })?;
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // It may be closed already: by `close`, or with its backend.
        drop(self.model.backend.close_context(self.number));
    }
}

impl State {
    /// `maker`: the instance that the images count for.
    fn start(&mut self, maker: u32, seat: &Seat, in_pieces: bool) -> Result<Completion, Failure> {
        let text = self.prompt()?;
        self.set_text("".into());
        self.piece = "".into();
        self.told = json!({});
        if self.room.is_overdrawn() {
            return Err(too_many_texts());
        }
        let room = Account::of_texts(maker).share();
        let placed = images::place(text, &self.settings.options, &NAMES, room)?;
        let prompt = Prompt {
            text: placed.text,
            images: placed.images,
            config: Some(self.settings.call.clone()),
            in_pieces,
        };
        let turn = seat.model.backend.complete(seat.number, prompt)?;
        self.pictures = placed.room;
        Ok(turn)
    }

    fn embed(&mut self, seat: &Seat) -> Result<(), Failure> {
        let text = self.prompt()?;
        let options = &self.settings.options;
        if !options.image.is_empty() {
            let text = "image: what is embedded is text";
            return Err(Failure::Unsupported(text.into()));
        }
        let backend = &seat.model.backend;
        let made = backend.embed(seat.number, text.to_string(), options.embd_normalize)?;
        let text = match options.reranking {
            true => metadata::score(&made.values),
            false => metadata::embedding(&made.values),
        };
        self.set_text(text.into());
        self.told = json!({"prompt_tokens": made.tokens});
        Ok(())
    }

    fn prompt(&self) -> Result<Arc<str>, Failure> {
        let none = || Failure::InvalidArgument("no prompt: call set_input first".into());
        self.prompt.clone().ok_or_else(none)
    }

    /// Ends a turn that is being streamed; what came of it stays.
    fn leave(&mut self) {
        if let Turn::Running(turn) = std::mem::replace(&mut self.turn, Turn::None) {
            self.keep(&turn);
        }
    }

    fn end(&mut self, turn: &Completion) {
        self.keep(turn);
        self.turn = Turn::Ended;
    }

    fn keep(&mut self, turn: &Completion) {
        self.set_text(turn.text().into());
        self.told = turn.metadata();
        self.pictures = None;
    }

    fn set_text(&mut self, text: Arc<str>) {
        let prompt = self.prompt.as_ref().map_or(0, |prompt| prompt.len());
        self.room.set((prompt + text.len()) as u64);
        self.text = text;
    }

    /// The metadata. Guests ask for the tokens of a prompt before they compute, so those are counted where no turn has
    /// told of them.
    fn document(&mut self, seat: &Seat) -> Arc<str> {
        let with_times = !self.settings.options.no_perf;
        if let Turn::Running(turn) = &self.turn {
            return metadata::document(&turn.metadata(), with_times).into();
        }
        let is_told = self.told.get("prompt_tokens").is_some();
        if let Some(prompt) = self.prompt.as_ref().filter(|_| !is_told) {
            let options = &self.settings.options;
            // Images are not text: what they come to is known when they are looked at.
            let counted = match images::has_images(prompt, options) {
                true => None,
                false => {
                    let backend = &seat.model.backend;
                    let count = backend.count_prompt(seat.number, prompt, options.embedding);
                    count.ok()
                }
            };
            if let Some(count) = counted {
                self.told = json!({"prompt_tokens": count});
            }
        }
        metadata::document(&self.told, with_times).into()
    }

    /// Another model counts other tokens. What a turn has told stays.
    fn forget_count(&mut self) {
        if self.told.get("completion_tokens").is_none() {
            self.told = json!({});
        }
    }

    fn output(&self, index: u32, text: &Arc<str>) -> Result<Arc<str>, Failure> {
        match index {
            0 => Ok(text.clone()),
            _ => Err(Failure::InvalidArgument(format!(
                "output index is {index}, must be 0 (text) or 1 (metadata)"
            ))),
        }
    }
}

fn too_many_texts() -> Failure {
    Failure::Busy("prompts and answers of the instance take all the memory that they may".into())
}

fn context_full() -> Failure {
    Failure::ContextFull("the context is full; the text so far can be read".into())
}

/// The one place that writes to the guest's standard output, where its configuration asks for it.
fn print(piece: &str) {
    let mut out = std::io::stdout().lock();
    // A guest whose output is closed still gets its text by `get_output`.
    let _ = out.write_all(piece.as_bytes()).and_then(|()| out.flush());
}
