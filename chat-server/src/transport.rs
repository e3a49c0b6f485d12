//! How requests come in and events go out: Socket.IO for chat, HTTP for the page, the handshake's gate
//! and the admin port.

pub mod http;
pub mod socketio;
