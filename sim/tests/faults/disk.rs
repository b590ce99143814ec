//! Faults of disks, as a node sees them through `env::Storage`.

use std::time::Duration;

use bytes::Bytes;
use env::{Batch, Clock, Durability, Env, Family, Reader, Storage, StorageError, Store};
use sim::disk::{DiskFault, FaultKind, Latency, Profile, Repeat, Survivors, Tear};
use sim::handle::SimEnv;
use sim::kernel::Madsim;
use sim::lab::Stage;
use sim::plan::Action;

use crate::{lab, took};

/// The test of each fault.
const _: fn(&DiskFault) -> fn() = |fault| match fault {
    DiskFault::Slow { .. } => a_slow_disk_takes_as_many_times_longer,
    DiskFault::Throttle { .. } => a_throttled_disk_takes_longer_by_the_byte,
    DiskFault::Stall { .. } => a_stalled_disk_answers_when_the_stall_is_over,
    DiskFault::Hang => a_hanging_disk_answers_after_a_crash_only,
    DiskFault::ReadError { .. } => a_read_error_is_told,
    DiskFault::WriteError { .. } => a_write_error_fails_the_store_until_it_is_opened_again,
    DiskFault::FailedSync => a_failed_barrier_fails_the_store,
    DiskFault::ReadOnly => a_read_only_disk_refuses_writes_and_opens,
    DiskFault::Full { .. } => a_full_disk_takes_no_more,
    DiskFault::FlippedRead { .. } => a_flipped_bit_is_corrupt_once,
    DiskFault::Rot { .. } => rot_is_corrupt_until_written_again,
    DiskFault::Misdirected { .. } => a_misdirected_write_damages_two_keys,
    DiskFault::Phantom { .. } => a_phantom_write_is_gone_after_a_crash,
    DiskFault::LyingSync => a_lying_barrier_saves_nothing,
    DiskFault::TornTail { .. } => a_torn_tail_takes_what_was_not_synced_alone,
    DiskFault::CorruptOpen => a_corrupt_store_does_not_open,
    DiskFault::Wipe => a_wiped_disk_is_empty,
};

const ONE: Family = Family::new("one");
const ALWAYS: u32 = 1_000_000;

/// Buffered writes and reads take a microsecond, barriers and opens a millisecond.
const STEADY: Profile = Profile {
    cached: Latency::fixed(1_000),
    buffered: Latency::fixed(1_000),
    sync: Latency::fixed(1_000_000),
    open: Latency::fixed(1_000_000),
    bytes_per_second: u64::MAX,
    ..Profile::INSTANT
};
const BARRIER: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(30);

type SimStore = <<SimEnv as Env>::Storage as Storage>::Store;

/// A node on a steady disk on which `x` and `y` are safe, with the store open.
struct Bench {
    stage: Stage,
    store: Option<SimStore>,
}

/// Runs a play on such a node.
fn play<F, Fut>(play: F)
where
    F: FnOnce(Bench) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut lab = lab(1);
    lab.config.disk = STEADY;
    lab.run::<Madsim, _, _, _>(|stage| async move {
        let mut bench = Bench { stage, store: None };
        bench.open().await.expect("a new store opens");
        for key in ["x", "y"] {
            bench.put(key, "1").await.expect("a sound disk writes");
        }
        play(bench).await;
    });
}

impl Bench {
    /// Closes the store and opens it again.
    async fn open(&mut self) -> Result<(), StorageError> {
        self.store = None;
        self.store = Some(self.stage.env(0).storage().open("s", &[ONE]).await?);
        Ok(())
    }

    fn store(&self) -> &SimStore {
        self.store.as_ref().expect("the store is open")
    }

    async fn fault(&self, fault: DiskFault) {
        self.stage.act(Action::Disk { node: 0, fault }).await;
    }

    async fn clear(&self, kind: FaultKind) {
        self.stage.act(Action::DiskClear { node: 0, kind }).await;
    }

    async fn crash(&mut self, survivors: Survivors) {
        self.store = None;
        self.stage.crash(0, survivors).await;
        self.stage.restart(0).await;
    }

    async fn write(&self, key: &str, value: &str, durability: Durability) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        batch.put(ONE, key.to_owned(), value.to_owned());
        self.store().write(batch, durability).await
    }

    async fn put(&self, key: &str, value: &str) -> Result<(), StorageError> {
        self.write(key, value, Durability::Synced).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StorageError> {
        self.store().get(ONE, key.as_bytes()).await
    }

    /// Whether `key` has `value`.
    async fn has(&self, key: &str, value: &str) -> bool {
        self.get(key).await.expect("a sound key reads").as_deref() == Some(value.as_bytes())
    }

    async fn is_corrupt(&self, key: &str) -> bool {
        matches!(self.get(key).await, Err(StorageError::Corrupt { .. }))
    }

    /// How long a synced write of ten bytes takes.
    async fn barrier(&self) -> Duration {
        let start = self.stage.hand().clock().now();
        self.put("x", "123456789").await.expect("the disk writes");
        took(self.stage.hand(), start)
    }
}

