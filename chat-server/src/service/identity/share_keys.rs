//! Sharing the keys that sign and verify resume tokens.
//!
//! Without keys of the configuration all nodes share one through the store: the first node makes it. A store that lost it
//! gets it back from the nodes that hold it. A node that found none in the meantime has made another; then both verify,
//! on every node, and the one that the store has signs.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::token::SigningKey;
use super::{Sessions, TRIES, fill_random};
use crate::store::{Commit, Committed, StoreError, Topic};

/// The field of the key that signs.
const SIGNING_KEY: &str = "session-key";
/// The field of the keys that only verify, those that came last at the front, with a space between.
const FORMER_KEYS: &str = "former-session-keys";
/// How many keys only verify: more nodes than that never found an empty store each by itself.
const MOST_FORMER: usize = 8;

impl Sessions {
    /// The keys. The first call reads the shared ones from the store.
    ///
    /// # Errors
    /// The store's.
    pub async fn keys(&self) -> Result<Arc<[SigningKey]>, StoreError> {
        match self.keys.held() {
            Some(keys) => Ok(keys),
            None => self.share_keys().await,
        }
    }

    /// Takes over the shared keys, and puts those that the node holds and the store lacks back.
    ///
    /// # Errors
    /// The store's.
    pub async fn share_keys(&self) -> Result<Arc<[SigningKey]>, StoreError> {
        let held = self.keys.held();
        if let Some(keys) = held.as_ref().filter(|_| self.keys.are_configured()) {
            return Ok(keys.clone());
        }
        let held: Vec<String> = held.iter().flat_map(|keys| keys.iter()).map(text_of).collect();
        let names = [SIGNING_KEY.to_owned(), FORMER_KEYS.to_owned()];
        let mut found = self.fields.values(&[Topic::Cluster], &names).await?.pop().unwrap_or_default();
        for _ in 0..TRIES {
            let agreed = agree(&found, &held)?;
            let [signing, former] = [
                agreed.first().cloned(),
                agreed.get(1..).filter(|former| !former.is_empty()).map(|former| former.join(" ")),
            ];
            let wanted = vec![signing, former];
            if wanted != found {
                let expect = names.iter().cloned().zip(found).collect();
                let set = names.iter().cloned().zip(wanted).collect();
                let commit = Commit { expect, set, ..Commit::default() };
                if let Committed::Refused(values) = self.log.commit(&Topic::Cluster, commit).await? {
                    found = values;
                    continue;
                }
            }
            let keys: Arc<[SigningKey]> = agreed.into_iter().map(|key| SigningKey::new(key.into_bytes())).collect();
            self.keys.hold(keys.clone());
            return Ok(keys);
        }
        Err(StoreError::Unavailable("the shared keys are changing too fast".to_owned()))
    }
}

/// All keys, from those that the store has and those that the node holds: the store's own signs if there is one.
fn agree(found: &[Option<String>], held: &[String]) -> Result<Vec<String>, StoreError> {
    let of_store = |place: usize| found.get(place).cloned().flatten();
    let signing = match of_store(0).or_else(|| held.first().cloned()) {
        Some(key) => key,
        None => new_key()?,
    };
    let former = of_store(1).unwrap_or_default();
    let former: Vec<&str> = former.split_whitespace().collect();
    let missing = held.iter().map(String::as_str).filter(|key| *key != signing && !former.contains(key));
    let former: Vec<String> = missing.chain(former.iter().copied()).take(MOST_FORMER).map(str::to_owned).collect();
    Ok(std::iter::once(signing).chain(former).collect())
}

fn text_of(key: &SigningKey) -> String {
    // A shared key is text.
    String::from_utf8_lossy(key.bytes()).into_owned()
}

fn new_key() -> Result<String, StoreError> {
    let mut bytes = [0; 32];
    fill_random(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::store::{Retention, Stores};

    fn texts(keys: &[SigningKey]) -> Vec<String> {
        keys.iter().map(text_of).collect()
    }

    #[tokio::test]
    async fn nodes_put_the_shared_key_back_and_take_over_what_others_hold() {
        let stores = || Stores::new(Arc::new(MemoryStore::new(Retention::default()).0));
        let (first, empty) = (stores(), stores());
        let before = Sessions::new(&first, Vec::new());
        let key = texts(&before.keys().await.unwrap());
        // The same node over a store that lost everything.
        let after = Sessions { keys: before.keys.clone(), ..Sessions::new(&empty, Vec::new()) };
        let newcomer = Sessions::new(&empty, Vec::new());
        let other = texts(&newcomer.keys().await.unwrap());
        assert_ne!(key, other);
        let both = [other, key].concat();
        assert_eq!(texts(&after.share_keys().await.unwrap()), both, "the one in the store signs");
        assert_eq!(texts(&newcomer.share_keys().await.unwrap()), both);
        // Both are put back, in the same order, whoever is the first.
        let empty = stores();
        let again = Sessions { keys: newcomer.keys.clone(), ..Sessions::new(&empty, Vec::new()) };
        assert_eq!(texts(&again.share_keys().await.unwrap()), both);
    }

    #[test]
    fn former_keys_have_a_bound() {
        let held: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
        let agreed = agree(&[Some("k3".to_owned()), Some("a b".to_owned())], &held).unwrap();
        assert_eq!(agreed.len(), 1 + MOST_FORMER);
        assert_eq!(agreed[..3], ["k3", "k0", "k1"]);
    }
}
