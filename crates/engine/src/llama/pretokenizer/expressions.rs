//! The expressions of llama.cpp's pre-tokenizers, by their numbers in its `llama_vocab_pre_type`.
//!
//! Data only. They are llama.cpp's own and not those of the models' makers: a model is used with the tokens that
//! llama.cpp gives it. Some of them llama.cpp has rewritten as loops; what those do is what the expression here says.
//! `(?=[\p{L}])[^a-z]` is written as the class that it is.

use super::Traits;
use super::stage::Tail;

/// What a pass is made from.
pub(super) enum Recipe {
    /// Alternatives over classes of characters, in order.
    Classes(&'static [&'static str], Tail),
    /// The same, where Chinese characters are in classes of their own: `\xDA` for letters, `\xDB` for the rest.
    Han(&'static [&'static str], Tail),
    /// An expression over the characters themselves.
    Wide(&'static str),
    /// Numbers in groups of three from their end, the first one with what stands before it.
    Digits,
    /// The place before each group of three ASCII digits, counted from their end.
    Thousands,
    /// Runs of line feeds, and of anything else.
    Newlines,
    /// White space at the end.
    LastBlanks,
}

use Recipe::{Classes, Digits, Han, LastBlanks, Newlines, Thousands, Wide};
use Tail::{Halving, KeepLast};

const CONTRACTION: &str = "'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])";
const LETTERS: &str = r"[^\r\n\p{L}\p{N}]?\p{L}+";
const NUMBER: &str = r"\p{N}";
const NUMBERS: &str = r"\p{N}{1,3}";
const SIGNS: &str = r" ?[^\s\p{L}\p{N}]+[\r\n]*";
const SIGNS_SLASHES: &str = r" ?[^\s\p{L}\p{N}]+[\r\n/]*";
const LINES: &str = r"\s*[\r\n]+";

/// Chinese and Japanese.
const HAN_KANA: &str = r"[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+";
/// East Asian scripts, and what lies between them.
const EAST_ASIAN: &str = r"[\u{4E00}-\u{9FA5}\u{800}-\u{4E00}\u{AC00}-\u{D7FF}]+";

/// A sign and ASCII letters, or letters with the combining marks among them.
const SIGN_LETTERS: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"##;
const LETTERS_COMBINED: &str = r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+";

/// GPT-2's own; white space after it.
const GPT2: Recipe = Classes(
    &[
        "'(?:[stmd]|re|ve|ll)",
        r" ?\p{L}+",
        r" ?\p{N}+",
        r" ?[^\s\p{L}\p{N}]+",
    ],
    KeepLast,
);
const LLAMA3: &[&str] = &[CONTRACTION, LETTERS, NUMBERS, SIGNS, LINES];
const QWEN2: Recipe = Classes(&[CONTRACTION, LETTERS, NUMBER, SIGNS, LINES], KeepLast);
/// Words that begin with large letters or end with small ones, with a contraction after them.
const GPT4O: &[Recipe] = &[Classes(
    &[
        r"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]*[\p{L}&&[^A-Z]]+(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?",
        r"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]+[\p{L}&&[^A-Z]]*(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?",
        NUMBERS,
        SIGNS_SLASHES,
        LINES,
    ],
    KeepLast,
)];
/// The same with combining marks among the letters.
const GRANITE: &[Recipe] = &[Classes(
    &[
        r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^a-z]]*[\p{L}\p{M}&&[^A-Z]]+(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?",
        r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^a-z]]+[\p{L}\p{M}&&[^A-Z]]*(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?",
        NUMBERS,
        SIGNS_SLASHES,
        LINES,
    ],
    KeepLast,
)];
const TEKKEN: &[Recipe] = &[Classes(
    &[
        r"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]*[\p{L}&&[^A-Z]]+",
        r"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]+[\p{L}&&[^A-Z]]*",
        NUMBER,
        SIGNS_SLASHES,
        LINES,
    ],
    KeepLast,
)];
/// Letters of any case with combining marks, and a contraction: llama.cpp does not tell their cases apart.
const ANY_CASE: &str =
    r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?";
