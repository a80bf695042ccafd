//! What renders messages: a Jinja program, or a format that llama.cpp knows by name.

use jinja::{Limits, Moment};
use serde_json::{Value, json};

use crate::calendar::Utc;
use crate::error::{Error, Result};
use crate::llama::format::Format;

/// ChatML, for models without a template of their own.
pub const CHATML: &str = "{% for message in messages %}\
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Content only, for base models and for hosts that bring their own format.
pub const RAW: &str = "{% for message in messages %}{{ message['content'] }}{% endfor %}";

/// Limits of one rendering. A template comes from a model's file, perhaps a guest's: each bound holds whatever it does.
/// All grow with the conversation.
pub const LIMITS: Limits = Limits {
    // Steps; about a quarter of a second.
    fuel: 20_000_000,
    fuel_per_byte: 32,
    // Bytes held at a time.
    bytes: 64 << 20,
    bytes_per_byte: 16,
    // A machine that is busy may need long for few steps.
    time: std::time::Duration::from_secs(20),
};

/// What renders messages.
pub enum Program {
    /// A Jinja program.
    Jinja(jinja::Template),
    /// A format of llama.cpp.
    Format(Format),
}

impl Program {
    /// The program of a Jinja text. Errors: `Engine` with the line.
    pub fn jinja(source: &str) -> Result<Program> {
        let parsed = jinja::Template::parse(source);
        parsed.map(Program::Jinja).map_err(failed)
    }

    /// Renders `variables`, an object with `messages` among them. Errors: `Engine` with the reason.
    pub fn render(&self, variables: &Value) -> Result<String> {
        match self {
            Program::Jinja(template) => {
                let entries = variables.as_object();
                let variables: Vec<(&str, &Value)> = entries
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| (name.as_str(), value))
                    .collect();
                template.render(&variables, now(), &LIMITS).map_err(failed)
            }
            Program::Format(format) => {
                let empty = Vec::new();
                let messages = variables["messages"].as_array().unwrap_or(&empty);
                let text = |message: &'_ Value, key: &str| {
                    message[key].as_str().unwrap_or_default().to_owned()
                };
                let owned: Vec<[String; 2]> = messages
                    .iter()
                    .map(|m| [text(m, "role"), text(m, "content")])
                    .collect();
                let messages: Vec<[&str; 2]> = owned
                    .iter()
                    .map(|[role, content]| [role.as_str(), content.as_str()])
                    .collect();
                let opens = variables["add_generation_prompt"] != json!(false);
                format.render(&messages, opens)
            }
        }
    }
}

fn failed(error: jinja::Error) -> Error {
    Error::Engine(format!("chat template: {error}"))
}

fn now() -> Moment {
    let now = Utc::now();
    let part = |value: u64| u32::try_from(value).unwrap_or(0);
    Moment {
        year: i32::try_from(now.year).unwrap_or(i32::MAX),
        month: part(now.month),
        day: part(now.day),
        hour: part(now.second / 3600),
        minute: part(now.second / 60 % 60),
        second: part(now.second % 60),
    }
}
