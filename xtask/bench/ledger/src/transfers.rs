//! Transfers without signatures, with the state's root kept: a coin pays and is paid from, so each writes two objects.
//!
//! A turn executes the same commits on the same state. Beside the whole stand its four steps, and what the pieces take that
//! they are made of, each alone over the same bytes and in the same turn: so a piece and the whole are compared in one run.
//! Of the two hashes of a set, one is the ledger's; the other one takes its place in a sum.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use crypto::{Digest, MultisetHash};
use fastcrypto::hash::{EllipticCurveMultisetHash, MultisetHash as _};
use ledger::{Application, Memory, Outcome, root};
use types::{Object, Transaction};

use crate::machine::{best, median, name};
use crate::world::World;

/// How much is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Commits of a turn
    #[arg(long, default_value_t = 8)]
    commits: usize,
    /// Transfers of a commit
    #[arg(long, default_value_t = 2_048)]
    each: usize,
    /// Turns; median and best are shown
    #[arg(long, default_value_t = 9)]
    turns: usize,
    /// Where callgrind's account is kept, for callgrind_annotate
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// One turn and nothing said: what callgrind and perf watch
    #[arg(long, hide = true)]
    once: bool,
}

/// Transfers per second of one core.
const GOAL: f64 = 200_000.0;

/// What a turn of all commits took.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    digests: Duration,
    execution: Duration,
    end: Duration,
    state: Duration,
}

impl Steps {
    fn whole(&self) -> Duration {
        self.digests + self.execution + self.end + self.state
    }
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let world = World::new(
        arguments.commits * arguments.each,
        arguments.commits,
        arguments.each,
    )?;
    if arguments.once {
        black_box(measured(&world, world.state.clone())?);
        return Ok(());
    }
    let pieces = Pieces::of(&world)?;
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    let per_transfer = |spent: Duration| spent.as_secs_f64() * 1e9 / world.transfers() as f64;
    for _ in 0..arguments.turns {
        let steps = measured(&world, world.state.clone())?;
        let whole = per_transfer(steps.whole());
        let lanes = per_transfer(pieces.lanes());
        let curve = per_transfer(pieces.curve());
        let numbers = [
            ("whole", whole),
            ("whole, with the curve's root", whole - lanes + curve),
            ("  step: digests of transactions", per_transfer(steps.digests)),
            ("  step: execution", per_transfer(steps.execution)),
            ("  step: end, change of the root", per_transfer(steps.end)),
            ("  step: state", per_transfer(steps.state)),
            (
                "piece: encode transaction",
                per_transfer(pieces.encode_transactions()),
            ),
            (
                "piece: encode what it writes",
                per_transfer(pieces.encode_objects()),
            ),
            ("piece: Blake2b of both", per_transfer(pieces.hash())),
            ("piece: root, 1,024 lanes", lanes),
            ("piece: root, curve", curve),
            ("beside: digest of effects", per_transfer(pieces.effects())),
        ];
        for (place, (name, number)) in numbers.into_iter().enumerate() {
            if rows.len() <= place {
                rows.push((name, Vec::new()));
            }
            rows[place].1.push(number);
        }
    }
    println!(
        "{}, one core; {} commits of {} transfers, {} turns",
        name(),
        arguments.commits,
        arguments.each,
        arguments.turns
    );
    println!(
        "{:<34} {:>10} {:>10} {:>12}",
        "ns per transfer", "median", "best", "per second"
    );
    for (name, numbers) in &mut rows {
        let (least, middle) = (best(numbers), median(numbers));
        println!("{name:<34} {middle:>10.0} {least:>10.0} {:>12.0}", 1e9 / middle);
    }
    println!("goal: {GOAL:.0} per second, {:.0} ns", 1e9 / GOAL);
    match watched(arguments)? {
        Some(count) => println!(
            "instructions per transfer: {:.0}",
            count as f64 / world.transfers() as f64
        ),
        None => println!("without valgrind nobody counts instructions"),
    }
    Ok(())
}

/// Executes all commits, one after the other, and keeps state and root. The whole of what is measured, and by its name what
/// callgrind counts.
#[inline(never)]
fn measured(world: &World, mut state: Memory) -> anyhow::Result<Steps> {
    let mut steps = Steps::default();
    let mut root = MultisetHash::EMPTY;
    for commit in &world.commits {
        let start = Instant::now();
        let mut application = Application::new(world.context, &state, commit);
        let digests = Instant::now();
        for position in 0..commit.len() {
            let result = application.run(position);
            application.absorb(position, result);
        }
        let execution = Instant::now();
        let applied = application.finish()?;
        root.unite(&applied.change);
        let end = Instant::now();
        state.apply(applied.writes);
        steps.digests += digests - start;
        steps.execution += execution - digests;
        steps.end += end - execution;
        steps.state += end.elapsed();
        let is_done = |result: &Result<Outcome, _>| {
            result
                .as_ref()
                .is_ok_and(|outcome| outcome.effects.status == types::Status::Success)
        };
        ensure!(applied.results.iter().all(is_done), "a transfer failed");
    }
    black_box(root);
    Ok(steps)
}

