//! What a node believes about time: a monotone clock with a rate, a wall clock with an offset and steps.

use types::{Mono, UnixMillis};

use crate::time::VirtualTime;

/// What every wall clock shows at the beginning of a run: 2026-01-01T00:00:00Z.
pub const WALL_EPOCH_MS: u64 = 1_767_225_600_000;

const BILLION: i128 = 1_000_000_000;

/// One node's clocks. The rate is piecewise constant; the monotone clock never steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeClock {
    since: VirtualTime,
    mono_ns: u64,
    wall_ns: i128,
    drift_ppb: i64,
}

impl Default for NodeClock {
    fn default() -> Self {
        Self {
            since: VirtualTime::ZERO,
            mono_ns: 0,
            wall_ns: 0,
            drift_ppb: 0,
        }
    }
}

impl NodeClock {
    /// The largest drift in either direction: half a second per second.
    pub const MAX_DRIFT_PPB: i64 = 500_000_000;

    /// What [`env::Clock::now`] answers at `at`.
    pub fn mono(&self, at: VirtualTime) -> Mono {
        Mono::from_nanos(self.mono_ns.saturating_add(self.seen(at.since(self.since))))
    }

    /// What [`env::Clock::wall`] answers at `at`.
    pub fn wall(&self, at: VirtualTime) -> UnixMillis {
        let since_epoch_ns = self.wall_ns + i128::from(self.seen(at.since(self.since)));
        let ms = i128::from(WALL_EPOCH_MS) + since_epoch_ns / 1_000_000;
        UnixMillis::new(u64::try_from(ms.max(0)).unwrap_or(u64::MAX))
    }

    /// The first instant at which the monotone clock shows `mono` or later.
    pub fn reaches(&self, mono: Mono) -> VirtualTime {
        let missing = i128::from(mono.as_nanos().saturating_sub(self.mono_ns));
        if self.drift_ppb == 0 {
            return self.since.after(u64::try_from(missing).unwrap_or(u64::MAX));
        }
        let rate = BILLION + i128::from(self.drift_ppb);
        let real = (missing * BILLION + rate - 1) / rate;
        self.since.after(u64::try_from(real).unwrap_or(u64::MAX))
    }

    /// By how many billionths it runs fast.
    pub fn drift_ppb(&self) -> i64 {
        self.drift_ppb
    }

    /// A new incarnation: the monotone clock starts at zero, the wall clock goes on.
    pub fn restart(&mut self, at: VirtualTime) {
        self.rebase(at);
        self.mono_ns = 0;
    }

    /// From `at` on both clocks run fast by `ppb` billionths (slow when negative).
    pub fn set_drift(&mut self, at: VirtualTime, ppb: i64) {
        self.rebase(at);
        self.drift_ppb = ppb.clamp(-Self::MAX_DRIFT_PPB, Self::MAX_DRIFT_PPB);
    }

    /// The wall clock jumps by `ms`.
    pub fn step(&mut self, at: VirtualTime, ms: i64) {
        self.rebase(at);
        self.wall_ns += i128::from(ms) * 1_000_000;
    }

    /// The wall clock is set right and the drift ends.
    pub fn repair(&mut self, at: VirtualTime) {
        self.rebase(at);
        self.wall_ns = i128::from(at.as_nanos());
        self.drift_ppb = 0;
    }

    fn seen(&self, real_ns: u64) -> u64 {
        if self.drift_ppb == 0 {
            return real_ns;
        }
        let seen = i128::from(real_ns) * (BILLION + i128::from(self.drift_ppb)) / BILLION;
        u64::try_from(seen).unwrap_or(u64::MAX)
    }

    fn rebase(&mut self, at: VirtualTime) {
        let seen = self.seen(at.since(self.since));
        self.mono_ns = self.mono_ns.saturating_add(seen);
        self.wall_ns += i128::from(seen);
        self.since = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: VirtualTime = VirtualTime::from_millis(1_000);
    const TWO: VirtualTime = VirtualTime::from_millis(2_000);

    #[test]
    fn a_fast_clock_gains_and_wakes_early() {
        let mut clock = NodeClock::default();
        clock.set_drift(SECOND, 100_000_000);
        assert_eq!(clock.mono(TWO), Mono::from_nanos(2_100_000_000));
        assert_eq!(clock.reaches(Mono::from_nanos(2_100_000_000)), TWO);
        assert_eq!(clock.wall(TWO), UnixMillis::new(WALL_EPOCH_MS + 2_100));
    }

    #[test]
    fn a_step_moves_the_date_and_not_the_monotone_clock() {
        let mut clock = NodeClock::default();
        clock.step(SECOND, -400);
        assert_eq!(clock.mono(TWO), Mono::from_nanos(2_000_000_000));
        assert_eq!(clock.wall(TWO), UnixMillis::new(WALL_EPOCH_MS + 1_600));
        clock.repair(TWO);
        assert_eq!(clock.wall(TWO), UnixMillis::new(WALL_EPOCH_MS + 2_000));
    }

    #[test]
    fn a_restart_begins_the_monotone_clock_anew() {
        let mut clock = NodeClock::default();
        clock.restart(SECOND);
        assert_eq!(clock.mono(TWO), Mono::from_nanos(1_000_000_000));
        assert_eq!(clock.wall(TWO), UnixMillis::new(WALL_EPOCH_MS + 2_000));
    }

    #[test]
    fn no_time_is_early_enough_to_wake_before_the_deadline() {
        for ppb in [-500_000_000, -333_333_333, -1, 0, 1, 7, 333_333_333, 500_000_000] {
            let mut clock = NodeClock::default();
            clock.set_drift(SECOND, ppb);
            for deadline in [1_000_000_001, 1_234_567_891, 99_999_999_999] {
                let wake = clock.reaches(Mono::from_nanos(deadline));
                assert!(clock.mono(wake) >= Mono::from_nanos(deadline), "{ppb} {deadline}");
            }
        }
    }
}
