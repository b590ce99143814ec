//! A run without a worker or a trace, for what it achieves.

use std::ops::Range;

use super::meter::{Meter, Readings};
use super::traffic::{Traffic, TrafficMeter};
use super::{SimSuite, build_measured, strategies};
use crate::disk::Profile;
use crate::draw::Seed;
use crate::kernel::Madsim;
use crate::oracle::Violation;
use crate::plan::{Plan, PlanError};
use crate::run::Simulation;
use crate::scenario::Scenario;
use crate::time::VirtualTime;
use crate::trace::{Header, Options};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What members did.
    pub readings: Readings,
    /// What they sent.
    pub traffic: Traffic,
    /// What broke.
    pub violation: Option<Violation>,
}

/// From the end of the window to that of the run: what was due in the window has to arrive, or the slowest would not count.
const DRAIN_NS: u64 = 3_000_000_000;

/// Runs a scenario under `plan` until a little after `window`, in which it measures. Disks are good ones. No oracle judges the
/// run: what is wrong with it, scenarios without a meter find.
///
/// # Errors
/// The plan does not fit the scenario or the time.
pub fn measure(
    seed: Seed,
    scenario: &Scenario,
    plan: &Plan,
    window: Range<VirtualTime>,
) -> Result<Measured, PlanError> {
    let meter = Meter::new(scenario.nodes, window.clone());
    let traffic = TrafficMeter::<SimSuite>::new(seed, scenario, window.clone());
    let mut config = scenario.world(seed);
    config.disk = Profile::NVME;
    let simulation = Simulation {
        seed,
        config,
        nodes: build_measured::<SimSuite>(seed, scenario, Some(&meter)),
        blobs: Vec::new(),
        stakes: scenario.stakes(seed),
        strategies: strategies(),
        plan: plan.clone(),
        until: window.end.after(DRAIN_NS),
        oracles: vec![Box::new(meter.clone())],
        header: Header::default(),
        options: Options::default(),
        sink: None,
        pulse: Box::new(|_, _| {}),
    };
    let outcome = simulation.run_tapped::<Madsim>(Some(Box::new(traffic.clone())))?;
    Ok(Measured {
        readings: meter.readings(),
        traffic: traffic.traffic(),
        violation: outcome.violation,
    })
}
