//! XMLTV's times: `YYYYMMDDhhmmss +hhmm`, of which all after the year may be missing from the right; UTC without an offset.

/// Seconds since 1970 UTC.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (time, zone) = text.split_at(digits);
    if !matches!(digits, 4 | 6 | 8 | 10 | 12 | 14) {
        return None;
    }
    let part = |from: usize, len: usize, missing: i64| match time.get(from..from + len) {
        Some(digits) => digits.parse::<i64>().ok(),
        None => Some(missing),
    };
    let (year, month, day) = (part(0, 4, 0)?, part(4, 2, 1)?, part(6, 2, 1)?);
    let (hour, minute, second) = (part(8, 2, 0)?, part(10, 2, 0)?, part(12, 2, 0)?);
    let fits = (1900..=2999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let offset = offset(zone.trim())?;
    fits.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    if zone.is_empty() || ["utc", "gmt", "z"].iter().any(|name| zone.eq_ignore_ascii_case(name)) {
        return Some(0);
    }
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970 of a day of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_and_without_offsets() {
        for (text, wanted) in [
            ("19700101000000 +0000", Some(0)),
            ("20260101123000 +0100", Some(1_767_267_000)),
            ("20260101063000 -0500", Some(1_767_267_000)),
            ("20260101113000 UTC", Some(1_767_267_000)),
            ("20260101113000 +00:00", Some(1_767_267_000)),
            ("20240229000000 +0000", Some(1_709_164_800)),
            ("202401010000 Z", Some(1_704_067_200)),
            ("tomorrow", None),
            ("20240229", Some(1_709_164_800)),
            ("20261301000000 +0000", None),
            ("20260101000000 MEZ", None),
            ("20260101000000 +01", None),
            ("2026010100000 +0100", None),
            ("", None),
            ("99999999999999 +0000", None),
            ("20260101000000 +é00", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
    }
}
