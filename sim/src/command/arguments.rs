//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sim::consensus::compare::Choice;
use sim::swarm::Family;
use sim::trace::Level;

const EXIT_CODES: &str = "\
Exit codes:
   0  everything passed, or the two runs are equal
   1  the simulator could not do its work
   2  the command line, or a file that it names, is wrong
  10  safety: nodes contradict each other or themselves
  11  liveness: what had to happen did not
  12  invariant: a quantity is not what it must be
  13  panic: a node panicked, or its process died
  14  non-determinism: two runs of one seed differ
  15  stalled: nothing was left to happen
  17  mismatch: a replay differs from its trace, or two traces differ
  18  hang: the run made no progress in real time
  19  tripwire: the run reached outside of the simulator
 130  interrupted, and nothing had failed until then
Of several failures the first in the order 10, 12, 14, 19, 13, 11, 18, others decides.";

/// Runs a whole network in one process, from one seed.
#[derive(Parser)]
#[command(name = "sim", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArguments,
}

#[derive(Subcommand)]
pub enum Command {
    /// Runs what a trace records again, and says whether it comes out the same.
    #[command(after_help = EXIT_CODES)]
    Replay(ReplayArguments),
    /// Compares two traces by what they keep.
    Diff {
        /// A trace.
        left: PathBuf,
        /// The other one.
        right: PathBuf,
        #[command(flatten)]
        format: FormatArgument,
    },
    /// Finds the first different event of two runs, and runs each of them again once at most.
    Bisect(BisectArguments),
    /// Makes a page of a trace: time lines, events, causes. It needs no network.
    View {
        /// A trace.
        trace: PathBuf,
        /// The page.
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Writes a trace for other tools.
    Export(ExportArguments),
    /// Prints the plan that a seed draws.
    Plan {
        /// The seed.
        #[arg(long)]
        seed: u64,
        #[command(flatten)]
        what: WhatArguments,
    },
    /// Names the built-in scenarios, the strategies of Byzantine nodes, and the network whose floor is known.
    List,
    /// Says what this machine lets the simulator watch, and whether each planted leak is caught.
    Doctor,
    /// Plants one bug after the other, and says how many runs it takes until an oracle objects.
    #[cfg(feature = "planted")]
    Planted(PlantedArguments),
}

#[derive(Args)]
pub struct RunArguments {
    /// The seed to run, or the first one. Without it one is drawn, and printed first.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// The seeds A..B, without B.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    pub seeds: Option<(u64, u64)>,
    /// Runs this many seeds, from --seed on.
    #[arg(long, value_name = "K", conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Runs seeds for this long, from --seed on or within --seeds: 90s, 10m, 2h.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    #[command(flatten)]
    pub what: WhatArguments,
    /// Runs each seed twice, the second time with other hasher keys, addresses, environment and history.
    #[arg(long, conflicts_with_all = ["trace", "shrink"])]
    pub check: bool,
    /// Makes the plan of the first failing seed as small as it gets, in RUNS runs at most (200 unless given).
    #[arg(long, value_name = "RUNS", num_args = 0..=1, require_equals = true, default_missing_value = "200", value_parser = clap::value_parser!(u32).range(1..))]
    pub shrink: Option<u32>,
    /// What traces keep: L0 hashes, L1 what nodes say and faults, L2 every packet, poll and disk operation, L3 the
    /// bytes of packets and each draw of entropy, too. One seed is traced as it runs; of many, those that fail are run again for it.
    #[arg(long, value_name = "LEVEL", requires = "out", value_parser = parse_level)]
    pub trace: Option<Level>,
    /// The folder for traces, plans and pages of failing seeds.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Runs that live at a time. One per processor unless given.
    #[arg(long, value_name = "J")]
    pub jobs: Option<usize>,
    /// A run that takes this much processor time, or six times as much of your time, without an event hangs.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub hang_after: Duration,
    #[command(flatten)]
    pub format: FormatArgument,
    /// Says more: the plan and the marked places of one seed, the verdict of each of many.
    #[arg(short, long)]
    pub verbose: bool,
    /// Writes a JUnit report.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Writes a summary in markdown.
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    #[command(flatten)]
    pub test: TestArguments,
}

/// What a run is made from, but for the seed.
#[derive(Args, Clone)]
pub struct WhatArguments {
    /// A built-in scenario, or a TOML file. `swarm` unless given.
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: Option<String>,
    /// Nodes, instead of the scenario's.
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,
    /// Families of faults: `a` adds one to the scenario's, `-a` takes one away; `all` and `none` come first.
    #[arg(long, value_name = "A,-B", allow_hyphen_values = true, value_delimiter = ',', value_parser = parse_family)]
    pub faults: Vec<FamilyChange>,
    /// In how many of a hundred seeds there are Byzantine nodes, and how many at most, instead of what the scenario says.
    #[arg(long, value_name = "PERCENT[,MOST]", value_parser = parse_byzantine)]
    pub byz: Option<(u64, u64)>,
    /// Runs this plan instead of the one that the seed draws.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["faults", "byz"])]
    pub plan: Option<PathBuf>,
    /// Plants this bug in every node.
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "NAME", value_parser = parse_bug)]
    pub bug: Option<consensus::planted::Bug>,
}

