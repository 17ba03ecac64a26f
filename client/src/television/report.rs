//! The report for the operator: no addresses, no names of people, servers or folders, no secrets.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::SystemTime;

use jiff::Timestamp;

use super::View;
use crate::stats::Stats;

/// Changes that are remembered.
const CHANGES: usize = 100;
/// What stands in the place of what was left out.
const LEFT_OUT: &str = "[left-out]";

/// What happened last.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    changes: VecDeque<(SystemTime, String)>,
}

impl History {
    /// Remembers how it is now.
    pub(super) fn push(&mut self, view: &View) {
        let problems: Vec<String> =
            view.problems.iter().map(|problem| problem.words().to_string()).collect();
        if self.changes.len() >= CHANGES {
            self.changes.pop_front();
        }
        let text = format!("{:?}: {}", view.phase, problems.join(" | "));
        self.changes.push_back((SystemTime::now(), text));
    }
}

fn time(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "?".to_owned(), |time| format!("{time:.0}"))
}

/// The report.
pub(super) fn write(view: &View, stats: &Stats, history: &History) -> String {
    let mut out = String::new();
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let _ = writeln!(out, "Braidcast {}", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(out, "written: {}", time(SystemTime::now()));
    let _ = writeln!(out, "system: {} {}", system.unwrap_or("?"), std::env::consts::ARCH);
    let _ = writeln!(out, "doing: {:?}", view.phase);
    let settings = &view.settings;
    let _ = writeln!(
        out,
        "settings: quality {:?}, cache {} MB, sharing {:?}, sound {:?}, subtitles {:?}, volume {}, muted {}",
        settings.quality,
        settings.cache_mb,
        settings.sharing,
        settings.sound,
        settings.subtitles,
        settings.volume,
        settings.muted,
    );
    let _ = writeln!(out, "sent to others: {:?}", view.upload);
    let transport = &view.transport;
    let behind = transport.edge.zip(transport.shown).map(|(edge, shown)| edge.since(shown));
    let _ = writeln!(
        out,
        "transport: {:?}, behind {:?}, on disk {} bytes",
        transport.mode, behind, transport.on_disk
    );
    let _ = writeln!(out, "channels: {}, guide: {}", view.line_up.len(), !view.guide.is_empty());
    let kept = view.account.as_ref().map(|account| account.kept);
    let _ = writeln!(out, "signed in: {}, kept: {kept:?}", view.account.is_some());
    out.push_str("\nproblems now:\n");
    for problem in &view.problems {
        let _ = writeln!(out, "- {:?}: {}", problem.severity(), problem.words());
    }
    out.push_str("\nwhat happened last:\n");
    for (at, what) in &history.changes {
        let _ = writeln!(out, "{} {what}", time(*at));
    }
    out.push_str("\nfigures:\n");
    let mut stats = serde_json::to_value(stats).unwrap_or_default();
    // Who feeds whom is nobody else's business; what kind of peer, and where, helps.
    for parent in stats["substreams"].as_array_mut().into_iter().flatten() {
        parent.as_object_mut().map(|parent| parent.remove("parent"));
    }
    let _ = writeln!(out, "{}", serde_json::to_string_pretty(&stats).unwrap_or_default());
    redact(&out, view)
}

/// Takes out what a message of the system or the platform may have brought along.
fn redact(text: &str, view: &View) -> String {
    let mut secrets: Vec<String> = Vec::new();
    for variable in ["HOME", "USER", "LOGNAME", "HOSTNAME"] {
        secrets.extend(std::env::var(variable).ok());
    }
    secrets.extend(view.settings.user.clone());
    secrets.extend(view.settings.server.as_ref().and_then(|url| url.host_str()).map(str::to_owned));
    if let Some(account) = &view.account {
        secrets.extend(account.user.clone());
        secrets.extend(account.server.host_str().map(str::to_owned));
    }
    // Letters alone would tear words of our own apart, and a root folder every path.
    secrets.retain(|secret| secret.len() > 2);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut text = text.to_owned();
    for secret in secrets {
        text = text.replace(&secret, LEFT_OUT);
    }
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let words = line.split_inclusive([' ', '"', ',', '(', ')', '|']);
        words.for_each(|word| out.push_str(&redact_word(word)));
        out.push('\n');
    }
    out
}

/// A word with its separator, unless it is an address, a path or something as long as a token.
fn redact_word(word: &str) -> String {
    let bare = word.trim_end_matches([' ', '"', ',', '(', ')', '|', '.', ':', ';', '\'']);
    let end = &word[bare.len()..];
    let start = bare.trim_start_matches(['\'', '`', '<']);
    let host = match start.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => start,
    };
    // An address of IPv6 alone looks as if it ended in a port.
    let is_ip = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_address = is_ip(start) || is_ip(host);
    let is_place = start.contains("://") || start.starts_with('/') || start.contains('@');
    let is_token = start.len() >= 24
        && start.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+/=".contains(c))
        && start.chars().any(|c| c.is_ascii_digit());
    if is_address || is_place || is_token { format!("{LEFT_OUT}{end}") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Account, Phase, Transport};
    use super::*;
    use crate::choices::Settings;
    use crate::problem::Problem;
    use crate::vault::Kept;

    #[test]
    fn there_is_no_address_no_name_and_no_secret_in_it() {
        let token = "rt_0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
        let why = format!(
            "cannot reach 192.0.2.77:4433 or [2001:db8::77]:443 (2001:db8::78) of https://tv.secret.example/x \
             as anna.secret with {token} in /home/anna.secret/.local/state, mail anna@secret.example"
        );
        let settings = Settings {
            server: "https://tv.secret.example/".parse().ok(),
            user: Some("anna.secret".into()),
            ..Settings::default()
        };
        let view = View {
            phase: Phase::Playing { channel: "one".into() },
            line_up: Vec::new(),
            transport: Transport::default(),
            settings: Arc::new(settings),
            guide: Arc::default(),
            problems: vec![
                Problem::Refused { why: why.clone() },
                Problem::CacheOff { why: why.clone() },
                Problem::Picture { why: why.clone() },
                Problem::WrongServer { server: "tv.secret.example".into() },
                Problem::LocalAddress { address: "127.0.0.1:7878".into() },
            ],
            upload: Default::default(),
            local: "127.0.0.1:7878".parse().ok(),
            account: Some(Account {
                server: "https://tv.secret.example/".parse().unwrap(),
                user: Some("anna.secret".into()),
                platform: "tv".into(),
                kept: Kept::File,
            }),
        };
        let mut history = History::default();
        for _ in 0..3 * CHANGES {
            history.push(&view);
        }
        assert_eq!(history.changes.len(), CHANGES);
        let parent = crate::stats::Substream {
            index: 3,
            parent: ticket::PeerId([7; 32]).to_string(),
            role: ticket::Role::Viewer,
            subset: Some(4),
            asn: Some(64512),
            country: "CH".parse().ok(),
        };
        let peer = parent.parent.clone();
        let mut stats = Stats::new("one".into(), None, None, Default::default());
        stats.substreams.push(parent);
        let report = write(&view, &stats, &history);
        for secret in [
            "192.0.2.77",
            "2001:db8",
            "secret.example",
            "anna",
            token,
            "/home",
            ".local",
            "127.0.0.1",
            &peer,
        ] {
            assert!(!report.contains(secret), "{secret} in {report}");
        }
        for wanted in
            ["Braidcast ", "64512", "\"CH\"", "cannot reach", "Playing", "viewer", "stalls"]
        {
            assert!(report.contains(wanted), "{wanted} in {report}");
        }
    }
}
