//! The layer table: which crate may use which. ARCHITECTURE.md shows the same table to people.

/// How far a crate is from the outside world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// No async, no IO.
    Words,
    /// Pure: values in, values out.
    Rules,
    /// Async, generic over `env`.
    Composition,
    /// May name sockets, files, devices and terminals.
    Edges,
    /// Runs the others, or compares them with the world.
    Tools,
}

/// What one crate may name among the crates of this repository.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The crate, as we say it: without `soma-`.
    pub name: &'static str,
    /// Where it stands.
    pub layer: Layer,
    /// What it may use. Every row above `Words` may use `crypto` and `types` besides, except in `Tools`.
    pub uses: &'static [&'static str],
}

/// Every crate that this repository may have.
pub const TABLE: &[Row] = &[
    row("crypto", Layer::Words, &[]),
    row("types", Layer::Words, &["crypto"]),
    row("env", Layer::Words, &["crypto", "types"]),
    row("ledger", Layer::Rules, &[]),
    row("consensus", Layer::Rules, &[]),
    row("scoring", Layer::Rules, &["env"]),
    row("api", Layer::Rules, &[]),
    row(
        "node",
        Layer::Composition,
        &["env", "api", "ledger", "consensus", "scoring"],
    ),
    row("client", Layer::Composition, &["env", "api"]),
    row("runtime", Layer::Edges, &["env"]),
    row("blobs", Layer::Edges, &["env"]),
    row("gateway", Layer::Edges, &["env", "api"]),
    row("scorer", Layer::Edges, &["env", "api", "scoring", "blobs"]),
    row("cli", Layer::Edges, EDGES),
    row(
        "testkit",
        Layer::Edges,
        &["env", "ledger", "consensus", "scoring", "api"],
    ),
    row("sim", Layer::Edges, SIM),
    row("xtask", Layer::Tools, &[]),
    row("ledger-bench", Layer::Tools, &["crypto", "types", "ledger"]),
];

/// Compares this project with others, so it may use anything.
pub const BENCH: &str = "bench";

const EDGES: &[&str] = &[
    "env",
    "ledger",
    "consensus",
    "scoring",
    "api",
    "node",
    "client",
    "runtime",
    "blobs",
    "gateway",
    "scorer",
];
const SIM: &[&str] = &[
    "env",
    "ledger",
    "consensus",
    "scoring",
    "api",
    "node",
    "client",
    "testkit",
];

const fn row(name: &'static str, layer: Layer, uses: &'static [&'static str]) -> Row {
    Row { name, layer, uses }
}

/// The row of the crate called `name`, without `soma-`.
pub fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

impl Row {
    /// Whether it may use `other`. Tests may use `testkit` too, and the crate itself with its feature `testing`.
    pub fn may_use(&self, other: &str, in_tests: bool) -> bool {
        let words =
            self.layer != Layer::Words && self.layer != Layer::Tools && matches!(other, "crypto" | "types");
        let tests = in_tests && self.layer != Layer::Tools && (other == "testkit" || other == self.name);
        words || tests || self.uses.contains(&other)
    }

    /// Whether its code runs inside the simulator, or is the simulator: everything it does must follow from the seed.
    pub fn is_simulated(&self) -> bool {
        self.layer <= Layer::Composition || matches!(self.name, "testkit" | "sim")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_used_from_above() {
        for row in TABLE {
            for used in row.uses {
                let used = find(used).expect("a crate of the table");
                assert!(used.layer <= row.layer, "{} uses {}", row.name, used.name);
                assert!(
                    !used.uses.contains(&row.name),
                    "{} and {} use each other",
                    row.name,
                    used.name
                );
            }
        }
    }

    #[test]
    fn the_simulator_uses_only_what_is_simulated() {
        let sim = find("sim").expect("a crate of the table");
        assert!(
            sim.uses
                .iter()
                .all(|used| find(used).expect("a crate of the table").is_simulated())
        );
    }
}
