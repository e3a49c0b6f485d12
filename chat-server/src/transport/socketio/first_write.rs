//! The first request of a guest that changes something: the guest is stored before it.

use std::sync::atomic::Ordering;

use super::client::Client;
use super::context::Context;
use super::guest::Guest;
use crate::domain::error::{Code, Refusal};
use crate::observability::metrics::FirstWrite;

/// Stores the guest of a socket, if it is not stored: everything that it does from now on may be kept. Costs nothing for
/// others.
///
/// # Errors
/// `rate_limited` where too many new guests come; `unavailable` if the store has no room for others; the store's.
pub(super) async fn store(context: &Context, client: &Client) -> Result<(), Refusal> {
    let Some(guest) = client.guest.get() else { return Ok(()) };
    let (identity, read) = (&client.identity, guest.lobby.load(Ordering::Relaxed));
    let admit = || admit_guest(context, &guest);
    context.sessions.store(&identity.user, &identity.session, &guest.unstored, read, admit).await?;
    client.guest.forget();
    Ok(())
}

/// Counts the guest of a socket, if it is not stored, as if it were: something is about to be kept of it.
///
/// # Errors
/// `rate_limited` where too many new guests come.
pub(super) fn admit(context: &Context, client: &Client) -> Result<(), Refusal> {
    let Some(guest) = client.guest.get() else { return Ok(()) };
    context.strangers.guest(guest.from).inspect_err(|_| context.metrics.new_guests.of(FirstWrite::RateLimited).inc())
}

fn admit_guest(context: &Context, guest: &Guest) -> Result<(), Refusal> {
    let admitted = context.reserve.spare().and_then(|()| context.strangers.guest(guest.from));
    let result = match &admitted {
        Ok(()) => FirstWrite::Stored,
        Err(refusal) if refusal.code == Code::RateLimited => FirstWrite::RateLimited,
        Err(_) => FirstWrite::Full,
    };
    context.metrics.new_guests.of(result).inc();
    admitted
}
