//! Hash of what pods read at start: when it changes, the pods are replaced.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A keyed hash, because the input contains secrets and the result is public.
pub(super) struct ConfigHash(Option<Hmac<Sha256>>);

impl ConfigHash {
    /// Starts a hash with a secret key.
    pub(super) fn keyed(key: &[u8]) -> Self {
        // HMAC accepts keys of any length.
        Self(Hmac::new_from_slice(key).ok())
    }

    /// Adds a piece, prefixed by its length so that different sequences have different hashes.
    pub(super) fn add(mut self, piece: &[u8]) -> Self {
        if let Some(mac) = &mut self.0 {
            mac.update(&piece.len().to_be_bytes());
            mac.update(piece);
        }
        self
    }

    /// The hash as the value of an annotation.
    pub(super) fn finish(self) -> String {
        let bytes = self.0.map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default();
        bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
