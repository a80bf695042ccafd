//! A conversation as clients send it, in JSON, through a template: any role, tools, calls, and options by name.

use serde_json::{Map, Value, json};

use super::Template;
use crate::error::{Error, Result};

/// Names that options may not set: they have arguments of their own, or belong to the model.
const OWN: [&str; 5] = [
    "messages",
    "tools",
    "bos_token",
    "eos_token",
    "raise_exception",
];

/// What is rendered.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// Objects with `role`, `content` and whatever else the template reads.
    pub messages: Vec<Value>,
    /// Tools, or null.
    pub tools: Value,
    /// Variables of the template: `add_generation_prompt`, `enable_thinking`, `tool_choice` and others.
    pub options: Map<String, Value>,
}

impl Document {
    /// Reads the JSON texts of messages, tools and options. Blank texts of the last two are absent.
    ///
    /// Errors: `InvalidArgument` for a text that is not the JSON that it should be.
    pub fn read(messages: &str, tools: &str, options: &str) -> Result<Document> {
        let wrong = |what: &str, reason: &str| {
            Error::InvalidArgument(format!("{what} of the conversation: {reason}"))
        };
        let parsed = |what: &str, text: &str| -> Result<Value> {
            serde_json::from_str(text).map_err(|e| wrong(what, &e.to_string()))
        };
        let Value::Array(messages) = parsed("the messages", messages)? else {
            return Err(wrong("the messages", "a JSON array is expected"));
        };
        for message in &messages {
            let Some(message) = message.as_object() else {
                return Err(wrong("the messages", "each must be a JSON object"));
            };
            if !message.get("role").is_some_and(Value::is_string) {
                return Err(wrong("the messages", "each must have a role, a text"));
            }
            let content = message.get("content").unwrap_or(&Value::Null);
            if !(content.is_null() || content.is_string() || content.is_array()) {
                return Err(wrong(
                    "the messages",
                    "content is a text, a list of parts, or null",
                ));
            }
        }
        let tools = match tools.trim().is_empty() {
            true => Value::Null,
            false => parsed("the tools", tools)?,
        };
        if !(tools.is_null() || tools.is_array()) {
            return Err(wrong("the tools", "a JSON array is expected"));
        }
        let mut options = match options.trim().is_empty() {
            true => Map::new(),
            false => match parsed("the options", options)? {
                Value::Object(options) => options,
                _ => return Err(wrong("the options", "a JSON object is expected")),
            },
        };
        match options.shift_remove("chat_template_kwargs") {
            None | Some(Value::Null) => {}
            Some(Value::Object(more)) => options.extend(more),
            Some(_) => {
                return Err(wrong(
                    "the options",
                    "chat_template_kwargs must be a JSON object",
                ));
            }
        }
        if let Some(own) = OWN.iter().find(|own| options.contains_key(**own)) {
            return Err(wrong("the options", &format!("'{own}' cannot be set here")));
        }
        if !options
            .get("add_generation_prompt")
            .is_none_or(Value::is_boolean)
        {
            return Err(wrong(
                "the options",
                "add_generation_prompt is true or false",
            ));
        }
        Ok(Document {
            messages,
            tools,
            options,
        })
    }
}

impl Template {
    /// The prompt of a conversation as clients send it. Nothing of it is marked as content: it is what a raw prompt would
    /// be.
    ///
    /// Errors: `Engine` with the template's own reason when it refuses the conversation.
    pub fn apply(&self, document: &Document) -> Result<String> {
        let mut messages = document.messages.clone();
        for message in &mut messages {
            self.suit(message);
        }
        if self.traits.joins_system {
            join_system(&mut messages);
        }
        let given = self.rendered(document, &messages);
        if given.is_ok() || !messages.iter().any(is_without_content) {
            return given;
        }
        // Templates that put texts together fail on a content that is null or absent, as calls of tools have it.
        for message in messages.iter_mut().filter(|m| is_without_content(m)) {
            message["content"] = json!("");
        }
        self.rendered(document, &messages).or(given)
    }

    fn rendered(&self, document: &Document, messages: &[Value]) -> Result<String> {
        let mut variables = self.variables();
        variables.insert("add_generation_prompt".into(), true.into());
        for (name, value) in &document.options {
            variables.insert(name.clone(), value.clone());
        }
        variables.insert("tools".into(), document.tools.clone());
        variables.insert("messages".into(), messages.into());
        self.program.render(&Value::Object(variables))
    }

    /// Whether a content that is a list of parts comes out as its text.
    pub(super) fn reads_parts(&self, text: &str) -> bool {
        let document = Document {
            messages: vec![json!({"role": "user", "content": [{"type": "text", "text": text}]})],
            ..Document::default()
        };
        let rendered = self.rendered(&document, &document.messages);
        rendered.is_ok_and(|prompt| prompt.contains(text) && !prompt.contains("'type'"))
    }

    /// Brings a content into the shape that the template reads.
    fn suit(&self, message: &mut Value) {
        let Some(content) = message.get_mut("content") else {
            return;
        };
        match content {
            Value::Array(parts) if !self.traits.reads_parts => {
                let texts: Vec<&str> = parts
                    .iter()
                    .filter_map(|part| part.get("text").unwrap_or(part).as_str())
                    .collect();
                *content = texts.join("\n").into();
            }
            Value::String(text) if self.traits.wants_parts => {
                *content = json!([{"type": "text", "text": text}]);
            }
            _ => {}
        }
    }
}

fn is_without_content(message: &Value) -> bool {
    message["content"].is_null()
}

/// Puts a first system message before the user message behind it.
fn join_system(messages: &mut Vec<Value>) {
    let role = |message: &Value| message["role"].as_str().unwrap_or_default().to_owned();
    let [first, second, ..] = messages.as_slice() else {
        return;
    };
    if role(first) != "system" || role(second) != "user" {
        return;
    }
    if let (Some(system), Some(user)) = (first["content"].as_str(), second["content"].as_str()) {
        messages[1]["content"] = format!("{system}\n\n{user}").into();
        messages.remove(0);
    }
}
