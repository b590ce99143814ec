use std::fmt::Write;

use crypto::bytes::hex;
use proptest::prelude::*;

use super::*;

const DOMAINS: [Domain; 4] = [
    Domain::TargetEmbedding,
    Domain::TargetModels,
    Domain::Custody,
    Domain::AuditSeats,
];

fn beacon() -> Digest {
    Digest::of(b"beacon")
}

fn draws(context: &[u8]) -> Draws {
    Draws::new(Domain::TargetEmbedding, &beacon(), context)
}

fn positive(n: u128) -> NonZeroU128 {
    NonZeroU128::new(n).unwrap()
}

fn words<T: ToString>(items: &[T]) -> String {
    let words: Vec<_> = items.iter().map(ToString::to_string).collect();
    words.join(" ")
}

/// Candidates that are named by their places.
fn places(weights: &[u64]) -> Vec<(usize, u64)> {
    weights.iter().copied().enumerate().collect()
}

// `fixtures/draw/draw.py` wrote these files. A change of them is a change of the protocol.
macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../fixtures/draw/", $name))
    };
}

#[test]
fn golden_streams_are_those_of_the_script() {
    let mut text = String::new();
    let long: Vec<u8> = (0..200).collect();
    for (domain, context) in DOMAINS
        .iter()
        .flat_map(|domain| [&b""[..], b"a", &long].map(|context| (*domain, context)))
    {
        let stream: [u8; 80] = Draws::new(domain, &beacon(), context).bytes();
        let (context, stream) = (hex::encode(context), hex::encode(&stream));
        writeln!(text, "{} {}: {}", domain as u8, &context[2..], &stream[2..]).unwrap();
    }
    assert_eq!(text, fixture!("stream.txt"));
}

#[test]
fn golden_numbers_are_those_of_the_script() {
    let (mut text, mut draws) = (String::new(), draws(b"below"));
    let two_to_64 = 1 << 64;
    for n in [
        1,
        2,
        3,
        10,
        two_to_64,
        1024 * 10u128.pow(16),
        (1 << 127) + 1,
        u128::MAX,
    ] {
        let numbers: [u128; 6] = std::array::from_fn(|_| draws.below(positive(n)));
        writeln!(text, "{n}: {}", words(&numbers)).unwrap();
    }
    assert_eq!(text, fixture!("below.txt"));
}

#[test]
fn golden_choices_are_those_of_the_script() {
    let mut draws = Draws::new(Domain::TargetModels, &beacon(), b"weighted");
    let mut text = String::new();
    for (weights, k) in [
        (vec![0, 0], 3),
        (vec![7], 3),
        (vec![1, 2, 3, 4], 2),
        (vec![5, 0, 5, 0, 5], 9),
        (vec![10u64.pow(16); 40], 16),
        (vec![u64::MAX, 1, u64::MAX], 3),
        ((0..100).map(|i| i * i).collect(), 10),
    ] {
        let chosen = draws.weighted(&places(&weights), k);
        writeln!(text, "{k} of {}: {}", words(&weights), words(&chosen)).unwrap();
    }
    assert_eq!(text, fixture!("weighted.txt"));
}

#[test]
fn golden_directions_are_those_of_the_script() {
    let mut text = String::new();
    // The first component of the last context is zero, which in one dimension is no direction.
    for (context, dim) in [("t", 0), ("t", 1), ("t", 2048), ("569905", 1), ("569905", 2)] {
        let vector = draws(context.as_bytes()).direction(dim);
        let bytes: Vec<u8> = vector
            .iter()
            .flat_map(|component| component.to_le_bytes())
            .collect();
        let (first, digest) = (
            words(&vector[..dim.min(7)]),
            hex::encode(Digest::of(&bytes).as_bytes()),
        );
        writeln!(text, "{context} {dim}: {first} {}", &digest[2..]).unwrap();
    }
    assert_eq!(text, fixture!("direction.txt"));
}

#[test]
fn another_domain_beacon_or_context_is_another_stream() {
    let mut streams = Vec::new();
    for domain in DOMAINS {
        for beacon in [Digest::ZERO, Digest::of(b"beacon")] {
            for context in [&b""[..], b"\0", b"\0\0", b"a"] {
                streams.push(Draws::new(domain, &beacon, context).bytes::<32>());
            }
        }
    }
    let count = streams.len();
    streams.sort_unstable();
    streams.dedup();
    assert_eq!(streams.len(), count);
}

