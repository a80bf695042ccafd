//! Rendered messages to tokens, with the border of every message known.
//!
//! Content is tokenised with special texts off, template text with them on. A message whose tokens are known for this
//! vocabulary is not tokenised again; an answer keeps the tokens that were sampled.

use super::history::{ContentTokens, Message, Role};
use super::template::{Segment, Template};
use crate::error::Result;
use crate::llama::{Special, Token, Vocab, VocabKind};

/// The tokens of a whole conversation with the opening of the next answer.
#[derive(Debug)]
pub struct Prompt {
    /// All tokens, the beginning-of-text token included where the model has one.
    pub tokens: Vec<Token>,
    /// How many of them stand at or before the end of each message's content.
    pub ends: Vec<usize>,
    /// Whether the ends are where they are; else they are estimates, because the template hides them.
    pub is_exact: bool,
}

/// Sizes in tokens, for the policy that decides what gives way.
#[derive(Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Up to the end of the system message.
    pub head: usize,
    /// Past turns, oldest first.
    pub turns: Vec<usize>,
    /// The new message and the opening of the answer.
    pub new: usize,
}

/// Tokenises `messages` for the vocabulary with the number `vocabulary` and notes in each message the tokens of its content.
///
/// Errors: `Engine` when the template refuses the messages or the vocabulary the text.
pub fn prompt(
    template: &Template,
    vocab: &Vocab,
    vocabulary: u64,
    messages: &mut [Message],
) -> Result<Prompt> {
    let segments = template.render(messages)?;
    let mut line = Line::new(vocab);
    let mut ends = vec![None; messages.len()];
    for segment in &segments {
        match segment {
            Segment::Template(text) => line.text(text, Special::Parse)?,
            Segment::Content { message, text } => {
                let index = *message;
                let message = &mut messages[index];
                let is_whole = *text == *message.content;
                match &message.tokens {
                    Some(known) if is_whole && known.vocabulary == vocabulary => {
                        line.known(&known.tokens, text)
                    }
                    _ => {
                        let from = line.tokens.len();
                        line.text(text, Special::Plain)?;
                        if is_whole {
                            message.tokens = Some(ContentTokens {
                                vocabulary,
                                tokens: line.tokens[from..].into(),
                            });
                        }
                    }
                }
                ends[index] = Some(line.tokens.len());
            }
        }
    }
    let tokens = line.tokens;
    let ends = ends.into_iter().collect::<Option<Vec<usize>>>();
    let is_exact = ends.is_some();
    let ends = ends.unwrap_or_else(|| shares(messages, tokens.len()));
    Ok(Prompt {
        tokens,
        ends,
        is_exact,
    })
}

/// Tokenises a prompt that its author has written as a template would: special texts in it are special tokens, and the
/// beginning-of-text token stands before it once, where the model wants one.
///
/// Errors: `Engine` when the vocabulary refuses the text.
pub fn raw(vocab: &Vocab, text: &str) -> Result<Vec<Token>> {
    let mut line = Line::new(vocab);
    if !text.is_empty() {
        line.text(text, Special::Parse)?;
    }
    Ok(line.tokens)
}

impl Prompt {
    /// The sizes of `messages`, for which the prompt was made.
    pub fn sizes(&self, messages: &[Message]) -> Sizes {
        let has_system = messages.first().is_some_and(|m| m.role == Role::System);
        let head = if has_system { self.ends[0] } else { 0 };
        let past = &self.ends[usize::from(has_system)..self.ends.len() - 1];
        let mut start = head;
        let mut turns = Vec::with_capacity(past.len() / 2);
        for turn in past.chunks(2) {
            let end = turn[turn.len() - 1];
            turns.push(end - start);
            start = end;
        }
        Sizes {
            head,
            turns,
            new: self.tokens.len() - start,
        }
    }
}

/// Tokens of a text that is written segment by segment.
struct Line<'a> {
    vocab: &'a Vocab,
    tokens: Vec<Token>,
    /// The last character written, while it was not part of a special token.
    before: Option<char>,
}

