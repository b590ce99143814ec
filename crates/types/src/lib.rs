//! The nouns that two strangers share.
//!
//! Not here: what a transaction means (`ledger`), how blocks are ordered (`consensus`), anything that reads a
//! clock, a socket or a file.
//!
//! Invariants:
//! - Bytes from outside become values through [`decode()`] only: limited in size and depth, canonical, never a panic.
//! - A number that counts one thing cannot be used for another, and all arithmetic on amounts is checked.
//! - The voting power of a [`Committee`] is exactly 10,000.
//!
//! Modules in reading order: [`time`], [`peer`], [`counter`], [`amount`], [`id`], [`mod@decode`], [`committee`],
//! [`mod@voting_power`], [`certificate`], [`block`], [`commit`], [`object`], [`transaction`], [`effects`],
//! [`merkle`], [`checkpoint`], [`stake`], [`validator`], [`params`], [`upgrade`], [`score`].

pub mod amount;
pub mod block;
pub mod certificate;
pub mod checkpoint;
pub mod commit;
pub mod committee;
pub mod counter;
pub mod decode;
pub mod effects;
pub mod id;
pub mod merkle;
pub mod model;
pub mod object;
pub mod params;
pub mod peer;
pub mod score;
pub mod stake;
pub mod target;
pub mod time;
pub mod transaction;
pub mod upgrade;
pub mod validator;
pub mod voting_power;

pub use amount::{AmountError, Rounding, SOMA, Shannons};
pub use block::{BlockHeader, BlockRef, CommitRef, Equivocation, EquivocationError, SignedHeader, Slot};
pub use certificate::{Certificate, CertificateError, PowerAggregator};
pub use commit::Commit;
pub use committee::{Authority, Committee, CommitteeError};
pub use counter::{AuthorityIndex, CheckpointSequence, CommitIndex, Epoch, ProtocolVersion, Round, Version};
pub use crypto::{Address, Bitmap, Digest};
pub use decode::{Bounded, DecodeError, decode, encode, encoded_bytes};
pub use effects::{Change, Effects, Event, Failure, Fee, ObjectState, Status};
pub use id::{
    BlockDigest, ChainId, CheckpointDigest, CommitDigest, EffectsDigest, ObjectDigest, ObjectId,
    TransactionDigest,
};
pub use model::{
    Attestation, Custodian, Custody, Manifest, Model, ModelKey, Models, Offer, Rejection, Reveal, Stage,
    Weights,
};
pub use object::{Content, Object, ObjectRef, Owner, System};
pub use params::{GenesisParams, ParamsError, ProtocolParams};
pub use peer::PeerId;
pub use score::{Direction, Distance, Embedding, Loss, distance};
pub use stake::{Cohort, Joined, LEAST_STAKE, Left, Pool, Shares, Stake, StakedSoma};
pub use target::{
    Audit, AuditRound, Contender, Difficulty, Fill, Opening, Pace, Score, Seat, Target, Targets, Ticket,
    Verdict, receipt_id,
};
pub use time::{Mono, UnixMillis};
pub use transaction::{ObjectRefs, SignedTransaction, Transaction, TransactionError, TransactionKind};
pub use upgrade::{Rules, UpgradeVote};
pub use validator::{
    Economy, Line, LineError, Metadata, ProvedKeys, Staged, Standing, Validator, ValidatorKeys, Validators,
};
pub use voting_power::{VotingPower, voting_power};
