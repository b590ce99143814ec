//! The contract of [`Storage`], [`env::Store`] and [`Reader`]. Each clause takes a [`Machine`] with an empty disk.

mod crash;
mod data;
mod open;

use std::future::Future;

use bytes::Bytes;
use env::{Batch, Direction, Entry, Env, Family, KeyRange, Reader, Storage};

pub use crash::*;
pub use data::*;
pub use open::*;

/// A node whose disk outlives its incarnations.
pub trait Machine: Send {
    /// The environment of one incarnation.
    type Env: Env;

    /// The environment of the present incarnation.
    fn env(&self) -> Self::Env;

    /// Ends the incarnation in order and starts the next one on the same disk.
    fn restart(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends the incarnation as a power failure does and starts the next one on what the disk has kept. An
    /// implementation that cannot cut the power kills what it can: it may keep more than a power failure would.
    fn crash(&mut self) -> impl Future<Output = ()> + Send;
}

/// All clauses of the contract of `env::Storage`, `env::Store` and `env::Reader`, as tests.
#[macro_export]
macro_rules! storage_contract {
    ($run:path) => {
        $crate::__clauses!($run, storage:
            a_new_store_is_empty
            what_is_written_is_read
            the_last_of_equal_keys_in_a_batch_wins
            a_batch_spans_families
            a_scan_gives_the_keys_of_its_range_from_either_end
            deleting_a_range_removes_exactly_its_keys
            keys_and_values_may_be_empty_or_large
            a_snapshot_does_not_change
            a_scan_sees_whole_batches
            batches_take_effect_in_the_order_of_their_calls
            a_write_that_nobody_waits_for_still_happens
            a_batch_over_the_limit_changes_nothing
            a_family_that_was_not_named_cannot_be_reached
            families_that_are_not_named_are_kept
            a_store_is_open_once
            a_closed_store_can_be_opened_again
            an_opening_that_is_dropped_leaves_no_lock
            stores_of_one_node_are_separate
            handles_of_an_ended_incarnation_are_closed
            synced_batches_survive_a_restart
            synced_batches_survive_a_crash
            a_barrier_covers_every_batch_before_it
            a_crash_keeps_a_prefix_of_the_batches
            a_crash_keeps_batches_whole);
    };
}

/// The store that a machine opens.
type StoreOf<M> = <<<M as Machine>::Env as Env>::Storage as Storage>::Store;

const ONE: Family = Family::new("one");
const OTHER: Family = Family::new("other");

/// The store of most clauses, with both families.
async fn open<M: Machine>(machine: &M) -> StoreOf<M> {
    machine
        .env()
        .storage()
        .open("store", &[ONE, OTHER])
        .await
        .expect("the store opens")
}

/// A batch that puts one entry into family [`ONE`].
fn put(key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(ONE, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    batch
}

async fn get<R: Reader>(reader: &R, family: Family, key: &[u8]) -> Option<Bytes> {
    reader.get(family, key).await.expect("a sound store reads")
}

async fn all<R: Reader>(reader: &R, family: Family) -> Vec<Entry> {
    let scan = reader.scan(family, KeyRange::ALL, Direction::Forward, usize::MAX);
    scan.await.expect("a sound store reads")
}
