//! Whether a newcomer finds each box: the maps in README.md and ARCHITECTURE.md name every crate, and ARCHITECTURE.md says
//! what each dependency is for.

use std::fs;

use super::Finding;
use crate::workspace::Workspace;

const MAPS: &[&str] = &["README.md", "ARCHITECTURE.md"];

/// Checks that each map has an entry for each package, and the table of dependencies one for each of those.
pub fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for map in MAPS {
        let text = fs::read_to_string(workspace.root.join(map)).unwrap_or_default();
        for package in &workspace.packages {
            let folder = workspace.folder(package).to_string_lossy();
            if !text.lines().any(|line| is_entry(line, &folder)) {
                let what = format!("the map has no entry for {folder}");
                let fix = format!("add a line that begins with `{folder}` and says what it is");
                findings.push(Finding::new("map", map, 1, what, fix));
            }
        }
    }
    let read = |file: &str| fs::read_to_string(workspace.root.join(file)).unwrap_or_default();
    findings.extend(unexplained(&read("Cargo.toml"), &read("ARCHITECTURE.md")));
    findings
}

/// The dependencies that `manifest` shares among packages and `architecture` does not name.
fn unexplained(manifest: &str, architecture: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut inside = false;
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        }
        let Some((name, value)) = line.split_once('=').filter(|_| inside) else {
            continue;
        };
        let name = name.trim();
        let ours = name.starts_with('#') || value.contains("path = ");
        if !ours && !architecture.contains(&format!("`{name}`")) {
            let what = format!("nothing says what {name} is for");
            let fix = "add it to the table of dependencies in ARCHITECTURE.md, or remove it";
            findings.push(Finding::new(
                "dependency-table",
                "Cargo.toml",
                index + 1,
                what,
                fix,
            ));
        }
    }
    findings
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
        let findings = check(&workspace);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0]
                .to_string()
                .starts_with("ARCHITECTURE.md:1: [map] the map has no entry for crates/env")
        );
    }
    #[test]
    fn a_dependency_has_a_reason() {
        let manifest = "[workspace]\na = 1\n[workspace.dependencies]\nenv = { path = \"env\" }\nserde = \"1\"\nbcs = \"1\"\n\
                        [profile.dev]\nb = 1\n";
        let findings = unexplained(manifest, "| `serde` | encodings |");
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].rule, findings[0].line), ("dependency-table", 6));
    }
}
