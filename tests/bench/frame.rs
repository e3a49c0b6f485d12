//! WebSocket frames, as a client writes and reads them.

/// What a frame is.
pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame that is there as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// Of all that it takes, its head included.
    pub(crate) length: usize,
}

/// The frame with which these bytes begin, once it is whole.
///
/// An error says what a server must not send to us, who agreed to no extension.
pub(crate) fn first(bytes: &[u8]) -> Result<Option<Frame<'_>>, &'static str> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != 0x80 {
        return Err("a fragment, or an extension that nobody asked for");
    }
    let (head, length): (usize, usize) = match (second, rest) {
        (0..=125, _) => (2, usize::from(*second)),
        (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (10, usize::try_from(length).map_err(|_| "a frame that fits into no memory")?)
        }
        (126 | 127, _) => return Ok(None),
        _ => return Err("a masked frame"),
    };
    let Some(payload) = bytes.get(head..length.saturating_add(head)) else { return Ok(None) };
    Ok(Some(Frame { opcode: first & 0x0f, payload, length: head + length }))
}

/// Appends a frame of a client.
pub(crate) fn write(out: &mut Vec<u8>, opcode: u8, mask: [u8; 4], payload: &[u8]) {
    out.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => out.push(0x80 | length),
        (_, Ok(length)) => {
            out.push(0x80 | 126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server would send.
    fn unmasked(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, TEXT, [0; 4], payload);
        let head = out.len() - payload.len() - 4;
        out.drain(head..head + 4);
        out[1] &= 0x7f;
        out
    }

    #[test]
    fn a_frame_of_any_length_is_read_as_it_was_written() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let bytes = unmasked(&payload);
            let frame = first(&bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload, frame.length), (TEXT, payload.as_slice(), bytes.len()));
        }
    }

    #[test]
    fn a_frame_is_nothing_before_its_last_byte() {
        for length in [5, 300, 70_000] {
            let bytes = unmasked(&vec![b'x'; length]);
            for there in [0, 1, 2, 3, 9, bytes.len() - 1] {
                assert_eq!(first(&bytes[..there.min(bytes.len() - 1)]), Ok(None));
            }
        }
    }

    #[test]
    fn what_nobody_agreed_to_is_an_error() {
        assert!(first(&[0xc1, 0]).is_err(), "compressed");
        assert!(first(&[0x01, 0]).is_err(), "a fragment");
        assert!(first(&[0x81, 0x80, 0, 0, 0, 0]).is_err(), "masked");
    }
}
