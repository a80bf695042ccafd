//! A template's text as words: tags, the blanks that they take away around them, and literals.

use crate::error::{Error, Result};
use crate::token::{Kind, Token};
use crate::words::is_space;

/// Longer ones first, so that the first that fits is the one that is meant.
const SIGNS: [&str; 27] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{", "}",
    "<", ">", "=", ".", ":", "|", ",", ";", "!",
];

/// Takes `source` apart. Errors: `Syntax`.
pub fn words(source: &str) -> Result<Vec<Token>> {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    if source.ends_with('\n') {
        source.pop();
    }
    let mut lexer = Lexer {
        source: &source,
        at: 0,
        line: 1,
        tokens: Vec::new(),
    };
    lexer.run()?;
    let line = lexer.line;
    lexer.tokens.push(Token {
        line,
        kind: Kind::End,
    });
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    line: u32,
    tokens: Vec<Token>,
}

/// How a tag ends: what it takes away behind itself.
#[derive(Clone, Copy, PartialEq)]
enum Close {
    /// A line break that follows at once.
    Line,
    /// Nothing.
    Nothing,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn fail(&self, reason: impl Into<String>) -> Error {
        Error::Syntax {
            line: self.line,
            reason: reason.into(),
        }
    }

    fn push(&mut self, kind: Kind) {
        let line = self.line;
        self.tokens.push(Token { line, kind });
    }

    fn advance(&mut self, bytes: usize) {
        let passed = &self.source[self.at..self.at + bytes];
        self.line += passed.bytes().filter(|&b| b == b'\n').count() as u32;
        self.at += bytes;
    }

    fn run(&mut self) -> Result<()> {
        let mut starts_line = true;
        loop {
            let rest = self.rest();
            let Some(open) = opening(rest) else {
                if !rest.is_empty() {
                    self.push(Kind::Data(rest.to_owned()));
                    self.advance(rest.len());
                }
                return Ok(());
            };
            let sign = rest[open + 2..].chars().next();
            let is_print = rest[open..].starts_with("{{");
            let text = kept_before(&rest[..open], sign, is_print, starts_line);
            if !text.is_empty() {
                self.push(Kind::Data(text.to_owned()));
            }
            let signed = usize::from(matches!(sign, Some('-' | '+')));
            self.advance(open + 2 + signed);
            match rest.as_bytes()[open + 1] {
                b'{' => {
                    self.push(Kind::PrintBegin);
                    self.tag("}}", Kind::PrintEnd, Close::Nothing)?;
                }
                b'#' => self.comment()?,
                _ => match self.raw()? {
                    true => {}
                    false => {
                        self.push(Kind::BlockBegin);
                        self.tag("%}", Kind::BlockEnd, Close::Line)?;
                    }
                },
            }
            starts_line = self.source[..self.at].ends_with('\n');
        }
    }

