//! The few system calls of the parent, each behind a safe function, and the only reader of the real clock.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use super::outcome::Status;

#[expect(
    clippy::disallowed_types,
    reason = "the parent measures the wall time that its workers must not read"
)]
/// The real clock. Only the parent reads it, and the command line.
pub type WallClock = std::time::Instant;

/// A process or thread number of the host.
pub(super) type Pid = libc::pid_t;

/// Which side of a fork this is.
pub(super) enum Fork {
    Child,
    Parent(Pid),
}

/// Forks this process.
///
/// # Safety
///
/// The child has this thread only. It must not wait for another one, and it must not return to what its caller would do
/// as the parent.
pub(super) unsafe fn fork() -> io::Result<Fork> {
    // SAFETY: what the child may do is the caller's promise.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Waits for the end of child `pid`, and returns how it ended.
pub(super) fn wait(pid: Pid) -> io::Result<Status> {
    let mut status = 0;
    loop {
        // SAFETY: the pointer is to a local that lives through the call.
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(if libc::WIFSIGNALED(status) {
        Status::Signaled(libc::WTERMSIG(status))
    } else {
        Status::Exited(libc::WEXITSTATUS(status))
    })
}

/// The processor time that child `pid` has had, where the host tells.
#[cfg(target_os = "linux")]
pub(super) fn processor_time(pid: Pid) -> Option<Duration> {
    let mut clock = 0;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // The library's function would ask madsim for the time.
    // SAFETY: the pointers are to locals that live through the calls.
    let told = unsafe {
        libc::clock_getcpuclockid(pid, &raw mut clock) == 0
            && libc::syscall(libc::SYS_clock_gettime, clock, &raw mut time) == 0
    };
    let (seconds, nanos) = (
        u64::try_from(time.tv_sec).ok()?,
        u32::try_from(time.tv_nsec).ok()?,
    );
    told.then(|| Duration::new(seconds, nanos))
}

/// The processor time that child `pid` has had: this host does not tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn processor_time(_pid: Pid) -> Option<Duration> {
    None
}

/// Sends `signal` to thread `thread` of child `pid`, or to the child when the thread is 0.
pub(super) fn signal(pid: Pid, thread: Pid, signal: libc::c_int) {
    #[cfg(target_os = "linux")]
    if thread != 0 {
        // SAFETY: three integers; a child that has not been waited for keeps its number.
        unsafe { libc::syscall(libc::SYS_tgkill, pid, thread, signal) };
        return;
    }
    let _ = thread;
    // SAFETY: two integers; a child that has not been waited for keeps its number.
    unsafe { libc::kill(pid, signal) };
}

/// Waits until one of `descriptors` can be read or has ended, at most `limit`. Returns one answer each.
pub(super) fn readable(descriptors: &[BorrowedFd<'_>], limit: Duration) -> io::Result<Vec<bool>> {
    let mut polled: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|descriptor| libc::pollfd {
            fd: descriptor.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let count = libc::nfds_t::try_from(polled.len()).expect("fewer descriptors than slots");
    let millis = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer and the count are of one vector that lives through the call.
    if unsafe { libc::poll(polled.as_mut_ptr(), count, millis) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok(vec![false; polled.len()]);
    }
    Ok(polled.iter().map(|polled| polled.revents != 0).collect())
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static WATCHERS: AtomicU32 = AtomicU32::new(0);

/// Notes Ctrl-C while it lives.
pub(super) struct Interrupt {
    before: libc::sigaction,
}

impl Interrupt {
    pub(super) fn watch() -> Self {
        extern "C" fn note(_signal: libc::c_int) {
            INTERRUPTED.store(true, Ordering::Relaxed);
        }
        // A watcher inside another one must not forget what the other one has yet to see.
        if WATCHERS.fetch_add(1, Ordering::Relaxed) == 0 {
            INTERRUPTED.store(false, Ordering::Relaxed);
        }
        // SAFETY: zero is a valid value of both structs; the handler stores to an atomic, which a handler may.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGINT, &raw const action, &raw mut before);
            Self { before }
        }
    }

    pub(super) fn came(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        WATCHERS.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: puts back the action that `watch` found.
        unsafe { libc::sigaction(libc::SIGINT, &raw const self.before, std::ptr::null_mut()) };
    }
}
