//! What a committee votes on: every number of the protocol, by version.
//!
//! A node knows the parameters of the versions it was built with, and a vote for a version carries their [digest]. What a
//! chain fixed at its genesis is laid over each version anew, so an upgrade cannot undo it.
//!
//! Not here: what no version could change without a new program, such as the encoding of a signature, the power of a
//! quorum ([`VotingPower::QUORUM`]), the supply ([`Shannons::SUPPLY`]), the least stake ([`LEAST_STAKE`]) and the price of a
//! pool's first shares. Of the reference's own parameters there is no `execution_version` (the version says it), no window for a
//! rate of commits, no moving average of hits and no slash of a reported model (nothing reads them).
//!
//! [digest]: ProtocolParams::digest

use crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::score::MAX_DIM;
use crate::{LEAST_STAKE, ProtocolVersion, SOMA, Shannons, VotingPower};

/// The parameters of one version. BCS: the fields in order.
///
/// In the sources, `R` is the reference's value, `P` our `PROTOCOL.md` with its section, and `S` our own choice, whose
/// reason stands with it. `bps` are ten-thousandths, `billionths` those of a cosine distance, which is 0 to 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolParams {
    /// The version that these are the parameters of.
    pub version: ProtocolVersion,

    /// Milliseconds of commit time from an epoch's start until a commit is its last. R.
    pub epoch_duration_ms: u64,
    /// Votes that an upgrade needs beyond a quorum: this part of what a quorum leaves, in bps. R.
    pub upgrade_buffer_bps: u16,

    /// Leader slots of a round. P 3.
    pub leaders_per_round: u16,
    /// Rounds below the latest committed leader that can still be ordered. R.
    pub gc_depth_rounds: u32,
    /// Commits after which the leaders' reputation is weighed again. R.
    pub schedule_commits: u64,
    /// The most power that loses its leader slots for bad reputation. R: 30 %.
    pub swapped_power: VotingPower,
    /// Blocks of rounds that it divides carry a share of the beacon. P 3.
    pub beacon_stride_rounds: u32,
    /// The most bytes of a signed transaction. R.
    pub max_transaction_bytes: u32,
    /// The most transactions of a block. S: what consensus was measured with; R has 512.
    pub max_block_transactions: u32,
    /// The most bytes of all transactions of a block. S: what consensus was measured with; R has 512 KiB.
    pub max_block_bytes: u32,
    /// Transactions without a live gas coin that a whole committee may order in an epoch, each author its power's share.
    /// S: an author with 1 % still has one in nine seconds, by honest races, and all of them are 64 MB of rejects a day.
    pub epoch_rejects: u32,

    /// The least milliseconds of commit time between two checkpoints that are not full. P 8.
    pub checkpoint_interval_ms: u64,
    /// Transactions that fill a checkpoint. P 8.
    pub max_checkpoint_transactions: u32,
    /// The most bytes of a checkpoint's contents. R.
    pub max_checkpoint_bytes: u32,

    /// What each user transaction pays, failed or not. R.
    pub base_fee: Shannons,
    /// What each object pays that a transaction creates or mutates. R.
    pub write_fee: Shannons,
    /// What each byte pays: of a transaction, and of an object beyond [`free_object_bytes`](Self::free_object_bytes). S: a
    /// megabyte per second all day costs 864 SOMA, as much as 63 % of what is emitted, while a submission of 9 KiB whose
    /// target grows by 8 KiB pays 3 % of the submitter's half of the reward.
    pub byte_fee: Shannons,
    /// Bytes of an object that are stored for nothing. P 2.
    pub free_object_bytes: u32,
    /// The part of the storage fee that comes back on deletion, in bps. P 2: half.
    pub storage_refund_bps: u16,
    /// The value fee of the first epoch, in bps. R.
    pub initial_value_fee_bps: u16,
    /// The lowest value fee, in bps. R.
    pub min_value_fee_bps: u16,
    /// The highest value fee, in bps. R.
    pub max_value_fee_bps: u16,
    /// The most that the value fee changes in an epoch, in bps of itself, and 1 bps at least. R.
    pub fee_adjustment_bps: u16,
    /// Fees of an epoch that leave the value fee as it is. R.
    pub wanted_epoch_fees: Shannons,

    /// What leaves the emission pool in an epoch at most. R.
    pub epoch_emission: Shannons,
    /// The part of the emission that is the target budget, in bps; validators get the rest. P 5.
    pub target_emission_bps: u16,

    /// Targets that a day's budget pays for, and the hits per epoch that difficulty aims at. R.
    pub wanted_epoch_hits: u32,
    /// Open targets that are wanted at any time. R: as many as an epoch starts with.
    pub wanted_open_targets: u32,
    /// The distance threshold of the first epoch, in billionths. R: 1.05.
    pub initial_distance_billionths: u32,
    /// The lowest distance threshold, in billionths. S: 0.8, nine deviations below a random distance. R has 0.95, which one
    /// random vector of 86 passes: 0.9 data per second, each tried at 100 targets, and the threshold could not follow.
    pub min_distance_billionths: u32,
    /// The highest distance threshold, in billionths. R: 2.
    pub max_distance_billionths: u32,
    /// The standard deviation of the distance of random vectors, in billionths: the root of 1 / dimension. The threshold
    /// changes by one of it per epoch at most. R: 0.022.
    pub distance_sigma_billionths: u32,
    /// The part of its error that the threshold makes good in an epoch at first, in bps. S: a half, so that a rate four
    /// times as steep as expected still comes to rest; R has all of it, and no slope.
    pub difficulty_gain_bps: u16,

    /// Numbers of an embedding. R.
    pub embedding_dim: u32,
    /// Models that compete for a target. R.
    pub models_per_target: u16,
    /// Nearest models from which a target's are drawn, per model that is drawn. P 7.
    pub choice_models: u16,
    /// The least part of all active models' stake that those hold from which is drawn, in bps. P 7.
    pub choice_stake_bps: u16,

    /// The most bytes of submitted data. P 7.
    pub max_submission_bytes: u32,
    /// What a submission's bond has per byte, beside its target's reward. R.
    pub bond_byte_fee: Shannons,
    /// Milliseconds of commit time before a ticket can be opened. P 7.
    pub ticket_age_ms: u64,
    /// What a ticket loses that is not opened in its epoch. S: 1.6 % of the submitter's half of a reward. Whoever loses a
    /// race can bear it; to hold a ticket of every target of a day costs 8.64 SOMA.
    pub ticket_fee: Shannons,
    /// Epochs from the fill of a target to its claim. P 5.
    pub claim_epochs: u64,
    /// Epochs more before somebody else may claim it. P 5.
    pub finder_epochs: u64,
    /// The submitter's part of the reward, in bps; the model gets the rest. P 5.
    pub submitter_reward_bps: u16,
    /// The part of a reward that goes to somebody else who claims it, in bps. P 5.
    pub finder_fee_bps: u16,

    /// Seats of an audit. P 7.
    pub audit_seats: u16,
    /// What an opening that contradicts an escalated outcome takes from the own pool, in bps. P 7.
    pub false_verdict_slash_bps: u16,

    /// Models that may be active. P 6.
    pub max_active_models: u32,
    /// The least stake of a model. R.
    pub model_min_stake: Shannons,
    /// The architecture that models have. R.
    pub model_architecture: u32,
    /// Bytes of the weights of the architecture. R: 1,209,684,232 numbers of 32 bits.
    pub model_weight_bytes: u64,
    /// Bytes that a model's file may have beside its weights. P 6.
    pub max_model_header_bytes: u32,
    /// What a commit pays to those who take its model into custody. P 6.
    pub reveal_fee: Shannons,
    /// Validators that take a model into custody. P 6.
    pub custodians: u16,
    /// What a model loses of its pool that is not revealed, in bps. R.
    pub reveal_slash_bps: u16,

    /// Epochs from a withdrawal's boundary to its payment. P 5.
    pub unbonding_epochs: u64,

    /// The least first stake of a validator. S: so that nobody fills the ends of epochs with candidates, of which there are ten
    /// thousand at most; R has none.
    pub validator_min_stake: Shannons,
    /// The least power, before the cap, with which a validator joins. R.
    pub join_power: VotingPower,
    /// The power, before the cap, below which a validator is at risk. R.
    pub low_power: VotingPower,
    /// The power, before the cap, below which a validator leaves at once. R.
    pub very_low_power: VotingPower,
    /// Epochs that a validator may be at risk, R, and that one may wait for the power to join. S: R lets it wait for ever.
    pub low_power_epochs: u64,
    /// The commission of a validator that has not set one, in bps. R.
    pub initial_commission_bps: u16,
    /// The highest commission, in bps. R.
    pub max_commission_bps: u16,
    /// What a validator that a quorum reports loses of its epoch's reward, in bps. R.
    pub report_reward_slash_bps: u16,
    /// What an equivocation takes from the pool, in bps. P 5.
    pub equivocation_slash_bps: u16,
    /// Epochs for which evidence of an equivocation is accepted. P 5.
    pub evidence_epochs: u64,
}

