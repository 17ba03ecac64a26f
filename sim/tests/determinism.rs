//! The same scenario and seed give the same report, byte for byte, on any number of threads.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use service::config;
use sim::{How, Scenario};

fn scenario() -> Scenario {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/churn.toml");
    let mut scenario: Scenario = config::load(path.as_ref()).expect("the scenario is valid");
    scenario.scale(24);
    scenario.duration = config::Duration::from_secs(40);
    scenario.viewers.ramp = config::Duration::from_secs(15);
    scenario.viewers.life = config::Duration::from_secs(20);
    // What nodes of several threads share.
    scenario.viewers.households = 0.5;
    scenario.viewers.clock_jumps = 0.2;
    scenario.transit.capacity = Some(config::Rate::from_kbits_per_second(12_000));
    scenario
}

fn report(scenario: &Scenario, threads: u32) -> String {
    let mut report = sim::run(scenario, threads, &mut |_| {});
    report.wall_seconds = 0.0;
    serde_json::to_string(&report).expect("a report can be written")
}

#[test]
fn any_number_of_threads_gives_the_same() {
    let scenario = scenario();
    let one = report(&scenario, 1);
    assert_eq!(one, report(&scenario, 1));
    assert_eq!(one, report(&scenario, 2));
    assert_eq!(one, report(&scenario, 5));
}

#[test]
fn another_seed_gives_another() {
    let mut scenario = scenario();
    let one = report(&scenario, 1);
    scenario.seed += 1;
    assert_ne!(one, report(&scenario, 1));
}

#[test]
fn a_run_that_is_stopped_tells_what_there_was() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let mut scenario = scenario();
    scenario.sample = config::Duration::from_secs(5);
    let whole = sim::run(&scenario, 1, &mut |_| {});
    let how = How { stop: Some(&STOP), ..How::from(1) };
    let part = sim::run(&scenario, how, &mut |progress| STOP.store(progress.done >= 20.0, Relaxed));
    assert!(part.stopped && !whole.stopped);
    assert_eq!(part.virtual_seconds, 20.0);
    assert!(part.startup_ms.count > 0 && part.startup_ms.count < whole.startup_ms.count);
    let [part, whole] =
        [&part, &whole].map(|report| serde_json::to_value(&report.samples).unwrap());
    let (part, whole) = (part.as_array().unwrap(), whole.as_array().unwrap());
    assert_eq!(part[..], whole[..4]);
}
