//! What is published: one frame for an entry or a signal, or many frames in one message.

use fred::types::{Message, Value};

use crate::domain::trace::Traceparent;
use crate::store::redis::keys::Keyspace;
use crate::store::redis::replies::entry;
use crate::store::{BusEvent, Topic};

/// Parses a published message.
pub(super) fn events(keyspace: &Keyspace, message: &Message) -> Option<Vec<BusEvent>> {
    let topic = keyspace.topic(&message.channel)?;
    let text = match &message.value {
        Value::String(text) => &**text,
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?,
        _ => return None,
    };
    frames(&topic, text)
}

/// The frame of a signal.
pub(crate) fn signal(payload: &str) -> String {
    format!("s{payload}")
}

/// Parses one frame, or `b` and many, each after its length and a colon.
pub(crate) fn frames(topic: &Topic, text: &str) -> Option<Vec<BusEvent>> {
    let Some(mut rest) = text.strip_prefix('b') else { return frame(topic.clone(), text).map(|event| vec![event]) };
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_once(':')?;
        let (one, next) = after.split_at_checked(length.parse().ok()?)?;
        all.push(frame(topic.clone(), one)?);
        rest = next;
    }
    Some(all)
}

/// Parses `e` and epoch, offset, time, author, event, payload, a line each, perhaps after a line of `t` and a
/// traceparent; or `s` and a signal.
fn frame(topic: Topic, text: &str) -> Option<BusEvent> {
    if let Some(signal) = text.strip_prefix('s') {
        return Some(BusEvent::Signal(topic, signal.to_owned()));
    }
    let (trace, text) = match text.strip_prefix('t') {
        Some(rest) => rest.split_once('\n').map(|(trace, text)| (Traceparent::parse(trace), text))?,
        None => (None, text),
    };
    let mut lines = text.strip_prefix('e')?.splitn(6, '\n');
    let mut next = || lines.next().map(ToOwned::to_owned);
    let (epoch, offset, at, by, event, payload) = (next()?, next()?, next()?, next()?, next()?, next()?);
    entry((epoch, offset, at, event, by, payload)).ok().map(|entry| BusEvent::Entry(topic, entry, trace))
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used)] // A test that fails by panicking says enough.
mod tests {
    use super::*;
    use crate::domain::id::RoomId;

    #[test]
    fn a_frame_is_parsed_verbatim_or_refused() {
        let topic = || Topic::Room(RoomId::lobby());
        let Some(BusEvent::Entry(_, entry, None)) = frame(topic(), "ee1\n7\n99\nu1\nmessage:new\n\"a\":\"x\ny\"")
        else {
            panic!("not an entry");
        };
        assert_eq!((entry.offset, entry.at, entry.payload.as_str()), (7, 99, "\"a\":\"x\ny\""));
        for bad in ["", "x", "ee1\n7", "ee1\nx\n99\nu1\nm\np", "ee1\n7\n99\nu 1\nm\np"] {
            assert_eq!(frame(topic(), bad), None, "{bad}");
        }
    }

    #[test]
    fn a_frame_of_a_traced_entry_has_its_traceparent() {
        let (topic, plain) = (Topic::Room(RoomId::lobby()), "ee1\n7\n99\nu1\nm\n\"t\":1");
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let Some(BusEvent::Entry(_, entry, None)) = frame(topic.clone(), plain) else { panic!("not an entry") };
        let followed = |trace: &str| frame(topic.clone(), &format!("t{trace}\n{plain}"));
        assert_eq!(followed(trace), Some(BusEvent::Entry(topic.clone(), entry.clone(), Traceparent::parse(trace))));
        // A traceparent of another version is dropped, the entry is not.
        assert_eq!(followed("01-x"), Some(BusEvent::Entry(topic.clone(), entry, None)));
        assert_eq!(frame(topic, &format!("t{trace}")), None);
    }

    #[test]
    fn a_batch_of_frames_is_parsed_whole_or_refused() {
        let topic = Topic::Room(RoomId::lobby());
        let (one, two) = ("ee1\n7\n99\nu1\nm\n\"ä:7\"", "ee1\n8\n99\nu2\nm\n");
        let both = format!("b{}:{one}{}:{two}", one.len(), two.len());
        let each = [one, two].map(|text| frame(topic.clone(), text).unwrap());
        assert_eq!(frames(&topic, &both), Some(each.to_vec()));
        assert_eq!(frames(&topic, one), Some(vec![each[0].clone()]));
        for bad in [&both[..both.len() - 1], "b9:e", "b:", "bx", "b-1:e", "b1", "b99999999999999999999:e"] {
            assert_eq!(frames(&topic, bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,10}|[bet][a-z0-9\n:-]{0,40}|\\PC*") {
            let _ = frames(&Topic::Room(RoomId::lobby()), &text);
        }
    }

    #[test]
    fn a_signal_survives_a_round_trip() {
        let topic = Topic::Room(RoomId::lobby());
        assert_eq!(frame(topic.clone(), &signal("e\n1")), Some(BusEvent::Signal(topic, "e\n1".to_owned())));
    }
}