fn is_io<T>(answer: Result<T, StorageError>) -> bool {
    matches!(answer, Err(StorageError::Io { .. }))
}

fn failed() -> Result<(), StorageError> {
    Err(StorageError::Failed {
        store: "s".to_owned(),
    })
}

#[test]
pub fn a_cleared_fault_is_over() {
    play(|bench| async move {
        assert_eq!(bench.barrier().await, BARRIER);
        bench.fault(DiskFault::Slow { percent: 300 }).await;
        assert_eq!(bench.barrier().await, BARRIER * 3);
        bench.clear(FaultKind::Slow).await;
        assert_eq!(bench.barrier().await, BARRIER);
    });
}

#[test]
fn a_slow_disk_takes_as_many_times_longer() {
    play(|bench| async move {
        bench.fault(DiskFault::Slow { percent: 1_000 }).await;
        assert_eq!(bench.barrier().await, BARRIER * 10);
        let start = bench.stage.hand().clock().now();
        assert!(bench.has("y", "1").await);
        assert_eq!(took(bench.stage.hand(), start), Duration::from_micros(10));
    });
}

#[test]
fn a_throttled_disk_takes_longer_by_the_byte() {
    play(|bench| async move {
        bench.fault(DiskFault::Throttle { bytes_per_second: 10 }).await;
        assert_eq!(bench.barrier().await, Duration::from_secs(1) + BARRIER);
    });
}

#[test]
fn a_stalled_disk_answers_when_the_stall_is_over() {
    play(|bench| async move {
        bench
            .fault(DiskFault::Stall {
                until_ns: 5_000_000_000,
            })
            .await;
        assert!(bench.has("x", "1").await);
        assert_eq!(bench.stage.hand().clock().now().as_nanos(), 5_000_000_000);
        assert_eq!(bench.barrier().await, BARRIER);
    });
}

#[test]
fn a_hanging_disk_answers_after_a_crash_only() {
    play(|mut bench| async move {
        bench.fault(DiskFault::Hang).await;
        let clock = bench.stage.hand().clock().clone();
        assert_eq!(clock.timeout(LONG, bench.put("z", "1")).await, Err(env::Elapsed));
        bench.clear(FaultKind::Hang).await;
        assert_eq!(clock.timeout(LONG, bench.put("z", "2")).await, Err(env::Elapsed));
        bench.crash(Survivors::Nothing).await;
        bench.open().await.expect("the store opens");
        assert!(bench.has("x", "1").await);
        assert_eq!(
            (bench.get("z").await, bench.put("z", "3").await),
            (Ok(None), Ok(()))
        );
    });
}

#[test]
fn a_read_error_is_told() {
    play(|bench| async move {
        bench.fault(DiskFault::ReadError { repeat: Repeat::Once }).await;
        assert!(is_io(bench.get("x").await) && bench.has("x", "1").await);
        bench
            .fault(DiskFault::ReadError {
                repeat: Repeat::Always,
            })
            .await;
        assert!(is_io(bench.get("x").await) && is_io(bench.get("x").await));
    });
}

#[test]
fn a_write_error_fails_the_store_until_it_is_opened_again() {
    play(|mut bench| async move {
        bench.fault(DiskFault::WriteError { repeat: Repeat::Once }).await;
        assert!(is_io(bench.put("z", "1").await));
        assert_eq!(bench.put("z", "2").await, failed());
        assert!(bench.has("x", "1").await, "reads go on");
        bench.open().await.expect("the store opens");
        assert_eq!(bench.put("z", "3").await, Ok(()));
    });
}

#[test]
fn a_failed_barrier_fails_the_store() {
    play(|mut bench| async move {
        bench.fault(DiskFault::FailedSync).await;
        assert_eq!(bench.write("z", "1", Durability::Buffered).await, Ok(()));
        assert!(is_io(bench.put("z", "2").await));
        assert_eq!(bench.put("z", "3").await, failed());
        bench.open().await.expect("the store opens");
        assert!(bench.has("x", "1").await, "what was safe stays safe");
    });
}

