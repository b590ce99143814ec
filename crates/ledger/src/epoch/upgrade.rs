//! By which rules the next epoch goes.

use std::collections::BTreeMap;

use types::{Content, Event, Rules, UpgradeVote, Validators, VotingPower};

use super::{Close, CloseError};

impl Close<'_, '_> {
    /// The rules of the next epoch, by the power of those who are going to run them. What is wanted and is no upgrade any more is
    /// forgotten.
    pub(super) fn upgrade(&mut self, set: &Validators, before: Rules) -> Result<Rules, CloseError> {
        let mut wanted = BTreeMap::<Rules, VotingPower>::new();
        for (id, power) in &set.members {
            if let Some(rules) = self.validator(*id)?.vote.and_then(|vote| vote.rules) {
                let sum = wanted.entry(rules).or_default();
                *sum = sum.saturating_add(*power);
            }
        }
        let needed = Rules::needed(self.params);
        // Two cannot both have a quorum.
        let adopted = wanted
            .into_iter()
            .find(|(rules, power)| rules.version > before.version && *power >= needed);
        let Some((rules, power)) = adopted else {
            return Ok(before);
        };
        for id in set.members.keys().chain(&set.pending) {
            let mut validator = self.validator(*id)?;
            let is_over =
                |vote: &UpgradeVote| vote.rules.is_some_and(|wanted| wanted.version <= rules.version);
            if validator.vote.as_ref().is_some_and(is_over) {
                validator.vote = None;
                self.put(*id, Content::Validator(validator))?;
            }
        }
        self.overlay.tell(Event::Upgraded { rules, power });
        Ok(rules)
    }
}
