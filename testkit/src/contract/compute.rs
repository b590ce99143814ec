//! The contract of [`Compute`]. Each clause takes one environment.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use env::sync::oneshot;
use env::{Clock, Compute, Cost, CostKind, Env, Scope, Spawner};

use super::{poll_once, soon};

/// All clauses of the contract of `env::Compute`, as tests.
#[macro_export]
macro_rules! compute_contract {
    ($run:path) => {
        $crate::__clauses!($run, compute:
            a_job_yields_its_value
            jobs_beyond_the_queue_wait_their_turn
            a_job_dropped_before_its_start_does_not_run
            tasks_share_the_pool
            a_running_job_runs_to_its_end_though_nobody_waits
            a_charge_changes_nothing_within_its_poll);
    };
}

const COST: Cost = Cost::new(CostKind::HashByte, 1);

/// The value of a job comes back, whatever the job's cost says.
pub async fn a_job_yields_its_value<E: Env>(env: E) {
    for units in [0, 1, 1_000] {
        let job = env
            .compute()
            .run(Cost::new(CostKind::HashByte, units), move || units + 1);
        assert_eq!(soon(&env, "a job", job).await, Ok(units + 1));
    }
}

/// However many jobs are asked for at once, each runs once.
pub async fn jobs_beyond_the_queue_wait_their_turn<E: Env>(env: E) {
    const JOBS: usize = 5_000;
    let ran = Arc::new(AtomicUsize::new(0));
    let scope = env.spawner().scope("jobs");
    let tasks: Vec<_> = (0..JOBS)
        .map(|index| {
            let (compute, ran) = (env.compute().clone(), Arc::clone(&ran));
            scope.spawn("job", async move {
                compute
                    .run(COST, move || {
                        ran.fetch_add(1, Ordering::SeqCst);
                        index
                    })
                    .await
            })
        })
        .collect();
    for (index, task) in tasks.into_iter().enumerate() {
        assert_eq!(soon(&env, "a job", task).await, Ok(Ok(index)));
    }
    assert_eq!(ran.load(Ordering::SeqCst), JOBS);
}

/// A future that was never polled has started nothing.
pub async fn a_job_dropped_before_its_start_does_not_run<E: Env>(env: E) {
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..100 {
        let ran = Arc::clone(&ran);
        drop(
            env.compute()
                .run(COST, move || ran.fetch_add(1, Ordering::SeqCst)),
        );
    }
    assert_eq!(soon(&env, "a job", env.compute().run(COST, || ())).await, Ok(()));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

/// A job that a task waits for does not keep another task's job from its end.
pub async fn tasks_share_the_pool<E: Env>(env: E) {
    let scope = env.spawner().scope("sharers");
    let mut tasks = Vec::new();
    for task in 0..4_u64 {
        let compute = env.compute().clone();
        tasks.push(scope.spawn("sharer", async move {
            let mut sum = 0;
            for step in 0..50 {
                sum += compute
                    .run(COST, move || task * step)
                    .await
                    .expect("the pool is open");
            }
            sum
        }));
    }
    for (task, handle) in (0..).zip(tasks) {
        assert_eq!(soon(&env, "a task", handle).await, Ok(task * 49 * 50 / 2));
    }
}

/// A job that has started needs nobody: neither to go on nor to end.
pub async fn a_running_job_runs_to_its_end_though_nobody_waits<E: Env>(env: E) {
    let (starts, started) = oneshot::channel();
    let (ends, ended) = oneshot::channel();
    {
        let mut job = pin!(env.compute().run(Cost::new(CostKind::Score, 1_000), move || {
            starts.send(()).expect("the clause waits for the start");
            ends.send(7).expect("the clause waits for the end");
        }));
        drop(poll_once(&mut job).await);
        soon(&env, "the start of a job", started)
            .await
            .expect("the job starts");
    }
    assert_eq!(soon(&env, "the end of a job", ended).await, Ok(7));
}

/// Stating a cost takes effect on what leaves the node, not on what the task sees in the same poll; and it is no error.
pub async fn a_charge_changes_nothing_within_its_poll<E: Env>(env: E) {
    env.clock().sleep(Duration::from_millis(1)).await;
    let mut passed = pin!(env.clock().sleep_until(env.clock().now()));
    env.compute().charge(Cost::new(CostKind::Ed25519Verify, 3));
    assert_eq!(poll_once(&mut passed).await, Poll::Ready(()));
    assert_eq!(soon(&env, "a job", env.compute().run(COST, || 1)).await, Ok(1));
}
