//! What a score is: how badly a model predicts some bytes, and where it sees them, as integers that are the same on
//! every machine.
//!
//! Not here: who competes and who is paid (`ledger`), where data and models come from (`blobs`), training, and any float but
//! those that carry integers.
//!
//! Invariants:
//! - A score is a function of the bytes of a model's file and the bytes of the data: of no thread, order or machine.
//! - What a position adds to a score follows from the bytes of its chunk up to it, and from no byte behind it.
//! - A model that leaves the range of the arithmetic is invalid, whichever check finds it first; it never gets a wrong
//!   number. No file and no data cause a panic.
//!
//! The arithmetic is `EXACT.md` in the folder of this crate, complete without this code.
//!
//! Modules in reading order: [`shape`], [`data`], [`file`](mod@file), [`random`], [`exact`], [`competition`].

pub mod competition;
pub mod data;
pub mod exact;
pub mod file;
pub mod random;
pub mod shape;

pub use competition::{Competition, Field, Judgement, NoWinner};
pub use data::{Chunk, Data, DataError};
pub use exact::{Invalid, Model, Path, Score, score};
pub use file::{FileError, Weights};
pub use shape::{Shape, ShapeError};
