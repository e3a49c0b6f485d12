//! The whole in a browser: Chromium, and a chat as people find it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::deployment::{Deployment, NODES};
use crate::harness::{Bus, Plan, run, run_within, stock};

/// Images may have to be built first, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// A page of this origin may connect, though nginx does not serve it.
const ALLOWED: &str = "http://allowed.example:8080";

/// Runs a script of `browser/` to its end, does what it asks for in lines that begin with `@`, and prints the others.
async fn play(script: &str, args: &[&str], mut act: impl AsyncFnMut(&str, &str)) {
    let mut child = Command::new("timeout")
        .args(["300", "node"])
        .arg(stock::source("browser").join(script))
        .args(args)
        .env("NODE_PATH", stock::node_modules("browser"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Node.js: install Debian's package nodejs");
    let mut answers = child.stdin.take().expect("its input");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut done = false;
    for line in lines.map_while(Result::ok) {
        if let Some((what, which)) = line.strip_prefix('@').and_then(|request| request.split_once(' ')) {
            act(what, which).await;
            writeln!(answers, "done").expect("the script to listen");
        } else {
            println!("{line}");
            done |= line == "done";
        }
    }
    let status = child.wait().expect("its status");
    assert!(status.success() && done, "{script} ended with {status}");
}

/// Show 2. What the script shows is in `browser/chat.mjs`.
#[test]
fn people_in_browsers_chat_through_nginx_on_several_nodes() {
    run_within(PATIENCE, async {
        let mut deployment = Deployment::start(ALLOWED).await;
        let url = deployment.url();
        play("chat.mjs", &[&url, ALLOWED], async |what, which| match what {
            "kill" => deployment.kill(which),
            "scale" => deployment.scale(which.parse().expect("a number")).await,
            _ => panic!("@{what} {which}?"),
        })
        .await;
        deployment.stop();
    });
}

/// What the page needs for it: that it makes before it breaks, and that the node says when.
#[test]
fn people_in_browsers_do_not_notice_a_rolling_restart() {
    run_within(PATIENCE, async {
        let mut deployment = Deployment::start(ALLOWED).await;
        let url = deployment.url();
        play("rolling.mjs", &[&url, &NODES.to_string()], async |what, which| match what {
            "restart" => deployment.restart(which).await,
            _ => panic!("@{what} {which}?"),
        })
        .await;
        deployment.stop();
    });
}

/// The views are in `browser/axe.mjs`.
#[test]
fn no_view_of_the_page_breaks_a_rule_of_accessibility() {
    run(async {
        let mut cluster = Plan::on(Bus::Embedded).start().await;
        let url = cluster.node(0).url();
        play("axe.mjs", &[&url], async |what, which| match (what, which) {
            ("kill", "node-0") => cluster.node_mut(0).kill(),
            _ => panic!("@{what} {which}?"),
        })
        .await;
    });
}