impl ProtocolParams {
    /// The parameters of a version, as they are where genesis fixes nothing else. `None` where this program does not know
    /// the version: a node that needs it stops.
    pub const fn of(version: ProtocolVersion) -> Option<Self> {
        match version.get() {
            1 => Some(Self::V1),
            _ => None,
        }
    }

    const V1: Self = Self {
        version: ProtocolVersion::new(1),
        epoch_duration_ms: 24 * 60 * 60 * 1_000,
        upgrade_buffer_bps: 5_000,
        leaders_per_round: 2,
        gc_depth_rounds: 60,
        schedule_commits: 300,
        swapped_power: VotingPower::new(3_000),
        beacon_stride_rounds: 32,
        max_transaction_bytes: 256 << 10,
        max_block_transactions: 2_048,
        max_block_bytes: 1 << 20,
        epoch_rejects: 1_000_000,
        checkpoint_interval_ms: 200,
        max_checkpoint_transactions: 20_000,
        max_checkpoint_bytes: 30 << 20,
        base_fee: Shannons::new(1_000),
        write_fee: Shannons::new(300),
        byte_fee: Shannons::new(10),
        free_object_bytes: 256,
        storage_refund_bps: 5_000,
        initial_value_fee_bps: 10,
        min_value_fee_bps: 1,
        max_value_fee_bps: 50,
        fee_adjustment_bps: 1_250,
        wanted_epoch_fees: SOMA,
        epoch_emission: Shannons::new(1_370 * SOMA.get()),
        target_emission_bps: 8_000,
        wanted_epoch_hits: 86_400,
        wanted_open_targets: 100,
        initial_distance_billionths: 1_050_000_000,
        min_distance_billionths: 800_000_000,
        max_distance_billionths: 2_000_000_000,
        distance_sigma_billionths: 22_000_000,
        difficulty_gain_bps: 5_000,
        embedding_dim: 2_048,
        models_per_target: 3,
        choice_models: 4,
        choice_stake_bps: 500,
        max_submission_bytes: 16 << 10,
        bond_byte_fee: Shannons::new(65),
        ticket_age_ms: 2_000,
        ticket_fee: Shannons::new(100_000),
        claim_epochs: 2,
        finder_epochs: 1,
        submitter_reward_bps: 5_000,
        finder_fee_bps: 50,
        audit_seats: 16,
        false_verdict_slash_bps: 100,
        max_active_models: 1_024,
        model_min_stake: SOMA,
        model_architecture: 1,
        model_weight_bytes: 4_838_736_928,
        max_model_header_bytes: 1 << 20,
        reveal_fee: SOMA,
        custodians: 8,
        reveal_slash_bps: 5_000,
        unbonding_epochs: 3,
        validator_min_stake: Shannons::new(1_000 * SOMA.get()),
        join_power: VotingPower::new(12),
        low_power: VotingPower::new(8),
        very_low_power: VotingPower::new(4),
        low_power_epochs: 7,
        initial_commission_bps: 10,
        max_commission_bps: 10_000,
        report_reward_slash_bps: 5_000,
        equivocation_slash_bps: 500,
        evidence_epochs: 3,
    };

