//! The HTTP side of a program.

use std::{io, net::SocketAddr, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::Stop;

/// How long connections may finish what they do after a stop was requested.
const GRACE: Duration = Duration::from_secs(2);

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
/// Gives the address really bound (port 0 takes a free port) and the task to wait for at the end.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    router: Router,
    stop: Stop,
) -> Result<(SocketAddr, JoinHandle<()>), Error> {
    let refused = |source| Error { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let graceful = stop.clone();
    let task = tokio::spawn(async move {
        let server = axum::serve(listener, service)
            .with_graceful_shutdown(async move { graceful.requested().await });
        let cut = async {
            stop.requested().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            result = async { server.await } => {
                if let Err(error) = result {
                    tracing::error!(%error, "the HTTP server failed");
                }
            }
            () = cut => {}
        }
    });
    Ok((bound, task))
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
}
