//! The same scenario and seed give the same report, byte for byte, on any number of threads.

use service::config;
use sim::Scenario;

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
