//! The worker: from the fork to its exit.
// tidy: allow std-env in this file: the planted leaks and the tripwire name what they watch for

use std::{
    fs::File,
    hint::black_box,
    io::PipeWriter,
    mem,
    os::fd::{AsRawFd, RawFd},
    panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind},
    sync::{Mutex, PoisonError},
    thread,
};

use super::{
    Assignment, Run, WorkerConfig,
    backtrace::Frames,
    board::{Heartbeat, Slot},
    layout,
    wire::{self, Kind},
};
use crate::{draw::Seed, guard};

/// The worker's life. Its report is written when it ends.
pub(super) fn live<J>(
    config: &WorkerConfig,
    assignment: &Assignment,
    slot: &'static Slot,
    report: PipeWriter,
    job: &impl Fn(Seed) -> J,
) -> !
where
    J: FnOnce(&Run<'_>) -> Vec<u8> + Send,
{
    let descriptor = report.as_raw_fd();
    panic::set_hook(Box::new(note_panic));
    let result = catch_unwind(AssertUnwindSafe(|| {
        detach(config, descriptor);
        let perturbation = assignment.perturbation.as_ref();
        set_environment(perturbation.map_or(&[], |perturbation| &perturbation.environment));
        layout::settle(perturbation.map_or(0, |perturbation| perturbation.shift));
        guard::prepare(descriptor, slot);
        if perturbation.is_some_and(|perturbation| perturbation.history) {
            drop(run_on_a_thread(config, assignment, slot, job(assignment.seed)));
        }
        run_on_a_thread(config, assignment, slot, job(assignment.seed))
    }));
    let code = match result {
        Ok(result) => {
            wire::write(descriptor, Kind::Result, 0, &result, &[]);
            0
        }
        Err(_) => {
            let last = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (message, frames) = last.unwrap_or_default();
            wire::write(descriptor, Kind::Panic, 0, message.as_bytes(), &frames);
            guard::EXIT_PANIC
        }
    };
    exit(code)
}

/// Ends the process without its destructors, which belong to the parent.
fn exit(code: i32) -> ! {
    // SAFETY: ends the process; nothing is left to be unsound.
    unsafe { libc::_exit(code) }
}

/// Makes the run, on a thread of its own: its thread-locals are new, std's hasher keys among them.
fn run_on_a_thread<J>(config: &WorkerConfig, assignment: &Assignment, slot: &'static Slot, run: J) -> Vec<u8>
where
    J: FnOnce(&Run<'_>) -> Vec<u8> + Send,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "the run's own thread, which nothing runs beside"
    )]
    let result = thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(config.stack)
            .spawn_scoped(scope, || run_here(config, assignment, slot, run))
            .expect("the host has a thread for the run")
            .join()
    });
    match result {
        Ok(result) => result,
        Err(payload) => panic::resume_unwind(payload),
    }
}

fn run_here<J>(config: &WorkerConfig, assignment: &Assignment, slot: &'static Slot, run: J) -> Vec<u8>
where
    J: FnOnce(&Run<'_>) -> Vec<u8>,
{
    slot.set_thread(guard::thread_number());
    settle_heap();
    let perturbation = assignment.perturbation.as_ref();
    let padding = perturbation.map(|perturbation| {
        if let Some(key) = perturbation.hasher_key {
            // The first runtime of a thread sets the keys of its `RandomState`, for good.
            drop(madsim::runtime::Runtime::with_seed_and_config(
                key,
                madsim::Config::default(),
            ));
        }
        pad_heap(perturbation.alloc_padding)
    });
    let armed = config.guard.map(guard::arm).unwrap_or_default();
    slot.set_armed(armed.bits());
    let run_context = Run {
        seed: assignment.seed,
        heartbeat: Heartbeat(slot),
        perturbation,
    };
    let offset = perturbation.map_or(0, |perturbation| perturbation.stack_offset);
    let result = deeper(offset, || run(&run_context));
    guard::disarm();
    drop(padding);
    assert!(
        result.len() <= config.max_result,
        "a result of {} bytes is within the limit of {}",
        result.len(),
        config.max_result
    );
    result
}

/// Cuts the worker off from the parent's files and terminal, and bounds it.
fn detach(config: &WorkerConfig, report: RawFd) {
    let limits = [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_DATA, config.max_memory)];
    for (resource, limit) in limits {
        let limit = libc::rlimit {
            rlim_cur: limit,
            rlim_max: limit,
        };
        // SAFETY: the pointer is to a local that lives through the call.
        unsafe { libc::setrlimit(resource, &raw const limit) };
    }
    // SAFETY: integers; the parent, not the terminal, decides when its workers end, and they end with it.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_IGN);
        #[cfg(target_os = "linux")]
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let replaced = if config.quiet { 0..3 } else { 0..1 };
        for descriptor in replaced {
            // SAFETY: integers; the standard streams' numbers stay open, so what holds them stays valid.
            unsafe { libc::dup2(null.as_raw_fd(), descriptor) };
        }
    }
    close_range(3, report - 1);
    close_range(report + 1, RawFd::MAX);
}

