//! What changes for conversations when one model takes another one's place.
//!
//! Pure: compares two profiles. What differs is told; what costs somebody something is an objection, and whether it
//! stops the change is the caller's policy.

use serde::Serialize;
use serde_json::{Value, json};

use super::profile::Profile;

/// How one property compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing changes.
    Same,
    /// It is another one; conversations go on.
    Differs,
    /// Less than there was.
    Shrinks,
}

/// One property of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// Which.
    pub property: &'static str,
    /// Of the version that serves.
    pub now: Value,
    /// Of the one that is to.
    pub next: Value,
    /// How they compare.
    pub verdict: Verdict,
}

/// The comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Property by property.
    pub items: Vec<Item>,
    /// What somebody loses, in words.
    pub objections: Vec<String>,
    /// Open conversations that are longer than the next version allows; their oldest turns will give way.
    pub sessions_too_long: usize,
    /// Whether tokens of past messages stay as they are.
    pub keeps_tokens: bool,
}

/// Compares `next` with what serves `now`; `lengths` are those of the open conversations in tokens.
pub fn compare(now: &Profile, next: &Profile, lengths: &[usize]) -> Report {
    let plain = |property, now: Value, next: Value| Item {
        verdict: match now == next {
            true => Verdict::Same,
            false => Verdict::Differs,
        },
        property,
        now,
        next,
    };
    let sized = |property, now: u64, next: u64| Item {
        verdict: match next.cmp(&now) {
            std::cmp::Ordering::Less => Verdict::Shrinks,
            std::cmp::Ordering::Equal => Verdict::Same,
            std::cmp::Ordering::Greater => Verdict::Differs,
        },
        property,
        now: now.into(),
        next: next.into(),
    };
    let able = |property, now: bool, next: bool| Item {
        verdict: match (now, next) {
            (true, false) => Verdict::Shrinks,
            (now, next) if now == next => Verdict::Same,
            _ => Verdict::Differs,
        },
        property,
        now: now.into(),
        next: next.into(),
    };
    let [a, b] = [now, next];
    let items = vec![
        plain("architecture", json!(a.architecture), json!(b.architecture)),
        plain("parameters", json!(a.parameters), json!(b.parameters)),
        plain("quantisation", json!(a.quantisation), json!(b.quantisation)),
        sized(
            "training_context",
            a.training_context.into(),
            b.training_context.into(),
        ),
        sized(
            "session_tokens",
            a.session_tokens.into(),
            b.session_tokens.into(),
        ),
        plain("vocabulary", json!(a.vocabulary), json!(b.vocabulary)),
        plain("template", json!(a.template), json!(b.template)),
        able("own_template", a.template.is_some(), b.template.is_some()),
        able("tools", a.tools, b.tools),
        plain("disk_bytes", json!(a.disk_bytes), json!(b.disk_bytes)),
        plain(
            "weights_bytes",
            json!(a.weights_bytes),
            json!(b.weights_bytes),
        ),
        plain("buffer_bytes", json!(a.buffer_bytes), json!(b.buffer_bytes)),
        plain(
            "kv_bytes_per_token",
            json!(a.kv_bytes_per_token),
            json!(b.kv_bytes_per_token),
        ),
        plain(
            "sliding_window",
            json!(a.sliding_window),
            json!(b.sliding_window),
        ),
        plain("recurrent", json!(a.recurrent), json!(b.recurrent)),
    ];
    let room = next.session_tokens as usize;
    let sessions_too_long = lengths.iter().filter(|&&length| length > room).count();
    Report {
        objections: objections(now, next, sessions_too_long),
        items,
        sessions_too_long,
        keeps_tokens: now.vocabulary == next.vocabulary,
    }
}

fn objections(now: &Profile, next: &Profile, too_long: usize) -> Vec<String> {
    let mut found = Vec::new();
    if next.session_tokens < now.session_tokens {
        found.push(format!(
            "a conversation may have {} tokens instead of {}: {too_long} open ones are longer",
            next.session_tokens, now.session_tokens
        ));
    }
    if now.template.is_some() && next.template.is_none() {
        found.push("the model has no chat template that works: ChatML is used".into());
    }
    if let Some(reason) = next
        .template_passed_over
        .as_ref()
        .filter(|_| now.template_passed_over.is_none())
    {
        found.push(reason.clone());
    }
    if now.tools && !next.tools {
        found.push("its chat template knows no tools".into());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::profile::Vocabulary;

    fn profile() -> Profile {
        Profile {
            architecture: "llama".into(),
            parameters: 1_000_000,
            quantisation: "Q8_0".into(),
            training_context: 2048,
            session_tokens: 2048,
            vocabulary: Vocabulary {
                kind: "spm".into(),
                tokens: 512,
                hash: "a".into(),
                special: [Some(1), Some(2)],
            },
            template: Some("t".into()),
            tools: true,
            template_passed_over: None,
            disk_bytes: 1,
            weights_bytes: 1,
            buffer_bytes: 1,
            kv_bytes_per_token: 1,
            sliding_window: 0,
            recurrent: false,
        }
    }

    fn verdict(report: &Report, property: &str) -> Verdict {
        let item = report.items.iter().find(|i| i.property == property);
        item.expect("the property is listed").verdict
    }

    #[test]
    fn a_model_is_compatible_with_itself() {
        let report = compare(&profile(), &profile(), &[5000]);
        assert!(report.items.iter().all(|i| i.verdict == Verdict::Same));
        assert!(report.objections.is_empty());
        assert!(report.keeps_tokens);
        // It is too long as it was before.
        assert_eq!(report.sessions_too_long, 1);
    }

    #[test]
    fn a_shorter_context_counts_the_conversations_that_no_longer_fit() {
        let mut next = profile();
        next.session_tokens = 1000;
        let report = compare(&profile(), &next, &[999, 1000, 1001, 1500]);
        assert_eq!(report.sessions_too_long, 2);
        assert_eq!(verdict(&report, "session_tokens"), Verdict::Shrinks);
        assert_eq!(
            report.objections,
            ["a conversation may have 1000 tokens instead of 2048: 2 open ones are longer"]
        );
        assert!(compare(&next, &profile(), &[]).objections.is_empty());
    }

    #[test]
    fn a_lost_template_and_lost_tools_are_objections_and_another_template_is_not() {
        let mut next = profile();
        next.template = Some("u".into());
        assert!(compare(&profile(), &next, &[]).objections.is_empty());
        next.template = None;
        next.tools = false;
        let report = compare(&profile(), &next, &[]);
        assert_eq!(report.objections.len(), 2);
        assert_eq!(verdict(&report, "tools"), Verdict::Shrinks);
        assert_eq!(verdict(&report, "own_template"), Verdict::Shrinks);
    }

    #[test]
    fn a_template_that_was_passed_over_is_an_objection() {
        let mut next = profile();
        next.template_passed_over = Some("chat template passed over: line 3".into());
        let report = compare(&profile(), &next, &[]);
        assert_eq!(report.objections, ["chat template passed over: line 3"]);
        assert!(compare(&next, &next, &[]).objections.is_empty());
    }

    #[test]
    fn another_vocabulary_of_the_same_size_does_not_keep_tokens() {
        let mut next = profile();
        next.vocabulary.hash = "b".into();
        let report = compare(&profile(), &next, &[]);
        assert!(!report.keeps_tokens);
        assert_eq!(verdict(&report, "vocabulary"), Verdict::Differs);
    }
}
