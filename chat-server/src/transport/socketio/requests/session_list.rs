//! `session:list`.

use serde::{Deserialize, Serialize};

use crate::domain::error::Refusal;
use crate::domain::session::SessionView;
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

/// Lists the user's sessions on all nodes: the one of this socket, then those that were used last.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SessionList {}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Listed {
    sessions: Vec<SessionView>,
}

impl Request for SessionList {
    const NAME: &'static str = "session:list";
    const RATE: RateClass = RateClass::Query;
    const EXAMPLE: &'static str = "{}";
    type Answer = Listed;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Listed>, Refusal> {
        let sessions = call
            .context
            .sessions
            .list(call.actor, &call.client.identity.session, call.client.guest.unstored().as_ref())
            .await?;
        Ok(Listed { sessions }.into())
    }
}
