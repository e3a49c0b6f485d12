//! Handing notices to the workers of the clients.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::jobs::Job;
use super::{revocation, worker};
use crate::domain::id::UserId;
use crate::store::Notice;

/// How many clients a second look up their rooms anew after an interruption.
const REVIEWS_PER_SECOND: u32 = 200;

/// Hands a notice to all clients of a user.
pub fn notify(context: &Arc<Context>, user: &UserId, notice: &Notice) {
    if let Notice::SessionRevoked { session, reason, by_socket } = notice {
        // What the client has asked for before does not delay its end.
        return revocation::end_all(context, user, session, *reason, by_socket.as_deref());
    }
    for client in context.clients.of(user) {
        worker::wake(context, &client, client.jobs.later(Job::Notice(notice.clone())));
    }
}

/// Has every client look up its rooms, one after the other: notices may have been missed.
pub fn review_all(context: &Arc<Context>) {
    let context = context.clone();
    tokio::spawn(async move {
        for client in context.clients.all() {
            worker::wake(&context, &client, client.jobs.later(Job::Review));
            tokio::time::sleep(Duration::from_secs(1) / REVIEWS_PER_SECOND).await;
        }
    });
}
