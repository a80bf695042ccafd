//! What a host may do for its guests, as data that random bytes are read into.
//!
//! Small numbers pick from short lists, so that most bytes mean something. Knows neither handles nor memory.

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};

/// Calls of a sequence, both threads together.
const MOST_CALLS: usize = 40;

/// Configs and metadata. Turns are short, since a sequence has many.
const CONFIGS: [&str; 20] = [
    r#"{"ctx-size":64,"n-predict":6}"#,
    r#"{"ctx-size":64,"n-predict":6,"seed":7}"#,
    r#"{"n-predict":12,"temp":0}"#,
    r#"{"ctx-size":64,"n-predict":5,"reverse-prompt":["a","e"],"stop":["i"]}"#,
    r#"{"ctx-size":64,"ignore-eos":true,"max-time-ms":100}"#,
    r#"{"ctx-size":64,"n-predict":4,"grammar":"root ::= \"yes\" | \"no\""}"#,
    r#"{"ctx-size":64,"n-predict":9,"json-schema":{"type":"boolean"}}"#,
    r#"{"n-predict":3,"temp":1.5,"top-k":3,"n-probs":2}"#,
    r#"{"ctx-size":64,"embedding":true}"#,
    r#"{"ctx_size":96,"n_predict":3,"hf-repo":"x","priority":"high"}"#,
    r#"{"n-predict":0}"#,
    r#"{"embedding":false}"#,
    r#"{"grammar":"root ::= ("}"#,
    r#"{"n-predict":"many"}"#,
    r#"{"ctx-size":-5}"#,
    r#"{"tts":true}"#,
    r#"{"image":"x.png"}"#,
    "[]",
    "{",
    "",
];

/// A sequence of calls, perhaps with a second thread beside it, or one that rewrites the memory of the first.
#[derive(Debug)]
pub struct Plan {
    /// Begin with an instance, a graph and a context.
    pub is_ready: bool,
    pub has_second_thread: bool,
    pub has_rewriter: bool,
    pub first: Vec<Call>,
    pub second: Vec<Call>,
}

impl<'a> Arbitrary<'a> for Plan {
    /// As many calls as the bytes are enough for: a list of the crate's own kind would rarely be long.
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Plan> {
        let manner = u8::arbitrary(bytes)?;
        let mut plan = Plan {
            is_ready: manner % 8 != 7,
            has_second_thread: manner >= 0xC0,
            has_rewriter: (0xA0..0xD0).contains(&manner),
            first: Vec::new(),
            second: Vec::new(),
        };
        while !bytes.is_empty() && plan.first.len() + plan.second.len() < MOST_CALLS {
            let is_second = plan.has_second_thread && bool::arbitrary(bytes)?;
            let call = Call::arbitrary(bytes)?;
            match is_second {
                true => plan.second.push(call),
                false => plan.first.push(call),
            }
        }
        Ok(plan)
    }
}

/// A short text.
#[derive(Debug)]
pub struct Text(pub Vec<u8>);

impl<'a> Arbitrary<'a> for Text {
    /// Mostly printable.
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Text> {
        let manner = u8::arbitrary(bytes)?;
        let len = usize::from(manner % 64).min(bytes.len());
        let mut text = bytes.bytes(len)?.to_vec();
        if manner < 0xC0 {
            let printable = |byte: &mut u8| *byte = b' ' + *byte % 95;
            text.iter_mut().for_each(printable);
        }
        Ok(Text(text))
    }
}

/// One call. `ctx`, `context` and `graph` pick a handle; `place` an address. What ends the use of everything else
/// happens in one of four cases only, by `will`.
#[derive(Arbitrary, Debug)]
pub enum Call {
    Init {
        place: u8,
    },
    Deinit {
        ctx: u8,
        will: u8,
    },
    LoadBytes {
        ctx: u8,
        bytes: Bytes,
        hints: u8,
        config: Config,
        place: u8,
    },
    LoadByName {
        ctx: u8,
        name: Name,
        config: Option<Config>,
        /// The place is the fifth argument, as in hosts to come.
        is_late: bool,
        place: u8,
    },
    Open {
        ctx: u8,
        graph: u8,
        place: u8,
    },
    SetPrompt {
        ctx: u8,
        context: u8,
        index: u32,
        text: Text,
        shape: Shape,
    },
    SetMetadata {
        ctx: u8,
        context: u8,
        config: Config,
        shape: Shape,
    },
    Compute {
        ctx: u8,
        context: u8,
    },
    GetOutput {
        ctx: u8,
        context: u8,
        index: u8,
        output: Output,
    },
    Single {
        context: u8,
        times: u8,
    },
    GetSingle {
        context: u8,
        index: u8,
        output: Output,
    },
    FinishSingle {
        context: u8,
    },
    Unload {
        graph: u8,
        will: u8,
    },
    Finalize {
        context: u8,
        will: u8,
    },
    AskForTable {
        module: u8,
        symbols: u8,
    },
}

/// A model in memory, with bytes that are wrong and a size that lies.
#[derive(Arbitrary, Debug)]
pub struct Bytes {
    pub parts: u8,
    /// 0 to 3 is the whole model, else the start of it.
    pub cut: u8,
    /// A byte of the model's head, and what it becomes.
    pub spoilt: Option<(u16, u8)>,
    pub places: [u8; 3],
}

/// A config, mostly one of a list.
#[derive(Arbitrary, Debug)]
pub struct Config {
    pub pick: u8,
    pub own: Text,
    pub lie: u8,
    pub place: u8,
}

impl Config {
    /// Its text.
    pub fn text(&self) -> &[u8] {
        match usize::from(self.pick % 32) {
            pick if pick < CONFIGS.len() => CONFIGS[pick].as_bytes(),
            31 => &self.own.0,
            // Those that work come oftener.
            pick => CONFIGS[pick % 8].as_bytes(),
        }
    }
}

/// A name of a model.
#[derive(Arbitrary, Debug)]
pub struct Name {
    pub pick: u8,
    pub lie: u8,
    pub place: u8,
}

/// How a tensor tells its length, and where its parts lie.
#[derive(Arbitrary, Debug)]
pub struct Shape {
    pub manner: u8,
    pub kind: u32,
    pub lie: u8,
    /// Of the tensor, the dimensions, their numbers, the data.
    pub places: [u8; 4],
}

/// Where output goes.
#[derive(Arbitrary, Debug)]
pub struct Output {
    pub capacity: u8,
    pub noise: u32,
    /// Of the buffer, the size, the struct.
    pub places: [u8; 3],
}

/// A length that is mostly the true one. The second value is whether it is.
pub fn lie(pick: u8, len: usize) -> (u32, bool) {
    let len = len as u32;
    match pick % 32 {
        28 => (len + 1, false),
        29 => (len + 70_000, false),
        30 => (u32::MAX, false),
        31 => (len.saturating_sub(1), len == 0),
        _ => (len, true),
    }
}

/// A capacity: few bytes, many, none.
pub fn capacity(pick: u8) -> u32 {
    match pick % 8 {
        0 => 0,
        1 => u32::from(pick >> 3),
        2..=6 => 2048,
        _ => 16_000,
    }
}
