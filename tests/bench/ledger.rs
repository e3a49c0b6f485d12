//! What was sent, who has heard it, and whether everyone heard the same.

/// Not heard by anyone yet.
const NOWHERE: u32 = u32::MAX;

/// How the server answered a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Not at all, or not yet; also of a server that does not answer.
    None,
    /// It took the message.
    Acked,
    /// It did not, or does not know.
    Refused,
}

/// One message.
struct Message {
    /// In the order in which its room was first heard, by whomever.
    place: u32,
    /// By how many members.
    heard: u32,
    answer: Answer,
}

/// One room.
struct Room {
    /// By sender and number.
    messages: Vec<Vec<Message>>,
    /// How many places were given.
    places: u32,
    /// By member and sender: the number after the highest that was heard.
    next: Vec<u32>,
    /// By member: the place after the last that was heard.
    latest: Vec<u32>,
    /// Of whom, by whom and which number was passed over.
    holes: Vec<(u32, u32, u32)>,
}

/// What went wrong, in deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// That never came, of messages that were not refused and, where a server answers, known to be there.
    pub(crate) lost: u64,
    /// Of these, of messages that were acked.
    pub(crate) lost_acked: u64,
    /// That came again.
    pub(crate) duplicated: u64,
    /// That came after a later one of the same sender, or after one that another member heard later.
    pub(crate) disordered: u64,
    /// Messages that have no answer, and that nobody heard.
    pub(crate) unanswered: u64,
}

/// The account of all rooms, which have the same number of members.
pub(crate) struct Ledger {
    members: u32,
    senders: u32,
    /// Whether the server answers each message.
    acks: bool,
    rooms: Vec<Room>,
    duplicated: u64,
    disordered: u64,
}

impl Ledger {
    /// Of so many rooms, with so many members each, the first of whom send.
    pub(crate) fn new(rooms: usize, members: u32, senders: u32, acks: bool) -> Self {
        let room = || Room {
            messages: (0..senders).map(|_| Vec::new()).collect(),
            places: 0,
            next: vec![0; members as usize * senders as usize],
            latest: vec![0; members as usize],
            holes: Vec::new(),
        };
        Self { members, senders, acks, rooms: (0..rooms).map(|_| room()).collect(), duplicated: 0, disordered: 0 }
    }

    /// A message is about to be sent: its number.
    pub(crate) fn sends(&mut self, room: u32, sender: u32) -> u32 {
        let messages = &mut self.rooms[room as usize].messages[sender as usize];
        messages.push(Message { place: NOWHERE, heard: 0, answer: Answer::None });
        u32::try_from(messages.len() - 1).unwrap_or(NOWHERE)
    }

    /// The server answered one.
    pub(crate) fn answered(&mut self, room: u32, sender: u32, number: u32, answer: Answer) {
        self.rooms[room as usize].messages[sender as usize][number as usize].answer = answer;
    }

    /// A member has fetched what it was told it would not hear. `false` if there is no such message.
    pub(crate) fn fetches(&mut self, room: u32, sender: u32, number: u32) -> bool {
        let messages = self.rooms.get_mut(room as usize).and_then(|room| room.messages.get_mut(sender as usize));
        let message = messages.and_then(|messages| messages.get_mut(number as usize));
        message.map(|message| message.heard += 1).is_some()
    }

    /// A member has heard a message. `false` if there is no such message.
    pub(crate) fn hears(&mut self, room: u32, member: u32, sender: u32, number: u32) -> bool {
        let senders = self.senders;
        let Some(room) = self.rooms.get_mut(room as usize) else { return false };
        let message = room.messages.get_mut(sender as usize).and_then(|sent| sent.get_mut(number as usize));
        let (Some(message), Some(latest)) = (message, room.latest.get_mut(member as usize)) else { return false };
        let next = &mut room.next[(member * senders + sender) as usize];
        if number < *next {
            let Some(hole) = room.holes.iter().position(|hole| *hole == (member, sender, number)) else {
                self.duplicated += 1;
                return true;
            };
            room.holes.swap_remove(hole);
            self.disordered += 1;
        } else {
            room.holes.extend((*next..number).map(|passed| (member, sender, passed)));
            *next = number + 1;
            if message.place < *latest {
                self.disordered += 1;
            }
        }
        if message.place == NOWHERE {
            message.place = room.places;
            room.places += 1;
        }
        message.heard += 1;
        *latest = (*latest).max(message.place + 1);
        true
    }

