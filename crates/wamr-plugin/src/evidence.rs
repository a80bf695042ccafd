//! From what is known of a host to its generation: pure.
//!
//! In order of trust:
//!
//! | # | Evidence | Says |
//! | --- | --- | --- |
//! | 0 | the setting of whoever runs the host | final |
//! | 1 | the host's version: from 2.4 on it is B | the generation |
//! | 2 | the host's table of functions | the flavour; a legacy one that loads by name is B |
//! | 3 | the first `get_output`: `out` lies on the stack on B, in guest memory on A | what is open; for outputs all |
//! | 4 | nothing | open for inputs, and no outputs: what is a struct of the host on B is the guest's own memory on A |
//!
//! For outputs number 3 outweighs 1 and 2, because a development snapshot of June 2025 mixes both layouts. Does not know
//! how the evidence is found.

use crate::abi::{Abi, Flavour};

/// What is known of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Number 0.
    pub(crate) setting: Option<Abi>,
    /// Number 1: major and minor.
    pub(crate) version: Option<(u32, u32)>,
    /// Number 2.
    pub(crate) exports: Option<Exports>,
    /// Number 3; none before the first `get_output`, and where the test says nothing.
    pub(crate) is_output_on_stack: Option<bool>,
}

/// What a host's own table of wasi-nn functions shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exports {
    pub(crate) flavour: Flavour,
    pub(crate) has_load_by_name: bool,
}

/// How a host is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The generation for everything but outputs; none while it is open.
    pub(crate) abi: Option<Abi>,
    /// The generation for outputs; none where nothing is known, and then they are refused.
    pub(crate) output: Option<Abi>,
    pub(crate) flavour: Flavour,
    /// Whether the first output looks otherwise than everything before it.
    pub(crate) is_contradicted: bool,
}

/// The generation of a host.
pub(crate) fn decide(evidence: &Evidence) -> Verdict {
    let before = evidence
        .setting
        .or(evidence.version.map(of_version))
        .or(evidence.exports.and_then(of_exports));
    let stack = evidence
        .is_output_on_stack
        .map(|is_there| if is_there { Abi::B } else { Abi::A })
        .filter(|_| evidence.setting.is_none());
    Verdict {
        abi: before.or(stack),
        output: stack.or(before),
        flavour: evidence
            .exports
            .map_or(Flavour::Ephemeral, |exports| exports.flavour),
        is_contradicted: before.is_some() && stack.is_some_and(|stack| before != Some(stack)),
    }
}

fn of_version(version: (u32, u32)) -> Abi {
    if version >= (2, 4) { Abi::B } else { Abi::A }
}

fn of_exports(exports: Exports) -> Option<Abi> {
    (exports.flavour == Flavour::Legacy && exports.has_load_by_name).then_some(Abi::B)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Evidence = Evidence {
        setting: None,
        version: None,
        exports: None,
        is_output_on_stack: None,
    };

    fn table(flavour: Flavour, has_load_by_name: bool) -> Option<Exports> {
        Some(Exports {
            flavour,
            has_load_by_name,
        })
    }

    fn check(
        evidence: Evidence,
        abi: Option<Abi>,
        output: impl Into<Option<Abi>>,
        is_contradicted: bool,
    ) {
        let (verdict, output) = (decide(&evidence), output.into());
        assert_eq!(
            (verdict.abi, verdict.output, verdict.is_contradicted),
            (abi, output, is_contradicted),
            "{evidence:?}"
        );
    }

    #[test]
    fn setting_is_final() {
        for (setting, stack, version) in [
            (Abi::A, true, (2, 4)),
            (Abi::A, false, (2, 3)),
            (Abi::B, false, (2, 3)),
            (Abi::B, true, (3, 0)),
        ] {
            let evidence = Evidence {
                setting: Some(setting),
                version: Some(version),
                exports: table(Flavour::Legacy, true),
                is_output_on_stack: Some(stack),
            };
            check(evidence, Some(setting), setting, false);
        }
    }

    #[test]
    fn version_decides_before_the_first_output() {
        for (version, abi) in [
            ((2, 2), Abi::A),
            ((2, 3), Abi::A),
            ((1, 9), Abi::A),
            ((2, 4), Abi::B),
            ((2, 11), Abi::B),
            ((3, 0), Abi::B),
        ] {
            let evidence = Evidence {
                version: Some(version),
                ..NONE
            };
            check(evidence, Some(abi), abi, false);
        }
    }

    #[test]
    fn table_of_a_legacy_host_that_loads_by_name_is_that_of_b() {
        let with = |exports| Evidence { exports, ..NONE };
        check(
            with(table(Flavour::Legacy, true)),
            Some(Abi::B),
            Abi::B,
            false,
        );
        check(with(table(Flavour::Legacy, false)), None, None, false);
        check(with(table(Flavour::Ephemeral, true)), None, None, false);
        check(with(table(Flavour::Ephemeral, false)), None, None, false);
        let older = Evidence {
            version: Some((2, 3)),
            ..with(table(Flavour::Legacy, true))
        };
        check(older, Some(Abi::A), Abi::A, false);
    }

    #[test]
    fn first_output_decides_what_is_open_and_outweighs_the_version_for_outputs_alone() {
        let seen = |is_on_stack| Evidence {
            is_output_on_stack: Some(is_on_stack),
            ..NONE
        };
        check(seen(true), Some(Abi::B), Abi::B, false);
        check(seen(false), Some(Abi::A), Abi::A, false);
        let dated = |version, is_on_stack| Evidence {
            version: Some(version),
            ..seen(is_on_stack)
        };
        check(dated((2, 4), true), Some(Abi::B), Abi::B, false);
        check(dated((2, 3), false), Some(Abi::A), Abi::A, false);
        check(dated((2, 4), false), Some(Abi::B), Abi::A, true);
        check(dated((2, 3), true), Some(Abi::A), Abi::B, true);
    }

    #[test]
    fn nothing_known_is_open_for_inputs_and_none_for_outputs() {
        check(NONE, None, None, false);
    }

    #[test]
    fn flavour_is_that_of_the_table_and_ephemeral_without_one() {
        let flavour = |exports| decide(&Evidence { exports, ..NONE }).flavour;
        assert_eq!(flavour(None), Flavour::Ephemeral);
        let legacy = table(Flavour::Legacy, false);
        assert_eq!(flavour(legacy), Flavour::Legacy);
        let ephemeral = table(Flavour::Ephemeral, true);
        assert_eq!(flavour(ephemeral), Flavour::Ephemeral);
    }
}