    /// What votes for an upgrade carry: two nodes with the same digest have the same parameters.
    pub fn digest(&self) -> Digest {
        Digest::of_value("ProtocolParams", self)
    }

    /// Checks what the types do not. Rules may rely on it: no division by one of these numbers is one by zero.
    ///
    /// # Errors
    /// [`ParamsError`], naming the first parameter that is out of its range.
    pub fn check(&self) -> Result<(), ParamsError> {
        let ranges = [self.sizes(), self.money(), self.game(), self.stake()];
        for (parameter, value, low, high) in ranges.into_iter().flatten() {
            if !(low..=high).contains(&value) {
                return Err(ParamsError {
                    parameter,
                    value,
                    low,
                    high,
                });
            }
        }
        Ok(())
    }

    /// Time, consensus and checkpoints.
    fn sizes(&self) -> Vec<Range> {
        vec![
            ("version", self.version.get(), 1, MAX),
            // Sums of such times, and products with 10,000, stay far below 2^64.
            ("epoch_duration_ms", self.epoch_duration_ms, 1, YEAR_MS),
            ("upgrade_buffer_bps", self.upgrade_buffer_bps.into(), 0, BPS),
            ("leaders_per_round", self.leaders_per_round.into(), 1, MAX),
            // The clocks of a leader's parents are read after a restart as well.
            ("gc_depth_rounds", self.gc_depth_rounds.into(), 2, MAX),
            ("schedule_commits", self.schedule_commits, 1, MAX),
            // More than a third, and the honest could lose all their slots.
            (
                "swapped_power",
                power(self.swapped_power),
                0,
                power(VotingPower::VALIDITY) - 1,
            ),
            ("beacon_stride_rounds", self.beacon_stride_rounds.into(), 1, MAX),
            ("max_transaction_bytes", self.max_transaction_bytes.into(), 1, MAX),
            (
                "max_block_transactions",
                self.max_block_transactions.into(),
                1,
                MAX,
            ),
            // A transaction and its length fit into a block.
            (
                "max_block_bytes",
                self.max_block_bytes.into(),
                u64::from(self.max_transaction_bytes) + 4,
                MAX,
            ),
            (
                "checkpoint_interval_ms",
                self.checkpoint_interval_ms,
                0,
                self.epoch_duration_ms,
            ),
            (
                "max_checkpoint_transactions",
                self.max_checkpoint_transactions.into(),
                1,
                MAX,
            ),
            ("max_checkpoint_bytes", self.max_checkpoint_bytes.into(), 1, MAX),
        ]
    }

