//! Names of events, faults and reasons, kept once.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

/// A name, by its number in one run's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(u16);

impl Name {
    /// No name.
    pub const NONE: Self = Self(0);

    /// The name with number `number`.
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The names of one run, in order of first use.
#[derive(Clone, Debug)]
pub struct Names {
    texts: Vec<String>,
    tags: Vec<u32>,
    numbers: BTreeMap<String, Name>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            texts: vec![String::new()],
            tags: vec![0],
            numbers: BTreeMap::from([(String::new(), Name::NONE)]),
        }
    }
}

impl Names {
    /// The most names that a run may have.
    pub const MAX: usize = 1 << 16;

    /// The name that reads `text`, if it is known.
    pub fn find(&self, text: &str) -> Option<Name> {
        self.numbers.get(text).copied()
    }

    /// The name that reads `text`, made if it is new, or `None` when the table is full.
    pub fn try_add(&mut self, text: &str) -> Option<Name> {
        if let Some(name) = self.find(text) {
            return Some(name);
        }
        let name = Name(u16::try_from(self.texts.len()).ok()?);
        self.texts.push(text.to_owned());
        let [a, b, c, d, ..] = xxh3_64(text.as_bytes()).to_le_bytes();
        self.tags.push(u32::from_le_bytes([a, b, c, d]));
        self.numbers.insert(text.to_owned(), name);
        Some(name)
    }

    /// What `name` reads, or `?` for a name of another table.
    pub fn text(&self, name: Name) -> &str {
        self.texts.get(usize::from(name.0)).map_or("?", String::as_str)
    }

    /// The hash that stands for `name` in the chain.
    #[inline]
    pub(super) fn tag(&self, name: Name) -> u32 {
        self.tags[usize::from(name.0)]
    }

    /// Every name, in order of number; the first is empty.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_read_back() {
        let mut names = Names::default();
        let round = names.try_add("round_started").unwrap();
        let commit = names.try_add("committed").unwrap();
        assert_ne!(round, commit);
        assert_ne!(names.tag(round), names.tag(commit));
        assert_eq!(names.try_add("round_started"), Some(round));
        assert_eq!(names.text(commit), "committed");
        assert_eq!(names.text(Name::NONE), "");
        assert_eq!(names.text(Name(99)), "?");
        assert_eq!(names.texts().len(), 3);
    }

    #[test]
    fn a_full_table_takes_no_more_names() {
        let mut names = Names::default();
        for number in 1..Names::MAX {
            assert!(names.try_add(&number.to_string()).is_some());
        }
        assert_eq!(names.try_add("one too many"), None);
        assert!(names.try_add("1").is_some());
    }
}
