//! Whether a newcomer finds each box: the maps in README.md and ARCHITECTURE.md name every crate and every folder at the
//! top, and ARCHITECTURE.md's tables say who may use whom and what each dependency is for.

use std::collections::BTreeSet;
use std::fs;

use super::{Finding, line_of};
use crate::layers::{self, Row};
use crate::workspace::{Package, Workspace};

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const MAPS: &[&str] = &["README.md", ARCHITECTURE];

/// Checks the maps and the tables.
pub fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = maps(workspace);
    let text = fs::read_to_string(workspace.root.join(ARCHITECTURE)).unwrap_or_default();
    findings.extend(layer_table(workspace, &text));
    findings.extend(dependency_table(workspace, &text));
    findings
}

/// Crates and folders that a map leaves out.
fn maps(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut folders: BTreeSet<String> = folders_at_the_top(workspace);
    folders.extend(
        workspace
            .packages
            .iter()
            .map(|package| workspace.folder(package).to_string_lossy().into_owned()),
    );
    for map in MAPS {
        let text = fs::read_to_string(workspace.root.join(map)).unwrap_or_default();
        for folder in &folders {
            if !text.lines().any(|line| is_entry(line, folder)) {
                let what = format!("the map has no entry for {folder}");
                let fix = format!("add a line that begins with `{folder}` and says what it is");
                findings.push(Finding::new("map", map, 1, what, fix));
            }
        }
    }
    findings
}

/// The folders at the top that git has files of, but for those whose name begins with a dot, and `crates`, which is on the
/// maps by its own folders.
fn folders_at_the_top(workspace: &Workspace) -> BTreeSet<String> {
    let files = workspace.files().unwrap_or_default();
    let folders = files.iter().filter(|file| file.components().count() > 1);
    folders
        .filter_map(|file| file.iter().next()?.to_str())
        .filter(|folder| !folder.starts_with('.') && *folder != "crates")
        .map(str::to_owned)
        .collect()
}

/// Rows of the table of layers that say something else than `xtask/src/layers.rs`, as far as their crates exist.
fn layer_table(workspace: &Workspace, architecture: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let exists = |name: &str| workspace.package(name).is_some();
    for package in &workspace.packages {
        let Some(row) = layers::find(package.short()) else {
            continue;
        };
        let begins = format!("| `{}` |", row.name);
        let Some(line) = architecture.lines().find(|line| line.starts_with(&begins)) else {
            let what = format!("the table of layers has no row for {}", row.name);
            let fix = format!("add a row that begins with `{begins}`");
            findings.push(Finding::new("layer-table", ARCHITECTURE, 1, what, fix));
            continue;
        };
        // What comes behind a semicolon are words for people.
        let cell = line[begins.len()..].split([';', '|']).next().unwrap_or_default();
        let says: BTreeSet<&str> = cell
            .split(',')
            .map(str::trim)
            .filter(|name| *name != "none of ours")
            .collect();
        let is: BTreeSet<&str> = may_use(row).filter(|name| exists(name)).collect();
        if says != is {
            let number = line_of(architecture, |line| line.starts_with(&begins));
            let what = format!("{} may use {}", row.name, list(&is));
            let fix = format!("the row says {}: change it, or xtask/src/layers.rs", list(&says));
            findings.push(Finding::new("layer-table", ARCHITECTURE, number, what, fix));
        }
    }
    findings
}

fn may_use(row: &Row) -> impl Iterator<Item = &'static str> {
    layers::TABLE
        .iter()
        .map(|other| other.name)
        .filter(|other| row.may_use(other, false) && *other != row.name)
}

fn list(names: &BTreeSet<&str>) -> String {
    match names.is_empty() {
        true => "none of ours".to_owned(),
        false => names.iter().copied().collect::<Vec<_>>().join(", "),
    }
}

/// Dependencies that the table does not explain, and rows that explain what nobody depends on. Benchmarks may depend on
/// whatever they compare with.
fn dependency_table(workspace: &Workspace, architecture: &str) -> Vec<Finding> {
    let ours = |name: &str| workspace.packages.iter().any(|package| package.name == name);
    let names = |packages: &mut dyn Iterator<Item = &Package>| -> BTreeSet<String> {
        packages
            .flat_map(|package| package.dependencies.iter())
            .map(|dependency| dependency.name.clone())
            .filter(|name| !ours(name))
            .collect()
    };
    let is_bench = |package: &&Package| package.short() == layers::BENCH;
    let used = names(&mut workspace.packages.iter().filter(|package| !is_bench(package)));
    let known = names(&mut workspace.packages.iter());
    let explained: BTreeSet<&str> = table(architecture, "| dependency |")
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split(','))
        .map(|name| name.trim().trim_matches('`'))
        .collect();
    let finding = |what: String, fix: &str| Finding::new("dependency-table", ARCHITECTURE, 1, what, fix);
    let unexplained = used
        .iter()
        .filter(|name| !explained.contains(name.as_str()))
        .map(|name| {
            let fix = "add it to the table of dependencies, or remove it";
            finding(format!("nothing says what {name} is for"), fix)
        });
    let unused = explained
        .iter()
        .filter(|name| !known.contains(**name))
        .map(|name| {
            finding(
                format!("nobody depends on {name}"),
                "remove it from the table of dependencies",
            )
        });
    unexplained.chain(unused).collect()
}

