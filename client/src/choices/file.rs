//! Reading choices value by value, and writing them whole.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{MAX_CACHE_MB, MAX_SHARE_KBITS, Settings};
use crate::draft;

/// A larger file is not ours, bytes.
const LARGEST: u64 = 1 << 20;
/// So many lines that are no TOML are left out before the file is given up.
const BROKEN_LINES: usize = 64;

/// A value that could not be read; its default was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which, with its section; `line N` for what is no TOML; empty for the whole file.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

/// The file that choices are kept in.
#[derive(Clone, Debug)]
pub struct File {
    path: PathBuf,
    /// Values that this version does not know: they are kept for the one that does.
    unknown: Table,
}

impl File {
    /// Reads the file; one that is not there holds nothing but defaults.
    pub fn read(path: &Path) -> (Self, Settings, Vec<Fault>) {
        let mut faults = Vec::new();
        let text = text(path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                faults.push(Fault { key: String::new(), why: error.to_string() });
            }
            String::new()
        });
        let table = table(&text, &mut faults);
        let (settings, unknown) = parse(table, &mut faults);
        if !faults.is_empty() && !text.is_empty() {
            // Someone may want to see what was in it.
            let _kept = write(&path.with_extension("toml.broken"), &text);
        }
        (Self { path: path.to_owned(), unknown }, settings, faults)
    }

    /// Writes all choices. The file appears whole, readable by its owner only.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, settings: &Settings) -> io::Result<()> {
        let mut table = Table::try_from(settings).map_err(io::Error::other)?;
        for (key, value) in &self.unknown {
            table.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let text = toml::to_string(&table).map_err(io::Error::other)?;
        let text = format!("# Written by Braidcast; changes made while it runs are lost.\n{text}");
        write(&self.path, &text)
    }
}

fn text(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::other("it is larger than 1 MB"));
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    draft::replace(path, text.as_bytes())
}

/// The file's values. Lines that are no TOML are left out.
fn table(text: &str, faults: &mut Vec<Fault>) -> Table {
    let mut lines: Vec<&str> = text.lines().collect();
    for _ in 0..BROKEN_LINES {
        let text = lines.join("\n");
        let error = match text.parse::<Table>() {
            Ok(table) => return table,
            Err(error) => error,
        };
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
        let line = line.min(lines.len().saturating_sub(1));
        let why = error.message().to_owned();
        faults.push(Fault { key: format!("line {}", line + 1), why });
        lines[line] = "";
    }
    Table::new()
}

/// Takes values out of a table, one by one.
struct Section<'a> {
    name: &'a str,
    table: Table,
    faults: &'a mut Vec<Fault>,
}

impl Section<'_> {
    /// Takes a value that passes `fits`; else `into` stays as it is.
    fn take_if<T: DeserializeOwned>(&mut self, key: &str, into: &mut T, fits: fn(&T) -> bool) {
        let Some(value) = self.table.remove(key) else { return };
        let why = match value.try_into::<T>() {
            Ok(value) if fits(&value) => {
                *into = value;
                return;
            }
            Ok(_) => "out of range".to_owned(),
            Err(error) => error.message().to_owned(),
        };
        let key =
            if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        self.faults.push(Fault { key, why });
    }

    fn take<T: DeserializeOwned>(&mut self, key: &str, into: &mut T) {
        self.take_if(key, into, |_| true);
    }
}

/// A section of its own, taken out of `table`.
fn section(table: &mut Table, key: &str, faults: &mut Vec<Fault>) -> Table {
    match table.remove(key) {
        None => Table::new(),
        Some(Value::Table(section)) => section,
        Some(_) => {
            faults.push(Fault { key: key.to_owned(), why: "not a section".to_owned() });
            Table::new()
        }
    }
}

fn parse(mut table: Table, faults: &mut Vec<Fault>) -> (Settings, Table) {
    let mut settings = Settings::default();
    let sharing = section(&mut table, "sharing", faults);
    let window = section(&mut table, "window", faults);
    let tracks = section(&mut table, "tracks", faults);

    let mut from = Section { name: "sharing", table: sharing, faults };
    let into = &mut settings.sharing;
    from.take("choice", &mut into.choice);
    from.take_if("kbits", &mut into.kbits, |kbits| *kbits <= MAX_SHARE_KBITS);
    from.take("monthly_gb", &mut into.monthly_gb);
    from.take("on_metered", &mut into.on_metered);
    from.take("private", &mut into.private);

    let mut from = Section { name: "window", table: window, faults };
    let fits = |pixels: &u32| (200..=32_767).contains(pixels);
    from.take_if("width", &mut settings.window.width, fits);
    from.take_if("height", &mut settings.window.height, fits);
    from.take("maximized", &mut settings.window.maximized);

    let channels: Vec<String> = tracks.keys().cloned().collect();
    let mut from = Section { name: "tracks", table: tracks, faults };
    for channel in channels {
        let mut chosen = None;
        from.take(&channel, &mut chosen);
        settings.tracks.extend(chosen.map(|chosen| (channel, chosen)));
    }

    let mut from = Section { name: "", table, faults };
    from.take("server", &mut settings.server);
    from.take("user", &mut settings.user);
    from.take("remember", &mut settings.remember);
    from.take("favourites", &mut settings.favourites);
    from.take("last_channel", &mut settings.last_channel);
    from.take_if("volume", &mut settings.volume, |volume| *volume <= 100);
    from.take("muted", &mut settings.muted);
    from.take("sound", &mut settings.sound);
    from.take("subtitles", &mut settings.subtitles);
    from.take("language", &mut settings.language);
    from.take("appearance", &mut settings.appearance);
    from.take("quality", &mut settings.quality);
    from.take_if("cache_mb", &mut settings.cache_mb, |mb| *mb <= MAX_CACHE_MB);
    (settings, from.table)
}
