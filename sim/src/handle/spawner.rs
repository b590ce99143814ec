//! Tasks and scopes of one incarnation.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use env::{Scope, Spawner, Task, TaskError};
use tokio::sync::oneshot;

use super::NodeHandle;
use crate::tasks::{OwnedTask, TaskMeta};
use crate::trace::{Kind, Name};

/// Opens scopes under the incarnation.
#[derive(Clone)]
pub struct SimSpawner(pub(crate) NodeHandle);

impl Spawner for SimSpawner {
    type Scope = SimScope;

    fn scope(&self, _label: &'static str) -> SimScope {
        let id = self
            .0
            .with(|state| state.nodes[self.0.node()].scopes.open(None))
            .flatten();
        SimScope {
            handle: self.0.clone(),
            id,
        }
    }
}

/// A set of tasks that end together.
pub struct SimScope {
    handle: NodeHandle,
    /// `None` when it was cancelled before it opened.
    id: Option<u64>,
}

impl Scope for SimScope {
    type Task<T: Send + 'static> = SimTask<T>;

    fn spawn<F>(&self, label: &'static str, future: F) -> SimTask<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (result, receiver) = oneshot::channel();
        let id = self.id.and_then(|scope| {
            self.handle.spawn(label, scope, async move {
                let output = future.await;
                drop(result.send(output));
            })
        });
        SimTask {
            handle: self.handle.clone(),
            id,
            receiver,
        }
    }

    fn child(&self, _label: &'static str) -> Self {
        let id = self.id.and_then(|parent| {
            self.handle
                .with(|state| state.nodes[self.handle.node()].scopes.open(Some(parent)))
                .flatten()
        });
        Self {
            handle: self.handle.clone(),
            id,
        }
    }

    fn cancel(self) -> impl Future<Output = ()> + Send {
        let mut context = Context::from_waker(Waker::noop());
        let mut ends = Vec::new();
        for task in self.take_tasks() {
            let mut end = Box::pin(task.cancel());
            // The first poll cancels the task, the others wait for its end.
            if end.as_mut().poll(&mut context).is_pending() {
                ends.push(end);
            }
        }
        async move {
            for end in ends {
                end.await;
            }
        }
    }
}

impl SimScope {
    fn take_tasks(&self) -> Vec<OwnedTask> {
        let Some(scope) = self.id else { return Vec::new() };
        self.handle
            .with(|state| state.nodes[self.handle.node()].scopes.cancel(scope))
            .unwrap_or_default()
    }
}

impl Drop for SimScope {
    fn drop(&mut self) {
        drop(self.take_tasks());
    }
}

/// The handle of a task.
pub struct SimTask<T> {
    handle: NodeHandle,
    id: Option<u64>,
    receiver: oneshot::Receiver<T>,
}

impl<T> Future for SimTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver)
            .poll(cx)
            .map(|result| result.map_err(|_| TaskError::Cancelled))
    }
}

impl<T: Send + 'static> Task<T> for SimTask<T> {
    fn abort(&self) {
        let Some(id) = self.id else { return };
        let task = self
            .handle
            .with(|state| state.nodes[self.handle.node()].scopes.release(id));
        drop(task);
    }
}

/// Tells the world that a task's future is gone, whichever way it went.
struct Ended {
    handle: NodeHandle,
    id: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let node = self.handle.node();
        let task = self.handle.with(|state| {
            let task = state.nodes[node].scopes.release(self.id);
            state.note(Kind::TaskEnd, node, Name::NONE, self.id, 0);
            task
        });
        if let Some(task) = task.flatten() {
            // Its future is being dropped or has returned: there is nothing left to cancel.
            task.detach();
        }
    }
}

impl NodeHandle {
    /// Starts the first task of the incarnation.
    pub fn spawn_root(&self, program: impl Future<Output = ()> + Send + 'static) {
        let scope = self
            .with(|state| state.nodes[self.node()].scopes.open(None))
            .flatten();
        self.spawn("main", scope.expect("a scope without a parent opens"), program);
    }

    /// Starts a task; `None` (and the future is dropped) when the scope or the incarnation has ended.
    fn spawn<F>(&self, label: &'static str, scope: u64, future: F) -> Option<u64>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let node = self.node();
        let started = self.with(|state| {
            let scopes = &mut state.nodes[node].scopes;
            if !scopes.is_open(scope) {
                return None;
            }
            let id = scopes.number();
            let name = state.task_name(label);
            state.note(Kind::Spawn, node, name, id, 0);
            Some((id, name))
        });
        let (id, name) = started.flatten()?;
        let meta = TaskMeta {
            node,
            incarnation: self.incarnation(),
            id,
            label,
            name,
        };
        let ended = Ended {
            handle: self.clone(),
            id,
        };
        let world = self.world().clone();
        let (runnable, task) = async_task::Builder::new().metadata(meta).spawn(
            move |_| async move {
                let _ended = ended;
                future.await;
            },
            move |runnable| world.woken.push(runnable),
        );
        let adopted = self.with(|state| state.nodes[node].scopes.adopt(scope, id, task));
        match adopted {
            Some(Ok(())) => {
                runnable.schedule();
                Some(id)
            }
            // The closure of `with` ran under the same lock order as the check above: nothing can have ended since.
            _ => unreachable!("a scope that was open a moment ago adopts its task"),
        }
    }
}
