//! Channels' logos, from the addresses that the line-up names.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

/// A larger logo is not shown, bytes.
const LARGEST: usize = 512 << 10;
/// How long a logo is taken from the disk.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Logos, kept in a folder.
pub(super) struct Logos {
    folder: PathBuf,
    http: Option<reqwest::Client>,
}

impl Logos {
    pub(super) fn new(folder: &Path) -> Self {
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .user_agent(concat!("braidcast/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::limited(3))
            .build();
        Self { folder: folder.to_owned(), http: http.ok() }
    }

    pub(super) async fn get(&self, url: &str) -> Option<Bytes> {
        let mut hash = DefaultHasher::new();
        url.hash(&mut hash);
        let path = self.folder.join(format!("{:016x}", hash.finish()));
        let read = |path: PathBuf, fresh: bool| async move {
            let age = tokio::fs::metadata(&path).await.ok()?.modified().ok()?.elapsed();
            let fits = !fresh || age.is_ok_and(|age| age < FRESH);
            if fits { tokio::fs::read(&path).await.ok().map(Bytes::from) } else { None }
        };
        if let Some(kept) = read(path.clone(), true).await {
            return Some(kept);
        }
        match self.fetch(url).await {
            Some(logo) => {
                let _uncached = self.keep(&path, &logo).await;
                Some(logo)
            }
            // An old one is better than none.
            None => read(path, false).await,
        }
    }

    async fn keep(&self, path: &Path, logo: &Bytes) -> std::io::Result<()> {
        tokio::fs::create_dir_all(&self.folder).await?;
        let draft = path.with_extension("new");
        tokio::fs::write(&draft, logo).await?;
        tokio::fs::rename(draft, path).await
    }

    async fn fetch(&self, url: &str) -> Option<Bytes> {
        let mut answer = self.http.as_ref()?.get(url).send().await.ok()?.error_for_status().ok()?;
        let mut logo = Vec::new();
        while let Some(more) = answer.chunk().await.ok()? {
            if logo.len() + more.len() > LARGEST {
                tracing::info!(url, "the logo is too large");
                return None;
            }
            logo.extend_from_slice(&more);
        }
        is_picture(&logo).then(|| logo.into())
    }
}

/// PNG, JPEG or SVG, by how it begins.
fn is_picture(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
    bytes.starts_with(b"\x89PNG\r\n\x1a\n")
        || bytes.starts_with(&[0xff, 0xd8, 0xff])
        || head.contains("<svg")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::routing::get;

    use super::*;

    #[tokio::test]
    async fn a_logo_is_fetched_once_and_what_is_none_is_not_taken() {
        let calls = Arc::new(AtomicUsize::new(0));
        let svg = {
            let calls = calls.clone();
            move || async move {
                calls.fetch_add(1, Ordering::Relaxed);
                "<?xml version='1.0'?><svg/>"
            }
        };
        let router = Router::new()
            .route("/a.svg", get(svg))
            .route("/page", get(|| async { "<html>" }))
            .route("/large.svg", get(|| async { format!("<svg>{}", " ".repeat(LARGEST)) }));
        let stop = service::Stop::new();
        let (address, server) =
            service::serve("127.0.0.1:0".parse().unwrap(), router, stop.clone()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let logos = Logos::new(&folder.path().join("logos"));
        let url = |path: &str| format!("http://{address}{path}");
        for _ in 0..3 {
            assert!(logos.get(&url("/a.svg")).await.unwrap().ends_with(b"<svg/>"));
        }
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        for none in ["/page", "/large.svg", "/absent"] {
            assert_eq!(logos.get(&url(none)).await, None, "{none}");
        }
        stop.request();
        server.await.unwrap();
        assert!(logos.get(&url("/a.svg")).await.is_some(), "from the disk");
    }
}
