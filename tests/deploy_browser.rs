//! The whole in a browser: Chromium, nginx, several nodes, Redis.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::deployment::Deployment;
use crate::harness::{run_within, stock};

/// Images may have to be built first, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// A page of this origin may connect, though nginx does not serve it.
const ALLOWED: &str = "http://allowed.example:8080";

/// Show 2. What the script shows is in `browser/chat.mjs`.
#[test]
fn people_in_browsers_chat_through_nginx_on_several_nodes() {
    run_within(PATIENCE, async {
        let mut deployment = Deployment::start(ALLOWED).await;
        let mut script = Command::new("timeout")
            .args(["300", "node"])
            .arg(stock::source("browser/chat.mjs"))
            .args([&deployment.url(), ALLOWED])
            .env("NODE_PATH", stock::node_modules("browser"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js: install Debian's package nodejs");
        let mut answers = script.stdin.take().expect("its input");
        let lines = BufReader::new(script.stdout.take().expect("its output")).lines();
        let mut done = false;
        for line in lines.map_while(Result::ok) {
            match line.strip_prefix('@').and_then(|request| request.split_once(' ')) {
                Some(("kill", node)) => deployment.kill(node),
                Some(("scale", nodes)) => deployment.scale(nodes.parse().expect("a number")).await,
                _ => {
                    println!("{line}");
                    done |= line == "done";
                    continue;
                }
            }
            writeln!(answers, "done").expect("the script to listen");
        }
        let status = script.wait().expect("its status");
        assert!(status.success() && done, "the script ended with {status}");
        deployment.stop();
    });
}
