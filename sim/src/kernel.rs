//! What the simulator asks of the thing below it: five operations, so that the thing can be replaced.
//!
//! The simulator keeps its own queue of events, its own run queue per node, and draws every choice by key. A kernel
//! only polls: the pump (one future), and one driver per incarnation of a node, one at a time, when it is woken. So a
//! run's hash does not depend on the kernel, but for its name in the header, which a test checks with the two that exist:
//!
//! - [`Madsim`]: madsim's executor, nodes, clock and interposition of libc. What reads the time or the randomness of
//!   the process behind our back gets virtual time and seeded bytes. The kernel for every run that counts.
//! - [`Plain`]: a loop. No interposition; a second opinion.

mod madsim;
mod plain;

use std::future::Future;
use std::time::Duration;

pub use self::madsim::Madsim;
pub use self::plain::Plain;
use crate::draw::Seed;

/// See the module.
pub trait Kernel: Clone + Send + Sync + 'static {
    /// One incarnation's place in the kernel.
    type Driver: Send + Sync + 'static;

    /// Its name in trace headers.
    const NAME: &'static str;

    /// Runs `main` to its end in a fresh kernel and drops whatever drivers are left.
    fn run<F, Fut>(seed: Seed, main: F) -> Fut::Output
    where
        F: FnOnce(Self) -> Fut,
        Fut: Future;

    /// The kernel's clock.
    fn now(&self) -> Duration;

    /// Moves the kernel's clock forward to `time`, if it is not there yet.
    fn advance_to(&self, time: Duration);

    /// Starts the driver of one incarnation of a node.
    fn spawn(&self, node: &str, driver: impl Future<Output = ()> + Send + 'static) -> Self::Driver;

    /// Ends a driver. Its future may be dropped now or later, but is not polled again.
    fn kill(&self, driver: &Self::Driver);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Poll;

    use super::*;

    /// Wakes a driver, lets it take a turn, kills it, and shows that it took no second one.
    fn drivers_take_turns_until_they_are_killed<K: Kernel>() {
        let turns = Arc::new(AtomicU32::new(0));
        let counted = K::run(Seed::new(3), |kernel| async move {
            let waker = Arc::new(std::sync::Mutex::new(None));
            let (seen, slot) = (turns.clone(), waker.clone());
            let driver = kernel.spawn(
                "n0",
                std::future::poll_fn(move |cx| {
                    seen.fetch_add(1, Ordering::Relaxed);
                    *slot.lock().expect("one thread") = Some(cx.waker().clone());
                    Poll::Pending
                }),
            );
            breathe().await;
            kernel.advance_to(Duration::from_millis(7));
            assert!(kernel.now() >= Duration::from_millis(7));
            assert_eq!(turns.load(Ordering::Relaxed), 1);
            kernel.kill(&driver);
            if let Some(waker) = waker.lock().expect("one thread").take() {
                waker.wake();
            }
            breathe().await;
            turns.load(Ordering::Relaxed)
        });
        assert_eq!(counted, 1);
    }

    /// Lets everything that is ready run.
    async fn breathe() {
        for _ in 0..8 {
            let mut first = true;
            std::future::poll_fn(|cx| {
                if std::mem::replace(&mut first, false) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
        }
    }

    #[test]
    fn madsim_drivers_take_turns_until_they_are_killed() {
        drivers_take_turns_until_they_are_killed::<Madsim>();
    }

    #[test]
    fn plain_drivers_take_turns_until_they_are_killed() {
        drivers_take_turns_until_they_are_killed::<Plain>();
    }
}
