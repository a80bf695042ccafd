//! A template that can be rendered any number of times, by any number of threads.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::ast::Symbol;
use crate::budget::{Budget, Limits, Spent};
use crate::error::{Error, Limit, Result};
use crate::evaluate::Vm;
use crate::json;
use crate::lexer;
use crate::moment::Moment;
use crate::parser::{self, Parsed};
use crate::text::Writer;

/// Bytes of a template, at most; the longest that models bring have some 60,000.
const MAX_SOURCE: usize = 1 << 20;

/// A parsed template.
#[derive(Clone)]
pub struct Template {
    parsed: Arc<Parsed>,
}

impl Template {
    /// Parses a template. Needs some hundred KiB of stack.
    ///
    /// Errors: `Syntax`; `Limit` for one that is too long or nested too deep.
    pub fn parse(source: &str) -> Result<Template> {
        if source.len() > MAX_SOURCE {
            return Err(Error::Limit(Limit::Source));
        }
        let parsed = parser::parse(lexer::words(source)?)?;
        Ok(Template {
            parsed: Arc::new(parsed),
        })
    }

    /// Renders the template with these variables at this moment. Needs some 2 MiB of stack.
    ///
    /// Errors: `Raised` where it refuses what it is given, `Failed` where an operation is not possible, `Limit` where it
    /// asks for more than `limits`.
    pub fn render(
        &self,
        variables: &[(&str, &Json)],
        moment: Moment,
        limits: &Limits,
    ) -> Result<String> {
        self.render_with_account(variables, moment, limits).0
    }

    /// Renders the template and tells what that took.
    pub fn render_with_account(
        &self,
        variables: &[(&str, &Json)],
        moment: Moment,
        limits: &Limits,
    ) -> (Result<String>, Spent) {
        let budget = Rc::new(Budget::new(limits));
        let text = self.run(variables, moment, limits, &budget);
        (text, budget.spent())
    }

    /// Renders on an account of the caller's.
    pub(crate) fn run(
        &self,
        variables: &[(&str, &Json)],
        moment: Moment,
        limits: &Limits,
        budget: &Rc<Budget>,
    ) -> Result<String> {
        let mut vm = Vm::new(&self.parsed, budget.clone(), moment)?;
        let top = vm.top.clone();
        for (name, value) in variables {
            let at = self.parsed.names.iter().position(|own| **own == **name);
            // A name that the template does not have is not asked for.
            if let Some(at) = at {
                let value = json::read(value, limits, budget)?;
                top.set(Symbol(at as u32), value)?;
            }
        }
        let mut out = Writer::new(budget)?;
        vm.block(&self.parsed.body, &top, &mut out)?;
        drop(vm);
        Ok(out.into_string())
    }
}
