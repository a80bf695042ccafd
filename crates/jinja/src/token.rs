//! Words of a template.

/// A word and the line where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Line, from 1.
    pub line: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a word is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Text outside of tags.
    Data(String),
    /// `{{`.
    PrintBegin,
    /// `}}`.
    PrintEnd,
    /// `{%`.
    BlockBegin,
    /// `%}`.
    BlockEnd,
    /// A name or keyword.
    Name(String),
    /// A literal text, its escapes resolved.
    Text(String),
    /// A literal whole number.
    Int(i128),
    /// Another literal number.
    Float(f64),
    /// An operator or bracket.
    Sign(&'static str),
    /// The end of the template.
    End,
}

impl Kind {
    /// What it is, for messages.
    pub fn shown(&self) -> String {
        match self {
            Kind::Data(_) => "text".into(),
            Kind::PrintBegin => "'{{'".into(),
            Kind::PrintEnd => "'}}'".into(),
            Kind::BlockBegin => "'{%'".into(),
            Kind::BlockEnd => "'%}'".into(),
            Kind::Name(name) => format!("'{name}'"),
            Kind::Text(_) => "a literal text".into(),
            Kind::Int(_) | Kind::Float(_) => "a number".into(),
            Kind::Sign(sign) => format!("'{sign}'"),
            Kind::End => "the end of the template".into(),
        }
    }
}
