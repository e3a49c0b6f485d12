//! The cluster network: a network namespace with the addresses of the API server and the nodes, which routes between
//! Pods.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::Runtime;

/// Where the API server is.
pub(super) const API_SERVER: &str = "10.0.0.1";
/// The address of the Service `kubernetes`, the first of the Services' range: Pods are told it as
/// `KUBERNETES_SERVICE_HOST`. Not for who is there before kube-proxy, which would break its connections.
pub(crate) const API_SERVICE: &str = "10.96.0.1";

/// Makes the network, says so, and waits until the test process ends or lets go of it, in whatever way. Then it
/// removes the folder: only this process surely outlives the test's.
const HOLDER: &str = r#"
folder=$1
ip -batch - <<IP
link set lo up
addr add 10.0.0.1/32 dev lo
addr add 10.0.0.11/32 dev lo
addr add 10.0.0.12/32 dev lo
addr add 10.0.0.13/32 dev lo
addr add 169.254.1.1/32 dev lo
link add services type bridge
link set services up
route add 10.96.0.0/16 dev services src 10.0.0.1
IP
echo 1 > /proc/sys/net/ipv4/ip_forward
echo ready
cat >/dev/null
# What still writes there is just ending.
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$folder" 2>/dev/null && exit; sleep 0.3; done
"#;

/// A network that lasts until this is dropped or the process ends.
pub(crate) struct Network {
    namespace: Arc<File>,
    /// Its standard input is what it waits on.
    holder: Child,
}

impl Network {
    /// Makes it; `folder` is removed after the end.
    pub(super) fn start(folder: &Path) -> Self {
        assert!(rustix::process::geteuid().is_root(), "only root may make the networks that these tests run in");
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-e", "-c", HOLDER, "holder"])
            .arg(folder)
            // An interrupt from the keyboard is for the test, not for who cleans up after it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program `unshare`");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().expect("its output")).read_line(&mut said).expect("a line");
        assert_eq!(said, "ready\n", "the network could not be made");
        let namespace = File::open(format!("/proc/{}/ns/net", holder.id())).expect("the network of the holder");
        Self { namespace: Arc::new(namespace), holder }
    }

    /// The process that holds it: `/proc/ID/ns/net`.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// A runtime all of whose threads are in this network, and with them what they start and connect.
    pub(super) fn runtime(&self, name: &str) -> Runtime {
        let namespace = Arc::clone(&self.namespace);
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .on_thread_start(move || enter(&namespace))
            .enable_all()
            .build()
            .expect("a runtime in the network of the cluster")
    }

    /// Does something on a new thread in this network, and waits for it.
    pub(super) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            enter(&self.namespace);
            work()
        };
        std::thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// The links there, as `ip` names them: `lo`, `services`, where what kube-proxy knows nothing of ends, and one
    /// for each Pod that runs.
    pub(crate) fn links(&self) -> Vec<String> {
        let output = Command::new("nsenter")
            .arg(format!("--net=/proc/{}/ns/net", self.holder()))
            .args(["ip", "-brief", "link"])
            .output()
            .expect("the program `nsenter`");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter_map(|line| Some(line.split(['@', ' ']).next()?.to_owned())).collect()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // What it waits for is over: it ends.
        let _ = self.holder.wait();
    }
}

fn enter(namespace: &File) {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("a thread moves there");
}
