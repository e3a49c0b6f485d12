//! Watches that last as long as a cluster.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::Stream;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// How long one request of a watch lasts, in seconds: half of what a test waits, so that a watch over which nothing
/// comes any more is begun anew within a test.
const REQUEST: u32 = 20;

/// Tells what becomes of objects, whatever becomes of the API server meanwhile.
pub(crate) fn watch<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watcher(api, config.timeout(REQUEST)).backoff(Soon)
}

/// An API server that a test restarts is back within seconds; waits that double would outlast the test.
struct Soon;

impl Iterator for Soon {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(500))
    }
}

impl Backoff for Soon {
    fn reset(&mut self) {}
}
