//! Targets, pace and difficulty among people who submit: whole epochs with the protocol's own parameters.
//!
//! People produce data at some rate and try each at all open targets; how near it comes is normally distributed, around 1
//! with a deviation of 0.022 where the data are random vectors of 2,048 dimensions. Floats are the people's, not the rules'.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use std::collections::VecDeque;
use std::ops::Range;

use ledger::difficulty;
use ledger::emission::{Emission, target_reward};
use ledger::pacing;
use types::{Difficulty, ProtocolParams, ProtocolVersion, Shannons};

/// Every commit of the world has a beacon, as often as one is due when rounds follow each other ten times a second.
const COMMIT_MS: u64 = 3_200;

/// A part of the people.
#[derive(Clone, Copy, Debug)]
struct People {
    data_per_second: f64,
    mean: f64,
    deviation: f64,
    /// What all their data have in common, as a part of an embedding's length: it makes some targets easy and others hard.
    alike: f64,
}

impl People {
    fn random(data_per_second: f64) -> Self {
        Self {
            data_per_second,
            mean: 1.0,
            deviation: 0.022,
            alike: 0.0,
        }
    }

    /// How often per second a target is hit, on the average.
    fn rate(&self, distance: u32) -> f64 {
        let rates = CLASSES.map(|class| self.class_rate(distance, class));
        rates.iter().sum::<f64>() / CLASSES.len() as f64
    }

    /// How often per second a target is hit to which all data are nearer than on the average, by so many deviations of what
    /// they have in common.
    fn class_rate(&self, distance: u32, class: f64) -> f64 {
        let mean = self.mean - class * self.alike * self.deviation;
        let deviation = (1.0 - self.alike * self.alike).sqrt() * self.deviation;
        self.data_per_second * tail((mean - f64::from(distance) / 1e9) / deviation)
    }
}

/// An epoch as it went.
#[derive(Clone, Copy, Debug)]
struct Day {
    /// The threshold that it had.
    distance: u32,
    hits: u64,
    /// How often an open target was hit, outside of bursts, as a part of how often it should be.
    demand: f64,
    /// The most targets that were spawned within an hour.
    busiest_hour: u64,
}

struct World {
    params: ProtocolParams,
    difficulty: Difficulty,
    random: u64,
    days: Vec<Day>,
}

impl World {
    fn new(distance: u32) -> Self {
        let params = ProtocolParams::of(ProtocolVersion::new(1)).unwrap();
        Self {
            difficulty: Difficulty {
                distance_billionths: distance,
                ..difficulty::first(&params)
            },
            params,
            random: 1,
            days: vec![],
        }
    }

