//! `session:revoke`.

use serde::Deserialize;

use crate::domain::error::Refusal;
use crate::domain::id::SessionId;
use crate::domain::session::RevokeReason;
use crate::transport::socketio::first_write;
use crate::transport::socketio::request::{Call, Done, RateClass, Reply, Request, Then};

/// Revokes one of the user's sessions: its sockets are closed on all nodes, and its `resume` is refused from now on. To
/// revoke the socket's own session is to sign out.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SessionRevoke {
    session: SessionId,
}

impl Request for SessionRevoke {
    const NAME: &'static str = "session:revoke";
    const RATE: RateClass = RateClass::Change;
    const PROTECTS: bool = true;
    /// Of a guest who is not stored it keeps that the token is refused, and nothing else.
    const KEEPS: bool = false;
    const EXAMPLE: &'static str = r#"{"session":"s"}"#;
    type Answer = Done;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Done>, Refusal> {
        let current = &call.client.identity.session;
        let own = self.session == *current;
        if own {
            first_write::admit(call.context, call.client)?;
        }
        call.context.sessions.revoke(call.actor, &self.session, current).await?;
        let then = if own { Then::Revoked(RevokeReason::Requested) } else { Then::Nothing };
        Ok(Reply { answer: Done {}, then })
    }
}
