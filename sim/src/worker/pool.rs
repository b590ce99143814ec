//! The parent: keeps workers running, watches them, and hands out their reports.

use std::{
    collections::BTreeMap,
    io::{PipeReader, Read, pipe},
    ops::ControlFlow,
    os::fd::AsFd,
    time::Duration,
};

use super::{
    Perturbation, Run, WorkerConfig, WorkerError, WorkerReport,
    board::{Beat, SLOTS, Slot},
    child,
    outcome::WorkerOutcome,
    process::{self, Fork, Interrupt, Pid, WallClock},
    wire,
};
use crate::{draw::Seed, guard::Armed};

/// How long a hung worker may take to say where it is.
const LAST_WORD: Duration = Duration::from_secs(2);
/// A silence on the wall is a hang when it lasts so many times as long as one in processor time would have to: the
/// worker waits for what does not come, or the host does not tell how much it has run.
const PATIENCE: u32 = 6;
/// Reports that may wait for an earlier one, for each job.
const WAITING: usize = 4;
const CHUNK: usize = 64 << 10;

/// A run to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Its seed.
    pub seed: Seed,
    /// What is changed about its process.
    pub perturbation: Option<Perturbation>,
}

impl From<Seed> for Assignment {
    fn from(seed: Seed) -> Self {
        Self {
            seed,
            perturbation: None,
        }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Reports that were handed out.
    pub reported: u64,
    /// Seeds that had been started and not handed out when the batch was stopped, by Ctrl-C or by the caller.
    pub in_flight: Vec<Seed>,
    /// Ctrl-C came.
    pub interrupted: bool,
}

/// What a batch tells while it runs.
#[derive(Clone, Debug)]
pub enum News<T> {
    /// Something came to its end.
    Ended(T),
    /// Nothing did; this is how far the living workers are. It comes some ten times a second.
    Running(InFlight),
}

/// How far living workers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// How many they are.
    pub workers: usize,
    /// Events of all of them.
    pub events: u64,
    /// The virtual time of the one that is furthest, in the unit that runs report.
    pub now: u64,
}

