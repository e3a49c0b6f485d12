//! A program that is told something a line at a time, and answers each with a line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

/// The running program; killed when dropped.
pub(crate) struct Dialogue {
    name: String,
    child: Child,
    commands: ChildStdin,
    answers: mpsc::UnboundedReceiver<String>,
}

impl Dialogue {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let commands = child.stdin.take().expect("its stdin");
        let stdout = child.stdout.take().expect("its stdout");
        let (sender, answers) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { name, child, commands, answers }
    }

    /// Tells it something, and waits for the answer.
    pub(crate) async fn ask<T: for<'a> Deserialize<'a>>(&mut self, command: &Value) -> T {
        writeln!(self.commands, "{command}").unwrap_or_else(|error| panic!("{} takes no more: {error}", self.name));
        let Some(answer) = self.answers.recv().await else {
            panic!("{} ended with {}", self.name, self.child.wait().expect("its status"));
        };
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{} answers {answer}: {error}", self.name))
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) {
        self.child.wait().expect("its status");
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // Stopping what has ended already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
