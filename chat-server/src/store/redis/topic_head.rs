//! What the fields of a topic hold beside those with names: see `keys.rs` and `lib/head.lua`.

use fred::types::Value;

use crate::domain::id::UserId;
use crate::domain::position::{Epoch, Millis, Offset, Position};
use crate::store::StoreError;

/// The numbers of a head, before its texts.
const NUMBERS: usize = 8;

/// The field of the head.
pub(super) fn head() -> Value {
    field(b"h")
}

/// The fields that say what a user has not read: the head, how much the user wrote, the user's mark, and what retention
/// removed.
pub(super) fn marks_of(user: &UserId) -> [Value; 4] {
    let [wrote, mark] = kept_of(user);
    [head(), wrote, mark, field(b"t")]
}

/// The fields that a user leaves behind: how much the user wrote, and the user's mark.
pub(super) fn kept_of(user: &UserId) -> [Value; 2] {
    ["a", "m"].map(|kind| field(format!("{kind}:{user}").as_bytes()))
}

/// A pattern for the fields of [`kept_of`], of any user.
pub(super) fn any_marks() -> Value {
    field(b"[am]:*")
}

/// Whose such a field is.
pub(super) fn reader(name: &Value) -> Option<UserId> {
    let name = bytes(name).ok()?.strip_prefix(&[255])?;
    let user = name.strip_prefix(b"a:").or_else(|| name.strip_prefix(b"m:"))?;
    UserId::parse(std::str::from_utf8(user).ok()?).ok()
}

fn field(name: &[u8]) -> Value {
    Value::Bytes([&[255], name].concat().into())
}

/// The last position that a head tells of.
pub(super) fn position(head: Option<&Value>) -> Result<Position, StoreError> {
    let Some(head) = head else { return Ok(Position::default()) };
    let head = bytes(head)?;
    let texts = head.get(NUMBERS * 8..).unwrap_or_default();
    let epoch = texts.split(|byte| *byte == 0).next().and_then(|epoch| std::str::from_utf8(epoch).ok());
    Ok(Position { epoch: Epoch::new(epoch.ok_or_else(corrupt)?), offset: number(head, 0)? })
}

/// What a user has not read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unread {
    /// How many counted entries of others come after the mark, as far as they are kept.
    pub(super) unread: u64,
    /// How many counted entries there ever were.
    pub(super) counted: u64,
    /// The time of the first entry when the log was last examined.
    pub(super) since: Millis,
}

/// What a user has not read, from the values of [`marks_of`].
pub(super) fn unread([head, own, mark, trimmed]: [Option<Value>; 4]) -> Result<Unread, StoreError> {
    let (Some(head), Some(mark)) = (head, mark) else { return Ok(Unread::default()) };
    let head = bytes(&head)?;
    let (counted, since) = (number(head, 3)?, number(head, 5)?);
    let own = own.map_or(Ok(0), |own| text(&own)?.parse().map_err(|_| corrupt()))?;
    let seen: u64 = text(&mark)?.split_once(':').and_then(|(_, seen)| seen.parse().ok()).ok_or_else(corrupt)?;
    let gone = trimmed.map_or(Ok(0), |trimmed| number(bytes(&trimmed)?, 1))?;
    let unread = counted.saturating_sub(own).saturating_sub(seen).min(counted.saturating_sub(gone));
    Ok(Unread { unread, counted, since })
}

fn bytes(value: &Value) -> Result<&[u8], StoreError> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        Value::String(text) => Ok(text.as_bytes()),
        _ => Err(corrupt()),
    }
}

fn text(value: &Value) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes(value)?).map_err(|_| corrupt())
}

/// A number of a head. All are integers far below 2^53.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn number(head: &[u8], place: usize) -> Result<Offset, StoreError> {
    let bytes = head.get(place * 8..place * 8 + 8).and_then(|bytes| bytes.try_into().ok());
    Ok(f64::from_le_bytes(bytes.ok_or_else(corrupt)?) as Offset)
}

fn corrupt() -> StoreError {
    StoreError::Corrupt("the head of a log".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(numbers: [f64; NUMBERS], epoch: &str) -> Value {
        let mut head: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        head.extend([epoch.as_bytes(), &[0], b"server", &[0]].concat());
        Value::Bytes(head.into())
    }

    #[test]
    fn a_field_tells_whose_it_is() {
        let user = UserId::parse("u1").unwrap();
        assert!(kept_of(&user).iter().all(|name| reader(name) == Some(user.clone())));
        for other in [head(), Value::from("m:u1"), field(b"m:"), field(b"x:u1"), any_marks()] {
            assert_eq!(reader(&other), None, "{other:?}");
        }
    }

    #[test]
    fn a_head_tells_position_and_what_is_unread() {
        let head = packed([12.0, 0.0, 11.0, 9.0, 1.0, 0.0, 0.0, 1.0], "e1");
        let there = position(Some(&head)).unwrap();
        assert_eq!((there.epoch.as_str(), there.offset), ("e1", 12));
        assert_eq!(position(None).unwrap(), Position::default());
        let text = |text: &str| Some(Value::from(text));
        let unread = |values: [Option<Value>; 4]| unread(values).map(|found| found.unread);
        assert_eq!(unread([Some(head.clone()), text("2"), text("5:3"), None]).unwrap(), 4);
        assert_eq!(unread([Some(head.clone()), None, text("5:3"), None]).unwrap(), 6);
        assert_eq!(unread([Some(head.clone()), text("2"), None, None]).unwrap(), 0);
        assert_eq!(unread([None, None, text("5:3"), None]).unwrap(), 0);
        let trimmed = [9.0_f64, 7.0].iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
        let trimmed = Some(Value::Bytes(trimmed.into()));
        assert_eq!(unread([Some(head.clone()), text("2"), text("5:3"), trimmed]).unwrap(), 2);
        for torn in [Value::from("short"), Value::Integer(3)] {
            assert!(position(Some(&torn)).is_err());
        }
        assert!(unread([Some(head), None, text("5"), None]).is_err());
    }
}
