//! Who holds the longest prefix of a prompt, found by going along the prompt once, whatever the number of those who hold
//! anything.
//!
//! A radix tree: a common prefix is a shared path. Nodes lie in one list and name each other by place, so that no
//! depth of the tree costs stack. Pure, and generic over the token so that a test can count comparisons.

use std::collections::BTreeSet;
use std::sync::Arc;

const ROOT: usize = 0;

/// The tokens of sessions, each at most once.
pub struct Prefixes<T> {
    nodes: Vec<Node<T>>,
    /// Places of nodes that are gone.
    free: Vec<usize>,
}

struct Node<T> {
    /// Tokens of an entry below. This node's own part of them is `start..end`.
    tokens: Arc<[T]>,
    start: usize,
    end: usize,
    /// In the order of their first tokens, which differ.
    children: Vec<usize>,
    /// Whose tokens end here.
    sessions: BTreeSet<u64>,
    /// Entries here and below.
    entries: usize,
}

impl<T: Copy + Ord> Default for Prefixes<T> {
    fn default() -> Prefixes<T> {
        Prefixes {
            nodes: vec![Node::new(Arc::default(), 0)],
            free: Vec::new(),
        }
    }
}

impl<T> Node<T> {
    /// A node without anything below: all of `tokens` from `start` on.
    fn new(tokens: Arc<[T]>, start: usize) -> Node<T> {
        Node {
            start,
            end: tokens.len(),
            tokens,
            children: Vec::new(),
            sessions: BTreeSet::new(),
            entries: 0,
        }
    }
}

impl<T: Copy + Ord> Prefixes<T> {
    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.nodes[ROOT].entries == 0
    }

    /// Adds the tokens of a session that has none here.
    pub fn insert(&mut self, session: u64, tokens: &Arc<[T]>) {
        let mut at = ROOT;
        loop {
            let node = &mut self.nodes[at];
            node.entries += 1;
            if at != ROOT {
                // The newest entry: those that are gone need not be kept for their tokens.
                node.tokens = tokens.clone();
            }
            let depth = node.end;
            if depth == tokens.len() {
                node.sessions.insert(session);
                return;
            }
            match self.child(at, tokens[depth]) {
                Ok(place) => {
                    let child = self.nodes[at].children[place];
                    let shared = self.shared(child, tokens);
                    let is_whole = self.nodes[child].end == depth + shared;
                    at = match is_whole {
                        true => child,
                        false => self.split(at, place, depth + shared),
                    };
                }
                Err(place) => {
                    let mut leaf = Node::new(tokens.clone(), depth);
                    leaf.entries = 1;
                    leaf.sessions.insert(session);
                    let leaf = self.put(leaf);
                    self.nodes[at].children.insert(place, leaf);
                    return;
                }
            }
        }
    }

    /// Takes the tokens of a session out, which are these. Nothing happens if they are not here.
    pub fn remove(&mut self, session: u64, tokens: &[T]) {
        let Some(path) = self.path(tokens) else {
            return;
        };
        let last = path.last().copied().unwrap_or(ROOT);
        if !self.nodes[last].sessions.remove(&session) {
            return;
        }
        for &at in &path {
            self.nodes[at].entries -= 1;
        }
        // From the end on: only the last node can have lost its reason, and then the one before it.
        for pair in path.windows(2).rev() {
            self.tidy(pair[0], pair[1]);
        }
    }

    /// An entry of another session than `but` that shares the longest prefix with `prompt`, and how many tokens that is.
    /// Of equals the same one each time.
    pub fn longest(&self, prompt: &[T], but: u64) -> Option<(u64, usize)> {
        let mut way = vec![(ROOT, 0)];
        let mut at = ROOT;
        while let Some(&next) = prompt.get(self.nodes[at].end)
            && let Ok(place) = self.child(at, next)
        {
            at = self.nodes[at].children[place];
            let node = &self.nodes[at];
            let shared = self.shared(at, prompt);
            way.push((at, node.start + shared));
            if node.start + shared < node.end {
                break;
            }
        }
        // A node without another entry has only one, and the node above it has others.
        way.into_iter()
            .rev()
            .find_map(|(at, length)| Some((self.other(at, but)?, length)))
    }

    /// A session other than `but` whose tokens pass through a node.
    fn other(&self, mut at: usize, but: u64) -> Option<u64> {
        loop {
            let node = &self.nodes[at];
            if let Some(&session) = node.sessions.iter().find(|&&session| session != but) {
                return Some(session);
            }
            // At most one entry is of `but`: of two children one has another.
            let has_other = |&&child: &&usize| {
                let child = &self.nodes[child];
                child.entries > 1 || !child.sessions.contains(&but)
            };
            at = *node.children.iter().find(has_other)?;
        }
    }

    /// The nodes from the root to where `tokens` end, if a node ends there.
    fn path(&self, tokens: &[T]) -> Option<Vec<usize>> {
        let mut path = vec![ROOT];
        let mut at = ROOT;
        while self.nodes[at].end < tokens.len() {
            let place = self.child(at, tokens[self.nodes[at].end]).ok()?;
            at = self.nodes[at].children[place];
            let node = &self.nodes[at];
            if node.start + self.shared(at, tokens) < node.end {
                return None;
            }
            path.push(at);
        }
        Some(path)
    }

    /// Where the child is that goes on with `token`, or where it would be.
    fn child(&self, at: usize, token: T) -> Result<usize, usize> {
        let first = |&child: &usize| {
            let child = &self.nodes[child];
            child.tokens[child.start]
        };
        self.nodes[at].children.binary_search_by_key(&token, first)
    }

    /// How much of a node's own part `tokens` have, whose tokens before it are equal.
    fn shared(&self, at: usize, tokens: &[T]) -> usize {
        let node = &self.nodes[at];
        let own = &node.tokens[node.start..node.end];
        let theirs = &tokens[node.start..];
        own.iter().zip(theirs).take_while(|(a, b)| a == b).count()
    }

    /// Puts a node between another and its child, where the child's part has come to `depth`.
    fn split(&mut self, at: usize, place: usize, depth: usize) -> usize {
        let child = self.nodes[at].children[place];
        let lower = &mut self.nodes[child];
        let upper = Node {
            tokens: lower.tokens.clone(),
            start: lower.start,
            end: depth,
            children: vec![child],
            sessions: BTreeSet::new(),
            entries: lower.entries,
        };
        lower.start = depth;
        let upper = self.put(upper);
        self.nodes[at].children[place] = upper;
        upper
    }

    /// Removes a node that nothing passes through, and joins one that nothing parts at with its only child.
    fn tidy(&mut self, above: usize, at: usize) {
        let node = &self.nodes[at];
        let heir = match (node.entries, node.sessions.is_empty(), &node.children[..]) {
            (0, ..) => None,
            (_, true, &[child]) => Some(child),
            _ => return,
        };
        let start = node.start;
        let Some(place) = self.nodes[above].children.iter().position(|&c| c == at) else {
            return;
        };
        match heir {
            Some(child) => {
                self.nodes[child].start = start;
                self.nodes[above].children[place] = child;
            }
            None => drop(self.nodes[above].children.remove(place)),
        }
        self.nodes[at] = Node::new(Arc::default(), 0);
        self.free.push(at);
    }

    fn put(&mut self, node: Node<T>) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.nodes[place] = node;
                place
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        }
    }
}

#[cfg(test)]
mod tests;
