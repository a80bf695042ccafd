//! Where contents stand in a rendered text.
//!
//! Contents are rendered as private marks and put back afterwards: only what is found between the marks is the
//! template's own text.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Segment;

/// One private text per content that occurs in none of them.
pub fn marks(contents: &[&str]) -> Vec<String> {
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
pub fn split<'t>(mut text: &'t str, marks: &[String]) -> Option<Vec<&'t str>> {
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

/// Segments of the template's texts with contents between them.
pub fn assemble(parts: &[&str], content: impl Fn(usize) -> String) -> Vec<Segment> {
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
