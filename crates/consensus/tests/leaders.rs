//! Leaders, swaps and beacons of fixed members, against `fixtures/consensus`. A change of those files is a change of the
//! protocol.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use std::fmt::Write;
use std::sync::Arc;

use consensus::linearizer::next_beacon;
use consensus::schedule::{Schedule, Scores, Swaps};
use consensus::{Member, Members, Production, Rules};
use crypto::{BlsSecretKey, Digest, Ed25519SecretKey};
use types::{AuthorityIndex, ChainId, Epoch, Round, UnixMillis, VotingPower};

fn members(powers: &[u16]) -> Arc<Members<Production>> {
    let (block, beacon) = (
        Ed25519SecretKey::from_seed(&[1; 32]),
        BlsSecretKey::from_seed(&[1; 32]),
    );
    let members = powers.iter().map(|power| Member {
        power: VotingPower::new(*power),
        block_key: block.public(),
        beacon_key: beacon.public(),
    });
    Arc::new(Members::new(Epoch::new(3), members.collect()).unwrap())
}

fn rules(leaders_per_round: u16) -> Rules {
    Rules {
        seed: [7; 32],
        leaders_per_round,
        ..Rules::new(
            ChainId::new(Digest::of(b"chain")),
            Epoch::new(3),
            UnixMillis::new(0),
        )
    }
}

fn indices(numbers: &[u16]) -> Vec<AuthorityIndex> {
    numbers
        .iter()
        .map(|number| AuthorityIndex::new(*number).unwrap())
        .collect()
}

fn numbers(indices: &[AuthorityIndex]) -> Vec<u16> {
    indices.iter().map(|index| index.get()).collect()
}

const POWERS: [u16; 7] = [3_000, 2_000, 1_500, 1_200, 1_000, 800, 500];

fn check(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../fixtures/consensus");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn golden_leaders_follow_from_the_seed_and_the_swaps() {
    let swaps = Swaps {
        bad: indices(&[0, 6]),
        good: indices(&[1, 3]),
    };
    let mut text = String::new();
    for (title, slots, swaps) in [
        ("one slot", 1, Swaps::default()),
        ("three slots", 3, Swaps::default()),
        ("every member", 7, Swaps::default()),
        ("three slots, 0 and 6 bad, 1 and 3 good", 3, swaps),
    ] {
        writeln!(text, "{title}").unwrap();
        let mut schedule = Schedule::new(&rules(slots), members(&POWERS), swaps);
        for round in (1..=12).chain([1_000_000, u32::MAX - 1]) {
            writeln!(
                text,
                "{round:>10}  {:?}",
                numbers(schedule.leaders(Round::new(round)))
            )
            .unwrap();
        }
    }
    check("leaders", &text);
}

#[test]
fn golden_swaps_follow_from_the_scores() {
    let mut text = String::new();
    for scores in [
        [0; 7],
        [100, 100, 100, 100, 100, 100, 0],
        [10, 100, 100, 100, 100, 100, 100],
        [0, 0, 100, 100, 100, 100, 100],
        [50, 49, 100, 100, 100, 100, 100],
        [1, 2, 3, 4, 5, 6, 7],
        [u64::MAX / 2, 0, 0, 0, 0, 0, 1],
    ] {
        let swaps = Scores {
            scores: scores.to_vec(),
            commits: 300,
        }
        .swaps(&members(&POWERS), 3_000);
        writeln!(
            text,
            "{scores:?}  bad {:?}  good {:?}",
            numbers(&swaps.bad),
            numbers(&swaps.good)
        )
        .unwrap();
    }
    check("swaps", &text);
}

#[test]
fn golden_beacons_follow_from_the_shares() {
    let mut text = String::new();
    let mut beacon = Digest::ZERO;
    for number in 0..4u8 {
        let message = consensus::block::beacon_message(
            ChainId::new(Digest::of(b"chain")),
            Epoch::new(3),
            Round::new(32),
        );
        let share = BlsSecretKey::from_seed(&[number; 32]).sign(&message);
        beacon = next_beacon(&beacon, share.as_ref());
        writeln!(text, "{beacon}").unwrap();
    }
    check("beacons", &text);
}

#[test]
fn members_lead_as_often_as_they_have_power() {
    let mut schedule = Schedule::new(&rules(1), members(&POWERS), Swaps::default());
    let mut led = [0u32; 7];
    for round in 1..=20_000 {
        led[usize::from(schedule.leaders(Round::new(round))[0].get())] += 1;
    }
    for (led, power) in led.iter().zip(POWERS) {
        // Five deviations of a binomial draw around two leaders for each vote.
        let expected = 2 * u32::from(power);
        let spread = 5.0 * f64::from(expected).sqrt();
        assert!(
            f64::from(led.abs_diff(expected)) < spread,
            "{led} instead of {expected}"
        );
    }
}

#[test]
fn no_member_leads_twice_in_a_round() {
    let swaps = Swaps {
        bad: indices(&[0, 5]),
        good: indices(&[2, 4]),
    };
    for slots in 1..=7 {
        let mut schedule = Schedule::new(&rules(slots), members(&POWERS), swaps.clone());
        for round in 1..500 {
            let mut leaders = numbers(schedule.leaders(Round::new(round)));
            leaders.sort_unstable();
            leaders.dedup();
            assert_eq!(leaders.len(), usize::from(slots), "round {round}");
        }
    }
}

#[test]
fn bad_members_never_exceed_their_share_of_power_and_good_are_others() {
    for seed in 0..500u64 {
        let scores = (0..7)
            .map(|member| (seed.wrapping_mul(0x9e37_79b9) >> member) % 97)
            .collect();
        let swaps = Scores { scores, commits: 1 }.swaps(&members(&POWERS), 3_000);
        for side in [&swaps.bad, &swaps.good] {
            let power: u16 = side.iter().map(|member| POWERS[usize::from(member.get())]).sum();
            assert!(power <= 3_000 && side.is_sorted());
        }
        assert!(swaps.bad.iter().all(|bad| !swaps.good.contains(bad)));
    }
}
