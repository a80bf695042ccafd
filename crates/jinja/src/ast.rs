//! A template as a tree. Shared between threads; knows no values.

use std::sync::Arc;

/// A name of the template, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Symbol(pub u32);

/// Names that mean something to the language; every table of names begins with them.
pub const SPECIAL: [&str; 4] = ["loop", "caller", "varargs", "kwargs"];
/// `loop`.
pub const LOOP: Symbol = Symbol(0);
/// `caller`.
pub const CALLER: Symbol = Symbol(1);
/// `varargs`.
pub const VARARGS: Symbol = Symbol(2);
/// `kwargs`.
pub const KWARGS: Symbol = Symbol(3);

/// A literal text, as its place in the template's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Literal(pub u32);

/// Statements in order.
pub type Block = Vec<Statement>;

/// A statement and where it stands.
#[derive(Debug)]
pub struct Statement {
    /// Line, from 1.
    pub line: u32,
    /// What it does.
    pub node: Node,
}

/// What a statement does.
#[derive(Debug)]
pub enum Node {
    /// Text of the template.
    Text(Box<str>),
    /// `{{ ... }}`.
    Print(Expr),
    /// `if`, each `elif`, and `else`.
    If(Vec<(Expr, Block)>, Block),
    /// `for`.
    For(Arc<For>),
    /// `set x = ...`.
    Set(Target, Expr),
    /// `set x` with a block.
    SetBlock(Target, Vec<Filter>, Block),
    /// `with`.
    With(Vec<(Target, Expr)>, Block),
    /// `macro`.
    Macro(Arc<MacroDef>),
    /// `call`: the block becomes `caller` of the called macro.
    Call(Arc<MacroDef>, Expr),
    /// `filter`.
    Filter(Vec<Filter>, Block),
    /// A block with a scope of its own: `generation`.
    Scoped(Block),
    /// `block`, which sees the names of the template's top.
    Named(Block),
    /// `break`.
    Break,
    /// `continue`.
    Continue,
}

/// A loop.
#[derive(Debug)]
pub struct For {
    /// What takes each item.
    pub target: Target,
    /// What is walked.
    pub over: Expr,
    /// Which items count.
    pub only: Option<Expr>,
    /// For each item.
    pub body: Block,
    /// Where there was none.
    pub otherwise: Block,
    /// `loop(...)` walks its argument in the same way.
    pub recursive: bool,
}

/// A macro, or the block of a `call`.
#[derive(Debug)]
pub struct MacroDef {
    /// Its name; none for a block of `call`.
    pub name: Option<Symbol>,
    /// Names of the arguments, each with the literal that callers use.
    pub params: Vec<(Symbol, Literal)>,
    /// What the last of them are unless given.
    pub defaults: Vec<Expr>,
    /// What it renders.
    pub body: Block,
    /// The body asks for `varargs`.
    pub takes_more: bool,
    /// The body asks for `kwargs`.
    pub takes_named: bool,
    /// The body asks for `caller`.
    pub takes_caller: bool,
}

/// What can be assigned to.
#[derive(Debug)]
pub enum Target {
    /// A variable.
    Name(Symbol),
    /// A value of a namespace.
    Attribute(Symbol, Literal),
    /// Several at once.
    Several(Vec<Target>),
}

/// A filter with its arguments.
#[derive(Debug)]
pub struct Filter {
    /// Its name.
    pub name: Box<str>,
    /// Beside the value.
    pub args: Args,
}

/// Arguments of a call.
#[derive(Debug, Default)]
pub struct Args {
    /// By position; the flag is for `*`.
    pub positional: Vec<(Expr, bool)>,
    /// By name.
    pub named: Vec<(Literal, Expr)>,
    /// `**`.
    pub spread: Option<Box<Expr>>,
}

/// An expression.
#[derive(Debug)]
pub enum Expr {
    /// `none`.
    None,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Another number.
    Float(f64),
    /// A text.
    Text(Literal),
    /// A variable.
    Name(Symbol),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `(a, b)`.
    Tuple(Vec<Expr>),
    /// `{a: b}`.
    Dict(Vec<(Expr, Expr)>),
    /// `a.b`.
    Attribute(Box<Expr>, Literal),
    /// `a[b]`.
    Item(Box<Expr>, Box<Expr>),
    /// `a[b:c:d]`.
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    /// `a(...)`.
    Call(Box<Expr>, Box<Args>),
    /// `a | b(...)`.
    Filter(Box<Expr>, Box<Filter>),
    /// `a is b(...)`.
    Test(Box<Expr>, Box<Filter>),
    /// `not a`.
    Not(Box<Expr>),
    /// `-a`.
    Negative(Box<Expr>),
    /// `+a`.
    Positive(Box<Expr>),
    /// Operators of one rank, from left to right.
    Chain(Box<Expr>, Vec<(Operator, Expr)>),
    /// `a ~ b`.
    Concat(Vec<Expr>),
    /// `a < b < c`.
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// `a and b`.
    And(Vec<Expr>),
    /// `a or b`.
    Or(Vec<Expr>),
    /// `a if b else c`, in the order b, a, c.
    If(Box<(Expr, Expr, Option<Expr>)>),
}

/// An arithmetic operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`.
    Divide,
    /// `//`.
    FloorDivide,
    /// `%`.
    Remainder,
    /// `**`.
    Power,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
    /// `in`.
    In,
    /// `not in`.
    NotIn,
}
