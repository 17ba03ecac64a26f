//! `/channels/ID/stream.ts`: a channel as an endless MPEG transport stream.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::{FIRST, Local, NOT_KEPT, refuse};
use crate::channel::Lease;
use crate::output::Reader;

/// What lives as long as the reply.
struct Reply {
    first: Option<Bytes>,
    reader: Reader,
    _lease: Lease,
    _permit: OwnedSemaphorePermit,
}

pub(super) async fn get(State(local): State<Local>, Path(channel): Path<String>) -> Response {
    let Ok(permit) = local.readers.clone().try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many readers (local.max_readers)");
    };
    let lease = match local.tune(&channel).await {
        Ok(lease) => lease,
        Err(refusal) => return refusal,
    };
    let reader = lease.channel().hub().read();
    let first = match tokio::time::timeout(FIRST, reader.next()).await {
        Ok(Some(first)) => Some(first),
        _ => return refuse(StatusCode::SERVICE_UNAVAILABLE, "nothing of this channel arrives"),
    };
    let reply = Reply { first, reader, _lease: lease, _permit: permit };
    let body = stream::unfold(reply, |mut reply| async move {
        let bytes = match reply.first.take() {
            Some(first) => first,
            None => reply.reader.next().await?,
        };
        Some((Ok::<_, std::convert::Infallible>(bytes), reply))
    });
    ([(header::CONTENT_TYPE, "video/mp2t"), NOT_KEPT], Body::from_stream(body)).into_response()
}
