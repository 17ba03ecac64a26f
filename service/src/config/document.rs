//! A TOML document that remembers where everything stands, and a serde deserialiser over it whose
//! errors keep the key path and the structure (unknown field, missing field) that text would lose.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display},
};

use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
    },
    forward_to_deserialize_any,
};
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::problem::{Kind, Problem, nearest};

/// No file needs more corrections than this in one go.
const MOST_PROBLEMS: usize = 50;

pub(super) struct Document<'i> {
    text: &'i str,
    root: Spanned<DeTable<'i>>,
}

/// The keys that a struct knows, and those that the file gave, by the path of the section. Sections
/// of an array count as one: their number is left out.
pub(super) type Keys = BTreeMap<String, (BTreeSet<&'static str>, BTreeSet<String>)>;

impl<'i> Document<'i> {
    pub(super) fn parse(text: &'i str) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self { text, root });
        }
        let mut problems: Vec<Problem> = errors
            .iter()
            .map(|error| Problem {
                line: error.span().map(|span| line_at(text, span.start)),
                key: None,
                kind: Kind::Syntax(error.message().to_owned()),
            })
            .collect();
        // One slip can upset the parser several times on its line.
        problems.dedup_by_key(|problem| problem.line);
        problems.truncate(MOST_PROBLEMS);
        Err(problems)
    }

    /// Reads the value. Each refused key is noted and left out in another attempt, so that all
    /// problems are found; the value is there if that led to an end.
    pub(super) fn read<T: DeserializeOwned>(&self) -> (Option<T>, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut ignored = BTreeSet::new();
        while problems.len() < MOST_PROBLEMS {
            let context = Context { ignored: &ignored, keys: RefCell::default() };
            match T::deserialize(Table {
                table: self.root.get_ref(),
                path: &Path::Root,
                context: &context,
            }) {
                Ok(value) => return (Some(value), problems),
                Err(fault) => {
                    let start = fault.place.as_ref().map(|place| place.start);
                    problems.push(self.problem(fault));
                    // Without a place, or at one that was left out already, there is no way on.
                    if !start.is_some_and(|start| ignored.insert(start)) {
                        break;
                    }
                }
            }
        }
        (None, problems)
    }

    /// The keys of every struct that takes part, for the test of reference files.
    pub(super) fn keys<T: DeserializeOwned>(&self) -> Result<(T, Keys), Problem> {
        let context = Context { ignored: &BTreeSet::new(), keys: RefCell::default() };
        let value = T::deserialize(Table {
            table: self.root.get_ref(),
            path: &Path::Root,
            context: &context,
        })
        .map_err(|fault| self.problem(fault))?;
        Ok((value, context.keys.into_inner()))
    }

    /// The line of a key, or of the nearest section above that exists.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        let mut line = None;
        let mut table = Some(self.root.get_ref());
        let mut array = None;
        for part in key.split('.') {
            let value = if let Some((name, value)) =
                table.and_then(|t: &DeTable<'_>| t.get_key_value(part))
            {
                line = Some(line_at(self.text, name.span().start));
                value
            } else if let Some(value) = array
                .and_then(|items: &toml::de::DeArray<'_>| items.get(part.parse::<usize>().ok()?))
            {
                line = Some(line_at(self.text, value.span().start));
                value
            } else {
                break;
            };
            table = value.get_ref().as_table();
            array = value.get_ref().as_array();
        }
        line
    }

    fn problem(&self, fault: Fault) -> Problem {
        let section = fault.place.as_ref().map(|place| place.path.clone()).unwrap_or_default();
        let below = |name: &str| {
            if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
        };
        let (key, kind) = match fault.kind {
            FaultKind::Unknown(_, known) => (section, Kind::Unknown(known)),
            FaultKind::Missing(name) => (below(name), Kind::Absent),
            FaultKind::Other(what) => (section, Kind::Wrong(what)),
        };
        let line = fault.place.map(|place| line_at(self.text, place.start));
        Problem { line, key: Some(key), kind }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

struct Context<'c> {
    /// Where the keys and array items begin that are to be passed over.
    ignored: &'c BTreeSet<usize>,
    keys: RefCell<Keys>,
}

/// The way to a value, kept on the stack.
enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl Path<'_> {
    fn write(&self, f: &mut fmt::Formatter<'_>, with_numbers: bool) -> fmt::Result {
        let (parent, name): (_, &dyn Display) = match self {
            Path::Root => return Ok(()),
            Path::Key(parent, name) => (parent, name),
            Path::Item(parent, _) if !with_numbers => return parent.write(f, false),
            Path::Item(parent, number) => (parent, number),
        };
        parent.write(f, with_numbers)?;
        if !matches!(parent, Path::Root) {
            f.write_str(".")?;
        }
        write!(f, "{name}")
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, !f.alternate())
    }
}

#[derive(Debug)]
struct Fault {
    kind: FaultKind,
    place: Option<Place>,
}

#[derive(Debug)]
enum FaultKind {
    Unknown(String, &'static [&'static str]),
    Missing(&'static str),
    Other(String),
}

#[derive(Debug)]
struct Place {
    path: String,
    /// Offset of the key or array item.
    start: usize,
}

impl Fault {
    /// Notes the place, unless one further inside is known already.
    fn at(mut self, path: &Path<'_>, start: usize) -> Self {
        self.place.get_or_insert_with(|| Place { path: path.to_string(), start });
        self
    }