/// The rows of the table whose head begins with `head`.
fn table<'a>(text: &'a str, head: &str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().skip_while(move |line| !line.starts_with(head));
    lines.skip(2).take_while(|line| line.starts_with('|'))
}

/// Whether `line` begins with `folder`, behind the marks of a table or a list, and goes on to say what it is.
fn is_entry(line: &str, folder: &str) -> bool {
    let marks: &[char] = &[' ', '|', '`', '*', '-', '['];
    let Some(rest) = line.trim_start_matches(marks).strip_prefix(folder) else {
        return false;
    };
    let said = rest.trim_start_matches('/');
    said.starts_with([' ', '`', '*', ']'])
        && said.split_whitespace().filter(|word| is_said(word)).count() >= 2
}

fn is_said(word: &str) -> bool {
    word.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::samples;

    #[test]
    fn an_entry_begins_with_the_folder_and_says_what_it_is() {
        for line in [
            "crates/env      the traits a node lives on",
            "| `crates/env` | the traits |",
            "- **crates/env/** the traits",
        ] {
            assert!(is_entry(line, "crates/env"), "{line}");
        }
        for line in [
            "see crates/env for it",
            "crates/environment has more",
            "| `crates/env` | |",
            "crates/env",
        ] {
            assert!(!is_entry(line, "crates/env"), "{line}");
        }
    }

    #[test]
    fn a_crate_that_a_map_leaves_out_is_found() {
        let root = tempfile::tempdir().unwrap();
        let env = samples::package(root.path(), "crates/env", "soma-env", &[], &[]);
        let sim = samples::package(root.path(), "sim", "soma-sim", &[], &[]);
        let workspace = samples::workspace(root.path(), vec![env, sim]);
        fs::write(
            root.path().join("README.md"),
            "crates/env  the traits\nsim  the simulator\n",
        )
        .unwrap();
        fs::write(root.path().join("ARCHITECTURE.md"), "sim  the simulator\n").unwrap();
        let findings = maps(&workspace);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0]
                .to_string()
                .starts_with("ARCHITECTURE.md:1: [map] the map has no entry for crates/env")
        );
    }

    #[test]
    fn a_dependency_has_a_reason_and_a_reason_a_dependency() {
        let root = tempfile::tempdir().unwrap();
        let env = samples::package(
            root.path(),
            "crates/env",
            "soma-env",
            &["serde", "bcs", "soma-types"],
            &[],
        );
        let types = samples::package(root.path(), "crates/types", "soma-types", &[], &["insta"]);
        let workspace = samples::workspace(root.path(), vec![env, types]);
        let text = "| dependency | used for |\n|---|---|\n| `serde`, `redb` | encodings |\n\n| `bcs` | of another table |\n";
        let findings: Vec<_> = dependency_table(&workspace, text)
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [
            "nothing says what bcs is for",
            "nothing says what insta is for",
            "nobody depends on redb",
        ];
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.contains(expected), "{finding}");
        }
    }

    #[test]
    fn the_table_of_layers_says_what_is_checked() {
        let root = tempfile::tempdir().unwrap();
        let packages = ["crypto", "types", "env", "runtime"]
            .map(|name| samples::package(root.path(), name, &format!("soma-{name}"), &[], &[]));
        let workspace = samples::workspace(root.path(), packages.into());
        let right = "| `crypto` | none of ours |\n| `types` | crypto |\n| `env` | crypto, types |\n\
                     | `runtime` | crypto, types, env; never sim |\n";
        assert_eq!(layer_table(&workspace, right).len(), 0);
        let wrong = right.replace("| `env` | crypto, types |", "| `env` | crypto |");
        let findings = layer_table(&workspace, &wrong);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0]
                .to_string()
                .starts_with("ARCHITECTURE.md:3: [layer-table] env may use crypto, types"),
            "{}",
            findings[0]
        );
        let missing = right.replace("| `types` | crypto |\n", "");
        assert_eq!(layer_table(&workspace, &missing).len(), 1);
    }
}
