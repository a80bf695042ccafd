//! Rows of section `sampling`: which of the probable tokens is chosen.

use super::{SamplerName, Seed};
use crate::config::key::{Ints, Key, Kind};
use crate::config::list;
use crate::config::value::{Word, words};

/// The seed that means random at every door, as llama.cpp has it.
const RANDOM_SEED: i64 = u32::MAX as i64;

pub(super) static CHOICE: &[Key] = &[
    Key::int(
        "seed",
        Ints::new(-1, RANDOM_SEED),
        |config| match config.sampling.seed {
            Seed::Random => -1,
            Seed::Fixed(seed) => seed.into(),
        },
        |config, seed| {
            config.sampling.seed = match seed {
                -1 | RANDOM_SEED => Seed::Random,
                seed => Seed::Fixed(seed as u32),
            };
        },
    )
    .per_call()
    .minus_one_as_loaded()
    .about(
        "Where randomness starts. -1 (at init and load) and 4294967295: a new one \
         for every turn.",
    ),
    Key::number(
        "temp",
        (0.0, 100.0),
        |config| config.sampling.temp,
        |config, value| config.sampling.temp = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .read_as(&["temp", "temperature"])
    .read_at_run_as(&["temperature", "temp"])
    .about("Temperature. 0: always the most probable token."),
    Key::int(
        "top_k",
        Ints::new(-1, 1_000_000),
        |config| config.sampling.top_k.into(),
        |config, count| config.sampling.top_k = count as i32,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Keep the k most probable tokens. 0: off, at init and load also -1."),
    Key::number(
        "top_p",
        (0.0, 1.0),
        |config| config.sampling.top_p,
        |config, value| config.sampling.top_p = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .read_as(&["topP", "top_p"])
    .about("Keep the most probable tokens that add up to p. 1: off; 0: one token."),
    Key::number(
        "min_p",
        (0.0, 1.0),
        |config| config.sampling.min_p,
        |config, value| config.sampling.min_p = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Keep tokens of at least this share of the best one's probability. 0: off."),
    Key::number(
        "typical_p",
        (0.0, 1.0),
        |config| config.sampling.typical_p,
        |config, value| config.sampling.typical_p = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Keep locally typical tokens. 1: off."),
    Key::number(
        "top_n_sigma",
        (-1.0, 100.0),
        |config| config.sampling.top_n_sigma,
        |config, value| config.sampling.top_n_sigma = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about(
        "Keep logits within n standard deviations of the best. 0: off, at init and \
         load also -1.",
    ),
    Key::number(
        "xtc_probability",
        (0.0, 1.0),
        |config| config.sampling.xtc_probability,
        |config, value| config.sampling.xtc_probability = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Chance that the top choices are dropped. 0: off."),
    Key::number(
        "xtc_threshold",
        (0.0, 1.0),
        |config| config.sampling.xtc_threshold,
        |config, value| config.sampling.xtc_threshold = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Probability from which on a token is a top choice."),
    Key::number(
        "dynatemp_range",
        (0.0, 100.0),
        |config| config.sampling.dynatemp_range,
        |config, value| config.sampling.dynatemp_range = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Range of the temperature that follows entropy. 0: off."),
    Key::number(
        "dynatemp_exponent",
        (0.0, 100.0),
        |config| config.sampling.dynatemp_exponent,
        |config, value| config.sampling.dynatemp_exponent = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("How that temperature follows entropy."),
    Key::number(
        "repeat_penalty",
        (0.1, 10.0),
        |config| config.sampling.repeat_penalty,
        |config, value| config.sampling.repeat_penalty = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Divides the logits of repeated tokens. 1: off."),
    Key::number(
        "presence_penalty",
        (-10.0, 10.0),
        |config| config.sampling.presence_penalty,
        |config, value| config.sampling.presence_penalty = value,
    )
    .per_call()
    .about(
        "Subtracted once from the logit of a token that has appeared. Negative \
         values are honoured.",
    ),
    Key::number(
        "frequency_penalty",
        (-10.0, 10.0),
        |config| config.sampling.frequency_penalty,
        |config, value| config.sampling.frequency_penalty = value,
    )
    .per_call()
    .about(
        "Subtracted from a token's logit for every time that it has appeared. \
         Negative values are honoured.",
    ),
    Key::int(
        "penalty_last_n",
        Ints::new(-1, 1_048_576),
        |config| config.sampling.penalty_last_n.into(),
        |config, count| config.sampling.penalty_last_n = count as i32,
    )
    .per_call()
    .minus_one_as_loaded()
    .read_as(&["penalty_last_n", "repeat_last_n"])
    .about(
        "Tokens that the three penalties look back on. 0: off; -1 (at init and \
         load): the whole context.",
    ),
    Key::int(
        "mirostat",
        Ints::new(0, 2),
        |config| config.sampling.mirostat.into(),
        |config, count| config.sampling.mirostat = count as u32,
    )
    .per_call()
    .minus_one_as_loaded()
    .about(
        "Version of the sampler that takes the place of top_k, top_p, min_p and \
         typical_p. 0: off.",
    ),
    Key::number(
        "mirostat_tau",
        (0.0, 100.0),
        |config| config.sampling.mirostat_tau,
        |config, value| config.sampling.mirostat_tau = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Mirostat's target entropy."),
    Key::number(
        "mirostat_eta",
        (0.0, 1.0),
        |config| config.sampling.mirostat_eta,
        |config, value| config.sampling.mirostat_eta = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Mirostat's learning rate."),
    Key::number(
        "dry_multiplier",
        (0.0, 100.0),
        |config| config.sampling.dry_multiplier,
        |config, value| config.sampling.dry_multiplier = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Strength of the penalty on repeated sequences. 0: off."),
    Key::number(
        "dry_base",
        (1.0, 100.0),
        |config| config.sampling.dry_base,
        |config, value| config.sampling.dry_base = value,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Growth of that penalty per repeated token."),
    Key::int(
        "dry_allowed_length",
        Ints::new(0, 1_048_576),
        |config| config.sampling.dry_allowed_length.into(),
        |config, count| config.sampling.dry_allowed_length = count as u32,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Repeated tokens without a penalty."),
    Key::int(
        "dry_penalty_last_n",
        Ints::new(-1, 1_048_576),
        |config| config.sampling.dry_penalty_last_n.into(),
        |config, count| config.sampling.dry_penalty_last_n = count as i32,
    )
    .per_call()
    .minus_one_as_loaded()
    .about(
        "Tokens that it looks back on. 0: off; -1 (at init and load): the whole \
         context.",
    ),
    Key::new(
        "dry_sequence_breakers",
        Kind::Strings {
            shape: list::Strings {
                most: 64,
                // llama.cpp looks at no more of one.
                max_bytes: 40,
                or_one: false,
                joined: false,
            },
            get: |config| &config.sampling.dry_sequence_breakers,
            set: |config, texts| config.sampling.dry_sequence_breakers = texts,
        },
    )
    .per_call()
    .about("Texts that end a repeated sequence. Empty: none."),
    Key::new(
        "samplers",
        Kind::Words {
            list: words::<SamplerName>,
            get: |config| {
                let order = config.sampling.samplers.as_ref()?;
                Some(order.iter().map(|name| name.word()).collect())
            },
            set: |config, order| {
                let order = order.iter().filter_map(|word| SamplerName::of(word));
                config.sampling.samplers = Some(order.collect());
            },
        },
    )
    .per_call()
    .about("Order and choice of the filters. Unless written: the documented order."),
    Key::bool(
        "deterministic",
        |config| config.sampling.deterministic,
        |config, on| config.sampling.deterministic = on,
    )
    .per_call()
    .about(
        "The turn runs in engine calls of its own, so that its text does not depend \
         on what runs beside it. Slower.",
    ),
];
