//! Statements of a template from its words.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ast::{
    Args, Block, CALLER, Expr, Filter, For, KWARGS, Literal, MacroDef, Node, SPECIAL, Statement,
    Symbol, Target, VARARGS,
};
use crate::error::{Error, Limit, Result};
use crate::token::{Kind, Token};

/// Levels of tags and expressions inside each other. One takes some ten calls of the parser.
pub const MAX_PARSE_LEVELS: u32 = 120;

/// Parameters of a macro by name, and the defaults of the last of them.
type Params = (Vec<(Symbol, Literal)>, Vec<Expr>);

/// A parsed template.
pub struct Parsed {
    /// What it does.
    pub body: Block,
    /// Names, by symbol.
    pub names: Vec<Box<str>>,
    /// Literal texts.
    pub literals: Vec<Box<str>>,
}

/// Parses the words of a template. Errors: `Syntax`; `Limit` where it is nested too deep.
pub fn parse(tokens: Vec<Token>) -> Result<Parsed> {
    let mut parser = Parser {
        tokens,
        at: 0,
        level: 0,
        names: SPECIAL.iter().map(|&name| name.into()).collect(),
        symbols: HashMap::new(),
        literals: Vec::new(),
        known: HashMap::new(),
        macros: Vec::new(),
        loops: 0,
        suffixes: 0,
    };
    for (n, name) in SPECIAL.iter().enumerate() {
        parser.symbols.insert((*name).into(), Symbol(n as u32));
    }
    let body = parser.block(&[])?;
    Ok(Parsed {
        body,
        names: parser.names,
        literals: parser.literals,
    })
}

/// Which special names a macro's body asks for.
#[derive(Default)]
struct Asked {
    more: bool,
    named: bool,
    caller: bool,
}

/// Reads words one after the other.
pub struct Parser {
    tokens: Vec<Token>,
    at: usize,
    level: u32,
    names: Vec<Box<str>>,
    symbols: HashMap<Box<str>, Symbol>,
    literals: Vec<Box<str>>,
    known: HashMap<Box<str>, Literal>,
    macros: Vec<Asked>,
    /// Loops around the current statement, up to the macro that it stands in.
    loops: u32,
    /// Suffixes on the way to the value that is being read.
    pub suffixes: u32,
}

impl Parser {
    /// The current word.
    pub fn peek(&self) -> &Kind {
        &self.tokens[self.at.min(self.tokens.len() - 1)].kind
    }

