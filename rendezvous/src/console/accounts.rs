//! Accounts: who may sign in.

use std::fmt::Write as _;

use axum::Form;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::admin::{list, part};
use super::html::{Esc, date, table};

#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    after: String,
}

pub(super) async fn page(
    State(console): Shared,
    headers: HeaderMap,
    Query(From { after }): Query<From>,
) -> Response {
    let path = format!("users?limit=100&after={}", part(&after));
    let users = console.ask_auth(&headers, &path).await;
    console.page(&headers, "Accounts", |out, _| {
        let none = Value::Null;
        let answer = match &users {
            Ok(answer) => answer,
            Err(error) => {
                let _ = write!(out, "<p class=failed>{}</p>", Esc(error));
                &none
            }
        };
        let text = |value: &Value| Esc(value.as_str().unwrap_or_default()).to_string();
        let listed = answer["users"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rows = listed.iter().map(|user| {
            let name = text(&user["username"]);
            let disabled = user["disabled"] == true;
            let packages = user["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
            let packages: Vec<String> = packages.iter().map(text).collect();
            let (act, word) = if disabled { ("enable", "Enable") } else { ("disable", "Disable") };
            vec![
                name.clone(),
                if disabled { "<b class=bad>disabled</b>".into() } else { "active".into() },
                format!(
                    "<form method=post class=line><input type=hidden name=user value=\"{name}\">\
                     <input name=packages value=\"{}\" aria-label=\"packages of {name}\">\
                     <button name=act value=packages>Set</button></form>",
                    packages.join(" ")
                ),
                date(user["signed_in_at"].as_i64()),
                format!("<code>{}</code>", text(&user["id"])),
                format!(
                    "<form method=post class=line><input type=hidden name=user value=\"{name}\">\
                     <button name=act value={act}>{word}</button></form>"
                ),
            ]
        });
        let heads = ["User", "State", "Packages", "Signed in (UTC)", "Account", ""];
        table(out, &heads, rows, "There are no users.");
        if let Some(next) = answer["next"].as_str() {
            let _ = write!(out, "<p><a href=\"/accounts?after={}\">More</a></p>", part(next));
        }
        out.push_str(
            "<h2>Add a user</h2><form method=post class=add><label>Name <input name=user required maxlength=64 \
             autocomplete=off></label><label>Password <input name=password type=password required \
             autocomplete=new-password></label><label>Packages <input name=packages></label>\
             <button name=act value=add>Add</button></form>\
             <h2>Set a password</h2><form method=post class=add><label>Name <input name=user required \
             autocomplete=off></label><label>Password <input name=password type=password required \
             autocomplete=new-password></label><button name=act value=password>Set</button></form>",
        );
    })
}

#[derive(Deserialize)]
pub(super) struct Change {
    act: String,
    user: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    packages: String,
}

pub(super) async fn change(
    State(console): Shared,
    headers: HeaderMap,
    Form(Change { act, user, password, packages }): Form<Change>,
) -> Response {
    let path = format!("users/{}", part(&user));
    let packages = list(&packages);
    let (method, path, body, done) = match act.as_str() {
        "add" => {
            let body = json!({"username": user, "password": password, "packages": packages});
            (Method::POST, "users".into(), body, "was added")
        }
        "password" => (Method::PATCH, path, json!({"password": password}), "has a new password"),
        "packages" => {
            (Method::PATCH, path, json!({"packages": packages}), "has these packages now")
        }
        "disable" => (Method::PATCH, path, json!({"disabled": true}), "is disabled"),
        _ => (Method::PATCH, path, json!({"disabled": false}), "is enabled"),
    };
    let calls = vec![(method, path, Some(body))];
    console.act(&headers, "/accounts", calls, |_| format!("{user} {done}.")).await
}
