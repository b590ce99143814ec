//! Several models on the same data: which one wins, what can be said of it, and whether what somebody says is true.
//!
//! The models of a target may be run anywhere and in any order, chunk by chunk; what they came to is put together here. Scores are
//! the same on every machine, so a claim is judged by equality and an auditor needs no tolerance.
//!
//! Source: `PROTOCOL.md` 7, `SCORING.md`; `EXACT.md` 9 for the distance.

use std::collections::BTreeMap;

use crypto::Digest;
use types::score::{DimensionMismatch, Direction, Loss, distance};
use types::{ObjectId, Verdict};

use crate::exact::{Invalid, Score};

/// What the models of a target make of some data, by the models' ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Competition(BTreeMap<ObjectId, Result<Score, Invalid>>);

/// Why data can fill no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWinner {
    /// No model has a score, or none competes: choose another target.
    #[error("none of the {0} models has a score for this data: choose another target")]
    AllInvalid(usize),
    /// The winner sees data in another space than the target's: it is a model of another chain.
    #[error("model {model} does not belong to this target: {error}")]
    OtherSpace {
        /// The winner.
        model: ObjectId,
        /// What differs.
        error: DimensionMismatch,
    },
}

/// What of a claim is not true: the first of these that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Another model has the lowest loss, or none has one.
    Winner,
    /// The winner's loss is another.
    Loss,
    /// The winner sees the data elsewhere.
    Embedding,
    /// The distance from the target is another.
    Distance,
}

/// What comes of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is true.
    Valid,
    /// This is not.
    Invalid(Field),
}

impl Judgement {
    /// What an auditor opens.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Valid => Verdict::Valid,
            Self::Invalid(_) => Verdict::Invalid,
        }
    }
}

impl Competition {
    /// Takes in what a model made of the data. What it made of it before is forgotten.
    pub fn add(&mut self, model: ObjectId, score: Result<Score, Invalid>) {
        self.0.insert(model, score);
    }

    /// What each model made of it, by id.
    pub fn results(&self) -> impl Iterator<Item = (&ObjectId, &Result<Score, Invalid>)> {
        self.0.iter()
    }

    /// The model with the lowest loss, of equal ones that with the lowest id.
    pub fn winner(&self) -> Option<(ObjectId, &Score)> {
        let scored = self
            .0
            .iter()
            .filter_map(|(id, score)| Some((*id, score.as_ref().ok()?)));
        scored.min_by_key(|(id, score)| (score.loss, *id))
    }

    /// What is true of the data, which a submitter says.
    ///
    /// # Errors
    /// [`NoWinner`].
    pub fn claim(&self, target: &Direction) -> Result<types::Score, NoWinner> {
        let (winner, score) = self.winner().ok_or(NoWinner::AllInvalid(self.0.len()))?;
        let apart = distance(&score.embedding, target);
        let distance = apart.map_err(|error| NoWinner::OtherSpace { model: winner, error })?;
        Ok(types::Score {
            winner,
            loss: score.loss,
            embedding: score.embedding.clone(),
            distance,
        })
    }

    /// Whether what a submitter says is true.
    pub fn judge(&self, target: &Direction, said: &types::Score) -> Judgement {
        let Ok(found) = self.claim(target) else {
            return Judgement::Invalid(Field::Winner);
        };
        let fields = [
            (Field::Winner, found.winner == said.winner),
            (Field::Loss, found.loss == said.loss),
            (Field::Embedding, found.embedding == said.embedding),
            (Field::Distance, found.distance == said.distance),
        ];
        match fields.into_iter().find(|(_, is_true)| !is_true) {
            Some((field, _)) => Judgement::Invalid(field),
            None => Judgement::Valid,
        }
    }

    /// What only those know who have run every model on every chunk: `H(Trace:: ‖ BCS of a list of the models' ids, ascending, each
    /// with the losses of its chunks, or with none where the model has no score)`.
    pub fn trace(&self) -> Digest {
        let losses: Vec<(ObjectId, Option<&[Loss]>)> = self
            .0
            .iter()
            .map(|(id, score)| (*id, score.as_ref().ok().map(|score| &score.chunks[..])))
            .collect();
        Digest::of_value("Trace", &losses)
    }
}

#[cfg(test)]
mod tests {
    use types::score::Embedding;

    use super::*;

