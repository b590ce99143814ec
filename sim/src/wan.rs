//! Tables of regions, and the floor that the speed of light sets to a protocol between them.
//!
//! A protocol step ends when a quorum has been heard. With `hops` steps, no processor time and no payload, a value that
//! a leader sends is known everywhere after the time that [`Table::floor`] reckons: what a run in the same table is
//! measured by.

use std::time::Duration;

use serde::Deserialize;

use crate::network::{LinkProfile, NetConfig};

/// Measured round trips between regions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What it is called.
    pub name: String,
    /// The regions, in the order in which nodes are put there, one after another.
    pub regions: Vec<String>,
    /// Round trips from region to region, row by row.
    pub round_trip_us: Vec<Vec<u64>>,
}

/// Of the latency, in parts of a hundred, that jitter adds at most.
const JITTER_PERCENT: u64 = 2;

impl Table {
    /// The ten regions of `config/wan/ten_regions.toml`.
    pub fn ten_regions() -> Self {
        toml::from_str(include_str!("../../config/wan/ten_regions.toml")).expect("the table is a table")
    }

    /// Microseconds from node `from` to node `to`: half of the round trip between their regions.
    fn one_way_us(&self, from: usize, to: usize) -> u64 {
        let region = |node: usize| node % self.regions.len();
        self.round_trip_us[region(from)][region(to)] / 2
    }

    /// The network of nodes that are put into the regions round robin.
    pub fn net(&self) -> NetConfig {
        let count = self.regions.len();
        let link = |from, to| {
            let latency_us = self.one_way_us(from, to);
            LinkProfile {
                latency_us,
                jitter_us: latency_us * JITTER_PERCENT / 100,
                tail_ppm: 5_000,
            }
        };
        NetConfig {
            regions: (0..count).collect(),
            links: (0..count)
                .map(|from| (0..count).map(|to| link(from, to)).collect())
                .collect(),
            egress_bytes_per_second: 125_000_000,
            ..NetConfig::lan()
        }
    }

    /// How long a value takes through `hops` steps among `nodes` nodes of equal stake, on average over the leaders that
    /// send it and the nodes that learn of it.
    ///
    /// The first step is the leader's message. In each later one every node sends on what it has, and has the next once
    /// it has heard `percent` of a hundred nodes, itself among them. One step ends when the leader's message is there.
    ///
    /// # Panics
    /// When there are no nodes or no steps, or a quorum is no part of the nodes.
    pub fn floor(&self, nodes: usize, hops: u32, percent: usize) -> Duration {
        assert!(nodes > 0 && hops > 0, "somebody sends something");
        assert!((1..=100).contains(&percent), "a quorum is a part of the nodes");
        let quorum = (nodes * percent).div_ceil(100);
        let total_us: u64 = (0..nodes)
            .map(|leader| self.spread_us(leader, nodes, hops, quorum))
            .sum();
        let count = (nodes * nodes) as u64;
        Duration::from_nanos(total_us * 1_000 / count)
    }

    /// The sum over all nodes of when each of them is done with a value of `leader`.
    fn spread_us(&self, leader: usize, nodes: usize, hops: u32, quorum: usize) -> u64 {
        let mut known: Vec<u64> = (0..nodes).map(|node| self.one_way_us(leader, node)).collect();
        for _ in 1..hops {
            let next = |node| {
                let heard = |(sender, at): (usize, &u64)| at + self.one_way_us(sender, node);
                let mut heard: Vec<u64> = known.iter().enumerate().map(heard).collect();
                *heard.select_nth_unstable(quorum - 1).1
            };
            known = (0..nodes).map(next).collect();
        }
        known.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(round_trip_us: &[&[u64]]) -> Table {
        Table {
            name: "small".to_owned(),
            regions: (0..round_trip_us.len())
                .map(|region| region.to_string())
                .collect(),
            round_trip_us: round_trip_us.iter().map(|row| row.to_vec()).collect(),
        }
    }

    #[test]
    fn the_ten_regions_have_the_floors_that_are_known_of_them() {
        let table = Table::ten_regions();
        assert!(table.round_trip_us.len() == 10 && table.round_trip_us.iter().all(|row| row.len() == 10));
        for nodes in [10, 50, 100] {
            let floors = [(1, 67), (2, 67), (3, 67), (2, 82)]
                .map(|(hops, percent)| table.floor(nodes, hops, percent).as_millis());
            assert_eq!(floors, [75, 182, 286, 213], "{nodes}");
        }
    }

    #[test]
    fn a_step_ends_when_the_quorum_is_heard_and_not_the_last_node() {
        // Two nodes close to each other, and one far from both.
        let table = table(&[&[0, 20, 2_000], &[20, 0, 2_000], &[2_000, 2_000, 0]]);
        // From the near ones: 0, 10 and 1,000; from the far one: 1,000, 1,000 and 0.
        assert_eq!(
            table.floor(3, 1, 67),
            Duration::from_nanos((2 * 1_010 + 2_000) * 1_000 / 9)
        );
        // Of two hops with two of three: 20, 10 and 1,000 from a near one, 1,000, 1,000 and 2,000 from the far one.
        let (near, far) = (20 + 10 + 1_000, 1_000 + 1_000 + 2_000);
        assert_eq!(
            table.floor(3, 2, 66),
            Duration::from_nanos((2 * near + far) * 1_000 / 9)
        );
    }

    #[test]
    fn nodes_stand_in_the_regions_round_robin() {
        let net = Table::ten_regions().net();
        let latency = |from, to| net.profile(from, to).latency_us;
        assert_eq!((latency(0, 1), latency(10, 21)), (31_972, 31_972));
        assert_eq!((latency(1, 0), latency(3, 13)), (32_080, 1_375));
        assert_eq!(net.profile(0, 1).jitter_us, 639);
    }
}
