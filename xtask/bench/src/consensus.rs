//! A committee in one process over loopback: the machine, its driver, QUIC and redb as they ship, ed25519 on blocks and
//! BLS on the beacon. What it takes per transaction, how much it takes at most, and what it takes while nothing happens.
//!
//! Transactions are made by a thread of its own, whose processor time is counted apart. Each member counts what it is given:
//! a run in which a transaction is lost, comes twice, or comes in another order elsewhere fails. Nobody keeps or
//! executes a transaction that was ordered.

mod committee;
mod counter;
mod load;

use std::time::Duration;

use anyhow::ensure;

use self::committee::{Committee, Sample};
use self::load::Offer;

/// What is run and for how long.
#[derive(clap::Args)]
pub struct Arguments {
    /// Members
    #[arg(long, default_value_t = 4)]
    nodes: u16,
    /// Transactions per second that are offered to all members together
    #[arg(long, default_value_t = 40_000, conflicts_with_all = ["saturate", "idle"])]
    rate: u64,
    /// Looks for the most transactions per second with which 99 of 100 take a second at most
    #[arg(long, conflicts_with = "idle")]
    saturate: bool,
    /// Offers nothing
    #[arg(long)]
    idle: bool,
    /// Bytes of a transaction
    #[arg(long, default_value_t = 512)]
    bytes: usize,
    /// Own blocks wait for the disk
    #[arg(long)]
    synced: bool,
    /// Leader slots of a round; the protocol's when it is left out
    #[arg(long)]
    leaders: Option<u16>,
    /// The least time between two own blocks under load; the usual one when it is left out
    #[arg(long)]
    min_round_ms: Option<u64>,
    /// Seconds that are measured, or that each step of `--saturate` is
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds before them
    #[arg(long, default_value_t = 3)]
    warmup: u64,
}

/// The longest that 99 of 100 transactions may take for a throughput to count.
const LIMIT_MS: f64 = 1_000.0;
/// Transactions in flight in the first step towards saturation, for each member; they double from step to step.
const FIRST_IN_FLIGHT: u64 = 250;
/// Steps towards saturation at most.
const STEPS: u32 = 12;
/// A step that takes too long, or brings less than this over the best one before, is one without gain; two in a row are the
/// end.
const GAIN: f64 = 1.02;

/// Runs a committee and prints what it took.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    tokio.block_on(async {
        let committee = Committee::start(arguments).await?;
        if arguments.saturate {
            saturate(&committee, arguments).await?;
        } else {
            steady(&committee, arguments).await?;
        }
        committee.end().await
    })
}

impl Arguments {
    fn title(&self, what: &str) -> String {
        let written = if self.synced { "synced" } else { "relaxed" };
        format!(
            "{} members, {written}, transactions of {} bytes, {what}; {} s after {} s",
            self.nodes, self.bytes, self.seconds, self.warmup
        )
    }
}

async fn measure(committee: &Committee, arguments: &Arguments, offer: Offer) -> anyhow::Result<Figures> {
    committee.offer(offer);
    tokio::time::sleep(Duration::from_secs(arguments.warmup)).await;
    let before = committee.sample()?;
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    Ok(Figures::between(&before, committee.sample()?))
}

/// One rate, or none.
async fn steady(committee: &Committee, arguments: &Arguments) -> anyhow::Result<()> {
    let rate = if arguments.idle { 0 } else { arguments.rate };
    let figures = measure(committee, arguments, Offer::Rate(rate)).await?;
    let has_goal = arguments.nodes == 4 && arguments.bytes == 512 && !arguments.synced;
    let goal = |text: &'static str, holds: bool| if has_goal && holds { text } else { "" };
    println!("{}", arguments.title(&format!("{rate}/s offered")));
    println!("{:<44} {:>12} {:>8}", "", "measured", "goal");
    let row = |name: &str, value: f64, goal: &str| println!("{name:<44} {value:>12.2} {goal:>8}");
    if !arguments.idle {
        row(
            "processor per transaction, all members, us",
            figures.per_transaction(figures.spent - figures.load),
            goal("<= 9", true),
        );
        row(
            "  of it in the kernel",
            figures.per_transaction(figures.kernel),
            "",
        );
        row(
            "  beside it the load's thread",
            figures.per_transaction(figures.load),
            "",
        );
        row("transactions/s", figures.per_second(figures.transactions), "");
        row("refused/s", figures.per_second(figures.refused), "");
        row("from submission to commit, p50, ms", figures.p50_ms, "");
        row("from submission to commit, p99, ms", figures.p99_ms, "");
    }
    row(
        "of one core, %",
        figures.cores() * 100.0,
        goal("<= 2", arguments.idle),
    );
    row(
        "rounds/s",
        figures.per_second(figures.rounds),
        goal("<= 20", arguments.idle),
    );
    row("commits/s", figures.per_second(figures.commits), "");
    Ok(())
}

