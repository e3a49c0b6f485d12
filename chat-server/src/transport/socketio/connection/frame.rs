//! Frames of a WebSocket, as a server writes them.

use bytes::Bytes;

/// A text frame whose text is `parts`, concatenated.
#[must_use]
pub fn frame(parts: &[&str]) -> Bytes {
    const WHOLE_TEXT: u8 = 0x81;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(length + 10);
    frame.push(WHOLE_TEXT);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..126), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    parts.iter().for_each(|part| frame.extend(part.as_bytes()));
    frame.into()
}

/// How many of these frames, which a server wrote, are a CONNECT, an event or an answer of Socket.IO: those that
/// [`Outbox`](crate::transport::socketio::outbox::Outbox) counts as queued.
pub(super) fn packets(mut frames: &[u8]) -> u64 {
    let mut count = 0;
    while let [kind, length, rest @ ..] = frames {
        let (length, rest) = match (length & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                (usize::try_from(length).unwrap_or(usize::MAX), rest)
            }
            (length, rest) => (usize::from(length), rest),
        };
        let payload = &rest[..length.min(rest.len())];
        if kind & 0x0f == 1 && is_counted(payload) {
            count += 1;
        }
        frames = &rest[payload.len()..];
    }
    count
}

/// Whether a packet of Engine.IO is one of those that are counted.
#[must_use]
pub fn is_counted(packet: &[u8]) -> bool {
    matches!(packet, [b'4', b'0' | b'2' | b'3', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_whatever_their_length_and_pings_are_not() {
        let long = |length: usize| format!("42[\"{}\"]", "x".repeat(length));
        let frames = ["40{}", "2", &long(5), &long(200), &long(70_000), "431[]"].map(|packet| frame(&[packet]));
        assert_eq!(packets(&frames.concat()), 5);
        assert_eq!(packets(&[0x88, 0x02, 0x03, 0xe8]), 0, "a close");
        assert_eq!(packets(&[0x81]), 0);
    }
}
