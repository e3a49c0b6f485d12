//! Ending the sockets of a session that was revoked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::client::Client;
use super::context::Context;
use crate::delivery::Outlet;
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::RevokeReason;
use crate::service::identity::Revoked;

/// How often the node looks for revocations of which it was not told.
const CHECK: Duration = Duration::from_secs(5);
/// How long they are looked at again: a socket that was authenticated before may be there only now.
const LOOKED_AT: Duration = Duration::from_secs(40);
/// How long after the goodbye a transport is ended that the client did not close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The session of the socket was revoked; the server disconnects the socket next.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SessionRevoked<'a> {
    session: &'a SessionId,
    reason: RevokeReason,
}

/// Ends one socket. What it asked for and was not done yet is not done.
pub(super) fn end(client: &Arc<Client>, reason: RevokeReason) {
    client.jobs.discard();
    client.try_send("session:revoked", &SessionRevoked { session: &client.identity.session, reason });
    client.disconnect();
    let client = client.clone();
    tokio::spawn(async move {
        tokio::time::sleep(CLOSE_TIMEOUT).await;
        client.hand_over();
    });
}

/// Ends the sockets of a session that the node has, `except` one.
pub(super) fn end_all(
    context: &Context,
    user: &UserId,
    session: &SessionId,
    reason: RevokeReason,
    except: Option<&str>,
) {
    for client in context.clients.of(user) {
        if client.identity.session == *session && except != Some(client.id().as_str()) {
            end(&client, reason);
        }
    }
}

/// Ends a socket if its session was revoked.
pub(super) async fn end_if_revoked(context: &Context, client: &Arc<Client>) -> bool {
    let revoked = context.sessions.revoked(&client.identity.user.id, &client.identity.session).await;
    let Ok(Some(reason)) = revoked else { return false };
    end(client, reason);
    true
}

/// Ends the sockets of sessions that were revoked where the notice was lost, or came before the socket was there, until
/// the task is dropped.
pub async fn end_revoked(context: Arc<Context>) {
    let mut revocations = context.sessions.revocations();
    let mut recent: Vec<(Instant, Revoked)> = Vec::new();
    loop {
        match revocations.next().await {
            Ok(new) => recent.extend(new.into_iter().map(|revoked| (Instant::now(), revoked))),
            Err(error) => tracing::debug!(%error, "revoked sessions could not be looked up"),
        }
        recent.retain(|(since, _)| since.elapsed() < LOOKED_AT);
        for (_, Revoked { user, session, reason }) in &recent {
            end_all(&context, user, session, *reason, None);
        }
        tokio::time::sleep(CHECK).await;
    }
}
