//! How urgent a job is, in words, in numbers and in weight. It does not know what a job is.

/// How urgent a job is. Classes share admissions by weight, so none of them starves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Background work.
    Low,
    /// The default.
    Normal,
    /// Interactive work.
    High,
    /// What an operator waits for.
    Urgent,
}

impl Class {
    /// All classes, lowest first.
    pub const ALL: [Class; 4] = [Class::Low, Class::Normal, Class::High, Class::Urgent];

    /// The class with this number in C: 0 low to 3 urgent.
    pub fn from_number(number: u32) -> Option<Class> {
        Class::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Admissions out of 15 while all classes wait.
    pub fn weight(self) -> i64 {
        match self {
            Class::Low => 1,
            Class::Normal => 2,
            Class::High => 4,
            Class::Urgent => 8,
        }
    }

    /// The word for documents and log lines.
    pub fn name(self) -> &'static str {
        match self {
            Class::Low => "low",
            Class::Normal => "normal",
            Class::High => "high",
            Class::Urgent => "urgent",
        }
    }
}

/// Some of the classes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Classes([bool; 4]);

impl Classes {
    /// Whether the class is one of them.
    pub fn has(self, class: Class) -> bool {
        self.0[class as usize]
    }
}

impl FromIterator<Class> for Classes {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Classes {
        let mut all = Classes::default();
        classes
            .into_iter()
            .for_each(|class| all.0[class as usize] = true);
        all
    }
}
