//! The operator's console: pages made here, which a small script keeps live. Nothing is loaded from
//! elsewhere, and without the script the pages work as well.
//!
//! Who signs in shows the administrator's token. It stays in this process and is shown to auth, which
//! judges it and all that is done with it; the browser holds a random cookie only.

mod accounts;
mod admin;
mod channel;
mod channels;
mod history;
mod html;
mod map;
mod nodes;
mod overview;
mod sign_in;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use service::Status;
use service::config::SecretText;

use crate::account::Client;
use crate::admission::{Admission, Allowance};
use crate::hub::Hub;

pub use history::History;

use self::html::{Flash, Page};
use self::sign_in::Signed;

const SCRIPT: &str = include_str!("console.js");
const MAP_SCRIPT: &str = include_str!("map.js");
const ICON: &str = include_str!("icon.svg");
const STYLE: &str = include_str!("console.css");

/// Attempts to sign in from one address prefix.
const ATTEMPTS: Allowance = Allowance { burst: 10, per_second: 1 };

/// What all pages share.
#[derive(Clone)]
pub struct Console {
    hub: Arc<Hub>,
    /// Opens the live map while auth is away.
    token: Option<SecretText>,
    auth: Client,
    status: Status,
    history: Arc<History>,
    signed: Arc<Mutex<sign_in::Table>>,
    attempts: Arc<Mutex<Admission>>,
    /// Whether the browser reaches it by TLS, so that its cookie never travels without.
    secure: bool,
}

impl Console {
    /// A console nobody has signed in to.
    pub fn new(
        hub: Arc<Hub>,
        token: Option<SecretText>,
        auth: Client,
        status: Status,
        history: Arc<History>,
        secure: bool,
    ) -> Self {
        let attempts = Arc::new(Mutex::new(Admission::new(ATTEMPTS)));
        Self { hub, token, auth, status, history, signed: Arc::default(), attempts, secure }
    }

    /// All pages.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(overview::page))
            .route("/sign-in", post(sign_in::sign_in))
            .route("/sign-out", post(sign_in::sign_out))
            .route("/channels", get(channels::page).post(channels::change))
            .route("/channels/{id}", get(channel::page))
            .route("/channels/{id}/preview.jpg", get(channel::preview))
            .route("/map", get(map::page))
            .route("/map.json", get(map::data))
            .route("/repeaters", get(nodes::repeaters))
            .route("/viewers", get(nodes::viewers))
            .route("/viewers/stop", post(nodes::stop))
            .route("/nodes", get(nodes::nodes).post(nodes::change))
            .route("/accounts", get(accounts::page).post(accounts::change))
            .route("/packages", get(admin::packages).post(admin::change_packages))
            .route("/prefixes", get(admin::prefixes).post(admin::change_prefixes))
            .route("/keys", get(admin::keys).post(admin::rotate))
            .route("/audit", get(admin::audit))
            .route("/console.js", get(|| asset("text/javascript; charset=utf-8", SCRIPT)))
            .route("/map.js", get(|| asset("text/javascript; charset=utf-8", MAP_SCRIPT)))
            .route("/icon.svg", get(|| asset("image/svg+xml", ICON)))
            .route("/console.css", get(|| asset("text/css; charset=utf-8", STYLE)))
            .with_state(self)
    }

    /// A page for who is signed in; the others are asked to.
    fn page(
        &self,
        headers: &HeaderMap,
        title: &str,
        make: impl FnOnce(&mut String, &Signed),
    ) -> Response {
        match self.signed(headers) {
            None => self.ask(None).into_response(),
            Some((signed, flash)) => {
                let mut body = String::new();
                make(&mut body, &signed);
                Html(Page { title, flash: flash.as_ref() }.make(&body)).into_response()
            }
        }
    }

    /// What everybody may see: the line-up, and the way in.
    fn ask(&self, problem: Option<&str>) -> Html<String> {
        let line_up = self.hub.look(|map, _| map.line_up());
        Html(html::outside(&line_up, self.hub.sessions(), problem))
    }
}

async fn asset(kind: &'static str, body: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], body)
}

/// The console's state, for handlers.
type Shared = State<Console>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_load_nothing_from_elsewhere() {
        for text in [SCRIPT, MAP_SCRIPT, STYLE] {
            assert!(!text.contains("//cdn") && !text.contains("https://"), "{text}");
            assert!(!text.contains("http://") && !text.contains("@import"), "{text}");
            assert!(!text.contains("innerHTML") && !text.contains("eval("), "text goes in as text");
        }
    }
}
