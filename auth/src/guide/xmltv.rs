//! Reading XMLTV as a stream, bounded, with the line of what is wrong.
//!
//! What belongs to one programme and cannot be read spoils that programme alone, which is counted; what breaks the file is
//! an error.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::time::seconds;
use super::{Guide, Programme, Rules};

/// More programmes are an error.
const MAX_PROGRAMMES: usize = 1_000_000;
/// Longer texts are cut, characters: titles and the like, and descriptions.
const SHORT: usize = 300;
const LONG: usize = 4_000;
/// More categories of one programme are left out.
const MAX_CATEGORIES: usize = 8;
/// Deeper nesting is no XMLTV.
const MAX_DEPTH: usize = 32;
/// The last programme of a channel, if its end is not said, lasts so long, seconds.
const UNKNOWN: i64 = 3600;

/// Why a feed is not taken.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {fault}")]
pub(crate) struct XmltvError {
    /// Where, counted from 1.
    pub(crate) line: u64,
    /// What.
    pub(crate) fault: Fault,
}

/// What is wrong with a feed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It is no XML.
    #[error("{0}")]
    Xml(#[from] quick_xml::Error),
    /// The root is another.
    #[error("this is no XMLTV: it begins with <{0}>, not with <tv>")]
    Root(String),
    /// It ends before `</tv>`.
    #[error("the file ends early")]
    Cut,
    /// It is too large.
    #[error("the file is larger than {0} bytes (guide.max_size)")]
    Large(u64),
    /// It has too many programmes.
    #[error("the file has more than {MAX_PROGRAMMES} programmes")]
    Many,
    /// It is nested too deeply.
    #[error("elements are nested more than {MAX_DEPTH} deep")]
    Deep,
    /// There is nothing in it.
    #[error("the file holds no programme that could be read ({0} could not)")]
    Empty(usize),
    /// Everything in it is over.
    #[error("all programmes in the file are over")]
    Over,
}

/// What was read.
pub(crate) struct Taken {
    /// The programmes.
    pub(crate) guide: Guide,
    /// Programmes that could not be read: times or titles were missing.
    pub(crate) left_out: usize,
}

/// Reads a feed.
pub(crate) fn read(feed: impl Read, rules: &Rules, now: i64) -> Result<Taken, XmltvError> {
    let source = Counting { inner: io::BufReader::new(feed), lines: 1, left: rules.max_bytes };
    let mut reader = Reader::from_reader(source);
    let mut parser =
        Parser { rules, programmes: BTreeMap::new(), count: 0, left_out: 0, open: None };
    let outcome = parser.run(&mut reader);
    let source = reader.get_ref();
    let fail = |fault| XmltvError { line: source.lines, fault };
    if let Err(fault) = outcome {
        // The bound shows itself as an end of the file.
        return Err(fail(if source.left == 0 { Fault::Large(rules.max_bytes) } else { fault }));
    }
    let left_out = parser.left_out;
    let mut guide = parser.finish();
    if guide.is_empty() {
        return Err(fail(Fault::Empty(left_out)));
    }
    guide.trim(now);
    if !guide.is_current(now) {
        return Err(fail(Fault::Over));
    }
    Ok(Taken { guide, left_out })
}

/// Counts lines and bytes.
struct Counting<R> {
    inner: R,
    lines: u64,
    left: u64,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let len = available.len().min(into.len());
        into[..len].copy_from_slice(&available[..len]);
        self.consume(len);
        Ok(len)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let available = self.inner.fill_buf()?;
        Ok(&available[..available.len().min(left)])
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(available) = self.inner.fill_buf() {
            let lines = available.iter().take(amount).filter(|&&byte| byte == b'\n').count();
            self.lines += lines as u64;
        }
        self.left = self.left.saturating_sub(amount as u64);
        self.inner.consume(amount);
    }
}

/// A text that may come in several languages: how good the best so far is, and it.
type Best = Option<(usize, String)>;

/// A programme that is being read.
#[derive(Default)]
struct Open {
    channel: String,
    start: Option<i64>,
    stop: Option<i64>,
    title: Best,
    subtitle: Best,
    description: Best,
    categories: Vec<String>,
    episode: Best,
    icon: Option<String>,
    rating: Option<String>,
    year: Option<u16>,
    /// The text of the element that is open, its name, and how good its language is.
    element: Option<(String, usize)>,
    /// Whether that element is in a `<rating>`.
    rates: bool,
    text: String,
}

struct Parser<'a> {
    rules: &'a Rules,
    programmes: BTreeMap<String, Vec<(Programme, bool)>>,
    count: usize,
    left_out: usize,
    open: Option<Open>,
}

