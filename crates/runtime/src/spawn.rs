//! Tokio tasks in a tree of scopes.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use env::sync::watch;
use env::{Scope, Spawner, Task, TaskError};
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};

use crate::compute::panic_message;

/// Starts scopes under the incarnation.
#[derive(Clone, Debug)]
pub struct TokioSpawner(Arc<Node>);

/// A set of tasks that end together. Dropping it cancels them.
#[derive(Debug)]
pub struct TaskScope(Arc<Node>);

/// One scope in the tree.
#[derive(Debug)]
struct Node {
    label: &'static str,
    handle: Handle,
    parent: Option<(u64, Arc<Node>)>,
    /// Futures of this scope and of the scopes below it that have not been dropped.
    live: watch::Sender<usize>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    next: u64,
    /// `None` while the task is being handed to tokio.
    tasks: BTreeMap<u64, Option<AbortHandle>>,
    children: BTreeMap<u64, Weak<Node>>,
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl TokioSpawner {
    /// The root of a tree whose tasks run on `handle`.
    pub(crate) fn start(handle: Handle) -> Self {
        Self(Arc::new(Node::new("node", handle, None)))
    }

    /// Cancels every scope and waits until all futures have been dropped.
    pub(crate) async fn cancel(&self) {
        self.abandon();
        self.0.ended().await;
    }

    /// Cancels every scope.
    pub(crate) fn abandon(&self) {
        self.0.cancel();
    }
}

impl Spawner for TokioSpawner {
    type Scope = TaskScope;

    fn scope(&self, label: &'static str) -> TaskScope {
        Node::child(&self.0, label)
    }
}

impl Scope for TaskScope {
    type Task<T: Send + 'static> = TokioTask<T>;

    fn spawn<F>(&self, label: &'static str, future: F) -> TokioTask<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let place = {
            let mut state = self.0.lock();
            if state.cancelled {
                return TokioTask { label, task: None };
            }
            // Under the lock, so that who cancels the scope after this waits for the task.
            Place::take(&self.0, &mut state)
        };
        let id = place.id;
        let tracked = Tracked {
            label,
            future,
            _place: place,
        };
        let task = self.0.handle.spawn(tracked);
        let mut state = self.0.lock();
        if state.cancelled {
            task.abort();
        } else if let Some(slot) = state.tasks.get_mut(&id) {
            *slot = Some(task.abort_handle());
        }
        drop(state);
        TokioTask {
            label,
            task: Some(task),
        }
    }

    fn child(&self, label: &'static str) -> Self {
        Node::child(&self.0, label)
    }

    fn cancel(self) -> impl Future<Output = ()> + Send {
        let node = Arc::clone(&self.0);
        drop(self);
        async move { node.ended().await }
    }
}

impl Drop for TaskScope {
    fn drop(&mut self) {
        self.0.cancel();
        if let Some((id, parent)) = &self.0.parent {
            parent.lock().children.remove(id);
        }
    }
}

impl Node {
    fn new(label: &'static str, handle: Handle, parent: Option<(u64, Arc<Node>)>) -> Self {
        Self {
            label,
            handle,
            parent,
            live: watch::Sender::new(0),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and the state is sound between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn child(self: &Arc<Self>, label: &'static str) -> TaskScope {
        let mut state = self.lock();
        let id = state.number();
        let child = Arc::new(Node::new(
            label,
            self.handle.clone(),
            Some((id, Arc::clone(self))),
        ));
        child.lock().cancelled = state.cancelled;
        if !state.cancelled {
            state.children.insert(id, Arc::downgrade(&child));
        }
        TaskScope(child)
    }

    fn cancel(&self) {
        let (tasks, children) = {
            let mut state = self.lock();
            if !state.cancelled {
                tracing::trace!(scope = self.label, tasks = state.tasks.len(), "cancelled");
            }
            state.cancelled = true;
            (
                std::mem::take(&mut state.tasks),
                std::mem::take(&mut state.children),
            )
        };
        tasks.into_values().flatten().for_each(|task| task.abort());
        children
            .into_values()
            .filter_map(|child| child.upgrade())
            .for_each(|child| child.cancel());
    }

    /// Completes once no future of this scope or below is left.
    async fn ended(&self) {
        let mut live = self.live.subscribe();
        // The sender lives in `self`, so the wait ends by the value only.
        drop(live.wait_for(|live| *live == 0).await);
    }

    fn count(&self, change: impl Fn(&mut usize)) {
        let mut node = Some(self);
        while let Some(scope) = node {
            scope.live.send_modify(&change);
            node = scope.parent.as_ref().map(|(_, parent)| &**parent);
        }
    }
}

/// A task's place in its scope, given back when its future has been dropped.
struct Place {
    scope: Arc<Node>,
    id: u64,
}

impl Place {
    fn take(scope: &Arc<Node>, state: &mut State) -> Self {
        let id = state.number();
        state.tasks.insert(id, None);
        scope.count(|live| *live += 1);
        Self {
            scope: Arc::clone(scope),
            id,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.scope.lock().tasks.remove(&self.id);
        self.scope.count(|live| *live -= 1);
    }
}

pin_project_lite::pin_project! {
    /// A task's future. Its fields are dropped in this order: the place is given back after the future is gone.
    struct Tracked<F> {
        label: &'static str,
        #[pin]
        future: F,
        _place: Place,
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = Result<F::Output, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match catch_unwind(AssertUnwindSafe(|| this.future.poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => {
                let message = panic_message(&*panic);
                tracing::error!(task = *this.label, message, "a task panicked");
                Poll::Ready(Err(TaskError::Panicked {
                    label: this.label,
                    message,
                }))
            }
        }
    }
}

/// The handle of a task.
#[derive(Debug)]
pub struct TokioTask<T> {
    label: &'static str,
    /// `None` for a task that came too late.
    task: Option<JoinHandle<Result<T, TaskError>>>,
}

impl<T: Send + 'static> Task<T> for TokioTask<T> {
    fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl<T> Future for TokioTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let label = self.label;
        let Some(task) = &mut self.task else {
            return Poll::Ready(Err(TaskError::Cancelled));
        };
        Pin::new(task).poll(context).map(|joined| match joined {
            Ok(result) => result,
            Err(error) if error.is_cancelled() => Err(TaskError::Cancelled),
            // The future panicked while it was dropped: polls are caught above.
            Err(error) => Err(TaskError::Panicked {
                label,
                message: panic_message(&*error.into_panic()),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the race is between threads")]
    fn a_task_that_a_scope_knows_of_is_waited_for() {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("tokio starts");
        let spawner = TokioSpawner::start(tokio.handle().clone());
        let scope = spawner.scope("scope");
        let node = Arc::clone(&scope.0);
        std::thread::scope(|threads| {
            let starter = threads.spawn(|| {
                for _ in 0..100_000 {
                    drop(scope.spawn("task", async {}));
                }
            });
            while !starter.is_finished() {
                let state = node.lock();
                let (known, waited_for) = (state.tasks.len(), *node.live.borrow());
                assert!(
                    known <= waited_for,
                    "{known} tasks, and {waited_for} are waited for"
                );
            }
        });
    }
}