    /// Whether everything has come that is to come.
    pub(crate) fn is_settled(&self) -> bool {
        let faults = self.faults();
        faults.lost == 0 && faults.unanswered == 0
    }

    /// What went wrong, if nothing more comes.
    pub(crate) fn faults(&self) -> Faults {
        let mut faults = Faults { duplicated: self.duplicated, disordered: self.disordered, ..Faults::default() };
        for message in self.rooms.iter().flat_map(|room| &room.messages).flatten() {
            let unheard = u64::from(self.members.saturating_sub(message.heard));
            match message.answer {
                Answer::Acked => {
                    faults.lost += unheard;
                    faults.lost_acked += unheard;
                }
                Answer::None if self.acks && message.heard == 0 => faults.unanswered += 1,
                Answer::None => faults.lost += unheard,
                Answer::Refused => {}
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two members of one room, who both send twice.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(1, 2, 2, false);
        for (sender, number) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            assert_eq!(ledger.sends(0, sender), number);
        }
        ledger
    }

    fn hears(ledger: &mut Ledger, member: u32, heard: &[(u32, u32)]) {
        for (sender, number) in heard {
            assert!(ledger.hears(0, member, *sender, *number));
        }
    }

    #[test]
    fn nothing_is_wrong_where_all_hear_all_in_one_order() {
        let mut ledger = ledger();
        for member in 0..2 {
            hears(&mut ledger, member, &[(0, 0), (1, 0), (0, 1), (1, 1)]);
        }
        assert_eq!(ledger.faults(), Faults::default());
    }

    #[test]
    fn what_did_not_come_is_lost_unless_it_was_refused() {
        let mut ledger = ledger();
        hears(&mut ledger, 0, &[(0, 0), (0, 1), (1, 0)]);
        hears(&mut ledger, 1, &[(0, 0), (1, 0)]);
        ledger.answered(0, 0, 1, Answer::Acked);
        assert_eq!(ledger.faults(), Faults { lost: 3, lost_acked: 1, ..Faults::default() });
        ledger.answered(0, 1, 1, Answer::Refused);
        assert_eq!(ledger.faults().lost, 1);
    }

    #[test]
    fn what_has_no_answer_where_others_have_one_may_never_have_been_there() {
        let mut ledger = Ledger::new(1, 2, 2, true);
        let (first, second) = (ledger.sends(0, 0), ledger.sends(0, 0));
        assert!(!ledger.is_settled());
        assert!(ledger.hears(0, 1, 0, second));
        assert_eq!((first, ledger.faults().unanswered, ledger.faults().lost), (0, 1, 1));
    }

    #[test]
    fn what_was_fetched_is_not_lost() {
        let mut ledger = Ledger::new(1, 2, 2, true);
        let number = ledger.sends(0, 0);
        ledger.answered(0, 0, number, Answer::Acked);
        assert!(ledger.hears(0, 0, 0, number) && ledger.fetches(0, 0, number) && !ledger.fetches(0, 1, number));
        assert!(ledger.is_settled());
    }

    #[test]
    fn what_comes_again_is_a_duplicate() {
        let mut ledger = ledger();
        hears(&mut ledger, 0, &[(0, 0), (0, 1), (0, 0), (0, 1)]);
        assert_eq!(ledger.faults().duplicated, 2);
    }

    #[test]
    fn a_sender_overtaken_by_itself_is_out_of_order_and_not_lost() {
        let mut ledger = ledger();
        for member in 0..2 {
            hears(&mut ledger, member, &[(0, 1), (0, 0), (1, 0), (1, 1)]);
        }
        assert_eq!(ledger.faults(), Faults { disordered: 2, ..Faults::default() });
    }

    #[test]
    fn two_members_who_hear_two_senders_in_two_orders_disagree() {
        let mut ledger = ledger();
        hears(&mut ledger, 0, &[(0, 0), (1, 0), (0, 1), (1, 1)]);
        hears(&mut ledger, 1, &[(1, 0), (0, 0), (0, 1), (1, 1)]);
        assert_eq!(ledger.faults(), Faults { disordered: 1, ..Faults::default() });
    }

    #[test]
    fn what_nobody_sent_is_not_heard() {
        let mut ledger = ledger();
        assert!(!ledger.hears(0, 0, 0, 2) && !ledger.hears(1, 0, 0, 0) && !ledger.hears(0, 2, 0, 0));
    }
}
