//! What people ask for: mostly what makes sense, sometimes what does not.

use crypto::segments::sealed_length;
use crypto::{Digest, Verified};
use ledger::Live;
use types::{
    Bounded, Content, Line, Manifest, ObjectId, ObjectRef, Owner, Shannons, Target, Transaction,
    TransactionKind, Validator,
};

use crate::kit::{Chain, Draw, account, keys, signed, soma};
use crate::made::{SALT, byte, data, everybody, evidence, number, score, shown};
use crate::stray::spoil;

pub struct Driver {
    pub chain: Chain,
    pub draw: Draw,
}

impl Driver {
    pub fn owned(&self, by: u8, is_meant: impl Fn(&Content) -> bool) -> Vec<ObjectRef> {
        let owner = Owner::Address(account(by));
        let state = self.chain.state.iter().map(|live| (live, live.object()));
        let own = state.filter(|(_, object)| object.owner == owner && is_meant(&object.content));
        own.map(|(live, _)| live.reference()).collect()
    }

    pub fn coins(&self, by: u8) -> Vec<ObjectRef> {
        self.owned(by, |content| matches!(content, Content::Coin(_)))
    }

    pub fn richest(&self, by: u8) -> Option<ObjectRef> {
        let held = |coin: &ObjectRef| self.chain.model.coins[&coin.id].1;
        self.coins(by).into_iter().max_by_key(held)
    }

    pub fn validators(&self) -> Vec<(ObjectId, Box<Validator>)> {
        let all = self
            .chain
            .state
            .iter()
            .filter_map(|live| match &live.object().content {
                Content::Validator(validator) => Some((live.object().id, validator.clone())),
                _ => None,
            });
        all.collect()
    }

    pub fn models(&self) -> Vec<(ObjectId, Box<types::Model>)> {
        let all = self
            .chain
            .state
            .iter()
            .filter_map(|live| match &live.object().content {
                Content::Model(model) => Some((live.object().id, model.clone())),
                _ => None,
            });
        all.collect()
    }

    pub fn targets(&self) -> Vec<(ObjectId, Box<Target>)> {
        let all = self
            .chain
            .state
            .iter()
            .filter_map(|live| match &live.object().content {
                Content::Target(target) => Some((live.object().id, target.clone())),
                _ => None,
            });
        all.collect()
    }

    fn amount(&mut self) -> Option<Shannons> {
        match self.draw.below(12) {
            0 => Some(Shannons::new(1 + self.draw.below(2_000_000_000))),
            1 => Some(Shannons::new(self.draw.next() >> 3)),
            2 => None,
            3 => Some(soma(1_000 + self.draw.below(20_000))),
            _ => Some(Shannons::new(1_000_000_000 + self.draw.below(9_000_000_000_000))),
        }
    }

    fn coin_or_gas(&mut self, by: u8, gas: ObjectRef) -> ObjectRef {
        if self.draw.one_in(12) {
            let all: Vec<ObjectRef> = self.chain.live(|_| true).iter().map(Live::reference).collect();
            return self.draw.pick(&all).unwrap();
        }
        let coins = self.coins(by);
        if self.draw.one_in(3) {
            self.draw.pick(&coins).unwrap_or(gas)
        } else {
            gas
        }
    }

