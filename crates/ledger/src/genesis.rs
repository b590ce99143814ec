//! What a chain begins with: who has how much, and who is in the first committee.
//!
//! Everything follows from a [`Genesis`], which everybody can read and check: all the money there is, each shannon of it given to
//! somebody or to the emission pool. The digest of it is the chain's name, so nothing in it can name the chain, and the keys of the
//! first validators are proved for [no chain](UNNAMED).

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Bitmap, Digest};
use serde::{Deserialize, Serialize};
use types::{
    Address, AmountError, ChainId, Content, Economy, Epoch, Failure, GenesisParams, LEAST_STAKE, Manifest,
    Metadata, Model, Models, Object, ObjectId, Owner, Pace, ParamsError, Pool, ProtocolParams,
    ProtocolVersion, ProvedKeys, Reveal, Rules, Shannons, Stage, Standing, System, Targets,
    TransactionDigest, UnixMillis, Validator, Validators, Version, Weights, voting_power,
};

use crate::difficulty;
use crate::emission::{Emission, target_reward};
use crate::models;
use crate::pacing;
use crate::pool::{self, PoolError};

/// The chain for which the keys of the first validators are proved: theirs has no name yet.
pub const UNNAMED: ChainId = ChainId::new(Digest::ZERO);

/// All that is agreed on before a chain begins. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// The rules that it begins with.
    pub version: ProtocolVersion,
    /// What is fixed for good.
    pub params: GenesisParams,
    /// When the first epoch starts.
    pub started: UnixMillis,
    /// The first committee.
    pub founders: Vec<Founder>,
    /// Who competes in the first epoch.
    pub models: Vec<SeedModel>,
    /// Who has how much.
    pub schedule: Vec<Allocation>,
    /// What the emission pool has: all the rest, said so that nothing is left over by mistake.
    pub emission: Shannons,
}

/// A validator of the first committee. BCS: the fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founder {
    /// Its account.
    pub address: Address,
    /// Its keys, proved for [`UNNAMED`].
    pub keys: ProvedKeys,
    /// What it says of itself.
    pub metadata: Metadata,
    /// Its part of what its stakers earn, in ten-thousandths.
    pub commission_bps: u16,
}

/// A model that competes from the first epoch on. Nobody attests its weights: who agrees on the genesis does so. BCS: the fields in
/// order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedModel {
    /// Whose it is.
    pub owner: Address,
    /// The owner's part of what its stakers earn, in ten-thousandths.
    pub commission_bps: u16,
    /// The encrypted file.
    pub manifest: Manifest,
    /// What opens it, and what is in it.
    pub reveal: Reveal,
}

/// Who takes a stake of the schedule. BCS: the variants from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StakedWith {
    /// The founder with this account.
    Founder(Address),
    /// The seed model at this position, from 0.
    Model(u16),
}

/// A row of the schedule. BCS: the fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Whose it is.
    pub recipient: Address,
    /// How much.
    pub amount: Shannons,
    /// With whom it is staked; a coin where there is nobody.
    pub staked_with: Option<StakedWith>,
}

