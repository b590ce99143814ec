//! The tests, in groups of packages whose features may unify.

use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::cargo;
use crate::layers::{self, Row};
use crate::tools;
use crate::workspace::{Package, Workspace};

/// The command line of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only tests whose name contains one of these
    filters: Vec<String>,
    /// Only this package; may be repeated
    #[arg(short, long = "package", value_name = "NAME")]
    packages: Vec<String>,
}

/// Packages that are built together. What one of them asks of a dependency, all of them get.
#[derive(Debug)]
pub struct Group<'a> {
    /// How reports call it.
    pub name: &'static str,
    packages: Vec<&'a Package>,
}

/// Runs the tests and the doc tests of each group.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> anyhow::Result<()> {
    for name in &arguments.packages {
        if workspace.package(name).is_none() {
            bail!("this workspace has no package {name}");
        }
    }
    let mut groups = groups(workspace);
    if !arguments.packages.is_empty() {
        for group in &mut groups {
            let chosen = |package: &&Package| {
                let mut names = arguments.packages.iter();
                names.any(|name| *name == package.name || name == package.short())
            };
            group.packages.retain(chosen);
        }
        groups.retain(|group| !group.packages.is_empty());
    }
    if groups.is_empty() {
        bail!("a benchmark has no tests: `cargo xtask bench` runs it");
    }
    let mut ran = 0;
    for group in &groups {
        ran += count(&tests(workspace, group, &[], &arguments.filters, &[])?);
    }
    if ran == 0 {
        bail!("no test's name contains {}", arguments.filters.join(" or "));
    }
    if arguments.filters.is_empty() {
        for group in &groups {
            doc_tests(workspace, group)?;
        }
    }
    Ok(())
}

/// Every package but the benchmarks, in three groups: what runs inside the simulator, the simulator alone, so that its
/// features are those of its binary, and the rest, which may have tokio's runtime.
pub fn groups(workspace: &Workspace) -> Vec<Group<'_>> {
    let mut groups = ["network", "simulator", "edges"].map(|name| Group {
        name,
        packages: Vec::new(),
    });
    for package in &workspace.packages {
        let group = match package.short() {
            layers::BENCH => continue,
            "sim" => 1,
            name if layers::find(name).is_some_and(Row::is_simulated) => 0,
            _ => 2,
        };
        groups[group].packages.push(package);
    }
    groups
        .into_iter()
        .filter(|group| !group.packages.is_empty())
        .collect()
}

impl Group<'_> {
    /// `--package` for each of its packages.
    pub fn selection(&self) -> Vec<&str> {
        let packages = self.packages.iter();
        packages
            .flat_map(|package| ["--package", package.name.as_str()])
            .collect()
    }

    fn libraries(&self) -> Vec<&str> {
        let libraries = self.packages.iter().filter(|package| package.has_library());
        libraries
            .flat_map(|package| ["--package", package.name.as_str()])
            .collect()
    }
}

/// Runs the tests of `group` and returns the runner's closing line, with `extra` arguments of cargo and `variables` of
/// the environment.
pub fn tests(
    workspace: &Workspace,
    group: &Group,
    extra: &[&str],
    filters: &[String],
    variables: &[(&str, &str)],
) -> anyhow::Result<String> {
    let mut command = cargo::command(&workspace.root);
    command.envs(variables.iter().copied());
    if tools::NEXTEST.is_there()? {
        let color = if std::io::stderr().is_terminal() {
            "always"
        } else {
            "never"
        };
        command
            .args([
                "nextest",
                "run",
                "--no-fail-fast",
                "--no-tests=pass",
                "--color",
                color,
            ])
            .args(group.selection())
            .args(extra)
            .args(filters);
        return closing_line(&mut command);
    }
    eprintln!("cargo-nextest is not there and could not be installed; `cargo test` runs the tests instead");
    command
        .args(["test", "--all-targets", "--no-fail-fast"])
        .args(group.selection())
        .args(extra)
        .arg("--")
        .args(filters);
    cargo::check(&mut command)?;
    Ok(PASSED.to_owned())
}

/// How many tests ran, by the runner's closing line. `cargo test` does not say, so it counts as one.
pub fn count(closing: &str) -> u64 {
    let words: Vec<&str> = closing.split_whitespace().collect();
    let number = words
        .windows(2)
        .find_map(|pair| pair[1].starts_with("test").then(|| pair[0].parse().ok())?);
    number.unwrap_or(u64::from(closing == PASSED))
}

/// What stands for a closing line where `cargo test` ran the tests.
const PASSED: &str = "passed under `cargo test`";

/// Runs the examples in the documentation of `group`.
pub fn doc_tests(workspace: &Workspace, group: &Group) -> anyhow::Result<()> {
    let libraries = group.libraries();
    if libraries.is_empty() {
        return Ok(());
    }
    cargo::check(
        cargo::command(&workspace.root)
            .args(["test", "--quiet", "--doc"])
            .args(libraries),
    )
}

/// Runs nextest, passes on what it says and returns its closing line.
pub fn closing_line(nextest: &mut Command) -> anyhow::Result<String> {
    let mut child = nextest
        .stderr(Stdio::piped())
        .spawn()
        .context("cargo cannot be started")?;
    let said = child.stderr.take().expect("its standard error is a pipe");
    let mut closing = None;
    for line in BufReader::new(said).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        if line.contains("Summary") && line.contains("run:") {
            closing = Some(line.trim().to_owned());
        }
    }
    let status = child.wait()?;
    match closing {
        Some(closing) if status.success() => Ok(closing),
        Some(closing) => bail!("{closing}"),
        None if status.success() => Ok("no tests".to_owned()),
        None => bail!("the tests do not build"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::workspace::samples;

    #[test]
    fn the_simulator_is_built_with_nobody_and_benchmarks_not_at_all() {
        let names = [
            "soma-bench",
            "soma-env",
            "soma-node",
            "soma-runtime",
            "soma-sim",
            "soma-testkit",
            "soma-xtask",
        ];
        let root = Path::new("/nowhere");
        let packages = names.map(|name| samples::package(root, name, name, &[], &[]));
        let workspace = samples::workspace(root, packages.into());
        let groups = groups(&workspace);
        let shown: Vec<_> = groups
            .iter()
            .map(|group| {
                (
                    group.name,
                    group
                        .packages
                        .iter()
                        .map(|package| package.short())
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        let expected = [
            ("network", vec!["env", "node", "testkit"]),
            ("simulator", vec!["sim"]),
            ("edges", vec!["runtime", "xtask"]),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    #[cfg(unix)]
    fn the_closing_line_is_kept_and_a_failure_is_one() {
        let run = |script: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]);
            closing_line(&mut shell)
        };
        let passed = run("echo '  Summary [ 0.1s] 2 tests run: 2 passed, 0 skipped' >&2").unwrap();
        assert_eq!(passed, "Summary [ 0.1s] 2 tests run: 2 passed, 0 skipped");
        assert_eq!((count(&passed), count("no tests"), count(PASSED)), (2, 0, 1));
        let failed =
            run("echo '  Summary [ 0.1s] 2 tests run: 1 passed, 1 failed' >&2; exit 100").unwrap_err();
        assert_eq!(
            failed.to_string(),
            "Summary [ 0.1s] 2 tests run: 1 passed, 1 failed"
        );
        assert_eq!(run("exit 101").unwrap_err().to_string(), "the tests do not build");
    }
}
