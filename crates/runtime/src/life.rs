//! The end of an incarnation, which every handle can see.

use std::sync::Arc;

use env::sync::watch;

/// Shared by all handles of one incarnation.
#[derive(Clone, Debug)]
pub(crate) struct Life(Arc<watch::Sender<bool>>);

impl Life {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Whether the end has come.
    pub(crate) fn is_over(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the end comes. Cancel-safe.
    pub(crate) async fn over(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives in `self`, so the wait ends by the value only.
        drop(receiver.wait_for(|over| *over).await);
    }

    pub(crate) fn end(&self) {
        self.0.send_replace(true);
    }
}
