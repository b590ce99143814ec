//! A world that a test plays: nodes that run nothing of their own, and a play that uses their environments as it
//! likes, waits in virtual time, and lets happen what a plan could.
//!
//! The play runs on a node of its own, the stage, whose number is that of the nodes: no fault strikes it unless the
//! play says so.

use std::future::{Future, pending};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use env::sync::mpsc;
use env::{Clock, Env, PeerAddress};
use types::PeerId;

use crate::adversary::Strategies;
use crate::budget::Stakes;
use crate::costs::Costs;
use crate::disk::{Profile, Survivors};
use crate::draw::Seed;
use crate::handle::SimEnv;
use crate::kernel::Kernel;
use crate::network::NetConfig;
use crate::plan::{Action, Plan, Step};
use crate::run::{Outcome, Simulation};
use crate::tasks::Policy;
use crate::time::VirtualTime;
use crate::trace::{Entry, Header, Kind, Level, Names, Options, Trace};
use crate::world::{NodeIndex, NodeSpec, Program, WorldConfig};

/// A world to be.
#[derive(Clone, Debug)]
pub struct Lab {
    /// The seed.
    pub seed: Seed,
    /// The nodes that the play has.
    pub nodes: usize,
    /// How they are built and scheduled.
    pub config: WorldConfig,
    /// What Byzantine nodes may do.
    pub strategies: Strategies,
    /// What happens besides what the play does.
    pub steps: Vec<Step>,
    /// How long the play may take. A play that takes longer fails.
    pub limit: Duration,
}

impl Lab {
    /// `nodes` nodes of one room, with good disks and the calibrated costs.
    pub fn new(nodes: usize) -> Self {
        Self {
            seed: Seed::new(1),
            nodes,
            config: WorldConfig {
                net: NetConfig::lan(),
                disk: Profile::NVME,
                costs: Costs::default(),
                policy: Policy::Random,
                shuffle_ties: true,
                buggify: false,
            },
            strategies: Strategies::generic(),
            steps: Vec::new(),
            limit: Duration::from_secs(600),
        }
    }

    /// Runs `play` to its end on kernel `K`.
    ///
    /// # Panics
    /// When the play does, or takes too long, or a step of the plan does not fit.
    pub fn run<K, T, F, Fut>(&self, play: F) -> Played<T>
    where
        K: Kernel,
        T: Send + 'static,
        F: FnOnce(Stage) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        let (arrive, arrivals) = mpsc::channel(self.nodes.max(1));
        let value = Arc::new(Mutex::new(None));
        let waits: Program = Arc::new(move |env: SimEnv| {
            let arrive = arrive.clone();
            Box::pin(async move {
                // A play that has ended takes no more environments.
                drop(arrive.send(env).await);
                pending().await
            })
        });
        let spec = |node: NodeIndex, program: Program| NodeSpec {
            name: format!("n{node}"),
            id: id(node),
            program,
        };
        let mut nodes: Vec<NodeSpec> = (0..self.nodes).map(|node| spec(node, waits.clone())).collect();
        nodes.push(spec(self.nodes, stage(self.nodes, arrivals, play, value.clone())));
        let sink = Sink::default();
        let simulation = Simulation {
            seed: self.seed,
            config: self.config.clone(),
            nodes,
            blobs: Vec::new(),
            stakes: Stakes::Equal.of(self.seed, self.nodes + 1),
            strategies: self.strategies.clone(),
            plan: Plan {
                steps: self.steps.clone(),
            },
            until: VirtualTime::ZERO.after(crate::time::nanos(self.limit)),
            oracles: Vec::new(),
            header: Header {
                seed: self.seed.get(),
                ..Header::default()
            },
            options: Options {
                level: Level::L2,
                ..Options::default()
            },
            sink: Some(Box::new(sink.clone())),
            pulse: Box::new(|_, _| {}),
        };
        let outcome = simulation.run::<K>().expect("the plan of a play fits its world");
        let value = value.lock().expect("the play is over").take();
        let value = value.unwrap_or_else(|| panic!("the play did not end within {:?}", self.limit));
        let bytes = std::mem::take(&mut *sink.0.lock().expect("the run is over"));
        let mut trace = Trace::from_bytes(&bytes).expect("a trace that was just written opens");
        let names = trace.names().clone();
        let events = trace
            .read(0..u64::MAX, usize::MAX)
            .expect("a trace that was just written reads");
        Played {
            value,
            outcome,
            events,
            names,
        }
    }
}

