//! A name for each request over HTTP, the same in the logs of all services that work on it.
//!
//! A request keeps the id that it comes with (`X-Request-Id`), so that one service that asks another
//! hands it on with [`current`]; one without gets a new one. The reply says it too.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over, bytes.
const LONGEST: usize = 64;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task works on.
pub fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs `work` as work on the request `id`.
pub async fn scope<T>(id: String, work: impl Future<Output = T>) -> T {
    CURRENT.scope(id, work).await
}

/// The id that a request comes with, if it is a sound one, or a new one.
pub fn id(headers: &HeaderMap) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=LONGEST).contains(&id.len()) && id.chars().all(plain))
        .map_or_else(fresh, str::to_owned)
}

/// A new one: 16 hexadecimal digits.
pub fn fresh() -> String {
    let mut bytes = [0; 8];
    // Without chance ids would be alike, which harms nobody.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// The id as a header; ids are plain, so this is always there.
pub fn value(id: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sound_ids_are_kept_and_others_replaced() {
        let with =
            |text: &'static str| HeaderMap::from_iter([(HEADER, HeaderValue::from_static(text))]);
        assert_eq!(id(&with("abc-1")), "abc-1");
        for bad in ["", "a b", "a\"b", "a{b}"] {
            assert_eq!(id(&with(bad)).len(), 16, "{bad}");
        }
        assert_eq!(current(), None);
        assert_eq!(scope("x".into(), async { current() }).await.as_deref(), Some("x"));
    }
}