    /// The word behind it.
    pub fn peek_second(&self) -> &Kind {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].kind
    }

    fn line(&self) -> u32 {
        self.tokens[self.at.min(self.tokens.len() - 1)].line
    }

    /// Takes the current word.
    pub fn next(&mut self) -> Kind {
        let kind = self.peek().clone();
        self.at += 1;
        kind
    }

    /// An error at the current word.
    pub fn fail(&self, reason: impl Into<String>) -> Error {
        Error::Syntax {
            line: self.line(),
            reason: reason.into(),
        }
    }

    /// The current word was not to be expected.
    pub fn unexpected(&self, expected: &str) -> Error {
        self.fail(format!(
            "{expected} was expected, {} stands here",
            self.peek().shown()
        ))
    }

    /// Whether the current word is the sign; takes it then.
    pub fn takes(&mut self, sign: &str) -> bool {
        let is = self.is_sign(sign);
        self.at += usize::from(is);
        is
    }

    /// Whether the current word is the sign.
    pub fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Kind::Sign(s) if *s == sign)
    }

    /// Whether the current word is the name; takes it then.
    pub fn takes_name(&mut self, name: &str) -> bool {
        let is = self.is_name(name);
        self.at += usize::from(is);
        is
    }

    /// Whether the current word is the name.
    pub fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Kind::Name(n) if n == name)
    }

    /// Takes the sign. Errors: `Syntax` where another word stands.
    pub fn expect(&mut self, sign: &str) -> Result<()> {
        match self.takes(sign) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("'{sign}'"))),
        }
    }

    /// Takes a name, whatever it is. Errors: `Syntax` where another word stands.
    pub fn name(&mut self) -> Result<String> {
        match self.peek() {
            Kind::Name(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    /// One level further in, for what `parse` reads.
    pub fn inside<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Result<T>) -> Result<T> {
        if self.level >= MAX_PARSE_LEVELS {
            return Err(Error::Limit(Limit::Depth));
        }
        self.level += 1;
        let parsed = parse(self);
        self.level -= 1;
        parsed
    }

    /// The name's number.
    pub fn symbol(&mut self, name: &str) -> Symbol {
        if let Some(&symbol) = self.symbols.get(name) {
            for asked in &mut self.macros {
                asked.more |= symbol == VARARGS;
                asked.named |= symbol == KWARGS;
                asked.caller |= symbol == CALLER;
            }
            return symbol;
        }
        let symbol = Symbol(self.names.len() as u32);
        self.names.push(name.into());
        self.symbols.insert(name.into(), symbol);
        symbol
    }

    /// The text's place among the literals.
    pub fn literal(&mut self, text: &str) -> Literal {
        if let Some(&literal) = self.known.get(text) {
            return literal;
        }
        let literal = Literal(self.literals.len() as u32);
        self.literals.push(text.into());
        self.known.insert(text.into(), literal);
        literal
    }

    /// Statements up to a tag with one of the names, which is left standing behind its `{%`; without names up to the
    /// end of the template.
    fn block(&mut self, ends: &[&str]) -> Result<Block> {
        self.inside(|parser| {
            let mut block = Block::new();
            loop {
                let line = parser.line();
                let node = match parser.next() {
                    Kind::Data(text) => Node::Text(text.into()),
                    Kind::PrintBegin => {
                        let value = parser.tuple(true)?;
                        if *parser.peek() != Kind::PrintEnd {
                            return Err(parser.unexpected("'}}'"));
                        }
                        parser.next();
                        Node::Print(value)
                    }
                    Kind::BlockBegin => {
                        if ends.iter().any(|end| parser.is_name(end)) {
                            return Ok(block);
                        }
                        let node = parser.tag()?;
                        parser.end_of_tag()?;
                        node
                    }
                    Kind::End if ends.is_empty() => return Ok(block),
                    Kind::End => {
                        return Err(parser.fail(format!("'{}' is missing", ends[ends.len() - 1])));
                    }
                    other => return Err(parser.fail(format!("{} stands here", other.shown()))),
                };
                block.push(Statement { line, node });
            }
        })
    }

    fn end_of_tag(&mut self) -> Result<()> {
        if *self.peek() != Kind::BlockEnd {
            return Err(self.unexpected("'%}'"));
        }
        self.next();
        Ok(())
    }

    /// A block behind the end of the current tag, with the tag that ends it.
    fn body(&mut self, ends: &[&str]) -> Result<(Block, String)> {
        self.end_of_tag()?;
        let body = self.block(ends)?;
        let end = self.name()?;
        Ok((body, end))
    }

    fn tag(&mut self) -> Result<Node> {
        let name = self.name()?;
        match name.as_str() {
            "if" => self.branches(),
            "for" => self.cycle(),
            "set" => self.assignment(),
            "with" => {
                let mut bindings = Vec::new();
                while *self.peek() != Kind::BlockEnd {
                    if !bindings.is_empty() {
                        self.expect(",")?;
                    }
                    let target = self.target(false)?;
                    self.expect("=")?;
                    bindings.push((target, self.expression()?));
                }
                Ok(Node::With(bindings, self.body(&["endwith"])?.0))
            }
            "macro" => {
                let name = self.name()?;
                let name = self.symbol(&name);
                let def = self.callable(Some(name), "endmacro")?;
                Ok(Node::Macro(Arc::new(def)))
            }
            "call" => {
                let at = self.at;
                // The called expression stands behind the arguments of the block.
                let (params, defaults) = match self.is_sign("(") {
                    true => self.params()?,
                    false => Default::default(),
                };
                let call = self.expression()?;
                if !matches!(call, Expr::Call(..)) {
                    self.at = at;
                    return Err(self.unexpected("a call"));
                }
                let def = self.macro_body(None, params, defaults, "endcall")?;
                Ok(Node::Call(Arc::new(def), call))
            }
            "filter" => {
                let mut filters = vec![self.filter()?];
                while self.takes("|") {
                    filters.push(self.filter()?);
                }
                Ok(Node::Filter(filters, self.body(&["endfilter"])?.0))
            }
            "generation" => Ok(Node::Scoped(self.body(&["endgeneration"])?.0)),
            "block" => {
                let block = self.name()?;
                let body = self.body(&["endblock"])?.0;
                self.takes_name(&block);
                Ok(Node::Named(body))
            }
            "break" if self.loops > 0 => Ok(Node::Break),
            "continue" if self.loops > 0 => Ok(Node::Continue),
            _ => Err(self.fail(format!("the tag '{name}' has no meaning here"))),
        }
    }

    fn branches(&mut self) -> Result<Node> {
        let mut branches = Vec::new();
        loop {
            let condition = self.tuple(false)?;
            let (body, end) = self.body(&["elif", "else", "endif"])?;
            branches.push((condition, body));
            match end.as_str() {
                "elif" => {}
                "else" => return Ok(Node::If(branches, self.body(&["endif"])?.0)),
                _ => return Ok(Node::If(branches, Block::new())),
            }
        }
    }

    fn cycle(&mut self) -> Result<Node> {
        let target = self.target(true)?;
        if !self.takes_name("in") {
            return Err(self.unexpected("'in'"));
        }
        let over = self.tuple(false)?;
        let only = match self.takes_name("if") {
            true => Some(self.expression()?),
            false => None,
        };
        let recursive = self.takes_name("recursive");
        self.loops += 1;
        let body = self.body(&["else", "endfor"]);
        self.loops -= 1;
        let (body, end) = body?;
        let otherwise = match end.as_str() {
            "else" => self.body(&["endfor"])?.0,
            _ => Block::new(),
        };
        Ok(Node::For(Arc::new(For {
            target,
            over,
            only,
            body,
            otherwise,
            recursive,
        })))
    }

    fn assignment(&mut self) -> Result<Node> {
        let target = self.target(true)?;
        if self.takes("=") {
            return Ok(Node::Set(target, self.tuple(true)?));
        }
        let mut filters = Vec::new();
        while self.takes("|") {
            filters.push(self.filter()?);
        }
        Ok(Node::SetBlock(target, filters, self.body(&["endset"])?.0))
    }

    /// What is assigned to; several are separated by commas.
    fn target(&mut self, several: bool) -> Result<Target> {
        self.inside(|parser| {
            let mut targets = Vec::new();
            loop {
                if parser.takes("(") {
                    targets.push(parser.target(true)?);
                    parser.expect(")")?;
                } else {
                    let name = parser.name()?;
                    if matches!(name.as_str(), "not" | "in" | "if" | "else" | "and" | "or") {
                        return Err(parser.fail(format!("'{name}' is no name for a variable")));
                    }
                    let symbol = parser.symbol(&name);
                    targets.push(match parser.takes(".") {
                        true => {
                            let attribute = parser.name()?;
                            Target::Attribute(symbol, parser.literal(&attribute))
                        }
                        false => Target::Name(symbol),
                    });
                }
                if !several || !parser.takes(",") {
                    break;
                }
                if !matches!(parser.peek(), Kind::Name(_) | Kind::Sign("(")) || parser.is_name("in")
                {
                    // A comma alone makes a group of one.
                    return Ok(Target::Several(targets));
                }
            }
            Ok(match targets.len() {
                1 => targets.remove(0),
                _ => Target::Several(targets),
            })
        })
    }

    fn callable(&mut self, name: Option<Symbol>, end: &str) -> Result<MacroDef> {
        let (params, defaults) = self.params()?;
        self.macro_body(name, params, defaults, end)
    }

    fn params(&mut self) -> Result<Params> {
        let (mut params, mut defaults) = (Vec::new(), Vec::new());
        self.expect("(")?;
        while !self.takes(")") {
            if !params.is_empty() {
                self.expect(",")?;
                if self.takes(")") {
                    break;
                }
            }
            let name = self.name()?;
            params.push((self.symbol(&name), self.literal(&name)));
            if self.takes("=") {
                defaults.push(self.expression()?);
            } else if !defaults.is_empty() {
                return Err(self.fail("an argument without a default follows one with a default"));
            }
        }
        Ok((params, defaults))
    }

    fn macro_body(
        &mut self,
        name: Option<Symbol>,
        params: Vec<(Symbol, Literal)>,
        defaults: Vec<Expr>,
        end: &str,
    ) -> Result<MacroDef> {
        self.macros.push(Asked::default());
        let loops = std::mem::take(&mut self.loops);
        let body = self.body(&[end]);
        self.loops = loops;
        let asked = self.macros.pop().unwrap_or_default();
        let own = |symbol: Symbol| params.iter().any(|(own, _)| *own == symbol);
        Ok(MacroDef {
            name,
            takes_more: asked.more && !own(VARARGS),
            takes_named: asked.named && !own(KWARGS),
            takes_caller: asked.caller && !own(CALLER),
            params,
            defaults,
            body: body?.0,
        })
    }

    /// A filter behind its bar.
    pub fn filter(&mut self) -> Result<Filter> {
        let name = self.dotted()?;
        let args = match self.takes("(") {
            true => self.arguments()?,
            false => Args::default(),
        };
        Ok(Filter { name, args })
    }

    /// A name that may have parts.
    pub fn dotted(&mut self) -> Result<Box<str>> {
        let mut name = self.name()?;
        while self.takes(".") {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name.into())
    }
}
