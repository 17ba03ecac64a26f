use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

const HEAD: &str = "msgid \"\"\nmsgstr \"\"\n\"Project-Id-Version: braidcast\\n\"\n\"Language: \\n\"\n\
    \"MIME-Version: 1.0\\n\"\n\"Content-Type: text/plain; charset=UTF-8\\n\"\n\
    \"Content-Transfer-Encoding: 8bit\\n\"\n\"Plural-Forms: nplurals=2; plural=(n != 1);\\n\"\n";

/// A text of the source, as it is written there, and its form for many.
type Text = (String, Option<String>);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A string literal at the beginning of `source`, after white space; what is between the quotation marks, and the rest.
fn literal(source: &str) -> Option<(&str, &str)> {
    let inside = source.trim_start().strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })?;
    Some((&inside[..end], &inside[end + 1..]))
}

/// The texts that are marked in one file: by `tr` and `trn`, or by `mark` among the problems.
fn texts_of(path: &Path) -> Vec<Text> {
    let source = fs::read_to_string(path).unwrap();
    let source = source.split("#[cfg(test)]").next().unwrap();
    let of_problems = path.components().any(|part| part.as_os_str() == "problem");
    let mut found = Vec::new();
    for (at, _) in source.match_indices('(') {
        let name = source[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
        let many = match name {
            Some("trn") => true,
            Some("tr") => false,
            Some("mark") if of_problems => false,
            _ => continue,
        };
        let Some((one, rest)) = literal(&source[at + 1..]) else { continue };
        let plural = rest.trim_start().strip_prefix(',').filter(|_| many).map(|rest| {
            literal(rest).unwrap_or_else(|| panic!("a form for many of {one}")).0.to_owned()
        });
        found.push((one.to_owned(), plural));
    }
    found
}

/// The source files in a folder and below.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}

/// All texts, each once, in order of file and place.
fn texts() -> Vec<Text> {
    let mut paths = Vec::new();
    for part in ["src/window", "src/problem"] {
        let mut files = sources(&folder().join(part));
        files.retain(|path| !path.ends_with("words_tests.rs"));
        files.sort();
        paths.extend(files);
    }
    let mut texts: Vec<Text> = Vec::new();
    for text in paths.iter().flat_map(|path| texts_of(path)) {
        if !texts.iter().any(|(known, _)| *known == text.0) {
            texts.push(text);
        }
    }
    texts
}

fn template(texts: &[Text]) -> String {
    let mut out = HEAD.to_owned();
    for (one, many) in texts {
        let _ = match many {
            Some(many) => write!(
                out,
                "\nmsgid \"{one}\"\nmsgid_plural \"{many}\"\nmsgstr[0] \"\"\nmsgstr[1] \"\"\n"
            ),
            None => write!(out, "\nmsgid \"{one}\"\nmsgstr \"\"\n"),
        };
    }
    out
}

/// The places for values in a text.
fn places(text: &str) -> Vec<&str> {
    let mut places: Vec<&str> =
        text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
    places.sort_unstable();
    places
}

/// `make translations` writes the template anew.
#[test]
fn the_template_has_all_texts_of_the_source() {
    let path = folder().join("po/braidcast.pot");
    let texts = texts();
    assert!(texts.len() > 100, "{} texts were found", texts.len());
    if std::env::var_os("WRITE_TEMPLATE").is_some() {
        fs::write(&path, template(&texts)).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(written == template(&texts), "run `make translations` and translate what is new");
}

#[test]
fn german_is_complete() {
    let (_, german) = CATALOGUES[0];
    let german = Catalogue::read(german).unwrap();
    let mut wrong = BTreeMap::new();
    for (one, many) in texts() {
        let one: &'static str = one.leak();
        let forms = german.get(one).unwrap_or_default();
        let wanted = 1 + usize::from(many.is_some());
        let full = forms.len() == wanted && forms.iter().all(|form| !form.is_empty());
        if !full || forms.iter().any(|form| places(form) != places(one)) {
            wrong.insert(one, forms);
        }
    }
    assert!(wrong.is_empty(), "without a right German text: {wrong:#?}");
}

#[test]
fn catalogues_are_read_and_damaged_ones_refused() {
    let (_, german) = CATALOGUES[0];
    let german = Catalogue::read(german).unwrap();
    assert_eq!(german.get("Channels").unwrap(), ["Sender"]);
    assert!(german.get("").unwrap()[0].contains("Language: de"));
    assert!(Catalogue::read(b"no catalogue").is_none());
    assert!(Catalogue::read(&CATALOGUES[0].1[..40]).is_none());
}

#[test]
fn values_are_put_in_by_name() {
    assert_eq!(put("{n} of {m}", "m", 3), "{n} of 3");
}
