//! Scripts that play people in Chromium.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use super::stock;

/// Runs a script of `browser/` to its end, does what it asks for in lines that begin with `@`, and prints the others.
pub(crate) async fn play(script: &str, args: &[&str], mut act: impl AsyncFnMut(&str, &str)) {
    let mut child = Command::new("timeout")
        .args(["300", "node"])
        .arg(stock::source("browser").join(script))
        .args(args)
        .env("NODE_PATH", stock::node_modules("browser"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Node.js, which `make test` needs");
    let mut errors = child.stderr.take().expect("its errors");
    let errors = thread::spawn(move || {
        let mut all = String::new();
        errors.read_to_string(&mut all).map(|_| all)
    });
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
    let errors = errors.join().expect("a thread that reads").unwrap_or_default();
    // In the message, so that the reason is there wherever the end of a test is.
    assert!(status.success() && done, "{script} ended with {status}: {errors}");
}
