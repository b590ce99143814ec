//! The thread that makes transactions: at a rate, whatever becomes of them, or so many at a time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use node::consensus::{Handle, SubmitError};

use super::counter::Delivered;

/// What is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Transactions per second of all members together. Each is due at its own instant, and its time counts from then.
    Rate(u64),
    /// Transactions of each member that are not ordered yet.
    InFlight(u64),
}

/// What a transaction says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its own.
    pub number: u64,
    /// Which member it was given to.
    pub maker: u64,
    /// When it was due, in microseconds since the start.
    pub due_us: u64,
}

impl Mark {
    /// Its bytes, at the front of a transaction.
    pub const BYTES: usize = 24;

    fn write(&self, payload: &mut [u8]) {
        for (field, at) in [self.number, self.maker, self.due_us]
            .into_iter()
            .zip(payload.chunks_exact_mut(8))
        {
            at.copy_from_slice(&field.to_le_bytes());
        }
    }

    /// What the transaction says; `None` when it is too short for one.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (number, rest) = payload.split_first_chunk()?;
        let (maker, rest) = rest.split_first_chunk()?;
        let (due_us, _) = rest.split_first_chunk()?;
        Some(Self {
            number: u64::from_le_bytes(*number),
            maker: u64::from_le_bytes(*maker),
            due_us: u64::from_le_bytes(*due_us),
        })
    }
}

/// A member as the load sees it.
pub struct Target {
    pub handle: Handle,
    pub delivered: Arc<Delivered>,
}

/// The load's thread, from outside.
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    offer: Mutex<Offer>,
    is_over: AtomicBool,
    refused: AtomicU64,
    /// Nanoseconds of processor time.
    spent: AtomicU64,
}

/// How often the thread looks at what is due.
const TICK: Duration = Duration::from_millis(1);

impl Load {
    /// A thread that offers nothing yet.
    pub fn start(targets: Vec<Target>, bytes: usize, start: Instant) -> Self {
        let shared = Arc::new(Shared {
            offer: Mutex::new(Offer::Rate(0)),
            is_over: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            spent: AtomicU64::new(0),
        });
        let maker = Maker {
            shared: Arc::clone(&shared),
            submitted: vec![0; targets.len()],
            targets,
            // Bytes that no compression makes shorter.
            template: (0..bytes as u32)
                .map(|at| (at.wrapping_mul(2_654_435_769) >> 24) as u8)
                .collect(),
            start,
            made: 0,
        };
        let thread = std::thread::spawn(move || maker.run());
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Offers this from now on.
    pub fn offer(&self, offer: Offer) {
        *self.shared.offer.lock().unwrap_or_else(PoisonError::into_inner) = offer;
    }

    /// Transactions that found no room on their way to a member.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Processor time of the thread.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.shared.spent.load(Ordering::Relaxed))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A load that panicked is seen by what is missing.
            drop(thread.join());
        }
    }
}

struct Maker {
    shared: Arc<Shared>,
    targets: Vec<Target>,
    /// By member.
    submitted: Vec<u64>,
    template: Vec<u8>,
    start: Instant,
    made: u64,
}

impl Maker {
    fn run(mut self) {
        let mut offered = Offer::Rate(0);
        let (mut since, mut due_before) = (Instant::now(), 0);
        while !self.shared.is_over.load(Ordering::Relaxed) {
            let offer = *self.shared.offer.lock().unwrap_or_else(PoisonError::into_inner);
            if offer != offered {
                (offered, since, due_before) = (offer, Instant::now(), 0);
            }
            match offer {
                Offer::Rate(rate) => {
                    let due = (since.elapsed().as_secs_f64() * rate as f64) as u64;
                    let at = |place: u64| since + Duration::from_secs_f64(place as f64 / rate as f64);
                    for place in due_before..due {
                        self.submit((place % self.targets.len() as u64) as usize, at(place));
                    }
                    due_before = due;
                }
                Offer::InFlight(most) => self.fill(most),
            }
            self.shared.spent.store(thread_time(), Ordering::Relaxed);
            std::thread::sleep(TICK);
        }
    }

    /// Tops every member up.
    fn fill(&mut self, most: u64) {
        for member in 0..self.targets.len() {
            let target = &self.targets[member];
            let over = target.delivered.own() + target.handle.metrics().payloads_refused;
            let in_flight = self.submitted[member].saturating_sub(over);
            for _ in in_flight..most {
                if !self.submit(member, Instant::now()) {
                    break;
                }
            }
        }
    }

    /// Hands one to a member; `false` when there is no room.
    fn submit(&mut self, member: usize, due: Instant) -> bool {
        let mut payload = self.template.clone();
        let mark = Mark {
            number: self.made,
            maker: member as u64,
            due_us: u64::try_from((due - self.start).as_micros()).unwrap_or(u64::MAX),
        };
        mark.write(&mut payload);
        match self.targets[member].handle.try_submit(Bytes::from(payload)) {
            Ok(()) => {
                self.made += 1;
                self.submitted[member] += 1;
                true
            }
            Err(SubmitError::Busy { .. } | SubmitError::Refused(_) | SubmitError::Gone) => {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }
}

/// Nanoseconds of processor time of this thread.
fn thread_time() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a local that lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).expect("a thread has run for some seconds");
    let nanos = u64::try_from(time.tv_nsec).expect("and a part of a second");
    seconds * 1_000_000_000 + nanos
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_says_which_it_is() {
        let mark = Mark {
            number: 1 << 40,
            maker: 3,
            due_us: 77,
        };
        let mut payload = vec![9; 30];
        mark.write(&mut payload);
        assert_eq!(Mark::read(&payload), Some(mark));
        assert_eq!(payload[Mark::BYTES..], [9; 6]);
        assert_eq!(Mark::read(&payload[..23]), None);
    }
}
