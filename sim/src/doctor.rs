//! Whether this host can keep a run's promise: what is armed, what is refused, and what the harness costs.
// tidy: allow os-rng in this file: the planted leaks and the tripwire name what they watch for

use std::{fmt, time::Duration};

use crate::{
    canary::{self, Verdict},
    draw::Seed,
    guard::{Armed, OsRng, Policy},
    worker::{self, Layout, Run, WorkerConfig, WorkerError, WorkerOutcome},
};

/// Empty runs that the overhead is measured over.
const EMPTY_RUNS: u32 = 200;

/// What was found.
#[derive(Clone, Debug)]
pub struct DoctorReport {
    /// The tripwires that a worker could arm.
    pub armed: Armed,
    /// The layout of this process, and of its workers.
    pub layout: Layout,
    /// A run's clock is virtual.
    pub clock: bool,
    /// A run's entropy is the seed's, by libc's `getrandom` and by the raw system call.
    pub entropy: bool,
    /// Wall time per seed that the harness takes.
    pub overhead: Duration,
    /// The planted leaks.
    pub canaries: Vec<canary::Report>,
}

/// Looks this host over. It forks: call it from a process with one thread.
pub fn report() -> Result<DoctorReport, WorkerError> {
    let config = WorkerConfig {
        guard: Some(Policy { os_rng: OsRng::Allow }),
        quiet: true,
        ..WorkerConfig::default()
    };
    let ran = |seed, probe: fn() -> Vec<u8>| {
        worker::run(&config, Seed::new(seed), |seed: Seed| {
            move |_: &Run<'_>| {
                let config = madsim::Config::default();
                madsim::runtime::Runtime::with_seed_and_config(seed.get(), config)
                    .block_on(async move { probe() })
            }
        })
    };
    let first = ran(1, entropy)?;
    let (again, other) = (ran(1, entropy)?.outcome, ran(2, entropy)?.outcome);
    let finished = matches!(first.outcome, WorkerOutcome::Finished { .. });
    Ok(DoctorReport {
        armed: first.armed,
        layout: worker::layout(),
        clock: ran(1, clock)?.outcome == WorkerOutcome::Finished { result: vec![1] },
        entropy: finished && first.outcome == again && first.outcome != other,
        overhead: worker::overhead(EMPTY_RUNS)?,
        canaries: canary::run_all()?,
    })
}

impl DoctorReport {
    /// Nothing that was tried was missed. What the host refuses is not a fault of the simulator: see
    /// [`DoctorReport::is_complete`].
    pub fn is_healthy(&self) -> bool {
        let caught = |report: &canary::Report| report.verdict != Verdict::Missed;
        self.clock && self.entropy && self.canaries.iter().all(caught)
    }

    /// Every tripwire is armed and the layout is fixed: this host can claim determinism.
    pub fn is_complete(&self) -> bool {
        self.is_healthy() && self.armed.fully() && self.layout == Layout::Fixed
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let works = |works| if works { "ok" } else { "BROKEN" };
        let armed = |armed| {
            if armed {
                "armed"
            } else {
                "NOT ARMED: refused by this host"
            }
        };
        let layout = match self.layout {
            Layout::Fixed => "fixed",
            Layout::Random => "RANDOM: refused by this host, or the program was not started again",
        };
        let lines = [
            ("cfg madsim", String::from("on")),
            ("fork", String::from("ok")),
            ("address layout", String::from(layout)),
            ("system calls", String::from(armed(self.armed.seccomp))),
            ("time-stamp counter", String::from(armed(self.armed.tsc))),
            ("library functions", String::from(armed(self.armed.functions))),
            ("virtual clock", String::from(works(self.clock))),
            ("seeded entropy", String::from(works(self.entropy))),
            (
                "overhead",
                format!("{:.2} ms per seed", self.overhead.as_secs_f64() * 1e3),
            ),
        ];
        for (name, value) in lines {
            writeln!(f, "{name:<20} {value}")?;
        }
        for report in &self.canaries {
            writeln!(f, "canary {report}")?;
        }
        if cfg!(not(feature = "canary")) {
            writeln!(
                f,
                "canary crates        NOT BUILT: `cargo xtask doctor` builds them"
            )?;
        }
        let determinism = match (self.is_healthy(), self.is_complete()) {
            (_, true) => "all that is known to break it is caught here",
            (true, false) => "PARTLY GUARDED: this host refuses what is marked above",
            (false, false) => "BROKEN: see above",
        };
        writeln!(f, "{:<20} {determinism}", "determinism")
    }
}

/// 1 if time stands still while a run computes.
fn clock() -> Vec<u8> {
    let now = || {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the answer goes to a local.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        (now.tv_sec, now.tv_nsec)
    };
    let start = now();
    let sum: u64 = (0..100_000).fold(0, |sum, next| std::hint::black_box(sum ^ next));
    vec![u8::from(now() == start && sum != 1)]
}

/// 16 bytes by each of the two ways to ask.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn entropy() -> Vec<u8> {
    let mut bytes = vec![0u8; 32];
    let (library, raw) = bytes.split_at_mut(16);
    // SAFETY: two buffers and their lengths.
    unsafe {
        libc::getrandom(library.as_mut_ptr().cast(), library.len(), 0);
        libc::syscall(libc::SYS_getrandom, raw.as_mut_ptr(), raw.len(), 0);
    }
    bytes
}

/// 16 bytes by the library. The raw system call is answered on x86-64 only.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn entropy() -> Vec<u8> {
    let mut bytes = vec![0u8; 16];
    // SAFETY: a buffer and its length.
    unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) };
    bytes
}
