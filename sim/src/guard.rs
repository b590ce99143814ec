//! The leak guard: what a run of the simulator may ask of its host, which is memory and nothing else.
//!
//! On Linux x86-64 the run's thread is armed with three tripwires. A seccomp filter lets through only the system calls
//! of memory, locks, output to open files and exit. Reading the time-stamp counter faults, so the vDSO's clocks do too.
//! And the few library functions that learn something of the host without a system call are ours. Each
//! ends the worker with the offending place. Elsewhere nothing is armed, and [`Armed`] says so.
//!
//! The guard does not see hash order, addresses, statics, thread numbers (`gettid`, which `abort` needs), the auxiliary
//! vector, waits on a lock with a limit, RDRAND, CPUID or the CPU's choice of float kernels. The double run
//! ([`crate::worker::check`]) shows the first five by their differences, the lints keep the limits out, and the last three
//! no run may use.
// tidy: allow os-rng in this file: the planted leaks and the tripwire name what they watch for

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod filter;
pub(crate) mod functions;
mod getrandom;
mod handler;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod names;
mod registers;

use std::{
    cell::Cell,
    fmt,
    os::fd::RawFd,
    sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, Ordering},
};

use crate::worker::{Kind, Slot};

/// Exit code of a worker whose run panicked.
pub(crate) const EXIT_PANIC: i32 = 13;
/// Exit code of a worker that hung.
pub(crate) const EXIT_HANG: i32 = 18;
/// Exit code of a worker that tripped the guard.
pub(crate) const EXIT_TRIP: i32 = 19;

/// What the guard does where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of draws from the host's entropy.
    pub os_rng: OsRng,
}

/// What becomes of a draw from the host's entropy by the raw system call, as getrandom 0.2 and so rand 0.8's `OsRng`
/// make it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum OsRng {
    /// It trips the guard: keys come from `Entropy`.
    #[default]
    Trap,
    /// It is answered from the seed, and counted.
    Allow,
}

/// Which tripwires are armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Armed {
    /// System calls.
    pub seccomp: bool,
    /// The time-stamp counter.
    pub tsc: bool,
    /// Library functions, the raw draw of entropy among them.
    pub functions: bool,
}

impl Armed {
    /// Every tripwire is armed.
    pub fn fully(self) -> bool {
        self.seccomp && self.tsc && self.functions
    }

    pub(crate) fn bits(self) -> u32 {
        u32::from(self.seccomp) | u32::from(self.tsc) << 1 | u32::from(self.functions) << 2
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self {
            seccomp: bits & 1 != 0,
            tsc: bits & 2 != 0,
            functions: bits & 4 != 0,
        }
    }
}

/// What a run did that no run may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trip {
    /// A system call.
    Syscall {
        /// Its number.
        number: i64,
        /// The path that it named, for those that open or look at a file.
        path: Option<String>,
    },
    /// A system call made while signals were blocked, so the worker could not say which or where.
    Unseen,
    /// It read the time-stamp counter, itself or in a clock of the vDSO.
    TimeStamp,
    /// It called a library function that asks the host.
    Function {
        /// The function and its argument.
        call: String,
    },
    /// It drew from the host's entropy.
    Entropy {
        /// Bytes.
        bytes: u64,
    },
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syscall { number, path } => {
                #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
                let name = names::of_syscall(*number);
                #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
                let name: Option<&str> = None;
                match name {
                    Some(name) => f.write_str(name)?,
                    None => write!(f, "system call {number}")?,
                }
                path.as_ref().map_or(Ok(()), |path| write!(f, "({path:?})"))
            }
            Self::Unseen => f.write_str("a system call made while signals were blocked"),
            Self::TimeStamp => f.write_str("time-stamp counter"),
            Self::Function { call } => f.write_str(call),
            Self::Entropy { bytes } => write!(f, "{bytes} bytes of the host's entropy"),
        }
    }
}

thread_local! {
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
}
static OS_RNG: AtomicU8 = AtomicU8::new(OsRng::Allow as u8);
static REPORT: AtomicI32 = AtomicI32::new(-1);
static SLOT: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

/// Makes a fresh worker ready: deadly signals are reported to `report` from now on.
pub(crate) fn prepare(report: RawFd, slot: &'static Slot) {
    REPORT.store(report, Ordering::Relaxed);
    SLOT.store(std::ptr::from_ref(slot).cast_mut(), Ordering::Relaxed);
    handler::install();
}

/// Arms the calling thread, for good.
pub(crate) fn arm(policy: Policy) -> Armed {
    OS_RNG.store(policy.os_rng as u8, Ordering::Relaxed);
    handler::give_stack();
    let functions = functions::are_linked();
    IS_ARMED.set(functions);
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    let (tsc, seccomp) = (filter::forbid_time_stamps(), filter::forbid_system_calls());
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    let (tsc, seccomp) = (false, false);
    Armed {
        seccomp,
        tsc,
        functions,
    }
}

/// Lets the calling thread call the library again: its run is over. The other tripwires stay.
pub(crate) fn disarm() {
    IS_ARMED.set(false);
}

/// The calling thread's number, 0 where it has none.
pub(crate) fn thread_number() -> i32 {
    #[cfg(target_os = "linux")]
    // SAFETY: asks for an integer.
    return unsafe { libc::gettid() };
    #[cfg(not(target_os = "linux"))]
    return 0;
}

/// Whether the calling thread is in an armed run.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn is_armed() -> bool {
    IS_ARMED.try_with(Cell::get).unwrap_or(false)
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn os_rng_is_trapped() -> bool {
    OS_RNG.load(Ordering::Relaxed) == OsRng::Trap as u8
}

/// The worker's part of the shared page.
fn slot() -> Option<&'static Slot> {
    // SAFETY: null, or a slot of the page that is never unmapped.
    unsafe { SLOT.load(Ordering::Relaxed).as_ref() }
}

/// Reports and ends the worker. It allocates nothing.
fn end(kind: Kind, number: i64, text: &[u8], frames: &[u64], code: i32) -> ! {
    crate::worker::report(REPORT.load(Ordering::Relaxed), kind, number, text, frames);
    // SAFETY: ends the process; nothing is left to be unsound.
    unsafe { libc::_exit(code) }
}
