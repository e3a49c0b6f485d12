//! What a Pod's containers share: a network and an end. Both are held by a process, as by Kubernetes' own `pause`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Joins its own network to the one at `$2`, says so, and holds it. All that a Pod sends is routed there, to a Pod on
/// the same node too: so kube-proxy sees every packet, there and back.
const PAUSE: &str = r#"
ip link add eth0 type veth peer name "$1" netns "$2"
ip -batch - <<IP
addr add $3/32 dev eth0
link set lo up
link set eth0 up
route add 169.254.1.1 dev eth0 scope link
route add default via 169.254.1.1
IP
nsenter --net="$2" ip -batch - <<IP
link set $1 up
route add $3/32 dev $1 src 10.0.0.1
IP
# As the container runtimes have it: nobody needs to be root for port 80.
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
echo ready
exec sleep infinity
"#;

/// Which addresses are in use.
#[derive(Default)]
pub(super) struct Addresses {
    taken: Mutex<BTreeSet<Ipv4Addr>>,
    next: AtomicU32,
}

impl Addresses {
    /// A free address on a node, from 1. Of late given back ones come last: somebody may still know them.
    pub(super) fn take(&self, node: u8) -> Ipv4Addr {
        let mut taken = self.taken.lock().unwrap();
        loop {
            // 64 times 254 for each node, without its first.
            let next = self.next.fetch_add(1, Ordering::Relaxed) % (64 * 254 - 1) + 1;
            let third = u32::from(node - 1) * 64 + next / 254;
            let address = Ipv4Addr::from((10 << 24) | (244 << 16) | (third << 8) | (next % 254 + 1));
            if taken.insert(address) {
                return address;
            }
        }
    }

    pub(super) fn give_back(&self, address: Ipv4Addr) {
        self.taken.lock().unwrap().remove(&address);
    }
}

/// What the cluster network calls its end of the link to a Pod.
pub(crate) fn link(address: Ipv4Addr) -> String {
    let [_, _, third, fourth] = address.octets();
    format!("pod{third}.{fourth}")
}

/// The network of one Pod, and the process namespace above those of its containers: with its first process, all end at
/// once. The kernel does so whatever the harness comes to; a signal at a parent's death would not do, for a parent
/// without capabilities can't send it to another user's process.
pub(super) struct PodNetwork {
    pause: Child,
}

impl PodNetwork {
    /// Makes it, next to the network that the process `holder` holds.
    pub(super) async fn join(address: Ipv4Addr, holder: u32) -> std::io::Result<Self> {
        let mut pause = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-e", "-c", PAUSE, "pause", &link(address)])
            .args([format!("/proc/{holder}/ns/net"), address.to_string()])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut said = String::new();
        BufReader::new(pause.stdout.take().expect("its output")).read_line(&mut said).await?;
        if said != "ready\n" {
            return Err(std::io::Error::other("the Pod's network could not be made"));
        }
        Ok(Self { pause })
    }

    /// How `nsenter` finds it.
    pub(super) fn entry(&self) -> [String; 2] {
        let pause = self.pause.id().expect("it runs");
        [format!("--net=/proc/{pause}/ns/net"), format!("--pid=/proc/{pause}/ns/pid_for_children")]
    }

    /// Removes it, and waits for that.
    pub(super) async fn remove(mut self) {
        // Killed from outside, it is gone as well.
        let _ = self.pause.kill().await;
    }
}
