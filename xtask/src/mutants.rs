//! Mutations: small faults in the ledger, one at a time, and whether its tests notice each.
//!
//! What is mutated is a copy of the repository's files in a folder of the cache, with a build folder of its own: the checkout is
//! only read. A run takes hours if every test runs for each mutation, so those that take long run only where no other has failed.
//!
//! Modules in reading order: [`list`].

mod list;

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use self::list::{List, Mutant};
use crate::workspace::Workspace;
use crate::{cargo, tools};

/// The command line of `cargo xtask mutants`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only mutations whose file or sentence contains one of these
    filters: Vec<String>,
    /// The list; its files are named from the root of the repository
    #[arg(long, value_name = "FILE", default_value = LIST)]
    list: PathBuf,
    /// Where the copy and its build lie, outside the checkout; a folder of the cache unless named
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

const LIST: &str = "crates/ledger/mutants.toml";

/// The least part of the mutations that must be noticed, in per cent.
const LEAST_PERCENT: usize = 95;

/// A test that runs for longer hangs: a mutation may well make a loop endless.
const LIMITS: &str = "[profile.default]\nslow-timeout = { period = \"60s\", terminate-after = 5 }\n";

/// Those of the repository. What a mutation leaves unused is no reason not to build it.
const FLAGS: &str = "--cfg\u{1f}madsim\u{1f}--cap-lints\u{1f}warn";

/// How the trial of a mutation ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// This test noticed.
    Killed(String),
    /// No test did.
    Survived,
    /// No compiler takes it: it says nothing about tests.
    DoesNotBuild,
    /// Its text is there so often, and not once.
    Found(usize),
}

/// Tries the mutations; fails if fewer are noticed than must be.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(
        tools::NEXTEST.is_there()?,
        "mutations need cargo-nextest, which is not there and could not be installed"
    );
    let list = List::load(&workspace.root.join(&arguments.list))?;
    let scratch = match &arguments.scratch {
        Some(folder) => std::path::absolute(folder)?,
        None => own_scratch(&workspace.root)?,
    };
    ensure!(
        !scratch.starts_with(&workspace.root),
        "{} lies inside the checkout",
        scratch.display()
    );
    let trial = Trial::new(&list, workspace, &scratch)?;
    let unchanged = trial.test(None)?;
    ensure!(
        unchanged == Outcome::Survived,
        "without a mutation the tests do not pass: {unchanged}"
    );
    let is_chosen = |mutant: &&Mutant| {
        let mut filters = arguments.filters.iter();
        mutant.equivalent.is_none()
            && (arguments.filters.is_empty()
                || filters.any(|filter| mutant.breaks.contains(filter) || mutant.file.contains(filter)))
    };
    let chosen: Vec<&Mutant> = list.mutants.iter().filter(is_chosen).collect();
    ensure!(!chosen.is_empty(), "no mutation is called like that");
    let mut outcomes = Vec::new();
    for (number, mutant) in (1..).zip(&chosen) {
        let started = Instant::now();
        let outcome = trial.try_out(mutant)?;
        let seconds = started.elapsed().as_secs();
        println!(
            "{number}/{} {seconds} s, {}: {} {outcome}",
            chosen.len(),
            mutant.file,
            mutant.breaks
        );
        outcomes.push(outcome);
    }
    let equivalent = list.mutants.iter().filter(|mutant| mutant.equivalent.is_some());
    let (report, is_enough) = summary(&outcomes, equivalent.count());
    println!("{report}");
    if !is_enough {
        bail!("fewer than {LEAST_PERCENT} % of the mutations were noticed");
    }
    Ok(())
}

/// One folder for each checkout, so that two of them do not change each other's copy.
fn own_scratch(root: &Path) -> anyhow::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    let name = format!("mutated-{:016x}", hasher.finish());
    Ok(tools::cache()?.join(name))
}

