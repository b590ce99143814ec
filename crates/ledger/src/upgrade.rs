//! By which rules a state goes on, and which ones its validators want. What they come to is decided at the end of an `epoch`.

use types::{
    Address, Digest, Event, Failure, GenesisParams, ObjectId, ParamsError, ProtocolParams, ProtocolVersion,
    Rules, Shannons, System, UpgradeVote,
};

use crate::coins::Moved;
use crate::execute::Context;
use crate::overlay::Overlay;
use crate::stake::put;
use crate::validators::staying;

/// Why this program cannot go on. Its store stays as it is, for one that can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// It was built before they were made.
    #[error(
        "version {0} of the protocol is in force, which this program does not know: install a release that does, and start it \
         on the same store"
    )]
    Unknown(ProtocolVersion),
    /// It was built from other sources than those that were voted for.
    #[error(
        "this program's parameters of version {version} have the digest {own}, and {chain} was voted for: install the release \
         that has those, and start it on the same store"
    )]
    Others {
        /// The version that is in force.
        version: ProtocolVersion,
        /// The digest of what this program takes it for.
        own: Digest,
        /// The digest of what it is.
        chain: Digest,
    },
    /// They do not go with what this chain's genesis has fixed.
    #[error("version {0} of the protocol does not go with the genesis of this chain: {1}")]
    Fixed(ProtocolVersion, ParamsError),
}

/// The parameters that are in force, with what this chain's genesis has fixed laid over them.
///
/// # Errors
/// [`RulesError`]: the node stops.
pub fn in_force(system: &System, fixed: &GenesisParams) -> Result<ProtocolParams, RulesError> {
    let Rules { version, params } = system.rules;
    let plain = ProtocolParams::of(version).ok_or(RulesError::Unknown(version))?;
    let own = plain.digest();
    if own != params {
        return Err(RulesError::Others {
            version,
            own,
            chain: params,
        });
    }
    let laid = fixed.over(plain);
    laid.map_err(|error| RulesError::Fixed(version, error))
}

/// The rules that a validator of this chain can vote for with this program: it can run them itself.
///
/// # Errors
/// [`RulesError`].
pub fn known(version: ProtocolVersion, fixed: &GenesisParams) -> Result<Rules, RulesError> {
    let plain = ProtocolParams::of(version).ok_or(RulesError::Unknown(version))?;
    let laid = fixed.over(plain);
    laid.map_err(|error| RulesError::Fixed(version, error))?;
    Ok(Rules::of(&plain))
}

/// Says which rules the sender's validator wants. One that waits to come in has a say as soon as it has.
pub(crate) fn vote(
    overlay: &mut Overlay<'_>,
    context: &Context,
    sender: Address,
    id: ObjectId,
    rules: Option<Rules>,
) -> Result<Moved, Failure> {
    let (draft, mut validator) = staying(overlay, sender, id)?;
    let system = &context.system;
    let in_force = system.rules.version;
    if rules.is_some_and(|wanted| wanted.version <= in_force) {
        return Err(Failure::NotAnUpgrade(in_force));
    }
    if validator.vote.is_some_and(|vote| vote.epoch == system.epoch) {
        return Err(Failure::AlreadyVoted(id));
    }
    validator.vote = Some(UpgradeVote {
        rules,
        epoch: system.epoch,
    });
    put(overlay, id, draft, validator);
    overlay.tell(Event::UpgradeVoted { validator: id, rules });
    Ok(Moved::Whole(Shannons::ZERO))
}
