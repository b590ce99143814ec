//! What no compiler checks. Each rule names the place, what is wrong and the fix.
//!
//! Not here: what clippy, rustfmt and cargo-deny check.
//!
//! Modules in reading order: [`dependencies`], [`tree`], [`source`], [`words`], [`files`], [`documents`], [`weaknesses`].

mod dependencies;
mod documents;
mod files;
mod source;
mod tree;
mod weaknesses;
mod words;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// Something that a rule does not allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: PathBuf,
    /// From 1.
    line: usize,
    rule: &'static str,
    what: String,
    fix: String,
    weight: Weight,
}

/// Whether a finding fails the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Warning,
    Failure,
}

/// Prints every finding; fails when one of them is more than a warning.
pub fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let findings = check(workspace)?;
    for finding in &findings {
        println!("{finding}");
    }
    let failures = findings
        .iter()
        .filter(|finding| finding.weight == Weight::Failure)
        .count();
    if failures > 0 {
        bail!("tidy: {failures} findings");
    }
    println!("tidy: no findings");
    Ok(())
}

fn check(workspace: &Workspace) -> anyhow::Result<Vec<Finding>> {
    let mut findings = dependencies::check(workspace);
    findings.extend(tree::check(workspace)?);
    findings.extend(documents::check(workspace));
    findings.extend(weaknesses::check(workspace));
    for file in workspace.files()? {
        let path = workspace.root.join(&file);
        let bytes = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        findings.extend(files::check(&file, &bytes));
        if file.extension().is_some_and(|extension| extension == "rs") {
            findings.extend(words::check(workspace, &file, &String::from_utf8_lossy(&bytes)));
        }
    }
    findings.sort();
    Ok(findings)
}

impl Finding {
    fn new(
        rule: &'static str,
        file: impl AsRef<Path>,
        line: usize,
        what: String,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            file: file.as_ref().to_path_buf(),
            line,
            rule,
            what,
            fix: fix.into(),
            weight: Weight::Failure,
        }
    }

    fn warning(self) -> Self {
        Self {
            weight: Weight::Warning,
            ..self
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            rule,
            what,
            fix,
            weight,
        } = self;
        let weight = match weight {
            Weight::Warning => "warning: ",
            Weight::Failure => "",
        };
        write!(f, "{}:{line}: {weight}[{rule}] {what}; {fix}", file.display())
    }
}

/// The number of the first line that `wanted` accepts, or 1.
fn line_of(text: &str, wanted: impl Fn(&str) -> bool) -> usize {
    text.lines().position(wanted).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_the_place_the_rule_and_the_fix() {
        let finding = Finding::new("rule", "a/b.rs", 3, "it is wrong".to_owned(), "right it");
        assert_eq!(finding.to_string(), "a/b.rs:3: [rule] it is wrong; right it");
        assert_eq!(
            finding.warning().to_string(),
            "a/b.rs:3: warning: [rule] it is wrong; right it"
        );
    }

    #[test]
    fn a_line_is_counted_from_one() {
        assert_eq!(line_of("a\nb\n", |line| line == "b"), 2);
        assert_eq!(line_of("a\nb\n", |line| line == "c"), 1);
    }
}
