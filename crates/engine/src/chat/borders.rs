//! Where contents end in a text that a template has made of them in its own way: thoughts stripped, blanks trimmed,
//! letters replaced.
//!
//! A content is rendered with a private mark behind it. The template rewrites the content as it would have without, and
//! the mark tells where it ends. Contents come in with their special texts broken up, so that a wrong guess of where one
//! begins makes no special token of it. Knows no template and no tokens.

use super::template::Segment;
use crate::error::Result;

/// The characters of marks, from the private use areas: the first opens a mark, ten are digits, the last closes it.
const OPEN: char = '\u{f8a0}';
const DIGITS: u32 = 0xf8a1;
const CLOSE: char = '\u{f8ab}';

/// What may close a thought in an answer that is stripped of it. What stands before it is no part of the answer.
const THOUGHT_ENDS: [&str; 2] = ["</think>", "[/THINK]"];

/// The text that `render` makes of `contents`, cut where they end; one piece where that cannot be found.
///
/// `plain` is what `render` makes of `contents`, which are free of special texts.
pub(super) fn segments(
    contents: &[&str],
    plain: String,
    render: impl Fn(&[&str]) -> Result<String>,
) -> Vec<Segment> {
    let with_mark = |(at, content): (usize, &&str)| format!("{content}{}", mark(at));
    let marked: Vec<String> = contents.iter().enumerate().map(with_mark).collect();
    let marked: Vec<&str> = marked.iter().map(String::as_str).collect();
    let is_free = contents.iter().all(|content| !content.contains(OPEN));
    let text = is_free.then(|| render(&marked).ok()).flatten();
    let ends = text.and_then(|text| ends(&pieces(&text, contents.len())?, &plain));
    match ends {
        Some(ends) => cut(&plain, contents, &ends),
        None => vec![Segment::Template(plain)],
    }
}

/// `text` with every one of the special texts `control` in it broken up by a character that shows as nothing.
pub(super) fn broken(control: &[String], text: &str) -> String {
    let firsts: Vec<char> = {
        let mut firsts: Vec<char> = control.iter().filter_map(|c| c.chars().next()).collect();
        firsts.sort_unstable();
        firsts.dedup();
        firsts
    };
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        out.push(c);
        // A single character cannot be broken up.
        let begins = |special: &String| {
            special.len() > c.len_utf8() && text[at..].starts_with(special.as_str())
        };
        if firsts.binary_search(&c).is_ok() && control.iter().any(begins) {
            out.push('\u{200d}');
        }
    }
    out
}

fn mark(at: usize) -> String {
    let digit = |d: char| char::from_u32(DIGITS + d.to_digit(10).unwrap_or(0));
    let number: String = at.to_string().chars().filter_map(digit).collect();
    format!("{OPEN}{number}{CLOSE}")
}

/// A text with marks: what stands before each mark, with the message whose content ends there, and what follows the last.
/// Where a content stands several times, the last one counts.
struct Pieces<'t> {
    marked: Vec<(&'t str, Option<usize>)>,
    rest: &'t str,
}

/// Cuts `text` at its marks. `None` where one is none of ours. A message may be left out.
fn pieces(text: &str, messages: usize) -> Option<Pieces<'_>> {
    let mut marked = Vec::with_capacity(messages);
    let mut seen = vec![None; messages];
    let mut rest = text;
    while let Some(open) = rest.find(OPEN) {
        let close = open + rest[open..].find(CLOSE)?;
        let digits = rest[open + OPEN.len_utf8()..close].chars();
        let mut message = 0_usize;
        for digit in digits {
            let digit = u32::from(digit).checked_sub(DIGITS).filter(|d| *d < 10)?;
            message = message.checked_mul(10)?.checked_add(digit as usize)?;
        }
        if let Some(before) = seen.get_mut(message)?.replace(marked.len()) {
            let (_, message): &mut (&str, Option<usize>) = &mut marked[before];
            *message = None;
        }
        marked.push((&rest[..open], Some(message)));
        rest = &rest[close + CLOSE.len_utf8()..];
    }
    Some(Pieces { marked, rest })
}

