//! What each text says of itself, in a form that is found among bytes without reading what is around it.

/// What a text begins with. None of the servers writes it by itself.
const MARK: &[u8] = b"#!";

/// The digits of its parts: room, sender, number, time.
const DIGITS: [usize; 4] = [4, 4, 8, 12];

/// The length of a text that says nothing more.
pub(crate) const LENGTH: usize = MARK.len() + DIGITS[0] + DIGITS[1] + DIGITS[2] + DIGITS[3];

/// Which message this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The number of the room.
    pub(crate) room: u32,
    /// The sender's number among the members of the room.
    pub(crate) sender: u32,
    /// How many messages this sender sent into this room before.
    pub(crate) number: u32,
    /// When it was sent, in nanoseconds since the generator's start.
    pub(crate) at: u64,
}

impl Stamp {
    /// Appends a text of this length.
    pub(crate) fn write(self, out: &mut Vec<u8>, length: usize) {
        let end = out.len() + length.max(LENGTH);
        out.extend(MARK);
        let parts = [u64::from(self.room), u64::from(self.sender), u64::from(self.number), self.at];
        for (part, digits) in parts.into_iter().zip(DIGITS) {
            for digit in (0..digits).rev() {
                out.push(b"0123456789abcdef"[(part >> (4 * digit) & 0xf) as usize]);
            }
        }
        out.resize(end, b'x');
    }

    /// Looks for the stamp of a text; first where the one before was, for it is nearly always there again.
    pub(crate) fn find(bytes: &[u8], place: &mut usize) -> Option<Self> {
        if let Some(found) = bytes.get(*place..).and_then(Self::read) {
            return Some(found);
        }
        let (at, found) = bytes
            .windows(MARK.len())
            .enumerate()
            .filter(|(_, window)| *window == MARK)
            .find_map(|(at, _)| Some((at, Self::read(&bytes[at..])?)))?;
        *place = at;
        Some(found)
    }

    /// The stamp with which these bytes begin.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MARK)?;
        let mut parts = [0; 4];
        for (part, digits) in parts.iter_mut().zip(DIGITS) {
            let (own, others) = rest.split_at_checked(digits)?;
            for byte in own {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    b'a'..=b'f' => byte - b'a' + 10,
                    _ => return None,
                };
                *part = *part << 4 | u64::from(digit);
            }
            rest = others;
        }
        let [room, sender, number, at] = parts;
        let short = |part| u32::try_from(part).ok();
        Some(Self { room: short(room)?, sender: short(sender)?, number: short(number)?, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { room: 9_999, sender: 499, number: 0x1234_5678, at: 0x0a0b_0c0d_0e0f };

    #[test]
    fn a_stamp_is_found_wherever_it_stands() {
        let mut place = 0;
        for before in ["", "42[\"message\",\"", "42[\"message:new\",{\"nonce\":\"#!1\",\"text\":\""] {
            let mut bytes = before.as_bytes().to_vec();
            STAMP.write(&mut bytes, 200);
            assert_eq!(bytes.len(), before.len() + 200);
            bytes.extend(b"\"]");
            assert_eq!(Stamp::find(&bytes, &mut place), Some(STAMP));
            assert_eq!(place, before.len());
        }
    }

    #[test]
    fn what_holds_no_stamp_has_none() {
        let mut place = 3;
        assert_eq!(Stamp::find(b"42[\"member:joined\",{\"user\":\"#!0\"}]", &mut place), None);
        assert_eq!(Stamp::find(b"2", &mut place), None);
    }
}
