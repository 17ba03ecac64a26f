//! Fills the guide's gaps with what channels' own sources say.

use std::sync::Arc;

use link::SessionState;
use tokio::sync::watch;

use super::Guide;

/// Keeps `filled` as `guide` with its gaps filled by what sources say is on, until nobody wants it any more or the session
/// is over.
pub(crate) async fn fill(
    mut guide: watch::Receiver<Arc<Guide>>,
    mut state: watch::Receiver<SessionState>,
    filled: watch::Sender<Arc<Guide>>,
) {
    let mut on_air = std::collections::BTreeMap::new();
    loop {
        let base = guide.borrow_and_update().clone();
        let now = if on_air.is_empty() { base } else { Arc::new(base.filled(&on_air)) };
        filled.send_replace(now);
        // The session's state changes for other reasons, too.
        loop {
            tokio::select! {
                () = filled.closed() => return,
                changed = guide.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                changed = state.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let told = state.borrow_and_update().programmes.clone();
                    if told != on_air {
                        on_air = told;
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[tokio::test]
    async fn what_a_source_says_is_in_the_guide_and_goes_with_it() {
        let (_keep, guide) = watch::channel(Arc::new(Guide::default()));
        let (session, state) = watch::channel(SessionState::default());
        let (tell, mut filled) = watch::channel(Arc::default());
        tokio::spawn(fill(guide, state, tell));
        let programme = link::protocol::Programme {
            start: 1000,
            end: 2000,
            title: "Now".into(),
            about: "What it is".into(),
        };
        session.send_modify(|state| {
            state.programmes.insert("one".into(), vec![programme]);
        });
        let at = UNIX_EPOCH + Duration::from_secs(1500);
        let told = filled.wait_for(|guide| guide.on("one", at).is_some()).await.unwrap().clone();
        let now = told.on("one", at).unwrap();
        assert_eq!((now.title.as_str(), now.description.as_deref()), ("Now", Some("What it is")));
        session.send_modify(|state| state.programmes.clear());
        filled.wait_for(|guide| guide.is_empty()).await.unwrap();
    }
}