/// Instructions of one turn; `None` where there is no valgrind.
fn watched(arguments: &Arguments) -> anyhow::Result<Option<u64>> {
    let folder = tempfile::tempdir()?;
    let file = arguments.profile.clone();
    let file = file.unwrap_or_else(|| folder.path().join("callgrind.out"));
    let command = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg("--toggle-collect=*transfers*measured*")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(["transfers", "--once"])
        .args(["--commits", &arguments.commits.to_string()])
        .args(["--each", &arguments.each.to_string()])
        .output();
    let Ok(output) = command else { return Ok(None) };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "callgrind failed:\n{said}");
    let count = said
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    Ok(Some(count.context("callgrind says how much it counted")?))
}

/// What the transfers consist of, to be encoded and hashed again.
struct Pieces<'a> {
    transactions: Vec<&'a Transaction>,
    outcomes: Vec<Outcome>,
    objects: Vec<Object>,
    encoded: Vec<Vec<u8>>,
    /// What the root loses and gains, by commit.
    removed: Vec<Digest>,
    inserted: Vec<Digest>,
}

impl<'a> Pieces<'a> {
    fn of(world: &'a World) -> anyhow::Result<Self> {
        let transactions: Vec<&Transaction> = world
            .commits
            .iter()
            .flatten()
            .map(|transaction| &**transaction)
            .collect();
        let (mut outcomes, mut state) = (Vec::new(), world.state.clone());
        let before = root::root(state.iter());
        let mut change = MultisetHash::EMPTY;
        for commit in &world.commits {
            let applied = Application::new(world.context, &state, commit).run_all()?;
            state.apply(applied.writes);
            change.unite(&applied.change);
            outcomes.extend(applied.results.into_iter().collect::<Result<Vec<_>, _>>()?);
        }
        let mut after = before;
        after.unite(&change);
        ensure!(after == root::root(state.iter()), "the root is that of the state");
        let writes = || {
            outcomes
                .iter()
                .flat_map(|outcome| outcome.writes.values().flatten())
        };
        let objects: Vec<Object> = writes().map(|live| live.object().clone()).collect();
        let changes = || outcomes.iter().flat_map(|outcome| &outcome.effects.changes);
        let digests = |states: &mut dyn Iterator<Item = types::ObjectState>| {
            states.map(|state| state.digest.get()).collect::<Vec<Digest>>()
        };
        let removed = digests(&mut changes().filter_map(|change| change.before));
        let inserted = digests(&mut changes().filter_map(|change| change.after));
        let encoded = transactions.iter().map(|transaction| types::encode(*transaction));
        let encoded = encoded.chain(objects.iter().map(types::encode)).collect();
        Ok(Self {
            removed,
            inserted,
            encoded,
            objects,
            transactions,
            outcomes,
        })
    }

    fn encode_transactions(&self) -> Duration {
        timed(&self.transactions, |transaction| types::encode(*transaction))
    }

    fn encode_objects(&self) -> Duration {
        timed(&self.objects, types::encode)
    }

    fn hash(&self) -> Duration {
        timed(&self.encoded, |bytes| Digest::of(bytes))
    }

    fn effects(&self) -> Duration {
        timed(&self.outcomes, |outcome| outcome.effects.digest())
    }

    fn lanes(&self) -> Duration {
        let start = Instant::now();
        let mut hash = MultisetHash::EMPTY;
        self.removed
            .iter()
            .for_each(|digest| hash.remove(digest.as_bytes()));
        self.inserted
            .iter()
            .for_each(|digest| hash.insert(digest.as_bytes()));
        black_box(hash);
        start.elapsed()
    }

    fn curve(&self) -> Duration {
        let start = Instant::now();
        let mut hash = EllipticCurveMultisetHash::default();
        self.removed
            .iter()
            .for_each(|digest| hash.remove(digest.as_bytes()));
        self.inserted
            .iter()
            .for_each(|digest| hash.insert(digest.as_bytes()));
        black_box(hash);
        start.elapsed()
    }
}

fn timed<T, R>(values: &[T], mut work: impl FnMut(&T) -> R) -> Duration {
    let start = Instant::now();
    for value in values {
        black_box(work(black_box(value)));
    }
    start.elapsed()
}
