//! What a member counts of itself.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters since the member was made, over all its incarnations in this process.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[$doc])* pub(crate) $name: Counter,)*
        }

        /// All counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Metrics {
            /// All counters, each as it is when it is read.
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }

        impl Snapshot {
            /// Names and values, in a fixed order.
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

metrics! {
    /// Own blocks that became durable.
    blocks_made,
    /// Blocks that were accepted, own ones among them.
    blocks_accepted,
    /// Blocks that came on streams and were sound.
    blocks_received,
    /// Commits given to the consumer.
    commits_delivered,
    /// Payloads given to the consumer.
    payloads_delivered,
    /// Their bytes.
    payload_bytes_delivered,
    /// Payloads that were queued.
    payloads_queued,
    /// Payloads that were refused.
    payloads_refused,
    /// Questions that were asked.
    questions_asked,
    /// Questions that were not answered.
    questions_unanswered,
    /// Requests that were answered.
    requests_served,
    /// Requests that were not.
    requests_refused,
    /// Streams that were not opened: of another chain, epoch or form.
    streams_refused,
    /// Bytes of answers.
    bytes_served,
    /// Own blocks that were sent to somebody.
    blocks_sent,
    /// Streams that broke or did not open.
    streams_broken,
    /// Rules that peers broke.
    peers_blamed,
    /// Proofs of two blocks in one slot.
    equivocations,
    /// Batches that were written.
    batches_written,
    /// Bytes of batches.
    bytes_written,
    /// Barriers that were waited for.
    barriers,
    /// Times that everything was built again after a store failed.
    restarts,
    /// Stores that were given up because they were damaged.
    stores_abandoned,
}

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}
