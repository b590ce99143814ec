//! A kernel that is one loop: it polls the pump, then every driver that was woken, oldest first.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::Kernel;
use crate::draw::Seed;

type BoxedDriver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One loop on one thread.
#[derive(Clone)]
pub struct Plain {
    state: Arc<Mutex<State>>,
}

struct State {
    now: Duration,
    next: u64,
    drivers: BTreeMap<u64, BoxedDriver>,
    ready: Arc<Mutex<VecDeque<u64>>>,
}

impl Plain {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no kernel code panics with the lock held")
    }
}

struct DriverWaker {
    id: u64,
    ready: Arc<Mutex<VecDeque<u64>>>,
}

impl Wake for DriverWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().expect("the queue's users do not panic");
        if !ready.contains(&self.id) {
            ready.push_back(self.id);
        }
    }
}

struct PumpWaker(AtomicBool);

impl Wake for PumpWaker {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Kernel for Plain {
    type Driver = u64;

    const NAME: &'static str = "plain";

    fn run<F, Fut>(_seed: Seed, main: F) -> Fut::Output
    where
        F: FnOnce(Self) -> Fut,
        Fut: Future,
    {
        let ready = Arc::new(Mutex::new(VecDeque::new()));
        let kernel = Self {
            state: Arc::new(Mutex::new(State {
                now: Duration::ZERO,
                next: 0,
                drivers: BTreeMap::new(),
                ready: ready.clone(),
            })),
        };
        let mut main = pin!(main(kernel.clone()));
        let woken = Arc::new(PumpWaker(AtomicBool::new(true)));
        let pump = Waker::from(woken.clone());
        loop {
            if woken.0.swap(false, Ordering::Relaxed)
                && let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&pump))
            {
                return output;
            }
            let next = ready.lock().expect("the queue's users do not panic").pop_front();
            match next {
                Some(id) => kernel.poll_driver(id),
                None => assert!(
                    woken.0.load(Ordering::Relaxed),
                    "a pump that waits has a driver at work"
                ),
            }
        }
    }

    fn now(&self) -> Duration {
        self.state().now
    }

    fn advance_to(&self, time: Duration) {
        let mut state = self.state();
        state.now = state.now.max(time);
    }

    fn spawn(&self, _node: &str, driver: impl Future<Output = ()> + Send + 'static) -> Self::Driver {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.drivers.insert(id, Box::pin(driver));
        state
            .ready
            .lock()
            .expect("the queue's users do not panic")
            .push_back(id);
        id
    }

    fn kill(&self, driver: &Self::Driver) {
        let removed = self.state().drivers.remove(driver);
        drop(removed);
    }
}

impl Plain {
    fn poll_driver(&self, id: u64) {
        let (driver, ready) = {
            let mut state = self.state();
            (state.drivers.remove(&id), state.ready.clone())
        };
        let Some(mut driver) = driver else { return };
        let waker = Waker::from(Arc::new(DriverWaker { id, ready }));
        if driver
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            self.state().drivers.insert(id, driver);
        }
    }
}