    /// Tagged enums and flattened structs are read from a copy that knows no places: find the key
    /// that is meant inside of the value it came from.
    fn at_value(self, path: &Path<'_>, start: usize, value: &DeValue<'_>) -> Self {
        if let (FaultKind::Unknown(name, _), None, Some(table)) =
            (&self.kind, &self.place, value.as_table())
            && let Some((key, _)) = table.get_key_value(name.as_str())
        {
            let name = name.clone();
            return self.at(&Path::Key(path, &name), key.span().start);
        }
        self.at(path, start)
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self { kind: FaultKind::Other(message.to_string()), place: None }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("found {found}, expected {}", in_words(expected)))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        match nearest(found, known) {
            Some(nearest) => {
                Self::custom(format_args!("unknown value `{found}`; did you mean `{nearest}`?"))
            }
            None => Self::custom(format_args!(
                "unknown value `{found}`; possible: {}",
                known.join(", ")
            )),
        }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self { kind: FaultKind::Unknown(field.to_owned(), known), place: None }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { kind: FaultKind::Missing(field), place: None }
    }
}

/// What serde expects, for people who do not know Rust.
fn in_words(expected: &dyn de::Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "a map" => "a section".into(),
        other if other.starts_with("struct ") => "a section".into(),
        _ => text,
    }
}

struct Value<'d, 'i> {
    value: &'d DeValue<'i>,
    path: &'d Path<'d>,
    context: &'d Context<'d>,
}

impl<'de, 'd, 'i> Deserializer<'de> for Value<'d, 'i> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Datetime(value) => visitor.visit_string(value.to_string()),
            DeValue::Float(value) => match value.as_str().parse() {
                Ok(value) => visitor.visit_f64(value),
                Err(_) => Err(de::Error::custom("not a number that can be held")),
            },
            DeValue::Integer(value) => {
                if let Ok(value) = i64::from_str_radix(value.as_str(), value.radix()) {
                    visitor.visit_i64(value)
                } else if let Ok(value) = u64::from_str_radix(value.as_str(), value.radix()) {
                    visitor.visit_u64(value)
                } else {
                    Err(de::Error::custom("the number is too large"))
                }
            }
            DeValue::Array(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
                path: self.path,
                context: self.context,
            }),
            DeValue::Table(table) => {
                Table { table, path: self.path, context: self.context }.deserialize_any(visitor)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            DeValue::Table(table) => Table { table, path: self.path, context: self.context }
                .deserialize_struct(name, fields, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            DeValue::String(text) => visitor.visit_enum((&**text).into_deserializer()),
            DeValue::Table(table) => Table { table, path: self.path, context: self.context }
                .deserialize_enum(name, variants, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Table<'d, 'i> {
    table: &'d DeTable<'i>,
    path: &'d Path<'d>,
    context: &'d Context<'d>,
}

impl<'d, 'i> Table<'d, 'i> {
    fn entries(self) -> Entries<'d, 'i> {
        let ignored = self.context.ignored;
        let entries: Vec<_> =
            self.table.iter().filter(|(key, _)| !ignored.contains(&key.span().start)).collect();
        Entries { entries: entries.into_iter(), path: self.path, context: self.context, now: None }
    }
}

impl<'de, 'd, 'i> Deserializer<'de> for Table<'d, 'i> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(self.entries())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        {
            let mut keys = self.context.keys.borrow_mut();
            let (known, given) = keys.entry(format!("{:#}", self.path)).or_default();
            known.extend(fields);
            given.extend(self.table.keys().map(|key| key.get_ref().to_string()));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(de::value::MapAccessDeserializer::new(self.entries()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

type Entry<'d, 'i> = (&'d Spanned<DeString<'i>>, &'d Spanned<DeValue<'i>>);

struct Entries<'d, 'i> {
    entries: std::vec::IntoIter<Entry<'d, 'i>>,
    path: &'d Path<'d>,
    context: &'d Context<'d>,
    now: Option<Entry<'d, 'i>>,
}

impl<'de, 'd, 'i> MapAccess<'de> for Entries<'d, 'i> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.now = self.entries.next();
        let Some((key, _)) = self.now else { return Ok(None) };
        let name: &str = key.get_ref();
        seed.deserialize(name.into_deserializer())
            .map(Some)
            .map_err(|fault: Fault| fault.at(&Path::Key(self.path, name), key.span().start))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let Some((key, value)) = self.now.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let path = Path::Key(self.path, key.get_ref());
        let value = value.get_ref();
        seed.deserialize(Value { value, path: &path, context: self.context })
            .map_err(|fault| fault.at_value(&path, key.span().start, value))
    }
}

struct Items<'d, 'i> {
    items: std::iter::Enumerate<std::slice::Iter<'d, Spanned<DeValue<'i>>>>,
    path: &'d Path<'d>,
    context: &'d Context<'d>,
}

impl<'de, 'd, 'i> SeqAccess<'de> for Items<'d, 'i> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let ignored = self.context.ignored;
        let Some((number, item)) =
            self.items.find(|(_, item)| !ignored.contains(&item.span().start))
        else {
            return Ok(None);
        };
        let path = Path::Item(self.path, number);
        let value = item.get_ref();
        seed.deserialize(Value { value, path: &path, context: self.context })
            .map(Some)
            .map_err(|fault| fault.at_value(&path, item.span().start, value))
    }
}