/// What the outcomes come to, and whether that is enough. Whatever was not noticed counts against the tests, or the list.
fn summary(outcomes: &[Outcome], equivalent: usize) -> (String, bool) {
    let count = |is_meant: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is_meant(outcome)).count();
    let killed = count(|outcome| matches!(outcome, Outcome::Killed(_)));
    let report = format!(
        "mutants: {killed} of {} noticed ({}.{} %), {} survived, {} do not build, {} not found once, {equivalent} equivalent and not tried",
        outcomes.len(),
        killed * 100 / outcomes.len().max(1),
        killed * 1_000 / outcomes.len().max(1) % 10,
        count(|outcome| *outcome == Outcome::Survived),
        count(|outcome| *outcome == Outcome::DoesNotBuild),
        count(|outcome| matches!(outcome, Outcome::Found(_))),
    );
    (report, killed * 100 >= outcomes.len() * LEAST_PERCENT)
}

/// A copy of the repository in which mutations are tried.
struct Trial<'a> {
    list: &'a List,
    tree: PathBuf,
    target: PathBuf,
    limits: PathBuf,
}

impl<'a> Trial<'a> {
    fn new(list: &'a List, workspace: &Workspace, scratch: &Path) -> anyhow::Result<Self> {
        let tree = scratch.join("tree");
        let files = workspace.files()?;
        copy(&workspace.root, &files, &tree).with_context(|| format!("{} is no copy", tree.display()))?;
        let limits = scratch.join("nextest.toml");
        fs::write(&limits, LIMITS)?;
        Ok(Self {
            list,
            tree,
            target: scratch.join("target"),
            limits,
        })
    }

    /// Changes the copy, runs the tests and changes it back.
    fn try_out(&self, mutant: &Mutant) -> anyhow::Result<Outcome> {
        let path = self.tree.join(&mutant.file);
        let source = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", mutant.file))?;
        let changed = match mutant.apply(&source) {
            Ok(changed) => changed,
            Err(count) => return Ok(Outcome::Found(count)),
        };
        fs::write(&path, changed)?;
        let outcome = self.test(mutant.first.as_deref());
        fs::write(&path, source)?;
        outcome
    }

    /// Runs the tests, the named ones first and the slow ones last, until one fails.
    fn test(&self, first: Option<&str>) -> anyhow::Result<Outcome> {
        if let Some(first) = first {
            let outcome = self.run(first.split(' '))?;
            if outcome != Outcome::Survived {
                return Ok(outcome);
            }
        }
        let slow = &self.list.slow;
        for tests in [&format!("not ({slow})"), slow] {
            let packages = self.list.packages.iter().flat_map(|name| ["--package", name]);
            let outcome = self.run(packages.chain(["--filterset", tests]))?;
            if outcome != Outcome::Survived {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Survived)
    }

    fn run<'b>(&self, tests: impl IntoIterator<Item = &'b str>) -> anyhow::Result<Outcome> {
        let mut nextest = cargo::command(&self.tree);
        nextest
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS)
            .env("INSTA_UPDATE", "no")
            .args(["nextest", "run", "--locked", "--fail-fast", "--color", "never"])
            .args([
                "--hide-progress-bar",
                "--status-level",
                "fail",
                "--final-status-level",
                "none",
            ])
            .arg("--tool-config-file")
            .arg(format!("mutants:{}", self.limits.display()))
            .args(tests);
        outcome(&mut nextest)
    }
}

/// What nextest's exit code means, and which test it names.
fn outcome(nextest: &mut Command) -> anyhow::Result<Outcome> {
    let output = nextest.output().context("cargo cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(Outcome::Survived),
        Some(100) => Ok(Outcome::Killed(failed(&said).unwrap_or_default().to_owned())),
        Some(101) => Ok(Outcome::DoesNotBuild),
        _ => bail!("nextest ended with {}:\n{said}", output.status),
    }
}

/// The first test that nextest says has failed.
fn failed(said: &str) -> Option<&str> {
    const WORDS: [&str; 4] = ["FAIL", "SIGABRT", "SIGSEGV", "TIMEOUT"];
    let mut lines = said.lines().map(str::trim);
    let line = lines.find(|line| WORDS.iter().any(|word| line.starts_with(word)))?;
    line.rsplit(' ').next()
}

