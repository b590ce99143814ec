//! How a worker ended.

use std::{fmt, time::Duration};

use super::{
    Assignment, Backtrace, Beat,
    wire::{Kind, Message},
};
use crate::guard::{Armed, Trip};

/// How a worker ended, and what it cost.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// What it was to run.
    pub assignment: Assignment,
    /// How it ended.
    pub outcome: WorkerOutcome,
    /// Wall time from fork to exit, measured by the parent.
    pub wall: Duration,
    /// Which tripwires were armed.
    pub armed: Armed,
    /// Draws from the host's entropy that [`crate::guard::OsRng::Allow`] answered from the seed.
    pub os_draws: u64,
    /// How far the run had come.
    pub beat: Beat,
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerOutcome {
    /// The run returned.
    Finished {
        /// What it returned.
        result: Vec<u8>,
    },
    /// The run panicked.
    Panicked {
        /// The panic's message and place.
        message: String,
        /// Where.
        backtrace: Backtrace,
    },
    /// No heartbeat for too long; the worker was ended.
    Hang {
        /// The last heartbeat.
        last_heartbeat: Beat,
        /// Where the run's thread was, unless it could not be asked.
        backtrace: Option<Backtrace>,
    },
    /// The run did what no run may.
    Tripped {
        /// What.
        what: Trip,
        /// Where.
        backtrace: Backtrace,
    },
    /// A signal ended it: a fault, an abort, or the host.
    Killed {
        /// The signal.
        signal: i32,
        /// Where, unless it could not be caught.
        backtrace: Option<Backtrace>,
    },
    /// It exited without a word, which only a bug of the harness explains.
    Exited {
        /// The exit code.
        code: i32,
    },
}

/// How the process itself ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Status {
    Exited(i32),
    Signaled(i32),
}

impl WorkerOutcome {
    pub(super) fn new(message: Option<Message>, status: Status, hung: bool, beat: Beat) -> Self {
        let Some(Message {
            kind,
            number,
            text,
            frames,
        }) = message
        else {
            return match status {
                _ if hung => Self::Hang {
                    last_heartbeat: beat,
                    backtrace: None,
                },
                Status::Exited(code) => Self::Exited { code },
                Status::Signaled(libc::SIGSYS) => Self::Tripped {
                    what: Trip::Unseen,
                    backtrace: Backtrace::new(Vec::new()),
                },
                Status::Signaled(signal) => Self::Killed {
                    signal,
                    backtrace: None,
                },
            };
        };
        let backtrace = Backtrace::new(frames);
        let lossy = |text: Vec<u8>| String::from_utf8_lossy(&text).into_owned();
        let what = match kind {
            Kind::Result => return Self::Finished { result: text },
            Kind::Panic => {
                return Self::Panicked {
                    message: lossy(text),
                    backtrace,
                };
            }
            Kind::Hang => {
                return Self::Hang {
                    last_heartbeat: beat,
                    backtrace: Some(backtrace),
                };
            }
            Kind::Signal => {
                return Self::Killed {
                    signal: i32::try_from(number).unwrap_or_default(),
                    backtrace: Some(backtrace),
                };
            }
            Kind::Syscall => Trip::Syscall {
                number,
                path: (!text.is_empty()).then(|| lossy(text)),
            },
            Kind::TimeStamp => Trip::TimeStamp,
            Kind::Function => Trip::Function { call: lossy(text) },
            Kind::Entropy => Trip::Entropy {
                bytes: number.unsigned_abs(),
            },
        };
        Self::Tripped { what, backtrace }
    }

    /// The process exit code of this outcome in the command line's table, `None` for a run that returned.
    pub fn exit_code(&self) -> Option<u8> {
        match self {
            Self::Finished { .. } => None,
            Self::Panicked { .. } | Self::Killed { .. } => Some(13),
            Self::Hang { .. } => Some(18),
            Self::Tripped { .. } => Some(19),
            Self::Exited { .. } => Some(1),
        }
    }

    /// Where it happened, if that is known.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        match self {
            Self::Finished { .. } | Self::Exited { .. } => None,
            Self::Panicked { backtrace, .. } | Self::Tripped { backtrace, .. } => Some(backtrace),
            Self::Hang { backtrace, .. } | Self::Killed { backtrace, .. } => backtrace.as_ref(),
        }
    }
}

impl fmt::Display for WorkerOutcome {
    /// One line, without the place: naming it reads debug information.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished { result } => write!(f, "finished with {} bytes", result.len()),
            Self::Panicked { message, .. } => write!(f, "panicked: {message}"),
            Self::Hang { last_heartbeat, .. } => {
                let Beat { events, now } = last_heartbeat;
                write!(f, "hung after {events} events, at virtual time {now}")
            }
            Self::Tripped { what, .. } => write!(f, "tripped the guard: {what}"),
            Self::Killed { signal, .. } => write!(f, "killed by signal {signal}"),
            Self::Exited { code } => write!(f, "exited with code {code} and no word"),
        }
    }
}
