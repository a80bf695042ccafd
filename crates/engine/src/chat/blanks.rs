//! Conversations in which a message is empty, for templates that refuse empty messages.
//!
//! A model may answer with nothing, and that must not end the conversation: an empty content is rendered as a blank, and
//! where a template refuses that too, the turn is left out of the prompt. The history keeps it in any case.

use super::history::{Message, Role};
use super::template::{Segment, Template};
use crate::error::Result;

/// What an empty content is rendered as.
const BLANK: &str = " ";

/// Renders `messages` and the opening of the next answer; indices in the segments are those of `messages`.
///
/// Errors: `Engine` with the template's own reason when it refuses the messages, and does not because one is empty.
pub(super) fn render(template: &Template, messages: &[Message]) -> Result<Vec<Segment>> {
    let refusal = match template.render(messages) {
        Ok(segments) => return Ok(segments),
        Err(refusal) => refusal,
    };
    if !messages.iter().any(is_empty) {
        return Err(refusal);
    }
    let blank = |message: &Message| match is_empty(message) {
        true => Message {
            content: BLANK.into(),
            tokens: None,
            ..message.clone()
        },
        false => message.clone(),
    };
    let whole: Vec<Message> = messages.iter().map(blank).collect();
    if let Ok(segments) = template.render(&whole) {
        return Ok(segments);
    }
    let kept = kept(messages);
    let left: Vec<Message> = kept.iter().map(|&at| whole[at].clone()).collect();
    let mut segments = template.render(&left).map_err(|_| refusal)?;
    for segment in &mut segments {
        if let Segment::Content { message, .. } = segment {
            *message = kept[*message];
        }
    }
    Ok(segments)
}

fn is_empty(message: &Message) -> bool {
    message.content.trim().is_empty()
}

/// Which messages stay: all but complete turns of which a part is empty, and an empty system message.
fn kept(messages: &[Message]) -> Vec<usize> {
    let mut kept = Vec::with_capacity(messages.len());
    let mut at = 0;
    while at < messages.len() {
        let is_turn = messages[at].role == Role::User && at + 1 < messages.len();
        let size = if is_turn { 2 } else { 1 };
        let is_last = at + size == messages.len();
        if is_last || !messages[at..at + size].iter().any(is_empty) {
            kept.extend(at..at + size);
        }
        at += size;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::template::SpecialTexts;
    use super::*;

    /// Renders the conversation q1, "", q2, a2, q3.
    fn rendered(source: &str) -> Result<String> {
        let said = [
            (Role::User, "q1"),
            (Role::Assistant, ""),
            (Role::User, "q2"),
            (Role::Assistant, "a2"),
            (Role::User, "q3"),
        ];
        let messages = said.map(|(role, text)| Message::new(role, text));
        let template = Template::new(Some(source), None, SpecialTexts::default())?.0;
        let segments = render(&template, &messages)?;
        for segment in &segments {
            if let Segment::Content { message, text } = segment {
                assert_eq!(text.trim(), &*messages[*message].content);
            }
        }
        Ok(segments.iter().map(Segment::text).collect())
    }

    #[test]
    fn an_empty_answer_is_a_blank_where_the_template_refuses_it_and_left_out_where_it_refuses_blanks()
     {
        let plain = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
        let refuses = |what: &str| {
            format!(
                "{{% for m in messages %}}{{% if not {what} %}}{{{{ raise_exception('empty') }}}}{{% endif %}}\
                 [{{{{ m.content }}}}]{{% endfor %}}"
            )
        };
        assert_eq!(rendered(plain).unwrap(), "[q1][][q2][a2][q3]");
        assert_eq!(
            rendered(&refuses("m.content")).unwrap(),
            "[q1][ ][q2][a2][q3]"
        );
        assert_eq!(
            rendered(&refuses("(m.content | trim)")).unwrap(),
            "[q2][a2][q3]"
        );
    }

    #[test]
    fn a_refusal_for_another_reason_is_the_templates_own() {
        let refuses = "{% if messages[-1].content == 'q3' %}{{ raise_exception('not that') }}{% endif %}{{ messages[-1].content }}";
        let error = rendered(refuses).unwrap_err();
        assert!(error.to_string().contains("not that"), "{error}");
    }
}
