//! A model's chat template: messages in, text with known borders out.
//!
//! Renders Jinja with the extensions that model templates expect (Python's methods, `raise_exception`,
//! `strftime_now`). The borders between template text and message content matter because only template text may become
//! special tokens: content is rendered as private marks and put back afterwards. Knows no tokens.

use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::{Environment, ErrorKind, Value, context};
use serde::Serialize;
use serde_json::ser::Formatter;

use super::history::{Message, Role};
use crate::calendar::Utc;
use crate::error::{Error, Result};

/// What models without a template of their own get.
const CHATML: &str = "{% for message in messages %}\
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Content only, for base models and for hosts that bring their own format.
const RAW: &str = "{% for message in messages %}{{ message['content'] }}{% endfor %}";

/// Steps that one rendering may take: templates come from model files, and a loop in one must end.
const FUEL: u64 = 20_000_000;

/// Where a template came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `model.chat_template`.
    Configured,
    /// The model's metadata.
    Model,
    /// The model has none that works.
    Fallback,
}

/// The special texts that templates refer to.
#[derive(Debug, Clone, Default)]
pub struct SpecialTexts {
    /// `bos_token`.
    pub bos: String,
    /// `eos_token`.
    pub eos: String,
    /// Every text that would become a control token, for contents whose borders cannot be found.
    pub control: Vec<String>,
}

/// A compiled chat template. Any thread.
pub struct Template {
    env: Environment<'static>,
    special: SpecialTexts,
    origin: Origin,
    /// The template ignores or refuses system messages: their text is put before the first user message.
    joins_system: bool,
}

/// A part of the rendered text, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Text of the template, in which special tokens count.
    Template(String),
    /// Content of a message, in which they do not.
    Content {
        /// Index into the rendered messages.
        message: usize,
        /// The content as the template has it, which may be trimmed.
        text: String,
    },
}

#[derive(Serialize)]
struct View<'a> {
    role: &'a str,
    content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
}

impl Template {
    /// Compiles the first of these that works: `configured` (a template, or the name `chatml` or `raw`), the model's,
    /// ChatML. The second value says why the preferred one was passed over.
    pub fn new(
        configured: Option<&str>,
        model: Option<&str>,
        special: SpecialTexts,
    ) -> Result<(Template, Option<String>)> {
        let mut warning = None;
        let candidates = [(configured, Origin::Configured), (model, Origin::Model)];
        for (source, origin) in candidates {
            let Some(source) = source else { continue };
            match Template::compile(built_in(source), origin, &special) {
                Ok(template) => return Ok((template, warning)),
                Err(error) => warning = Some(format!("chat template passed over: {error}")),
            }
        }
        Template::compile(CHATML, Origin::Fallback, &special).map(|template| (template, warning))
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Renders `messages` and the opening of the next answer, cut at the borders of contents.
    ///
    /// Errors: `Engine` with the template's own reason when it refuses the messages.
    pub fn render(&self, messages: &[Message]) -> Result<Vec<Segment>> {
        let contents: Vec<&str> = messages.iter().map(|m| &*m.content).collect();
        let real = self.text(messages, &contents, true)?;
        let marks = marks(&contents);
        let marked: Vec<&str> = marks.iter().map(String::as_str).collect();
        if let Ok(text) = self.text(messages, &marked, true)
            && let Some(parts) = split(&text, &marks)
        {
            for shape in [|s: &str| s.to_owned(), |s: &str| s.trim().to_owned()] {
                let segments = assemble(&parts, |message| shape(contents[message]));
                if segments.iter().map(Segment::text).collect::<String>() == real {
                    return Ok(segments);
                }
            }
        }
        // The template changes contents in its own way: special tokens in them are broken up instead.
        let broken: Vec<String> = contents.iter().map(|c| self.break_special(c)).collect();
        let broken: Vec<&str> = broken.iter().map(String::as_str).collect();
        Ok(vec![Segment::Template(self.text(messages, &broken, true)?)])
    }

    /// The text of `messages` as the template has it, with the opening of the next answer where `add_generation_prompt`.
    /// Contents stand in it as they are: it serves to compare lengths and to find where texts differ, never to be tokenised
    /// with special tokens.
    ///
    /// Errors: `Engine` with the template's own reason when it refuses the messages.
    pub fn render_prefix(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String> {
        let contents: Vec<&str> = messages.iter().map(|m| &*m.content).collect();
        self.text(messages, &contents, add_generation_prompt)
    }

    fn compile(source: &str, origin: Origin, special: &SpecialTexts) -> Result<Template> {
        let failed = |e: minijinja::Error| Error::Engine(format!("chat template: {e:#}"));
        let mut env = Environment::new();
        env.set_trim_blocks(true);
        env.set_lstrip_blocks(true);
        env.set_fuel(Some(FUEL));
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function(
            "raise_exception",
            |text: String| -> std::result::Result<Value, _> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, text))
            },
        );
        env.add_function("strftime_now", |format: String| strftime_now(&format));
        env.add_filter("tojson", |value: Value| to_json(&value));
        env.add_template_owned("chat", source.to_owned())
            .map_err(failed)?;
        let mut template = Template {
            env,
            special: special.clone(),
            origin,
            joins_system: false,
        };
        let user = Message::new(Role::User, "hello");
        template.text(std::slice::from_ref(&user), &["hello"], true)?;
        let framed = [Message::new(Role::System, "frame"), user];
        template.joins_system = !template
            .text(&framed, &["frame", "hello"], true)
            .is_ok_and(|text| text.contains("frame"));
        Ok(template)
    }

    fn text(
        &self,
        messages: &[Message],
        contents: &[&str],
        add_generation_prompt: bool,
    ) -> Result<String> {
        let mut views: Vec<View<'_>> = messages
            .iter()
            .zip(contents)
            .map(|(m, &content)| View {
                role: m.role.name(),
                content: content.to_owned(),
                reasoning_content: m.reasoning.as_deref(),
            })
            .collect();
        if self.joins_system && views.len() > 1 && messages[0].role == Role::System {
            let system = views.remove(0);
            views[0].content = format!("{}\n\n{}", system.content, views[0].content);
        }
        let template = self
            .env
            .get_template("chat")
            .map_err(|e| Error::Engine(format!("chat template: {e:#}")))?;
        template
            .render(context! {
                messages => views,
                add_generation_prompt,
                bos_token => self.special.bos,
                eos_token => self.special.eos,
            })
            .map_err(|e| Error::Engine(format!("chat template: {e:#}")))
    }

    fn break_special(&self, content: &str) -> String {
        let mut content = content.to_owned();
        for text in &self.special.control {
            let mut chars = text.chars();
            if let Some(first) = chars.next()
                && !chars.as_str().is_empty()
                && content.contains(text.as_str())
            {
                content =
                    content.replace(text.as_str(), &format!("{first}\u{200d}{}", chars.as_str()));
            }
        }
        content
    }
}

