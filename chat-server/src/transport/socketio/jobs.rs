//! What a socket asks for and is not done yet.
//!
//! A socket that asks for nothing has no task that waits for it: most sockets do so most of the time. One begins with the
//! first job and ends when nothing is left.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::rate_limit::Bucket;
use crate::store::Notice;
use crate::transport::socketio::protocol::Packet;

/// Requests that may wait for a socket's worker.
pub(super) const QUEUED_REQUESTS: usize = 1024;
/// And their size, in bytes, unless one alone is larger.
const QUEUED_BYTES: usize = 1 << 20;
/// Jobs that may wait, those that are no requests among them.
const QUEUED: usize = 16_384;
/// Requests over these that are still answered.
const REFUSED_REQUESTS: usize = 16_384;

/// What a socket's worker does, one after the other.
pub(super) enum Job {
    /// A request, to be answered if it has an ack id.
    Request { request: Packet, ack: Option<i64>, bytes: usize },
    /// Something told to all sockets of the person.
    Notice(Notice),
    /// Such a thing may have been missed: the rooms are looked up anew.
    Review,
}

/// What a worker needs beside its socket: the limit of how often the person may send.
pub(super) type Needs = Arc<Mutex<Bucket>>;

/// What became of a worker that found nothing to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Something came after all.
    None,
    /// Its task may end; the next job begins another.
    Until,
    /// The socket is closed: it was the last.
    Forever,
}

/// The jobs of one socket. They wait for each other, and at first for the session to be opened.
#[derive(Default)]
pub(super) struct Jobs(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// The size of the requests that are not answered, in bytes.
    bytes: usize,
    /// Ack ids of requests for which there was no room; the worker answers them.
    refused: Vec<i64>,
    /// There was no room for a notice.
    missed: bool,
    /// What the next worker needs, while there is none.
    idle: Option<Needs>,
    closed: bool,
}

impl State {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.missed
    }
}

impl Jobs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a request, or notes that it has to be refused where too much waits already. A socket that has very many
    /// open does not wait for its answers, and gets no more of them. Answers with what a worker needs if one is to begin.
    #[must_use]
    pub(super) fn request(&self, request: Packet, ack: Option<i64>, bytes: usize) -> Option<Needs> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        if state.waiting.len() >= QUEUED_REQUESTS || (state.bytes > 0 && state.bytes + bytes > QUEUED_BYTES) {
            if state.refused.len() < REFUSED_REQUESTS {
                state.refused.extend(ack);
            }
            return None;
        }
        state.bytes += bytes;
        state.waiting.push_back(Job::Request { request, ack, bytes });
        state.idle.take()
    }

    /// Queues what is no request behind what waits; where that is very much, the rooms are looked up anew once it is
    /// done. Answers with what a worker needs if one is to begin.
    #[must_use]
    pub(super) fn later(&self, job: Job) -> Option<Needs> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        if state.waiting.len() < QUEUED {
            state.waiting.push_back(job);
        } else {
            state.missed = true;
        }
        state.idle.take()
    }

    /// What is to be done next.
    pub(super) fn next(&self) -> Option<Job> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        if next.is_none() && std::mem::take(&mut state.missed) {
            return Some(Job::Review);
        }
        next
    }

    /// A request of that size is answered. The requests that have to be refused, in the order in which they came.
    pub(super) fn answered(&self, bytes: usize) -> Vec<i64> {
        let mut state = self.state();
        state.bytes -= bytes.min(state.bytes);
        std::mem::take(&mut state.refused)
    }

    /// Whether all requests that were received are answered.
    pub(super) fn are_answered(&self) -> bool {
        self.state().bytes == 0
    }

    /// Takes no more jobs: the worker does what waits and ends. Answers with what a worker needs if one is to begin.
    #[must_use]
    pub(super) fn close(&self) -> Option<Needs> {
        let mut state = self.state();
        state.closed = true;
        state.idle.take()
    }

    /// A worker has done everything.
    pub(super) fn rest(&self, needs: &Needs) -> Rest {
        let mut state = self.state();
        if !state.is_empty() {
            return Rest::None;
        }
        state.waiting = VecDeque::new();
        if state.closed {
            return Rest::Forever;
        }
        state.idle = Some(needs.clone());
        Rest::Until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rate_limit::Rate;

    fn needs() -> Needs {
        Arc::new(Mutex::new(Bucket::new(Rate { per_second: 0, burst: 0 }, 0)))
    }

    fn request(jobs: &Jobs, ack: i64, bytes: usize) -> bool {
        jobs.request(Packet::parse("[\"x\"]", false), Some(ack), bytes).is_some()
    }

    fn done(jobs: &Jobs) -> Vec<i64> {
        match jobs.next() {
            Some(Job::Request { bytes, .. }) => jobs.answered(bytes),
            _ => Vec::new(),
        }
    }

    #[test]
    fn one_worker_begins_with_the_first_job_and_one_after_it_rested() {
        let (jobs, needs) = (Jobs::default(), needs());
        assert!(!request(&jobs, 1, 10), "who opens the session does what comes meanwhile");
        assert_eq!(jobs.rest(&needs), Rest::None);
        done(&jobs);
        assert_eq!(jobs.rest(&needs), Rest::Until);
        assert!(request(&jobs, 2, 10));
        assert!(jobs.later(Job::Review).is_none(), "one works");
        assert!(!jobs.are_answered());
        done(&jobs);
        assert!(jobs.are_answered());
        assert!(matches!(jobs.next(), Some(Job::Review)));
        assert_eq!(jobs.rest(&needs), Rest::Until);
    }

    #[test]
    fn a_closed_socket_has_one_last_worker() {
        let (jobs, needs) = (Jobs::default(), needs());
        assert_eq!(jobs.rest(&needs), Rest::Until);
        assert!(jobs.close().is_some());
        assert!(jobs.close().is_none() && !request(&jobs, 1, 10));
        assert_eq!(jobs.rest(&needs), Rest::Forever);
        assert!(jobs.close().is_none());
    }

    #[test]
    fn what_finds_no_room_is_refused_in_its_order() {
        let jobs = Jobs::default();
        for ack in 0..2 + QUEUED_REQUESTS as i64 {
            request(&jobs, ack, 1);
        }
        assert_eq!(done(&jobs), [QUEUED_REQUESTS as i64, 1 + QUEUED_REQUESTS as i64]);
        request(&jobs, -1, QUEUED_BYTES);
        assert_eq!(done(&jobs), [-1], "too large beside others");
    }

    #[test]
    fn a_notice_that_finds_no_room_has_the_rooms_looked_up() {
        let jobs = Jobs::default();
        for _ in 0..QUEUED + 2 {
            let _ = jobs.later(Job::Notice(Notice::Read {
                room: crate::domain::id::RoomId::lobby(),
                offset: 1,
                unread: 0,
                by_socket: None,
            }));
        }
        for _ in 0..QUEUED {
            assert!(matches!(jobs.next(), Some(Job::Notice(_))));
        }
        assert!(matches!(jobs.next(), Some(Job::Review)));
        assert!(jobs.next().is_none());
    }
}
