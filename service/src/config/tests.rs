//! The stories of people who make mistakes in their configuration.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    http: Http,
    sources: Vec<Source>,
    mode: Mode,
    limits: BTreeMap<String, Rate>,
    credential: Option<Secret>,
    input: Option<Input>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Http {
    listen: SocketAddr,
    timeout: Duration,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 80)), timeout: Duration::from_secs(1) }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    uri: String,
    #[serde(default)]
    weight: u8,
}

#[derive(Debug, PartialEq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    PassThrough,
    Encode {
        rate: Rate,
    },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Input {
    Udp { address: SocketAddr },
    File { path: String },
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        problems.within("http", |problems| {
            if self.http.timeout.is_zero() {
                problems.add("timeout", "must not be zero");
            }
        });
        for (i, source) in self.sources.iter().enumerate() {
            if !source.uri.contains(':') {
                problems.add(format_args!("sources.{i}.uri"), "is not a URI");
            }
        }
    }
}

fn wrong(text: &str) -> String {
    parse::<Config>(Path::new("x.toml"), text).unwrap_err().to_string()
}

#[test]
fn a_right_file_is_read() {
    let text = r#"
        credential = { file = "secret" }
        mode = { encode = { rate = "4 Mbit/s" } }
        limits = { up = 500 }
        [http]
        listen = "0.0.0.0:8080"
        [[sources]]
        uri = "file:a"
        [input]
        kind = "udp"
        address = "239.1.1.1:5000"
    "#;
    let config: Config = parse(Path::new("x.toml"), text).unwrap();
    assert_eq!(config.http.listen.port(), 8080);
    assert_eq!(config.http.timeout, Duration::from_secs(1));
    assert_eq!(config.sources, [Source { uri: "file:a".into(), weight: 0 }]);
    assert_eq!(config.mode, Mode::Encode { rate: Rate::from_kbits_per_second(4_000) });
    assert_eq!(config.limits["up"], Rate::from_kbits_per_second(500));
    assert_eq!(config.credential, Some(Secret::File("secret".into())));
    assert_eq!(parse::<Config>(Path::new("x.toml"), "").unwrap(), Config::default());
}

#[test]
fn a_slip_of_the_pen_gets_the_nearest_key() {
    assert_eq!(
        wrong("\n[http]\nlissten = '127.0.0.1:1'\n"),
        "x.toml: unknown key `lissten` at line 3 in section [http]; did you mean `listen`?"
    );
    assert_eq!(
        wrong("colour = 1"),
        "x.toml: unknown key `colour` at line 1; known keys: http, sources, mode, limits, credential, input"
    );
    assert_eq!(
        wrong("[[sources]]\nuri='a:b'\n[[sources]]\nuri='a:b'\nwieght=1"),
        "x.toml: unknown key `wieght` at line 5 in section [sources.1]; did you mean `weight`?"
    );
    assert_eq!(
        wrong("[input]\nkind = 'udp'\naddres = '127.0.0.1:1'\naddress = '127.0.0.1:1'"),
        "x.toml: unknown key `addres` at line 3 in section [input]; did you mean `address`?"
    );
}

#[test]
fn a_wrong_type_or_value_is_explained() {
    for (text, says) in [
        (
            "[http]\nlisten = 5",
            "key `listen` at line 2 in section [http]: found integer `5`, expected socket address",
        ),
        (
            "[http]\nlisten = 'here'",
            "key `listen` at line 2 in section [http]: invalid socket address syntax",
        ),
        (
            "[http]\ntimeout = 5",
            "key `timeout` at line 2 in section [http]: found integer `5`, expected a duration such as",
        ),
        ("[http]\ntimeout = '5 parsec'", "`5 parsec` is not a duration; write for example 250ms"),
        (
            "mode = 'pass-trough'",
            "key `mode` at line 1: unknown value `pass-trough`; did you mean `pass-through`?",
        ),
        ("mode = 'x'", "key `mode` at line 1: unknown value `x`; possible: pass-through, encode"),
        (
            "limits = { up = -1 }",
            "key `up` at line 1 in section [limits]: found integer `-1`, expected a bit rate",
        ),
        ("sources = 'file:a'", "key `sources` at line 1: found string \"file:a\", expected a list"),
        (
            "[[sources]]\nuri='a:b'\nweight = 256",
            "key `weight` at line 3 in section [sources.0]: found integer `256`, expected a whole number from 0 to 255",
        ),
        ("[[sources]]\nuri='a:b'\nweight = 99999999999999999999", "the number is too large"),
    ] {
        assert!(wrong(text).contains(says), "{}\n not: {says}", wrong(text));
    }
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        wrong("mode = 'pass-through'\n[[sources]]\nweight = 1"),
        "x.toml: missing key `uri` in section [sources.0], which begins at line 2"
    );
    let text = wrong("[http]\nlisten =\n");
    assert!(text.starts_with("x.toml: not valid TOML at line 2: "), "{text}");
}

#[test]
fn checks_name_the_line_of_their_key() {
    assert_eq!(
        wrong("[http]\ntimeout = '0s'\n\n[[sources]]\nuri = 'a:b'\n[[sources]]\nuri = 'nothing'\n"),
        "x.toml: key `timeout` at line 2 in section [http]: must not be zero\n\
         x.toml: key `uri` at line 7 in section [sources.1]: is not a URI"
    );
}

#[test]
fn every_problem_is_found_at_once() {
    let text = wrong(
        "moode = 1\n[http]\nlisten = 5\ntimeout = '0s'\n[[sources]]\nurii = 'x'\n[extra]\na = 1\n",
    );
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    for (line, says) in lines.iter().zip([
        "`moode` at line 1; did you mean `mode`",
        "`listen` at line 3",
        "`timeout` at line 4",
        "missing key `uri` in section [sources.0]",
        "`urii` at line 6",
        "unknown key `extra` at line 7",
    ]) {
        assert!(line.contains(says), "{line}\n not: {says}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load::<Config>(Path::new("/does/not/exist.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /does/not/exist.toml");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn no_text_makes_the_reader_panic() {
    for text in [
        "\u{feff}",
        "[",
        "[[a]]\n[a]",
        "a.b.c=1\na.b=2",
        "\0",
        "a=\"\"\"",
        "[input]",
        "mode={}",
        "mode={a=1,b=2}",
        "é=1",
    ] {
        let _either = parse::<Config>(Path::new("x.toml"), text);
    }
}