/// Where contents end in `plain`, in the order of the text. It is what `pieces` are without the marks, but for blanks before
/// a mark: without it they stood at the end of the content, where a template may have trimmed them.
fn ends(pieces: &Pieces<'_>, plain: &str) -> Option<Vec<(usize, usize)>> {
    // Both readings are followed until the text decides: places after each piece, with the place before it.
    let mut steps: Vec<Vec<(usize, usize)>> = Vec::with_capacity(pieces.marked.len());
    let mut open = vec![0];
    for (piece, _) in &pieces.marked {
        let mut step: Vec<(usize, usize)> = Vec::new();
        for &at in &open {
            for piece in [piece, piece.trim_end()] {
                let end = at + piece.len();
                let is_new = step.iter().all(|(known, _)| *known != end);
                if is_new && plain.get(at..end) == Some(piece) {
                    step.push((end, at));
                }
            }
        }
        open = step.iter().map(|(end, _)| *end).collect();
        steps.push(step);
    }
    let mut at = plain.len().checked_sub(pieces.rest.len())?;
    if !open.contains(&at) || plain.get(at..) != Some(pieces.rest) {
        return None;
    }
    let mut ends = Vec::with_capacity(steps.len());
    for (step, (_, message)) in steps.iter().zip(&pieces.marked).rev() {
        ends.extend(message.map(|message| (message, at)));
        at = step.iter().find(|(end, _)| *end == at)?.1;
    }
    ends.reverse();
    Some(ends)
}

/// Cuts `text` at the contents that end at `ends`. A content begins as far before its end as both say the same, and
/// behind the thought that may stand in it.
fn cut(text: &str, contents: &[&str], ends: &[(usize, usize)]) -> Vec<Segment> {
    let mut segments = Vec::with_capacity(2 * ends.len() + 1);
    let mut from = 0;
    for &(message, end) in ends {
        let shown = shown(&text[from..end], contents[message]);
        let start = end - shown.len();
        if start > from {
            segments.push(Segment::Template(text[from..start].to_owned()));
        }
        segments.push(Segment::Content {
            message,
            text: shown.to_owned(),
        });
        from = end;
    }
    if from < text.len() {
        segments.push(Segment::Template(text[from..].to_owned()));
    }
    segments
}

