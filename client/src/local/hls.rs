//! `/channels/ID/index.m3u8` and the media segments that it names.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{FIRST, Local, NOT_KEPT, refuse};

pub(super) async fn playlist(State(local): State<Local>, Path(channel): Path<String>) -> Response {
    let lease = match local.tune(&channel).await {
        Ok(lease) => lease,
        Err(refusal) => return refusal,
    };
    let channel = lease.channel();
    let playlist = tokio::select! {
        playlist = channel.window().first_playlist() => playlist,
        () = channel.ended() => return refuse(StatusCode::SERVICE_UNAVAILABLE, "the channel was left"),
        () = tokio::time::sleep(FIRST) => {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "nothing of this channel arrives");
        }
    };
    ([(header::CONTENT_TYPE, "application/vnd.apple.mpegurl"), NOT_KEPT], playlist).into_response()
}

pub(super) async fn segment(
    State(local): State<Local>,
    Path((channel, file)): Path<(String, String)>,
) -> Response {
    let Some(sequence) = file.strip_suffix(".ts").and_then(|number| number.parse::<u64>().ok())
    else {
        return refuse(StatusCode::NOT_FOUND, "there is nothing here");
    };
    // Only a channel that is received has segments: joining it for an old address would bring other ones.
    if !local.player.channels().received().contains(&channel) {
        return refuse(StatusCode::NOT_FOUND, "this channel is not received now");
    }
    let lease = match local.tune(&channel).await {
        Ok(lease) => lease,
        Err(refusal) => return refusal,
    };
    match lease.channel().window().segment(sequence) {
        Some(ts) => {
            let kept = (header::CACHE_CONTROL, "max-age=60");
            ([(header::CONTENT_TYPE, "video/mp2t"), kept], ts).into_response()
        }
        None => refuse(StatusCode::NOT_FOUND, "this segment is not kept (any more)"),
    }
}
