//! From the command line to what is run: everything is read and checked before anything runs.
// tidy: allow std-env in this file: the program's own hash and its commit go into trace headers, not into runs

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sim::Seed;
use sim::plan::Plan;
use sim::recipe::{Build, Recipe, strategies};
use sim::scenario::Scenario;
use sim::worker::{MAX_JOBS, WorkerConfig};

use super::Refusal;
use super::arguments::{FamilyChange, RunArguments, WhatArguments};

/// Where `cargo xtask` says which commit it built.
const COMMIT: &str = "SOMA_COMMIT";

/// The seeds to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// One past the last, if there is a last.
    pub end: Option<u64>,
    /// When no more are begun.
    pub duration: Option<Duration>,
    /// Whether there can be more than one.
    pub are_many: bool,
}

impl Seeds {
    /// The seeds that the arguments name.
    pub fn of(arguments: &RunArguments) -> Result<Self> {
        let duration = arguments.duration;
        if let Some((first, end)) = arguments.seeds {
            return Ok(Self {
                first,
                end: Some(end),
                duration,
                are_many: true,
            });
        }
        let first = match arguments.seed {
            Some(seed) => seed,
            None => draw_seed()?,
        };
        let count = match (arguments.count, duration) {
            (None, Some(_)) => None,
            (count, _) => Some(count.unwrap_or(1)),
        };
        let end = match count {
            Some(count) => Some(first.checked_add(count).ok_or_else(|| {
                Refusal(format!(
                    "{count} seeds from {first} on: the last seed there is is 2^64 - 2"
                ))
            })?),
            None => None,
        };
        Ok(Self {
            first,
            end,
            duration,
            are_many: arguments.count.is_some() || duration.is_some(),
        })
    }

    /// How they are called.
    pub fn text(&self) -> String {
        match (self.are_many, self.end) {
            (false, _) => format!("seed={}", self.first),
            (true, Some(end)) => format!("seeds={}..{end}", self.first),
            (true, None) => format!("seeds={}..", self.first),
        }
    }
}

/// A seed from the host: short, because people type it again.
fn draw_seed() -> Result<u64> {
    let mut bytes = [0; 4];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("the host has no seed to draw: name one with --seed")?;
    Ok(u64::from(u32::from_le_bytes(bytes)))
}

/// What runs are made from, as the arguments say it.
pub fn recipe(what: &WhatArguments, build: Build) -> Result<Recipe> {
    let mut scenario = scenario(what)?;
    if what.plan.is_some() {
        // A plan names nodes: it is one for so many of them.
        scenario.nodes_most = 0;
    }
    let plan = match &what.plan {
        None => None,
        Some(path) => {
            let plan = Plan::parse(&read(path)?);
            let plan = plan.map_err(|error| Refusal(format!("{}: {error}", path.display())))?;
            plan.check(scenario.nodes, scenario.until())
                .and_then(|()| strategies(scenario.load).check(&plan))
                .map_err(|error| Refusal(format!("{}: {error}", path.display())))?;
            Some(plan)
        }
    };
    Ok(Recipe {
        scenario,
        plan,
        build,
        perturb: None,
    })
}

/// The scenario that the arguments name, with their changes.
pub fn scenario(what: &WhatArguments) -> Result<Scenario> {
    let name = what.scenario();
    let mut scenario = if name.ends_with(".toml") {
        let path = Path::new(name);
        Scenario::parse(name, &read(path)?).map_err(refused)?
    } else {
        Scenario::built_in(name).map_err(refused)?
    };
    if let Some(nodes) = what.nodes {
        (scenario.nodes, scenario.nodes_most) = (nodes, 0);
    }
    if !what.faults.is_empty() {
        scenario.faults = FamilyChange::apply(&what.faults, &scenario.faults).map_err(Refusal)?;
        if scenario.fault_ms == 0 && !scenario.faults.is_empty() {
            return Err(Refusal(format!(
                "--faults: scenario `{name}` has no time for faults (fault_ms is 0); take another scenario"
            ))
            .into());
        }
    }
    let strategies = strategies(scenario.load);
    if let Some(unknown) = scenario.strategies.iter().find(|name| !strategies.has(name)) {
        let known = strategies.names();
        return Err(Refusal(format!(
            "scenario `{name}` names the strategy `{unknown}`, and there are: {known}"
        ))
        .into());
    }
    if let Some((percent, most)) = what.byz {
        (scenario.byzantine_percent, scenario.byzantine_most) = (percent, most);
    }
    #[cfg(feature = "planted")]
    {
        scenario.bug = what.bug.or(scenario.bug);
    }
    scenario.check().map_err(refused)?;
    Ok(scenario)
}

