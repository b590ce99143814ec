//! The simulated environment keeps every clause of the contracts, on both kernels.

use std::future::Future;

use bytes::Bytes;
use sim::disk::{Profile, Survivors};
use sim::handle::SimEnv;
use sim::kernel::{Kernel, Madsim, Plain};
use sim::lab::{Lab, Stage};
use sim::network::{LinkProfile, NetConfig};
use sim::{Policy, Seed};
use testkit::contract::blobs::Host;
use testkit::contract::network::Member;
use testkit::contract::storage::Machine;

/// The worlds that each clause has to hold in: any order of the tasks, near links and far ones that jitter.
fn labs(nodes: usize) -> impl Iterator<Item = Lab> {
    let near = NetConfig::lan();
    let far = NetConfig::uniform(LinkProfile {
        latency_us: 5_000,
        jitter_us: 20_000,
        tail_ppm: 10_000,
    });
    let worlds = [
        (Policy::Fifo, near.clone(), Profile::NVME),
        (Policy::Random, far.clone(), Profile::CLOUD),
        (Policy::Lifo, near, Profile::NVME),
        (Policy::Random, far, Profile::INSTANT),
    ];
    (1..).zip(worlds).map(move |(seed, (policy, net, disk))| {
        let mut lab = Lab::new(nodes);
        lab.seed = Seed::new(seed);
        (lab.config.policy, lab.config.net, lab.config.disk) = (policy, net, disk);
        lab
    })
}

/// Runs `case` with one environment.
fn on_one_node<K: Kernel, F: Future<Output = ()> + Send + 'static>(
    case: impl Fn(SimEnv) -> F + Copy + Send + 'static,
) {
    for lab in labs(1) {
        lab.run::<K, _, _, _>(move |stage| case(stage.env(0).clone()));
    }
}

/// Runs `case` with three nodes that do not know each other.
fn among_three<K: Kernel, F: Future<Output = ()> + Send + 'static>(
    case: impl Fn([Member<SimEnv>; 3]) -> F + Copy + Send + 'static,
) {
    for lab in labs(3) {
        lab.run::<K, _, _, _>(move |stage| {
            case([0, 1, 2].map(|node| Member {
                env: stage.env(node).clone(),
                address: stage.address(node),
            }))
        });
    }
}

/// A node whose power can be cut.
struct SimMachine {
    stage: Stage,
    survivors: Survivors,
}

impl Machine for SimMachine {
    type Env = SimEnv;

    fn env(&self) -> SimEnv {
        self.stage.env(0).clone()
    }

    /// A process that ends leaves to the system what it has written.
    async fn restart(&mut self) {
        self.stage.crash(0, Survivors::Everything).await;
        self.stage.restart(0).await;
    }

    async fn crash(&mut self) {
        self.stage.crash(0, self.survivors).await;
        self.stage.restart(0).await;
    }
}

/// Runs `case` with a machine whose crashes leave `survivors`.
fn on_disk<K: Kernel, F: Future<Output = ()> + Send + 'static>(
    survivors: Survivors,
    case: impl Fn(SimMachine) -> F + Copy + Send + 'static,
) {
    for lab in labs(1) {
        lab.run::<K, _, _, _>(move |stage| case(SimMachine { stage, survivors }));
    }
}

/// Crashes leave nothing that was not synced.
fn losing_all<K: Kernel, F: Future<Output = ()> + Send + 'static>(
    case: impl Fn(SimMachine) -> F + Copy + Send + 'static,
) {
    on_disk::<K, F>(Survivors::Nothing, case);
}

/// Crashes leave a drawn part of what was not synced.
fn losing_some<K: Kernel, F: Future<Output = ()> + Send + 'static>(
    case: impl Fn(SimMachine) -> F + Copy + Send + 'static,
) {
    on_disk::<K, F>(Survivors::Prefix, case);
}

/// Crashes leave whatever was handed over.
fn losing_nothing<K: Kernel, F: Future<Output = ()> + Send + 'static>(
    case: impl Fn(SimMachine) -> F + Copy + Send + 'static,
) {
    on_disk::<K, F>(Survivors::Everything, case);
}

/// A world with a host that a node reads from.
struct SimHost {
    stage: Stage,
    blobs: u32,
}

impl Host for SimHost {
    type Env = SimEnv;

    fn env(&self) -> SimEnv {
        self.stage.env(0).clone()
    }

    async fn put(&mut self, content: Bytes) -> String {
        self.blobs += 1;
        let url = format!("https://host.sim/{}", self.blobs);
        self.stage.hand().publish(&url, content);
        url
    }

    fn absent(&self) -> String {
        "https://host.sim/absent".to_owned()
    }
}

/// Runs `case` with an honest host.
fn with_host<K: Kernel, F: Future<Output = ()> + Send + 'static>(
    case: impl Fn(SimHost) -> F + Copy + Send + 'static,
) {
    for lab in labs(1) {
        lab.run::<K, _, _, _>(move |stage| case(SimHost { stage, blobs: 0 }));
    }
}

/// Every suite, on one kernel.
macro_rules! suites {
    ($kernel:ident, $module:ident) => {
        mod $module {
            use super::$kernel;
            mod clock {
                testkit::clock_contract!(crate::on_one_node::<super::$kernel, _>);
            }
            mod spawn {
                testkit::spawn_contract!(crate::on_one_node::<super::$kernel, _>);
            }
            mod compute {
                testkit::compute_contract!(crate::on_one_node::<super::$kernel, _>);
            }
            mod entropy {
                testkit::entropy_contract!(crate::on_one_node::<super::$kernel, _>);
            }
            mod network {
                testkit::network_contract!(crate::among_three::<super::$kernel, _>);
            }
            mod blobs {
                testkit::blobs_contract!(crate::with_host::<super::$kernel, _>);
            }
            mod storage_losing_all {
                testkit::storage_contract!(crate::losing_all::<super::$kernel, _>);
            }
            mod storage_losing_some {
                testkit::storage_contract!(crate::losing_some::<super::$kernel, _>);
            }
            mod storage_losing_nothing {
                testkit::storage_contract!(crate::losing_nothing::<super::$kernel, _>);
            }
        }
    };
}

suites!(Madsim, madsim);
suites!(Plain, plain);

mod scheme {
    testkit::scheme_contract!(sim::scheme::SimScheme);
}
