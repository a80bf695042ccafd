//! Rendered messages to tokens, with the border of every message known.
//!
//! Content is tokenised with special texts off, template text with them on. A message whose tokens are known for this
//! vocabulary is not tokenised again, nor is template text that came before; an answer keeps the tokens that were sampled.

use std::sync::Arc;

use super::blanks;
use super::history::{ContentTokens, Message, Role};
use super::template::{Segment, Template};
use super::token_cache::TokenCache;
use crate::error::Result;
use crate::llama::{Special, Token, Vocab, VocabKind};

/// Bytes of the prompt's end that say how it opens the answer.
const OPENING: usize = 256;

/// The tokens of a whole conversation with the opening of the next answer.
#[derive(Debug)]
pub struct Prompt {
    /// All tokens, the beginning-of-text token included where the model has one.
    pub tokens: Vec<Token>,
    /// How many of them stand at or before the end of each message's content; rising.
    pub ends: Vec<usize>,
    /// Whether the ends are where they are; else they are estimates, because the template hides them.
    pub is_exact: bool,
    /// The last bytes of template text: how the answer is opened.
    pub opening: String,
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

/// A vocabulary with what is remembered of its tokens.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    /// The vocabulary.
    pub vocab: &'a Vocab,
    /// Its number: tokens that messages remember are of the vocabulary with the same one.
    pub number: u64,
    /// The tokens of template texts.
    pub cache: &'a TokenCache,
}

/// Tokenises `messages` and notes in each message the tokens of its content.
///
/// Errors: `Engine` when the template refuses the messages or the vocabulary the text.
pub fn prompt(template: &Template, words: Words<'_>, messages: &mut [Message]) -> Result<Prompt> {
    let segments = blanks::render(template, messages)?;
    let mut line = Line::new(words);
    let mut ends = vec![None; messages.len()];
    for segment in &segments {
        match segment {
            Segment::Template(text) => line.template(text)?,
            Segment::Content { message, text } => {
                let index = *message;
                line.content(&mut messages[index], text)?;
                ends[index] = Some(line.tokens.len());
            }
        }
    }
    let tokens = line.tokens;
    let is_exact = ends.last().is_some_and(Option::is_some);
    let ends = match is_exact {
        true => rising(&ends),
        false => shares(words, messages, tokens.len())?,
    };
    let opening = match segments.last() {
        Some(Segment::Template(text)) => tail(text).to_owned(),
        _ => String::new(),
    };
    Ok(Prompt {
        tokens,
        ends,
        is_exact,
        opening,
    })
}

