//! The shared page: what a worker shows its parent while it runs.

use std::{
    io, ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering},
    },
};

use super::WorkerError;

/// Workers that can live at one time.
pub(super) const SLOTS: usize = 256;

/// One worker's part of the page, alone on its cache lines.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Slot {
    taken: AtomicBool,
    events: AtomicU64,
    now: AtomicU64,
    os_draws: AtomicU64,
    thread: AtomicI32,
    armed: AtomicU32,
    hung: AtomicBool,
}

impl Slot {
    /// Takes a free slot and clears it.
    pub(super) fn claim() -> Result<&'static Self, WorkerError> {
        let board = board().map_err(|source| WorkerError::Refused {
            what: "a shared page",
            source,
        })?;
        let slot = board
            .iter()
            .find(|slot| !slot.taken.swap(true, Ordering::AcqRel))
            .ok_or(WorkerError::Jobs { jobs: SLOTS + 1 })?;
        slot.events.store(0, Ordering::Relaxed);
        slot.now.store(0, Ordering::Relaxed);
        slot.os_draws.store(0, Ordering::Relaxed);
        slot.thread.store(0, Ordering::Relaxed);
        slot.armed.store(0, Ordering::Relaxed);
        slot.hung.store(false, Ordering::Relaxed);
        Ok(slot)
    }

    /// Gives the slot back, once its worker is gone.
    pub(super) fn release(&self) {
        self.taken.store(false, Ordering::Release);
    }

    /// The run's thread, 0 before it has started.
    pub(super) fn thread(&self) -> i32 {
        self.thread.load(Ordering::Relaxed)
    }

    /// The bits of [`crate::guard::Armed`].
    pub(super) fn armed(&self) -> u32 {
        self.armed.load(Ordering::Relaxed)
    }

    /// Draws from the host's entropy that were answered from the seed.
    pub(super) fn os_draws(&self) -> u64 {
        self.os_draws.load(Ordering::Relaxed)
    }

    /// Marks the worker as one that its parent has given up on.
    pub(super) fn give_up(&self) {
        self.hung.store(true, Ordering::Relaxed);
    }

    /// Whether its parent has given up on the worker.
    pub(crate) fn is_hung(&self) -> bool {
        self.hung.load(Ordering::Relaxed)
    }

    /// Notes that the calling thread runs now.
    pub(super) fn set_thread(&self, thread: i32) {
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// Notes what is armed.
    pub(super) fn set_armed(&self, bits: u32) {
        self.armed.store(bits, Ordering::Relaxed);
    }

    /// Notes a draw from the host's entropy that was answered from the seed.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn count_os_draw(&self) {
        self.os_draws.fetch_add(1, Ordering::Relaxed);
    }

    /// How far the run has come.
    pub(super) fn beat(&self) -> Beat {
        Beat {
            events: self.events.load(Ordering::Relaxed),
            now: self.now.load(Ordering::Relaxed),
        }
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Events so far.
    pub events: u64,
    /// Virtual time, in the unit that the run reports.
    pub now: u64,
}

/// Where a run shows that it is alive.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat(pub(super) &'static Slot);

impl Heartbeat {
    /// Shows that `events` events have happened by virtual time `now`. Two relaxed stores.
    pub fn beat(&self, events: u64, now: u64) {
        self.0.now.store(now, Ordering::Relaxed);
        self.0.events.store(events, Ordering::Relaxed);
    }
}

/// The page of the process. It is mapped once, so that it lies at the same address in every worker, however many live.
fn board() -> io::Result<&'static [Slot; SLOTS]> {
    static BOARD: OnceLock<&'static [Slot; SLOTS]> = OnceLock::new();
    if let Some(board) = BOARD.get() {
        return Ok(board);
    }
    // SAFETY: a new anonymous mapping; no memory of ours is touched.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size_of::<[Slot; SLOTS]>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANON,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is page-aligned, as long as the array, zeroed (a valid value of every field, all atomic),
    // and never unmapped.
    let board = unsafe { &*page.cast::<[Slot; SLOTS]>() };
    Ok(BOARD.get_or_init(|| board))
}