/// Closes the descriptors of `first..=last`: they are the parent's.
fn close_range(first: RawFd, last: RawFd) {
    if first > last {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        let (from, to) = (first.cast_unsigned(), last.cast_unsigned());
        // SAFETY: integers; what owns these descriptors is the parent's and is never used or dropped here.
        if unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) } == 0 {
            return;
        }
    }
    for descriptor in first..=last.min(1 << 12) {
        // SAFETY: as above.
        unsafe { libc::close(descriptor) };
    }
}

fn set_environment(variables: &[(String, String)]) {
    let inherited: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in inherited {
        // SAFETY: the worker has one thread until the run's starts.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in variables {
        // SAFETY: as above.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Makes the thread's heap its own.
///
/// glibc reads a file of /proc the first time that it shrinks a heap, so one is grown and shrunk. When it shrinks one
/// follows from the largest blocks that the parent has freed, unless it is told. And what the thread has freed so far came
/// from the parent's heap, whose addresses depend on what the parent did before: the thread's cache of it is used up. At
/// last the heap is as large as most runs need: left alone it grows by a page at a time, each a system call.
fn settle_heap() {
    const BLOCK: usize = 100 << 10;
    bound_heap(128 << 10);
    let blocks: Vec<Vec<u8>> = (0..8).map(|_| Vec::with_capacity(BLOCK)).collect();
    drop(black_box(blocks));
    bound_heap(32 << 20);
    for size in (8..1040).step_by(16) {
        for _ in 0..3 {
            mem::forget(black_box(Vec::<u8>::with_capacity(size)));
        }
    }
    drop(black_box(Vec::<u8>::with_capacity(24 << 20)));
}

/// Blocks of more bytes are mapped alone, and as many free bytes at the end of a heap are given back.
fn bound_heap(bytes: i32) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: integers.
        unsafe { libc::mallopt(parameter, bytes) };
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = bytes;
}

fn pad_heap(blocks: usize) -> Vec<Vec<u8>> {
    (0..blocks)
        .map(|index| Vec::with_capacity(16 + index * 40 % 2000))
        .collect()
}

/// Calls `run` with about `offset` more bytes of stack in use.
fn deeper<T>(offset: usize, run: impl FnOnce() -> T) -> T {
    let mut run = Some(run);
    let mut result = None;
    descend(offset, &mut || result = run.take().map(|run| run()));
    result.expect("descend calls once")
}

#[inline(never)]
fn descend(offset: usize, run: &mut dyn FnMut()) {
    const STEP: usize = 256;
    let mut ballast = [0u8; STEP];
    black_box(&mut ballast);
    match offset.checked_sub(STEP) {
        Some(rest) => descend(rest, run),
        None => run(),
    }
    black_box(&mut ballast);
}

/// The last panic's message and place: when the run unwinds, the one that it unwinds from.
static LAST_PANIC: Mutex<Option<(String, Vec<u64>)>> = Mutex::new(None);

fn note_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a value that is no text");
    let message = match info.location() {
        Some(location) => format!("{message} ({location})"),
        None => String::from(message),
    };
    let frames = Frames::take().as_slice().to_vec();
    *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some((message, frames));
}
