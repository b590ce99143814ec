//! Faults of processes and of whole machines.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use env::blobs::Blobs;
use env::{
    Batch, Clock, Compute, ComputeError, Cost, CostKind, Durability, Entropy, Env, Family, Network,
    NetworkError, Reader, Scope, Spawner, Storage, StorageError, Store, TaskError,
};
use sim::costs::Costs;
use sim::disk::{DiskFault, Survivors};
use sim::handle::SimEnv;
use sim::hosts::HostManner;
use sim::kernel::Madsim;
use sim::network::LinkFault;
use sim::plan::{Action, Direction};
use sim::trace::Kind;

use crate::{CHANNEL, LATENCY, connect, connected, crossing, lab, message_within, play, send, took};

/// The test of what a crash leaves.
const _: fn(Survivors) -> fn() = |survivors| match survivors {
    Survivors::Nothing | Survivors::Prefix | Survivors::Everything => a_crash_leaves_what_it_says,
};

const ONE: Family = Family::new("one");

async fn open(env: &SimEnv) -> <<SimEnv as Env>::Storage as Storage>::Store {
    env.storage()
        .open("store", &[ONE])
        .await
        .expect("the store opens")
}

fn put(key: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(ONE, Bytes::copy_from_slice(key), &b"value"[..]);
    batch
}

/// Counts drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
pub fn a_crash_drops_the_tasks_and_closes_the_handles() {
    play(2, |stage| async move {
        let _listeners = connect(&stage, 2).await;
        let old = stage.env(0).clone();
        let store = open(&old).await;
        let dropped = Arc::new(AtomicUsize::new(0));
        let scope = old.spawner().scope("tasks");
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let guard = Counted(dropped.clone());
                scope.spawn("waits", async move {
                    let _guard = guard;
                    pending::<()>().await;
                })
            })
            .collect();
        stage.wait(LATENCY).await;
        stage.crash(0, Survivors::Nothing).await;
        assert_eq!(dropped.load(Ordering::SeqCst), 3);
        for task in tasks {
            assert_eq!(task.await, Err(TaskError::Cancelled));
        }
        let (peer, limit) = (stage.address(1).id, Duration::from_secs(1));
        let network = old.network();
        assert_eq!(
            network.send(peer, CHANNEL, Bytes::new()),
            Err(NetworkError::Closed)
        );
        assert_eq!(
            network.request(peer, CHANNEL, Bytes::new(), limit).await,
            Err(NetworkError::Closed)
        );
        assert_eq!(network.listen(CHANNEL).err(), Some(NetworkError::Closed));
        assert_eq!(store.get(ONE, b"key").await, Err(StorageError::Closed));
        assert_eq!(
            store.write(put(b"key"), Durability::Synced).await,
            Err(StorageError::Closed)
        );
        assert_eq!(
            old.storage().open("store", &[ONE]).await.err(),
            Some(StorageError::Closed)
        );
        let job = old.compute().run(Cost::new(CostKind::Score, 1), || 1);
        assert_eq!(job.await, Err(ComputeError::Closed));
        assert_eq!(
            old.blobs().size("https://host.sim/blob", limit).await,
            Err(env::BlobError::Closed)
        );
        let late = old.spawner().scope("late").spawn("late", async { 1 });
        assert_eq!(late.await, Err(TaskError::Cancelled));
    });
}

/// Writes and sends when it is dropped.
struct LastWords {
    env: SimEnv,
    store: <<SimEnv as Env>::Storage as Storage>::Store,
    to: types::PeerId,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        drop(self.store.write(put(b"last words"), Durability::Synced));
        // Whether it is refused is what the test finds out at the other end.
        drop(self.env.network().send(self.to, CHANNEL, Bytes::new()));
    }
}

#[test]
fn no_destructor_of_a_dead_node_reaches_a_device() {
    play(2, |mut stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let words = LastWords {
            env: stage.env(0).clone(),
            store: open(stage.env(0)).await,
            to: stage.address(1).id,
        };
        let scope = stage.env(0).spawner().scope("speaks");
        drop(scope.spawn("speaks", async move {
            let _words = words;
            pending::<()>().await;
        }));
        stage.wait(LATENCY).await;
        stage.crash(0, Survivors::Everything).await;
        let heard = message_within(&stage, &mut listeners[1], Duration::from_secs(30)).await;
        assert_eq!(heard, None);
        stage.restart(0).await;
        assert_eq!(open(stage.env(0)).await.get(ONE, b"last words").await, Ok(None));
    });
}

