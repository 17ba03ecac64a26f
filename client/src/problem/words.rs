//! A text with values in it, that can be translated.

use std::fmt;

/// Marks a text for translation; gives it as it is.
pub(super) const fn mark(text: &'static str) -> &'static str {
    text
}

/// A text and the values that go into it. Shown in English; see [`fill`](Self::fill) for other languages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// The English text, with places such as `{channel}`: what its translation is looked up by.
    pub id: &'static str,
    /// What goes into the places.
    pub with: Vec<(&'static str, String)>,
}

impl Words {
    pub(super) fn new(id: &'static str) -> Self {
        Self { id, with: Vec::new() }
    }

    #[must_use]
    pub(super) fn with(mut self, place: &'static str, value: &dyn fmt::Display) -> Self {
        self.with.push((place, value.to_string()));
        self
    }

    /// `translated`, a translation of [`id`](Self::id), with the values in their places.
    pub fn fill(&self, translated: &str) -> String {
        let mut out = String::with_capacity(translated.len());
        let mut rest = translated;
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            out.push_str(before);
            let place = from.find('}').map(|close| (&from[1..close], &from[close + 1..]));
            let known = place.and_then(|(place, after)| {
                let value = self.with.iter().find(|(name, _)| *name == place)?;
                Some((&value.1, after))
            });
            match known {
                Some((value, after)) => {
                    out.push_str(value);
                    rest = after;
                }
                None => {
                    out.push('{');
                    rest = &from[1..];
                }
            }
        }
        out.push_str(rest);
        out
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fill(self.id))
    }
}
