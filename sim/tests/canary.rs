//! Every planted leak is caught, as it must be, and named.

use sim::canary::{Expected, Verdict, run_all};

#[test]
fn every_canary_is_caught_and_its_place_named() {
    let reports = run_all().unwrap();
    for report in &reports {
        println!("{report}");
    }
    let missed: Vec<_> = reports
        .iter()
        .filter(|report| report.verdict == Verdict::Missed)
        .map(ToString::to_string)
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
    let unnamed: Vec<_> = reports
        .iter()
        .filter(|report| {
            let stops = matches!(report.canary.expected, Expected::Trip(..) | Expected::Panic(_));
            let named = report
                .place
                .as_ref()
                .is_some_and(|place| place.to_string().contains("sim/src/canary/"));
            stops && report.verdict == Verdict::Pass && !named
        })
        .map(ToString::to_string)
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:#?}");
}
