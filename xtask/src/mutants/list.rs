//! The list of mutations: which text of which file becomes what, and what that breaks.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// A list, as its file says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Whose tests are run.
    pub packages: Vec<String>,
    /// The tests that take long, as an expression of nextest: they run when no other has failed.
    pub slow: String,
    /// In the order in which they are tried.
    #[serde(rename = "mutant")]
    pub mutants: Vec<Mutant>,
}

/// One change that some test must notice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// Relative to the root.
    pub file: String,
    /// What stands there once.
    pub text: String,
    /// What stands there instead.
    pub with: String,
    /// What is wrong then, in a sentence.
    pub breaks: String,
    /// Arguments of nextest for the tests that are built and run before all others.
    pub first: Option<String>,
    /// Why nothing is wrong then: it is neither tried nor counted.
    pub equivalent: Option<String>,
}

impl List {
    /// Reads the file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no list of mutations", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let list: Self = toml::from_str(text)?;
        for (number, mutant) in list.mutants.iter().enumerate() {
            let earlier = list.mutants[..number].iter().find(|other| {
                (&other.file, &other.text, &other.with) == (&mutant.file, &mutant.text, &mutant.with)
            });
            ensure!(earlier.is_none(), "`{}` stands there twice", mutant.breaks);
            ensure!(mutant.text != mutant.with, "`{}` changes nothing", mutant.breaks);
        }
        Ok(list)
    }
}

impl Mutant {
    /// The text of its file after the change; how often the place is there, if that is not once.
    pub fn apply(&self, source: &str) -> Result<String, usize> {
        match source.matches(&self.text).count() {
            1 => Ok(source.replacen(&self.text, &self.with, 1)),
            count => Err(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUTANT: &str =
        "[[mutant]]\nfile = 'a.rs'\ntext = 'one'\nwith = 'two'\nbreaks = 'It counts wrong.'\n";

    fn list(mutants: &str) -> anyhow::Result<List> {
        List::parse(&format!("packages = ['a']\nslow = 'none()'\n{mutants}"))
    }

    #[test]
    fn a_place_is_changed_that_is_there_once() {
        let list = list(MUTANT).unwrap();
        let [mutant] = &list.mutants[..] else {
            panic!("it is one")
        };
        assert_eq!(mutant.apply("zero one three"), Ok("zero two three".to_owned()));
        assert_eq!(mutant.apply("zero"), Err(0));
        assert_eq!(mutant.apply("one one"), Err(2));
    }

    #[test]
    fn what_says_nothing_new_is_refused() {
        let twice = list(&format!("{MUTANT}{MUTANT}")).unwrap_err();
        assert_eq!(twice.to_string(), "`It counts wrong.` stands there twice");
        let nothing = list(&MUTANT.replace("two", "one")).unwrap_err();
        assert_eq!(nothing.to_string(), "`It counts wrong.` changes nothing");
        assert!(list(&MUTANT.replace("breaks", "brakes")).is_err());
    }
}
