//! Expressions of a template from its words, in the order of precedence that Jinja2 has.

use crate::ast::{Args, Comparison, Expr, Filter, Operator};
use crate::error::{Error, Limit, Result};
use crate::parser::Parser;
use crate::token::Kind;

/// Attributes, calls and filters on the way to one value, brackets included: each is a level of the tree.
const MAX_SUFFIXES: u32 = 200;

/// Words that are no names of variables.
const RESERVED: [&str; 7] = ["not", "and", "or", "in", "is", "if", "else"];

impl Parser {
    /// An expression, or several with commas. `conditional`: `a if b else c` may stand in it without brackets.
    pub fn tuple(&mut self, conditional: bool) -> Result<Expr> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            if is_tuple && self.ends_tuple() {
                break;
            }
            items.push(match conditional {
                true => self.expression()?,
                false => self.inside(Parser::either)?,
            });
            if !self.takes(",") {
                break;
            }
            is_tuple = true;
        }
        match is_tuple {
            true => Ok(Expr::Tuple(items)),
            false => Ok(items.remove(0)),
        }
    }

    fn ends_tuple(&self) -> bool {
        matches!(
            self.peek(),
            Kind::PrintEnd | Kind::BlockEnd | Kind::Sign(")") | Kind::Sign("]")
        )
    }

    /// One expression.
    pub fn expression(&mut self) -> Result<Expr> {
        self.inside(|parser| {
            let mut value = parser.either()?;
            while parser.takes_name("if") {
                let condition = parser.either()?;
                let otherwise = match parser.takes_name("else") {
                    true => Some(parser.expression()?),
                    false => None,
                };
                value = Expr::If(Box::new((condition, value, otherwise)));
                parser.check_level(&value)?;
            }
            Ok(value)
        })
    }

    /// `a if b if c` nests without brackets.
    fn check_level(&self, value: &Expr) -> Result<()> {
        let (mut value, mut levels) = (value, 0);
        while let Expr::If(parts) = value {
            value = &parts.1;
            levels += 1;
            if levels > MAX_SUFFIXES {
                return Err(Error::Limit(Limit::Depth));
            }
        }
        Ok(())
    }

    fn either(&mut self) -> Result<Expr> {
        let first = self.both()?;
        if !self.is_name("or") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.takes_name("or") {
            parts.push(self.both()?);
        }
        Ok(Expr::Or(parts))
    }

    fn both(&mut self) -> Result<Expr> {
        let first = self.negation()?;
        if !self.is_name("and") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.takes_name("and") {
            parts.push(self.negation()?);
        }
        Ok(Expr::And(parts))
    }

    fn negation(&mut self) -> Result<Expr> {
        match self.takes_name("not") {
            true => Ok(Expr::Not(Box::new(self.inside(Parser::negation)?))),
            false => self.comparison(),
        }
    }

    fn comparison(&mut self) -> Result<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let comparison = match self.peek() {
                Kind::Sign("==") => Comparison::Equal,
                Kind::Sign("!=") => Comparison::NotEqual,
                Kind::Sign("<") => Comparison::Less,
                Kind::Sign("<=") => Comparison::LessOrEqual,
                Kind::Sign(">") => Comparison::Greater,
                Kind::Sign(">=") => Comparison::GreaterOrEqual,
                Kind::Name(name) if name == "in" => Comparison::In,
                Kind::Name(name)
                    if name == "not"
                        && matches!(self.peek_second(), Kind::Name(name) if name == "in") =>
                {
                    self.next();
                    Comparison::NotIn
                }
                _ => break,
            };
            self.next();
            rest.push((comparison, self.sum()?));
        }
        Ok(match rest.is_empty() {
            true => first,
            false => Expr::Compare(Box::new(first), rest),
        })
    }

    fn chain(
        &mut self,
        operators: &[(&str, Operator)],
        part: impl Fn(&mut Parser) -> Result<Expr>,
    ) -> Result<Expr> {
        let first = part(self)?;
        let mut rest = Vec::new();
        while let Some(&(sign, operator)) = operators.iter().find(|(sign, _)| self.is_sign(sign)) {
            self.expect(sign)?;
            rest.push((operator, part(self)?));
        }
        Ok(match rest.is_empty() {
            true => first,
            false => Expr::Chain(Box::new(first), rest),
        })
    }

    fn sum(&mut self) -> Result<Expr> {
        let operators = [("+", Operator::Add), ("-", Operator::Subtract)];
        self.chain(&operators, Parser::concatenation)
    }

    fn concatenation(&mut self) -> Result<Expr> {
        let first = self.product()?;
        if !self.is_sign("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.takes("~") {
            parts.push(self.product()?);
        }
        Ok(Expr::Concat(parts))
    }

    fn product(&mut self) -> Result<Expr> {
        let operators = [
            ("*", Operator::Multiply),
            ("/", Operator::Divide),
            ("//", Operator::FloorDivide),
            ("%", Operator::Remainder),
        ];
        self.chain(&operators, |parser| {
            parser.chain(&[("**", Operator::Power)], |parser| parser.signed(true))
        })
    }

    fn signed(&mut self, filters: bool) -> Result<Expr> {
        let before = std::mem::take(&mut self.suffixes);
        let value = if self.takes("-") {
            Expr::Negative(Box::new(self.inside(|parser| parser.signed(false))?))
        } else if self.takes("+") {
            Expr::Positive(Box::new(self.inside(|parser| parser.signed(false))?))
        } else {
            self.primary()?
        };
        let value = self.suffixes(value, filters);
        self.suffixes = self.suffixes.max(before);
        value
    }

    /// What stands behind a value: attributes, items, calls, and filters and tests where `filters`.
    fn suffixes(&mut self, mut value: Expr, filters: bool) -> Result<Expr> {
        let mut is_filtered = false;
        while self.suffixes < MAX_SUFFIXES {
            if !is_filtered && self.takes(".") {
                value = match self.next() {
                    Kind::Name(name) => Expr::Attribute(Box::new(value), self.literal(&name)),
                    Kind::Int(index) => Expr::Item(Box::new(value), Box::new(Expr::Int(index))),
                    other => {
                        let reason = format!("{} stands behind '.'", other.shown());
                        return Err(self.fail(reason));
                    }
                };
            } else if !is_filtered && self.takes("[") {
                value = self.subscript(value)?;
                self.expect("]")?;
            } else if self.takes("(") {
                value = Expr::Call(Box::new(value), Box::new(self.arguments()?));
            } else if filters && self.takes("|") {
                is_filtered = true;
                value = Expr::Filter(Box::new(value), Box::new(self.filter()?));
            } else if filters && self.takes_name("is") {
                is_filtered = true;
                value = self.test(value)?;
            } else {
                return Ok(value);
            }
            self.suffixes += 1;
        }
        Err(Error::Limit(Limit::Depth))
    }

    fn subscript(&mut self, value: Expr) -> Result<Expr> {
        let mut parts = [None, None, None];
        let mut colons = 0;
        if !self.is_sign(":") {
            let index = self.tuple(true)?;
            if !self.is_sign(":") {
                return Ok(Expr::Item(Box::new(value), Box::new(index)));
            }
            parts[0] = Some(index);
        }
        while self.takes(":") {
            colons += 1;
            if colons > 2 {
                return Err(self.unexpected("']'"));
            }
            if !self.is_sign(":") && !self.is_sign("]") {
                parts[colons] = Some(self.expression()?);
            }
        }
        Ok(Expr::Slice(Box::new(value), Box::new(parts)))
    }

    fn test(&mut self, value: Expr) -> Result<Expr> {
        let negated = self.takes_name("not");
        let name = self.dotted()?;
        let mut args = Args::default();
        if self.takes("(") {
            args = self.arguments()?;
        } else {
            let takes = match self.peek() {
                Kind::Name(name) => !RESERVED.contains(&name.as_str()),
                Kind::Text(_) | Kind::Int(_) | Kind::Float(_) => true,
                Kind::Sign(sign) => matches!(*sign, "[" | "{"),
                _ => false,
            };
            if takes {
                let argument = self.primary()?;
                args.positional
                    .push((self.suffixes(argument, false)?, false));
            }
        }
        let test = Expr::Test(Box::new(value), Box::new(Filter { name, args }));
        Ok(match negated {
            true => Expr::Not(Box::new(test)),
            false => test,
        })
    }

    /// The arguments behind an opening bracket, with the closing one.
    pub fn arguments(&mut self) -> Result<Args> {
        let mut args = Args::default();
        let mut is_first = true;
        while !self.takes(")") {
            if !is_first {
                self.expect(",")?;
                if self.takes(")") {
                    break;
                }
            }
            is_first = false;
            if self.takes("**") {
                args.spread = Some(Box::new(self.expression()?));
            } else if self.takes("*") {
                args.positional.push((self.expression()?, true));
            } else if let Kind::Name(name) = self.peek()
                && matches!(self.peek_second(), Kind::Sign("="))
            {
                let name = name.clone();
                self.next();
                self.next();
                let name = self.literal(&name);
                args.named.push((name, self.expression()?));
            } else if args.named.is_empty() && args.spread.is_none() {
                args.positional.push((self.expression()?, false));
            } else {
                return Err(self.fail("an argument without a name follows one with a name"));
            }
        }
        Ok(args)
    }

    fn primary(&mut self) -> Result<Expr> {
        match self.next() {
            Kind::Name(name) => match name.as_str() {
                "true" | "True" => Ok(Expr::Bool(true)),
                "false" | "False" => Ok(Expr::Bool(false)),
                "none" | "None" => Ok(Expr::None),
                name if RESERVED.contains(&name) => {
                    Err(self.fail(format!("'{name}' stands for a value")))
                }
                name => Ok(Expr::Name(self.symbol(name))),
            },
            Kind::Text(mut text) => {
                while let Kind::Text(more) = self.peek() {
                    text.push_str(more);
                    self.next();
                }
                Ok(Expr::Text(self.literal(&text)))
            }
            Kind::Int(value) => Ok(Expr::Int(value)),
            Kind::Float(value) => Ok(Expr::Float(value)),
            Kind::Sign("(") => {
                if self.takes(")") {
                    return Ok(Expr::Tuple(Vec::new()));
                }
                let value = self.tuple(true)?;
                self.expect(")")?;
                Ok(value)
            }
            Kind::Sign("[") => {
                let mut items = Vec::new();
                while !self.takes("]") {
                    if !items.is_empty() {
                        self.expect(",")?;
                        if self.takes("]") {
                            break;
                        }
                    }
                    items.push(self.expression()?);
                }
                Ok(Expr::List(items))
            }
            Kind::Sign("{") => {
                let mut items = Vec::new();
                while !self.takes("}") {
                    if !items.is_empty() {
                        self.expect(",")?;
                        if self.takes("}") {
                            break;
                        }
                    }
                    let key = self.expression()?;
                    self.expect(":")?;
                    items.push((key, self.expression()?));
                }
                Ok(Expr::Dict(items))
            }
            other => Err(self.fail(format!("{} stands for a value", other.shown()))),
        }
    }
}
