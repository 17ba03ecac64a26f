//! Looks after the database: is it there, and what has changed in it?

use std::sync::Arc;
use std::time::Duration;

use service::Stop;
use service::status::Need;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::app::App;
use crate::metrics::count;
use crate::store::Error;

/// How often to look for changes: a revocation by the command line must reach rendezvous within
/// two seconds.
const EVERY: Duration = Duration::from_millis(500);

/// How often to forget what is old.
const PRUNE: Duration = Duration::from_secs(600);

/// An answer that takes longer counts as none.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs until the end. `database` says whether the database is there, `prepared` whether its
/// tables are up to date.
pub(crate) async fn run(app: Arc<App>, database: Need, mut prepared: bool, stop: Stop) {
    let mut changes = ticks(EVERY);
    let mut locations = ticks(app.config.location.look_every.get());
    let mut prune = ticks(PRUNE);
    let guide = Arc::clone(&app);
    let guide = guide.guide.run(&guide);
    tokio::pin!(guide);
    loop {
        tokio::select! {
            () = stop.requested() => return,
            () = &mut guide => {}
            _ = changes.tick() => match timeout(PATIENCE, look(&app, &mut prepared)).await {
                Ok(Ok(())) => database.ok(),
                Ok(Err(error)) => database.missing(chain(error)),
                Err(_) => {
                    app.lost_database();
                    database.missing("the database does not answer");
                }
            },
            _ = prune.tick(), if prepared => {
                if let Err(error) = app.prune().await {
                    tracing::warn!(%error, "cannot forget old sessions");
                }
            }
            _ = locations.tick() => {
                let looking = Arc::clone(&app);
                let looked = tokio::task::spawn_blocking(move || looking.locator.look()).await;
                let looked = looked.unwrap_or_default();
                (0..looked.replaced).for_each(|_| count(&app.metrics.location_reads, "read"));
                (0..looked.damaged).for_each(|_| count(&app.metrics.location_reads, "damaged"));
            }
        }
    }
}

/// One look at the database.
pub(crate) async fn look(app: &App, prepared: &mut bool) -> Result<(), Error> {
    if !*prepared {
        app.prepare().await?;
        *prepared = true;
    }
    app.reload().await
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn chain(error: Error) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
