//! Times as the viewer reads them, in the viewer's time zone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gtk::glib;

use super::words::{put, tr};

fn local(time: SystemTime) -> Option<glib::DateTime> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    glib::DateTime::from_unix_local(i64::try_from(seconds).ok()?).ok()
}

/// The time of day: `20:15`.
pub(super) fn clock(time: SystemTime) -> String {
    local(time).and_then(|time| time.format("%H:%M").ok()).map(String::from).unwrap_or_default()
}

/// The day, for people: `Yesterday`, `Today`, `Tomorrow`, or its name and date.
pub(super) fn day(time: SystemTime, now: SystemTime) -> String {
    let Some((time, now)) = local(time).zip(local(now)) else { return String::new() };
    let number = |day: &glib::DateTime| (day.year(), day.day_of_year());
    let is = |days| now.add_days(days).is_ok_and(|day| number(&time) == number(&day));
    if is(0) {
        tr("Today").to_owned()
    } else if is(1) {
        tr("Tomorrow").to_owned()
    } else if is(-1) {
        tr("Yesterday").to_owned()
    } else {
        time.format("%A, %x").map(String::from).unwrap_or_default()
    }
}

/// From, to, and how long: `20:15 – 21:45 (90 min)`.
pub(super) fn span(from: SystemTime, to: SystemTime) -> String {
    let minutes = to.duration_since(from).unwrap_or_default().as_secs() / 60;
    let length = put(tr("{minutes} min"), "minutes", minutes);
    format!("{} – {} ({length})", clock(from), clock(to))
}

/// A stretch of time: `0:07`, `12:30`, `1:02:03`.
pub(super) fn stretch(time: Duration) -> String {
    let (hours, minutes, seconds) =
        (time.as_secs() / 3600, time.as_secs() / 60 % 60, time.as_secs() % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// Bytes: `12 MB`.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{} kB", count / 1000),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

/// Bits per second: `1.8 Mbit/s`.
pub(super) fn rate(bits: u64) -> String {
    match bits {
        0..1_000_000 => format!("{} kbit/s", bits / 1000),
        _ => format!("{:.1} Mbit/s", bits as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_and_amounts_are_short() {
        assert_eq!(stretch(Duration::from_secs(7)), "0:07");
        assert_eq!(stretch(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(bytes(12_340_000), "12.3 MB");
        assert_eq!(rate(640_000), "640 kbit/s");
        assert_eq!(
            span(UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(5400)).split(' ').nth(3),
            Some("(90")
        );
    }

    #[test]
    fn days_near_now_have_words() {
        let now = UNIX_EPOCH + Duration::from_secs(400 * 86_400);
        let after =
            |days: i64| day(UNIX_EPOCH + Duration::from_secs((400 + days) as u64 * 86_400), now);
        assert_eq!([after(-1), after(0), after(1)], ["Yesterday", "Today", "Tomorrow"]);
        assert!(after(-2).contains(", ") && after(2).contains(", "));
    }
}
