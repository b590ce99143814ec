//! The contract of [`Clock`]. Each clause takes one environment.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use env::{Clock, Elapsed, Env};
use types::Mono;

use super::{WATCH, poll_once, soon};

/// All clauses of the contract of `env::Clock`, as tests.
#[macro_export]
macro_rules! clock_contract {
    ($run:path) => {
        $crate::__clauses!($run, clock:
            time_never_steps_back
            a_sleeper_wakes_no_earlier_than_its_time
            an_instant_that_has_passed_is_not_waited_for
            a_sleep_counts_from_its_call_and_not_from_its_first_poll
            a_sleep_until_never_goes_on
            a_sleeper_with_the_earlier_deadline_wakes_first
            a_dropped_sleep_leaves_nothing_behind
            a_future_that_is_ready_wins_over_a_limit_that_has_passed
            a_future_within_its_limit_gives_its_value
            a_future_over_its_limit_has_been_dropped
            an_interval_ticks_one_period_apart
            an_interval_skips_the_ticks_it_missed
            a_dropped_wait_for_a_tick_loses_no_tick);
    };
}

const MOMENT: Duration = Duration::from_millis(20);

/// `now` never decreases, over polls and within one.
pub async fn time_never_steps_back<E: Env>(env: E) {
    let clock = env.clock();
    let mut last = clock.now();
    for _ in 0..100 {
        for _ in 0..10 {
            let now = clock.now();
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
        clock.sleep(Duration::from_micros(100)).await;
    }
}

/// A deadline is reached or passed when its sleeper wakes.
pub async fn a_sleeper_wakes_no_earlier_than_its_time<E: Env>(env: E) {
    let clock = env.clock();
    for micros in [0, 1, 333, 999, 1_000, 1_001, 7_500, 20_000] {
        let deadline = clock.now() + Duration::from_micros(micros);
        clock.sleep_until(deadline).await;
        assert!(clock.now() >= deadline, "woke at {} for {deadline}", clock.now());
        let start = clock.now();
        clock.sleep(Duration::from_micros(micros)).await;
        assert!(clock.now().since(start) >= Duration::from_micros(micros));
    }
}

/// A past deadline is ready at the first poll.
pub async fn an_instant_that_has_passed_is_not_waited_for<E: Env>(env: E) {
    let clock = env.clock();
    clock.sleep(MOMENT).await;
    for past in [Mono::ZERO, clock.now()] {
        let mut sleep = pin!(clock.sleep_until(past));
        assert_eq!(poll_once(&mut sleep).await, Poll::Ready(()));
    }
}

/// The time of a sleep runs before anyone polls it.
pub async fn a_sleep_counts_from_its_call_and_not_from_its_first_poll<E: Env>(env: E) {
    let clock = env.clock();
    let mut first = pin!(clock.sleep(MOMENT));
    clock.sleep(MOMENT * 2).await;
    assert_eq!(poll_once(&mut first).await, Poll::Ready(()));
}

/// The end of time is a valid deadline that nobody sees.
pub async fn a_sleep_until_never_goes_on<E: Env>(env: E) {
    let clock = env.clock();
    let mut forever = pin!(clock.sleep_until(Mono::MAX));
    assert_eq!(poll_once(&mut forever).await, Poll::Pending);
    clock.sleep(MOMENT).await;
    assert_eq!(poll_once(&mut forever).await, Poll::Pending);
    assert_eq!(
        poll_once(&mut pin!(clock.sleep(Duration::MAX))).await,
        Poll::Pending
    );
}

/// When the later of two deadlines has been woken for, the earlier one has passed too.
pub async fn a_sleeper_with_the_earlier_deadline_wakes_first<E: Env>(env: E) {
    let clock = env.clock();
    let mut late = pin!(clock.sleep(MOMENT * 2));
    let mut early = pin!(clock.sleep(MOMENT));
    late.as_mut().await;
    assert_eq!(poll_once(&mut early).await, Poll::Ready(()));
}

/// Sleeps that are dropped, polled or not, neither wake anyone nor run out.
pub async fn a_dropped_sleep_leaves_nothing_behind<E: Env>(env: E) {
    let clock = env.clock();
    for _ in 0..20_000 {
        let mut sleep = pin!(clock.sleep(Duration::from_secs(3_600)));
        assert_eq!(poll_once(&mut sleep).await, Poll::Pending);
        drop(clock.sleep(Duration::from_secs(3_600)));
    }
    clock.sleep(MOMENT).await;
}

/// A limit that has passed does not hide a value that is there.
pub async fn a_future_that_is_ready_wins_over_a_limit_that_has_passed<E: Env>(env: E) {
    let timeout = env.clock().timeout(Duration::ZERO, async { 7 });
    env.clock().sleep(MOMENT).await;
    assert_eq!(timeout.await, Ok(7));
}

/// The value passes through.
pub async fn a_future_within_its_limit_gives_its_value<E: Env>(env: E) {
    let clock = env.clock().clone();
    let work = async move {
        clock.sleep(MOMENT).await;
        "done"
    };
    assert_eq!(env.clock().timeout(super::PATIENCE, work).await, Ok("done"));
}

/// The future is gone by the time its limit is reported.
pub async fn a_future_over_its_limit_has_been_dropped<E: Env>(env: E) {
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = SetOnDrop(Arc::clone(&dropped));
    let start = env.clock().now();
    let work = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    assert_eq!(env.clock().timeout(MOMENT, work).await, Err(Elapsed));
    assert!(dropped.load(Ordering::SeqCst), "the future outlives its limit");
    assert!(env.clock().now().since(start) >= MOMENT);
}

/// The first tick comes after one period, and every other no earlier than one period after the one before.
pub async fn an_interval_ticks_one_period_apart<E: Env>(env: E) {
    let start = env.clock().now();
    let mut interval = env.clock().interval(MOMENT);
    let mut last = start;
    for _ in 0..4 {
        let tick = soon(&env, "a tick", interval.tick()).await;
        assert!(tick.since(last) >= MOMENT, "tick {tick} after {last}");
        assert!(env.clock().now() >= tick);
        last = tick;
    }
}

/// After a long absence there is one tick at once, not one for each that was missed.
pub async fn an_interval_skips_the_ticks_it_missed<E: Env>(env: E) {
    let period = WATCH;
    let mut interval = env.clock().interval(period);
    env.clock().sleep(period * 5).await;
    soon(&env, "the tick that is due", interval.tick()).await;
    let back = env.clock().now();
    soon(&env, "the tick after", interval.tick()).await;
    assert!(
        env.clock().now().since(back) >= period,
        "missed ticks come in a burst"
    );
}

/// Giving up on a tick does not take it away.
pub async fn a_dropped_wait_for_a_tick_loses_no_tick<E: Env>(env: E) {
    let period = MOMENT * 2;
    let start = env.clock().now();
    let mut interval = env.clock().interval(period);
    let first = loop {
        if let Ok(tick) = env.clock().timeout(period / 8, interval.tick()).await {
            break tick;
        }
    };
    assert!(first.since(start) >= period && first <= start + period * 2 + env.clock().now().since(first));
}

/// Notes that it was dropped.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