#[test]
pub fn a_crash_leaves_what_it_says() {
    let left = |survivors: Survivors, seed: u64| {
        let mut lab = lab(1);
        lab.seed = sim::Seed::new(seed);
        let played = lab.run::<Madsim, _, _, _>(move |mut stage| async move {
            let store = open(stage.env(0)).await;
            store.write(put(&[0]), Durability::Synced).await.expect("a write");
            for key in 1..5 {
                store
                    .write(put(&[key]), Durability::Buffered)
                    .await
                    .expect("a write");
            }
            stage.crash(0, survivors).await;
            stage.restart(0).await;
            let store = open(stage.env(0)).await;
            let scan = store.scan(ONE, env::KeyRange::ALL, env::Direction::Forward, usize::MAX);
            let keys: Vec<u8> = scan
                .await
                .expect("a scan")
                .iter()
                .map(|(key, _)| key[0])
                .collect();
            assert_eq!(keys, Vec::from_iter(0..keys.len() as u8), "a prefix");
            keys.len()
        });
        played.value
    };
    let mut some: Vec<usize> = (0..40).map(|seed| left(Survivors::Prefix, seed)).collect();
    some.sort_unstable();
    some.dedup();
    assert_eq!(some, [1, 2, 3, 4, 5]);
    assert_eq!(left(Survivors::Nothing, 1), 1);
    assert_eq!(left(Survivors::Everything, 1), 5);
}

#[test]
pub fn a_restart_begins_the_next_incarnation() {
    play(2, |mut stage| async move {
        let _listeners = connect(&stage, 2).await;
        let old = stage.env(0).clone();
        let bytes = old.entropy().seed("test");
        stage.act(Action::Restart { node: 0 }).await;
        assert_eq!(connected(&stage, 1), 1, "a node that is up is left alone");
        stage.crash(0, Survivors::Nothing).await;
        stage.wait(Duration::from_secs(5)).await;
        stage.restart(0).await;
        let (new, clock) = (stage.env(0).clone(), stage.env(0).clock());
        assert!(
            clock.now() < types::Mono::ZERO + LATENCY,
            "its monotone clock begins again"
        );
        assert_eq!(clock.wall(), stage.hand().clock().wall());
        assert_ne!(new.entropy().seed("test"), bytes);
        crate::introduce(&stage, 0, 2);
        stage.wait(Duration::from_secs(30)).await;
        assert_eq!((connected(&stage, 0), connected(&stage, 1)), (1, 1));
    });
}

