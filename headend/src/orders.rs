//! Does what the operator asks on the console.

use std::sync::Arc;

use link::Session;
use link::protocol::shortened;
use tokio::sync::broadcast::error::RecvError;

use crate::edit;
use crate::reload::Reload;

/// Sets and removes channels as asked, one after the other; never returns. `reload`: the files, if the console may change
/// them.
pub(crate) async fn follow(reload: Option<Arc<Reload>>, session: &Session) {
    let mut orders = session.orders();
    loop {
        let order = match orders.recv().await {
            Ok(order) => order,
            // Who asked is told that nobody answers.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return std::future::pending().await,
        };
        let done = match (&reload, &order.section) {
            (None, _) => {
                Err("this headend takes no channels from the console (console = false)".into())
            }
            (Some(reload), Some(section)) => {
                edit::set(reload, &order.channel, section).await.map_err(words)
            }
            (Some(reload), None) => edit::remove(reload, &order.channel).await.map_err(words),
        };
        let problem = match done {
            Ok(changes) => changes.failed.into_values().next(),
            Err(problem) => Some(problem),
        };
        tracing::info!(
            channel = order.channel,
            removed = order.section.is_none(),
            ?problem,
            "an order of the console"
        );
        session.answer_order(order.number, problem.map(shortened)).await;
    }
}

fn words(error: edit::Error) -> String {
    error.to_string()
}
