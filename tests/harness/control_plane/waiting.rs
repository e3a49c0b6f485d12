//! Waiting for objects by a watch.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::super::DEADLINE;

/// Waits until the object of that name is as told, or is not if that is what is told; gives it as it was then.
pub(crate) async fn until_object<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    mut is: impl FnMut(Option<&K>) -> bool,
) -> Option<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let what = format!("{name}: {what}");
    let mut objects = until_stream(api, config, DEADLINE, &what, |objects: &[K]| is(objects.first())).await;
    objects.pop()
}

/// Waits until there is no object of that name.
pub(crate) async fn until_gone<K>(api: &Api<K>, name: &str)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    until_object(api, name, "is gone", |object| object.is_none()).await;
}

/// Waits until the objects with these labels (all, if the selector is empty) are as told; gives them as they were then.
pub(crate) async fn until_list<K>(api: &Api<K>, labels: &str, what: &str, is: impl FnMut(&[K]) -> bool) -> Vec<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    until_list_within(DEADLINE, api, labels, what, is).await
}

/// The same where it may take so long.
pub(crate) async fn until_list_within<K>(
    limit: Duration,
    api: &Api<K>,
    labels: &str,
    what: &str,
    is: impl FnMut(&[K]) -> bool,
) -> Vec<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let config = watcher::Config { label_selector: Some(labels.to_owned()), ..watcher::Config::default() };
    until_stream(api, config, limit, what, is).await
}

async fn until_stream<K>(
    api: &Api<K>,
    config: watcher::Config,
    limit: Duration,
    what: &str,
    mut is: impl FnMut(&[K]) -> bool,
) -> Vec<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let key = |object: &K| (object.meta().namespace.clone(), object.meta().name.clone());
    let mut known = BTreeMap::new();
    let mut before = BTreeMap::new();
    let mut seen = Vec::new();
    let mut problem = None;
    let search = async {
        let mut events = pin!(watcher(api.clone(), config));
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object)) => drop(known.insert(key(&object), object)),
                Ok(Event::Delete(object)) => drop(known.remove(&key(&object))),
                Ok(Event::Init) => {
                    before = std::mem::take(&mut known);
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    known.insert(key(&object), object);
                    continue;
                }
                Ok(Event::InitDone) => before.clear(),
                // Such as an API server that is being started again.
                Err(error) => {
                    problem = Some(error.to_string());
                    tokio::time::sleep(super::super::INTERVAL).await;
                    continue;
                }
            }
            seen = known.values().cloned().collect();
            if is(&seen) {
                return;
            }
        }
    };
    if tokio::time::timeout(limit, search).await.is_err() {
        panic!("waited {limit:?} in vain: {what} ({problem:?}); last seen:\n{seen:#?}");
    }
    seen
}
