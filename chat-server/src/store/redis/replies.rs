//! Parses the replies of the scripts.

use crate::domain::id::UserId;
use crate::domain::json::Members;
use crate::domain::position::{Epoch, Position};
use crate::store::{Committed, Entry, StoreError};

/// An entry as the scripts return it: epoch, offset, time, event, author, payload.
pub(super) type RawEntry = (String, String, String, String, String, String);

/// Parses `1` and a value, or `0` for none: a list in a reply can't hold nil.
pub(super) fn optional(text: &str) -> Option<String> {
    text.strip_prefix('1').map(ToOwned::to_owned)
}

pub(super) fn number(text: &str) -> Result<u64, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt(format!("not a number: {text:?}")))
}

/// Parses where earlier epochs of a log ended.
pub(super) fn ends(text: &str) -> Result<Vec<Position>, StoreError> {
    let each = text.split_terminator(',').map(|end| {
        let (epoch, offset) = end.split_once(':').ok_or_else(|| StoreError::Corrupt(format!("an end: {end:?}")))?;
        Ok(Position { epoch: Epoch::new(epoch), offset: number(offset)? })
    });
    each.collect()
}

/// Parses the reply of `commit.lua`.
pub(super) fn committed(reply: Vec<String>) -> Result<Committed, StoreError> {
    let mut reply = reply.into_iter();
    match (reply.next().as_deref(), reply.len()) {
        (Some("done"), 0) => Ok(Committed::Done { entry: None }),
        (Some("done"), 3) => {
            let mut next = || reply.next().unwrap_or_default();
            let position = Position { epoch: Epoch::new(&next()), offset: number(&next())? };
            Ok(Committed::Done { entry: Some((position, number(&next())?)) })
        }
        (Some("repeated"), 6) => {
            let mut next = || reply.next().unwrap_or_default();
            entry((next(), next(), next(), next(), next(), next())).map(Committed::Repeated)
        }
        (Some("full"), 0) => Ok(Committed::Full),
        (Some("refused"), _) => Ok(Committed::Refused(reply.map(|value| optional(&value)).collect())),
        _ => Err(StoreError::Corrupt("the reply of the commit script can't be read".into())),
    }
}

pub(super) fn entry((epoch, offset, at, event, by, payload): RawEntry) -> Result<Entry, StoreError> {
    let by = UserId::parse(&by).map_err(|error| StoreError::Corrupt(format!("an author {error}")))?;
    let (epoch, event) = (Epoch::new(&epoch), event.into());
    let payload = Members::stored(payload);
    Ok(Entry { epoch, offset: number(&offset)?, at: number(&at)?, event, by, payload })
}
