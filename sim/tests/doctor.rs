//! The doctor finds this host fit, or says what it refuses.

#[test]
fn nothing_that_this_host_can_catch_is_missed() {
    let report = sim::doctor::report().unwrap();
    println!("{report}");
    assert!(report.is_healthy(), "{report}");
}
