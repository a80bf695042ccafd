//! One value for each class of turns, under the names of the classes.

use schemars::JsonSchema;
use serde::Serialize;

use crate::scheduler::Class;

/// One value for each class of turns.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ByClass<T> {
    /// Background work.
    pub low: T,
    /// The default.
    pub normal: T,
    /// Interactive work.
    pub high: T,
    /// What an operator waits for.
    pub urgent: T,
}

impl<T> ByClass<T> {
    /// Asks for the value of each class.
    pub fn of(value: impl Fn(Class) -> T) -> ByClass<T> {
        ByClass {
            low: value(Class::Low),
            normal: value(Class::Normal),
            high: value(Class::High),
            urgent: value(Class::Urgent),
        }
    }

    /// The value of one class.
    pub fn get(&self, class: Class) -> &T {
        match class {
            Class::Low => &self.low,
            Class::Normal => &self.normal,
            Class::High => &self.high,
            Class::Urgent => &self.urgent,
        }
    }
}
