//! Who may call the local address: programs of this machine, and pages that it gave itself.
//!
//! A browser lets any page on the web send requests here. A name that its owner points to 127.0.0.1 (DNS rebinding) would
//! even make answers readable: so the host that is called must be a plain IP address, `localhost` or a configured name.
//! Requests that a browser marks as coming from another site (`Sec-Fetch-Site`, Fetch Metadata) are refused, as they could
//! make the viewer receive channels. No answer carries a CORS header.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

/// The names under which the local address may be called.
#[derive(Debug)]
pub struct Allowed {
    names: BTreeSet<String>,
}

impl Allowed {
    /// `localhost`, plain IP addresses, and `names`.
    pub fn new(names: &[String]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        Self { names: names.chain(["localhost".to_owned()]).collect() }
    }

    /// Whether a `Host` header (RFC 9110, 7.2) names an allowed host.
    pub fn host(&self, value: &str) -> bool {
        let (name, port) = match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => {
                return address.parse::<Ipv6Addr>().is_ok() && is_port(port);
            }
            None => value.split_at(value.find(':').unwrap_or(value.len())),
        };
        is_port(port)
            && (name.parse::<Ipv4Addr>().is_ok() || self.names.contains(&name.to_ascii_lowercase()))
    }

    /// Why a request is refused, if it is.
    fn refusal(&self, method: &Method, headers: &HeaderMap) -> Option<&'static str> {
        let mut hosts = headers.get_all(header::HOST).iter();
        // A program that speaks HTTP/1.0 may leave it out; browsers never do.
        let host = hosts.next().is_none_or(|host| host.to_str().is_ok_and(|host| self.host(host)));
        if !host || hosts.next().is_some() {
            return Some("this name does not lead here (see local.hosts)\n");
        }
        let mark = |name: &str| headers.get(name).map(axum::http::HeaderValue::as_bytes);
        let navigation = *method == Method::GET
            && mark("sec-fetch-mode") == Some(b"navigate")
            && mark("sec-fetch-dest") == Some(b"document");
        if mark("sec-fetch-site") == Some(b"cross-site") && !navigation {
            return Some("other sites may not use this address\n");
        }
        None
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

pub(super) async fn check(
    State(allowed): State<Arc<Allowed>>,
    request: Request,
    next: Next,
) -> Result<Response, (StatusCode, &'static str)> {
    match allowed.refusal(request.method(), request.headers()) {
        Some(why) => Err((StatusCode::FORBIDDEN, why)),
        None => {
            let mut response = next.run(request).await;
            let nosniff = header::HeaderValue::from_static("nosniff");
            response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
            Ok(response)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_and_known_names_lead_here() {
        let allowed = Allowed::new(&["TV.home".into()]);
        for host in [
            "127.0.0.1",
            "127.0.0.1:7878",
            "localhost:7878",
            "LOCALHOST",
            "[::1]:80",
            "[::1]",
            "tv.HOME:1",
        ] {
            assert!(allowed.host(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7878",
            "127.0.0.1.evil.example",
            "localhost.evil",
            "",
            ":80",
            "[::1",
            "[evil]",
            "127.0.0.1:x",
            "[::1]x",
            "localhost:99999",
        ] {
            assert!(!allowed.host(host), "{host}");
        }
    }

    #[test]
    fn other_sites_may_lead_here_but_not_fetch() {
        let allowed = Allowed::new(&[]);
        let refused = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            pairs.iter().for_each(|(name, value)| {
                headers.append(*name, header::HeaderValue::from_static(value));
            });
            allowed.refusal(&Method::GET, &headers).is_some()
        };
        assert!(!refused(&[("host", "localhost")]));
        assert!(!refused(&[]));
        assert!(!refused(&[("host", "localhost"), ("sec-fetch-site", "same-origin")]));
        assert!(refused(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]));
        assert!(refused(&[("host", "localhost"), ("host", "evil.example")]));
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert!(!refused(&[link[0], link[1], ("sec-fetch-dest", "document")]));
        assert!(refused(&[link[0], link[1], ("sec-fetch-dest", "iframe")]));
    }
}
