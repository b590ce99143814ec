//! Time: a monotone clock to wait on, a wall clock to stamp with.

use std::future::Future;
use std::time::Duration;

use types::{Mono, UnixMillis};

/// The time that one node sees.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Time since this incarnation started. Never decreases, and does not advance while one poll of a task runs
    /// in the simulator.
    fn now(&self) -> Mono;

    /// This node's idea of the date. It may be skewed, drift and step in both directions: never wait on it.
    fn wall(&self) -> UnixMillis;

    /// Completes at the first poll at or after `at`; at once when `at` has passed. Dropping the future cancels the
    /// timer and leaves nothing behind.
    fn sleep_until(&self, at: Mono) -> impl Future<Output = ()> + Send + 'static;

    /// Completes once `duration` has passed from the call (not from the first poll).
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.sleep_until(self.now() + duration)
    }

    /// Runs `future` for at most `limit`. When both are ready at one poll the future wins. On [`Elapsed`] the
    /// future has been dropped.
    ///
    /// # Errors
    /// [`Elapsed`] when the limit passed first.
    fn timeout<F>(
        &self,
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        let deadline = self.sleep(limit);
        async move {
            crate::select! {
                output = future => Ok(output),
                () = deadline => Err(Elapsed),
            }
        }
    }

    /// Ticks every `period`, the first time one period from now.
    ///
    /// # Panics
    /// When `period` is zero: such a ticker would spin.
    fn interval(&self, period: Duration) -> Interval<Self> {
        assert!(!period.is_zero(), "an interval has a period");
        Interval {
            clock: self.clone(),
            next: self.now() + period,
            period,
        }
    }
}

/// The limit of [`Clock::timeout`] passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time limit passed")]
pub struct Elapsed;

/// A ticker that skips the ticks it missed instead of making up for them in a burst.
#[derive(Clone, Debug)]
pub struct Interval<C> {
    clock: C,
    next: Mono,
    period: Duration,
}

impl<C: Clock> Interval<C> {
    /// Waits for the next tick. Cancel-safe: a dropped call loses no tick.
    pub async fn tick(&mut self) -> Mono {
        self.clock.sleep_until(self.next).await;
        let fired = self.next;
        let now = self.clock.now();
        self.next = self.next + self.period;
        if self.next <= now {
            self.next = now + self.period;
        }
        fired
    }
}
