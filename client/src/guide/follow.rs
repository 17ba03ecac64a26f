//! Fetches the guide from auth, and again now and then.

use std::io::Read as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderValue, IF_NONE_MATCH};
use tokio::sync::watch;
use url::Url;

use super::Guide;

/// How often it is looked for a new one.
const EVERY: Duration = Duration::from_secs(300);
/// The same after a failure.
const AGAIN: Duration = Duration::from_secs(30);
/// How long auth may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A larger guide is not taken, bytes: as it comes, and unpacked.
const LARGEST: usize = 64 << 20;
const LARGEST_UNPACKED: u64 = 256 << 20;

/// Keeps `guide` as auth at `server` has it, until nobody wants it any more. What cannot be read, or a server without a
/// guide, leaves the last one in place.
pub(crate) async fn follow(server: Url, bind: Option<IpAddr>, guide: watch::Sender<Arc<Guide>>) {
    let local = matches!(server.host_str(), Some("localhost"))
        || server.host_str().is_some_and(|host| {
            host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        });
    let mut http = reqwest::Client::builder()
        .timeout(PATIENCE)
        .local_address(bind)
        .user_agent(concat!("braidcast/", env!("CARGO_PKG_VERSION")));
    if local {
        http = http.no_proxy();
    }
    let (Ok(http), Ok(url)) = (http.build(), server.join("v1/guide")) else { return };
    let mut tag = None;
    loop {
        let pause = match fetch(&http, &url, &mut tag).await {
            Ok(Some(new)) => {
                guide.send_replace(Arc::new(new));
                EVERY
            }
            Ok(None) => EVERY,
            Err(error) => {
                tracing::debug!(error, "the guide cannot be had now");
                AGAIN
            }
        };
        tokio::select! {
            () = guide.closed() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The guide, if it is another than that of the tag.
async fn fetch(
    http: &reqwest::Client,
    url: &Url,
    tag: &mut Option<HeaderValue>,
) -> Result<Option<Guide>, String> {
    let text = |error: reqwest::Error| error.without_url().to_string();
    let mut call = http.get(url.clone()).header(ACCEPT_ENCODING, "gzip");
    if let Some(tag) = &tag {
        call = call.header(IF_NONE_MATCH, tag);
    }
    let mut answer = call.send().await.map_err(text)?;
    match answer.status() {
        StatusCode::OK => {}
        // The operator has no guide (yet).
        StatusCode::NOT_MODIFIED | StatusCode::NOT_FOUND => return Ok(None),
        status => return Err(format!("auth answers {status}")),
    }
    let packed = answer.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
    let new_tag = answer.headers().get(ETAG).cloned();
    let mut body = Vec::new();
    while let Some(more) = answer.chunk().await.map_err(text)? {
        if body.len() + more.len() > LARGEST {
            return Err("the guide is too large".to_owned());
        }
        body.extend_from_slice(&more);
    }
    let read = tokio::task::spawn_blocking(move || {
        let mut plain = Vec::new();
        if packed {
            let mut unpacked = flate2::read::GzDecoder::new(&body[..]).take(LARGEST_UNPACKED);
            unpacked.read_to_end(&mut plain).map_err(|error| error.to_string())?;
        } else {
            plain = body;
        }
        Guide::from_json(&plain).map_err(|error| error.to_string())
    });
    let guide = read.await.map_err(|error| error.to_string())??;
    *tag = new_tag;
    Ok(Some(guide))
}