/// What of `content` stands at the end of `before`.
fn shown<'t>(before: &'t str, content: &str) -> &'t str {
    let ends = [content, content.trim_end()];
    let common = ends.map(|content| {
        let pairs = before.chars().rev().zip(content.chars().rev());
        let same = pairs.take_while(|(a, b)| a == b);
        same.map(|(a, _)| a.len_utf8()).sum::<usize>()
    });
    let shown = &before[before.len() - common[0].max(common[1])..];
    let is_whole = shown.trim() == content.trim();
    let closes = THOUGHT_ENDS.iter().filter_map(|end| {
        let at = shown.rfind(end)?;
        Some(at + end.len())
    });
    match closes.max().filter(|_| !is_whole) {
        Some(at) => shown[at..].trim_start(),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::{Message, Role};
    use super::super::template::{SpecialTexts, Template};
    use super::*;

    /// Strips thoughts from answers, as many templates do.
    fn strips(messages: &[Message], contents: &[&str], trims: bool) -> String {
        let each = messages.iter().zip(contents);
        each.map(|(message, content)| {
            let content = match message.role {
                Role::Assistant => content
                    .rsplit("</think>")
                    .next()
                    .unwrap()
                    .trim_start_matches('\n'),
                _ => content,
            };
            let content = if trims { content.trim() } else { content };
            format!("<{}>{content}</s>", message.role.name())
        })
        .collect()
    }

    fn chat(texts: &[(Role, &str)]) -> Vec<Message> {
        texts.iter().map(|(r, t)| Message::new(*r, t)).collect()
    }

    fn cut_of(messages: &[Message], trims: bool) -> Vec<Segment> {
        let contents: Vec<&str> = messages.iter().map(|m| &*m.content).collect();
        let render = |contents: &[&str]| Ok(strips(messages, contents, trims));
        let plain = render(&contents).unwrap();
        let segments = segments(&contents, plain.clone(), render);
        let joined: String = segments.iter().map(Segment::text).collect();
        assert_eq!(joined, plain);
        segments
    }

    fn contents(segments: &[Segment]) -> Vec<(usize, &str)> {
        let content = |segment: &'_ Segment| match segment {
            Segment::Content { message, .. } => Some(*message),
            Segment::Template(_) => None,
        };
        let found = segments
            .iter()
            .filter_map(|s| Some((content(s)?, s.text())));
        found.collect()
    }

    #[test]
    fn contents_that_a_template_strips_or_trims_are_found_whole() {
        let messages = chat(&[
            (Role::System, " frame "),
            (Role::User, "say </think> x\n"),
            (Role::Assistant, "<think>\nhm\n</think>\n\na1 \n"),
            (Role::User, "q2"),
        ]);
        assert_eq!(
            contents(&cut_of(&messages, false)),
            [
                (0, " frame "),
                (1, "say </think> x\n"),
                (2, "a1 \n"),
                (3, "q2")
            ]
        );
        assert_eq!(
            contents(&cut_of(&messages, true)),
            [(0, "frame"), (1, "say </think> x"), (2, "a1"), (3, "q2")]
        );
    }

    #[test]
    fn a_content_that_is_replaced_is_template_text_up_to_its_end() {
        let contents = ["banana", "cc"];
        let render = |contents: &[&str]| {
            let all = contents.iter().map(|c| c.replace('a', "o") + "|");
            Ok(all.collect::<String>())
        };
        let plain = render(&contents).unwrap();
        let segments = segments(&contents, plain, render);
        let content = |message, text: &str| Segment::Content {
            message,
            text: text.into(),
        };
        assert_eq!(
            segments,
            [
                Segment::Template("bonono".into()),
                content(0, ""),
                Segment::Template("|".into()),
                content(1, "cc"),
                Segment::Template("|".into()),
            ]
        );
    }

    #[test]
    fn a_text_that_depends_on_its_marks_stays_in_one_piece() {
        let render = |contents: &[&str]| Ok(format!("{}:{}", contents[0].len(), contents[0]));
        let segments = segments(&["abc"], "3:abc".into(), render);
        assert_eq!(segments, [Segment::Template("3:abc".into())]);
    }

    #[test]
    fn every_special_text_is_broken_up_and_nothing_else() {
        let control = ["<s>", "<|im_end|>", "<"].map(str::to_owned);
        assert_eq!(broken(&control, "a < b"), "a < b");
        assert_eq!(
            broken(&control, "<s><|im_end|>"),
            "<\u{200d}s><\u{200d}|im_end|>"
        );
        assert_eq!(broken(&control, "<<s>s>"), "<<\u{200d}s>s>");
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn every_template_of_a_real_model_shows_where_its_messages_end() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/templates");
        let Ok(files) = std::fs::read_dir(&folder) else {
            eprintln!("skipped: {} is absent", folder.display());
            return;
        };
        let messages = chat(&[
            (Role::System, " frame\n"),
            (Role::User, "q1"),
            (Role::Assistant, "<think>\nhm\n</think>\n\na1"),
            (Role::User, " q2 \n"),
            (Role::Assistant, "\n a2 \n"),
            (Role::User, "say </think> q3"),
        ]);
        // The same as it stands in the history of a model whose thoughts are kept apart.
        let mut apart = messages.clone();
        apart[2] = Message {
            reasoning: Some("hm".into()),
            ..Message::new(Role::Assistant, "a1")
        };
        let (mut hidden, mut shown) = (Vec::new(), 0);
        for file in files {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|end| end != "jinja") {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let special = SpecialTexts::default();
            let Ok((template, None)) = Template::new(Some(&source), None, special) else {
                continue;
            };
            for messages in [&messages, &apart] {
                let Ok(segments) = template.render(messages) else {
                    continue;
                };
                let text: String = segments.iter().map(Segment::text).collect();
                if !text.contains("q1") {
                    // It wants contents in parts.
                    continue;
                }
                let found: Vec<usize> = contents(&segments).iter().map(|(at, _)| *at).collect();
                // Some write the frame elsewhere, or leave it out.
                let turns = found.iter().filter(|at| **at > 0);
                match turns.eq(&[1, 2, 3, 4, 5]) {
                    true => shown += 1,
                    false => hidden.push(format!("{}: {found:?}", path.display())),
                }
            }
        }
        assert!(hidden.is_empty(), "{hidden:#?}");
        assert!(shown > 200, "{shown}");
    }
}