    /// The words of a tag up to its end.
    fn tag(&mut self, end: &str, kind: Kind, close: Close) -> Result<()> {
        let mut open = 0_usize;
        loop {
            let blank = self.rest().len() - self.rest().trim_start_matches(is_space).len();
            self.advance(blank);
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return Err(self.fail(format!("a tag has no end '{end}'")));
            };
            if open == 0
                && let Some(bytes) = closing(rest, end, close)
            {
                self.push(kind);
                self.advance(bytes);
                return Ok(());
            }
            if first.is_ascii_digit() {
                self.number()?;
            } else if first == '_' || first.is_alphabetic() {
                let is_part = |c: char| c == '_' || c.is_alphanumeric();
                let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                self.push(Kind::Name(rest[..len].to_owned()));
                self.advance(len);
            } else if matches!(first, '\'' | '"') {
                self.text(first)?;
            } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                match *sign {
                    "{" | "[" | "(" => open += 1,
                    "}" | "]" | ")" => {
                        open = open
                            .checked_sub(1)
                            .ok_or_else(|| self.fail(format!("'{sign}' was not opened")))?;
                    }
                    _ => {}
                }
                self.push(Kind::Sign(sign));
                self.advance(sign.len());
            } else {
                return Err(self.fail(format!("'{first}' has no meaning here")));
            }
        }
    }

    fn comment(&mut self) -> Result<()> {
        let rest = self.rest();
        let end = rest
            .find("#}")
            .ok_or_else(|| self.fail("a comment has no end '#}'"))?;
        let sign = rest[..end].chars().next_back();
        let signed = usize::from(matches!(sign, Some('-' | '+')));
        let from = end - signed;
        let bytes = closing(&rest[from..], "#}", Close::Line).unwrap_or(2);
        self.advance(from + bytes);
        Ok(())
    }

    /// A `raw` block, whose opening has been passed up to its name.
    fn raw(&mut self) -> Result<bool> {
        let rest = self.rest();
        let Some(behind) = rest.trim_start_matches(is_space).strip_prefix("raw") else {
            return Ok(false);
        };
        let behind = behind.trim_start_matches(is_space);
        let Some(bytes) = closing(behind, "%}", Close::Nothing) else {
            return Ok(false);
        };
        self.advance(rest.len() - behind.len() + bytes);
        let body = self.rest();
        let mut from = 0;
        while let Some(open) = body[from..].find("{%").map(|at| at + from) {
            from = open + 2;
            let tag = &body[from..];
            let sign = tag.chars().next();
            let name = tag.trim_start_matches(['-', '+']);
            if tag.len() - name.len() > 1 {
                continue;
            }
            let Some(behind) = name.trim_start_matches(is_space).strip_prefix("endraw") else {
                continue;
            };
            let behind = behind.trim_start_matches(is_space);
            if let Some(bytes) = closing(behind, "%}", Close::Line) {
                let text = kept_before(&body[..open], sign, false, false);
                self.push(Kind::Data(text.to_owned()));
                self.advance(body.len() - behind.len() + bytes);
                return Ok(true);
            }
        }
        Err(self.fail("'raw' has no 'endraw'"))
    }

    fn number(&mut self) -> Result<()> {
        let rest = self.rest();
        let radix = match rest.get(..2) {
            Some("0x" | "0X") => 16,
            Some("0o" | "0O") => 8,
            Some("0b" | "0B") => 2,
            _ => 10,
        };
        let digits = |text: &str, radix: u32| {
            let is_part = |c: char| c == '_' || c.is_digit(radix);
            text.find(|c| !is_part(c)).unwrap_or(text.len())
        };
        let plain = |text: &str| text.replace('_', "");
        if radix != 10 {
            let len = 2 + digits(&rest[2..], radix);
            let value = i128::from_str_radix(&plain(&rest[2..len]), radix);
            let value = value.map_err(|_| self.fail("a number is too large or has no digits"))?;
            self.push(Kind::Int(value));
            self.advance(len);
            return Ok(());
        }
        let mut len = digits(rest, 10);
        let mut is_float = false;
        if let Some(fraction) = rest[len..].strip_prefix('.')
            && fraction.starts_with(|c: char| c.is_ascii_digit())
        {
            is_float = true;
            len += 1 + digits(fraction, 10);
        }
        if let Some(exponent) = rest[len..].strip_prefix(['e', 'E']) {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
                is_float = true;
                len += 1 + exponent.len() - unsigned.len() + digits(unsigned, 10);
            }
        }
        let text = plain(&rest[..len]);
        let kind = match is_float {
            true => text.parse().ok().map(Kind::Float),
            false => text.parse().ok().map(Kind::Int),
        };
        let kind = kind.ok_or_else(|| self.fail("a number is too large"))?;
        self.push(kind);
        self.advance(len);
        Ok(())
    }

    fn text(&mut self, quote: char) -> Result<()> {
        let rest = self.rest();
        let mut text = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.push(Kind::Text(text));
                self.advance(at + 1);
                return Ok(());
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            let Some((_, escape)) = chars.next() else {
                break;
            };
            let digits = match escape {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            if digits > 0 {
                let from = at + 2;
                let mut code = self.code(rest, from, digits)?;
                let mut taken = digits;
                if (0xd800..0xdc00).contains(&code) && rest[from + 4..].starts_with("\\u") {
                    let low = self.code(rest, from + 6, 4)?;
                    if (0xdc00..0xe000).contains(&low) {
                        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                        taken += 6;
                    }
                }
                let c = char::from_u32(code)
                    .ok_or_else(|| self.fail("an escape stands for no character"))?;
                text.push(c);
                for _ in 0..taken {
                    chars.next();
                }
                continue;
            }
            match escape {
                '\n' => {}
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'a' => text.push('\u{7}'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'v' => text.push('\u{b}'),
                '\\' | '\'' | '"' => text.push(escape),
                '0'..='7' => {
                    let digits: String = rest[at + 1..]
                        .chars()
                        .take(3)
                        .take_while(|c| c.is_digit(8))
                        .collect();
                    let code = u32::from_str_radix(&digits, 8).unwrap_or(0);
                    text.extend(char::from_u32(code));
                    for _ in 1..digits.len() {
                        chars.next();
                    }
                }
                other => text.extend(['\\', other]),
            }
        }
        Err(self.fail("a literal text has no end"))
    }

    fn code(&self, text: &str, from: usize, digits: usize) -> Result<u32> {
        text.get(from..from + digits)
            .filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|code| u32::from_str_radix(code, 16).ok())
            .ok_or_else(|| self.fail("an escape lacks digits"))
    }
}

/// Where the next tag begins.
fn opening(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = text[from..].find('{').map(|at| at + from) {
        if matches!(bytes.get(at + 1), Some(b'{' | b'%' | b'#')) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// What a tag leaves of the text before it.
fn kept_before(text: &str, sign: Option<char>, is_print: bool, starts_line: bool) -> &str {
    match sign {
        Some('-') => text.trim_end_matches(is_space),
        Some('+') => text,
        _ if is_print => text,
        _ => {
            let line = text.rfind('\n').map_or(0, |at| at + 1);
            let is_indent = (line > 0 || starts_line) && text[line..].chars().all(is_space);
            if is_indent { &text[..line] } else { text }
        }
    }
}

/// The length of the tag's end at the start of `text`, with what it takes away behind it.
fn closing(text: &str, end: &str, close: Close) -> Option<usize> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let behind = unsigned.strip_prefix(end)?;
    let taken = match text.as_bytes()[0] {
        b'-' => behind.len() - behind.trim_start_matches(is_space).len(),
        b'+' if end != "}}" => 0,
        b'+' => return None,
        _ => usize::from(close == Close::Line && behind.starts_with('\n')),
    };
    Some(text.len() - behind.len() + taken)
}
