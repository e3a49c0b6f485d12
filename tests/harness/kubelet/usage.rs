//! How much CPU and memory the containers of Pods use, as a kubelet measures it: what `metrics.k8s.io` says of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::{Instant, MissedTickBehavior};

use super::Host;
use super::status::now;

/// How often the processes are looked at. A use of CPU is what came to it from one look to the next.
const EVERY: Duration = Duration::from_millis(1250);

/// What the containers of one Pod used of late.
#[derive(Clone, Debug)]
pub(crate) struct PodUsage {
    /// The end of the time that was measured.
    pub(crate) until: Time,
    /// How long that time was.
    pub(crate) window: Duration,
    /// All containers that run, by name.
    pub(crate) containers: BTreeMap<String, Usage>,
}

/// What the processes of one container used together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Billionths of a core, on average.
    pub(crate) nanocores: u64,
    /// Resident at the end.
    pub(crate) bytes: u64,
}

/// What all Pods used of late, by namespace and name.
#[derive(Default)]
pub(crate) struct Usages(Mutex<BTreeMap<(String, String), PodUsage>>);

impl Usages {
    /// Nothing if the Pod has no container that runs, or one of which too little was seen yet.
    pub(crate) fn of(&self, namespace: &str, pod: &str) -> Option<PodUsage> {
        self.0.lock().unwrap().get(&(namespace.to_owned(), pod.to_owned())).cloned()
    }
}

/// By the id of a container's main process: its CPU time so far, and what it has in memory.
type Look = BTreeMap<u32, (Duration, u64)>;

/// Measures for ever.
pub(super) async fn measure(host: Arc<Host>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut before, mut began) = (Look::new(), Instant::now());
    loop {
        ticks.tick().await;
        let pods = running(&host);
        let (look, ended) = (look(&pods), Instant::now());
        let window = ended.duration_since(began);
        let mut usages = BTreeMap::new();
        for (key, pids) in pods {
            let usage = |pid: &u32| {
                let (cpu, bytes) = look.get(pid)?;
                // A process that ends between two glances at /proc is missing once.
                let used = cpu.saturating_sub(before.get(pid)?.0);
                let nanocores = used.as_nanos() * 1_000_000_000 / window.as_nanos().max(1);
                Some(Usage { nanocores: u64::try_from(nanocores).ok()?, bytes: *bytes })
            };
            let containers = pids.iter().map(|(name, pid)| Some((name.clone(), usage(pid)?)));
            if let Some(containers) = containers.collect() {
                usages.insert(key, PodUsage { until: now(), window, containers });
            }
        }
        *host.usages.0.lock().unwrap() = usages;
        (before, began) = (look, ended);
    }
}

/// The main processes of all Pods that have some.
fn running(host: &Host) -> BTreeMap<(String, String), BTreeMap<String, u32>> {
    let pods = host.pods.lock().unwrap();
    let running = pods.iter().map(|(key, known)| (key.clone(), known.pids.all()));
    running.filter(|(_, pids)| !pids.is_empty()).collect()
}

fn look(pods: &BTreeMap<(String, String), BTreeMap<String, u32>>) -> Look {
    pods.values().flat_map(BTreeMap::values).map(|&pid| (pid, tree(pid))).collect()
}

/// The CPU time and the memory of a process and all below it. The time of those that have ended is in their parent's;
/// whoever loses its parent becomes a child of the first process of its container.
fn tree(root: u32) -> (Duration, u64) {
    let (mut ticks, mut pages) = (0, 0);
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        let process = Path::new("/proc").join(pid.to_string());
        // It may be ending just now.
        let Some((own_ticks, own_pages)) = stat(&process) else { continue };
        ticks += own_ticks;
        pages += own_pages;
        open.extend(children(&process));
    }
    let per_second = rustix::param::clock_ticks_per_second();
    let page = u64::try_from(rustix::param::page_size()).expect("the size of a page");
    (Duration::from_nanos(ticks * 1_000_000_000 / per_second), pages * page)
}

/// The ticks of CPU time of a process and of its children that have ended, and its pages in memory.
fn stat(process: &Path) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(process.join("stat")).ok()?;
    // The name of a program may hold spaces and brackets. What follows it begins with the third field.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((field(14)? + field(15)? + field(16)? + field(17)?, field(24)?))
}

fn children(process: &Path) -> Vec<u32> {
    let threads = std::fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}
