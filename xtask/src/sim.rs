//! Building the simulator and becoming it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::cargo;
use crate::workspace::Workspace;

const PACKAGE: &str = "soma-sim";
const BINARY: &str = "soma-sim";

/// A build that takes longer says so, and says again how far it is after each further period.
const PATIENCE: Duration = Duration::from_secs(3);

/// What no other build has: leaks through crates that a run must not use, and bugs of consensus that a run can be given.
const PLANTED: &[&str] = &["--features", "canary,planted"];

/// How the simulator is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Optimised, with debug assertions.
    Sim,
    /// Compiled fast, runs slowly.
    Dev,
}

/// Builds the simulator and replaces this process by it. Returns only when that fails.
///
/// `subcommand` goes before `arguments`, from which a leading `--dev` or `--planted` is taken.
pub fn run(workspace: &Workspace, subcommand: Option<&str>, arguments: Vec<OsString>) -> anyhow::Result<()> {
    if arguments.first().is_some_and(|first| first == "--planted") {
        let mut simulator = planted(workspace, Profile::Sim)?;
        simulator.args(subcommand).args(&arguments[1..]);
        return become_process(simulator);
    }
    let (profile, arguments) = take_profile(arguments);
    let mut simulator = simulator(workspace, profile)?;
    simulator.args(subcommand).args(arguments);
    become_process(simulator)
}

/// Runs many seeds.
pub fn swarm(workspace: &Workspace, arguments: Vec<OsString>) -> anyhow::Result<()> {
    let (profile, mut arguments) = take_profile(arguments);
    if !says_how_much(&arguments) {
        arguments.extend(["--duration", "10m"].map(OsString::from));
    }
    let mut simulator = simulator(workspace, profile)?;
    simulator.args(arguments);
    become_process(simulator)
}

/// Builds the simulator with every planted leak and replaces this process by its `doctor`.
pub fn doctor(workspace: &Workspace, arguments: Vec<OsString>) -> anyhow::Result<()> {
    let (profile, arguments) = take_profile(arguments);
    let mut doctor = planted(workspace, profile)?;
    doctor.arg("doctor").args(arguments);
    become_process(doctor)
}

/// The doctor with every planted leak, for `cargo xtask ci`: it fails if one is missed that this host lets be caught. It
/// is compiled fast, for what the guard catches does not depend on the profile.
pub fn canaries(workspace: &Workspace) -> anyhow::Result<Command> {
    let mut doctor = planted(workspace, Profile::Dev)?;
    doctor
        .current_dir(&workspace.root)
        .stdin(Stdio::null())
        .arg("doctor");
    Ok(doctor)
}

/// The simulator with everything that is planted.
pub fn planted(workspace: &Workspace, profile: Profile) -> anyhow::Result<Command> {
    Ok(Command::new(build(workspace, profile, PLANTED)?))
}

/// The simulator, built, and told which commit it was built from: traces say it.
fn simulator(workspace: &Workspace, profile: Profile) -> anyhow::Result<Command> {
    let mut simulator = Command::new(build(workspace, profile, &[])?);
    if let Some(commit) = commit(workspace) {
        simulator.env("SOMA_COMMIT", commit);
    }
    Ok(simulator)
}

/// The commit of the source, marked if the source differs from it. `None` outside of a repository.
fn commit(workspace: &Workspace) -> Option<String> {
    let described = Command::new("git")
        .current_dir(&workspace.root)
        .args(["describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"])
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(described.stdout).ok()?.trim().to_owned())
}

/// A few seeds, each run twice, for `cargo xtask ci`. `None` while there is no simulator to run.
pub fn smoke(workspace: &Workspace) -> anyhow::Result<Option<Command>> {
    let exists = workspace
        .package(PACKAGE)
        .is_some_and(|package| package.has_binary(BINARY));
    if !exists {
        return Ok(None);
    }
    let mut simulator = simulator(workspace, Profile::Sim)?;
    simulator
        .current_dir(&workspace.root)
        .stdin(Stdio::null())
        .args(["--seeds", "1..9", "--check"]);
    Ok(Some(simulator))
}