impl Parser<'_> {
    fn run(&mut self, reader: &mut Reader<impl BufRead>) -> Result<(), Fault> {
        let mut buffer = Vec::new();
        let mut depth = 0;
        loop {
            buffer.clear();
            match reader.read_event_into(&mut buffer)? {
                Event::Start(element) => {
                    if depth == 0 && element.name().0 != "tv" {
                        return Err(Fault::Root(element.name().0.chars().take(40).collect()));
                    }
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(Fault::Deep);
                    }
                    self.start(&element)?;
                }
                Event::Empty(element) if depth > 0 => {
                    self.start(&element)?;
                    self.end(element.name().0)?;
                }
                Event::Empty(element) => {
                    return match element.name().0 {
                        "tv" => Ok(()),
                        other => Err(Fault::Root(other.chars().take(40).collect())),
                    };
                }
                Event::End(element) => {
                    self.end(element.name().0)?;
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                Event::Text(text) => self.text(&text.xml_content(XmlVersion::Explicit1_0)),
                Event::CData(text) => self.text(&text.xml_content(XmlVersion::Explicit1_0)),
                Event::GeneralRef(name) => match name.resolve_char_ref()? {
                    Some(character) => self.text(character.encode_utf8(&mut [0; 4])),
                    // An entity of the file's own stands for nothing.
                    None => {
                        let known = quick_xml::escape::resolve_predefined_entity(&name);
                        self.text(known.unwrap_or(" "));
                    }
                },
                Event::Eof => return Err(Fault::Cut),
                Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
            }
        }
    }

    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), Fault> {
        let attribute = |name: &str| -> Option<String> {
            let value = element.try_get_attribute(name).ok()??;
            value.normalized_value(XmlVersion::Explicit1_0).ok().map(|value| value.into_owned())
        };
        let name = element.name();
        if name.0 == "programme" {
            self.count += 1;
            if self.count > MAX_PROGRAMMES {
                return Err(Fault::Many);
            }
            let channel = attribute("channel").unwrap_or_default();
            self.open = Some(Open {
                channel: self.rules.channels.get(&channel).cloned().unwrap_or(channel),
                start: attribute("start").and_then(|time| seconds(&time)),
                stop: attribute("stop").and_then(|time| seconds(&time)),
                ..Open::default()
            });
            return Ok(());
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        match name.0 {
            "icon" if !open.rates => open.icon = open.icon.take().or(attribute("src")),
            "rating" => open.rates = true,
            name => {
                let language = attribute("lang").unwrap_or_default();
                let languages = &self.rules.languages;
                let mut goodness = languages
                    .iter()
                    .position(|wanted| language.split('-').next() == Some(wanted.as_str()))
                    .unwrap_or(languages.len());
                // A number that is made for people goes before one for machines.
                if name == "episode-num" {
                    goodness = usize::from(attribute("system").as_deref() != Some("onscreen"));
                }
                open.element = Some((name.to_owned(), goodness));
                open.text.clear();
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some(open) = self.open.as_mut().filter(|open| open.element.is_some())
            && open.text.len() < 4 * LONG
        {
            open.text.push_str(text);
        }
    }

    fn end(&mut self, name: &str) -> Result<(), Fault> {
        if name == "programme" {
            if let Some(open) = self.open.take() {
                self.close(open);
            }
            return Ok(());
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if name == "rating" {
            open.rates = false;
        }
        let Some((element, goodness)) = open.element.take_if(|(element, _)| element == name) else {
            return Ok(());
        };
        let text = std::mem::take(&mut open.text);
        let better = |best: &mut Best, most| {
            let text = clean(&text, most);
            if !text.is_empty() && best.as_ref().is_none_or(|(good, _)| goodness < *good) {
                *best = Some((goodness, text));
            }
        };
        match element.as_str() {
            "title" => better(&mut open.title, SHORT),
            "sub-title" => better(&mut open.subtitle, SHORT),
            "desc" => better(&mut open.description, LONG),
            // The system `xmltv_ns` counts from 0 and is not for people.
            "episode-num" if goodness == 0 => better(&mut open.episode, SHORT),
            "category" if open.categories.len() < MAX_CATEGORIES => {
                let category = clean(&text, SHORT);
                if !category.is_empty() && !open.categories.contains(&category) {
                    open.categories.push(category);
                }
            }
            "value" if open.rates && open.rating.is_none() => {
                open.rating = Some(clean(&text, SHORT)).filter(|rating| !rating.is_empty());
            }
            "date" => open.year = text.trim().get(..4).and_then(|year| year.parse().ok()),
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, open: Open) {
        let text = |best: Best| best.map(|(_, text)| text);
        let (Some(start), Some(title)) = (open.start, text(open.title)) else {
            self.left_out += 1;
            return;
        };
        if open.channel.is_empty() || open.stop.is_some_and(|stop| stop <= start) {
            self.left_out += 1;
            return;
        }
        let programme = Programme {
            start,
            end: open.stop.unwrap_or(start + UNKNOWN),
            title,
            subtitle: text(open.subtitle),
            description: text(open.description),
            categories: open.categories,
            episode: text(open.episode),
            icon: open.icon.map(|icon| clean(&icon, SHORT)),
            rating: open.rating,
            year: open.year,
        };
        self.programmes.entry(open.channel).or_default().push((programme, open.stop.is_some()));
    }

    fn finish(self) -> Guide {
        let channels = self.programmes.into_iter().map(|(channel, mut programmes)| {
            programmes.sort_by_key(|(programme, _)| programme.start);
            // Of two that begin at one time the later one in the file is the newer.
            programmes.reverse();
            programmes.dedup_by_key(|(programme, _)| programme.start);
            programmes.reverse();
            let starts: Vec<i64> =
                programmes.iter().map(|(programme, _)| programme.start).collect();
            let next = starts.into_iter().skip(1).map(Some).chain([None]);
            let whole = programmes.into_iter().zip(next).map(|((mut programme, ended), next)| {
                if let (false, Some(next)) = (ended, next) {
                    programme.end = next;
                }
                programme
            });
            (channel, whole.collect())
        });
        Guide { channels: channels.collect() }
    }
}

/// Without white space around and control characters within, cut to so many characters.
fn clean(text: &str, most: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let text = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
#[path = "xmltv_tests.rs"]
mod tests;