    /// Fees and emission.
    fn money(&self) -> Vec<Range> {
        let (low, high) = (self.min_value_fee_bps.into(), self.max_value_fee_bps.into());
        let budget = u128::from(self.epoch_emission.get()) * u128::from(self.target_emission_bps) / 10_000;
        vec![
            // The fees of one transaction stay below 2^64 shannons.
            ("base_fee", self.base_fee.get(), 1, SOMA.get()),
            ("write_fee", self.write_fee.get(), 0, SOMA.get()),
            ("byte_fee", self.byte_fee.get(), 0, SOMA.get()),
            // Nothing is deposited for a coin: what pays can be merged and used up without a rest.
            (
                "free_object_bytes",
                self.free_object_bytes.into(),
                crate::Object::COIN_BYTES.into(),
                u32::MAX.into(),
            ),
            ("storage_refund_bps", self.storage_refund_bps.into(), 0, BPS),
            ("min_value_fee_bps", low, 0, high),
            ("max_value_fee_bps", high, low, BPS),
            (
                "initial_value_fee_bps",
                self.initial_value_fee_bps.into(),
                low,
                high,
            ),
            ("fee_adjustment_bps", self.fee_adjustment_bps.into(), 0, BPS),
            ("wanted_epoch_fees", self.wanted_epoch_fees.get(), 1, SUPPLY),
            ("epoch_emission", self.epoch_emission.get(), 1, SUPPLY),
            ("target_emission_bps", self.target_emission_bps.into(), 0, BPS),
            // Each target has a shannon of reward at least.
            (
                "wanted_epoch_hits",
                self.wanted_epoch_hits.into(),
                1,
                u64::try_from(budget).unwrap_or(MAX).max(1),
            ),
            ("bond_byte_fee", self.bond_byte_fee.get(), 0, SOMA.get()),
            ("ticket_fee", self.ticket_fee.get(), 0, SUPPLY),
            ("submitter_reward_bps", self.submitter_reward_bps.into(), 0, BPS),
            ("finder_fee_bps", self.finder_fee_bps.into(), 0, BPS),
            ("reveal_fee", self.reveal_fee.get(), 0, SUPPLY),
        ]
    }

