//! What a loss of power leaves.

use serde::{Deserialize, Serialize};

use super::Disk;
use super::fault::Tear;
use super::profile::Recovery;
use crate::{Domain, Draw};

/// Which of the batches that no answered barrier covers are on the disk after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Survivors {
    /// None.
    Nothing,
    /// A prefix, its length drawn for each store.
    Prefix,
    /// All, as if the process died and the system lived (phantom writes come to light all the same).
    Everything,
}

/// What a crash did to the stores, in the order of their creation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrashReport {
    /// One per store.
    pub stores: Vec<StoreLoss>,
}

/// What a crash did to one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLoss {
    /// Batches that were not safe.
    pub unsynced: u64,
    /// How many of them are left.
    pub kept: u64,
    /// Keys whose acknowledged value a phantom write had not written.
    pub forgotten: u64,
    /// Whether the store can no longer be opened.
    pub corrupt: bool,
}

impl Disk {
    /// The node loses power at `now_ns`: operations that are not answered by then never are, every handle is closed,
    /// and of the batches that are not safe some are left.
    pub fn crash(&mut self, now_ns: u64, survivors: Survivors) -> CrashReport {
        self.arrive(now_ns);
        self.device.reset();
        let stores = (0..self.stores.len()).map(|store| self.crash_store(now_ns, store, survivors));
        CrashReport {
            stores: stores.collect(),
        }
    }

    fn crash_store(&mut self, now: u64, store: usize, survivors: Survivors) -> StoreLoss {
        let (recovery, tear) = (self.profile.recovery, self.faults.tear());
        let writeback_bytes = self.profile.writeback_bytes;
        let crashed = &mut self.stores[store];
        crashed.crashes += 1;
        let mut draw = self
            .seed
            .draw(Domain::Crash, self.number, store as u64, crashed.crashes);
        crashed.advance(now, writeback_bytes);
        let unsynced = crashed.unsynced();
        let safe = crashed.next() - unsynced;
        let most = match crashed.failed {
            Some(below) => below.clamp(safe, crashed.next()) - safe,
            None => unsynced,
        };
        let left = match survivors {
            Survivors::Nothing => 0,
            Survivors::Prefix => draw.within(0, most),
            Survivors::Everything => most,
        };
        let (kept, corrupt) = match tear {
            Some(tear) if left > 0 => recover(left, tear, recovery, &mut draw),
            _ => (left, false),
        };
        let forgotten = crashed.lose_power(safe + kept);
        if corrupt {
            crashed.damage = Some("the log has a bad record");
            self.struck = true;
        }
        StoreLoss {
            unsynced,
            kept,
            forgotten,
            corrupt,
        }
    }
}

/// How many of the `left` records at the end of a torn log are kept, and whether the log is refused.
fn recover(left: u64, tear: Tear, recovery: Recovery, draw: &mut Draw) -> (u64, bool) {
    let last = left - 1;
    let bad = match tear {
        Tear::Cut => last,
        Tear::Hole => draw.within(0, last),
    };
    let corrupt = match recovery {
        Recovery::TolerateTail => bad < last,
        Recovery::PointInTime => false,
        Recovery::Absolute => true,
    };
    (bad, corrupt)
}
