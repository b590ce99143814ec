//! Which models compete for a target.
//!
//! Near ones, so that a model can be good at something; and among those by stake, linearly, so that nobody gains by splitting it
//! (W-H9). The nearest are taken until they are enough of them and hold enough of all stake, so that the few that happen to be
//! nearest are not the whole choice.

use types::{Contender, Content, Direction, Distance, Models, ObjectId, ProtocolParams, distance};

use crate::draw::Draws;
use crate::end::NoState;
use crate::state::Objects;

/// A model that may be chosen.
struct Competitor {
    contender: Contender,
    embedding: Direction,
    stake: u64,
}

/// All of them, ascending by id.
pub(crate) struct Competitors(Vec<Competitor>);

impl Competitors {
    /// Those that are active now.
    pub fn new(objects: &impl Objects) -> Result<Self, NoState> {
        let models = objects.get(&Models::ID).ok_or(NoState(Models::ID))?;
        let Content::Models(models) = &models.object().content else {
            return Err(NoState(Models::ID));
        };
        let mut all = Vec::new();
        for id in &models.all {
            let live = objects.get(id).ok_or(NoState(*id))?;
            let Content::Model(model) = &live.object().content else {
                return Err(NoState(*id));
            };
            if let Some(weights) = model.weights() {
                all.push(Competitor {
                    contender: Contender {
                        model: *id,
                        owner: model.owner,
                        weights: weights.reveal.weights,
                    },
                    embedding: weights.reveal.embedding.clone(),
                    stake: model.pool.balance.get(),
                });
            }
        }
        Ok(Self(all))
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that compete for a target, in the order in which they are drawn. A model of another dimension than the target,
    /// which an upgrade can leave behind, is never near.
    pub fn choose(&self, params: &ProtocolParams, target: &Direction, draws: &mut Draws) -> Vec<Contender> {
        let far = |competitor: &Competitor| distance(&competitor.embedding, target);
        let mut near: Vec<(Distance, ObjectId, &Competitor)> = self
            .0
            .iter()
            .filter_map(|competitor| Some((far(competitor).ok()?, competitor.contender.model, competitor)))
            .collect();
        near.sort_unstable_by_key(|(distance, id, _)| (*distance, *id));
        let all: u128 = near
            .iter()
            .map(|(.., competitor)| u128::from(competitor.stake))
            .sum();
        let (count, mut held) = (
            usize::from(params.choice_models) * usize::from(params.models_per_target),
            0,
        );
        let mut candidates = Vec::new();
        for (.., competitor) in near {
            let is_covered = held * 10_000 >= all * u128::from(params.choice_stake_bps);
            if candidates.len() >= count && is_covered {
                break;
            }
            held += u128::from(competitor.stake);
            candidates.push((competitor.contender, competitor.stake));
        }
        draws.weighted(&candidates, params.models_per_target.into())
    }
}

#[cfg(test)]
mod tests {
    use crypto::Digest;
    use types::{Address, ProtocolVersion};

    use super::*;
    use crate::draw::Domain;

    fn params() -> ProtocolParams {
        ProtocolParams {
            models_per_target: 2,
            choice_models: 2,
            ..ProtocolParams::of(ProtocolVersion::new(1)).unwrap()
        }
    }

    /// Models whose angles to the target grow with their numbers, with these stakes.
    fn competitors(stakes: &[u64]) -> Competitors {
        let competitor = |(number, stake): (u8, &u64)| Competitor {
            contender: Contender {
                model: ObjectId::from_low(100 - number),
                owner: Address::new([0; 32]),
                weights: Digest::ZERO,
            },
            embedding: Direction::new(vec![1 << 18, i32::from(number) << 10]).unwrap(),
            stake: *stake,
        };
        Competitors((0..).zip(stakes).map(competitor).collect())
    }

    /// Who is ever chosen, by number.
    fn chosen(stakes: &[u64]) -> Vec<u8> {
        let (competitors, target) = (competitors(stakes), Direction::new(vec![1 << 18, 0]).unwrap());
        let mut chosen = std::collections::BTreeSet::new();
        for seed in 0..200u8 {
            let mut draws = Draws::new(Domain::TargetModels, &Digest::of(&[seed]), b"target");
            let contenders = competitors.choose(&params(), &target, &mut draws);
            assert_eq!(contenders.len(), 2.min(stakes.len()));
            let numbers = contenders.iter().map(|contender| {
                let number = (0..=100).find(|number| ObjectId::from_low(100 - number) == contender.model);
                number.unwrap()
            });
            chosen.extend(numbers);
        }
        chosen.into_iter().collect()
    }

    #[test]
    fn the_nearest_compete_that_are_enough_and_hold_enough() {
        assert!(chosen(&[]).is_empty());
        assert_eq!(chosen(&[5]), [0]);
        assert_eq!(chosen(&[10; 9]), [0, 1, 2, 3]);
        // Four hold less than one in twenty; with the next two it is enough.
        assert_eq!(
            chosen(&[10, 10, 10, 10, 100, 900, 9_000, 9_000]),
            [0, 1, 2, 3, 4, 5]
        );
        // Exactly one in twenty is enough.
        assert_eq!(chosen(&[10, 10, 10, 20, 950]), [0, 1, 2, 3]);
    }

    #[test]
    fn w_h9_a_model_is_chosen_in_proportion_to_its_stake() {
        let (competitors, target) = (
            competitors(&[300, 100]),
            Direction::new(vec![1 << 18, 0]).unwrap(),
        );
        let one = ProtocolParams {
            models_per_target: 1,
            ..params()
        };
        let first = (0..4_000u16).filter(|seed| {
            let beacon = Digest::of(&seed.to_le_bytes());
            let mut draws = Draws::new(Domain::TargetModels, &beacon, b"target");
            competitors.choose(&one, &target, &mut draws)[0].model == ObjectId::from_low(100)
        });
        let first = first.count();
        assert!(
            (2_890..3_110).contains(&first),
            "{first} of 4,000 where 3,000 are expected"
        );
    }

    /// W-C7(d): an embedding of another dimension stopped every node when the next target was made.
    #[test]
    fn a_model_of_another_dimension_is_passed_over() {
        let mut competitors = competitors(&[10, 10]);
        competitors.0[0].embedding = Direction::new(vec![1, 2, 3]).unwrap();
        let mut draws = Draws::new(Domain::TargetModels, &Digest::ZERO, b"target");
        let target = Direction::new(vec![1 << 18, 0]).unwrap();
        let contenders = competitors.choose(&params(), &target, &mut draws);
        let models: Vec<ObjectId> = contenders.iter().map(|contender| contender.model).collect();
        assert_eq!(models, [ObjectId::from_low(99)]);
    }
}