    /// Targets, submissions, audits and models.
    fn game(&self) -> Vec<Range> {
        let (low, high) = (
            self.min_distance_billionths.into(),
            self.max_distance_billionths.into(),
        );
        let initial = self.initial_distance_billionths.into();
        vec![
            ("wanted_open_targets", self.wanted_open_targets.into(), 1, MAX),
            ("min_distance_billionths", low, 0, high),
            ("max_distance_billionths", high, low, 2 * BILLION),
            ("initial_distance_billionths", initial, low, high),
            // The threshold's steps are in proportion to it: at zero it would be stuck.
            (
                "distance_sigma_billionths",
                self.distance_sigma_billionths.into(),
                1_000,
                BILLION,
            ),
            ("difficulty_gain_bps", self.difficulty_gain_bps.into(), 1, BPS),
            // A target has a direction: no commit could spawn one of more dimensions.
            ("embedding_dim", self.embedding_dim.into(), 1, MAX_DIM as u64),
            (
                "models_per_target",
                self.models_per_target.into(),
                1,
                self.max_active_models.into(),
            ),
            ("choice_models", self.choice_models.into(), 1, MAX),
            ("choice_stake_bps", self.choice_stake_bps.into(), 0, BPS),
            // What is submitted is stored elsewhere, but a bond has to be a sum of money.
            (
                "max_submission_bytes",
                self.max_submission_bytes.into(),
                1,
                1 << 30,
            ),
            ("ticket_age_ms", self.ticket_age_ms, 0, self.epoch_duration_ms),
            // Audits settle at the end of the epoch after the fill at the earliest.
            ("claim_epochs", self.claim_epochs, 2, EPOCHS),
            ("finder_epochs", self.finder_epochs, 0, EPOCHS),
            ("audit_seats", self.audit_seats.into(), 1, MAX),
            (
                "false_verdict_slash_bps",
                self.false_verdict_slash_bps.into(),
                0,
                BPS,
            ),
            ("max_active_models", self.max_active_models.into(), 1, 1 << 16),
            // With what stands before it, the file can be sealed.
            ("model_weight_bytes", self.model_weight_bytes, 1, 1 << 50),
            ("custodians", self.custodians.into(), 1, MAX),
            ("reveal_slash_bps", self.reveal_slash_bps.into(), 0, BPS),
        ]
    }