/// The optimised simulator, built.
pub fn command(workspace: &Workspace) -> anyhow::Result<Command> {
    Ok(Command::new(build(workspace, Profile::Sim, &[])?))
}

fn take_profile(mut arguments: Vec<OsString>) -> (Profile, Vec<OsString>) {
    if arguments.first().is_some_and(|first| first == "--dev") {
        arguments.remove(0);
        return (Profile::Dev, arguments);
    }
    (Profile::Sim, arguments)
}

fn says_how_much(arguments: &[OsString]) -> bool {
    let options = [
        "--seed",
        "--seeds",
        "--count",
        "--duration",
        "--plan",
        "--help",
        "-h",
    ];
    arguments.iter().filter_map(|word| word.to_str()).any(|word| {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        options.contains(&name)
    })
}

/// Compiles the simulator, quietly while it takes no time, and returns where it lies.
fn build(workspace: &Workspace, profile: Profile, features: &[&str]) -> anyhow::Result<PathBuf> {
    let profile = match profile {
        Profile::Sim => "sim",
        Profile::Dev => "dev",
    };
    let started = Instant::now();
    let mut build = cargo::command(&workspace.root)
        .args(["build", "--quiet", "--package", PACKAGE, "--bin", BINARY])
        .args(["--profile", profile, "--message-format=json-render-diagnostics"])
        .args(features)
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo cannot be started")?;
    let messages = build.stdout.take().expect("its standard output is a pipe");
    let mut binary = None;
    let mut compiled = 0;
    let mut said = started;
    for line in BufReader::new(messages).lines() {
        let Ok(message) = serde_json::from_str::<Message>(&line?) else {
            continue; // a kind of message that has other fields
        };
        compiled += usize::from(!message.fresh);
        if message.target.name == BINARY && message.executable.is_some() {
            binary = message.executable;
        }
        if started.elapsed() > PATIENCE && said.elapsed() > PATIENCE {
            said = Instant::now();
            let seconds = started.elapsed().as_secs();
            eprintln!("building the simulator: {compiled} crates in {seconds} s");
        }
    }
    if !build.wait()?.success() {
        bail!("the simulator does not build");
    }
    binary.context("cargo built no soma-sim")
}

/// One crate was compiled, or found to be fresh.
#[derive(Deserialize)]
struct Message {
    fresh: bool,
    target: MessageTarget,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct MessageTarget {
    name: String,
}

/// Replaces this process, so that exit codes and signals are the program's own.
#[cfg(unix)]
pub fn become_process(mut command: Command) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt;
    let program = command.get_program().to_owned();
    cargo::forget_cargo(&mut command);
    Err(command.exec()).with_context(|| format!("{} cannot be started", program.to_string_lossy()))
}

/// Runs it and ends as it ends.
#[cfg(not(unix))]
pub fn become_process(mut command: Command) -> anyhow::Result<()> {
    let status = command.status()?;
    std::process::exit(status.code().unwrap_or(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn only_a_leading_dev_is_ours() {
        assert_eq!(
            take_profile(words("--dev --seed 1")),
            (Profile::Dev, words("--seed 1"))
        );
        assert_eq!(
            take_profile(words("--seed 1 --dev")),
            (Profile::Sim, words("--seed 1 --dev"))
        );
    }

    #[test]
    fn a_build_knows_its_commit() {
        let root = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(root.path()).args(arguments).output().unwrap()
        };
        let workspace = crate::workspace::samples::workspace(root.path(), Vec::new());
        assert_eq!(commit(&workspace), None);
        git(&["init", "--quiet"]);
        let author = ["-c", "user.name=a", "-c", "user.email=a@b"];
        git(&[
            &author[..],
            &["commit", "--quiet", "--allow-empty", "--message=a"],
        ]
        .concat());
        let commit = commit(&workspace).unwrap();
        assert!(
            commit.len() >= 12 && commit.chars().all(|digit| digit.is_ascii_hexdigit()),
            "{commit}"
        );
    }

    #[test]
    fn a_swarm_with_an_amount_keeps_it() {
        assert!(says_how_much(&words("--nodes 4 --duration=2h")));
        assert!(says_how_much(&words("--count 3")));
        assert!(!says_how_much(&words("--nodes 4 --counter")));
    }
}
