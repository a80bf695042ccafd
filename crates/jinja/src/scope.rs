//! Variables by name, from the inside out.

use std::cell::RefCell;
use std::rc::Rc;

use crate::ast::Symbol;
use crate::budget::Budget;
use crate::error::Result;
use crate::value::Value;

/// Bytes of one variable.
const VARIABLE_BYTES: usize = 48;

/// Variables of one block.
pub struct Scope {
    variables: RefCell<Vec<(Symbol, Value)>>,
    parent: Option<Rc<Scope>>,
    budget: Rc<Budget>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        let held = self.variables.get_mut().len() * VARIABLE_BYTES;
        self.budget.release(held);
    }
}

impl Scope {
    /// An empty one inside `parent`. Errors: `Limit`.
    pub fn new(parent: Option<&Rc<Scope>>, budget: &Rc<Budget>) -> Result<Rc<Scope>> {
        budget.spend(1)?;
        Ok(Rc::new(Scope {
            variables: RefCell::new(Vec::new()),
            parent: parent.cloned(),
            budget: budget.clone(),
        }))
    }

    /// Sets a variable of this block. Errors: `Limit`.
    pub fn set(&self, symbol: Symbol, value: Value) -> Result<()> {
        let mut variables = self.variables.borrow_mut();
        self.budget.spend(1 + variables.len() as u64 / 8)?;
        if let Some(own) = variables.iter_mut().find(|(own, _)| *own == symbol) {
            own.1 = value;
            return Ok(());
        }
        self.budget.hold(VARIABLE_BYTES)?;
        variables.push((symbol, value));
        Ok(())
    }

    /// The variable as it is seen from this block. Errors: `Limit`.
    pub fn get(&self, symbol: Symbol) -> Result<Option<Value>> {
        let mut scope = self;
        loop {
            let variables = scope.variables.borrow();
            self.budget.spend(1 + variables.len() as u64 / 8)?;
            if let Some((_, value)) = variables.iter().find(|(own, _)| *own == symbol) {
                return Ok(Some(value.clone()));
            }
            let Some(parent) = &scope.parent else {
                return Ok(None);
            };
            scope = parent;
        }
    }

    /// Forgets its variables, so that values which know this scope do not keep it.
    pub fn clear(&self) {
        let variables = std::mem::take(&mut *self.variables.borrow_mut());
        self.budget.release(variables.len() * VARIABLE_BYTES);
    }
}
