//! The HTTP side of a program.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::Instrument as _;

use crate::{Stop, Tls, request};

/// How long connections may finish what they do after a stop was requested.
const GRACE: Duration = Duration::from_secs(2);
/// The most connections at one time. Further ones wait in the system's queue until one has ended.
const MOST_CONNECTIONS: usize = 4096;
/// A connection that has not sent the next request whole (without its body) in this time is closed.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Pause after a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// Cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for HTTP on {address}")]
pub struct Error {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system says.
    #[source]
    pub source: io::Error,
}

/// Serves `router` until `stop` is requested; endless replies (live streams) are then cut after
/// two seconds. Handlers may extract `ConnectInfo<SocketAddr>`.
///
/// Bounded for strangers: at most 4096 connections, and 30 s for the head of each request.
///
/// Gives the address really bound (port 0 takes a free port) and the task to wait for at the end.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    router: Router,
    stop: Stop,
) -> Result<(SocketAddr, JoinHandle<()>), Error> {
    serve_with(address, None, router, stop).await
}

/// As [`serve`], with TLS if there is a certificate.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve_with(
    address: SocketAddr,
    tls: Option<Tls>,
    router: Router,
    stop: Stop,
) -> Result<(SocketAddr, JoinHandle<()>), Error> {
    serve_at_most(MOST_CONNECTIONS, HEADER_TIME, address, tls, router, stop).await
}

async fn serve_at_most(
    connections: usize,
    header_time: Duration,
    address: SocketAddr,
    tls: Option<Tls>,
    router: Router,
    stop: Stop,
) -> Result<(SocketAddr, JoinHandle<()>), Error> {
    let refused = |source| Error { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(tls.config()));
    let task = tokio::spawn(async move {
        if let Some(tls) = tls {
            tokio::spawn(tls.follow(stop.clone()));
        }
        let tracker = TaskTracker::new();
        tokio::select! {
            () = stop.requested() => {}
            () = accept(connections, header_time, listener, acceptor, router, &stop, &tracker) => {}
        }
        tracker.close();
        // What has not ended by itself is dropped with the runtime or ends with its peer.
        let _ended = tokio::time::timeout(GRACE + PAUSE, tracker.wait()).await;
    });
    Ok((bound, task))
}

async fn accept(
    connections: usize,
    header_time: Duration,
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    stop: &Stop,
    tracker: &TaskTracker,
) {
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let (router, stop, acceptor) = (router.clone(), stop.clone(), acceptor.clone());
        // Live streams and small replies go out at once.
        let _best_effort = stream.set_nodelay(true);
        tracker.spawn(async move {
            let _place = place;
            let Some(acceptor) = acceptor else {
                return converse(stream, from, header_time, router, stop).await;
            };
            match tokio::time::timeout(header_time, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => converse(stream, from, header_time, router, stop).await,
                Ok(Err(error)) => tracing::trace!(%error, "no TLS came to be"),
                Err(_) => {}
            }
        });
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    from: SocketAddr,
    header_time: Duration,
    router: Router,
    stop: Stop,
) {
    let service = service_fn(move |mut http: Request<Incoming>| {
        http.extensions_mut().insert(ConnectInfo(from));
        let id = request::id(http.headers());
        let span = tracing::info_span!("request", id);
        let reply = router.clone().oneshot(http.map(Body::new));
        request::scope(id.clone(), async move {
            let mut reply = reply.await?;
            reply.headers_mut().extend(request::value(&id).map(|id| (request::HEADER, id)));
            Ok::<_, std::convert::Infallible>(reply)
        })
        .instrument(span)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_time)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await.ok()
        }
    };
    if let Some(Err(error)) = ended {
        tracing::trace!(%error, "an HTTP connection broke");
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;
    use crate::{Status, metrics::Registry, status};

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test]
    async fn health_readiness_and_metrics_are_served_until_the_stop() {
        let status = Status::new();
        let database = status.need("database");
        let router = status::router(status.clone(), Registry::new("test", "0"));
        let stop = Stop::new();
        let (address, task) =
            serve("127.0.0.1:0".parse().unwrap(), router, stop.clone()).await.unwrap();

        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let reply = get(address, "/readyz").await;
        assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
        assert!(reply.contains(r#"{"ready":false,"missing":{"database":"starting"}}"#), "{reply}");
        database.ok();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/metrics").await.contains("braidcast_build_info"));

        stop.request();
        task.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = serve(address, Router::new(), Stop::new()).await.unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[tokio::test]
    async fn handlers_see_where_a_request_comes_from() {
        let handler = |ConnectInfo(from): ConnectInfo<SocketAddr>| async move { from.to_string() };
        let router = Router::new().route("/", axum::routing::get(handler));
        let stop = Stop::new();
        let (address, _task) =
            serve("127.0.0.1:0".parse().unwrap(), router, stop.clone()).await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let me = stream.local_addr().unwrap().to_string();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.ends_with(&me), "{reply}");
        stop.request();
    }

    #[tokio::test]
    async fn who_sends_nothing_gives_way_to_others() {
        let router = Router::new().route("/", axum::routing::get(|| async { "served" }));
        let stop = Stop::new();
        let place = "127.0.0.1:0".parse().unwrap();
        let time = Duration::from_millis(200);
        let (address, _task) =
            serve_at_most(1, time, place, None, router, stop.clone()).await.unwrap();
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        // There is one place only: this waits until the silent one has lost it.
        assert!(get(address, "/").await.ends_with("served"));
        let mut rest = Vec::new();
        // Closed, with or without a last word (408).
        let _either = silent.read_to_end(&mut rest).await;
        stop.request();
    }

    #[tokio::test]
    async fn a_stop_cuts_endless_replies() {
        let endless = || async {
            Body::from_stream(futures::stream::repeat_with(|| Ok::<_, io::Error>("x".repeat(1000))))
        };
        let router = Router::new().route("/", axum::routing::get(endless));
        let stop = Stop::new();
        let (address, task) =
            serve("127.0.0.1:0".parse().unwrap(), router, stop.clone()).await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut some = [0; 4096];
        stream.read_exact(&mut some).await.unwrap();
        stop.request();
        task.await.unwrap();
    }
}