    /// The world in which people hit targets so many times as often as wanted.
    fn off_by(factor: f64, people: People) -> Self {
        let (mut low, mut high) = (0u32, 2_000_000_000);
        while low < high {
            let middle = low.midpoint(high);
            if people.rate(middle) < factor * WANTED_PER_SECOND {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Self::new(low)
    }

    /// Runs epochs with these people.
    fn run(&mut self, epochs: usize, people: &[People]) {
        for _ in 0..epochs {
            self.day(people, 0..0, &[]);
        }
    }

    /// Runs an epoch with these people, and others during some milliseconds of it.
    fn day(&mut self, usual: &[People], burst_ms: Range<u64>, others: &[People]) {
        let distance = self.difficulty.distance_billionths;
        let missed = |people: &[People]| {
            CLASSES.map(|class| {
                let rate: f64 = people.iter().map(|part| part.class_rate(distance, class)).sum();
                (-rate * COMMIT_MS as f64 / 1e3).exp()
            })
        };
        let (missed_usually, missed_in_burst) = (missed(usual), missed(others));

        let (emission, _) = Emission::draw(&self.params, Shannons::SUPPLY);
        let mut pace = pacing::begin(&self.params, emission.affords(target_reward(&self.params)).0);
        let (mut open, mut hits) = ([0; CLASSES.len()], 0);
        let mut hour = VecDeque::from(vec![0; HOUR_COMMITS]);
        let (mut hour_sum, mut busiest_hour) = (0, 0);
        for commit in 0..=self.params.epoch_duration_ms / COMMIT_MS {
            let now_ms = commit * COMMIT_MS;
            let missed = if burst_ms.contains(&now_ms) {
                missed_in_burst
            } else {
                missed_usually
            };
            for (open, missed) in open.iter_mut().zip(missed) {
                let filled = count(&mut self.random, *open, missed);
                *open -= filled;
                hits += filled;
            }
            let spawn = pacing::at_commit(&mut pace, &self.params, now_ms, open.iter().sum(), true);
            // In turns, so that there is the same number of each class.
            for target in pace.spawned - spawn..pace.spawned {
                open[usize::try_from(target).unwrap() % open.len()] += 1;
            }
            hour.push_back(spawn);
            hour_sum = hour_sum + spawn - hour.pop_front().unwrap();
            busiest_hour = busiest_hour.max(hour_sum);
        }
        assert_eq!(pace.spawned, hits + open.iter().sum::<u64>());
        self.days.push(Day {
            distance,
            hits,
            demand: usual.iter().map(|part| part.rate(distance)).sum::<f64>() / WANTED_PER_SECOND,
            busiest_hour,
        });
        self.difficulty = difficulty::after(&self.difficulty, &self.params, hits, pace.open_ms);
    }

    /// How many epochs passed, from this one on, until the demand was within a tenth of the wanted one and stayed there.
    fn settled(&self, since: usize) -> usize {
        let off = |day: &Day| (day.demand - 1.0).abs() > 0.1;
        self.days[since..]
            .iter()
            .rposition(off)
            .map_or(0, |last| last + 1)
    }

    fn demands(&self) -> Vec<f64> {
        self.days.iter().map(|day| day.demand).collect()
    }

    /// Between the lowest and the highest threshold since an epoch, in billionths.
    fn swing(&self, since: usize) -> u32 {
        let distances = || self.days[since..].iter().map(|day| day.distance);
        distances().max().unwrap() - distances().min().unwrap()
    }
}

/// 86,400 hits of 100 targets in 86,400 seconds.
const WANTED_PER_SECOND: f64 = 0.01;
const HOUR_COMMITS: usize = 1_125;

/// The four equal parts of a standard normal distribution, each by its middle.
const CLASSES: [f64; 4] = [-1.271, -0.325, 0.325, 1.271];

/// Probability that a standard normal variable exceeds `z`; right to a relative 2·10⁻⁷ (Numerical Recipes, `erfcc`).
fn tail(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let series = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
    ];
    let sum = series.into_iter().fold(0.0, |sum, factor| sum * t + factor);
    let above = 0.5 * t * (-x * x - 1.265_512_23 + t * sum).exp();
    if z < 0.0 { 1.0 - above } else { above }
}

/// How many of `open` targets are hit, each with probability `1 - missed`.
fn count(random: &mut u64, open: u64, missed: f64) -> u64 {
    let (mut hits, mut next) = (0, 0.0);
    if missed >= 1.0 {
        return 0;
    }
    loop {
        // Splitmix.
        *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = *random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = (((bits ^ (bits >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        // Targets that are passed over until the next hit.
        next += (uniform.ln() / missed.ln()).floor() + 1.0;
        if next > open as f64 {
            return hits;
        }
        hits += 1;
    }
}

#[test]
fn the_tail_is_the_one_of_the_normal_distribution() {
    for (z, expected) in [
        (0.0, 0.5),
        (-1.0, 0.841_344_7),
        (2.0, 0.022_750_13),
        (4.0, 3.167_124e-5),
        (6.0, 9.865_876e-10),
    ] {
        assert!((tail(z) / expected - 1.0).abs() < 1e-6, "{z}: {}", tail(z));
    }
}

#[test]
fn a_hundredfold_error_is_gone_within_ten_epochs() {
    for data_per_second in [2.0, 30.0, 1_000.0, 100_000.0] {
        let people = People::random(data_per_second);
        for factor in [100.0, 0.01] {
            let mut world = World::off_by(factor, people);
            world.run(16, &[people]);
            assert!((world.days[0].demand / factor - 1.0).abs() < 0.001);
            // It comes from one side, and stays.
            for day in &world.days[1..] {
                let beyond = if factor > 1.0 {
                    day.demand < 0.95
                } else {
                    day.demand > 1.05
                };
                assert!(!beyond, "{people:?} {day:?}");
            }
            assert!(world.settled(0) <= 6, "{people:?} {:?}", world.demands());
            for day in &world.days[10..] {
                assert!((0.95..1.05).contains(&day.demand), "{people:?} {day:?}");
                assert!(day.hits > 82_000, "{people:?} {day:?}");
            }
            assert!(world.swing(10) < world.params.distance_sigma_billionths / 20);
        }
    }
}

/// W-H10: at a threshold of 1.05 nearly anything is a hit.
#[test]
fn the_first_epochs_are_not_drained_and_ten_find_the_threshold() {
    for data_per_second in [0.05, 1.0, 30.0, 1_000.0, 100_000.0] {
        let mut world = World::new(1_050_000_000);
        world.run(14, &[People::random(data_per_second)]);
        assert!(world.settled(0) <= 10, "{data_per_second} {:?}", world.demands());
        for day in &world.days {
            assert!(day.busiest_hour <= 3_600 + 100, "{day:?}");
        }
    }
}

#[test]
fn ten_times_the_people_and_a_hundredth_of_them_are_followed_within_ten_epochs() {
    let usual = People::random(100.0);
    let mut world = World::off_by(1.0, usual);
    let mut start = 0;
    for data_per_second in [100.0, 1_000.0, 10_000.0, 100.0, 10.0, 1_000.0] {
        world.run(12, &[People::random(data_per_second)]);
        assert!(
            world.settled(start) <= 10,
            "{data_per_second} {:?}",
            world.demands()
        );
        start += 12;
    }
}

#[test]
fn an_epoch_without_hits_makes_the_next_one_easier() {
    let mut world = World::new(800_000_000);
    world.run(20, &[People::random(1.0)]);
    for days in world.days.windows(2).take_while(|days| days[0].hits == 0) {
        // More than half of a deviation each time.
        assert!(days[1].distance > days[0].distance + 11_000_000);
    }
    assert!(world.days[4].hits == 0);
    assert_eq!(world.settled(0), 9, "{:?}", world.demands());
}

#[test]
fn a_burst_within_an_epoch_neither_drains_it_nor_moves_the_threshold() {
    let usual = People::random(30.0);
    let mut world = World::off_by(1.0, usual);
    world.run(3, &[usual]);
    let before = world.difficulty.distance_billionths;
    world.day(&[usual], 40_000_000..41_800_000, &[People::random(30_000.0)]);
    assert!(world.days[3].busiest_hour <= 3_600 + 100);
    assert!(
        world.difficulty.distance_billionths.abs_diff(before) < world.params.distance_sigma_billionths / 20
    );
    world.run(2, &[usual]);
    assert!(world.settled(3) == 0, "{:?}", world.demands());
}

#[test]
fn people_who_come_every_second_day_do_not_make_the_threshold_swing() {
    let mut world = World::off_by(1.0, People::random(30.0));
    for day in 0..30 {
        let data_per_second = if day % 2 == 0 { 30.0 } else { 300.0 };
        world.run(1, &[People::random(data_per_second)]);
    }
    let sigma = world.params.distance_sigma_billionths;
    assert!(world.swing(0) < sigma / 3, "{}", world.swing(0));
    assert!(world.swing(10) < sigma / 20, "{}", world.swing(10));
    // Nor does that make it deaf to those who come to stay.
    world.run(14, &[People::random(3_000.0)]);
    assert!(world.settled(30) <= 10, "{:?}", world.demands());
}

#[test]
fn people_who_are_better_than_random_are_followed() {
    let skilled = |deviation| People {
        mean: 0.97,
        deviation,
        ..People::random(10.0)
    };
    for deviation in [0.044, 0.022, 0.011, 0.005_5] {
        for factor in [100.0, 0.01] {
            let mut world = World::off_by(factor, skilled(deviation));
            world.run(24, &[skilled(deviation)]);
            assert!(world.settled(0) <= 10, "{deviation} {:?}", world.demands());
        }
    }
}

/// Easy targets are filled at once, and hard ones stay: in the end most that are open are hard.
#[test]
fn people_whose_data_are_alike_are_followed() {
    for alike in [0.5, 0.8] {
        let people = People {
            alike,
            ..People::random(100.0)
        };
        for factor in [100.0, 0.01] {
            let mut world = World::off_by(factor, people);
            world.run(18, &[people]);
            for day in &world.days[11..] {
                assert!(day.hits > 80_000, "{alike} {day:?}");
            }
            assert!(world.swing(11) < world.params.distance_sigma_billionths / 20);
        }
    }
}
