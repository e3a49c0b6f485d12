//! Who may ask a node for something on its admin port: who has the token.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq;

/// A status and a sentence.
pub(super) type Answer = (StatusCode, &'static str);

/// Where the token is. Without a file nobody is let in.
#[derive(Clone)]
pub struct AdminToken(Option<Arc<PathBuf>>);

impl AdminToken {
    /// The token of this file.
    #[must_use]
    pub fn of(file: Option<PathBuf>) -> Self {
        Self(file.map(Arc::new))
    }

    /// Lets somebody in who gives it.
    pub(super) async fn authorize(&self, headers: &HeaderMap) -> Result<(), Answer> {
        let Some(file) = &self.0 else {
            return Err((StatusCode::FORBIDDEN, "start the server with --admin-token-file to use this\n"));
        };
        // Read each time: a token is replaced without a restart.
        let token = match tokio::fs::read_to_string(file.as_path()).await {
            Ok(token) if !token.trim().is_empty() => token,
            _ => {
                tracing::error!(file = %file.display(), "the file of the admin token is absent, empty or can't be read");
                return Err((StatusCode::SERVICE_UNAVAILABLE, "the admin token can't be read; see the log\n"));
            }
        };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if bool::from(given.trim().as_bytes().ct_eq(token.trim().as_bytes())) {
            Ok(())
        } else {
            Err((StatusCode::UNAUTHORIZED, "give the admin token as `Authorization: Bearer …`\n"))
        }
    }
}
