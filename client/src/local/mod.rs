//! The local address: what any player on this machine can open.
//!
//! | Path | Gives |
//! |---|---|
//! | `/` | a page: channels, a player where the browser can, live figures |
//! | `/channels.m3u` | the line-up as a playlist |
//! | `/channels.json` | the line-up for the page |
//! | `/guide.xml` | XMLTV |
//! | `/channels/ID/stream.ts` | live MPEG-TS |
//! | `/channels/ID/index.m3u8`, `/channels/ID/NUMBER.ts` | HLS of the same |
//! | `/stats.json` | figures of the channel that is played |
//! | `/metrics` | the same for Prometheus |
//!
//! A channel that is not played is joined for its readers and left some seconds after the last.

mod guard;
mod hls;
mod line_up;
mod metrics;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use link::SessionError;
use tokio::sync::Semaphore;

use crate::Error;
use crate::channel::Lease;
use crate::player::Player;
use crate::settings;
use crate::stats::Stats;

pub use guard::Allowed;

const PAGE: &str = include_str!("page.html");

/// How long a reader waits for the first picture of a channel.
const FIRST: Duration = Duration::from_secs(15);

/// What the handlers share.
#[derive(Clone)]
struct Local {
    player: Player,
    readers: Arc<Semaphore>,
    linger: Duration,
}

/// The routes of the local address over `player`.
pub fn router(player: Player, settings: &settings::Local) -> Router {
    let local = Local {
        player,
        readers: Arc::new(Semaphore::new(settings.max_readers)),
        linger: settings.linger.get(),
    };
    let allowed = Arc::new(Allowed::new(&settings.hosts));
    Router::new()
        .route("/", get(page))
        .route("/channels.m3u", get(line_up::playlist))
        .route("/channels.json", get(line_up::json))
        .route("/guide.xml", get(line_up::guide))
        .route("/channels/{id}/stream.ts", get(stream::get))
        .route("/channels/{id}/index.m3u8", get(hls::playlist))
        .route("/channels/{id}/{file}", get(hls::segment))
        .route("/stats.json", get(stats))
        .route("/metrics", get(metrics::get))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here\n") })
        .with_state(local)
        .layer(middleware::from_fn_with_state(allowed, guard::check))
}

async fn page() -> impl IntoResponse {
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                  connect-src 'self'; media-src 'self'; img-src data:; base-uri 'none'; \
                  form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, PAGE)
}

async fn stats(
    State(local): State<Local>,
) -> ([(header::HeaderName, &'static str); 1], Json<Stats>) {
    ([NOT_KEPT], Json(local.player.stats()))
}

/// What changes all the time.
const NOT_KEPT: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

impl Local {
    /// Uses a channel of the line-up.
    async fn tune(&self, channel: &str) -> Result<Lease, Response> {
        // Asking the platform for what nobody offers would let a page in a browser make it busy.
        let platform = self.player.channels().platform();
        let known = platform.line_up().iter().any(|info| info.id == channel);
        if !known && self.player.playing().is_none_or(|playing| playing.channel != channel) {
            return Err(refuse(StatusCode::NOT_FOUND, "there is no such channel in your line-up"));
        }
        self.player.channels().tune(channel, self.linger).await.map_err(|error| {
            let status = match &error {
                Error::Session(SessionError::NotEntitled(_)) => StatusCode::FORBIDDEN,
                Error::Session(SessionError::NoSuchChannel(_)) => StatusCode::NOT_FOUND,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            tracing::info!(channel, %error, "cannot be given to a reader");
            refuse(status, &error.to_string())
        })
    }
}

fn refuse(status: StatusCode, what: &str) -> Response {
    let mut response = (status, [NOT_KEPT], format!("{what}\n")).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("2"));
    }
    response
}

/// The name under which the caller reaches this address; the guard has checked it.
fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost")
}
