//! The kernel on madsim: its executor, its node objects, its clock, and its interposition of libc.

use std::future::Future;
use std::time::Duration;

use madsim::runtime::{Handle, NodeHandle, Runtime};
use madsim::time::TimeHandle;

use super::Kernel;
use crate::draw::{Domain, Seed};

/// madsim's executor, nodes, clock and interposition.
#[derive(Clone)]
pub struct Madsim {
    handle: Handle,
    time: TimeHandle,
}

impl Kernel for Madsim {
    type Driver = NodeHandle;

    const NAME: &'static str = "madsim 0.2.34";

    fn run<F, Fut>(seed: Seed, main: F) -> Fut::Output
    where
        F: FnOnce(Self) -> Fut,
        Fut: Future,
    {
        let seed = seed.draw(Domain::Kernel, 0, 0, 0).bits();
        let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
        runtime.block_on(async {
            let kernel = Self {
                handle: Handle::current(),
                time: TimeHandle::current(),
            };
            main(kernel).await
        })
    }

    fn now(&self) -> Duration {
        self.time.elapsed()
    }

    fn advance_to(&self, time: Duration) {
        // madsim adds 50 to 100 ns for every poll, so its clock may be a little ahead already.
        if let Some(missing) = time.checked_sub(self.time.elapsed()) {
            self.time.advance(missing);
        }
    }

    fn spawn(&self, node: &str, driver: impl Future<Output = ()> + Send + 'static) -> Self::Driver {
        let node = self.handle.create_node().name(node).build();
        drop(node.spawn(driver));
        node
    }

    fn kill(&self, driver: &Self::Driver) {
        self.handle.kill(driver.id());
    }
}
