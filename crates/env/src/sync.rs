//! Channels between the tasks of one node. All of them wake in the order in which their users began to wait, so the
//! order is the same in every process.
//!
//! Most are tokio's, which need no runtime. Its `watch` is not among them: it spreads its waiters over eight lists by a
//! generator that the host seeds, and wakes one list after the other. [`watch`] is ours.

pub mod watch;

pub use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
