//! The jobs of a client that its worker has not done yet.
//!
//! A client that asks for nothing has no worker: most clients do so most of the time. A worker starts with the first job
//! and ends when none is left.
//!
//! Requests and other jobs wait apart and have turns: what others do to a person, who may be added to hundreds of rooms,
//! neither takes the place of what the person asks for nor delays it by more than one job.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::limits::QUEUED_REQUESTS;
use crate::domain::rate_limit::Budget;
use crate::store::Notice;
use crate::transport::socketio::protocol::Packet;

/// The most bytes of requests that may wait, unless one alone is larger.
const QUEUED_BYTES: usize = 1 << 20;
/// The most other jobs that may wait.
const QUEUED: usize = 16_384;
/// The most refused requests that are answered.
const REFUSED_REQUESTS: usize = 16_384;

/// What a worker does.
pub(super) enum Job {
    /// A request, to be answered if it has an ack id.
    Request { request: Packet, ack: Option<i64>, bytes: usize },
    /// A notice to all clients of the user.
    Notice(Notice),
    /// Look up the rooms of the user anew: notices may have been missed.
    Review,
}

/// Limits how often a user may send; a worker is handed it.
pub(super) type SharedBudget = Arc<Mutex<Budget>>;

/// How a worker that found no job goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Park {
    /// It goes on: a job came after all.
    MoreJobs,
    /// It ends; the next job starts another worker.
    Parked,
    /// It ends as the last: the client is closed.
    Closed,
}

/// The jobs of one client. At first they wait until the session is open.
#[derive(Default)]
pub(super) struct Jobs(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Job>,
    others: VecDeque<Job>,
    /// The last job was a request: if another job waits, it is its turn.
    others_turn: bool,
    /// The bytes of the requests that are not answered.
    bytes: usize,
    /// The ack ids of requests that found no room; the worker refuses them.
    refused: Vec<i64>,
    /// A notice found no room.
    missed: bool,
    /// The next worker's, while there is none.
    parked: Option<SharedBudget>,
    closed: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.others.is_empty() && !self.missed
    }
}

