//! The node's network over loopback beside a bare quinn echo, in turns: 64-byte requests one after the other and 64 at
//! a time, and one stream of large frames.
//!
//! The bare side does the least that a server does: one task per stream, which reads all and writes it back.

mod bare;
mod ours;

use std::future::Future;
use std::time::Duration;

/// How much is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// Turns of each side, whose medians count.
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Requests per turn, one after the other.
    #[arg(long, default_value_t = 10_000)]
    sequential: usize,
    /// Requests per turn with 64 in flight.
    #[arg(long, default_value_t = 100_000)]
    parallel: usize,
    /// Mebibytes per turn over one stream.
    #[arg(long, default_value_t = 512)]
    mebibytes: usize,
}

const IN_FLIGHT: usize = 64;
const FRAME: usize = 64 << 10;

/// One side of the comparison.
trait Side: Clone + Send + Sync + 'static {
    /// Sends 64 bytes and waits for them to come back.
    fn echo(&self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Sends frames over one stream and waits until the other end has read them all.
    fn pour(&self, frames: usize) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What one turn of one side gave.
struct Turn {
    p50: Duration,
    per_second: f64,
    mebibytes_per_second: f64,
}

/// Runs the comparison and prints it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    tokio.block_on(async {
        let ours = ours::start().await?;
        let bare = bare::start().await?;
        let (mut our_turns, mut bare_turns) = (Vec::new(), Vec::new());
        for turn in 0..=arguments.turns {
            let pair = (turn_of(&ours, arguments).await?, turn_of(&bare, arguments).await?);
            // The first turn warms both up.
            if turn > 0 {
                our_turns.push(pair.0);
                bare_turns.push(pair.1);
            }
        }
        print(&our_turns, &bare_turns);
        ours.shutdown().await;
        Ok(())
    })
}

async fn turn_of<S: Side>(side: &S, arguments: &Arguments) -> anyhow::Result<Turn> {
    let mut times = Vec::with_capacity(arguments.sequential);
    for _ in 0..arguments.sequential {
        let start = tokio::time::Instant::now();
        side.echo().await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let start = tokio::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (side, count) = (side.clone(), arguments.parallel / IN_FLIGHT);
        tasks.spawn(async move {
            for _ in 0..count {
                side.echo().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let per_second = arguments.parallel as f64 / start.elapsed().as_secs_f64();
    let start = tokio::time::Instant::now();
    side.pour(arguments.mebibytes * (1 << 20) / FRAME).await?;
    let mebibytes_per_second = arguments.mebibytes as f64 / start.elapsed().as_secs_f64();
    Ok(Turn {
        p50: times[times.len() / 2],
        per_second,
        mebibytes_per_second,
    })
}

fn print(ours: &[Turn], bare: &[Turn]) {
    let row = |name: &str, measure: &dyn Fn(&Turn) -> f64, faster_is_less: bool| {
        let median = |turns: &[Turn]| {
            let mut values: Vec<f64> = turns.iter().map(measure).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (ours, bare) = (median(ours), median(bare));
        let ratio = if faster_is_less { bare / ours } else { ours / bare };
        println!("{name:<32} {ours:>12.1} {bare:>12.1} {ratio:>8.2}x");
    };
    println!(
        "{:<32} {:>12} {:>12} {:>9}",
        "median of the turns", "soma", "bare quinn", "speed"
    );
    row(
        "64 B request, sequential p50, us",
        &|turn| turn.p50.as_secs_f64() * 1e6,
        true,
    );
    row("64 B request, 64 in flight, /s", &|turn| turn.per_second, false);
    row("one stream, MiB/s", &|turn| turn.mebibytes_per_second, false);
}
