//! The contract of [`Spawner`], [`Scope`] and [`Task`]. Each clause takes one environment.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use env::sync::{mpsc, oneshot};
use env::{Clock, Env, Scope, Spawner, Task, TaskError};

use super::{WATCH, soon};

/// All clauses of the contract of `env::Spawner`, `env::Scope` and `env::Task`, as tests.
#[macro_export]
macro_rules! spawn_contract {
    ($run:path) => {
        $crate::__clauses!($run, spawn:
            a_task_yields_its_value
            tasks_run_beside_each_other
            a_task_without_a_handle_goes_on
            an_aborted_task_is_dropped_and_answers_cancelled
            an_abort_after_the_end_keeps_the_result
            cancel_completes_once_every_future_is_dropped
            cancel_reaches_the_children_of_children
            cancelling_a_child_leaves_its_parent_alone
            dropping_a_scope_cancels_its_tasks
            a_cancellation_is_in_force_from_its_call
            dropping_the_wait_for_a_cancellation_leaves_it_in_force
            a_cancelled_scope_drops_what_is_spawned_into_it
            a_child_of_a_cancelled_scope_is_cancelled
            a_task_may_spawn_into_its_own_scope
            scopes_of_one_node_are_independent);
    };
}

/// The output of the future is the result of the task.
pub async fn a_task_yields_its_value<E: Env>(env: E) {
    let scope = env.spawner().scope("values");
    let tasks: Vec<_> = (0..100)
        .map(|value| scope.spawn("value", async move { value }))
        .collect();
    for (value, task) in tasks.into_iter().enumerate() {
        assert_eq!(soon(&env, "a task", task).await, Ok(value));
    }
}

/// Two tasks can wait for each other in turn.
pub async fn tasks_run_beside_each_other<E: Env>(env: E) {
    let scope = env.spawner().scope("pair");
    let (to_left, mut left_hears) = mpsc::channel::<u32>(1);
    let (to_right, mut right_hears) = mpsc::channel::<u32>(1);
    let right = scope.spawn("right", async move {
        while let Some(count) = right_hears.recv().await {
            if to_left.send(count + 1).await.is_err() {
                break;
            }
        }
    });
    let left = scope.spawn("left", async move {
        let mut count = 0;
        while count < 100 {
            to_right.send(count).await.expect("the right side listens");
            count = left_hears.recv().await.expect("the right side answers");
        }
        count
    });
    assert_eq!(soon(&env, "the left task", left).await, Ok(100));
    assert_eq!(soon(&env, "the right task", right).await, Ok(()));
}

/// Dropping a handle detaches: the scope still runs the task.
pub async fn a_task_without_a_handle_goes_on<E: Env>(env: E) {
    let scope = env.spawner().scope("detached");
    let (done, outcome) = oneshot::channel();
    let clock = env.clock().clone();
    drop(scope.spawn("detached", async move {
        clock.sleep(Duration::from_millis(5)).await;
        done.send(7).expect("the clause waits");
    }));
    assert_eq!(soon(&env, "a detached task", outcome).await, Ok(7));
}

/// When an aborted task answers, its future is gone.
pub async fn an_aborted_task_is_dropped_and_answers_cancelled<E: Env>(env: E) {
    let live = Live::default();
    let scope = env.spawner().scope("aborted");
    let task = started(&env, &scope, &live).await;
    let other = started(&env, &scope, &live).await;
    assert_eq!(live.count(), 2);
    task.abort();
    assert_eq!(
        soon(&env, "an aborted task", task).await,
        Err(TaskError::Cancelled)
    );
    assert_eq!(live.count(), 1, "an abort takes one task");
    other.abort();
    other.abort();
    assert_eq!(
        soon(&env, "an aborted task", other).await,
        Err(TaskError::Cancelled)
    );
}

/// A result that is there stays there.
pub async fn an_abort_after_the_end_keeps_the_result<E: Env>(env: E) {
    let scope = env.spawner().scope("ended");
    let (done, outcome) = oneshot::channel::<()>();
    let task = scope.spawn("ended", async move {
        // The sender is dropped with the future, so whoever sees it go knows that the task has ended.
        let _done = done;
        3
    });
    assert!(soon(&env, "the end of the task", outcome).await.is_err());
    env.clock().sleep(WATCH).await;
    task.abort();
    assert_eq!(soon(&env, "an ended task", task).await, Ok(3));
}

