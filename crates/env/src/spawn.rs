//! Tasks, owned by scopes.

use std::future::Future;

/// Starts scopes. There are no free tasks: each belongs to a scope, and a scope to the incarnation of its node.
pub trait Spawner: Clone + Send + Sync + 'static {
    /// See [`Scope`].
    type Scope: Scope;

    /// A new scope under the node. `label` names it in metrics and traces.
    fn scope(&self, label: &'static str) -> Self::Scope;
}

/// A set of tasks that end together.
///
/// Dropping a scope cancels its tasks and its child scopes without waiting. A task is cancelled by dropping its
/// future between two polls; a poll in progress on another thread runs to its end first.
pub trait Scope: Send + Sync + 'static {
    /// The handle of a task that yields `T`.
    type Task<T: Send + 'static>: Task<T>;

    /// Starts `future`. In a cancelled scope the future is dropped at once and its handle answers
    /// [`TaskError::Cancelled`].
    fn spawn<F>(&self, label: &'static str, future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// A scope that is cancelled with this one, or alone.
    fn child(&self, label: &'static str) -> Self;

    /// Cancels every task and child, by the call and before the future is first polled; completes once the last of
    /// their futures has been dropped. Dropping the returned future leaves the cancellation in force.
    fn cancel(self) -> impl Future<Output = ()> + Send;
}

/// The handle of a task: a future of its result. Dropping the handle detaches the task, which its scope still owns.
pub trait Task<T>: Future<Output = Result<T, TaskError>> + Send + Unpin + 'static {
    /// Cancels the task. A task that has ended keeps its result.
    fn abort(&self);
}

/// Why a task has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// It was aborted, or its scope or its node ended.
    #[error("the task was cancelled")]
    Cancelled,
    /// It panicked: a bug. The simulator ends the run instead of answering this.
    #[error("task `{label}` panicked: {message}")]
    Panicked {
        /// The label the task was spawned with.
        label: &'static str,
        /// The panic's message, empty when it carried none.
        message: String,
    },
}