fn id(node: NodeIndex) -> PeerId {
    PeerId::new([u8::try_from(node).expect("a play has few nodes"); 32])
}

/// The program of the stage: it waits for every node, plays, and ends the run.
fn stage<T, F, Fut>(
    nodes: usize,
    arrivals: mpsc::Receiver<SimEnv>,
    play: F,
    value: Arc<Mutex<Option<T>>>,
) -> Program
where
    T: Send + 'static,
    F: FnOnce(Stage) -> Fut + Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let script = Mutex::new(Some((arrivals, play)));
    Arc::new(move |hand: SimEnv| {
        let script = script.lock().expect("a stage starts once").take();
        let value = value.clone();
        Box::pin(async move {
            let (arrivals, play) = script.expect("nothing restarts the stage");
            let mut stage = Stage {
                hand: hand.clone(),
                envs: vec![None; nodes],
                arrivals,
            };
            for _ in 0..nodes {
                stage.welcome().await;
            }
            let played = play(stage).await;
            *value.lock().expect("the play is over") = Some(played);
            hand.end_run();
        })
    })
}

/// What a play has in its hands.
pub struct Stage {
    hand: SimEnv,
    envs: Vec<Option<SimEnv>>,
    arrivals: mpsc::Receiver<SimEnv>,
}

impl Stage {
    /// The environment of the stage itself: its clock is the one to measure with.
    pub fn hand(&self) -> &SimEnv {
        &self.hand
    }

    /// The environment of the latest incarnation of a node.
    pub fn env(&self, node: NodeIndex) -> &SimEnv {
        self.envs[node].as_ref().expect("every node has started")
    }

    /// Where a node is found.
    pub fn address(&self, node: NodeIndex) -> PeerAddress {
        PeerAddress {
            id: id(node),
            address: String::new(),
        }
    }

    /// Lets `action` happen, and completes when it has.
    pub async fn act(&self, action: Action) {
        self.hand.act(action);
        self.hand.clock().sleep(Duration::from_nanos(1)).await;
    }

    /// Lets time pass.
    pub async fn wait(&self, time: Duration) {
        self.hand.clock().sleep(time).await;
    }

    /// Cuts the power of a node.
    pub async fn crash(&self, node: NodeIndex, survivors: Survivors) {
        self.act(Action::Crash { node, survivors }).await;
    }

    /// Starts a node that is down, and completes when its program runs.
    pub async fn restart(&mut self, node: NodeIndex) {
        self.act(Action::Restart { node }).await;
        self.welcome().await;
    }

    async fn welcome(&mut self) {
        let env = self.arrivals.recv().await.expect("the nodes hold the other end");
        let node = env.node();
        self.envs[node] = Some(env);
    }
}

/// A play that is over.
pub struct Played<T> {
    /// What it came to.
    pub value: T,
    /// The run that it was.
    pub outcome: Outcome,
    /// Every event of the run.
    pub events: Vec<Entry>,
    names: Names,
}

impl<T> Played<T> {
    /// How many events there are of `kind` and `name`.
    pub fn count(&self, kind: Kind, name: &str) -> usize {
        let named = |entry: &&Entry| entry.record.kind == kind && self.names.text(entry.record.name) == name;
        self.events.iter().filter(named).count()
    }
}

/// A trace that stays in memory.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread writes").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
