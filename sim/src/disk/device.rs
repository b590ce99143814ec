//! When a device has time: a lane for reads and a lane for barriers, each one thing after another.

/// The time of what never happens.
pub const NEVER: u64 = u64::MAX;

/// The lanes of one device.
#[derive(Clone, Debug, Default)]
pub(super) struct Device {
    reads_until: u64,
    syncs_until: u64,
    /// The barrier that is last in its lane. Who comes before it has started joins it: group commit.
    group: Option<Group>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    store: u32,
    starts: u64,
}

impl Device {
    /// When a read issued at `now` that takes `ns` is done: by `latest`, but not before what was issued before it.
    pub(super) fn read(&mut self, now: u64, ns: u64, latest: u64) -> u64 {
        let until = self.reads_until.max(now).saturating_add(ns);
        self.reads_until = until.min(latest.max(self.reads_until));
        self.reads_until
    }

    /// When a barrier of `store` issued at `now` is done, if a barrier takes `ns` and its bytes `transfer_ns`; `latest` as
    /// for [`read`](Self::read).
    pub(super) fn sync(&mut self, now: u64, store: u32, ns: u64, transfer_ns: u64, latest: u64) -> u64 {
        let latest = latest.max(self.syncs_until);
        let joins = self
            .group
            .is_some_and(|group| group.store == store && group.starts > now);
        if joins {
            self.syncs_until = self.syncs_until.saturating_add(transfer_ns);
        } else {
            let starts = self.syncs_until.max(now);
            self.group = Some(Group { store, starts });
            self.syncs_until = starts.saturating_add(ns).saturating_add(transfer_ns);
        }
        self.syncs_until = self.syncs_until.min(latest);
        self.syncs_until
    }

    /// Nothing is done before `at`.
    pub(super) fn hold(&mut self, at: u64) {
        self.reads_until = self.reads_until.max(at);
        self.syncs_until = self.syncs_until.max(at);
    }

    /// Forgets what it was doing.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// How long `bytes` take.
pub(super) fn transfer_ns(bytes: u64, bytes_per_second: u64) -> u64 {
    let ns = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    u64::try_from(ns).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn barriers_that_wait_are_served_as_one_group() {
        let mut device = Device::default();
        let done: Vec<u64> = [0, 1, 2, 3]
            .iter()
            .map(|now| device.sync(*now, 0, 100, 1, NEVER))
            .collect();
        assert_eq!(done, [101, 202, 203, 204], "the first alone, the others together");
        assert_eq!(
            device.sync(4, 1, 100, 1, NEVER),
            305,
            "another store has a barrier of its own"
        );
        assert_eq!(
            device.sync(250, 1, 100, 1, NEVER),
            406,
            "a barrier that has started takes no one in"
        );
        assert_eq!(device.read(0, 7, NEVER), 7);
        assert_eq!(device.read(3, 7, NEVER), 14, "reads wait for reads only");
    }

    #[test]
    fn a_lane_is_done_by_the_latest_time_and_nothing_overtakes() {
        let mut device = Device::default();
        assert_eq!(device.read(0, 100, 50), 50);
        assert_eq!(device.read(1, 100, 20), 50);
        assert_eq!(device.sync(0, 0, 100, 100, 90), 90);
        assert_eq!(device.sync(1, 0, 100, 100, 60), 90);
        assert_eq!(device.sync(2, 0, 1, 1, NEVER), 91, "it joins the one that waits");
    }

    #[test]
    fn bytes_take_their_time() {
        assert_eq!(transfer_ns(1_000, 1_000_000), 1_000_000);
        assert_eq!(transfer_ns(1 << 40, u64::MAX), 59);
        assert_eq!(transfer_ns(1 << 60, 1), NEVER);
        assert_eq!(transfer_ns(5, 0), 5_000_000_000);
    }
}
