//! The contracts of the environment's traits and of signature schemes, as tests that every implementation runs.
//!
//! A suite is a module: one `pub async fn` per clause, named as a sentence, that panics when the clause is broken. An
//! implementation takes all clauses of a suite at once, each as a `#[test]` of its own, with one line:
//!
//! ```ignore
//! mod clock {
//!     testkit::clock_contract!(super::on_one_node);
//! }
//! ```
//!
//! where `on_one_node` is a function that builds the world, runs the clause in it and tears it down:
//! `fn on_one_node<F: Future<Output = ()> + Send>(case: impl FnOnce(MyEnv) -> F + Send)`. What a clause takes is said
//! by its suite: one environment ([`clock`], [`spawn`], [`compute`], [`entropy`]), three members of a network
//! ([`network`]), a machine that can crash ([`storage`]), or a world with blob hosts ([`blobs`]). A [`scheme`] needs no
//! world: its suite takes its type.
//!
//! Clauses wait on the environment's clock only and assert no upper bound on time, so they hold on a busy machine.
//! What only one world promises (a panic is answered in production and ends the run in the simulator) is not here.

pub mod blobs;
pub mod clock;
pub mod compute;
pub mod entropy;
pub mod network;
pub mod scheme;
pub mod spawn;
pub mod storage;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use env::Clock;

/// How long a clause waits for what must happen. Only a broken implementation, or a machine at a standstill, gets
/// there.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a clause watches that something does not happen.
pub const WATCH: Duration = Duration::from_millis(150);

/// The value of `future`, which must come within [`PATIENCE`].
///
/// # Panics
/// When it does not come.
pub async fn soon<E, F>(env: &E, what: &str, future: F) -> F::Output
where
    E: env::Env,
    F: Future + Send,
    F::Output: Send,
{
    match env.clock().timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(env::Elapsed) => panic!("{what}: nothing within {PATIENCE:?}"),
    }
}

/// Polls `future` once, with the waker of the calling task.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

/// Expands to one `#[test]` per clause. The suites' own macros call it.
#[doc(hidden)]
#[macro_export]
macro_rules! __clauses {
    (for $subject:ty, $suite:ident: $($clause:ident)*) => {
        $(
            #[test]
            fn $clause() {
                $crate::contract::$suite::$clause::<$subject>();
            }
        )*
    };
    ($run:path, $suite:ident: $($clause:ident)*) => {
        $(
            #[test]
            fn $clause() {
                $run($crate::contract::$suite::$clause);
            }
        )*
    };
}

/// A suite whose list of clauses is not exactly its functions would let an implementation forget one.
#[cfg(test)]
mod tests {
    fn listed_and_written(source: &str) -> (Vec<&str>, Vec<&str>) {
        let list = source
            .split_once("__clauses!(")
            .expect("a suite has a list of clauses")
            .1;
        let list = list.split_once(':').expect("the list names its suite").1;
        let list = list.split_once(')').expect("the list ends").0;
        let written = source
            .lines()
            .filter_map(|line| {
                line.strip_prefix("pub ")?
                    .trim_start_matches("async ")
                    .strip_prefix("fn ")
            })
            .filter_map(|line| line.split(['<', '(']).next())
            .collect();
        (list.split_whitespace().collect(), written)
    }

    #[test]
    fn every_clause_is_in_the_list_of_its_suite() {
        for (suite, source) in [
            ("blobs", include_str!("contract/blobs.rs")),
            ("clock", include_str!("contract/clock.rs")),
            ("compute", include_str!("contract/compute.rs")),
            ("entropy", include_str!("contract/entropy.rs")),
            (
                "network",
                concat!(
                    include_str!("contract/network.rs"),
                    include_str!("contract/network/messages.rs"),
                    include_str!("contract/network/peers.rs"),
                    include_str!("contract/network/requests.rs"),
                    include_str!("contract/network/streams.rs"),
                ),
            ),
            ("scheme", include_str!("contract/scheme.rs")),
            ("spawn", include_str!("contract/spawn.rs")),
            (
                "storage",
                concat!(
                    include_str!("contract/storage.rs"),
                    include_str!("contract/storage/crash.rs"),
                    include_str!("contract/storage/data.rs"),
                    include_str!("contract/storage/open.rs"),
                ),
            ),
        ] {
            let (mut listed, mut written) = listed_and_written(source);
            listed.sort_unstable();
            written.sort_unstable();
            assert_eq!(listed, written, "suite {suite}");
        }
    }
}
