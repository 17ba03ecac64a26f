//! A plan is the least number of repeaters that holds, and says so if none does.

use service::config::Duration;
use sim::Scenario;
use sim::plan;

fn scenario() -> Scenario {
    let mut scenario = Scenario { duration: Duration::from_secs(40), ..Scenario::default() };
    scenario.viewers.count = 6;
    scenario.viewers.ramp = Duration::from_secs(6);
    // Nobody lends anything: repeaters must feed everyone.
    scenario.viewers.free_riders = 1.0;
    scenario.repeaters.at_least = 1;
    scenario.repeaters.substreams_at_least = 1;
    scenario
}

#[test]
fn viewers_who_lend_nothing_need_repeaters_for_all() {
    let mut tried = Vec::new();
    let plan = plan::find(&scenario(), 0.05, 1, &mut |attempt| tried.push(*attempt));
    let found = plan.found.expect("repeaters for everyone are enough");
    assert!(found.audience_share > 0.25, "{plan}");
    assert!(found.stalled_share < 0.05, "{plan}");
    let fewer = |attempt: &&plan::Attempt| attempt.audience_share < found.audience_share;
    assert!(tried.iter().filter(fewer).all(|attempt| attempt.stalled_share >= 0.05), "{tried:?}");
}

#[test]
fn what_cannot_be_is_said() {
    let plan = plan::find(&scenario(), 0.0, 1, &mut |_| {});
    assert!(plan.found.is_none());
    assert!(plan.to_string().contains("not enough"));
}