    /// Something that this account asks for.
    fn wish(&mut self, by: u8, gas: ObjectRef) -> Option<TransactionKind> {
        let coin = self.coin_or_gas(by, gas);
        let amount = self.amount();
        let to = self.draw.pick(&everybody())?;
        let epoch = self.chain.system().epoch.get();
        let (validators, models, targets) = (self.validators(), self.models(), self.targets());
        let own = validators
            .iter()
            .rfind(|(_, validator)| validator.address == account(by))
            .map(|(id, _)| *id);
        let validator = self.draw.pick(&validators)?.0;
        let own = own.filter(|_| !self.draw.one_in(8)).unwrap_or(validator);
        let own_models: Vec<_> = models
            .iter()
            .filter(|(_, model)| model.owner == account(by))
            .cloned()
            .collect();
        let own_models = if self.draw.one_in(10) {
            models.clone()
        } else {
            own_models
        };
        let bps = u16::try_from(self.draw.below(10_500)).unwrap();
        Some(match self.draw.below(40) {
            0 | 1 => TransactionKind::TransferCoin {
                coin,
                amount,
                recipient: account(to),
            },
            2 => {
                let mut coins = self.coins(by);
                coins.truncate(1 + usize::try_from(self.draw.below(3)).unwrap());
                let paid: Vec<Shannons> = (0..2).filter_map(|_| self.amount()).collect();
                let recipients = paid.iter().map(|_| account(to)).collect();
                TransactionKind::PayCoins {
                    coins: Bounded::new(coins).unwrap(),
                    amounts: Some(Bounded::new(paid).unwrap()),
                    recipients: Bounded::new(recipients).unwrap(),
                }
            }
            3 => TransactionKind::PayCoins {
                coins: Bounded::new(vec![coin]).unwrap(),
                amounts: None,
                recipients: Bounded::new(vec![account(to)]).unwrap(),
            },
            4 => {
                let owned = self.owned(by, |_| true);
                let object = self.draw.pick(&owned)?;
                TransactionKind::TransferObjects {
                    objects: Bounded::new(vec![object]).unwrap(),
                    recipient: account(to),
                }
            }
            5..=8 => TransactionKind::AddStake {
                validator,
                coin,
                amount,
            },
            9..=13 => {
                let receipts = self.owned(by, |content| matches!(content, Content::StakedSoma(_)));
                let stake = self
                    .draw
                    .pick(&receipts)
                    .filter(|_| !self.draw.one_in(15))
                    .unwrap_or(coin);
                let pool = match self.chain.content(stake.id) {
                    Content::StakedSoma(staked) if !self.draw.one_in(15) => staked.pool,
                    _ => validator,
                };
                let part = self.draw.one_in(2);
                TransactionKind::WithdrawStake {
                    validator: pool,
                    stake,
                    amount: amount.filter(|_| part),
                }
            }
            14 | 15 => TransactionKind::AddValidator {
                keys: Box::new(keys(
                    self.chain.system().chain,
                    if bps % 9 == 0 { to } else { by },
                    by,
                )),
                metadata: Box::default(),
                commission_bps: Some(bps).filter(|_| self.draw.one_in(2)),
                coin,
                amount,
            },
            16 if by != 23 => TransactionKind::RemoveValidator { validator: own },
            17 | 18 => TransactionKind::ReportValidator {
                validator: own,
                reported: validators[0].0,
            },
            19 => TransactionKind::UndoReportValidator {
                validator: own,
                reported: validator,
            },
            20 => TransactionKind::UpdateValidatorMetadata {
                validator: own,
                name: Line::try_from(bps.to_string()).ok(),
                network_address: None,
                proxy_address: None,
                keys: self
                    .draw
                    .one_in(3)
                    .then(|| Box::new(keys(self.chain.system().chain, by, by + 10))),
            },
            21 => TransactionKind::SetCommissionRate {
                validator: own,
                commission_bps: bps,
            },
            22 => {
                let accused = validators.iter().find(|(id, _)| *id == validator)?.1.address;
                let keyed = number(&everybody(), accused).filter(|keyed| *keyed != 23)?;
                let ago = epoch.saturating_sub(self.draw.below(6));
                let keyed = if self.draw.one_in(6) { keyed + 1 } else { keyed };
                TransactionKind::ReportEquivocation {
                    validator,
                    evidence: evidence(self.chain.system().chain, keyed, ago),
                }
            }
            23 | 24 => TransactionKind::CreateModel {
                architecture: if self.draw.one_in(12) {
                    2
                } else {
                    self.chain.params.model_architecture
                },
                commission_bps: bps,
                coin,
                amount,
            },
            25 => {
                let model = self.draw.pick(&own_models)?.0;
                self.offer(model, by, coin)
            }
            26 => {
                let model = self.draw.pick(&own_models)?.0;
                let at = epoch.saturating_sub(self.draw.below(3));
                TransactionKind::RevealModel {
                    model,
                    reveal: Box::new(shown(model, at)),
                }
            }
            27 => {
                let model = self.draw.pick(&own_models)?.0;
                TransactionKind::SetModelCommissionRate {
                    model,
                    commission_bps: bps,
                }
            }
            28 if self.draw.one_in(3) => TransactionKind::DeactivateModel {
                model: self.draw.pick(&own_models)?.0,
            },
            28..=30 => TransactionKind::AddStakeToModel {
                model: self.draw.pick(&models)?.0,
                coin,
                amount,
            },
            31 | 32 => {
                let (id, target) = self.draw.pick(&targets)?;
                self.purchase(by, id, &target, coin)
            }
            33..=35 => {
                let tickets = self.owned(by, |content| matches!(content, Content::Ticket(_)));
                let ticket = self.draw.pick(&tickets)?;
                let is_wrong = self.draw.one_in(16);
                self.open(ticket, &targets, is_wrong)?
            }
            36 => {
                let tickets = self.owned(by, |content| matches!(content, Content::Ticket(_)));
                TransactionKind::ReturnTicket {
                    ticket: self.draw.pick(&tickets).unwrap_or(coin),
                }
            }
            _ => TransactionKind::ClaimRewards {
                target: self.draw.pick(&targets)?.0,
            },
        })
    }