/// Why no chain begins like that. Whoever wrote it down has to correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// This program does not know the rules.
    #[error("version {0} of the protocol is unknown")]
    UnknownVersion(ProtocolVersion),
    /// A number that is fixed for good cannot be.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// Nobody, or more than a committee has room for.
    #[error("{0} founders, not between 1 and {max}", max = Bitmap::CAPACITY)]
    Founders(usize),
    /// An account, or one of the keys, is that of a founder before.
    #[error("the account or a key of founder {0} is another one's, or two of its keys are the same")]
    Shared(Address),
    /// The keys are not proved to be the account's.
    #[error("the keys of founder {0} are not proved")]
    InvalidProofOfPossession(Address),
    /// More than the highest commission.
    #[error("the commission of founder {0} is too high")]
    CommissionTooHigh(Address),
    /// It would not come in by its stake.
    #[error("founder {0} has too little stake to come in")]
    StakeTooLittle(Address),
    /// A row of the schedule gives nothing, or stakes less than can be staked.
    #[error("row {0} of the schedule is too little")]
    AmountTooLittle(usize),
    /// A row of the schedule stakes with nobody.
    #[error("row {0} of the schedule stakes with no founder, and no seed model")]
    NoPool(usize),
    /// More than can be active.
    #[error("{0} seed models, not at most {1}")]
    SeedModels(usize, u32),
    /// A seed model is none that an owner could have made.
    #[error("seed model {0}: {1}")]
    SeedModel(usize, Failure),
    /// Nobody could fetch a seed model's file.
    #[error("seed model {0} has no URL")]
    NoUrl(usize),
    /// The money is not all the money there is.
    #[error("{0} shannons are given away, and not the supply")]
    Supply(u128),
    /// A pool cannot take a stake. With the supply that there is, none does.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A part of the emission pool is more than all of it. No part is.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl Genesis {
    /// The name of the chain: `H(Genesis:: ‖ BCS)`.
    pub fn chain(&self) -> ChainId {
        ChainId::new(Digest::of_value("Genesis", self))
    }

    /// The objects that the chain begins with, each in its first version, and each once.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn objects(&self) -> Result<Vec<Object>, GenesisError> {
        let version = ProtocolParams::of(self.version).ok_or(GenesisError::UnknownVersion(self.version))?;
        let params = self.params.over(version)?;
        self.check_supply()?;
        let mut objects = New {
            digest: TransactionDigest::new(self.chain().get()),
            created: 0,
            objects: Vec::new(),
        };
        let mut validators = self.validators(&params, &mut objects)?;
        let mut models = self.models(&params, &mut objects)?;
        for (row, allocation) in self.schedule.iter().enumerate() {
            let content = allocation.content(row, &mut validators, &mut models)?;
            let id = objects.new_id();
            objects.put(id, Owner::Address(allocation.recipient), content);
        }
        let stakes: Vec<_> = validators
            .iter()
            .map(|(address, validator)| (*address, validator.pool.balance))
            .collect();
        let total: u128 = stakes.iter().map(|(_, stake)| u128::from(stake.get())).sum();
        let least = total * u128::from(params.join_power.get());
        for (address, stake) in &stakes {
            let suffices = *stake > Shannons::ZERO && u128::from(stake.get()) * 10_000 >= least;
            if !suffices {
                return Err(GenesisError::StakeTooLittle(*address));
            }
        }
        let ids = validators.values().map(|validator| validator.pool.id);
        let set = Validators {
            members: ids.zip(voting_power(&stakes)).collect(),
            ..Validators::default()
        };
        for validator in validators.into_values() {
            let id = validator.pool.id;
            for claim in validator.claims() {
                objects.put(claim, Owner::Shared, Content::Claim(id));
            }
            objects.put(id, Owner::Shared, Content::Validator(Box::new(validator)));
        }
        objects.put(Validators::ID, Owner::Shared, Content::Validators(set));
        let system = System {
            chain: self.chain(),
            epoch: Epoch::ZERO,
            rules: Rules::of(&version),
            started: self.started,
        };
        objects.put(System::ID, Owner::Shared, Content::System(system));
        let (targets, emission) = self.targets(&params)?;
        let economy = Economy {
            emission,
            fees: Shannons::ZERO,
            value_fee_bps: params.initial_value_fee_bps,
            is_safe_mode: false,
        };
        objects.put(Economy::ID, Owner::Shared, Content::Economy(economy));
        let all = Models {
            all: models.iter().map(|model| model.pool.id).collect(),
            undrawn: BTreeSet::new(),
        };
        objects.put(Models::ID, Owner::Shared, Content::Models(all));
        for (position, model) in models.into_iter().enumerate() {
            if model.pool.balance < params.model_min_stake {
                let failure = Failure::StakeTooLittle(params.model_min_stake);
                return Err(GenesisError::SeedModel(position, failure));
            }
            objects.put(model.pool.id, Owner::Shared, Content::Model(Box::new(model)));
        }
        objects.put(Targets::ID, Owner::Shared, Content::Targets(targets));
        Ok(objects.objects)
    }

    fn check_supply(&self) -> Result<(), GenesisError> {
        let given = self.schedule.iter().map(|allocation| allocation.amount);
        let all = given.chain([self.emission]);
        let sum: u128 = all.map(|amount| u128::from(amount.get())).sum();
        let is_supply = sum == u128::from(Shannons::SUPPLY.get());
        is_supply.then_some(()).ok_or(GenesisError::Supply(sum))
    }

    /// What the first epoch has for targets, which is nothing where nobody competes, and what the emission pool keeps.
    fn targets(&self, params: &ProtocolParams) -> Result<(Targets, Shannons), GenesisError> {
        let (mut budget, mut pace) = (Shannons::ZERO, Pace::default());
        if !self.models.is_empty() {
            let (emission, _) = Emission::draw(params, self.emission);
            let (count, rest) = emission.affords(target_reward(params));
            budget = emission.targets.checked_sub(rest)?;
            pace = pacing::begin(params, count);
        }
        let targets = Targets {
            budget,
            pace,
            difficulty: difficulty::first(params),
            hits: 0,
            undrawn: BTreeSet::new(),
        };
        Ok((targets, self.emission.checked_sub(budget)?))
    }

    /// The seed models without stake, in their order.
    fn models(&self, params: &ProtocolParams, objects: &mut New) -> Result<Vec<Model>, GenesisError> {
        let count = self.models.len();
        // More than that cannot be named.
        let most = params.max_active_models.min(u16::MAX.into());
        if u32::try_from(count).map_or(true, |count| count > most) {
            return Err(GenesisError::SeedModels(count, most));
        }
        let mut models = Vec::with_capacity(count);
        for (position, seed) in self.models.iter().enumerate() {
            if seed.manifest.url.as_str().is_empty() {
                return Err(GenesisError::NoUrl(position));
            }
            let is_right = models::check_commission(seed.commission_bps)
                .and_then(|()| models::check_size(params, seed.manifest.bytes))
                .and_then(|()| models::check_dimension(params, &seed.reveal.embedding));
            is_right.map_err(|failure| GenesisError::SeedModel(position, failure))?;
            models.push(Model {
                owner: seed.owner,
                architecture: params.model_architecture,
                commission_bps: seed.commission_bps,
                next_commission_bps: seed.commission_bps,
                pool: Pool::new(objects.new_id()),
                stage: Stage::Active {
                    weights: Weights {
                        manifest: seed.manifest.clone(),
                        reveal: seed.reveal.clone(),
                        since: Epoch::ZERO,
                    },
                    update: None,
                },
            });
        }
        Ok(models)
    }

    /// The founders as members without stake, by their accounts.
    fn validators(
        &self,
        params: &ProtocolParams,
        objects: &mut New,
    ) -> Result<BTreeMap<Address, Validator>, GenesisError> {
        let founders = self.founders.len();
        if !(1..=usize::from(Bitmap::CAPACITY)).contains(&founders) {
            return Err(GenesisError::Founders(founders));
        }
        let (mut validators, mut claims) = (BTreeMap::new(), BTreeSet::new());
        for founder in &self.founders {
            let address = founder.address;
            if founder.commission_bps > params.max_commission_bps {
                return Err(GenesisError::CommissionTooHigh(address));
            }
            let is_proved = founder.keys.verify(UNNAMED, address);
            is_proved.map_err(|_| GenesisError::InvalidProofOfPossession(address))?;
            let keys = founder.keys.keys.clone();
            let pool = Pool::new(objects.new_id());
            let metadata = founder.metadata.clone();
            let validator = Validator {
                standing: Standing::Member,
                signed_with: [(Epoch::ZERO, Some(keys.consensus.clone()))].into(),
                ..Validator::candidate(address, keys, metadata, founder.commission_bps, pool)
            };
            if !validator.claims().all(|claim| claims.insert(claim)) {
                return Err(GenesisError::Shared(address));
            }
            validators.insert(address, validator);
        }
        Ok(validators)
    }
}

