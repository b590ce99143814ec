//! Waiting for the first of several futures, in an order that the source states.

/// Waits for the first of its branches and drops the others. **Priority is source order**: when several branches are
/// ready, the uppermost wins. Nothing is drawn, so the same inputs give the same choice in every process.
///
/// The branches are those of tokio's `select!`: `pattern = future [, if condition] => expression`, and `else`.
///
/// Put what must not be starved (cancellation, deadlines) above what can be busy for long.
///
/// ```
/// # tokio_test();
/// # fn tokio_test() {
/// use std::future::{pending, ready};
/// let choice = async {
///     env::select! {
///         () = pending::<()>() => "never",
///         () = ready(()) => "upper",
///         () = ready(()) => "lower",
///     }
/// };
/// let mut choice = std::pin::pin!(choice);
/// let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// assert_eq!(choice.as_mut().poll(&mut context), std::task::Poll::Ready("upper"));
/// # use std::future::Future;
/// # }
/// ```
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => {
        $crate::__private::tokio::select! { biased; $($branches)* }
    };
}

#[cfg(test)]
mod tests {
    use std::future::{Future, pending, ready};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn branches_may_leave_the_surrounding_loop() {
        let mut looped = pin!(async {
            let mut turns = 0;
            loop {
                crate::select! {
                    () = pending::<()>() => continue,
                    () = ready(()), if turns == 2 => break turns,
                    () = ready(()), if turns < 2 => turns += 1,
                }
            }
        });
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(looped.as_mut().poll(&mut context), Poll::Ready(2));
    }
}
