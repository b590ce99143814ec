//! What every contestant does: ten nodes, each of which sends a window of messages to each of the nine others, waits ten
//! virtual milliseconds, and does it again. One file for both packages, so that it is the same work.

use std::time::Duration;

/// Nodes.
pub const NODES: usize = 10;

/// The virtual time between two windows of a node.
pub const PERIOD: Duration = Duration::from_millis(10);

/// The one-way latency of a link: this, and up to as much again.
pub const LATENCY: Duration = Duration::from_micros(100);

/// How much of it is done.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Workload {
    /// Windows that each node sends to each other
    #[arg(long, default_value_t = 5_000)]
    pub windows: u32,
    /// Messages in a window
    #[arg(long, default_value_t = 1)]
    pub window: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
}

impl Workload {
    /// Messages that one node receives.
    pub fn per_node(&self) -> u64 {
        (NODES as u64 - 1) * u64::from(self.windows) * u64::from(self.window)
    }

    /// Messages that all nodes receive.
    pub fn deliveries(&self) -> u64 {
        NODES as u64 * self.per_node()
    }
}

/// Does the work, checks that every message was received, and prints what the bench reads: the seconds of processor time
/// of all threads. That time, unlike the wall's, does not count what else the machine does.
pub fn measure(workload: Workload, work: impl FnOnce(Workload) -> anyhow::Result<u64>) -> anyhow::Result<()> {
    let before = processor_time(libc::RUSAGE_SELF);
    let received = work(workload)?;
    let spent = processor_time(libc::RUSAGE_SELF) - before;
    let deliveries = workload.deliveries();
    anyhow::ensure!(
        received == deliveries,
        "{received} of {deliveries} messages were received"
    );
    println!("{}", spent.as_secs_f64());
    Ok(())
}

/// The processor time so far of all threads of this process (`RUSAGE_SELF`), or of its children that have ended.
pub fn processor_time(whose: libc::c_int) -> Duration {
    let (user, kernel) = processor_times(whose);
    user + kernel
}

/// The same, outside of the kernel and in it.
pub fn processor_times(whose: libc::c_int) -> (Duration, Duration) {
    // SAFETY: all zeroes is a `rusage`, and the pointer is to a local that lives through the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(whose, &raw mut usage);
        usage
    };
    let of = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).expect("a process has run for some seconds");
        let micros = u64::try_from(time.tv_usec).expect("and a part of a second");
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    (of(usage.ru_utime), of(usage.ru_stime))
}