#[test]
fn every_number_below_n_is_as_likely_as_the_other() {
    // Of three equal parts of 2^128, the words of the third are passed over.
    let n = u128::MAX / 3 * 2;
    let (mut draws, mut lower) = (draws(b"halves"), 0i64);
    for _ in 0..40_000 {
        lower += i64::from(draws.below(positive(n)) < n / 2);
    }
    // Four standard deviations; without the rejection it were 26,667.
    assert!((lower - 20_000).abs() <= 400, "{lower}");
}

/// Mass that all totals of the examples below divide.
const WHOLE: u128 = (10 * 9 * 8 * 7 * 6 * 5 * 3 * 2u128).pow(4);

/// The share of [`WHOLE`] that each outcome of a choice has, over all numbers that could be drawn.
fn outcomes(weights: &[u64], k: usize) -> Vec<(Vec<usize>, u128)> {
    let (mut found, mut scripts) = (Vec::new(), vec![(Vec::new(), WHOLE)]);
    while let Some((script, mass)) = scripts.pop() {
        let (mut step, mut open) = (0, None);
        let chosen = choose(&places(weights), k, |n| {
            step += 1;
            script.get(step - 1).copied().unwrap_or_else(|| {
                open.get_or_insert(n.get());
                0
            })
        });
        let Some(n) = open else {
            found.push((chosen, mass));
            continue;
        };
        assert_eq!(mass % n, 0, "the shares are exact");
        scripts.extend((0..n).map(|drawn| ([&script[..], &[drawn]].concat(), mass / n)));
    }
    assert_eq!(found.iter().map(|(_, mass)| mass).sum::<u128>(), WHOLE);
    found
}

/// The share of outcomes in which one of the first `parts` candidates is chosen.
fn presence(weights: &[u64], k: usize, parts: usize) -> u128 {
    let present = |chosen: &Vec<usize>| chosen.iter().any(|place| *place < parts);
    outcomes(weights, k)
        .iter()
        .filter(|(chosen, _)| present(chosen))
        .map(|(_, mass)| mass)
        .sum()
}

#[test]
fn a_first_choice_has_a_chance_in_proportion_to_its_weight() {
    let weights = [1, 0, 2, 3, 4];
    for (place, weight) in places(&weights) {
        let mass: u128 = outcomes(&weights, 1)
            .iter()
            .filter(|(chosen, _)| *chosen == [place])
            .map(|(_, mass)| mass)
            .sum();
        assert_eq!(mass, WHOLE / 10 * u128::from(weight));
    }
}

#[test]
fn a_later_choice_has_a_chance_in_proportion_to_its_weight_among_those_left() {
    let mass: u128 = outcomes(&[1, 2, 3, 4], 3)
        .iter()
        .filter(|(chosen, _)| *chosen == [1, 3, 0])
        .map(|(_, mass)| mass)
        .sum();
    // 2/10 · 4/8 · 1/4
    assert_eq!(mass, WHOLE / 40);
}

#[test]
fn splitting_a_weight_does_not_change_the_chance_of_being_chosen() {
    for k in 1..=4 {
        let whole = presence(&[4, 3, 1, 2], k, 1);
        assert_eq!(presence(&[2, 2, 3, 1, 2], k, 2), whole, "{k} chosen, in halves");
        assert_eq!(
            presence(&[1, 3, 3, 1, 2], k, 2),
            whole,
            "{k} chosen, unequal parts"
        );
        assert_eq!(
            presence(&[1, 1, 2, 3, 1, 2], k, 3),
            whole,
            "{k} chosen, three parts"
        );
    }
}

#[test]
fn counts_of_choices_are_near_their_chances() {
    // Two of four; the exact chances of every ordered pair come from the enumeration.
    let (weights, runs) = ([1, 2, 3, 4], 50_000u128);
    let (mut expected, mut counted) = ([[0u128; 4]; 4], [[0u128; 4]; 4]);
    for (chosen, mass) in outcomes(&weights, 2) {
        expected[chosen[0]][chosen[1]] += mass;
    }
    let mut draws = draws(b"pairs");
    for _ in 0..runs {
        let chosen = draws.weighted(&places(&weights), 2);
        counted[chosen[0]][chosen[1]] += 1;
    }
    // Pearson's sum over twelve pairs, in thousandths: above 31,264 once in a thousand series (11 degrees of freedom).
    let pairs = expected.as_flattened().iter().zip(counted.as_flattened());
    let sum: u128 = pairs
        .filter(|(expected, _)| **expected > 0)
        .map(|(expected, counted)| {
            let expected = runs * expected * 1_000 / WHOLE;
            (counted * 1_000).abs_diff(expected).pow(2) / expected
        })
        .sum();
    assert!(sum < 31_264, "{sum}");
}

