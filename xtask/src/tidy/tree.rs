//! What the simulator is made of once cargo has resolved it, and where packages come from.

use std::path::Path;

use anyhow::{Context, ensure};

use super::Finding;
use crate::cargo;
use crate::workspace::Workspace;

const SIM: &str = "soma-sim";

/// What tokio must not be compiled with. madsim itself asks for `rt`, of which it uses the types only.
const TOKIO: &[&str] = &[
    "fs",
    "full",
    "net",
    "process",
    "rt-multi-thread",
    "signal",
    "time",
];

/// Packages that bring the outside in, or that hang or panic where time stands still.
const PACKAGES: &[&str] = &[
    "librocksdb-sys",
    "madsim-tokio",
    "quanta",
    "quinn",
    "quinn-proto",
    "quinn-udp",
    "redb",
    "rocksdb",
    "soma-blobs",
    "soma-cli",
    "soma-gateway",
    "soma-runtime",
    "soma-scorer",
];

/// Checks the tree of the simulator and the lock file.
pub fn check(workspace: &Workspace) -> anyhow::Result<Vec<Finding>> {
    let lock = workspace.root.join("Cargo.lock");
    let lock =
        std::fs::read_to_string(&lock).with_context(|| format!("{} cannot be read", lock.display()))?;
    let mut findings = sources(&lock);
    if workspace.package(SIM).is_some() {
        let arguments = ["tree", "--quiet", "--package", SIM, "--edges", "normal"];
        let format = ["--prefix", "depth", "--format", " {p}|{f}"];
        let output = cargo::command(&workspace.root)
            .args(arguments)
            .args(format)
            .output()
            .context("cargo cannot be started")?;
        ensure!(
            output.status.success(),
            "cargo tree: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        findings.extend(tree(&String::from_utf8_lossy(&output.stdout)));
    }
    Ok(findings)
}

/// Checks lines of the form `2 tokio v1.54.1|macros,sync`: depth, package, features.
fn tree(lines: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    for line in lines.lines() {
        let Some((depth, (package, features))) = parse(line) else {
            continue;
        };
        path.truncate(depth);
        path.push(package);
        let mut found = |what: String| {
            let what = format!("{what} is in the simulator's tree ({})", path.join(" > "));
            let fix = format!("`cargo tree -p {SIM} -e features -i {package}` shows who asks for it");
            findings.push(Finding::new(
                "simulated-tree",
                Path::new("sim/Cargo.toml"),
                1,
                what,
                fix,
            ));
        };
        if PACKAGES.contains(&package) || package == "burn" || package.starts_with("burn-") {
            found(package.to_owned());
        }
        if package == "tokio" {
            for feature in features.split(',').filter(|feature| TOKIO.contains(feature)) {
                found(format!("tokio's feature `{feature}`"));
            }
        }
    }
    findings.dedup_by(|left, right| left.what == right.what);
    findings
}

fn parse(line: &str) -> Option<(usize, (&str, &str))> {
    let (depth, rest) = line.split_once(' ')?;
    if line.ends_with("(*)") {
        return None; // it was listed in full before
    }
    let (package, features) = rest.split_once('|')?;
    let name = package.split(' ').next()?;
    Some((depth.parse().ok()?, (name, features)))
}

/// Checks that each package comes from the registry.
fn sources(lock: &str) -> Vec<Finding> {
    let git = lock
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("source = \"git+"));
    git.map(|(index, line)| {
        let what = format!("a package comes from git: {line}");
        let fix = "take it from the registry; a git repository may move or vanish";
        Finding::new("git-dependency", "Cargo.lock", index + 1, what, fix)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulator_holds_no_socket_no_file_and_no_timer_of_tokio() {
        let good = "0 soma-sim v0.1.0 (/a/sim)|\n1 madsim v0.2.34|macros\n2 tokio v1.54.1|macros,rt,sync\n1 serde v1|std\n";
        assert_eq!(tree(good), vec![]);
        for feature in TOKIO {
            let bad = format!(
                "0 soma-sim v0.1.0|\n1 bytes v1|\n1 soma-node v0.1.0|\n2 tokio v1.54.1|{feature},sync\n"
            );
            let found = tree(&bad);
            assert_eq!(found.len(), 1, "{found:?}");
            let expected = format!(
                "tokio's feature `{feature}` is in the simulator's tree (soma-sim > soma-node > tokio)"
            );
            assert_eq!(found[0].what, expected);
        }
    }

    #[test]
    fn the_simulator_holds_no_edge() {
        for package in PACKAGES.iter().chain(&["burn", "burn-ndarray"]) {
            let found = tree(&format!(
                "0 soma-sim v0.1.0|\n1 {package} v1.0.0|\n1 {package} v1.0.0| (*)\n"
            ));
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].rule, "simulated-tree");
        }
        assert_eq!(tree("0 soma-sim v0.1.0|\n1 burnout v1.0.0|\n"), vec![]);
    }

    #[test]
    fn packages_come_from_the_registry() {
        let found = sources("[[package]]\nname = \"a\"\nsource = \"git+https://example.org/a#1\"\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].rule, found[0].line), ("git-dependency", 3));
        assert_eq!(sources("source = \"registry+https://example.org\"\n"), vec![]);
    }
}