#[test]
fn a_read_only_disk_refuses_writes_and_opens() {
    play(|mut bench| async move {
        bench.fault(DiskFault::ReadOnly).await;
        assert!(is_io(bench.put("x", "2").await) && bench.has("x", "1").await);
        assert!(is_io(bench.open().await));
        bench.clear(FaultKind::ReadOnly).await;
        bench.open().await.expect("the store opens");
        assert!(bench.has("x", "1").await);
    });
}

#[test]
fn a_full_disk_takes_no_more() {
    play(|mut bench| async move {
        bench.fault(DiskFault::Full { limit_bytes: 6 }).await;
        assert_eq!(bench.put("z", "1").await, Ok(()));
        let full = Err(StorageError::Full {
            store: "s".to_owned(),
        });
        assert_eq!(bench.put("w", "1").await, full.clone());
        assert_eq!(bench.open().await, full);
        bench.clear(FaultKind::Full).await;
        bench.open().await.expect("the store opens");
        assert_eq!(bench.put("w", "1").await, Ok(()));
    });
}

#[test]
fn a_flipped_bit_is_corrupt_once() {
    play(|bench| async move {
        bench.fault(DiskFault::FlippedRead { ppm: ALWAYS }).await;
        assert!(bench.is_corrupt("x").await);
        bench.clear(FaultKind::FlippedRead).await;
        assert!(bench.has("x", "1").await);
    });
}

#[test]
fn rot_is_corrupt_until_written_again() {
    play(|mut bench| async move {
        bench.fault(DiskFault::Rot { ppm: ALWAYS }).await;
        assert!(bench.is_corrupt("x").await);
        bench.clear(FaultKind::Rot).await;
        assert!(bench.is_corrupt("x").await && bench.has("y", "1").await);
        bench.crash(Survivors::Everything).await;
        bench.open().await.expect("the store opens");
        assert!(bench.is_corrupt("x").await);
        bench.put("x", "2").await.expect("a write");
        assert!(bench.has("x", "2").await);
    });
}

#[test]
fn a_misdirected_write_damages_two_keys() {
    play(|bench| async move {
        bench.fault(DiskFault::Misdirected { ppm: ALWAYS }).await;
        bench.put("x", "2").await.expect("the disk sees nothing wrong");
        assert!(bench.is_corrupt("x").await && bench.is_corrupt("y").await);
    });
}

#[test]
fn a_phantom_write_is_gone_after_a_crash() {
    play(|mut bench| async move {
        bench.fault(DiskFault::Phantom { ppm: ALWAYS }).await;
        bench.put("x", "2").await.expect("the disk sees nothing wrong");
        assert!(bench.has("x", "2").await);
        bench.crash(Survivors::Everything).await;
        bench.open().await.expect("the store opens");
        assert!(bench.has("x", "1").await);
    });
}

#[test]
fn a_lying_barrier_saves_nothing() {
    play(|mut bench| async move {
        bench.fault(DiskFault::LyingSync).await;
        bench.put("x", "2").await.expect("the disk sees nothing wrong");
        bench.crash(Survivors::Nothing).await;
        bench.open().await.expect("the store opens");
        assert!(bench.has("x", "1").await);
    });
}

#[test]
fn a_torn_tail_takes_what_was_not_synced_alone() {
    for tear in [Tear::Cut, Tear::Hole] {
        play(move |mut bench| async move {
            bench.fault(DiskFault::TornTail { tear }).await;
            for value in ["2", "3"] {
                bench
                    .write("z", value, Durability::Buffered)
                    .await
                    .expect("a write");
            }
            bench.crash(Survivors::Everything).await;
            bench.open().await.expect("the store opens");
            assert!(bench.has("x", "1").await && bench.has("y", "1").await);
            let z = bench.get("z").await.expect("a sound key reads");
            // Of the two, the last is torn; a hole may take the first as well.
            assert!(z.as_deref() != Some(b"3") && (tear == Tear::Hole || z.as_deref() == Some(b"2")));
        });
    }
}

#[test]
fn a_corrupt_store_does_not_open() {
    play(|mut bench| async move {
        bench.fault(DiskFault::CorruptOpen).await;
        assert!(matches!(bench.open().await, Err(StorageError::Corrupt { .. })));
        bench.clear(FaultKind::CorruptOpen).await;
        bench.open().await.expect("the store opens");
        assert!(bench.has("x", "1").await);
    });
}

#[test]
fn a_wiped_disk_is_empty() {
    play(|mut bench| async move {
        bench.fault(DiskFault::Wipe).await;
        assert_eq!(bench.get("x").await, Err(StorageError::Closed));
        bench.open().await.expect("the store opens");
        assert_eq!(
            (bench.get("x").await, bench.put("x", "2").await),
            (Ok(None), Ok(()))
        );
    });
}