/// Nothing of a scope is alive when its cancellation completes.
pub async fn cancel_completes_once_every_future_is_dropped<E: Env>(env: E) {
    for round in 0..20 {
        let live = Live::default();
        let scope = env.spawner().scope("cancelled");
        let mut handles = Vec::new();
        for _ in 0..round {
            handles.push(started(&env, &scope, &live).await);
        }
        // Some have not been polled yet.
        for _ in 0..round {
            let guard = live.guard();
            handles.push(scope.spawn("fresh", async move {
                let _guard = guard;
                pending::<()>().await;
            }));
        }
        soon(&env, "a cancellation", scope.cancel()).await;
        assert_eq!(live.count(), 0);
        for handle in handles {
            assert_eq!(
                soon(&env, "a cancelled task", handle).await,
                Err(TaskError::Cancelled)
            );
        }
    }
}

/// A cancellation goes down the whole tree.
pub async fn cancel_reaches_the_children_of_children<E: Env>(env: E) {
    let live = Live::default();
    let scope = env.spawner().scope("root");
    let child = scope.child("child");
    let grandchild = child.child("grandchild");
    let task = started(&env, &grandchild, &live).await;
    soon(&env, "a cancellation", scope.cancel()).await;
    assert_eq!(live.count(), 0);
    assert_eq!(
        soon(&env, "a cancelled task", task).await,
        Err(TaskError::Cancelled)
    );
    drop((child, grandchild));
}

/// A cancellation does not go up the tree, nor to siblings.
pub async fn cancelling_a_child_leaves_its_parent_alone<E: Env>(env: E) {
    let live = Live::default();
    let scope = env.spawner().scope("parent");
    let (child, sibling) = (scope.child("child"), scope.child("sibling"));
    let _own = started(&env, &scope, &live).await;
    let _in_child = started(&env, &child, &live).await;
    let _in_sibling = started(&env, &sibling, &live).await;
    soon(&env, "a cancellation", child.cancel()).await;
    assert_eq!(live.count(), 2);
    assert_eq!(
        soon(&env, "a new task", scope.spawn("new", async { 1 })).await,
        Ok(1)
    );
    assert_eq!(
        soon(&env, "a new task", sibling.spawn("new", async { 2 })).await,
        Ok(2)
    );
    soon(&env, "a cancellation", scope.cancel()).await;
    assert_eq!(live.count(), 0);
}

/// A scope that goes out of sight takes its tasks along, children included.
pub async fn dropping_a_scope_cancels_its_tasks<E: Env>(env: E) {
    let live = Live::default();
    let scope = env.spawner().scope("dropped");
    let child = scope.child("child");
    let task = started(&env, &scope, &live).await;
    let below = started(&env, &child, &live).await;
    drop(scope);
    assert_eq!(
        soon(&env, "a cancelled task", task).await,
        Err(TaskError::Cancelled)
    );
    assert_eq!(
        soon(&env, "a cancelled task", below).await,
        Err(TaskError::Cancelled)
    );
    assert_eq!(live.count(), 0);
    drop(child);
}

/// The call cancels, not the first poll of what it returns: no task does anything from then on.
pub async fn a_cancellation_is_in_force_from_its_call<E: Env>(env: E) {
    let steps = Arc::new(AtomicUsize::new(0));
    let scope = env.spawner().scope("ticking");
    for _ in 0..4 {
        let (clock, steps) = (env.clock().clone(), Arc::clone(&steps));
        drop(scope.spawn("ticks", async move {
            loop {
                steps.fetch_add(1, Ordering::SeqCst);
                clock.sleep(Duration::from_millis(1)).await;
            }
        }));
    }
    env.clock().sleep(WATCH).await;
    let end = scope.cancel();
    // A poll that was in progress on another thread has ended by then.
    env.clock().sleep(WATCH).await;
    let after = steps.load(Ordering::SeqCst);
    assert!(after > 0, "the tasks have run");
    env.clock().sleep(WATCH).await;
    assert_eq!(steps.load(Ordering::SeqCst), after);
    soon(&env, "a cancellation", end).await;
    assert_eq!(steps.load(Ordering::SeqCst), after);
}

