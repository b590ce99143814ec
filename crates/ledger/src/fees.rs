//! What a transaction pays, by the prices of its epoch, and how the price of moving value changes between epochs.
//!
//! All functions are total: a price that no amount can hold becomes the highest amount, which nobody has.

use types::{ProtocolParams, Shannons};

/// The prices of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// For being executed at all.
    pub base: Shannons,
    /// For each object that is created or mutated.
    pub object: Shannons,
    /// For each byte of a transaction, and each that is stored beyond [`free_bytes`](Self::free_bytes) of an object.
    pub byte: Shannons,
    /// Bytes of an object that are stored for nothing.
    pub free_bytes: u64,
    /// The part of what storing costs that the object keeps until it is deleted, in bps.
    pub refund_bps: u16,
    /// For the value that is moved, in bps.
    pub value_bps: u16,
}

/// What a change of an object's size costs and gives back. At most one of `fee` and `returned` is above zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// What goes to the epoch's fees.
    pub fee: Shannons,
    /// What the object keeps from now on; its growth is paid beside the fee.
    pub deposit: Shannons,
    /// What is given back to who pays for the transaction.
    pub returned: Shannons,
}

impl Prices {
    /// The prices of an epoch with this value fee.
    pub fn new(params: &ProtocolParams, value_fee_bps: u16) -> Self {
        Self {
            base: params.base_fee,
            object: params.write_fee,
            byte: params.byte_fee,
            free_bytes: params.free_object_bytes.into(),
            refund_bps: params.storage_refund_bps,
            value_bps: value_fee_bps,
        }
    }

    /// What is taken before the transaction runs, and kept if it fails: its bytes are ordered and stored all the same, so a
    /// long transaction that fails is no cheaper to spam with (W-H23).
    pub fn admission(&self, transaction_bytes: u64) -> Shannons {
        amount(wide(self.base) + wide(self.byte) * u128::from(transaction_bytes))
    }

    /// What writing so many objects costs.
    pub fn writes(&self, objects: u64) -> Shannons {
        amount(wide(self.object) * u128::from(objects))
    }

    /// What moving this value costs. A part of a shannon is paid as a whole one.
    pub fn value(&self, value: Shannons) -> Shannons {
        amount((wide(value) * u128::from(self.value_bps)).div_ceil(10_000))
    }

    /// What staking or withdrawing this value costs: half of what moving it does. A part of a shannon is paid as a whole one.
    pub fn half_value(&self, value: Shannons) -> Shannons {
        amount((wide(value) * u128::from(self.value_bps)).div_ceil(20_000))
    }

    /// What becomes of an object's deposit when its size changes from `before` to `after` bytes; what is not there has none.
    ///
    /// What is paid for growing is divided between deposit and fee, the odd shannon to the fee. What shrinking gives back is
    /// in proportion to what the object keeps, the odd shannon stays with the object. So a deletion gives back all of it, at
    /// whatever prices it was paid, and no way of growing and shrinking gives back more than was paid.
    pub fn storage(&self, deposit: Shannons, before: u64, after: u64) -> Storage {
        let before = u128::from(before.saturating_sub(self.free_bytes));
        let after = u128::from(after.saturating_sub(self.free_bytes));
        if after < before {
            // At most the deposit, so the subtraction below is exact.
            let returned = wide(deposit) * (before - after) / before;
            return Storage {
                fee: Shannons::ZERO,
                deposit: amount(wide(deposit) - returned),
                returned: amount(returned),
            };
        }
        let cost = wide(self.byte) * (after - before);
        let kept = wide(amount(cost)) * u128::from(self.refund_bps.min(10_000)) / 10_000;
        Storage {
            fee: amount(cost - kept),
            deposit: amount(wide(deposit) + kept),
            returned: Shannons::ZERO,
        }
    }
}

/// The value fee of the next epoch, in bps, after one with this value fee and these fees of all kinds.
///
/// As the reference has it, a busy epoch makes the next one dearer: by the part by which the fees miss those that are
/// wanted, at most by `fee_adjustment_bps` of itself, and always by 1 bps at least, up and down alike. So there is nowhere
/// to stay but at the fees that are wanted and at the two bounds (W-M1).
pub fn next_value_fee(params: &ProtocolParams, value_fee_bps: u16, epoch_fees: Shannons) -> u16 {
    let (fee, wanted) = (u128::from(value_fee_bps), wide(params.wanted_epoch_fees).max(1));
    let most = (fee * u128::from(params.fee_adjustment_bps) / 10_000).max(1);
    // What is less than one bps of the two divisions is not moved.
    let step = (fee * wide(epoch_fees).abs_diff(wanted) / wanted).clamp(1, most);
    let next = match wide(epoch_fees).cmp(&wanted) {
        std::cmp::Ordering::Greater => fee + step,
        std::cmp::Ordering::Equal => fee,
        std::cmp::Ordering::Less => fee.saturating_sub(step),
    };
    let bounded = next
        .min(params.max_value_fee_bps.into())
        .max(params.min_value_fee_bps.into());
    u16::try_from(bounded).unwrap_or(params.max_value_fee_bps)
}

fn wide(amount: Shannons) -> u128 {
    amount.get().into()
}

