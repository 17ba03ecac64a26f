//! Metrics for Prometheus, all named `braidcast_*`.
//!
//! Label sets must be bounded: never a viewer's address or peer id.

use std::{
    fmt, fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use axum::{Router, http::header, response::IntoResponse, routing::get};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{
        counter::ConstCounter,
        gauge::{ConstGauge, Gauge},
        info::Info,
    },
    registry::{self, Metric},
};

pub use prometheus_client;

/// All metrics of a program. Clones share one state.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Mutex<registry::Registry>>,
}

impl Registry {
    /// A registry with the program's version and its use of processor, memory and files.
    ///
    /// `program` is the short name, such as "repeater"; `version` is usually
    /// `env!("CARGO_PKG_VERSION")`.
    pub fn new(program: &str, version: &str) -> Self {
        let mut inner = registry::Registry::with_prefix("braidcast");
        let labels = vec![("program", program.to_owned()), ("version", version.to_owned())];
        inner.register("build", "What runs here", Info::new(labels));
        inner.register_collector(Box::new(Process { started: Instant::now() }));
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Adds a metric. The name gets the prefix `braidcast_`, counters the suffix `_total`; put the
    /// unit into the name ("egress_bytes").
    pub fn register(&self, name: impl Into<String>, help: impl Into<String>, metric: impl Metric) {
        self.lock().register(name, help, metric);
    }

    /// Adds and returns a metric that starts at its default, such as a `Counter` or `Gauge`.
    pub fn add<M: Metric + Clone + Default>(&self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.register(name, help, metric.clone());
        metric
    }

    /// Adds metrics that are computed at each scrape.
    pub fn register_collector(&self, collector: Box<dyn Collector>) {
        self.lock().register_collector(collector);
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.lock()) {
            Ok(()) => out,
            Err(fmt::Error) => String::from("# EOF\n"),
        }
    }

    /// The route `/metrics`.
    pub fn router(&self) -> Router {
        let registry = self.clone();
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        Router::new().route(
            "/metrics",
            get(move || async move {
                ([(header::CONTENT_TYPE, kind)], registry.encode()).into_response()
            }),
        )
    }

    fn lock(&self) -> MutexGuard<'_, registry::Registry> {
        // A collector that panicked leaves the list of metrics as it was.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the program's own figures from the system at each scrape.
#[derive(Debug)]
struct Process {
    started: Instant,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let up: Gauge<f64, std::sync::atomic::AtomicU64> = Gauge::default();
        up.set(self.started.elapsed().as_secs_f64());
        up.encode(encoder.encode_descriptor(
            "uptime_seconds",
            "Time since the program started",
            None,
            up.metric_type(),
        )?)?;
        if let Some(seconds) = processor_seconds() {
            let metric = ConstCounter::new(seconds);
            metric.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                "Processor time used, in user and system mode",
                None,
                metric.metric_type(),
            )?)?;
        }
        if let Some(bytes) = resident_bytes() {
            let metric = ConstGauge::new(bytes);
            metric.encode(encoder.encode_descriptor(
                "process_resident_bytes",
                "Memory in use",
                None,
                metric.metric_type(),
            )?)?;
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            let metric = ConstGauge::new(files.count() as i64);
            metric.encode(encoder.encode_descriptor(
                "process_open_files",
                "Open files and sockets",
                None,
                metric.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

/// Linux counts in hundredths of a second here, whatever the kernel's own tick is (`USER_HZ`).
fn processor_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn metrics_carry_the_prefix_and_the_program() {
        let registry = Registry::new("repeater", "1.2.3");
        let bytes: Counter = registry.add("egress_bytes", "Bytes sent");
        bytes.inc_by(7);
        let text = registry.encode();
        assert!(text.contains("braidcast_egress_bytes_total 7\n"), "{text}");
        assert!(text.contains(r#"braidcast_build_info{program="repeater",version="1.2.3"} 1"#));
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_process_reports_its_own_use() {
        let text = Registry::new("x", "0").encode();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        assert!(value("braidcast_process_resident_bytes ") > 1e6);
        assert!(value("braidcast_process_open_files ") >= 3.0);
        assert!(value("braidcast_process_cpu_seconds_total ") >= 0.0);
        assert!(value("braidcast_uptime_seconds ") >= 0.0);
    }
}
