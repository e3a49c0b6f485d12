//! Removes what guests who are gone have left behind.

use std::time::Duration;

use crate::service::identity::Sessions;

/// How often a node looks whether it is time: it is so once a day, for one node of the chat.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// How soon after a failure, such as a store that is away.
const RETRY: Duration = Duration::from_secs(60);

/// Removes it until the task is dropped.
pub(super) async fn forget_gone(sessions: Sessions) {
    loop {
        let wait = match sessions.forget_gone().await {
            Ok(0) => LOOK_EVERY,
            Ok(guests) => {
                tracing::info!(guests, "what guests who are gone had left in the lobby was removed");
                LOOK_EVERY
            }
            Err(error) => {
                tracing::warn!(%error, "what guests who are gone left in the lobby could not be removed");
                RETRY
            }
        };
        tokio::time::sleep(wait).await;
    }
}
