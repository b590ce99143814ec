//! Observation: what a node says of itself, and where the simulator may make mischief.
//!
//! [`event!`](crate::event) states a protocol fact that oracles and traces read. [`reached!`](crate::reached) and
//! [`sometimes!`](crate::sometimes) mark places that a test budget must get to. [`buggify!`](crate::buggify) asks
//! whether to take a rare but legal turn here: never in production. Each macro takes the [`Env`](crate::Env) first.

use linkme::distributed_slice;

/// Takes what a node says of itself. It must not change what the node does, but for [`buggify`](Self::buggify).
pub trait Probe: Clone + Send + Sync + 'static {
    /// A protocol fact.
    fn event(&self, event: Event<'_>);

    /// Control came by `site`.
    fn reached(&self, site: &'static Site);

    /// Control came by `site`, and the condition held there or not.
    fn sometimes(&self, site: &'static Site, held: bool);

    /// Whether to take the rare turn at `site`. Production answers `false`.
    fn buggify(&self, site: &'static Site) -> bool;
}

/// A protocol fact: a kind, two numbers whose meaning the kind fixes, and perhaps a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What happened, in `snake_case`.
    pub kind: &'static str,
    /// First number.
    pub a: u64,
    /// Second number.
    pub b: u64,
    /// Digest of what it happened to.
    pub digest: Option<&'a [u8; 32]>,
}

/// A marked place in the source.
#[derive(Debug)]
pub struct Site {
    /// Its name, unique in the program.
    pub name: &'static str,
    /// What it asks for.
    pub kind: SiteKind,
    /// Source file.
    pub file: &'static str,
    /// Source line.
    pub line: u32,
}

/// What a [`Site`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteKind {
    /// To be reached within a test budget.
    Reached,
    /// To be reached with its condition true within a test budget.
    Sometimes,
    /// To be taken as a rare turn within a test budget.
    Buggify,
}

/// Every marked place of the program, in no particular order.
#[distributed_slice]
pub static SITES: [Site];

/// States a protocol fact: `event!(env, "round_started", round, 0)` or, with a digest,
/// `event!(env, "block_made", round, author, &digest)`.
#[macro_export]
macro_rules! event {
    ($env:expr, $kind:literal, $a:expr, $b:expr) => {
        $crate::Probe::event(
            $crate::Env::probe(&$env),
            $crate::Event {
                kind: $kind,
                a: $a,
                b: $b,
                digest: ::core::option::Option::None,
            },
        )
    };
    ($env:expr, $kind:literal, $a:expr, $b:expr, $digest:expr) => {
        $crate::Probe::event(
            $crate::Env::probe(&$env),
            $crate::Event {
                kind: $kind,
                a: $a,
                b: $b,
                digest: ::core::option::Option::Some($digest),
            },
        )
    };
}

/// Marks a place that some run must reach.
#[macro_export]
macro_rules! reached {
    ($env:expr, $name:literal) => {{
        $crate::__site!($name, Reached);
        $crate::Probe::reached($crate::Env::probe(&$env), &SITE);
    }};
}

/// Marks a place that some run must reach with `condition` true.
#[macro_export]
macro_rules! sometimes {
    ($env:expr, $name:literal, $condition:expr) => {{
        $crate::__site!($name, Sometimes);
        $crate::Probe::sometimes($crate::Env::probe(&$env), &SITE, $condition);
    }};
}

/// Whether to take a rare but legal turn here.
#[macro_export]
macro_rules! buggify {
    ($env:expr, $name:literal) => {{
        $crate::__site!($name, Buggify);
        $crate::Probe::buggify($crate::Env::probe(&$env), &SITE)
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __site {
    ($name:literal, $kind:ident) => {
        #[$crate::__private::linkme::distributed_slice($crate::probe::SITES)]
        #[linkme(crate = $crate::__private::linkme)]
        static SITE: $crate::Site = $crate::Site {
            name: $name,
            kind: $crate::SiteKind::$kind,
            file: file!(),
            line: line!(),
        };
    };
}
