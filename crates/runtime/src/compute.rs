//! A pool of threads for work that takes a processor for long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use env::{Compute, ComputeError, Cost};
use tokio::sync::{Semaphore, oneshot};

use crate::life::Life;

/// A sized pool with a bounded queue in front of it.
#[derive(Clone, Debug)]
pub struct ComputePool {
    threads: Arc<rayon::ThreadPool>,
    /// One permit for each job that runs or waits in the pool.
    places: Arc<Semaphore>,
    life: Life,
}

impl ComputePool {
    /// A pool of `threads` threads that holds `queue` waiting jobs.
    pub(crate) fn start(
        threads: usize,
        queue: usize,
        life: Life,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("compute-{index}"))
            .build()?;
        let places = Arc::new(Semaphore::new(threads + queue));
        Ok(Self {
            threads: Arc::new(pool),
            places,
            life,
        })
    }

    /// Answers `Closed` to whoever waits for a place. Jobs that have not started will not.
    pub(crate) fn close(&self) {
        self.places.close();
    }
}

impl Compute for ComputePool {
    async fn run<T, F>(&self, _cost: Cost, job: F) -> Result<T, ComputeError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| ComputeError::Closed)?;
        let (answer, outcome) = oneshot::channel();
        let life = self.life.clone();
        self.threads.spawn_fifo(move || {
            // Withdrawn: nobody waits. Closed: the job must not run, and dropping `answer` says so.
            if answer.is_closed() || life.is_over() {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(job));
            drop(place);
            let result = result.map_err(|panic| ComputeError::Panicked {
                message: panic_message(&*panic),
            });
            // The asker may be gone by now; then the value is dropped.
            drop(answer.send(result));
        });
        outcome.await.unwrap_or(Err(ComputeError::Closed))
    }

    fn charge(&self, _cost: Cost) {}
}

/// What a panic said, empty when it carried no string.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else {
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    }
}