const KIMI: &[Recipe] = &[Han(
    &[
        r"[\xDA\xDB]+",
        r"[^\r\n\p{L}\p{N}\xDA]?\p{L}+(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?",
        NUMBERS,
        r" ?[^\s\p{L}\p{N}\xDA]+[\r\n]*",
        LINES,
    ],
    KeepLast,
)];
const DEEPSEEK3: &[Recipe] = &[
    Classes(&[NUMBERS], Tail::None),
    Wide(HAN_KANA),
    Classes(
        &[
            SIGN_LETTERS,
            LETTERS_COMBINED,
            r" ?[\p{P}\p{S}]+[\r\n]*",
            LINES,
        ],
        KeepLast,
    ),
];
const SPARK: &[Recipe] = &[
    Classes(&[NUMBERS], Tail::None),
    Wide(HAN_KANA),
    Classes(
        &[
            SIGN_LETTERS,
            LETTERS_COMBINED,
            r" ?[\p{P}\p{S}]+",
            r"[\r\n]",
        ],
        KeepLast,
    ),
    Classes(&[NUMBER], Tail::None),
];
const DEEPSEEK_LLM: &[Recipe] = &[
    Wide(r"[\r\n]"),
    Wide(DEEPSEEK_LETTERS),
    Wide(r"\s?[!-/:-~\u{FF01}-\u{FF0F}\u{FF1A}-\u{FF5E}\u{2018}-\u{201F}\u{3000}-\u{3002}]+"),
    LastBlanks,
    Wide(EAST_ASIAN),
    Classes(&[r"\p{N}+"], Tail::None),
];
const DEEPSEEK_CODER: &[Recipe] = &[
    Wide(r"[\r\n]"),
    Classes(&[r"\s?\p{L}+"], Tail::None),
    Classes(&[r"\s?\p{P}+"], Tail::None),
    Wide(EAST_ASIAN),
    Classes(&[NUMBER], Tail::None),
];
const FALCON: &[Recipe] = &[
    Classes(&[r"[\p{P}\$\+<=>\^~\|`]+"], Tail::None),
    GPT2,
    Wide("[0-9][0-9][0-9]"),
];
/// What a file gets that names no pre-tokenizer.
const DEFAULT: &[Recipe] = &[
    Classes(&[r"[\p{P}\$\+<=>\^~\|]+"], Tail::None),
    GPT2,
    Classes(&[r"\p{N}+"], Tail::None),
    Wide("[0-9][0-9][0-9]"),
];
const YOUTU: &[Recipe] = &[
    Wide(concat!(
        r"[\u{AC00}-\u{D7A3}\u{3131}-\u{318E}]+|[\u{FF01}\u{2026}\u{201C}\u{201D}\u{2018}\u{2019}",
        r"\u{2014}\u{FF1A}\u{FF1B}\u{FF0C}\u{3001}-\u{303F}\u{FE30}-\u{FE4F}]+|[\u{3105}-\u{312F}]+|",
        r"[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+",
    )),
    Classes(&[ANY_CASE, NUMBER, SIGNS_SLASHES, LINES], KeepLast),
];
const CHAMELEON: &[Recipe] = &[
    Wide("<sentinel:[0-9]+>"),
    Wide("IMGIMG[A-I]{1,4}Z"),
    Wide(r"[\t\n]|    |  "),
    Classes(&[NUMBER], Tail::None),
    Classes(&[r"[\p{P}!-/:-@\[-`{-~]"], Tail::None),
    GPT2,
];
const AFMOE: &[Recipe] = &[
    Digits,
    Wide(concat!(
        r"[\u{4E00}-\u{9FFF}\u{3400}-\u{4DBF}\u{8C48}-\u{FAFF}\u{3040}-\u{309F}\u{30A0}-\u{30FF}",
        r"\u{FF65}-\u{FF9F}\u{2F00}-\u{2FDF}\u{E40}-\u{E7F}\u{E80}-\u{EFF}\u{1780}-\u{17FF}\u{1000}-",
        r"\u{109F}\u{AA60}-\u{AA7F}\u{A9E0}-\u{A9FF}\u{AC00}-\u{D7AF}\u{1100}-\u{11FF}]+",
    )),
    Classes(
        &[
            SIGN_LETTERS,
            LETTERS_COMBINED,
            r" ?[\p{P}\p{S}]+[\r\n]*",
            LINES,
        ],
        KeepLast,
    ),
];
const EXAONE_MOE: &[Recipe] = &[Classes(
    &[
        CONTRACTION,
        r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+",
        NUMBER,
        r" ?[^\s\p{L}\p{N}]+[\r\n/]?",
        r"\s*[\r\n]",
    ],
    KeepLast,
)];
const BLOOM: Recipe = Wide(r" ?[^(\s|.,!?\u{2026}\u{3002}\u{FF0C}\u{3001}\u{964}\u{6D4}\u{60C})]+");