/// How workers are run.
pub fn workers(jobs: Option<usize>, is_verbose: bool) -> Result<WorkerConfig> {
    let jobs = match jobs {
        Some(jobs) if (1..=MAX_JOBS).contains(&jobs) => jobs,
        Some(jobs) => {
            return Err(Refusal(format!("--jobs {jobs}: 1 to {MAX_JOBS} runs can live at a time")).into());
        }
        None => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_JOBS),
    };
    Ok(WorkerConfig {
        jobs,
        // What libraries print when a run breaks would stand among the verdicts.
        quiet: !is_verbose,
        ..WorkerConfig::default()
    })
}

/// Refuses what a trace says already.
pub fn refuse_what(what: &WhatArguments) -> Result<()> {
    if what.is_said() {
        let text = "--scenario, --nodes, --faults, --byz and --plan go with --seed: a trace says them itself";
        return Err(Refusal(text.to_owned()).into());
    }
    Ok(())
}

/// The program that this is.
pub fn this_build() -> Result<Build> {
    let mut hasher = blake3::Hasher::new();
    std::env::current_exe()
        .and_then(File::open)
        .and_then(|program| hasher.update_reader(program).map(drop))
        .context("this program cannot read itself, and traces say which program made them")?;
    let commit = std::env::var_os(COMMIT).unwrap_or_default();
    Ok(Build {
        binary: hasher.finalize().to_hex()[..16].to_owned(),
        commit: commit.to_string_lossy().into_owned(),
    })
}

/// The command that runs `seed` again as `what` says, of `nodes` nodes if they were changed, under `plan` if it lies
/// in a file.
pub fn repro(what: &WhatArguments, seed: Seed, nodes: Option<usize>, plan: Option<&Path>) -> String {
    let mut words = vec![format!(
        "cargo xtask sim --seed {seed} --scenario {}",
        quoted(what.scenario())
    )];
    if let Some(nodes) = nodes.or(what.nodes) {
        words.push(format!("--nodes {nodes}"));
    }
    match plan.or(what.plan.as_deref()) {
        Some(plan) => words.push(format!("--plan {}", quoted(&plan.display().to_string()))),
        None => {
            if !what.faults.is_empty() {
                words.push(format!("--faults {}", families(&what.faults)));
            }
            if let Some((percent, most)) = what.byz {
                words.push(format!("--byz {percent},{most}"));
            }
        }
    }
    #[cfg(feature = "planted")]
    if let Some(bug) = what.bug {
        words[0] = words[0].replacen("sim", "sim --planted", 1);
        words.push(format!("--bug {}", bug.name()));
    }
    words.join(" ")
}

fn families(changes: &[FamilyChange]) -> String {
    let words: Vec<String> = changes
        .iter()
        .map(|change| match change {
            FamilyChange::All => "all".to_owned(),
            FamilyChange::None => "none".to_owned(),
            FamilyChange::Add(family) => family.name().to_owned(),
            FamilyChange::Remove(family) => format!("-{}", family.name()),
        })
        .collect();
    words.join(",")
}

/// `word` for a shell.
pub fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:=@".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The text of a file that the command line names.
fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Refusal(format!("{}: {error}", path.display())).into())
}

/// An empty file at `path`, which the command line names: it is known now that it can be written.
pub fn create(path: &Path) -> Result<File> {
    File::create(path)
        .map_err(|error| Refusal(format!("{} cannot be written: {error}", path.display())).into())
}

/// The folder `path`, made if it is not there.
pub fn folder(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path)
        .map_err(|error| Refusal(format!("--out {}: {error}; name a folder", path.display())))?;
    Ok(path.to_owned())
}

fn refused(error: impl std::error::Error) -> Refusal {
    Refusal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repro_line_is_what_a_shell_takes() {
        let what = WhatArguments {
            scenario: Some("my scenario's.toml".to_owned()),
            nodes: Some(5),
            faults: vec![
                FamilyChange::None,
                FamilyChange::Remove(sim::swarm::Family::Clock),
            ],
            byz: Some((30, 1)),
            plan: None,
            #[cfg(feature = "planted")]
            bug: None,
        };
        let line = "cargo xtask sim --seed 7 --scenario 'my scenario'\\''s.toml' --nodes 5 --faults none,-clock \
             --byz 30,1";
        assert_eq!(repro(&what, Seed::new(7), None, None), line);
        let line = "cargo xtask sim --seed 7 --scenario 'my scenario'\\''s.toml' --nodes 4 --plan a/b.toml";
        assert_eq!(
            repro(&what, Seed::new(7), Some(4), Some(Path::new("a/b.toml"))),
            line
        );
    }
}
