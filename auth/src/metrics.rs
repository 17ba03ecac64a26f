//! Figures for Prometheus; label sets are bounded by the words used in this crate.

use service::metrics::Registry;
use service::metrics::prometheus_client::encoding::EncodeLabelSet;
use service::metrics::prometheus_client::metrics::counter::Counter;
use service::metrics::prometheus_client::metrics::family::Family;

/// What became of something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) result: &'static str,
}

type Outcomes = Family<Outcome, Counter>;

/// All figures of auth. Clones share one state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) sign_ins: Outcomes,
    pub(crate) refreshes: Outcomes,
    pub(crate) node_sign_ins: Outcomes,
    pub(crate) locations: Outcomes,
    pub(crate) location_reads: Outcomes,
    pub(crate) revocation_polls: Counter,
    pub(crate) sign_outs: Counter,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &Registry) {
        for (name, help, family) in [
            ("auth_sign_ins", "Sign-ins of users by result", &self.sign_ins),
            ("auth_refreshes", "Renewals of users' tickets by result", &self.refreshes),
            ("auth_node_sign_ins", "Sign-ins and renewals of nodes by result", &self.node_sign_ins),
            ("auth_locations", "Locations given, by what is known", &self.locations),
            (
                "auth_location_reads",
                "Readings of location databases by result",
                &self.location_reads,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        registry.register("auth_sign_outs", "Sign-outs of users", self.sign_outs.clone());
        registry.register(
            "auth_revocation_polls",
            "Answers to rendezvous asking for revocations",
            self.revocation_polls.clone(),
        );
    }
}

/// Counts one.
pub(crate) fn count(family: &Outcomes, result: &'static str) {
    family.get_or_create(&Outcome { result }).inc();
}
