//! `typing:set`: passes, and is never stored.

use std::sync::Mutex;

use serde_json::json;

use crate::domain::rate_limit::Bucket;
use crate::store::Signal;
use crate::transport::socketio::client::Client;
use crate::transport::socketio::context::Context;
use crate::transport::socketio::messages::allow;
use crate::transport::socketio::protocol::{Answer, Request, SetTyping};

pub(super) async fn set(context: &Context, client: &Client, bucket: &Mutex<Bucket>, request: Request) -> Answer {
    let SetTyping { room, on } = request.read()?;
    let user = &client.identity.user;
    context.rooms.access(user, &room).await?.standing(&room).may_write()?;
    allow(context, bucket)?;
    let signal = Signal {
        event: "typing".into(),
        except: Some(user.id.clone()),
        version: None,
        payload: json!({ "room": room, "user": user, "on": on }),
    };
    context.rooms.signal(&room, &signal).await?;
    Ok(json!({}))
}
