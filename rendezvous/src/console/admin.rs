//! Packages, prefixes, keys and the audit log: auth's, shown and changed here.

use std::fmt::Write as _;

use axum::Form;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::html::{Esc, date, table};

/// A text as a part of a path or as a value of a query.
pub(super) fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Words between blanks or commas.
pub(super) fn list(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => Esc(text).to_string(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// The list in an answer, or why there is none.
fn rows<'a>(out: &mut String, answer: &'a Result<Value, String>, name: &str) -> &'a [Value] {
    match answer {
        Ok(answer) => answer[name].as_array().map(Vec::as_slice).unwrap_or_default(),
        Err(error) => {
            let _ = write!(out, "<p class=failed>{}</p>", Esc(error));
            &[]
        }
    }
}

pub(super) async fn packages(State(console): Shared, headers: HeaderMap) -> Response {
    let answer = console.ask_auth(&headers, "packages").await;
    console.page(&headers, "Packages", |out, _| {
        let listed = rows(out, &answer, "packages");
        let rows = listed.iter().map(|package| {
            let name = text(&package["name"]);
            let channels = package["channels"].as_array().map(Vec::as_slice).unwrap_or_default();
            let channels: Vec<String> = channels.iter().map(text).collect();
            vec![
                name.clone(),
                format!(
                    "<form method=post class=line><input type=hidden name=name value=\"{name}\">\
                     <input name=channels value=\"{}\" aria-label=\"channels of {name}\">\
                     <button name=act value=set>Set</button>\
                     <button name=act value=remove data-confirm=\"Remove package {name}?\">Remove</button></form>",
                    channels.join(" ")
                ),
            ]
        });
        table(out, &["Package", "Channels (* stands for all)"], rows, "There are no packages.");
        out.push_str(
            "<h2>Add a package</h2><form method=post class=add><label>Name <input name=name required maxlength=64>\
             </label><label>Channels <input name=channels required></label><button name=act value=set>Add</button></form>",
        );
    })
}

#[derive(Deserialize)]
pub(super) struct PackageChange {
    act: String,
    name: String,
    #[serde(default)]
    channels: String,
}

pub(super) async fn change_packages(
    State(console): Shared,
    headers: HeaderMap,
    Form(PackageChange { act, name, channels }): Form<PackageChange>,
) -> Response {
    let path = format!("packages/{}", part(&name));
    let (call, done) = if act == "remove" {
        ((Method::DELETE, path, None), "was removed")
    } else {
        ((Method::PUT, path, Some(json!({"channels": list(&channels)}))), "is set")
    };
    console.act(&headers, "/packages", vec![call], |_| format!("Package {name} {done}.")).await
}

pub(super) async fn prefixes(State(console): Shared, headers: HeaderMap) -> Response {
    let answer = console.ask_auth(&headers, "prefixes").await;
    console.page(&headers, "Prefixes", |out, _| {
        out.push_str("<p>Where addresses are. The longest prefix counts; tickets follow at their next renewal.</p>");
        let listed = rows(out, &answer, "prefixes");
        let rows = listed.iter().map(|row| {
            let prefix = text(&row["prefix"]);
            vec![
                prefix.clone(),
                text(&row["subset"]),
                text(&row["asn"]),
                text(&row["country"]),
                format!("<form method=post><button name=remove value=\"{prefix}\">Remove</button></form>"),
            ]
        });
        table(out, &["Prefix", "Subset", "AS", "Country", ""], rows, "The table is empty.");
        out.push_str(
            "<h2>Set a prefix</h2><form method=post class=add><label>Prefix <input name=prefix required \
             placeholder=192.0.2.0/24></label><label>Subset <input name=subset inputmode=numeric></label>\
             <label>AS <input name=asn inputmode=numeric></label><label>Country <input name=country maxlength=2></label>\
             <button>Set</button></form>",
        );
    })
}

#[derive(Deserialize)]
pub(super) struct PrefixChange {
    remove: Option<String>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    subset: String,
    #[serde(default)]
    asn: String,
    #[serde(default)]
    country: String,
}

