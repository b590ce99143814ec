//! A process gets the layout that it asks for. The tests start this program again, and its children show where they lie.
// tidy: allow std-env in this file: the planted leaks and the tripwire name what they watch for

use std::process::Command;

use sim::worker::{Layout, fix_layout, random_layout_command};

/// In a child: whether it asks for a fixed layout.
const ROLE: &str = "SOMA_SIM_TEST_ROLE";

#[test]
fn a_layout_is_what_was_asked_for() {
    static PLACE: u8 = 7;
    let name = "a_layout_is_what_was_asked_for";
    if let Some(role) = std::env::var_os(ROLE) {
        let layout = match role == "fix" {
            true => fix_layout().unwrap(),
            false => Layout::Random,
        };
        let heap = Box::new(0u8);
        let places = [&raw const PLACE, &raw const *heap].map(|place| place.addr());
        println!("\nlies {layout:?} {places:x?}");
        return;
    }
    let lies = |command: &mut Command| {
        let output = command
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let line = output.lines().find(|line| line.starts_with("lies"));
        line.unwrap_or_else(|| panic!("{output}")).to_owned()
    };
    let random = || lies(random_layout_command().unwrap().env(ROLE, "stay"));
    assert_ne!(random(), random());
    // A process of a host that randomizes, which nobody has started again yet.
    let fixed = || {
        lies(
            random_layout_command()
                .unwrap()
                .env_remove("SOMA_SIM_LAYOUT")
                .env(ROLE, "fix"),
        )
    };
    let (first, again) = (fixed(), fixed());
    if first.starts_with("lies Fixed") {
        let image = |line: &str| line.split(',').next().map(str::to_owned);
        assert_eq!(image(&first), image(&again));
    }
}
