//! The categories of log lines: what a line is about, by the target that its writer names.

/// Every category by its name, which is the same in the configuration, in log targets and in lines.
pub const NAMES: [&str; 10] = [
    "backend",
    "config",
    "model",
    "session",
    "queue",
    "inference",
    "sampling",
    "memory",
    "engine",
    "events",
];

/// The place of `engine`, which takes the lines of targets that are not ours.
const ENGINE: usize = 8;

/// The place in [`NAMES`] of a log target's category: its own where it is one of ours, else that of `engine`.
pub fn index(target: &str) -> usize {
    NAMES
        .iter()
        .position(|name| *name == target)
        .unwrap_or(ENGINE)
}

/// The name of a log target's category.
pub fn name(target: &str) -> &'static str {
    NAMES[index(target)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_targets_belong_to_the_engine() {
        assert_eq!(name("minijinja"), "engine");
        assert_eq!(name("engine"), "engine");
        assert_eq!(name("memory"), "memory");
    }
}