impl Jobs {
    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a request, or notes that it has to be refused where too much waits. A client that has very many requests
    /// open does not wait for answers, and gets no more of them. Answers with the budget if a worker is to start.
    #[must_use]
    pub(super) fn request(&self, request: Packet, ack: Option<i64>, bytes: usize) -> Option<SharedBudget> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        if state.requests.len() >= QUEUED_REQUESTS || (state.bytes > 0 && state.bytes + bytes > QUEUED_BYTES) {
            if state.refused.len() < REFUSED_REQUESTS {
                state.refused.extend(ack);
            }
            return None;
        }
        state.bytes += bytes;
        state.requests.push_back(Job::Request { request, ack, bytes });
        state.parked.take()
    }

    /// Queues a job that is no request; where too much waits, the rooms are looked up anew instead. Answers with the budget
    /// if a worker is to start.
    #[must_use]
    pub(super) fn later(&self, job: Job) -> Option<SharedBudget> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        if state.others.len() < QUEUED {
            state.others.push_back(job);
        } else {
            state.missed = true;
        }
        state.parked.take()
    }

    /// The next job.
    pub(super) fn next(&self) -> Option<Job> {
        let mut state = self.state();
        let Waiting { requests, others, others_turn, missed, .. } = &mut *state;
        let (first, second) = if *others_turn { (others, requests) } else { (requests, others) };
        let next = first.pop_front().or_else(|| second.pop_front());
        *others_turn = matches!(next, Some(Job::Request { .. }));
        if next.is_none() && std::mem::take(missed) {
            return Some(Job::Review);
        }
        next
    }

    /// Notes that a request of so many bytes is answered. Answers with those that have to be refused, in their order.
    pub(super) fn answered(&self, bytes: usize) -> Vec<i64> {
        let mut state = self.state();
        state.bytes -= bytes.min(state.bytes);
        std::mem::take(&mut state.refused)
    }

    /// Whether all requests that were received are answered.
    pub(super) fn are_answered(&self) -> bool {
        self.state().bytes == 0
    }

    /// Drops the jobs that wait: the client has no right to them any more.
    pub(super) fn discard(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.others.clear();
        state.refused.clear();
        (state.bytes, state.missed) = (0, false);
    }

    /// Takes no more jobs; those that wait are still done. Answers with the budget if a worker is to start.
    #[must_use]
    pub(super) fn close(&self) -> Option<SharedBudget> {
        let mut state = self.state();
        state.closed = true;
        state.parked.take()
    }

    /// Ends a worker that found no job, unless one came.
    pub(super) fn park(&self, budget: &SharedBudget) -> Park {
        let mut state = self.state();
        if !state.is_empty() {
            return Park::MoreJobs;
        }
        (state.requests, state.others) = (VecDeque::new(), VecDeque::new());
        state.others_turn = false;
        if state.closed {
            return Park::Closed;
        }
        state.parked = Some(budget.clone());
        Park::Parked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rate_limit::Rates;

    fn budget() -> SharedBudget {
        Arc::new(Mutex::new(Budget::new(Rates::UNLIMITED, 0)))
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
    fn a_worker_starts_with_the_first_job_and_another_once_it_parked() {
        let (jobs, budget) = (Jobs::default(), budget());
        assert!(!request(&jobs, 1, 10), "who opens the session does what comes meanwhile");
        assert_eq!(jobs.park(&budget), Park::MoreJobs);
        done(&jobs);
        assert_eq!(jobs.park(&budget), Park::Parked);
        assert!(request(&jobs, 2, 10));
        assert!(jobs.later(Job::Review).is_none(), "one works");
        assert!(!jobs.are_answered());
        done(&jobs);
        assert!(jobs.are_answered());
        assert!(matches!(jobs.next(), Some(Job::Review)));
        assert_eq!(jobs.park(&budget), Park::Parked);
    }

    #[test]
    fn a_closed_client_has_one_last_worker() {
        let (jobs, budget) = (Jobs::default(), budget());
        assert_eq!(jobs.park(&budget), Park::Parked);
        assert!(jobs.close().is_some());
        assert!(jobs.close().is_none() && !request(&jobs, 1, 10));
        assert_eq!(jobs.park(&budget), Park::Closed);
        assert!(jobs.close().is_none());
    }

    #[test]
    fn what_is_discarded_is_neither_done_nor_refused() {
        let jobs = Jobs::default();
        for ack in 0..2 + QUEUED_REQUESTS as i64 {
            request(&jobs, ack, 1);
        }
        jobs.discard();
        assert!(jobs.next().is_none() && jobs.are_answered());
        assert!(jobs.answered(1).is_empty(), "the one that was being done");
    }

    #[test]
    fn requests_that_find_no_room_are_refused_in_their_order() {
        let jobs = Jobs::default();
        for ack in 0..2 + QUEUED_REQUESTS as i64 {
            request(&jobs, ack, 1);
        }
        assert_eq!(done(&jobs), [QUEUED_REQUESTS as i64, 1 + QUEUED_REQUESTS as i64]);
        request(&jobs, -1, QUEUED_BYTES);
        assert_eq!(done(&jobs), [-1], "too large beside others");
    }

    #[test]
    fn what_others_do_neither_refuses_requests_nor_delays_them_by_more_than_one_job() {
        let jobs = Jobs::default();
        for _ in 0..2 * QUEUED_REQUESTS {
            let _ = jobs.later(Job::Review);
        }
        assert!(matches!(jobs.next(), Some(Job::Review)));
        for ack in 0..3 {
            request(&jobs, ack, 1);
        }
        for ack in 0..3 {
            assert!(matches!(jobs.next(), Some(Job::Request { ack: Some(next), .. }) if next == ack));
            assert!(jobs.answered(1).is_empty(), "none was refused");
            assert!(matches!(jobs.next(), Some(Job::Review)), "nor do requests keep out other jobs");
        }
    }

    #[test]
    fn a_notice_that_finds_no_room_has_the_rooms_looked_up() {
        let jobs = Jobs::default();
        for _ in 0..QUEUED + 2 {
            let _ = jobs.later(Job::Notice(Notice::Read {
                room: crate::domain::id::RoomId::lobby(),
                offset: 1,
                epoch: crate::domain::position::Epoch::default(),
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
