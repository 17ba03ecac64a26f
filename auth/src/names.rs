//! What may be the name of something.

use crate::store::Error;

/// Longest user name, bytes.
pub(crate) const USERNAME: usize = 128;

/// Longest password, bytes: more is not hashed.
pub(crate) const PASSWORD: usize = 1024;

/// Shortest password, characters.
const SHORTEST_PASSWORD: usize = 6;

/// Shortest credential that an operator may choose, characters.
const SHORTEST_CREDENTIAL: usize = 20;

/// All channel names of a package together, bytes: a ticket must stay below 8 KiB.
const CHANNELS: usize = 3_000;

/// The channel name that stands for all.
pub(crate) const EVERY: &str = "*";

fn invalid(what: impl Into<String>) -> Error {
    Error::Invalid(what.into())
}

/// A name as people type it: no blanks at the ends, nothing that cannot be seen.
pub(crate) fn username(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > USERNAME {
        Err(invalid(format!("a user name has 1 to {USERNAME} bytes")))
    } else if name.trim() != name || name.chars().any(char::is_control) {
        Err(invalid("a user name has no blanks at its ends and no control characters"))
    } else {
        Ok(())
    }
}

/// Length is all that is asked of a password.
pub(crate) fn password(password: &str) -> Result<(), Error> {
    if password.chars().count() < SHORTEST_PASSWORD {
        Err(invalid(format!("a password has at least {SHORTEST_PASSWORD} characters")))
    } else if password.len() > PASSWORD {
        Err(invalid(format!("a password has at most {PASSWORD} bytes")))
    } else {
        Ok(())
    }
}

/// A credential that an operator chose must not be one that can be guessed.
pub(crate) fn credential(credential: &str) -> Result<(), Error> {
    if (SHORTEST_CREDENTIAL..=256).contains(&credential.len()) {
        Ok(())
    } else {
        Err(invalid(format!("a credential has {SHORTEST_CREDENTIAL} to 256 characters")))
    }
}

/// Names in tickets, addresses and metrics: letters, digits, dot, dash, underscore.
pub(crate) fn plain(what: &str, name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if (1..=64).contains(&name.len()) && name.chars().all(fits) {
        Ok(())
    } else {
        Err(invalid(format!(
            "`{}` cannot be the name of a {what}: 1 to 64 of a-z A-Z 0-9 . - _",
            name.escape_debug()
        )))
    }
}

/// Channels of a package or node, sorted, each once; `*` stands for all and then alone.
pub(crate) fn channels(names: &[String]) -> Result<Vec<String>, Error> {
    for name in names.iter().filter(|name| *name != EVERY) {
        plain("channel", name)?;
    }
    let names = merge(names.iter().cloned());
    if names.iter().map(String::len).sum::<usize>() > CHANNELS {
        return Err(invalid(format!(
            "the names of all channels together have more than {CHANNELS} bytes; write \"*\" for all"
        )));
    }
    Ok(names)
}

/// Sorted, each once, and only `*` if it is among them.
pub(crate) fn merge(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: std::collections::BTreeSet<String> = names.collect();
    if names.contains(EVERY) { vec![EVERY.to_owned()] } else { names.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_visible() {
        for good in ["a", "Anna", "anna@example.org", "Ännchen von Tharau"] {
            assert!(username(good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "a\nb", &"x".repeat(USERNAME + 1)] {
            assert!(username(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(plain("node", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn channels_are_sorted_once_each_and_all_stands_alone() {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(channels(&names(&["b", "a", "b"])).unwrap(), names(&["a", "b"]));
        assert_eq!(channels(&names(&["b", "*"])).unwrap(), names(&["*"]));
        assert!(channels(&names(&["a/b"])).is_err());
        let many: Vec<String> = (0..1000).map(|i| format!("channel-{i}")).collect();
        assert!(channels(&many).is_err());
    }
}
