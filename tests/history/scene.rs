//! People who talk in a ChatCluster, through nginx, while a scenario does something to it.

use std::time::Duration;

use super::crowd::Manner;
use super::outcome::Outcome;
use super::report::{Report, report};
use super::stage::{heads, make_rooms};
use super::talk::{PATIENCE, Talk};
use crate::harness::chat::Chat;
use crate::harness::control_plane::Cluster;

/// What to set up.
#[derive(Debug, Clone)]
pub(crate) struct Setting<'a> {
    /// What the namespace is named after.
    pub(crate) test: &'a str,
    /// Of the ChatCluster, as [`Chat::start`] takes it.
    pub(crate) spec: &'a str,
    /// How many nodes there are at first.
    pub(crate) nodes: usize,
    /// How many rooms, besides the lobby.
    pub(crate) rooms: usize,
    /// How often a person says something.
    pub(crate) every: Duration,
}

/// A chat and the people in it.
pub(crate) struct Scene {
    pub(crate) chat: Chat,
    rooms: Vec<String>,
    talk: Talk,
}

impl Scene {
    /// Starts the chat and makes the rooms; nobody is there yet.
    pub(crate) async fn start(cluster: &Cluster, setting: &Setting<'_>) -> Self {
        let &Setting { test, spec, nodes, rooms, every } = setting;
        let chat = Chat::start(cluster, test, nodes, spec).await;
        let rooms = make_rooms(&chat.nodes(nodes).await[0], rooms).await;
        let urls = vec![chat.url()];
        let manner = Manner { urls, rooms: rooms.clone(), every, seed: 1, offers_again: false, beset: false };
        let talk = Talk::over(manner);
        Self { chat, rooms, talk }
    }

    /// So many more people come and begin to talk; waits until all of them are in their rooms.
    pub(crate) async fn come(&mut self, people: u32) {
        self.talk.come(people).await;
        self.talk.begin().await;
    }

    /// Waits until each of them, on the average, had so many more of their messages acked.
    pub(crate) async fn talks_on(&self, acks: u32) {
        self.talk.goes_on(acks).await;
    }

    /// They fall silent, catch up with what Redis has, and are judged.
    pub(crate) async fn end(self) -> (Outcome, Report) {
        let Self { chat, rooms, talk } = self;
        let ended = talk.end(PATIENCE, async || heads(&rooms, &chat.redis().await).await).await;
        let verdict = ended.judged(Vec::new(), &[]);
        let report = report(&ended.lines, &verdict, ended.begun);
        (ended.outcome(report.to_string(), verdict), report)
    }
}