pub(super) async fn change_prefixes(
    State(console): Shared,
    headers: HeaderMap,
    Form(change): Form<PrefixChange>,
) -> Response {
    if let Some(prefix) = change.remove {
        let path = format!("prefixes?prefix={}", part(&prefix));
        let calls = vec![(Method::DELETE, path, None)];
        return console
            .act(&headers, "/prefixes", calls, |_| format!("{prefix} was removed."))
            .await;
    }
    // What is no number is refused by auth, in its words.
    let number = |text: &str| match text.trim() {
        "" => Value::Null,
        text => text.parse::<u32>().map_or_else(|_| text.into(), Value::from),
    };
    let country = change.country.trim().to_uppercase();
    let body = json!({
        "prefix": change.prefix.trim(),
        "subset": number(&change.subset),
        "asn": number(&change.asn),
        "country": if country.is_empty() { Value::Null } else { country.into() },
    });
    let calls = vec![(Method::PUT, "prefixes".into(), Some(body))];
    console.act(&headers, "/prefixes", calls, |_| format!("{} is set.", change.prefix)).await
}

pub(super) async fn keys(State(console): Shared, headers: HeaderMap) -> Response {
    let answer = console.ask_auth(&headers, "keys").await;
    let swarms = console.hub.look(|map, now| map.summaries(now));
    console.page(&headers, "Keys", |out, _| {
        out.push_str("<h2>Keys that sign user tickets</h2>");
        let listed = rows(out, &answer, "keys");
        let rows = listed.iter().map(|key| {
            let signs = key["retired_at"].is_null();
            vec![
                format!("<code>{}</code>", text(&key["kid"])),
                if signs {
                    "<b class=good>signs</b>".into()
                } else {
                    "published until its tickets end".into()
                },
                date(key["created_at"].as_i64()),
                date(key["retired_at"].as_i64()),
            ]
        });
        table(out, &["Key", "State", "Made (UTC)", "Retired (UTC)"], rows, "There are no keys.");
        out.push_str(
            "<form method=post><button>Make a new key that signs from now on</button></form>\
             <h2>Keys of channels</h2>",
        );
        let rows = swarms.iter().map(|swarm| {
            vec![
                format!("{}, {}", Esc(&swarm.channel), Esc(&swarm.rendition)),
                format!("<code>{}</code>", Esc(&swarm.key)),
                swarm.epoch.map_or_else(String::new, |epoch| epoch.to_string()),
            ]
        });
        let heads = ["Channel", "Public key", "Content keys to epoch"];
        table(out, &heads, rows, "No channel has been published yet.");
    })
}

pub(super) async fn rotate(State(console): Shared, headers: HeaderMap) -> Response {
    let calls = vec![(Method::POST, "keys/rotate".into(), None)];
    console.act(&headers, "/keys", calls, |_| "A new key signs from now on.".into()).await
}

#[derive(Deserialize)]
pub(super) struct Before {
    before: Option<i64>,
}

pub(super) async fn audit(
    State(console): Shared,
    headers: HeaderMap,
    Query(Before { before }): Query<Before>,
) -> Response {
    let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
    let answer = console.ask_auth(&headers, &format!("audit?limit=100{before}")).await;
    console.page(&headers, "Audit log", |out, _| {
        let acts = rows(out, &answer, "acts");
        let rows = acts.iter().map(|act| {
            vec![
                date(act["at"].as_i64()),
                text(&act["actor"]),
                text(&act["act"]),
                text(&act["subject"]),
                format!("<code>{}</code>", text(&act["request"])),
            ]
        });
        table(out, &["When (UTC)", "Who", "Did", "To", "Request"], rows, "Nothing was done yet.");
        if let Some(last) = acts.last().filter(|_| acts.len() == 100) {
            let _ =
                write!(out, "<p><a href=\"/audit?before={}\">Earlier</a></p>", text(&last["seq"]));
        }
    })
}
