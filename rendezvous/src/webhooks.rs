//! News for the operator's own systems: posted as JSON, signed after <https://www.standardwebhooks.com>
//! (HMAC-SHA256 over id, time and body), one after the other, tried again until they are taken.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::CONTENT_TYPE;
use service::Stop;
use tokio::sync::mpsc;
use tokio::time::sleep;
use url::Url;

use crate::hub::News;
use crate::metrics::{Metrics, ResultLabel};

/// All kinds of news.
pub const KINDS: [&str; 4] =
    ["viewer.started", "viewer.stopped", "channel.on_air", "channel.off_air"];

/// Messages that wait for one receiver; what comes beyond them is lost and counted.
const WAITING: usize = 1000;
/// A receiver that takes longer has not taken it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses before the second attempt and on, doubling from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Attempts: about an hour.
const ATTEMPTS: u32 = 20;

/// A receiver of news.
pub struct Hook {
    /// Where it is.
    pub url: Url,
    /// What messages are signed with.
    pub secret: String,
    /// Which kinds; empty: all.
    pub events: Vec<String>,
}

/// A message as it is sent, the same at each attempt.
struct Message {
    id: String,
    body: String,
}

/// Hands news to all receivers until the stop.
///
/// # Errors
/// If the system's certificates cannot be used.
pub fn start(
    hooks: Vec<Hook>,
    mut news: mpsc::Receiver<News>,
    metrics: Metrics,
    stop: Stop,
) -> Result<tokio::task::JoinHandle<()>, reqwest::Error> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("braidcast-rendezvous/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(tokio::spawn(async move {
        let mut queues = Vec::new();
        let mut workers = tokio::task::JoinSet::new();
        for hook in hooks {
            let (queue, waiting) = mpsc::channel::<Arc<Message>>(WAITING);
            queues.push((queue, hook.events.clone()));
            workers.spawn(deliver(client.clone(), hook, waiting, metrics.clone()));
        }
        loop {
            let one = tokio::select! {
                () = stop.requested() => break,
                one = news.recv() => one,
            };
            let Some(one) = one else { break };
            let kind = one.kind;
            let message = Arc::new(message(one));
            for (queue, events) in &queues {
                let meant = events.is_empty() || events.iter().any(|event| event == kind);
                if meant && queue.try_send(message.clone()).is_err() {
                    metrics.webhooks_lost.inc();
                }
            }
        }
        workers.shutdown().await;
    }))
}

fn message(news: News) -> Message {
    let mut id = [0; 16];
    // Without chance the id would still differ by the time.
    let _ = aws_lc_rs::rand::fill(&mut id);
    let id = format!("msg_{:x}{}", news.at, u128::from_be_bytes(id));
    let body = serde_json::json!({
        "type": news.kind,
        "timestamp": time(news.at / 1_000_000),
        "data": news.data,
    });
    Message { id, body: body.to_string() }
}

async fn deliver(
    client: reqwest::Client,
    hook: Hook,
    mut waiting: mpsc::Receiver<Arc<Message>>,
    metrics: Metrics,
) {
    let count = |result| metrics.webhooks.get_or_create(&ResultLabel { result }).inc();
    while let Some(message) = waiting.recv().await {
        let mut pause = PAUSES.0;
        for attempt in 1..=ATTEMPTS {
            let Err(reason) = attempt_once(&client, &hook, &message).await else {
                count("delivered");
                break;
            };
            if attempt == ATTEMPTS {
                tracing::warn!(host = hook.url.host_str(), %reason, "a webhook is given up");
                count("given_up");
                break;
            }
            tracing::debug!(host = hook.url.host_str(), %reason, "a webhook is tried again");
            count("retried");
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

async fn attempt_once(
    client: &reqwest::Client,
    hook: &Hook,
    message: &Message,
) -> Result<(), String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let reply = client
        .post(hook.url.clone())
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", now)
        .header("webhook-signature", sign(&hook.secret, &message.id, now, &message.body))
        .body(message.body.clone())
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
    if reply.status().is_success() { Ok(()) } else { Err(reply.status().to_string()) }
}

/// The signature as its header says it. A secret that begins with `whsec_` is base64 after that.
pub fn sign(secret: &str, id: &str, time: u64, body: &str) -> String {
    let decoded = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    let key = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{id}.{time}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

/// Seconds since 1970 after RFC 3339, UTC (days to dates after H. Hinnant, "chrono-compatible
/// low-level date algorithms").
pub(crate) fn time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_published_example() {
        // From the specification of Standard Webhooks.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed =
            sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(time(1_800_000_000), "2027-01-15T08:00:00Z");
    }
}
