//! What stands for the hosts' names of conversations where they are not to be read: a name may be a person's address.

use crate::spill;

/// Names under a key of this backend: the same for the same name as long as the backend lives, and of no use elsewhere.
pub struct Aliases {
    key: [u8; 32],
}

impl Aliases {
    /// With a key that nobody knows.
    pub fn new() -> Aliases {
        Aliases {
            key: spill::random(),
        }
    }

    /// `#` and 16 hexadecimal digits.
    pub fn of(&self, name: &[u8]) -> String {
        let hash = blake3::keyed_hash(&self.key, name).to_hex();
        format!("#{}", &hash[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_stays_with_its_name_and_differs_between_backends() {
        let (one, other) = (Aliases::new(), Aliases::new());
        let alias = one.of(b"someone@example.org");
        assert_eq!(alias, one.of(b"someone@example.org"));
        assert_ne!(alias, one.of(b"someone@example.com"));
        assert_ne!(alias, other.of(b"someone@example.org"));
        let digits = alias.strip_prefix('#').unwrap();
        assert_eq!(digits.len(), 16);
        assert!(digits.chars().all(|digit| digit.is_ascii_hexdigit()));
    }
}
