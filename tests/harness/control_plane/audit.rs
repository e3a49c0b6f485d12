//! What the API server was asked, by whom, from its audit log.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditMark(u64);

impl AuditMark {
    pub(super) fn end_of(log: &Path) -> Self {
        Self(std::fs::metadata(log).map_or(0, |data| data.len()))
    }

    /// The whole entries from here on.
    pub(super) fn read(self, log: &Path) -> Vec<AuditEntry> {
        let mut file = std::fs::File::open(log).expect("the audit log");
        file.seek(SeekFrom::Start(self.0)).expect("a place in the audit log");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("the audit log");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| AuditEntry::parse(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

/// One request that was answered.
#[derive(Clone, Debug)]
pub(crate) struct AuditEntry {
    /// `admin`, `system:serviceaccount:NAMESPACE:NAME`, …
    pub(crate) user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub(crate) verb: String,
    /// The group of the resource; empty for the core.
    pub(crate) group: String,
    /// The plural, with the subresource behind a slash: `pods`, `pods/status`.
    pub(crate) resource: String,
    /// Empty for what is in none.
    pub(crate) namespace: String,
    /// Empty for lists.
    pub(crate) name: String,
    /// The status of the answer.
    pub(crate) code: u16,
    /// `kubectl/v1.36 …`
    pub(crate) user_agent: String,
}

impl AuditEntry {
    fn parse(line: &str) -> Result<Self, serde_json::Error> {
        let raw: Raw = serde_json::from_str(line)?;
        let object = raw.object_ref.unwrap_or_default();
        let resource = match object.subresource.as_str() {
            "" => object.resource,
            subresource => format!("{}/{subresource}", object.resource),
        };
        Ok(Self {
            user: raw.user.username,
            verb: raw.verb,
            group: object.api_group,
            resource,
            namespace: object.namespace,
            name: object.name,
            code: raw.response_status.unwrap_or_default().code,
            user_agent: raw.user_agent,
        })
    }

    /// Whether it was to change something.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<Object>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}