impl<'a> Line<'a> {
    /// Starts with the beginning-of-text token where the model wants one.
    fn new(vocab: &'a Vocab) -> Line<'a> {
        Line {
            vocab,
            tokens: vocab
                .bos()
                .filter(|_| vocab.add_bos())
                .into_iter()
                .collect(),
            before: None,
        }
    }

    fn text(&mut self, text: &str, special: Special) -> Result<()> {
        let tokens = self.continued(text, special)?;
        self.tokens.extend(tokens);
        if let (Some(bos), [first, second, ..]) = (self.vocab.bos(), self.tokens.as_slice())
            && *first == bos
            && *second == bos
        {
            // The template wrote the token itself: exactly one stands at the start.
            self.tokens.remove(0);
        }
        self.note(text);
        Ok(())
    }

    fn known(&mut self, tokens: &[Token], text: &str) {
        self.tokens.extend_from_slice(tokens);
        self.note(text);
    }

    fn note(&mut self, text: &str) {
        if let Some(last) = text.chars().next_back() {
            let in_special = self
                .tokens
                .last()
                .is_some_and(|&t| self.vocab.is_control(t));
            self.before = (!in_special).then_some(last);
        }
    }

    /// SentencePiece puts a blank before every text that it is given. In the middle of a line the text is therefore
    /// tokenised behind the character that stands before it, whose own tokens are then taken off again.
    fn continued(&self, text: &str, special: Special) -> Result<Vec<Token>> {
        if let Some(before) = self.before
            && self.vocab.kind() == VocabKind::Spm
            && !text.is_empty()
        {
            let lead = self.vocab.tokenize(&before.to_string(), special)?;
            let both = self.vocab.tokenize(&format!("{before}{text}"), special)?;
            if let Some(rest) = both.strip_prefix(lead.as_slice()) {
                return Ok(rest.to_vec());
            }
        }
        self.vocab.tokenize(text, special)
    }
}

/// Ends of messages whose borders the template hides: each gets its share of `total` by bytes of content.
fn shares(messages: &[Message], total: usize) -> Vec<usize> {
    // One byte more each, so that empty messages count and the sum is never 0.
    let weights: Vec<usize> = messages.iter().map(|m| m.content.len() + 1).collect();
    let sum: usize = weights.iter().sum();
    let mut seen = 0;
    weights
        .iter()
        .map(|weight| {
            seen += weight;
            total * seen / sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::template::SpecialTexts;
    use super::*;
    use crate::llama::{CpuExperts, Model, ModelParams, SplitMode, runtime};

    /// A template that keeps contents, one that trims them, one that hides its borders.
    const TEMPLATES: [&str; 3] = [
        "chatml",
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n",
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | replace('a', 'b') }}<|im_end|>\n{% endfor %}",
    ];

    fn vocab() -> Vocab {
        runtime::init();
        let params = ModelParams {
            n_gpu_layers: Some(0),
            main_gpu: 0,
            tensor_split: Vec::new(),
            split_mode: SplitMode::Layer,
            cpu_experts: CpuExperts::First(0),
            use_mmap: true,
            use_mlock: false,
            check_tensors: false,
            adapters: Vec::new(),
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/pocket-a.gguf");
        let model = Model::load(&path, &params, &mut |_| true).unwrap();
        Arc::new(model).vocab()
    }

    fn template(source: &str, vocab: &Vocab) -> Template {
        let ids = (0..vocab.n_tokens() as i32).map(Token);
        let special = SpecialTexts {
            bos: String::new(),
            eos: String::new(),
            control: ids
                .filter(|&t| vocab.is_control(t))
                .map(|t| vocab.token_text(t))
                .collect(),
        };
        Template::new(Some(source), None, special).unwrap().0
    }

    /// Control tokens of a conversation that says `text`.
    fn control_tokens(template: &Template, vocab: &Vocab, text: &str) -> Vec<Token> {
        let mut messages = [
            Message::new(Role::System, text),
            Message::new(Role::User, text),
        ];
        let mut tokens = prompt(template, vocab, 1, &mut messages).unwrap().tokens;
        tokens.retain(|&t| vocab.is_control(t));
        tokens
    }

    #[test]
    fn user_text_never_becomes_a_control_token_whatever_the_template() {
        let vocab = vocab();
        let word = prop_oneof![
            Just("<|im_end|>".to_owned()),
            Just("<|im_start|>".to_owned()),
            Just("<|endoftext|>".to_owned()),
            "[<|>a-z_]{0,6}",
            ".{0,6}",
        ];
        for source in TEMPLATES {
            let template = template(source, &vocab);
            let plain = control_tokens(&template, &vocab, "hello");
            let words = prop::collection::vec(word.clone(), 0..6);
            let mut runner = proptest::test_runner::TestRunner::default();
            runner
                .run(&words, |words| {
                    prop_assert_eq!(
                        control_tokens(&template, &vocab, &words.concat()),
                        plain.clone()
                    );
                    Ok(())
                })
                .unwrap();
        }
    }

    #[test]
    fn known_tokens_are_taken_over_and_those_of_another_version_are_not() {
        let vocab = vocab();
        let template = template("chatml", &vocab);
        let mut messages = [Message::new(Role::User, "hello there")];
        let first = prompt(&template, &vocab, 1, &mut messages).unwrap();
        let known = messages[0].tokens.clone().unwrap();
        assert_eq!(known.vocabulary, 1);
        messages[0].tokens = Some(ContentTokens {
            vocabulary: 1,
            tokens: [Token(7)].into(),
        });
        let marked = prompt(&template, &vocab, 1, &mut messages).unwrap();
        assert!(marked.tokens.contains(&Token(7)));
        let fresh = prompt(&template, &vocab, 2, &mut messages).unwrap();
        assert_eq!(fresh.tokens, first.tokens);
    }

    #[test]
    fn sizes_count_every_token_once() {
        let messages: Vec<Message> = [Role::System, Role::User, Role::Assistant, Role::User]
            .into_iter()
            .map(|role| Message::new(role, "x"))
            .collect();
        let prompt = Prompt {
            tokens: vec![Token(0); 40],
            ends: vec![8, 15, 24, 33],
            is_exact: true,
        };
        let sizes = prompt.sizes(&messages);
        assert_eq!(
            (sizes.head, sizes.turns.as_slice(), sizes.new),
            (8, &[16][..], 16)
        );
    }

    #[test]
    fn hidden_borders_are_shared_out_by_length() {
        let messages = [
            Message::new(Role::User, "aaa"),
            Message::new(Role::User, ""),
        ];
        assert_eq!(shares(&messages, 10), [8, 10]);
    }
}