#[test]
pub fn a_paused_node_does_nothing_until_it_goes_on() {
    play(2, |stage| async move {
        let mut listeners = connect(&stage, 2).await;
        let ticks = Arc::new(AtomicUsize::new(0));
        let scope = stage.env(1).spawner().scope("ticks");
        let (clock, counted) = (stage.env(1).clock().clone(), ticks.clone());
        drop(scope.spawn("ticks", async move {
            let mut interval = clock.interval(Duration::from_secs(1));
            loop {
                interval.tick().await;
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }));
        let count = || ticks.load(Ordering::SeqCst);
        stage.wait(Duration::from_millis(3_500)).await;
        assert_eq!(count(), 3);
        stage.act(Action::Pause { node: 1 }).await;
        send(&stage, 0, 1, b"the card takes it");
        stage.wait(Duration::from_secs(5)).await;
        assert_eq!((count(), connected(&stage, 0)), (3, 1));
        stage.act(Action::Resume { node: 1 }).await;
        // One tick for all that were missed, and the clock went on all the time.
        assert_eq!(count(), 4);
        assert_eq!(stage.env(1).clock().now(), stage.hand().clock().now());
        let message = message_within(&stage, &mut listeners[1], Duration::ZERO).await;
        assert_eq!(message.as_deref(), Some(&b"the card takes it"[..]));
        stage.wait(Duration::from_secs(2)).await;
        assert_eq!(count(), 6);
    });
}

#[test]
pub fn a_slow_node_takes_as_many_times_longer() {
    let times = |percent: u64| {
        let mut lab = lab(1);
        lab.config.costs = Costs {
            poll_ns: 1_000,
            score_thousand_ns: 1_000_000_000,
            ..Costs::FREE
        };
        let played = lab.run::<Madsim, _, _, _>(move |stage| async move {
            stage.act(Action::Slow { node: 0, percent }).await;
            let start = stage.hand().clock().now();
            let job = stage
                .env(0)
                .compute()
                .run(Cost::new(CostKind::Score, 1_000), || 1);
            assert_eq!(job.await, Ok(1));
            let work = took(stage.hand(), start);
            // Between two polls of a task that always goes on lies what a poll takes.
            let clock = stage.env(0).clock().clone();
            let scope = stage.env(0).spawner().scope("polls");
            let polls = scope.spawn("polls", async move {
                let start = clock.now();
                for _ in 0..10 {
                    clock.sleep(Duration::from_nanos(1)).await;
                }
                clock.now().since(start)
            });
            (work, polls.await.expect("it ends"))
        });
        played.value
    };
    let (work, polls) = times(100);
    assert_eq!((work, polls), (Duration::from_secs(1), Duration::from_micros(10)));
    assert_eq!(times(700), (work * 7, polls * 7));
}

#[test]
pub fn swapped_disks_follow_the_power_cut() {
    play(2, |mut stage| async move {
        for node in [0, 1] {
            let store = open(stage.env(node)).await;
            store
                .write(
                    put(&[u8::try_from(node).expect("it is small")]),
                    Durability::Synced,
                )
                .await
                .expect("a write");
        }
        for node in [0, 1] {
            stage.crash(node, Survivors::Nothing).await;
        }
        stage.act(Action::SwapDisks { a: 0, b: 1 }).await;
        for node in [0, 1] {
            stage.restart(node).await;
        }
        for (node, other) in [(0, 1_u8), (1, 0)] {
            let store = open(stage.env(node)).await;
            let found = store.get(ONE, &[other]).await;
            assert_eq!(found, Ok(Some(Bytes::from_static(b"value"))));
            assert_eq!(store.get(ONE, &[1 - other]).await, Ok(None));
        }
    });
}

#[test]
pub fn an_absent_node_is_started_by_nothing_but_a_restart() {
    let played = play(2, |mut stage| async move {
        stage.act(Action::Absent { node: 1 }).await;
        stage.act(Action::HealAll).await;
        stage.wait(Duration::from_secs(50)).await;
        stage.restart(1).await;
        stage.wait(Duration::from_secs(30)).await;
        // Whoever has come back may fall to a crash, and is healed of it.
        stage.crash(1, Survivors::Everything).await;
        stage.act(Action::HealAll).await;
    });
    let records = played.events.iter().map(|entry| entry.record);
    let starts = records.filter(|record| record.kind == Kind::Restart && record.node == 1);
    let seconds: Vec<u64> = starts.map(|record| record.time / 1_000_000_000).collect();
    assert_eq!(seconds, [0, 50, 80]);
}

#[test]
pub fn heal_all_ends_every_fault() {
    play(4, |stage| async move {
        let mut listeners = connect(&stage, 4).await;
        let url = "https://host.sim/blob";
        stage.hand().publish(url, Bytes::from_static(b"blob"));
        let link = LinkFault {
            extra_latency_us: 1_000_000,
            ..LinkFault::default()
        };
        for action in [
            Action::Link {
                from: None,
                to: None,
                fault: link,
            },
            Action::Partition {
                side: vec![0],
                direction: Direction::Both,
            },
            Action::Partition {
                side: vec![0, 1],
                direction: Direction::Out,
            },
            Action::Cut { from: 1, to: 2 },
            Action::Pause { node: 1 },
            Action::Slow {
                node: 0,
                percent: 10_000,
            },
            Action::ClockDrift {
                node: 0,
                ppb: 500_000_000,
            },
            Action::ClockStep { node: 0, ms: 99_000 },
            Action::Disk {
                node: 0,
                fault: DiskFault::CorruptOpen,
            },
            Action::Disk {
                node: 0,
                fault: DiskFault::Slow { percent: 100_000 },
            },
            Action::Host {
                prefix: url.to_owned(),
                manner: HostManner::Silent,
            },
            Action::Crash {
                node: 3,
                survivors: Survivors::Nothing,
            },
        ] {
            stage.act(action).await;
        }
        stage.wait(Duration::from_secs(5)).await;
        stage.act(Action::HealAll).await;
        for (from, to) in [(0, 1), (1, 0), (1, 2), (0, 2), (2, 0)] {
            assert_eq!(
                crossing(&stage, &mut listeners[to], from, to, b"message").await,
                LATENCY
            );
        }
        let (env, hand) = (stage.env(0), stage.hand());
        assert_eq!(env.clock().wall(), hand.clock().wall());
        let start = hand.clock().now();
        env.clock().sleep(Duration::from_secs(1)).await;
        assert_eq!(took(hand, start), Duration::from_secs(1));
        let start = hand.clock().now();
        open(env)
            .await
            .write(put(b"key"), Durability::Synced)
            .await
            .expect("a write");
        assert!(took(hand, start) < Duration::from_secs(2));
        let limit = Duration::from_secs(1);
        assert_eq!(
            env.blobs().read(url, 0..4, limit).await,
            Ok(Bytes::from_static(b"blob"))
        );
        let scope = stage.env(1).spawner().scope("runs");
        assert_eq!(
            scope.spawn("runs", async { 1 }).await,
            Ok(1),
            "node 1 is no longer paused"
        );
        // Node 3 runs again: its first incarnation is gone.
        assert_eq!(
            stage
                .env(3)
                .network()
                .send(stage.address(0).id, CHANNEL, Bytes::new()),
            Err(NetworkError::Closed)
        );
    });
}
