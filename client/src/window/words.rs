//! What the viewer reads, in the viewer's language.
//!
//! Texts in the source are English and serve as keys (gettext). `client/po` holds the translations, which `build.rs`
//! compiles and this module carries inside; a test compares them with the source.

use std::collections::HashMap;
use std::sync::OnceLock;

use gtk::glib;

/// The translations that there are.
const CATALOGUES: [(&str, &[u8]); 1] = [("de", include_bytes!(concat!(env!("OUT_DIR"), "/de.mo")))];

static CHOSEN: OnceLock<Option<Catalogue>> = OnceLock::new();

/// Chooses the language: `wanted` (ISO 639-1) if one is, else the system's. Only the first call counts.
pub fn choose(wanted: Option<&str>) {
    CHOSEN.get_or_init(|| {
        let wanted = wanted.map(str::to_owned);
        let languages: Vec<String> = match wanted {
            Some(language) => vec![language],
            None => glib::language_names().iter().map(ToString::to_string).collect(),
        };
        for language in &languages {
            let plain = language.split(['_', '.', '@']).next().unwrap_or_default();
            if matches!(plain, "en" | "C" | "POSIX") {
                return None;
            }
            if let Some((_, bytes)) = CATALOGUES.iter().find(|(code, _)| *code == plain) {
                return Catalogue::read(bytes);
            }
        }
        None
    });
}

/// The text in the viewer's language.
pub fn tr(text: &'static str) -> &'static str {
    let translated = CHOSEN.get().and_then(Option::as_ref).and_then(|chosen| chosen.get(text));
    translated.and_then(|forms| forms.first().copied()).unwrap_or(text)
}

/// The text for one or for `n` things. English and German have the same two forms.
pub fn trn(one: &'static str, many: &'static str, n: u64) -> &'static str {
    let form = usize::from(n != 1);
    let translated = CHOSEN.get().and_then(Option::as_ref).and_then(|chosen| chosen.get(one));
    let plain = if n == 1 { one } else { many };
    translated.and_then(|forms| forms.get(form).copied()).unwrap_or(plain)
}

/// Puts `value` where the text says `{name}`.
pub fn put(text: &str, name: &str, value: impl std::fmt::Display) -> String {
    text.replace(&format!("{{{name}}}"), &value.to_string())
}

/// A compiled catalogue: the MO format of GNU gettext, little-endian as `msgfmt` writes it.
struct Catalogue(HashMap<&'static str, Vec<&'static str>>);

impl Catalogue {
    fn read(bytes: &'static [u8]) -> Option<Self> {
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 4)?.first_chunk()?;
            Some(u32::from_le_bytes(*bytes) as usize)
        };
        let text = |table: usize, i: usize| {
            let (length, at) = (word(table + 8 * i)?, word(table + 8 * i + 4)?);
            std::str::from_utf8(bytes.get(at..at + length)?).ok()
        };
        if word(0)? != 0x9504_12de {
            return None;
        }
        let (count, ids, texts) = (word(8)?, word(12)?, word(16)?);
        let mut found = HashMap::with_capacity(count);
        for i in 0..count {
            // A text for one and for many is found under that for one.
            let id = text(ids, i)?.split('\0').next()?;
            found.insert(id, text(texts, i)?.split('\0').collect());
        }
        Some(Self(found))
    }

    fn get(&self, text: &str) -> Option<&[&'static str]> {
        self.0.get(text).map(Vec::as_slice)
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
