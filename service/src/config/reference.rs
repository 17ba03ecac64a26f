//! Annotated reference configurations, kept true by a test.

use std::{fmt::Debug, fs, path::Path};

use serde::de::DeserializeOwned;

use super::document::Document;

/// Compares an annotated reference configuration with the code. Gives what does not fit.
///
/// In such a file
/// - `# words` are explanations;
/// - `#key = value` (no blank after the mark) shows a default: uncommented, nothing changes;
/// - `#~ key = value` or `#~ [[section]]` shows an example of what has no default.
///
/// The file as it is, and with its defaults uncommented, must equal `T::default()`; with examples
/// too it must be readable, and every key that exists must appear.
pub fn reference_problems<T>(text: &str) -> Vec<String>
where
    T: DeserializeOwned + Default + PartialEq + Debug,
{
    let mut found = Vec::new();
    for (how, text) in
        [("as it is", text.to_owned()), ("with defaults uncommented", uncomment(text, false))]
    {
        match read::<T>(&text) {
            Ok((value, _)) if value == T::default() => {}
            Ok((value, _)) => found.push(format!(
                "{how}, it does not equal the defaults:\n file {value:#?}\n code {:#?}",
                T::default()
            )),
            Err(problems) => {
                found.extend(problems.iter().map(|problem| format!("{how}: {problem}")))
            }
        }
    }
    match read::<T>(&uncomment(text, true)) {
        Ok((_, keys)) => {
            for (section, (known, given)) in keys {
                for key in known.iter().filter(|key| !given.contains(**key)) {
                    found.push(format!("key `{key}` of section [{section}] does not appear"));
                }
            }
        }
        Err(problems) => {
            found.extend(
                problems.iter().map(|problem| format!("with examples uncommented: {problem}")),
            );
        }
    }
    found
}

/// [`reference_problems`] of a file, for tests: `reference_test::<Config>("../deploy/config/x.toml")`.
///
/// # Panics
/// If the file cannot be read or does not fit the code.
pub fn reference_test<T>(path: impl AsRef<Path>)
where
    T: DeserializeOwned + Default + PartialEq + Debug,
{
    let path = path.as_ref();
    match fs::read_to_string(path) {
        Err(error) => panic!("cannot read {}: {error}", path.display()),
        Ok(text) => {
            let problems = reference_problems::<T>(&text);
            assert!(problems.is_empty(), "{}:\n{}", path.display(), problems.join("\n"));
        }
    }
}

fn read<T: DeserializeOwned>(
    text: &str,
) -> Result<(T, super::document::Keys), Vec<super::Problem>> {
    Document::parse(text)?.keys().map_err(|problem| vec![problem])
}

/// Keeps the number of lines, so that problems name the right one.
fn uncomment(text: &str, examples: bool) -> String {
    let line = |line: &str| -> String {
        let trimmed = line.trim_start();
        if let Some(example) = trimmed.strip_prefix("#~") {
            return if examples { example.to_owned() } else { String::new() };
        }
        match trimmed.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') => {
                rest.to_owned()
            }
            _ => line.to_owned(),
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        level: u8,
        name: Option<String>,
        sources: Vec<Source>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Source {
        uri: String,
        #[serde(default)]
        loud: bool,
    }

    impl Default for Config {
        fn default() -> Self {
            Self { level: 3, name: None, sources: Vec::new() }
        }
    }

    const GOOD: &str = "\
# How much.
#level = 3
# What it is called.
#~ name = 'x'

#~ [[sources]]
#~ uri = 'file:x'
# Loud ones are heard.
#~ loud = true
";

    #[test]
    fn a_true_reference_passes() {
        assert_eq!(reference_problems::<Config>(GOOD), Vec::<String>::new());
    }

    #[test]
    fn every_way_to_be_untrue_is_found() {
        for (from, to, says) in [
            ("#level = 3", "#level = 4", "does not equal the defaults"),
            ("#level = 3", "level = 4", "as it is, it does not equal"),
            ("#level = 3", "", "key `level` of section [] does not appear"),
            ("#~ loud = true", "", "key `loud` of section [sources] does not appear"),
            ("#~ loud", "#~ lout", "did you mean `loud`"),
            ("#level", "#levels", "unknown key `levels` at line 2"),
        ] {
            let problems = reference_problems::<Config>(&GOOD.replace(from, to)).join("\n");
            assert!(problems.contains(says), "{from} -> {to}: {problems}");
        }
    }
}