impl Segment {
    /// The text itself.
    pub fn text(&self) -> &str {
        match self {
            Segment::Template(text) | Segment::Content { text, .. } => text,
        }
    }
}

fn built_in(name: &str) -> &str {
    match name {
        "chatml" => CHATML,
        "raw" => RAW,
        source => source,
    }
}

/// One private text per content that occurs in none of them.
fn marks(contents: &[&str]) -> Vec<String> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    loop {
        let nonce = NEXT.fetch_add(1, Ordering::Relaxed);
        let open = format!("\u{e000}{nonce:x}.");
        if contents.iter().all(|c| !c.contains(&open)) {
            return (0..contents.len())
                .map(|i| format!("{open}{i}\u{e001}"))
                .collect();
        }
    }
}

/// Cuts `text` at the marks, which must each occur once and in order. Gives the template texts around them.
fn split<'t>(mut text: &'t str, marks: &[String]) -> Option<Vec<&'t str>> {
    let mut parts = Vec::with_capacity(marks.len() + 1);
    for mark in marks {
        let at = text.find(mark.as_str())?;
        parts.push(&text[..at]);
        text = &text[at + mark.len()..];
    }
    parts.push(text);
    let clean = parts.iter().all(|part| !part.contains('\u{e000}'));
    clean.then_some(parts)
}

fn assemble(parts: &[&str], content: impl Fn(usize) -> String) -> Vec<Segment> {
    let mut segments = Vec::with_capacity(2 * parts.len());
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            segments.push(Segment::Content {
                message: n - 1,
                text: content(n - 1),
            });
        }
        if !part.is_empty() {
            segments.push(Segment::Template((*part).to_owned()));
        }
    }
    segments
}