/// The passes of pre-tokenizer `pre`; `None` for a number that the pinned llama.cpp does not have.
pub(super) fn of(pre: i32) -> Option<(&'static [Recipe], Traits)> {
    let raw = Traits {
        is_raw: true,
        ..Traits::default()
    };
    let traits = match pre {
        50 => Traits {
            keeps_newlines: true,
            ..raw
        },
        60 => Traits {
            keeps_newlines: true,
            begins_words: true,
            ..raw
        },
        51 | 53 => raw,
        _ => Traits::default(),
    };
    let recipes: &[Recipe] = match pre {
        // Numbers without expressions of their own: these are what llama.cpp falls back to.
        0 | 16 | 33 | 34 => DEFAULT,
        1 | 13 | 14 | 17 => &[Classes(LLAMA3, KeepLast)],
        2 => DEEPSEEK_LLM,
        3 => DEEPSEEK_CODER,
        4 => FALCON,
        5 | 7 | 12 | 19 | 31 | 40 => &[GPT2],
        6 | 8 | 9 | 21 | 22 | 25 | 27 | 55 => &[Classes(&[NUMBER], Tail::None), GPT2],
        10 | 11 | 36 | 39 | 43 => &[QWEN2],
        15 | 23 | 24 => &[BLOOM],
        18 => &[BLOOM, Classes(&[NUMBER], Tail::None)],
        20 => TEKKEN,
        26 => CHAMELEON,
        28 | 38 | 48 | 57 => DEEPSEEK3,
        29 | 41 => GPT4O,
        30 => &[Classes(&[r"\p{N}+"], Tail::None), Thousands],
        32 => &[Classes(
            &[
                "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])",
                LETTERS,
                NUMBER,
                SIGNS,
                r"\s*[\r\n]",
            ],
            KeepLast,
        )],
        35 => &[Classes(
            &[
                CONTRACTION,
                LETTERS,
                NUMBER,
                r" ?[^\s\p{L}\p{N}\r\n]+",
                LINES,
            ],
            KeepLast,
        )],
        37 => KIMI,
        42 => AFMOE,
        44 => YOUTU,
        45 => EXAONE_MOE,
        46 => &[Classes(
            &[
                CONTRACTION,
                r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
                NUMBER,
                r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
                LINES,
            ],
            KeepLast,
        )],
        47 => &[
            Digits,
            Classes(&[ANY_CASE, NUMBERS, SIGNS_SLASHES, LINES], KeepLast),
        ],
        49 => &[Classes(LLAMA3, Halving)],
        50 | 51 | 60 => &[Newlines],
        52 => &[
            Classes(&[NUMBERS], Tail::None),
            Classes(&[CONTRACTION, LETTERS, r"\p{N}+", SIGNS, LINES], KeepLast),
        ],
        53 => &[Wide(r"\S+")],
        54 => GRANITE,
        56 => &[Newlines, QWEN2],
        58 => SPARK,
        59 => &[Classes(&[LETTERS, NUMBER, SIGNS, LINES], KeepLast)],
        _ => return None,
    };
    Some((recipes, traits))
}

/// Letters of alphabets, after at most one blank.
const DEEPSEEK_LETTERS: &str = concat!(
    r"\s?[A-Za-z\u{B5}\u{C0}-\u{D6}\u{D8}-\u{F6}\u{F8}-\u{1BA}\u{1BC}-\u{1BF}\u{1C4}-\u{293}\u{295}-",
    r"\u{2AF}\u{370}-\u{373}\u{376}\u{377}\u{37B}-\u{37D}\u{37F}\u{386}\u{388}-\u{38A}\u{38C}\u{38E}-",
    r"\u{3A1}\u{3A3}-\u{3F5}\u{3F7}-\u{481}\u{48A}-\u{52F}\u{531}-\u{556}\u{10A0}-\u{10C5}\u{13A0}-",
    r"\u{13F5}\u{13F8}-\u{13FD}\u{1C90}-\u{1CBA}\u{1CBD}-\u{1CBF}\u{1D00}-\u{1D2B}\u{1D6B}-\u{1D77}",
    r"\u{1D79}-\u{1D9A}\u{1E00}-\u{1F15}\u{1F18}-\u{1F1D}\u{1F20}-\u{1F45}\u{1F48}-\u{1F4D}\u{1F50}-",
    r"\u{1F57}\u{1F59}\u{1F5B}\u{1F5D}\u{1F5F}-\u{1F7D}\u{1F80}-\u{1FB4}\u{1FB6}-\u{1FBC}\u{1FBE}\u{1FC2}-",
    r"\u{1FC4}\u{1FC6}-\u{1FCC}\u{1FD0}-\u{1FD3}\u{1FD6}-\u{1FDB}\u{1FE0}-\u{1FEC}\u{1FF2}-\u{1FF4}",
    r"\u{1FF6}-\u{1FFC}\u{2102}\u{2107}\u{210A}-\u{2113}\u{2115}\u{2119}-\u{211D}\u{2124}\u{2126}\u{2128}",
    r"\u{212A}-\u{212D}\u{212F}-\u{2134}\u{2139}\u{213C}-\u{213F}\u{2145}-\u{2149}\u{214E}\u{2183}\u{2184}",
    r"\u{2C00}-\u{2C7B}\u{2C7E}-\u{2CE4}\u{2CEB}-\u{2CEE}\u{2CF2}\u{2CF3}\u{A640}-\u{A66D}\u{A680}-",
    r"\u{A69B}\u{A722}-\u{A76F}\u{A771}-\u{A787}\u{A78B}-\u{A78E}\u{AB70}-\u{ABBF}\u{FB00}-\u{FB06}",
    r"\u{FB13}-\u{FB17}\u{FF21}-\u{FF3A}\u{FF41}-\u{FF5A}\u{10400}-\u{1044F}\u{104B0}-\u{104D3}\u{104D8}-",
    r"\u{104FB}\u{10C80}-\u{10CB2}\u{10CC0}-\u{10CF2}\u{118A0}-\u{118DF}\u{1E900}-\u{1E943}]+",
);