/// Makes `tree` these files of `root` and no others. What is there and alike keeps its time, so that nothing is built again.
fn copy(root: &Path, files: &[PathBuf], tree: &Path) -> anyhow::Result<()> {
    let wanted: BTreeSet<&Path> = files.iter().map(PathBuf::as_path).collect();
    for file in &wanted {
        let (from, to) = (root.join(file), tree.join(file));
        let bytes = fs::read(&from).with_context(|| format!("{} cannot be read", from.display()))?;
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, bytes)?;
    }
    let mut folders = vec![tree.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if !wanted.contains(path.strip_prefix(tree)?) {
                fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(test) => write!(f, "Noticed by {test}."),
            Self::Survived => f.write_str("NOT NOTICED."),
            Self::DoesNotBuild => f.write_str("DOES NOT BUILD."),
            Self::Found(count) => write!(f, "ITS TEXT IS THERE {count} TIMES."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list of this repository changes what is there: else a run says nothing of what was meant.
    #[test]
    fn every_text_of_the_list_is_there_once() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let list = List::load(&root.join(LIST)).unwrap();
        assert!(list.mutants.len() >= 60);
        let lost: Vec<(&str, usize)> = list
            .mutants
            .iter()
            .filter_map(|mutant| {
                let source = fs::read_to_string(root.join(&mutant.file)).unwrap_or_default();
                Some((mutant.breaks.as_str(), mutant.apply(&source).err()?))
            })
            .collect();
        assert_eq!(lost, []);
    }

    #[test]
    fn fewer_than_nineteen_of_twenty_are_too_few() {
        let killed = Outcome::Killed("a".to_owned());
        let mut outcomes = vec![killed; 19];
        outcomes.push(Outcome::Survived);
        let (report, is_enough) = summary(&outcomes, 2);
        assert!(is_enough);
        assert_eq!(
            report,
            "mutants: 19 of 20 noticed (95.0 %), 1 survived, 0 do not build, 0 not found once, 2 equivalent and not tried"
        );
        for other in [Outcome::Survived, Outcome::DoesNotBuild, Outcome::Found(2)] {
            outcomes[0] = other;
            assert!(!summary(&outcomes, 2).1);
        }
    }

    #[test]
    #[cfg(unix)]
    fn an_exit_code_says_what_became_of_a_mutation() {
        let run = |script: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]);
            outcome(&mut shell)
        };
        assert_eq!(run("exit 0").unwrap(), Outcome::Survived);
        assert_eq!(run("exit 101").unwrap(), Outcome::DoesNotBuild);
        let killed = run("echo '   FAIL [ 0.1s] (1/2) soma-ledger::story a::b' >&2; exit 100").unwrap();
        assert_eq!(killed, Outcome::Killed("a::b".to_owned()));
        assert!(run("exit 96").is_err(), "nextest was asked wrongly");
    }

    #[test]
    fn a_copy_has_the_files_of_the_repository_and_no_others() {
        let (root, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (root, tree) = (root.path(), scratch.path().join("tree"));
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(root.join("a/b.rs"), "one").unwrap();
        fs::write(root.join("c.rs"), "two").unwrap();
        let files = [PathBuf::from("a/b.rs"), PathBuf::from("c.rs")];
        copy(root, &files, &tree).unwrap();
        let time = |file: &str| fs::metadata(tree.join(file)).unwrap().modified().unwrap();
        let before = time("a/b.rs");
        fs::write(tree.join("a/d.rs"), "three").unwrap();
        fs::write(tree.join("c.rs"), "four").unwrap();
        copy(root, &files, &tree).unwrap();
        assert_eq!(time("a/b.rs"), before);
        assert_eq!(fs::read_to_string(tree.join("c.rs")).unwrap(), "two");
        assert!(!tree.join("a/d.rs").exists());
    }
}