/// As [`run_watched`], without news of workers that still run.
pub fn run_many<J>(
    config: &WorkerConfig,
    assignments: impl IntoIterator<Item: Into<Assignment>>,
    job: impl Fn(Seed) -> J,
    mut on_report: impl FnMut(WorkerReport) -> ControlFlow<()>,
) -> Result<Batch, WorkerError>
where
    J: FnOnce(&Run<'_>) -> Vec<u8> + Send,
{
    run_watched(config, assignments, job, |news| match news {
        News::Ended(report) => on_report(report),
        News::Running(_) => ControlFlow::Continue(()),
    })
}

/// Runs every assignment in a worker of its own, `config.jobs` at a time, until they are done, Ctrl-C comes, or
/// `on_news` breaks. Workers that still run then are killed. Reports come in the order of the assignments: at most four
/// per job wait for an earlier one.
///
/// `job` is called in the worker, on a thread without the guard: it may open files. What it returns is the run itself,
/// called with the guard armed; its bytes come back as the result.
///
/// # Panics
///
/// Not in the parent: a panic of `job` is its worker's outcome.
pub fn run_watched<J>(
    config: &WorkerConfig,
    assignments: impl IntoIterator<Item: Into<Assignment>>,
    job: impl Fn(Seed) -> J,
    mut on_news: impl FnMut(News<WorkerReport>) -> ControlFlow<()>,
) -> Result<Batch, WorkerError>
where
    J: FnOnce(&Run<'_>) -> Vec<u8> + Send,
{
    if !(1..=SLOTS).contains(&config.jobs) {
        return Err(WorkerError::Jobs { jobs: config.jobs });
    }
    let interrupt = Interrupt::watch();
    let mut assignments = assignments.into_iter().map(Into::into).fuse();
    let mut workers: Vec<Worker> = Vec::with_capacity(config.jobs);
    let mut queue = Queue::new();
    let mut batch = Batch::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        while workers.len() < config.jobs && queue.has_room(config.jobs) {
            let Some(assignment) = assignments.next() else {
                break;
            };
            workers.push(Worker::start(config, assignment, queue.next(), &job)?);
        }
        batch.interrupted = interrupt.came();
        if workers.is_empty() || batch.interrupted {
            break;
        }
        for (index, report) in watch(&mut workers, config.hang_after, &mut chunk)? {
            queue.put(index, report);
        }
        while let Some(report) = queue.take() {
            batch.reported += 1;
            if on_news(News::Ended(report)).is_break() {
                batch.in_flight = queue.seeds(&workers);
                return Ok(batch);
            }
        }
        if on_news(News::Running(in_flight(&workers))).is_break() {
            break;
        }
    }
    batch.in_flight = queue.seeds(&workers);
    Ok(batch)
}

fn in_flight(workers: &[Worker]) -> InFlight {
    let beats = workers.iter().map(|worker| worker.slot.beat());
    beats.fold(InFlight::default(), |all, beat| InFlight {
        workers: all.workers + 1,
        events: all.events + beat.events,
        now: all.now.max(beat.now),
    })
}

/// Wall time per seed that the harness itself takes, measured over `seeds` empty runs, one at a time.
pub fn overhead(seeds: u32) -> Result<Duration, WorkerError> {
    let config = WorkerConfig::default();
    let empty = |_| |_: &Run<'_>| Vec::new();
    let start = WallClock::now();
    let all = (0..u64::from(seeds)).map(Seed::new);
    run_many(&config, all, empty, |_| ControlFlow::Continue(()))?;
    Ok(start.elapsed() / seeds.max(1))
}

/// Waits for news from a worker. Returns the reports of those that ended, which it takes out of `workers`.
fn watch(
    workers: &mut Vec<Worker>,
    hang_after: Duration,
    chunk: &mut [u8],
) -> Result<Vec<(u64, WorkerReport)>, WorkerError> {
    let tick = (hang_after / 4).clamp(Duration::from_millis(1), Duration::from_millis(100));
    let pipes: Vec<_> = workers.iter().map(|worker| worker.pipe.as_fd()).collect();
    let ready = process::readable(&pipes, tick).map_err(refused("to wait for a worker"))?;
    let mut ended = Vec::new();
    // From the last one, so that taking a worker out leaves the others where `ready` has them.
    for index in (0..workers.len()).rev() {
        if ready[index] && workers[index].hear(chunk)? {
            let worker = workers.swap_remove(index);
            ended.push((worker.index, worker.end()?));
        } else {
            workers[index].mind(hang_after);
        }
    }
    Ok(ended)
}

fn refused(what: &'static str) -> impl Fn(std::io::Error) -> WorkerError {
    move |source| WorkerError::Refused { what, source }
}

/// A living worker, as its parent sees it. Dropping it kills it.
struct Worker {
    assignment: Assignment,
    index: u64,
    pid: Pid,
    slot: &'static Slot,
    pipe: PipeReader,
    heard: Vec<u8>,
    started: WallClock,
    pulse: Pulse,
    waited_for: bool,
}

impl Worker {
    fn start<J>(
        config: &WorkerConfig,
        assignment: Assignment,
        index: u64,
        job: &impl Fn(Seed) -> J,
    ) -> Result<Self, WorkerError>
    where
        J: FnOnce(&Run<'_>) -> Vec<u8> + Send,
    {
        let (reader, writer) = pipe().map_err(refused("a pipe"))?;
        let slot = Slot::claim()?;
        let started = WallClock::now();
        // SAFETY: the child ends in `child::live`, which never returns, and waits for none of the parent's threads.
        match unsafe { process::fork() }.map_err(refused("a process"))? {
            Fork::Child => child::live(config, &assignment, slot, writer, job),
            Fork::Parent(pid) => Ok(Self {
                assignment,
                index,
                pid,
                slot,
                pipe: reader,
                heard: Vec::new(),
                started,
                pulse: Pulse::default(),
                waited_for: false,
            }),
        }
    }

    /// Reads what the worker has written. True when it has closed its end.
    fn hear(&mut self, chunk: &mut [u8]) -> Result<bool, WorkerError> {
        let count = self
            .pipe
            .read(chunk)
            .map_err(refused("to read a worker's report"))?;
        self.heard.extend_from_slice(&chunk[..count]);
        self.pulse.is_alive(self.started.elapsed());
        Ok(count == 0)
    }

    /// Ends the worker if its heart has stopped: first it is asked where it is.
    fn mind(&mut self, hang_after: Duration) {
        let now = self.started.elapsed();
        let silence = self.pulse.silence(now, self.slot.beat());
        if self.slot.is_hung() {
            if silence > LAST_WORD {
                process::signal(self.pid, 0, libc::SIGKILL);
            }
        } else if self
            .pulse
            .is_hang(silence, hang_after, || process::processor_time(self.pid))
        {
            self.slot.give_up();
            self.pulse.alive_at = now;
            process::signal(self.pid, self.slot.thread(), libc::SIGABRT);
        }
    }

    fn end(mut self) -> Result<WorkerReport, WorkerError> {
        let status = process::wait(self.pid).map_err(refused("to wait for a worker"))?;
        self.waited_for = true;
        let beat = self.slot.beat();
        Ok(WorkerReport {
            outcome: WorkerOutcome::new(wire::read(&self.heard), status, self.slot.is_hung(), beat),
            wall: self.started.elapsed(),
            armed: Armed::from_bits(self.slot.armed()),
            os_draws: self.slot.os_draws(),
            beat,
            assignment: self.assignment.clone(),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.waited_for {
            process::signal(self.pid, 0, libc::SIGKILL);
            let _ = process::wait(self.pid);
        }
        self.slot.release();
    }
}

/// When a worker was last seen alive.
#[derive(Clone, Copy, Debug, Default)]
struct Pulse {
    beat: Beat,
    /// Wall time since the worker's start.
    alive_at: Duration,
    /// The processor time that it had had when its silence was noticed.
    used: Option<Duration>,
}

impl Pulse {
    /// How long the worker has been silent at `now`, when its heartbeat is `beat`.
    fn silence(&mut self, now: Duration, beat: Beat) -> Duration {
        if beat != self.beat {
            self.beat = beat;
            self.is_alive(now);
        }
        now.saturating_sub(self.alive_at)
    }

    fn is_alive(&mut self, now: Duration) {
        self.alive_at = now;
        self.used = None;
    }

    /// Whether a `silence` is a hang. On a host that is busy it is none: the worker must have had `hang_after` of the
    /// processor in it, which `used` tells.
    fn is_hang(
        &mut self,
        silence: Duration,
        hang_after: Duration,
        used: impl FnOnce() -> Option<Duration>,
    ) -> bool {
        // Most workers are never silent for long, and asking the host for each of them takes time.
        if silence < hang_after / 8 {
            return false;
        }
        let had = used().map(|used| used.saturating_sub(*self.used.get_or_insert(used)));
        had.is_some_and(|had| had > hang_after) || silence > hang_after.saturating_mul(PATIENCE)
    }
}

/// Reports on their way out.
struct Queue {
    started: u64,
    handed_out: u64,
    ended: BTreeMap<u64, WorkerReport>,
}

impl Queue {
    fn new() -> Self {
        Self {
            started: 0,
            handed_out: 0,
            ended: BTreeMap::new(),
        }
    }

    fn has_room(&self, jobs: usize) -> bool {
        self.ended.len() < jobs * WAITING
    }

    /// The index of the next worker.
    fn next(&mut self) -> u64 {
        self.started += 1;
        self.started - 1
    }

    fn put(&mut self, index: u64, report: WorkerReport) {
        self.ended.insert(index, report);
    }

    fn take(&mut self) -> Option<WorkerReport> {
        let first = self.ended.first_entry()?;
        if *first.key() != self.handed_out {
            return None;
        }
        self.handed_out += 1;
        Some(first.remove())
    }

    /// The seeds that were started and not handed out, in the order of their starts.
    fn seeds(&self, workers: &[Worker]) -> Vec<Seed> {
        let living = workers
            .iter()
            .map(|worker| (worker.index, worker.assignment.seed));
        let ended = self
            .ended
            .iter()
            .map(|(index, report)| (*index, report.assignment.seed));
        let seeds: BTreeMap<u64, Seed> = living.chain(ended).collect();
        seeds.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_gets_no_processor_is_not_hung_for_long() {
        let seconds = Duration::from_secs;
        let mut pulse = Pulse::default();
        let mut hangs =
            |silence, used: Option<u64>| pulse.is_hang(seconds(silence), seconds(10), || used.map(seconds));
        let steps = [(2, Some(5)), (30, Some(6)), (40, Some(15)), (59, None)];
        for (silence, used) in steps {
            assert!(!hangs(silence, used), "{silence}");
        }
        assert!(hangs(41, Some(16)), "it had 11 s of the processor");
        assert!(hangs(61, Some(6)) && hangs(61, None), "it waits");
        pulse.silence(seconds(62), Beat { events: 1, now: 0 });
        assert_eq!(pulse.used, None);
    }

    #[test]
    fn only_a_heartbeat_that_stands_still_is_silence() {
        let mut pulse = Pulse::default();
        let beat = |events| Beat { events, now: 0 };
        let steps = [
            (0, 0, 0),
            (3, 0, 3),
            (4, 1, 0),
            (9, 1, 5),
            (10, 2, 0),
            (11, 3, 0),
            (20, 3, 9),
        ];
        for (now, events, silence) in steps {
            let found = pulse.silence(Duration::from_secs(now), beat(events));
            assert_eq!(found, Duration::from_secs(silence), "at {now}");
        }
    }
}
