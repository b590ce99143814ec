//! Nodes in this process, from start to end.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use consensus::Production;
use env::{Clock, Durability, Env, Scope, Spawner};
use node::consensus::{End, Failure, Handle, Log, Port, Setup, Start, run, serve};
use runtime::storage::{Disk, Redb};
use runtime::{NoBlobs, Runtime};

use super::Measure;
use super::config::Config;
use super::load::Load;
use super::notes::Notes;
use super::stats::{Measured, Record, Stats};

type World = Runtime<Disk<Redb>, NoBlobs>;

/// Payloads on their way to the machine.
const ROOM: usize = 4_096;
/// Room for a failure of each node.
const FAILURES: usize = 16;

/// A node that has been started.
struct Node {
    index: u16,
    env: World,
    handle: Handle,
    stats: Arc<Stats>,
    /// Ends its tasks when it is dropped.
    _scope: <<World as Env>::Spawner as Spawner>::Scope,
}

/// A node that is to be started.
pub struct Startup {
    pub config: Config,
    /// Whether its keys have signed nothing yet.
    pub is_first: bool,
    /// Where it notes every commit.
    pub notes: Option<Notes>,
}

/// Runs nodes until the process is interrupted, the time of the measurement is over, or one of them fails.
pub async fn run_all(startups: Vec<Startup>, measure: &Measure) -> anyhow::Result<()> {
    let load = measure.load()?;
    let file = measure.stats_file.as_ref().map(|path| {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        anyhow::Ok(LineWriter::new(file))
    });
    let file = file.transpose()?;
    let (failed, mut failures) = env::sync::mpsc::channel(FAILURES);
    let mut nodes = Vec::new();
    for startup in startups {
        let index = startup.config.index;
        let node = start(startup, load, failed.clone());
        nodes.push(node.with_context(|| format!("member {index} does not start"))?);
    }
    let Some(clock) = nodes.first().map(|node| node.env.clock().clone()) else {
        return Ok(());
    };
    let limit = measure.seconds.map_or(Duration::MAX, Duration::from_secs);
    let failure = env::select! {
        failure = failures.recv() => failure,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("the process cannot be interrupted")?;
            None
        }
        () = clock.sleep(limit) => None,
        told = tell(&nodes, measure.period(), file) => return told.context("figures cannot be written"),
    };
    for node in &nodes {
        node.env.shutdown().await;
    }
    match failure {
        Some((index, failure)) => Err(failure).with_context(|| format!("member {index} fails")),
        None => Ok(()),
    }
}

fn start(
    Startup {
        config,
        is_first,
        notes,
    }: Startup,
    load: Option<Load>,
    failed: env::sync::mpsc::Sender<(u16, Failure)>,
) -> anyhow::Result<Node> {
    let env = World::start(&config.runtime, NoBlobs)?;
    let index = config.index.get();
    let (handle, port) = Port::new(ROOM);
    let stats = Arc::new(Stats::default());
    let setup = Setup::<Production> {
        rules: config.rules,
        pace: config.pace,
        members: config.members,
        index: config.index,
        secrets: config.secrets,
        peers: config.peers,
        start: match is_first {
            true => Start::Fresh,
            false => Start::Resume,
        },
        mode: config.mode,
        port,
    };
    setup.check()?;
    let consumer = Measured {
        record: match notes {
            Some(notes) => Record::Notes(notes),
            // A commit that the log forgets is handed over again.
            None => Record::Log(Log::new(env.clone(), "log", Durability::Buffered)),
        },
        env: env.clone(),
        maker: u64::from(index),
        stats: Arc::clone(&stats),
    };
    let scope = env.spawner().scope("member");
    let world = env.clone();
    drop(scope.spawn("consensus", async move {
        let served = match run(world.clone(), setup, consumer).await {
            // Those who are behind still need the epoch.
            Ok(End::Closed { last, archive, .. }) => {
                let last = last.map_or(0, |last| last.index.get());
                println!(
                    "member {index} has closed epoch {} at commit {last}",
                    archive.epoch()
                );
                serve(world, archive).await.map_err(Failure::Network)
            }
            Ok(End::Shutdown) => Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = served {
            // Only the first failure counts.
            drop(failed.try_send((index, failure)));
        }
    }));
    if let Some(load) = load {
        let (world, handle, stats) = (env.clone(), handle.clone(), Arc::clone(&stats));
        drop(scope.spawn("load", async move {
            load.run(world, u64::from(index), handle, &stats).await;
        }));
    }
    Ok(Node {
        index,
        env,
        handle,
        stats,
        _scope: scope,
    })
}

/// Says how things stand, again and again.
async fn tell(nodes: &[Node], period: Duration, mut file: Option<LineWriter<File>>) -> std::io::Result<()> {
    let Some(first) = nodes.first() else { return Ok(()) };
    let mut tick = first.env.clock().interval(period);
    loop {
        tick.tick().await;
        for node in nodes {
            let line = node.stats.line(node.index, node.env.clock().now(), &node.handle);
            writeln!(std::io::stdout(), "{line}")?;
            if let Some(file) = &mut file {
                serde_json::to_writer(&mut *file, &line)?;
                file.write_all(b"\n")?;
            }
        }
    }
}