    fn score(total: u64, embedding: &[i32]) -> Score {
        let loss = |total| Loss::new(total, 4).unwrap();
        Score {
            loss: loss(total),
            embedding: Embedding::new(embedding.to_vec()).unwrap(),
            chunks: vec![loss(total)],
        }
    }

    fn id(low: u8) -> ObjectId {
        ObjectId::from_low(low)
    }

    fn target() -> Direction {
        Direction::new(vec![3, 4]).unwrap()
    }

    fn among(scores: &[(u8, Result<Score, Invalid>)]) -> Competition {
        let mut competition = Competition::default();
        for (low, score) in scores.iter().cloned() {
            competition.add(id(low), score);
        }
        competition
    }

    #[test]
    fn the_lowest_loss_wins_and_of_equal_ones_the_lowest_id() {
        let scores = [
            (1, Err(Invalid::OutOfRange)),
            (4, Ok(score(8, &[1, 0]))),
            (3, Ok(score(7, &[0, 1]))),
            (2, Ok(score(7, &[-3, -4]))),
        ];
        let competition = among(&scores);
        let claim = competition.claim(&target()).unwrap();
        assert_eq!((claim.winner, claim.loss.total()), (id(2), 7));
        assert_eq!(claim.distance.to_string(), "2.000000000");
        assert_eq!(competition.judge(&target(), &claim), Judgement::Valid);
        assert_eq!(
            competition.results().count(),
            4,
            "the losers' losses are part of the result"
        );
    }

    #[test]
    fn what_is_not_true_of_a_claim_is_named() {
        let competition = among(&[(1, Ok(score(7, &[3, 4]))), (2, Ok(score(9, &[4, 3])))]);
        let claim = competition.claim(&target()).unwrap();
        type Spoil = fn(&mut types::Score);
        let wrong: [(Field, Spoil); 4] = [
            (Field::Winner, |said| said.winner = id(2)),
            (Field::Loss, |said| said.loss = Loss::new(8, 4).unwrap()),
            (Field::Embedding, |said| {
                said.embedding = Embedding::new(vec![4, 3]).unwrap()
            }),
            (Field::Distance, |said| {
                said.distance = types::Distance::new(1).unwrap()
            }),
        ];
        for (field, spoil) in wrong {
            let mut said = claim.clone();
            spoil(&mut said);
            let judgement = competition.judge(&target(), &said);
            assert_eq!(judgement, Judgement::Invalid(field));
            assert_eq!(judgement.verdict(), Verdict::Invalid);
        }
        assert_eq!(Judgement::Valid.verdict(), Verdict::Valid);
    }

    #[test]
    fn where_no_model_has_a_score_nothing_can_be_claimed() {
        let none = Competition::default();
        assert_eq!(none.claim(&target()), Err(NoWinner::AllInvalid(0)));
        let invalid = among(&[(1, Err(Invalid::NoDirection)), (2, Err(Invalid::OutOfRange))]);
        assert_eq!(invalid.claim(&target()), Err(NoWinner::AllInvalid(2)));
        let said = among(&[(1, Ok(score(7, &[3, 4])))]).claim(&target()).unwrap();
        assert_eq!(invalid.judge(&target(), &said), Judgement::Invalid(Field::Winner));
        let other = among(&[(1, Ok(score(7, &[3, 4, 5])))]);
        let error = other.claim(&target()).unwrap_err();
        assert!(error.to_string().starts_with("model 0x00"), "{error}");
        assert!(matches!(error, NoWinner::OtherSpace { .. }));
    }

    #[test]
    fn a_trace_is_of_every_loss_of_every_model() {
        let scores = [(1, Ok(score(7, &[3, 4]))), (2, Ok(score(9, &[4, 3])))];
        let trace = among(&scores).trace();
        let mut reversed = scores.clone();
        reversed.reverse();
        assert_eq!(
            among(&reversed).trace(),
            trace,
            "the order of the runs does not matter"
        );
        let others = [
            among(&scores[..1]),
            among(&[scores[0].clone(), (2, Ok(score(10, &[4, 3])))]),
            among(&[scores[0].clone(), (3, scores[1].1.clone())]),
            among(&[scores[0].clone(), (2, Err(Invalid::OutOfRange))]),
        ];
        for other in others {
            assert_ne!(other.trace(), trace, "{other:?}");
        }
        // Why a model has no score depends on the order of what is computed, and must not show.
        let why = |why| among(&[(1, Err(why))]).trace();
        assert_eq!(why(Invalid::OutOfRange), why(Invalid::NoDirection));
    }
}
