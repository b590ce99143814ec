//! The exact score: the plainest form, in integers only, and a faster path that has to give the same bits.
//!
//! Source: `EXACT.md`, whose sections the modules name. `Qf` means a number times 2^f, as an integer.
//!
//! Modules in reading order: [`round`], [`tables`], [`import`], [`norm`], [`attention`], [`gelu`], [`loss`],
//! [`forward`], [`blocked`].

pub mod attention;
pub mod blocked;
pub mod forward;
pub mod gelu;
pub mod import;
pub mod loss;
pub mod norm;
pub mod round;
pub mod tables;

pub use forward::{ChunkScore, Path, Score, Stage, score, score_observed};
pub use import::Model;

/// A model that has no score. It loses to every model that has one.
///
/// Which of these it is depends on the order in which things are computed: it is for people, and must reach no digest, no message
/// and no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A weight is infinite, or no number.
    #[error("tensor {tensor} has an entry that is not finite")]
    NotFinite {
        /// The first such tensor.
        tensor: String,
    },
    /// A weight is larger than the format of its tensor.
    #[error("tensor {tensor} has an entry that is too large")]
    TooLarge {
        /// The first such tensor.
        tensor: String,
    },
    /// Something that was computed is larger than its format.
    #[error("an intermediate value leaves its range")]
    OutOfRange,
    /// The embedding is zero, which points nowhere.
    #[error("the embedding has no direction")]
    NoDirection,
}