#[test]
fn a_component_is_symmetric_about_zero_and_below_two_to_the_nineteenth() {
    assert_eq!(component([0; 24]), -393_210);
    assert_eq!(component([0xff; 24]), 393_210);
    let mut draws = draws(b"symmetry");
    for _ in 0..1_000 {
        let bytes: [u8; 24] = draws.bytes();
        assert_eq!(component(bytes.map(|byte| !byte)), -component(bytes));
    }
}

#[test]
fn components_have_the_moments_of_twelve_uniform_numbers() {
    let n: i128 = 1 << 18;
    let vector = draws(b"moments").direction(1 << 18);
    let sum = |term: fn(&[i128]) -> i128, width| -> i128 {
        let vector: Vec<i128> = vector.iter().map(|component| i128::from(*component)).collect();
        vector.windows(width).map(term).sum()
    };
    let one: i128 = 1 << 16;
    // Each bound is four standard deviations: of x it is 1, of x² the root of 1.9, of x·y 1, and of x⁴ below 10, in units of
    // 2^16 to the power; and the root of n is 2^9.
    let root = 1 << 9;
    let mean = sum(|x| x[0], 1);
    assert!(mean.abs() <= 4 * root * one, "{mean}");
    let variance = sum(|x| x[0].pow(2), 1) - n * (one.pow(2) - 1);
    assert!(variance.abs() <= 6 * root * one.pow(2), "{variance}");
    let neighbours = sum(|x| x[0] * x[1], 2);
    assert!(neighbours.abs() <= 4 * root * one.pow(2), "{neighbours}");
    // Of the sum of twelve uniform numbers of N = 2^16 values it is 3 (N² − 1)² − (N⁴ − 1) / 10.
    let fourth = sum(|x| x[0].pow(4), 1) - n * (3 * (one.pow(2) - 1).pow(2) - (one.pow(4) - 1) / 10);
    assert!(fourth.abs() <= 40 * root * one.pow(4), "{fourth}");
}

fn weights() -> impl Strategy<Value = Vec<u64>> {
    let weight = prop_oneof![
        Just(0),
        1..4u64,
        Just(10u64.pow(16)),
        any::<u64>(),
        Just(u64::MAX)
    ];
    proptest::collection::vec(weight, 0..80)
}

proptest! {
    #[test]
    fn a_choice_is_of_distinct_candidates_with_weight_and_of_as_many_as_there_are(
        weights in weights(), k in prop_oneof![0..90usize, any::<usize>()], context: [u8; 4],
    ) {
        let mut chosen = draws(&context).weighted(&places(&weights), k);
        let able = weights.iter().filter(|weight| **weight > 0).count();
        prop_assert_eq!(chosen.len(), able.min(k));
        prop_assert!(chosen.iter().all(|place| weights[*place] > 0));
        chosen.sort_unstable();
        chosen.dedup();
        prop_assert_eq!(chosen.len(), able.min(k));
    }

    #[test]
    fn fewer_choices_are_the_first_of_more(weights in weights(), k in 0..80usize, context: [u8; 4]) {
        let all = draws(&context).weighted(&places(&weights), usize::MAX);
        let some = draws(&context).weighted(&places(&weights), k);
        prop_assert_eq!(&all[..some.len()], some);
    }

    #[test]
    fn who_has_no_weight_changes_nothing(weights in weights(), context: [u8; 4]) {
        let mut able = places(&weights);
        able.retain(|(_, weight)| *weight > 0);
        prop_assert_eq!(
            draws(&context).weighted(&places(&weights), 9),
            draws(&context).weighted(&able, 9)
        );
    }

    #[test]
    fn a_number_is_below_its_bound(n in 1u128.., context: [u8; 4]) {
        prop_assert!(draws(&context).below(positive(n)) < n);
    }

    #[test]
    fn a_direction_has_its_dimensions_and_is_not_zero(dim in 1..=4_096usize, context: [u8; 4]) {
        let vector = draws(&context).direction(dim);
        prop_assert_eq!(vector.len(), dim);
        prop_assert!(vector.iter().all(|component| component.abs() < 1 << 19));
        prop_assert!(vector.iter().any(|component| *component != 0));
    }
}
