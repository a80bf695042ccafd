//! How the files of a split model are called: `NAME-00001-of-00003.gguf` and so on.

use std::path::{Path, PathBuf};

/// More parts than any model has, and few enough to be open at once.
const MOST_PARTS: u32 = 512;

/// The paths of the parts behind the first.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// What stands before the numbers.
    stem: String,
    /// The number of all parts, as it is written.
    count: String,
    next: u32,
    last: u32,
}

/// The parts behind the one at `first`. None where it is not called a first part, or one of too many.
pub(super) fn names_behind(first: &Path) -> Option<Behind> {
    let (rest, count) = first.to_str()?.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let stem = rest.strip_suffix("-00001")?;
    let is_number = count.len() == 5 && count.bytes().all(|digit| digit.is_ascii_digit());
    let last = count
        .parse()
        .ok()
        .filter(|&last| is_number && last <= MOST_PARTS)?;
    Some(Behind {
        stem: stem.to_owned(),
        count: count.to_owned(),
        next: 2,
        last,
    })
}

impl Iterator for Behind {
    type Item = PathBuf;

    fn next(&mut self) -> Option<PathBuf> {
        let number = self.next;
        if number > self.last {
            return None;
        }
        self.next += 1;
        let (stem, count) = (&self.stem, &self.count);
        Some(PathBuf::from(format!("{stem}-{number:05}-of-{count}.gguf")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_leads_to_those_behind_it() {
        let names = |first: &str| {
            let names = names_behind(Path::new(first))?;
            Some(
                names
                    .map(|name| name.display().to_string())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            names("a/m-00001-of-00003.gguf").unwrap(),
            ["a/m-00002-of-00003.gguf", "a/m-00003-of-00003.gguf"]
        );
        assert_eq!(names("m-00001-of-00001.gguf"), Some(Vec::new()));
        for other in [
            "m.gguf",
            "m-00002-of-00003.gguf",
            "m-00001-of-3.gguf",
            "m-00001-of-0000x.gguf",
            "m-00001-of-+0003.gguf",
            "m-00001-of-00513.gguf",
            "m-00001-of-00003.bin",
        ] {
            assert_eq!(names(other), None, "{other}");
        }
    }
}
