//! What the numbers of a step may be: all that is worth running, and small enough to be reckoned with.

use super::Action;
use crate::clock::NodeClock;
use crate::disk::DiskFault;
use crate::hosts::HostManner;
use crate::network::{LinkFault, MAX_TAMPERED};

/// One number of an action.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub field: &'static str,
    pub value: i128,
    pub low: i128,
    pub high: i128,
}

const MILLION: u64 = 1_000_000;
const HOUR_US: u64 = 3_600 * MILLION;
/// Longer than the longest run.
const YEAR_NS: u64 = 366 * 86_400 * 1_000 * MILLION;
const CENTURY_MS: i64 = 100 * 366 * 86_400_000;
const TERABYTE: u64 = MILLION * MILLION;

impl Number {
    fn new(field: &'static str, value: impl Into<i128>, low: impl Into<i128>, high: impl Into<i128>) -> Self {
        let (value, low, high) = (value.into(), low.into(), high.into());
        Self {
            field,
            value,
            low,
            high,
        }
    }

    fn ppm(field: &'static str, value: u32) -> Self {
        Self::new(field, value, 0, MILLION)
    }

    pub(super) fn is_within(&self) -> bool {
        (self.low..=self.high).contains(&self.value)
    }
}

impl Action {
    /// Its numbers, but for those of nodes.
    pub(super) fn numbers(&self) -> Vec<Number> {
        match self {
            Self::Slow { percent, .. } => vec![Number::new("percent", *percent, 1, MILLION)],
            Self::Link { fault, .. } => of_link(fault),
            Self::ClockDrift { ppb, .. } => {
                let most = NodeClock::MAX_DRIFT_PPB;
                vec![Number::new("ppb", *ppb, -most, most)]
            }
            Self::ClockStep { ms, .. } => vec![Number::new("ms", *ms, -CENTURY_MS, CENTURY_MS)],
            Self::Disk { fault, .. } => of_disk(fault).into_iter().collect(),
            Self::Host { manner, .. } => match manner {
                HostManner::Slow { bytes_per_second } => {
                    vec![Number::new("bytes_per_second", *bytes_per_second, 1, TERABYTE)]
                }
                HostManner::Flaky { ppm } => vec![Number::ppm("ppm", *ppm)],
                HostManner::Honest
                | HostManner::Missing
                | HostManner::Silent
                | HostManner::Lying
                | HostManner::Selective { .. } => Vec::new(),
            },
            Self::Byzantine { with, .. } => {
                let most = MAX_TAMPERED as u64;
                vec![
                    Number::ppm("with.ppm", with.ppm),
                    Number::new("with.ms", with.ms, 0, HOUR_US / 1_000),
                    Number::new("with.bytes", with.bytes, 0, most),
                ]
            }
            Self::Crash { .. }
            | Self::Restart { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Partition { .. }
            | Self::Heal { .. }
            | Self::Cut { .. }
            | Self::Mend { .. }
            | Self::Reset { .. }
            | Self::ClockRepair { .. }
            | Self::DiskClear { .. }
            | Self::SwapDisks { .. }
            | Self::Honest { .. }
            | Self::Absent { .. }
            | Self::HealAll => Vec::new(),
        }
    }
}

fn of_link(fault: &LinkFault) -> Vec<Number> {
    let LinkFault {
        loss_ppm,
        vanish_ppm,
        duplicate_ppm,
        corrupt_ppm,
        reorder_ppm,
        detour_us,
        extra_latency_us,
        bytes_per_second,
    } = *fault;
    vec![
        Number::ppm("loss_ppm", loss_ppm),
        Number::ppm("vanish_ppm", vanish_ppm),
        Number::ppm("duplicate_ppm", duplicate_ppm),
        Number::ppm("corrupt_ppm", corrupt_ppm),
        Number::ppm("reorder_ppm", reorder_ppm),
        Number::new("detour_us", detour_us, 0, HOUR_US),
        Number::new("extra_latency_us", extra_latency_us, 0, HOUR_US),
        Number::new("bytes_per_second", bytes_per_second, 0, TERABYTE),
    ]
}

fn of_disk(fault: &DiskFault) -> Option<Number> {
    match *fault {
        DiskFault::Slow { percent } => Some(Number::new("percent", percent, 1, MILLION)),
        DiskFault::Throttle { bytes_per_second } => {
            Some(Number::new("bytes_per_second", bytes_per_second, 1, TERABYTE))
        }
        DiskFault::Stall { until_ns } => Some(Number::new("until_ns", until_ns, 0, YEAR_NS)),
        DiskFault::Full { limit_bytes } => Some(Number::new("limit_bytes", limit_bytes, 0, 1_000 * TERABYTE)),
        DiskFault::FlippedRead { ppm }
        | DiskFault::Rot { ppm }
        | DiskFault::Misdirected { ppm }
        | DiskFault::Phantom { ppm } => Some(Number::ppm("ppm", ppm)),
        DiskFault::Hang
        | DiskFault::ReadError { .. }
        | DiskFault::WriteError { .. }
        | DiskFault::FailedSync
        | DiskFault::ReadOnly
        | DiskFault::LyingSync
        | DiskFault::TornTail { .. }
        | DiskFault::CorruptOpen
        | DiskFault::Wipe => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adversary::Manner;
    use crate::plan::{Plan, PlanError, Step};
    use crate::time::VirtualTime;

    #[test]
    fn a_number_that_nothing_can_be_reckoned_with_is_refused_by_name() {
        let node = 0;
        let link = |fault| Action::Link {
            from: None,
            to: None,
            fault,
        };
        let slow_host = Action::Host {
            prefix: String::new(),
            manner: HostManner::Slow { bytes_per_second: 0 },
        };
        let stall = DiskFault::Stall { until_ns: u64::MAX };
        let lossy = LinkFault {
            loss_ppm: 1_000_001,
            ..LinkFault::default()
        };
        let far = LinkFault {
            extra_latency_us: u64::MAX,
            ..LinkFault::default()
        };
        let turn = |with| Action::Byzantine {
            node,
            strategy: "withhold".to_owned(),
            with,
        };
        let huge = Manner {
            bytes: (16 << 20) + 1,
            ..Manner::default()
        };
        let late = Manner {
            ms: 3_600_001,
            ..Manner::default()
        };
        for (action, wrong) in [
            (turn(huge), "with.bytes"),
            (turn(late), "with.ms"),
            (Action::ClockStep { node, ms: i64::MIN }, "ms"),
            (Action::ClockDrift { node, ppb: i64::MIN }, "ppb"),
            (Action::Slow { node, percent: 0 }, "percent"),
            (Action::Disk { node, fault: stall }, "until_ns"),
            (link(lossy), "loss_ppm"),
            (link(far), "extra_latency_us"),
            (slow_host, "bytes_per_second"),
        ] {
            let steps = vec![Step::new(0, Action::HealAll), Step::new(1, action)];
            let checked = Plan { steps }.check(1, VirtualTime::from_millis(1));
            let Err(PlanError::Range { step: 1, field, .. }) = checked else {
                panic!("{wrong}: {checked:?}");
            };
            assert_eq!(field, wrong);
        }
    }
}