    pub fn offer(&mut self, model: ObjectId, by: u8, coin: ObjectRef) -> TransactionKind {
        let epoch = self.chain.system().epoch;
        let least = sealed_length(self.chain.params.model_weight_bytes);
        TransactionKind::CommitModel {
            model,
            manifest: Box::new(Manifest {
                url: Line::try_from("https://a.example/model".to_owned()).unwrap(),
                checksum: Digest::of(b"file"),
                bytes: least + 1_000 - if self.draw.one_in(20) { 2_000 } else { 0 },
            }),
            commitment: shown(model, epoch.get()).commitment(model, account(by), epoch),
            coin,
        }
    }

    pub fn purchase(&mut self, by: u8, id: ObjectId, target: &Target, coin: ObjectRef) -> TransactionKind {
        let reward = u64::try_from(self.chain.model.whole_reward()).unwrap();
        let bond = reward - reward / 20 + self.draw.below(reward / 4);
        let score = score(id, target);
        TransactionKind::CommitSubmission {
            target: id,
            commitment: score.commitment(account(by), id, data(id).checksum, SALT),
            bond: Shannons::new(if self.draw.one_in(4) {
                bond
            } else {
                bond + reward / 8
            }),
            coin,
        }
    }

    pub fn open(
        &self,
        ticket: ObjectRef,
        targets: &[(ObjectId, Box<Target>)],
        is_wrong: bool,
    ) -> Option<TransactionKind> {
        let Content::Ticket(bought) = self.chain.content(ticket.id) else {
            return None;
        };
        let meant = targets.iter().find(|(id, _)| (*id == bought.target) != is_wrong);
        let (id, target) = meant?;
        Some(TransactionKind::SubmitData {
            target: *id,
            ticket,
            data: Box::new(data(*id)),
            score: Box::new(score(*id, target)),
            salt: if byte(ticket.id, 13).is_multiple_of(8) {
                [8; 32]
            } else {
                SALT
            },
        })
    }

    pub fn transaction(
        &self,
        gas: Vec<ObjectRef>,
        by: u8,
        kind: TransactionKind,
    ) -> Option<Verified<Transaction>> {
        let transaction = Transaction {
            chain: self.chain.system().chain,
            expiry: kind.is_duty().then(|| self.chain.system().epoch),
            sender: account(by),
            gas: Bounded::new(gas).unwrap(),
            kind,
        };
        Some(signed(by, transaction))
    }

    /// A few wishes of different accounts, or of one twice.
    pub fn wishes(&mut self) -> Vec<Verified<Transaction>> {
        let mut all = Vec::new();
        for _ in 0..6 {
            let by = self.draw.pick(&everybody()).unwrap();
            let Some(gas) = self.richest(by) else { continue };
            let Some(mut kind) = self.wish(by, gas) else {
                continue;
            };
            if self.draw.one_in(6) {
                spoil(self, &mut kind);
            }
            let mut coins = vec![gas];
            let own = self.owned(by, |_| true);
            if self.draw.one_in(8) {
                coins.extend(self.draw.pick(&own));
            }
            if self.draw.one_in(30) {
                coins = self
                    .coins(by)
                    .into_iter()
                    .min_by_key(|coin| self.chain.model.coins[&coin.id].1)
                    .into_iter()
                    .collect();
            }
            all.extend(self.transaction(coins, by, kind));
        }
        all
    }
}
