//! How the owner of a member talks to it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{Refused, Status};
use env::sync::{mpsc, oneshot, watch};

use crate::consensus::metrics::{Metrics, Snapshot};

/// Submits payloads and reads figures. Cloning gives another handle on the same member.
#[derive(Clone, Debug)]
pub struct Handle {
    submissions: mpsc::Sender<Submission>,
    status: watch::Receiver<Status>,
    metrics: Arc<Metrics>,
}

/// The member's end.
#[derive(Debug)]
pub struct Port {
    pub(crate) submissions: mpsc::Receiver<Submission>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) metrics: Arc<Metrics>,
}

/// A payload on its way to the machine.
#[derive(Debug)]
pub(crate) struct Submission {
    pub payload: Bytes,
    /// Whether the machine has queued it, for who wants to know.
    pub result: Option<oneshot::Sender<Result<(), Refused>>>,
}

/// Why a payload was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too many wait already: try again after so long.
    #[error("too many payloads wait already; try again in {retry:?}")]
    Busy {
        /// After how long there may be room.
        retry: Duration,
    },
    /// It is not for this epoch's rules.
    #[error(transparent)]
    Refused(Refused),
    /// The member has ended, or is beginning again and does not know of the payload.
    #[error("the member has ended or begins again")]
    Gone,
}

/// A block takes so long to go out under load, and takes what waits with it.
const RETRY: Duration = Duration::from_millis(50);

impl Port {
    /// A port and its handle, with room for so many payloads on their way to the machine.
    ///
    /// # Panics
    /// When there is no room at all.
    pub fn new(room: usize) -> (Handle, Self) {
        let (sender, submissions) = mpsc::channel(room);
        let status = watch::Sender::new(Status::default());
        let metrics = Arc::new(Metrics::default());
        let handle = Handle {
            submissions: sender,
            status: status.subscribe(),
            metrics: Arc::clone(&metrics),
        };
        let port = Self {
            submissions,
            status,
            metrics,
        };
        (handle, port)
    }
}

impl Handle {
    /// Hands a payload over and waits until the machine has queued it for the member's next block. Whether it is ordered,
    /// only the commits tell: a member that crashes forgets what it had queued. Dropping the future may leave it queued.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(&self, payload: Bytes) -> Result<(), SubmitError> {
        let (result, answer) = oneshot::channel();
        let result = Some(result);
        self.send(Submission { payload, result })?;
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Refused::Busy { .. })) => Err(SubmitError::Busy { retry: RETRY }),
            Ok(Err(refused)) => Err(SubmitError::Refused(refused)),
            Err(_) => Err(SubmitError::Gone),
        }
    }

    /// Hands a payload over without waiting for more. `Ok` says that it is on its way to the machine, which may refuse it.
    ///
    /// # Errors
    /// [`SubmitError::Busy`], [`SubmitError::Gone`].
    pub fn try_submit(&self, payload: Bytes) -> Result<(), SubmitError> {
        let result = None;
        self.send(Submission { payload, result })
    }

    fn send(&self, submission: Submission) -> Result<(), SubmitError> {
        self.submissions
            .try_send(submission)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => SubmitError::Busy { retry: RETRY },
                mpsc::error::TrySendError::Closed(_) => SubmitError::Gone,
            })
    }

    /// The machine's last word on itself.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// What has been counted so far.
    pub fn metrics(&self) -> Snapshot {
        self.metrics.snapshot()
    }
}
