//! What work takes from the node that does it. Not faults, but what makes a slow node slow.

use std::time::Duration;

use bytes::Bytes;
use env::blobs::Blobs;
use env::{
    Batch, Clock, Compute, Cost, CostKind, Durability, Env, Family, Network, Scope, Spawner, Storage, Store,
};
use sim::costs::Costs;
use sim::kernel::Madsim;
use sim::lab::{Lab, Stage};
use sim::plan::Action;
use testkit::contract::poll_once;

use crate::{CHANNEL, LATENCY, connect, lab, message_within, took};

/// What [`WORK`] takes at full speed.
const SPENT: Duration = Duration::from_secs(1);
const WORK: Cost = Cost::new(CostKind::Score, 1_000);

/// A world whose nodes have one core, and in which nothing but [`WORK`] takes a processor.
fn working(nodes: usize) -> Lab {
    let mut lab = lab(nodes);
    lab.config.costs = Costs {
        score_thousand_ns: 1_000_000_000,
        ..Costs::FREE
    };
    lab
}

#[test]
fn what_is_sent_after_charged_work_leaves_after_it() {
    for (percent, slower) in [(100, 1), (300, 3)] {
        working(2).run::<Madsim, _, _, _>(move |stage| async move {
            let mut listeners = connect(&stage, 2).await;
            stage.act(Action::Slow { node: 0, percent }).await;
            let start = stage.hand().clock().now();
            let (env, to) = (stage.env(0).clone(), stage.address(1).id);
            let scope = stage.env(0).spawner().scope("works");
            drop(scope.spawn("works", async move {
                for message in ["before", "after"] {
                    let sent = env.network().send(to, CHANNEL, Bytes::from(message));
                    assert_eq!(sent, Ok(()));
                    env.compute().charge(WORK);
                }
            }));
            for (message, late) in [("before", 0), ("after", slower)] {
                let arrived = message_within(&stage, &mut listeners[1], Duration::from_secs(60)).await;
                assert_eq!(arrived, Some(Bytes::from(message)));
                assert_eq!(took(stage.hand(), start), LATENCY + SPENT * late, "{message}");
            }
        });
    }
}

/// How long a write, a read of a blob and a job take, each after `charged` work.
fn answers(charged: Option<Cost>) -> [Duration; 3] {
    let played = working(1).run::<Madsim, _, _, _>(move |stage| async move {
        let url = "https://host.sim/blob";
        stage.hand().publish(url, Bytes::from_static(b"blob"));
        let env = stage.env(0).clone();
        let scope = stage.env(0).spawner().scope("works");
        let works = scope.spawn("works", async move {
            let family = Family::new("one");
            let store = env.storage().open("store", &[family]).await.expect("it opens");
            let charge = || {
                charged.into_iter().for_each(|cost| env.compute().charge(cost));
                env.clock().now()
            };
            let mut batch = Batch::default();
            batch.put(family, &b"key"[..], &b"value"[..]);
            let start = charge();
            store.write(batch, Durability::Synced).await.expect("a write");
            let write = took(&env, start);
            let start = charge();
            let size = env.blobs().size(url, Duration::from_secs(60)).await;
            assert_eq!(size, Ok(4));
            let blob = took(&env, start);
            let start = charge();
            env.compute().run(WORK, || ()).await.expect("a job");
            [write, blob, took(&env, start)]
        });
        works.await.expect("it ends")
    });
    played.value
}

#[test]
fn what_is_asked_after_charged_work_is_answered_later() {
    let free = answers(None);
    assert!(free.iter().all(|answer| *answer > Duration::ZERO), "{free:?}");
    assert_eq!(answers(Some(WORK)), free.map(|answer| answer + SPENT));
}

/// A job of [`SPENT`] on node 0 that has asked for a core.
async fn asked(stage: &Stage) -> impl Future<Output = ()> + Unpin {
    let compute = stage.env(0).compute().clone();
    let mut job = Box::pin(async move { compute.run(WORK, || ()).await.expect("a job") });
    assert!(poll_once(&mut job).await.is_pending());
    job
}

#[test]
fn a_job_that_is_withdrawn_takes_no_core_and_one_that_runs_keeps_its_own() {
    working(1).run::<Madsim, _, _, _>(|stage| async move {
        let start = stage.hand().clock().now();
        let (first, second, third) = (asked(&stage).await, asked(&stage).await, asked(&stage).await);
        drop(second);
        first.await;
        assert_eq!(took(stage.hand(), start), SPENT);
        third.await;
        assert_eq!(took(stage.hand(), start), SPENT * 2);
        drop(asked(&stage).await);
        asked(&stage).await.await;
        assert_eq!(took(stage.hand(), start), SPENT * 4);
    });
}