/// Tokenises a prompt that its author has written as a template would: special texts in it are special tokens, and the
/// beginning-of-text token stands before it once, where the model wants one.
///
/// Errors: `Engine` when the vocabulary refuses the text.
pub fn raw(vocab: &Vocab, text: &str) -> Result<Vec<Token>> {
    // A prompt comes once: nothing of it is worth remembering.
    let cache = TokenCache::default();
    let mut line = Line::new(Words {
        vocab,
        number: 0,
        cache: &cache,
    });
    if !text.is_empty() {
        let tokens = line.tokenise(text, Special::Parse)?;
        line.push(&tokens, text);
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
    words: Words<'a>,
    tokens: Vec<Token>,
    /// The last character written, while it was not part of a special token.
    before: Option<char>,
}

impl<'a> Line<'a> {
    /// Starts with the beginning-of-text token where the model wants one.
    fn new(words: Words<'a>) -> Line<'a> {
        let vocab = words.vocab;
        Line {
            words,
            tokens: vocab
                .bos()
                .filter(|_| vocab.add_bos())
                .into_iter()
                .collect(),
            before: None,
        }
    }

    /// Template text, in which special texts are special tokens.
    fn template(&mut self, text: &str) -> Result<()> {
        let before = self.before.filter(|_| self.looks_back());
        let tokens = self
            .words
            .cache
            .tokens(before, text, || self.tokenise(text, Special::Parse))?;
        self.push(&tokens, text);
        Ok(())
    }

    /// What a template shows of the content of `message`.
    fn content(&mut self, message: &mut Message, text: &str) -> Result<()> {
        let number = self.words.number;
        let known = message.tokens.as_ref().filter(|known| {
            let of = known.part.as_deref().unwrap_or(&message.content);
            known.vocabulary == number && of == text
        });
        let tokens = match known {
            Some(known) => known.tokens.clone(),
            None => {
                let tokens: Arc<[Token]> = self.tokenise(text, Special::Plain)?.into();
                self.words.cache.note_tokenised(text);
                message.tokens = Some(ContentTokens {
                    vocabulary: number,
                    tokens: tokens.clone(),
                    part: (*text != *message.content).then(|| text.into()),
                });
                tokens
            }
        };
        self.push(&tokens, text);
        Ok(())
    }

    fn push(&mut self, tokens: &[Token], text: &str) {
        self.tokens.extend_from_slice(tokens);
        let vocab = self.words.vocab;
        if let (Some(bos), [first, second, ..]) = (vocab.bos(), self.tokens.as_slice())
            && *first == bos
            && *second == bos
        {
            // The template wrote the token itself: exactly one stands at the start.
            self.tokens.remove(0);
        }
        if let Some(last) = text.chars().next_back() {
            let in_special = self.tokens.last().is_some_and(|&t| vocab.is_control(t));
            self.before = (!in_special).then_some(last);
        }
    }

    /// Whether the tokens of a text depend on what stands before it.
    fn looks_back(&self) -> bool {
        self.words.vocab.kind() == VocabKind::Spm
    }

    /// SentencePiece puts a blank before every text that it is given. In the middle of a line the text is therefore
    /// tokenised behind the character that stands before it, whose own tokens are then taken off again.
    fn tokenise(&self, text: &str, special: Special) -> Result<Vec<Token>> {
        let vocab = self.words.vocab;
        if let Some(before) = self.before
            && self.looks_back()
            && !text.is_empty()
        {
            let lead = vocab.tokenize(&before.to_string(), special)?;
            let both = vocab.tokenize(&format!("{before}{text}"), special)?;
            if let Some(rest) = both.strip_prefix(lead.as_slice()) {
                return Ok(rest.to_vec());
            }
        }
        vocab.tokenize(text, special)
    }
}

/// Ends of messages in order. One that the template left out, or wrote behind later ones as some do with the system
/// message, has no tokens of its own where it should stand.
fn rising(ends: &[Option<usize>]) -> Vec<usize> {
    let mut later = vec![usize::MAX; ends.len() + 1];
    for (at, end) in ends.iter().enumerate().rev() {
        later[at] = end.unwrap_or(usize::MAX).min(later[at + 1]);
    }
    let mut before = 0;
    let places = ends.iter().zip(&later[1..]).map(|(end, later)| {
        before = end
            .filter(|end| (before..=*later).contains(end))
            .unwrap_or(before);
        before
    });
    places.collect()
}

/// Ends of messages whose borders the template hides, in `total` tokens: each has the tokens of its content, and of what
/// is left an equal share.
fn shares(words: Words<'_>, messages: &mut [Message], total: usize) -> Result<Vec<usize>> {
    let own = messages.iter_mut().map(|message| {
        let content = message.content.clone();
        // On a line of its own: what stands before a content moves its count by a token at most.
        let mut line = Line::new(words);
        line.tokens.clear();
        line.content(message, &content)?;
        Ok(line.tokens.len())
    });
    let own: Vec<usize> = own.collect::<Result<_>>()?;
    Ok(spread(&own, total))
}

fn spread(own: &[usize], total: usize) -> Vec<usize> {
    let sum: usize = own.iter().sum();
    let rest = total.saturating_sub(sum);
    let mut seen = 0;
    let ends = own.iter().enumerate().map(|(at, tokens)| {
        seen += tokens;
        (seen + rest * (at + 1) / own.len()).min(total)
    });
    ends.collect()
}

/// The last bytes of `text`, in whole characters.
fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(OPENING);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
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

    fn made(template: &Template, vocab: &Vocab, number: u64, messages: &mut [Message]) -> Prompt {
        let cache = TokenCache::default();
        let words = Words {
            vocab,
            number,
            cache: &cache,
        };
        prompt(template, words, messages).unwrap()
    }

    /// Control tokens of a conversation that says `text`.
    fn control_tokens(template: &Template, vocab: &Vocab, text: &str) -> Vec<Token> {
        let mut messages = [
            Message::new(Role::System, text),
            Message::new(Role::User, text),
        ];
        let mut tokens = made(template, vocab, 1, &mut messages).tokens;
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
        let first = made(&template, &vocab, 1, &mut messages);
        let known = messages[0].tokens.clone().unwrap();
        assert_eq!(known.vocabulary, 1);
        messages[0].tokens = Some(ContentTokens {
            vocabulary: 1,
            tokens: [Token(7)].into(),
            part: None,
        });
        let marked = made(&template, &vocab, 1, &mut messages);
        assert!(marked.tokens.contains(&Token(7)));
        let fresh = made(&template, &vocab, 2, &mut messages);
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
            opening: String::new(),
        };
        let sizes = prompt.sizes(&messages);
        assert_eq!(
            (sizes.head, sizes.turns.as_slice(), sizes.new),
            (8, &[16][..], 16)
        );
    }

    #[test]
    fn where_borders_are_hidden_messages_have_their_own_tokens_and_a_share_of_the_rest() {
        assert_eq!(spread(&[3, 0, 5], 20), [7, 11, 20]);
        assert_eq!(spread(&[3, 5], 6), [3, 6]);
    }

    #[test]
    fn a_message_that_stands_elsewhere_or_nowhere_has_no_tokens_in_its_place() {
        assert_eq!(
            rising(&[Some(90), Some(20), Some(40), Some(95)]),
            [0, 20, 40, 95]
        );
        assert_eq!(rising(&[Some(5), None, Some(9)]), [5, 5, 9]);
    }

    /// Strips thoughts from answers.
    const STRIPS: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n\
        {% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1].lstrip('\n') }}{% else %}{{ m.content }}{% endif %}\
        <|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\n' }}";

    #[test]
    fn sizes_of_stripped_answers_are_those_of_what_is_left() {
        let vocab = vocab();
        let template = template(STRIPS, &vocab);
        let thought = format!("<think>\n{}\n</think>\n\nyes", "hm ".repeat(200));
        let of = |answer: &str| {
            let said = [
                (Role::User, "one"),
                (Role::Assistant, answer),
                (Role::User, "two"),
            ];
            let mut messages = said.map(|(role, text)| Message::new(role, text));
            let prompt = made(&template, &vocab, 1, &mut messages);
            (prompt.is_exact, prompt.sizes(&messages), prompt.tokens)
        };
        let (is_exact, sizes, tokens) = of(&thought);
        assert!(is_exact);
        assert_eq!((is_exact, sizes, tokens), of("yes"));
    }

    /// Bytes that are tokenised for the turn after `turns` turns.
    fn price(source: &str, turns: usize) -> u64 {
        let vocab = vocab();
        let template = template(source, &vocab);
        let cache = TokenCache::default();
        let words = Words {
            vocab: &vocab,
            number: 1,
            cache: &cache,
        };
        let mut messages = vec![Message::new(Role::System, "frame ")];
        let mut price = 0;
        for turn in 0..=turns {
            messages.push(Message::new(Role::User, &format!(" Hi {turn:04}")));
            let before = cache.tokenised();
            prompt(&template, words, &mut messages).unwrap();
            price = cache.tokenised() - before;
            messages.push(Message::new(Role::Assistant, "<think>hm</think>\nHello.\n"));
        }
        price
    }

    #[test]
    fn a_turn_costs_the_same_behind_two_turns_and_behind_a_hundred() {
        for source in TEMPLATES.into_iter().take(2).chain([STRIPS]) {
            let few = price(source, 2);
            assert_eq!(few, price(source, 100), "{source}");
            // The new message and the answer before it.
            assert!(few <= 35, "{few}: {source}");
        }
    }
}