impl WhatArguments {
    /// What the scenario is called.
    pub fn scenario(&self) -> &str {
        self.scenario.as_deref().unwrap_or("swarm")
    }

    /// Whether anything was said.
    pub fn is_said(&self) -> bool {
        let is_drawn_otherwise = !self.faults.is_empty() || self.byz.is_some();
        #[cfg(feature = "planted")]
        let is_drawn_otherwise = is_drawn_otherwise || self.bug.is_some();
        self.scenario.is_some() || self.nodes.is_some() || is_drawn_otherwise || self.plan.is_some()
    }
}

#[cfg(feature = "planted")]
#[derive(Args)]
pub struct PlantedArguments {
    /// Only these bugs.
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = parse_bug)]
    pub only: Vec<consensus::planted::Bug>,
    /// The last seed that is tried.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub seeds: u64,
    /// Makes the plan of each find as small as it gets, in RUNS runs at most (60 unless given).
    #[arg(long, value_name = "RUNS", num_args = 0..=1, require_equals = true, default_missing_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    pub shrink: Option<u32>,
    /// The page whose table has a row for each bug.
    #[arg(long, value_name = "FILE")]
    pub page: PathBuf,
    /// Runs a few rows of the page again instead: the same oracles have to object.
    #[arg(long, conflicts_with_all = ["only", "shrink"])]
    pub check: bool,
}

#[derive(Args)]
pub struct ReplayArguments {
    /// A trace; with --rule, what `export --dag` wrote of one.
    #[arg(required_unless_present = "seed", conflicts_with = "seed")]
    pub trace: Option<PathBuf>,
    /// Instead of a trace: runs this seed twice.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Runs nothing again, and says what this commit rule makes of the blocks: `leaders=2,wave=3`, or `rule=two-round`. As
    /// often as there are rules to compare.
    #[arg(long, value_name = "RULE", conflicts_with = "seed")]
    pub rule: Vec<Choice>,
    #[command(flatten)]
    pub what: WhatArguments,
    #[command(flatten)]
    pub format: FormatArgument,
    #[command(flatten)]
    pub test: TestArguments,
}

#[derive(Args)]
pub struct BisectArguments {
    /// A trace.
    #[arg(required_unless_present = "seed", conflicts_with = "seed", requires = "right")]
    pub left: Option<PathBuf>,
    /// The other one.
    pub right: Option<PathBuf>,
    /// Instead of traces: this seed, plain and with other hasher keys, addresses, environment and history.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub what: WhatArguments,
    #[command(flatten)]
    pub format: FormatArgument,
    #[command(flatten)]
    pub test: TestArguments,
}

#[derive(Args)]
pub struct ExportArguments {
    /// A trace.
    pub trace: PathBuf,
    /// A JSON object a line.
    #[arg(long, required_unless_present_any = ["perfetto", "dag"], conflicts_with_all = ["perfetto", "dag"])]
    pub ndjson: bool,
    /// Trace events, which Perfetto and Chrome show.
    #[arg(long, conflicts_with = "dag")]
    pub perfetto: bool,
    /// The blocks of a consensus, a JSON object a line, from a trace of level L3: for `replay --rule`.
    #[arg(long)]
    pub dag: bool,
    /// Where it goes, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args, Clone, Copy)]
pub struct FormatArgument {
    /// Text for people, or a JSON object a line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Switches that tests prove the tools with.
#[derive(Args, Clone, Copy)]
pub struct TestArguments {
    /// The event with this number comes out different in the run whose hasher keys are perturbed.
    #[arg(long, hide = true, value_name = "EVENT")]
    pub perturb_event: Option<u64>,
}

/// One word of `--faults`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyChange {
    All,
    None,
    Add(Family),
    Remove(Family),
}

impl FamilyChange {
    /// The families that `changes` make of `families`.
    pub fn apply(changes: &[Self], families: &[Family]) -> Result<Vec<Family>, String> {
        let mut changed = families.to_vec();
        for (index, change) in changes.iter().enumerate() {
            match change {
                Self::All | Self::None if index > 0 => {
                    return Err(
                        "--faults: `all` and `none` come first, or they undo what stands before them"
                            .to_owned(),
                    );
                }
                Self::All => changed = Family::ALL.to_vec(),
                Self::None => changed.clear(),
                Self::Add(family) if changes.contains(&Self::Remove(*family)) => {
                    return Err(format!(
                        "--faults both adds and removes `{}`: say one",
                        family.name()
                    ));
                }
                Self::Add(family) if changed.contains(family) => {}
                Self::Add(family) => changed.push(*family),
                Self::Remove(family) => changed.retain(|other| other != family),
            }
        }
        // In the order of the families, so that the order of the words does not make another run.
        Ok(Family::ALL
            .into_iter()
            .filter(|family| changed.contains(family))
            .collect())
    }
}

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let parts = text
        .split_once("..")
        .and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    parts
        .filter(|(from, to)| from < to)
        .ok_or_else(|| format!("`{text}` is not a range A..B with A below B"))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let millis = digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit_ms));
    millis
        .filter(|millis| *millis > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is not a time above zero such as 90s, 10m or 2h"))
}