/// Nobody has to wait for a cancellation for it to happen.
pub async fn dropping_the_wait_for_a_cancellation_leaves_it_in_force<E: Env>(env: E) {
    let live = Live::default();
    let scope = env.spawner().scope("unwatched");
    let task = started(&env, &scope, &live).await;
    drop(scope.cancel());
    assert_eq!(
        soon(&env, "a cancelled task", task).await,
        Err(TaskError::Cancelled)
    );
    assert_eq!(live.count(), 0);
}

/// What comes too late is dropped before `spawn` returns, and never polled.
pub async fn a_cancelled_scope_drops_what_is_spawned_into_it<E: Env>(env: E) {
    let scope = env.spawner().scope("root");
    let child = scope.child("child");
    soon(&env, "a cancellation", scope.cancel()).await;
    let live = Live::default();
    let guard = live.guard();
    let late = child.spawn("late", async move {
        drop(guard);
        panic!("a late task was polled");
    });
    assert_eq!(live.count(), 0, "the future of a late task is kept");
    assert_eq!(soon(&env, "a late task", late).await, Err(TaskError::Cancelled));
    soon(&env, "a second cancellation", child.cancel()).await;
}

/// Cancellation holds for scopes that are made after it.
pub async fn a_child_of_a_cancelled_scope_is_cancelled<E: Env>(env: E) {
    let scope = env.spawner().scope("root");
    let child = scope.child("child");
    drop(scope);
    let late = child.child("late").spawn("late", pending::<()>());
    assert_eq!(soon(&env, "a late task", late).await, Err(TaskError::Cancelled));
}

/// A scope that its own tasks share can grow from within, and ends as a whole.
pub async fn a_task_may_spawn_into_its_own_scope<E: Env>(env: E) {
    let live = Live::default();
    let scope = Arc::new(env.spawner().scope("growing"));
    let (started, mut starts) = mpsc::channel(8);
    let parent = {
        let (inner, guard) = (Arc::downgrade(&scope), live.guard());
        scope.spawn("parent", async move {
            let scope = inner.upgrade().expect("the clause holds the scope");
            for _ in 0..4 {
                let (started, guard) = (started.clone(), guard.again());
                drop(scope.spawn("child", async move {
                    let _guard = guard;
                    started.send(()).await.expect("the clause counts");
                    pending::<()>().await;
                }));
            }
        })
    };
    assert_eq!(soon(&env, "the parent", parent).await, Ok(()));
    for _ in 0..4 {
        soon(&env, "a child", starts.recv())
            .await
            .expect("four tasks start");
    }
    assert_eq!(live.count(), 4);
    let scope = Arc::into_inner(scope).expect("the parent has ended");
    soon(&env, "a cancellation", scope.cancel()).await;
    assert_eq!(live.count(), 0);
}

/// One scope's end is no other's.
pub async fn scopes_of_one_node_are_independent<E: Env>(env: E) {
    let live = Live::default();
    let (one, other) = (env.spawner().scope("one"), env.spawner().scope("other"));
    let _first = started(&env, &one, &live).await;
    let _second = started(&env, &other, &live).await;
    soon(&env, "a cancellation", one.cancel()).await;
    assert_eq!(live.count(), 1);
    assert_eq!(
        soon(&env, "a task", other.spawn("task", async { 1 })).await,
        Ok(1)
    );
}

/// A task that waits for ever and has been polled at least once.
async fn started<E: Env, S: Scope>(env: &E, scope: &S, live: &Live) -> S::Task<()> {
    let (ready, polled) = oneshot::channel();
    let guard = live.guard();
    let task = scope.spawn("waits", async move {
        let _guard = guard;
        ready.send(()).expect("the clause waits for the start");
        pending::<()>().await;
    });
    soon(env, "the start of a task", polled)
        .await
        .expect("the task starts");
    task
}

/// Counts futures that have not been dropped.
#[derive(Clone, Default)]
struct Live(Arc<AtomicUsize>);

impl Live {
    fn guard(&self) -> Guard {
        self.0.fetch_add(1, Ordering::SeqCst);
        Guard(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

struct Guard(Live);

impl Guard {
    fn again(&self) -> Self {
        self.0.guard()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}