/// Python's `json.dumps` separators, which models were trained with.
fn to_json(value: &Value) -> std::result::Result<Value, minijinja::Error> {
    struct Python;
    impl Formatter for Python {
        fn begin_array_value<W: ?Sized + std::io::Write>(
            &mut self,
            out: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            out.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_key<W: ?Sized + std::io::Write>(
            &mut self,
            out: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            out.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_value<W: ?Sized + std::io::Write>(
            &mut self,
            out: &mut W,
        ) -> std::io::Result<()> {
            out.write_all(b": ")
        }
    }
    let mut out = Vec::new();
    value
        .serialize(&mut serde_json::Serializer::with_formatter(
            &mut out, Python,
        ))
        .map_err(|e| minijinja::Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    Ok(Value::from_safe_string(
        String::from_utf8_lossy(&out).into_owned(),
    ))
}

/// Today's date in UTC in the few forms that templates ask for; other directives stay as they are written.
fn strftime_now(format: &str) -> String {
    let today = Utc::now();
    let month_name = MONTHS[today.month as usize - 1];
    format
        .replace("%Y", &today.year.to_string())
        .replace("%m", &format!("{:02}", today.month))
        .replace("%d", &format!("{:02}", today.day))
        .replace("%B", month_name)
        .replace("%b", &month_name[..3])
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn special() -> SpecialTexts {
        SpecialTexts {
            bos: "<s>".into(),
            eos: "</s>".into(),
            control: vec!["<s>".into(), "</s>".into(), "<|im_end|>".into()],
        }
    }

    fn template(source: &str) -> Template {
        let (template, warning) = Template::new(Some(source), None, special()).unwrap();
        assert_eq!(warning, None);
        template
    }

    fn joined(segments: &[Segment]) -> String {
        segments.iter().map(Segment::text).collect()
    }

    fn chat(texts: &[(Role, &str)]) -> Vec<Message> {
        texts.iter().map(|(r, t)| Message::new(*r, t)).collect()
    }

    #[test]
    fn chatml_puts_content_between_its_marks() {
        let segments = template("chatml")
            .render(&chat(&[(Role::System, "be kind"), (Role::User, "hi")]))
            .unwrap();
        assert_eq!(
            joined(&segments),
            "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        );
        assert_eq!(
            segments[3],
            Segment::Content {
                message: 1,
                text: "hi".into()
            }
        );
    }

    #[test]
    fn a_prefix_ends_before_the_opening_of_an_answer() {
        let t = template("chatml");
        let said = chat(&[(Role::User, "hi")]);
        let prefix = t.render_prefix(&said, false).unwrap();
        assert_eq!(prefix, "<|im_start|>user\nhi<|im_end|>\n");
        let whole = t.render_prefix(&said, true).unwrap();
        assert_eq!(whole.strip_prefix(&prefix), Some("<|im_start|>assistant\n"));
    }

    #[test]
    fn a_template_that_trims_keeps_its_borders() {
        let t = template(
            "{% for m in messages %}[{{ m.role }}]{{ m['content'] | trim }}{{ eos_token }}{% endfor %}",
        );
        let segments = t.render(&chat(&[(Role::User, "  hi </s> ")])).unwrap();
        assert_eq!(joined(&segments), "[user]hi </s></s>");
        assert!(segments.contains(&Segment::Content {
            message: 0,
            text: "hi </s>".into()
        }));
    }

    #[test]
    fn where_borders_are_lost_special_texts_in_content_are_broken() {
        let t = template(
            "{% for m in messages %}{{ m.content | replace('a', 'b') }}{{ eos_token }}{% endfor %}",
        );
        let segments = t.render(&chat(&[(Role::User, "a</s>a")])).unwrap();
        assert_eq!(segments, [Segment::Template("b<\u{200d}/s>b</s>".into())]);
    }

    #[test]
    fn a_system_message_survives_a_template_without_one() {
        for source in [
            "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ m.content }}{% endfor %}",
            "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
        ] {
            let segments = template(source)
                .render(&chat(&[(Role::System, "frame"), (Role::User, "hi")]))
                .unwrap();
            assert_eq!(joined(&segments), "frame\n\nhi");
        }
    }

    #[test]
    fn a_template_that_does_not_compile_falls_back_with_a_reason() {
        let (t, warning) = Template::new(None, Some("{% for %}"), special()).unwrap();
        assert_eq!(t.origin(), Origin::Fallback);
        assert!(warning.unwrap().starts_with("chat template passed over"));
    }

    #[test]
    fn a_refusal_carries_the_templates_reason() {
        let t = template(
            "{% if messages | length > 1 %}{{ raise_exception('one only') }}{% endif %}{{ messages[0].content }}",
        );
        let error = t
            .render(&chat(&[(Role::User, "a"), (Role::Assistant, "b")]))
            .unwrap_err();
        assert!(error.to_string().contains("one only"), "{error}");
    }

    #[test]
    fn an_endless_template_ends() {
        let endless =
            "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
        let (t, warning) = Template::new(Some(endless), None, special()).unwrap();
        assert_eq!(t.origin(), Origin::Fallback);
        assert!(warning.is_some());
    }

    #[test]
    fn python_methods_and_json_separators_work() {
        let t = template(
            "{{ messages[0].content.strip().upper() }} {{ {'a': [1, 2], 'b': 'c'} | tojson }}",
        );
        let segments = t.render(&chat(&[(Role::User, " x ")])).unwrap();
        assert_eq!(joined(&segments), r#"X {"a": [1, 2], "b": "c"}"#);
    }

    proptest! {
        #[test]
        fn any_content_comes_back_whole_between_its_borders(contents in prop::collection::vec(".{0,20}", 1..5)) {
            let messages: Vec<Message> = contents.iter().map(|c| Message::new(Role::User, c)).collect();
            let segments = template("chatml").render(&messages).unwrap();
            let found: Vec<&str> = segments.iter().filter_map(|s| match s {
                Segment::Content { text, .. } => Some(text.as_str()),
                Segment::Template(_) => None,
            }).collect();
            prop_assert_eq!(found, contents.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