    /// Stake and the set of validators.
    fn stake(&self) -> Vec<Range> {
        let (join, low) = (power(self.join_power), power(self.low_power));
        vec![
            // A model can be created with the least stake there is.
            (
                "model_min_stake",
                self.model_min_stake.get(),
                LEAST_STAKE.get(),
                SUPPLY,
            ),
            ("unbonding_epochs", self.unbonding_epochs, 0, EPOCHS),
            (
                "validator_min_stake",
                self.validator_min_stake.get(),
                LEAST_STAKE.get(),
                SUPPLY,
            ),
            // Who joins is not at risk, and who is at risk does not leave at once.
            ("join_power", join, low, BPS),
            ("very_low_power", power(self.very_low_power), 0, low),
            ("low_power_epochs", self.low_power_epochs, 0, EPOCHS),
            (
                "initial_commission_bps",
                self.initial_commission_bps.into(),
                0,
                self.max_commission_bps.into(),
            ),
            ("max_commission_bps", self.max_commission_bps.into(), 0, BPS),
            (
                "report_reward_slash_bps",
                self.report_reward_slash_bps.into(),
                0,
                BPS,
            ),
            (
                "equivocation_slash_bps",
                self.equivocation_slash_bps.into(),
                0,
                BPS,
            ),
            // What was withdrawn is slashable for as long as evidence is accepted.
            ("evidence_epochs", self.evidence_epochs, 0, self.unbonding_epochs),
        ]
    }
}

/// A parameter, its value, and the least and the most it may be.
type Range = (&'static str, u64, u64, u64);

const MAX: u64 = u64::MAX;
const BPS: u64 = 10_000;
const BILLION: u64 = 1_000_000_000;
const SUPPLY: u64 = Shannons::SUPPLY.get();
const YEAR_MS: u64 = 366 * 24 * 60 * 60 * 1_000;
/// Of epochs that are waited for: more would be a wait for ever.
const EPOCHS: u64 = 10_000;

fn power(power: VotingPower) -> u64 {
    power.get().into()
}

/// A parameter that no chain can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameter `{parameter}` is {value}, and has to be between {low} and {high}")]
pub struct ParamsError {
    /// Which.
    pub parameter: &'static str,
    /// Its value.
    pub value: u64,
    /// The least it may be.
    pub low: u64,
    /// The most it may be.
    pub high: u64,
}

/// What a chain's genesis fixes for good, whatever version follows. BCS: the fields in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenesisParams {
    /// Instead of [`ProtocolParams::epoch_duration_ms`].
    pub epoch_duration_ms: Option<u64>,
    /// Instead of [`ProtocolParams::epoch_emission`].
    pub epoch_emission: Option<Shannons>,
    /// Instead of [`ProtocolParams::wanted_epoch_hits`].
    pub wanted_epoch_hits: Option<u32>,
    /// Instead of [`ProtocolParams::embedding_dim`]; the deviation of distances should follow it.
    pub embedding_dim: Option<u32>,
    /// Instead of [`ProtocolParams::model_weight_bytes`].
    pub model_weight_bytes: Option<u64>,
    /// Instead of [`ProtocolParams::distance_sigma_billionths`].
    pub distance_sigma_billionths: Option<u32>,
    /// Instead of [`ProtocolParams::min_distance_billionths`].
    pub min_distance_billionths: Option<u32>,
}

impl GenesisParams {
    /// The parameters that a version has on this chain: at genesis, and at every upgrade. They hold from the first
    /// transaction of an epoch on; what closes an epoch goes by those that it had.
    ///
    /// # Errors
    /// [`ParamsError`] where what is fixed cannot be.
    pub fn over(&self, version: ProtocolParams) -> Result<ProtocolParams, ParamsError> {
        let params = ProtocolParams {
            epoch_duration_ms: self.epoch_duration_ms.unwrap_or(version.epoch_duration_ms),
            epoch_emission: self.epoch_emission.unwrap_or(version.epoch_emission),
            wanted_epoch_hits: self.wanted_epoch_hits.unwrap_or(version.wanted_epoch_hits),
            embedding_dim: self.embedding_dim.unwrap_or(version.embedding_dim),
            model_weight_bytes: self.model_weight_bytes.unwrap_or(version.model_weight_bytes),
            distance_sigma_billionths: self
                .distance_sigma_billionths
                .unwrap_or(version.distance_sigma_billionths),
            min_distance_billionths: self
                .min_distance_billionths
                .unwrap_or(version.min_distance_billionths),
            ..version
        };
        params.check().map(|()| params)
    }
}

#[cfg(test)]
mod tests;