/// More and more transactions in flight, until they bring no more per second or take too long.
async fn saturate(committee: &Committee, arguments: &Arguments) -> anyhow::Result<()> {
    println!("{}", arguments.title("as many as there is room for"));
    println!(
        "{:>12} {:>14} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "in flight", "transactions/s", "p50 ms", "p99 ms", "us each", "rounds/s", "cores"
    );
    let (mut best, mut without_gain) = (0.0, 0);
    for step in 0..STEPS {
        let in_flight = FIRST_IN_FLIGHT << step;
        let figures = measure(committee, arguments, Offer::InFlight(in_flight)).await?;
        let per_second = figures.per_second(figures.transactions);
        println!(
            "{:>12} {per_second:>14.0} {:>10.1} {:>10.1} {:>10.2} {:>10.1} {:>8.2}",
            in_flight * u64::from(arguments.nodes),
            figures.p50_ms,
            figures.p99_ms,
            figures.per_transaction(figures.spent - figures.load),
            figures.per_second(figures.rounds),
            figures.cores(),
        );
        let is_in_time = figures.p99_ms <= LIMIT_MS;
        without_gain = if is_in_time && per_second > best * GAIN {
            0
        } else {
            without_gain + 1
        };
        if is_in_time && per_second > best {
            best = per_second;
        }
        if without_gain == 2 {
            break;
        }
    }
    ensure!(best > 0.0, "no step stayed within {LIMIT_MS} ms");
    let goal = match (arguments.nodes, arguments.synced) {
        (4, false) => "; goal 150000",
        (10, false) => "; goal 70000",
        _ => "",
    };
    println!("most transactions/s with p99 within a second: {best:.0}{goal}");
    Ok(())
}

/// What happened between two samples.
struct Figures {
    seconds: f64,
    /// Transactions that each member was given, on average.
    transactions: f64,
    refused: f64,
    rounds: f64,
    commits: f64,
    /// Seconds of processor time: of the process, of it in the kernel, and of the load's thread.
    spent: f64,
    kernel: f64,
    load: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Figures {
    fn between(before: &Sample, mut after: Sample) -> Self {
        after.latencies_us.sort_unstable();
        let at = |hundredth| f64::from(crate::measure::rank(&after.latencies_us, hundredth)) / 1e3;
        let counted = |count: fn(&Sample) -> u64| (count(&after) - count(before)) as f64;
        Self {
            seconds: (after.at - before.at).as_secs_f64(),
            transactions: counted(|sample| sample.delivered) / after.members as f64,
            refused: counted(|sample| sample.refused),
            rounds: counted(|sample| sample.round),
            commits: counted(|sample| sample.commit),
            spent: (after.spent - before.spent).as_secs_f64(),
            kernel: (after.kernel - before.kernel).as_secs_f64(),
            load: (after.load - before.load).as_secs_f64(),
            p50_ms: at(50),
            p99_ms: at(99),
        }
    }

    fn per_second(&self, count: f64) -> f64 {
        count / self.seconds
    }

    /// Microseconds of these seconds that fall to each transaction.
    fn per_transaction(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.transactions.max(1.0)
    }

    fn cores(&self) -> f64 {
        self.spent / self.seconds
    }
}
