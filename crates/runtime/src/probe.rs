//! Observation in production: trace events and counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use env::{Event, Probe, Site};

/// Writes events to `tracing` at debug level and counts what it is told. Never makes mischief.
#[derive(Clone, Debug, Default)]
pub struct TracingProbe(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    events: AtomicU64,
    reached: AtomicU64,
    held: AtomicU64,
}

/// What a [`TracingProbe`] has been told so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Protocol facts.
    pub events: u64,
    /// Visits of `reached!` sites.
    pub reached: u64,
    /// Visits of `sometimes!` sites at which the condition held.
    pub held: u64,
}

impl TracingProbe {
    /// The counts at this moment.
    pub fn counters(&self) -> Counters {
        Counters {
            events: self.0.events.load(Ordering::Relaxed),
            reached: self.0.reached.load(Ordering::Relaxed),
            held: self.0.held.load(Ordering::Relaxed),
        }
    }
}

impl Probe for TracingProbe {
    fn event(&self, event: Event<'_>) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(target: "soma::event", kind = event.kind, a = event.a, b = event.b, digest = ?event.digest);
    }

    fn reached(&self, _site: &'static Site) {
        self.0.reached.fetch_add(1, Ordering::Relaxed);
    }

    fn sometimes(&self, _site: &'static Site, held: bool) {
        self.0.held.fetch_add(u64::from(held), Ordering::Relaxed);
    }

    fn buggify(&self, _site: &'static Site) -> bool {
        false
    }
}
