//! The clocks of the operating system, and tokio's timers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use env::Clock;
use tokio::runtime::Handle;
use types::{Mono, UnixMillis};

/// Monotone time since the incarnation started, and the date of the operating system.
#[derive(Clone, Debug)]
pub struct OsClock {
    origin: tokio::time::Instant,
    timers: Handle,
}

impl OsClock {
    /// A clock that starts now, with timers of the tokio runtime `timers`.
    pub(crate) fn start(timers: Handle) -> Self {
        Self {
            origin: tokio::time::Instant::now(),
            timers,
        }
    }
}

impl Clock for OsClock {
    fn now(&self) -> Mono {
        Mono::ZERO + self.origin.elapsed()
    }

    fn wall(&self) -> UnixMillis {
        #[expect(clippy::disallowed_types, reason = "this is the door to the host's clock")]
        let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        // A host that thinks it is before 1970 gets 1970: the wall clock may be wrong, and this is how wrong it is.
        let millis = since.unwrap_or(Duration::ZERO).as_millis();
        UnixMillis::new(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    fn sleep_until(&self, at: Mono) -> impl Future<Output = ()> + Send + 'static {
        Until {
            clock: self.clone(),
            at,
            timer: None,
        }
    }
}

/// Waits for an instant. The timer is made at the first poll that finds it ahead, so a sleep that is not polled, or
/// that has passed already, costs nothing.
struct Until {
    clock: OsClock,
    at: Mono,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.clock.now() >= self.at {
                return Poll::Ready(());
            }
            if self.timer.is_none() {
                let deadline = self.clock.origin.checked_add(self.at - Mono::ZERO);
                let Some(deadline) = deadline else {
                    return Poll::Pending; // An instant that the host cannot name never comes.
                };
                let _timers = self.clock.timers.enter();
                self.timer = Some(Box::pin(tokio::time::sleep_until(deadline)));
            }
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(context));
                // Tokio's timers never fire early; the loop would only make another if one did.
                self.timer = None;
            }
        }
    }
}
