//! The path below which clients find the chat, where the site has others.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The longest path, in bytes.
const MOST_BYTES: usize = 128;

/// The path below which clients find the chat: nothing, or `/` and names, without a slash at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(Arc<str>);

impl BasePath {
    /// Parses `/`, or a path such as `/chat`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() || text == "/" {
            return Ok(Self::default());
        }
        if text.contains("://") {
            return Err("a path begins with a slash: leave out scheme and host".to_owned());
        }
        let Some(names) = text.strip_prefix('/') else {
            return Err(format!("a path begins with a slash: write /{text}"));
        };
        if let Some(bare) = text.strip_suffix('/').filter(|bare| bare.len() > 1 && !bare.ends_with('/')) {
            return Err(format!("leave out the slash at the end: write {bare}"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let is_name = |name: &str| !name.is_empty() && !name.starts_with(['.', '-']) && name.bytes().all(plain);
        if text.len() > MOST_BYTES || !names.split('/').all(is_name) {
            return Err(format!(
                "a path is a slash and names of letters, digits and any of - . _ ~, such as /chat, {MOST_BYTES} bytes at most"
            ));
        }
        Ok(Self(text.into()))
    }

    /// Whether the chat has the whole site.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Where an address leads below the path.
    fn below(&self, uri: &Uri) -> Below {
        let Some(rest) = uri.path().strip_prefix(&*self.0) else { return Below::Nowhere };
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        match rest.as_bytes().first() {
            None => Below::Missing(format!("{}/{query}", self.0)),
            Some(b'/') => format!("{rest}{query}").parse().map_or(Below::Nowhere, Below::Path),
            Some(_) => Below::Nowhere,
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "/" } else { &self.0 })
    }
}

/// Where an address leads.
#[derive(Debug, PartialEq, Eq)]
enum Below {
    /// To this, as the routes know it.
    Path(PathAndQuery),
    /// To the path itself, without the slash that relative addresses need: it is there.
    Missing(String),
    /// Elsewhere.
    Nowhere,
}

/// Takes the path off the addresses of requests. Around all routes, since they are told apart by what is left.
pub async fn take_off(State(base): State<BasePath>, mut request: Request, next: Next) -> Response {
    match base.below(request.uri()) {
        Below::Path(path) => {
            *request.uri_mut() = Uri::from(path);
            next.run(request).await
        }
        Below::Missing(location) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response(),
        Below::Nowhere => (StatusCode::NOT_FOUND, format!("not found: the chat is below {base}/\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is_or_refused_with_what_to_write() {
        for (text, path) in [("/", "/"), ("", "/"), ("/chat", "/chat"), (" /team-a/chat.v1 ", "/team-a/chat.v1")] {
            assert_eq!(BasePath::parse(text).map(|path| path.to_string()).as_deref(), Ok(path));
        }
        for (text, hint) in [
            ("chat", "write /chat"),
            ("/chat/", "write /chat"),
            ("https://a.example/chat", "leave out scheme"),
            ("//", "such as /chat"),
            ("//chat", "such as /chat"),
            ("/a//b", "such as /chat"),
            ("/..", "such as /chat"),
            ("/a/../b", "such as /chat"),
            ("/chat?x", "such as /chat"),
            ("/c hat", "such as /chat"),
            ("/%63hat", "such as /chat"),
            ("/chät", "such as /chat"),
            (&format!("/{}", "a".repeat(128)), "such as /chat"),
        ] {
            let why = BasePath::parse(text).expect_err(text);
            assert!(why.contains(hint), "{text}: {why}");
        }
    }

    #[test]
    fn only_what_is_below_the_path_leads_somewhere() {
        let base = BasePath::parse("/chat").unwrap();
        let below = |address: &str| base.below(&address.parse().unwrap());
        let path = |path: &str| Below::Path(path.parse().unwrap());
        assert_eq!(below("/chat/"), path("/"));
        assert_eq!(below("/chat/socket.io/?EIO=4&sid=x"), path("/socket.io/?EIO=4&sid=x"));
        assert_eq!(below("http://a.example/chat/assets/x.js"), path("/assets/x.js"));
        assert_eq!(below("/chat/chat/"), path("/chat/"));
        assert_eq!(below("/chat"), Below::Missing("/chat/".to_owned()));
        assert_eq!(below("/chat?x=1"), Below::Missing("/chat/?x=1".to_owned()));
        for elsewhere in ["/", "/chatter", "/socket.io/", "/Chat/", "/other/chat/"] {
            assert_eq!(below(elsewhere), Below::Nowhere, "{elsewhere}");
        }
    }
}
