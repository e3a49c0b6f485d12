//! Putting back what the store lost of the clients of a node, and taking anew what it does not have any more.

use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::context::Context;
use super::revocation;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::RoomId;
use crate::service::identity::SessionError;
use crate::store::StoreError;

/// Clients that are looked at together.
const AT_ONCE: usize = 500;
/// How many clients a second are made to connect anew.
const RECONNECTS_PER_SECOND: u32 = 200;

/// Puts the sessions of the open clients back that the store lost, and lists the rooms of their people again: not of guests
/// who are not stored yet, as their tokens say all that there is of them. Returns how many there were.
///
/// # Errors
/// The store's.
pub async fn restore_sessions(context: &Context) -> Result<usize, StoreError> {
    let is_stored = |client: &Arc<Client>| client.is_open() && client.guest.unstored().is_none();
    let open: Vec<Arc<Client>> = context.clients.all().into_iter().filter(is_stored).collect();
    let mut restored = 0;
    for some in open.chunks(AT_ONCE) {
        let identities: Vec<_> = some.iter().map(|client| &client.identity).collect();
        let there = context.sessions.are_there(&identities).await?;
        for (client, _) in some.iter().zip(there).filter(|(_, there)| !there) {
            match context.sessions.put_back(&client.identity).await {
                Ok(()) => restored += 1,
                Err(SessionError::Revoked(reason)) => revocation::end(client, reason),
                Err(SessionError::Store(error)) => return Err(error),
                Err(SessionError::Unauthenticated) => {}
            }
            let listed = context.rooms.list_again(&client.identity.user, &client.rooms()).await;
            // More rooms than a person can be in are not listed.
            if let Err(Refusal { code: Code::Unavailable, cause, message, .. }) = listed {
                return Err(StoreError::Unavailable(cause.unwrap_or(message)));
            }
        }
    }
    Ok(restored)
}

/// Has those clients connect anew that are in rooms which the store lost: so they learn which rooms they are in, in the
/// same way as ever. Returns how many rooms are gone.
///
/// # Errors
/// The store's.
pub async fn leave_lost_rooms(context: &Arc<Context>) -> Result<usize, StoreError> {
    let mut gone = context.rooms.gone(&context.hub.rooms()).await?;
    if gone.is_empty() {
        return Ok(0);
    }
    gone.sort_unstable();
    let is_gone = |room: &RoomId| gone.binary_search(room).is_ok();
    for client in context.clients.all() {
        if client.rooms().iter().any(is_gone) && client.is_open() {
            client.hand_over();
            tokio::time::sleep(Duration::from_secs(1) / RECONNECTS_PER_SECOND).await;
        }
    }
    Ok(gone.len())
}