fn amount(shannons: u128) -> Shannons {
    Shannons::new(u64::try_from(shannons).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{ProtocolVersion, SOMA};

    use super::*;

    fn params() -> ProtocolParams {
        ProtocolParams::of(ProtocolVersion::new(1)).unwrap()
    }

    fn prices() -> Prices {
        Prices::new(&params(), 10)
    }

    #[test]
    fn a_transaction_pays_base_bytes_writes_and_value() {
        assert_eq!(prices().admission(400), Shannons::new(1_000 + 4_000));
        assert_eq!(prices().writes(2), Shannons::new(600));
        assert_eq!(prices().value(SOMA), Shannons::new(1_000_000));
        assert_eq!(prices().value(Shannons::new(1)), Shannons::new(1));
        assert_eq!(prices().half_value(SOMA), Shannons::new(500_000));
        assert_eq!(prices().half_value(Shannons::new(2_001)), Shannons::new(2));
        assert_eq!(prices().value(Shannons::ZERO), Shannons::ZERO);
        // The half of an odd fee is a half, not the half of what is below it.
        assert_eq!(Prices::new(&params(), 1).half_value(SOMA), Shannons::new(50_000));
    }

    #[test]
    fn a_price_that_no_amount_holds_is_the_highest_amount() {
        let most = Shannons::new(u64::MAX);
        let dear = Prices {
            base: most,
            object: most,
            byte: most,
            value_bps: u16::MAX,
            ..prices()
        };
        assert_eq!(dear.admission(u64::MAX), most);
        assert_eq!(dear.writes(u64::MAX), most);
        assert_eq!(dear.value(most), most);
        assert_eq!(dear.storage(most, 0, u64::MAX).deposit, most);
    }

    #[test]
    fn half_of_what_storing_costs_comes_back_on_deletion() {
        let created = prices().storage(Shannons::ZERO, 0, 1_256);
        let expected = Storage {
            fee: Shannons::new(5_000),
            deposit: Shannons::new(5_000),
            returned: Shannons::ZERO,
        };
        assert_eq!(created, expected);
        // What is there of it still keeps its part.
        let shrunk = prices().storage(created.deposit, 1_256, 1_006);
        let expected = Storage {
            fee: Shannons::ZERO,
            deposit: Shannons::new(3_750),
            returned: Shannons::new(1_250),
        };
        assert_eq!(shrunk, expected);
        let deleted = prices().storage(created.deposit, 1_256, 0);
        assert_eq!(
            (deleted.deposit, deleted.returned),
            (Shannons::ZERO, created.deposit)
        );
        assert_eq!(prices().storage(Shannons::ZERO, 0, 256), Storage::default());
    }

    /// W-M1: the reference's fee stayed for ever at any value up to 7.
    #[test]
    fn the_value_fee_stays_only_at_the_wanted_fees_and_the_bounds() {
        let params = params();
        for fee in 1..=50 {
            assert_eq!(next_value_fee(&params, fee, SOMA), fee);
            for near in [SOMA.get() - 1, 0] {
                let next = next_value_fee(&params, fee, Shannons::new(near));
                assert!(next < fee || fee == 1, "{fee} falls after {near}");
            }
            for near in [SOMA.get() + 1, u64::MAX] {
                let next = next_value_fee(&params, fee, Shannons::new(near));
                assert!(next > fee || fee == 50, "{fee} rises after {near}");
            }
        }
        let busy = std::iter::successors(Some(1), |fee| {
            Some(next_value_fee(&params, *fee, params.epoch_emission))
        });
        let fees: Vec<_> = busy.take(24).collect();
        assert_eq!(
            fees,
            [
                1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 27, 30, 33, 37
            ]
        );
    }

    #[test]
    fn a_small_miss_moves_the_value_fee_by_little() {
        let fees = |percent: u64| Shannons::new(SOMA.get() / 100 * percent);
        assert_eq!(next_value_fee(&params(), 40, fees(105)), 42);
        assert_eq!(next_value_fee(&params(), 40, fees(95)), 38);
        assert_eq!(next_value_fee(&params(), 40, fees(300)), 45);
        assert_eq!(next_value_fee(&params(), 40, fees(0)), 35);
    }

    proptest! {
        #[test]
        fn no_growing_and_shrinking_gives_back_more_than_was_kept(
            steps in proptest::collection::vec((0..20_000u64, 0..1_000u64), 1..20),
        ) {
            let (mut size, mut deposit, mut paid, mut returned) = (0, Shannons::ZERO, 0, 0);
            // Each step at prices of its own, and a deletion in the end.
            for (next, byte) in steps.into_iter().chain([(0, 7)]) {
                let prices = Prices { byte: Shannons::new(byte), ..prices() };
                let storage = prices.storage(deposit, size, next);
                let kept = storage.deposit.get() + storage.returned.get();
                paid += storage.fee.get() + kept.saturating_sub(deposit.get());
                prop_assert!(kept >= deposit.get(), "money of an object does not vanish");
                prop_assert!(storage.fee.get() >= kept - deposit.get(), "at most half is kept");
                returned += storage.returned.get();
                (size, deposit) = (next, storage.deposit);
            }
            prop_assert_eq!(deposit, Shannons::ZERO);
            prop_assert!(2 * returned <= paid);
        }

        #[test]
        fn any_fees_lead_to_a_value_fee_within_its_bounds(fee: u16, fees: u64) {
            let next = next_value_fee(&params(), fee, Shannons::new(fees));
            prop_assert!((1..=50).contains(&next));
        }

        #[test]
        fn any_prices_have_a_result(byte: u64, held: u64, before: u64, after: u64, bps: u16) {
            let any = Prices { byte: Shannons::new(byte), refund_bps: bps, ..prices() };
            any.storage(Shannons::new(held), before, after);
            any.admission(before);
            any.value(Shannons::new(held));
        }
    }
}
