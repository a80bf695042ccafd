//! Whether a resolved schema has values at all, and finite ones: a grammar whose text cannot end never does.

use super::Checked;
use super::node::{Document, Node};

/// Checks what the root leads to.
pub(super) fn check(document: &Document) -> Checked<()> {
    let reached = reached(document);
    let path = |id: usize| &document.definitions[id].path;
    if document.definitions[0].node.is_never() {
        return Err("no value satisfies it".to_owned());
    }
    let mut ends = vec![false; document.definitions.len()];
    loop {
        let mut is_done = true;
        for &id in &reached {
            if !ends[id] && can_end(&document.definitions[id].node, &ends) {
                ends[id] = true;
                is_done = false;
            }
        }
        if is_done {
            break;
        }
    }
    if let Some(&id) = reached.iter().find(|&&id| !ends[id]) {
        return Err(format!(
            "no finite value satisfies what stands at {}",
            path(id)
        ));
    }
    if let Some(id) = in_a_circle(document, &reached) {
        return Err(format!("$ref at {} leads back to itself", path(id)));
    }
    Ok(())
}

/// The definitions that the root leads to, itself included.
pub(super) fn reached(document: &Document) -> Vec<usize> {
    let mut is_reached = vec![false; document.definitions.len()];
    is_reached[0] = true;
    let mut reached = vec![0];
    let mut next = 0;
    while let Some(&id) = reached.get(next) {
        next += 1;
        let mut nodes = vec![&document.definitions[id].node];
        while let Some(node) = nodes.pop() {
            if let Node::Definition(id) = node
                && !std::mem::replace(&mut is_reached[*id], true)
            {
                reached.push(*id);
            }
            nodes.extend(node.children());
        }
    }
    reached
}

/// Whether a value of `node` can be finite, given the definitions of which that is known.
fn can_end(node: &Node, ends: &[bool]) -> bool {
    match node {
        Node::Definition(id) => ends[*id],
        Node::Union(parts) => parts.iter().any(|part| can_end(part, ends)),
        Node::Literals(values) => !values.is_empty(),
        Node::Array(array) => {
            let least = usize::try_from(array.least_written()).unwrap_or(usize::MAX);
            let listed = array.prefix.iter().take(least);
            let more = array.tail().filter(|_| least > array.prefix.len());
            listed.chain(more).all(|item| can_end(item, ends))
        }
        Node::Object(object) => {
            let (mut required, mut members) = (object.required(), object.members());
            let needs_one = object.is_filled && object.required().next().is_none();
            required.all(|node| can_end(node, ends))
                && (!needs_one || members.any(|node| can_end(node, ends)))
        }
        _ => true,
    }
}

/// A definition that is one of its own alternatives: the grammar could not decide between nothing and nothing.
fn in_a_circle(document: &Document, reached: &[usize]) -> Option<usize> {
    let same_text = |id: usize| {
        let mut found = Vec::new();
        let mut nodes = vec![&document.definitions[id].node];
        while let Some(node) = nodes.pop() {
            match node {
                Node::Definition(id) => found.push(*id),
                Node::Union(parts) => nodes.extend(parts),
                _ => {}
            }
        }
        found
    };
    // What remains after those that lead to none that remains are taken away.
    let mut remains = vec![false; document.definitions.len()];
    for &id in reached {
        remains[id] = true;
    }
    let next: Vec<(usize, Vec<usize>)> = reached.iter().map(|&id| (id, same_text(id))).collect();
    loop {
        let mut is_done = true;
        for (id, next) in &next {
            if remains[*id] && !next.iter().any(|&id| remains[id]) {
                remains[*id] = false;
                is_done = false;
            }
        }
        if is_done {
            return reached.iter().copied().find(|&id| remains[id]);
        }
    }
}