fn parse_byzantine(text: &str) -> Result<(u64, u64), String> {
    let (percent, most) = text.split_once(',').unwrap_or((text, "0"));
    let parsed = percent.parse().ok().zip(most.parse().ok());
    parsed.filter(|(percent, _)| *percent <= 100).ok_or_else(|| {
        format!("`{text}` is not a share of a hundred and a number of nodes, such as 30 or 30,1")
    })
}

#[cfg(feature = "planted")]
fn parse_bug(text: &str) -> Result<consensus::planted::Bug, String> {
    let bugs = consensus::planted::Bug::ALL;
    let found = bugs.iter().find(|bug| bug.name() == text);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = bugs.iter().map(|bug| bug.name()).collect();
        format!("no bug is called `{text}`: {}", names.join(", "))
    })
}

fn parse_level(text: &str) -> Result<Level, String> {
    match text {
        "L0" | "l0" => Ok(Level::L0),
        "L1" | "l1" => Ok(Level::L1),
        "L2" | "l2" => Ok(Level::L2),
        "L3" | "l3" => Ok(Level::L3),
        _ => Err(format!("`{text}` is not one of L0, L1, L2, L3")),
    }
}

fn parse_family(text: &str) -> Result<FamilyChange, String> {
    let (removes, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text),
    };
    match (name, Family::named(name)) {
        ("all", _) if !removes => Ok(FamilyChange::All),
        ("none", _) if !removes => Ok(FamilyChange::None),
        (_, Some(family)) if removes => Ok(FamilyChange::Remove(family)),
        (_, Some(family)) => Ok(FamilyChange::Add(family)),
        _ => {
            let names = Family::ALL.map(Family::name).join(", ");
            Err(format!(
                "no family of faults is called `{name}`: {names}, all, none"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn families_are_added_and_removed_from_left_to_right() {
        let families = |text: &str, from: &[Family]| {
            let changes: Result<Vec<_>, _> = text.split(',').map(parse_family).collect();
            FamilyChange::apply(&changes?, from)
        };
        let few = [Family::Crash, Family::Clock];
        assert_eq!(
            families("disk,-clock", &few),
            Ok(vec![Family::Crash, Family::Disk])
        );
        assert_eq!(families("none,host", &few), Ok(vec![Family::Host]));
        assert_eq!(families("all,-host", &few).map(|all| all.len()), Ok(6));
        assert_eq!(families("crash", &few), Ok(few.to_vec()));
        for wrong in ["crash,none", "disk,-disk", "disc", "-all", ""] {
            assert!(families(wrong, &few).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_of_byzantine_seeds_may_come_with_a_number_of_nodes() {
        assert_eq!(parse_byzantine("30"), Ok((30, 0)));
        assert_eq!(parse_byzantine("100,2"), Ok((100, 2)));
        for wrong in ["", "101", "-1", "30,", "30,x", "30,1,1"] {
            assert!(parse_byzantine(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_and_ranges_have_units_and_an_order() {
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in [
            "10",
            "m",
            "0s",
            "1d",
            "-1s",
            "99999999999999999999s",
            "18446744073709551615h",
            "1.5h",
            "é",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_range("3..7"), Ok((3, 7)));
        for wrong in ["7..3", "3..3", "3", "..", "a..b"] {
            assert!(parse_range(wrong).is_err(), "{wrong}");
        }
    }
}
