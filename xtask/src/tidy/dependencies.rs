//! What the packages declare: the layer table, tokio's features, the lints.

use std::fs;

use super::{Finding, line_of};
use crate::layers::{self, Layer, Row};
use crate::workspace::{Dependency, Package, Workspace};

/// What layers 0 to 2, testkit and sim may ask of tokio: channels, and the macro under `env::select!`.
const TOKIO: &[&str] = &["sync", "macros"];

/// Checks every package against the layer table.
pub fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let folder = workspace.folder(package);
        let manifest = folder.join("Cargo.toml");
        // A sample of a test has no file; what is then found stands on line 1.
        let text = fs::read_to_string(&package.manifest_path).unwrap_or_default();
        if !inherits_lints(&text) {
            let what = format!("{} does not take the workspace's lints", package.name);
            let fix = "add `[lints]` with `workspace = true`";
            findings.push(Finding::new("lints", &manifest, 1, what, fix));
        }
        if package.short() == layers::BENCH {
            continue;
        }
        let Some(row) = layers::find(package.short()) else {
            let what = format!("{} is not in the layer table", package.name);
            let fix = "give it a row in xtask/src/layers.rs and in ARCHITECTURE.md";
            findings.push(Finding::new("layers", &manifest, 1, what, fix));
            continue;
        };
        for dependency in &package.dependencies {
            if let Some((rule, what, fix)) = wrong(workspace, row, dependency) {
                let line = line_of(&text, |line| declares(line, &dependency.name));
                findings.push(Finding::new(rule, &manifest, line, what, fix));
            }
        }
    }
    findings
}

fn wrong(
    workspace: &Workspace,
    row: &Row,
    dependency: &Dependency,
) -> Option<(&'static str, String, String)> {
    let name = row.name;
    if dependency.name == "tokio" && row.is_simulated() && !dependency.is_dev() {
        let feature = dependency
            .features
            .iter()
            .find(|feature| !TOKIO.contains(&feature.as_str()))?;
        let what = format!("{name} asks tokio for `{feature}`");
        let fix = "reach the outside through `env`; only the edges may name tokio's runtime";
        return Some(("tokio", what, fix.to_owned()));
    }
    let used = workspace
        .packages
        .iter()
        .find(|package| package.name == dependency.name)
        .map(Package::short)?;
    if row.may_use(used, dependency.is_dev()) {
        return None;
    }
    let what = format!("{name} uses {used}");
    let fix = if used == "testkit" && row.layer <= Layer::Composition {
        "make it a dev-dependency and use it from the folder `tests/`".to_owned()
    } else if row.uses.is_empty() {
        format!(
            "the layer table lets {name} use nothing more; move the code, or change the table and say why"
        )
    } else {
        let uses = row.uses.join(", ");
        format!("the layer table gives it {uses}; move the code, or change the table and say why")
    };
    Some(("layers", what, fix))
}

/// Whether `line` of a manifest declares the package `name`, with or without `soma-`.
fn declares(line: &str, name: &str) -> bool {
    let word: String = line
        .chars()
        .take_while(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
        .collect();
    word == name || name.strip_prefix("soma-") == Some(word.as_str())
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[lints]");
    lines.next().is_some() && lines.find(|line| !line.is_empty()) == Some("workspace = true")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::workspace::samples;

    /// The findings of a workspace in which each package takes the lints.
    fn findings(packages: &[(&str, &[&str], &[&str])]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let packages = packages.iter().map(|(name, normal, dev)| {
            let folder = name.strip_prefix("soma-").unwrap();
            fs::create_dir_all(root.path().join(folder)).unwrap();
            let mut manifest = "[lints]\nworkspace = true\n[dependencies]\n".to_owned();
            for dependency in normal.iter().chain(*dev) {
                manifest += &format!("{} = \"1\"\n", dependency.split('/').next().unwrap());
            }
            fs::write(root.path().join(folder).join("Cargo.toml"), manifest).unwrap();
            samples::package(root.path(), folder, name, normal, dev)
        });
        let packages = packages.collect();
        let workspace = samples::workspace(root.path(), packages);
        check(&workspace).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_rule_may_not_use_another() {
        let found = findings(&[
            ("soma-types", &[], &[]),
            ("soma-ledger", &["serde", "soma-types", "soma-consensus"], &[]),
            ("soma-consensus", &["soma-types"], &[]),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("ledger/Cargo.toml:6: [layers] ledger uses consensus; the layer table"));
    }

    #[test]
    fn the_simulator_may_not_use_an_edge() {
        let found = findings(&[
            ("soma-runtime", &[], &[]),
            ("soma-sim", &["soma-runtime"], &["soma-runtime"]),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found
                .iter()
                .all(|finding| finding.contains("[layers] sim uses runtime"))
        );
    }

    #[test]
    fn testkit_is_for_tests() {
        let found = findings(&[
            ("soma-testkit", &[], &[]),
            ("soma-env", &["soma-testkit"], &["soma-testkit"]),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("[layers] env uses testkit; make it a dev-dependency"),
            "{found:?}"
        );
    }

    #[test]
    fn a_crate_has_a_row_and_xtask_uses_nothing() {
        let found = findings(&[
            ("soma-types", &[], &[]),
            ("soma-xtask", &["soma-types"], &[]),
            ("soma-extra", &[], &[]),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("[layers] xtask uses types"), "{found:?}");
        assert!(
            found[1].contains("[layers] soma-extra is not in the layer table"),
            "{found:?}"
        );
    }

    #[test]
    fn benchmarks_may_use_anything() {
        let found = findings(&[
            ("soma-runtime", &[], &[]),
            ("soma-bench", &["soma-runtime", "tokio/full"], &[]),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn only_an_edge_asks_tokio_for_its_runtime() {
        let found = findings(&[
            ("soma-env", &["tokio/sync"], &["tokio/rt"]),
            ("soma-node", &["tokio/time"], &[]),
            ("soma-runtime", &["tokio/rt"], &[]),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("[tokio] node asks tokio for `time`"),
            "{found:?}"
        );
    }

    #[test]
    fn a_crate_takes_the_workspaces_lints() {
        let workspace = |package| samples::workspace(Path::new("/nowhere"), vec![package]);
        let types = samples::package(Path::new("/nowhere"), "types", "soma-types", &[], &[]);
        let found = check(&workspace(types));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].rule, "lints");
        assert!(inherits_lints("[package]\n\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints(
            "[lints]\nrust.unused = \"allow\"\n[a]\nworkspace = true\n"
        ));
    }
}
