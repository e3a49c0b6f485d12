//! A hash of what pods read at their start, so that they are replaced when it changes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Takes in pieces. Keyed, because some of them are secrets and the hash is for everyone to see.
pub(super) struct ConfigHash(Option<Hmac<Sha256>>);

impl ConfigHash {
    /// Starts, with a key that is secret.
    pub(super) fn keyed(key: &[u8]) -> Self {
        // A key of any length is taken.
        Self(Hmac::new_from_slice(key).ok())
    }

    /// Takes in a piece. Its length goes first, so that no two sequences look the same.
    pub(super) fn add(mut self, piece: &[u8]) -> Self {
        if let Some(mac) = &mut self.0 {
            mac.update(&piece.len().to_be_bytes());
            mac.update(piece);
        }
        self
    }

    /// The hash, as an annotation has it.
    pub(super) fn finish(self) -> String {
        let bytes = self.0.map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default();
        bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
