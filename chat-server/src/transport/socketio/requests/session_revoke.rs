//! `session:revoke`.

use serde::Deserialize;

use crate::transport::socketio::request::{Call, Done, RateClass, Reply, Request, Then};
use crate::domain::error::Refusal;
use crate::domain::id::SessionId;
use crate::domain::session::RevokeReason;

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
    const EXAMPLE: &'static str = r#"{"session":"s"}"#;
    type Answer = Done;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Done>, Refusal> {
        call.context.sessions.revoke(call.actor, &self.session).await?;
        let own = self.session == call.client.identity.session;
        let then = if own { Then::Revoked(RevokeReason::Requested) } else { Then::Nothing };
        Ok(Reply { answer: Done {}, then })
    }
}