impl Allocation {
    /// What its recipient has: a coin, or a receipt for stake that earns from the first epoch on.
    fn content(
        &self,
        row: usize,
        validators: &mut BTreeMap<Address, Validator>,
        models: &mut [Model],
    ) -> Result<Content, GenesisError> {
        let least = match self.staked_with {
            Some(_) => LEAST_STAKE,
            None => Shannons::new(1),
        };
        if self.amount < least {
            return Err(GenesisError::AmountTooLittle(row));
        }
        let pool = match self.staked_with {
            None => return Ok(Content::Coin(self.amount)),
            Some(StakedWith::Founder(founder)) => {
                validators.get_mut(&founder).map(|founder| &mut founder.pool)
            }
            Some(StakedWith::Model(position)) => {
                models.get_mut(usize::from(position)).map(|model| &mut model.pool)
            }
        };
        let pool = pool.ok_or(GenesisError::NoPool(row))?;
        let receipt = pool::restake(pool, self.amount)?;
        Ok(Content::StakedSoma(receipt))
    }
}

/// Objects in the making.
struct New {
    digest: TransactionDigest,
    created: u64,
    objects: Vec<Object>,
}

impl New {
    fn new_id(&mut self) -> ObjectId {
        let id = ObjectId::created(self.digest, self.created);
        self.created += 1;
        id
    }

    fn put(&mut self, id: ObjectId, owner: Owner, content: Content) {
        self.objects.push(Object {
            id,
            version: Version::new(1),
            owner,
            deposit: Shannons::ZERO,
            previous: self.digest,
            content,
        });
    }
}
