use serde_json::{Value, json};

use super::record::GRACE_MS;
use super::*;
use crate::domain::error::{Code, Refusal};
use crate::domain::limits::MAX_SESSIONS;
use crate::domain::session::{SESSION_TTL_MS, SessionView};
use crate::service::actor::Actor;
use crate::store::memory::MemoryStore;
use crate::store::{BusEvent, Commit, Notice, Retention};

fn sessions(stores: &Stores, keys: &[&str]) -> Sessions {
    let keys = keys.iter().map(|key| SigningKey::new(key.as_bytes().to_vec())).collect();
    Sessions::new(stores, keys)
}

fn stores() -> Stores {
    Stores::new(Arc::new(MemoryStore::new(Retention::default()).0))
}

fn guest(name: &str) -> Credentials {
    Credentials { name: Name::parse(name).ok(), ..Credentials::default() }
}

fn token(resume: &str) -> Credentials {
    Credentials { resume: Some(resume.to_owned()), ..Credentials::default() }
}

fn rotating(resume: &str) -> Credentials {
    Credentials { rotate: true, ..token(resume) }
}

/// A guest who is stored, as by the first that it says.
async fn stored(sessions: &Sessions, credentials: Credentials) -> Identity {
    let identity = sessions.authenticate(credentials).await.unwrap();
    store(sessions, &identity).await.unwrap();
    identity
}

async fn store(sessions: &Sessions, Identity { user, session, unstored, .. }: &Identity) -> Result<(), Refusal> {
    sessions.store(user, session, unstored.as_ref().expect("a guest who is not stored"), 0, || Ok(())).await
}

fn actor(identity: &Identity) -> Actor {
    Actor::unlimited((*identity.user).clone())
}

/// Makes a session as old as if so much time had passed; `twin` puts the copy of another id beside it instead.
async fn age(stores: &Stores, identity: &Identity, millis: u64, twin: Option<&str>) {
    let topic = Topic::User(identity.user.id.clone());
    let name = session_field(&identity.session);
    let found = stores.fields.fields(&topic, std::slice::from_ref(&name)).await.unwrap();
    let mut record: Value = serde_json::from_str(found.values[0].as_ref().unwrap()).unwrap();
    for field in ["/since", "/lastSeen", "/rotation/at"] {
        if let Some(at) = record.pointer_mut(field) {
            *at = json!(at.as_u64().unwrap().saturating_sub(millis));
        }
    }
    let name = twin.map_or(name, |id| format!("{SESSION}{id}"));
    let commit = Commit { set: vec![(name, Some(record.to_string()))], ..Commit::default() };
    stores.log.commit(&topic, commit).await.unwrap();
}

fn ids(views: &[SessionView]) -> Vec<&str> {
    views.iter().map(|view| view.session.as_str()).collect()
}

#[tokio::test]
async fn a_token_continues_the_same_guest_on_another_node() {
    let stores = stores();
    let ann = sessions(&stores, &[]).authenticate(guest("Ann")).await.unwrap();
    let again = sessions(&stores, &[]).authenticate(token(&ann.resume)).await.unwrap();
    assert!(again.resumed);
    assert_eq!((again.user, again.session), (ann.user, ann.session));
}

#[tokio::test]
async fn a_forged_token_counts_as_absent() {
    let sessions = sessions(&stores(), &[]);
    let ann = sessions.authenticate(guest("Ann")).await.unwrap();
    let bob = sessions.authenticate(guest("Bob")).await.unwrap();
    let signature = ann.resume.rsplit('.').next().unwrap();
    let forged = format!("{}.{}.{signature}", ann.session, bob.user.id);
    for bad in [forged.as_str(), "", "x", "a.b.c", "a.b.c.d", "é.é.é"] {
        assert!(matches!(sessions.authenticate(token(bad)).await, Err(SessionError::Unauthenticated)), "{bad}");
        let with_name = Credentials { resume: Some(bad.to_owned()), ..guest("Eve") };
        assert!(!sessions.authenticate(with_name).await.unwrap().resumed);
    }
}

#[tokio::test]
async fn keys_are_changed_without_throwing_anyone_out() {
    let stores = stores();
    let (old, new) = ("o".repeat(32), "n".repeat(32));
    let ann = sessions(&stores, &[&old]).authenticate(guest("Ann")).await.unwrap();
    let both = sessions(&stores, &[&new, &old]).authenticate(token(&ann.resume)).await.unwrap();
    assert!(both.resumed);
    assert!(sessions(&stores, &[&new]).authenticate(token(&both.resume)).await.unwrap().resumed);
    assert!(sessions(&stores, &[&new]).authenticate(token(&ann.resume)).await.is_err());
}

#[tokio::test]
async fn a_client_whose_auth_never_changes_is_not_thrown_out() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let ann = stored(&sessions, guest("Ann")).await;
    for _ in 0..100 {
        age(&stores, &ann, 24 * 3_600_000, None).await;
        let again = sessions.authenticate(token(&ann.resume)).await.unwrap();
        assert_eq!((&again.session, &again.user), (&ann.session, &ann.user));
    }
}

#[tokio::test]
async fn a_session_expires_when_nobody_used_it_for_long() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let ann = stored(&sessions, guest("Ann")).await;
    age(&stores, &ann, SESSION_TTL_MS + 25 * 3_600_000, None).await;
    assert!(matches!(sessions.authenticate(token(&ann.resume)).await, Err(SessionError::Unauthenticated)));
    let with_name = Credentials { resume: Some(ann.resume), ..guest("Ann") };
    assert!(!sessions.authenticate(with_name).await.unwrap().resumed);
}

#[tokio::test]
async fn a_client_that_rotates_gets_another_token_each_time() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let ann = stored(&sessions, Credentials { rotate: true, ..guest("Ann") }).await;
    let (mut last, mut seen) = (ann.resume.clone(), std::collections::BTreeSet::from([ann.resume.clone()]));
    for _ in 0..20 {
        age(&stores, &ann, GRACE_MS, None).await;
        let again = sessions.authenticate(rotating(&last)).await.unwrap();
        assert_eq!(again.session, ann.session);
        assert!(seen.insert(again.resume.clone()));
        last = again.resume;
    }
}

#[tokio::test]
async fn an_old_token_that_is_used_again_ends_the_session_it_was_stolen_from() {
    let (store, mut bus) = MemoryStore::new(Retention::default());
    let stores = Stores::new(Arc::new(store));
    let sessions = sessions(&stores, &[]);
    let first = stored(&sessions, Credentials { rotate: true, ..guest("Ann") }).await;
    age(&stores, &first, GRACE_MS, None).await;
    let second = sessions.authenticate(rotating(&first.resume)).await.unwrap();
    age(&stores, &first, GRACE_MS, None).await;
    // The answer was lost; and then it was not.
    let third = sessions.authenticate(rotating(&first.resume)).await.unwrap();
    let fourth = sessions.authenticate(rotating(&third.resume)).await.unwrap();
    // Another tab, right after.
    sessions.authenticate(rotating(&second.resume)).await.unwrap();
    age(&stores, &first, GRACE_MS, None).await;

    stores.bus.subscribe(&[Topic::User(first.user.id.clone())]).await.unwrap();
    // The thief need not say that it rotates, and a name does not help it.
    let thief = Credentials { name: Name::parse("Eve").ok(), ..token(&second.resume) };
    assert!(matches!(sessions.authenticate(thief).await, Err(SessionError::Revoked(_))));
    for resume in [&first.resume, &second.resume, &third.resume, &fourth.resume] {
        assert!(matches!(sessions.authenticate(rotating(resume)).await, Err(SessionError::Revoked(_))));
    }
    let Some(BusEvent::Signal(_, text)) = bus.recv().await else { panic!("no notice") };
    let notice: Notice = serde_json::from_str(&text).unwrap();
    let Notice::SessionRevoked { session, reason: RevokeReason::TokenReused, by_socket: None } = notice else {
        panic!("{notice:?}")
    };
    assert_eq!(session, first.session);
}

#[tokio::test]
async fn a_revoked_session_is_refused_on_all_nodes_and_told_in_the_log_of_the_cluster() {
    let stores = stores();
    let (here, there) = (sessions(&stores, &[]), sessions(&stores, &[]));
    let ann = stored(&here, guest("Ann")).await;
    let bob = stored(&here, guest("Bob")).await;
    let mut revocations = there.revocations();
    assert_eq!(revocations.next().await.unwrap(), []);

    assert_eq!(here.revoke(&actor(&bob), &ann.session, &bob.session).await.unwrap_err().code, Code::NotFound);
    for _ in 0..2 {
        here.revoke(&actor(&ann), &ann.session, &ann.session).await.unwrap();
    }
    let with_name = Credentials { resume: Some(ann.resume.clone()), ..guest("Ann") };
    assert!(matches!(there.authenticate(with_name).await, Err(SessionError::Revoked(_))));
    assert!(matches!(there.keep_alive(&ann.session, &ann.user.id, None).await, Err(SessionError::Revoked(_))));
    assert_eq!(there.revoked(&ann.user.id, &ann.session).await.unwrap(), Some(RevokeReason::Requested));
    assert_eq!(there.revoked(&bob.user.id, &bob.session).await.unwrap(), None);
    assert_eq!(there.list(&actor(&ann), &ann.session, None).await.unwrap(), []);
    assert!(previous::read(&*stores.fields, &ann.session).await.unwrap().is_none(), "earlier builds refuse it, too");
    assert!(there.authenticate(token(&bob.resume)).await.unwrap().resumed);

    let revoked = Revoked { user: ann.user.id.clone(), session: ann.session.clone(), reason: RevokeReason::Requested };
    assert_eq!(revocations.next().await.unwrap(), std::slice::from_ref(&revoked), "once, however often");
    assert_eq!(revocations.next().await.unwrap(), []);
    assert_eq!(here.revocations().next().await.unwrap(), [revoked], "a node that starts looks back");
}

#[tokio::test]
async fn the_list_has_the_current_session_first_and_none_that_expired() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let ann = stored(&sessions, Credentials { client: "phone".to_owned(), ..guest("Ann") }).await;
    age(&stores, &ann, 5 * 24 * 3_600_000, Some("older")).await;
    age(&stores, &ann, 3_600_000, Some("newer")).await;
    age(&stores, &ann, SESSION_TTL_MS * 2, Some("expired")).await;
    let listed = sessions.list(&actor(&ann), &ann.session, None).await.unwrap();
    assert_eq!(ids(&listed), [ann.session.as_str(), "newer", "older"]);
    assert_eq!(listed.iter().map(|view| view.current).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(listed[0].client, "phone");
    let left = stores.fields.count(&Topic::User(ann.user.id.clone()), SESSION).await.unwrap();
    assert_eq!(left, 3, "the expired one is gone from the store");

    let older = SessionId::parse("older").unwrap();
    sessions.revoke(&actor(&ann), &older, &ann.session).await.unwrap();
    let listed = sessions.list(&actor(&ann), &older, None).await.unwrap();
    assert_eq!(ids(&listed), [ann.session.as_str(), "newer"]);
    assert!(listed.iter().all(|view| !view.current));
}

#[tokio::test]
async fn of_too_many_sessions_those_that_were_not_used_for_the_longest_time_are_revoked() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let ann = stored(&sessions, guest("Ann")).await;
    for number in 1..MAX_SESSIONS + 3 {
        age(&stores, &ann, 3_600_000 * number as u64, Some(&format!("n{number}"))).await;
    }
    let listed = sessions.list(&actor(&ann), &ann.session, None).await.unwrap();
    assert_eq!(listed.len(), MAX_SESSIONS);
    let last = SessionId::parse(&format!("n{}", MAX_SESSIONS + 2)).unwrap();
    assert_eq!(sessions.revoked(&ann.user.id, &last).await.unwrap(), Some(RevokeReason::TooMany));
    assert_eq!(sessions.revocations().next().await.unwrap().len(), 3);
}

#[tokio::test]
async fn so_many_revoked_sessions_are_remembered_and_no_more() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let ann = stored(&sessions, guest("Ann")).await;
    for number in 0..MAX_SESSIONS + 10 {
        let id = format!("n{number}");
        age(&stores, &ann, 0, Some(&id)).await;
        sessions.revoke(&actor(&ann), &SessionId::parse(&id).unwrap(), &ann.session).await.unwrap();
    }
    let marks = stores.fields.count(&Topic::User(ann.user.id.clone()), REVOKED).await.unwrap();
    assert_eq!(marks, MAX_SESSIONS as u64);
}

#[tokio::test]
async fn a_session_of_an_earlier_build_goes_on_and_one_of_this_build_does_there() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let ann = stored(&sessions, guest("Ann")).await;
    let there = previous::read(&*stores.fields, &ann.session).await.unwrap().unwrap();
    assert_eq!(there.user, ann.user.id);

    // As an earlier build leaves it.
    let forgotten = Commit { set: vec![(session_field(&ann.session), None)], ..Commit::default() };
    stores.log.commit(&Topic::User(ann.user.id.clone()), forgotten).await.unwrap();
    let again = sessions.authenticate(token(&ann.resume)).await.unwrap();
    assert!(again.resumed);
    assert_eq!(ids(&sessions.list(&actor(&ann), &ann.session, None).await.unwrap()), [ann.session.as_str()]);
}

/// Everything that is stored of a guest.
async fn left(stores: &Stores, identity: &Identity) -> usize {
    let topics = [Topic::User(identity.user.id.clone()), Topic::Session(identity.session.clone())];
    let mut left = 0;
    for topic in topics {
        left += stores.fields.list(&topic, "", None, 100).await.unwrap().len();
        left += usize::from(stores.fields.touch(&topic, SESSION_TTL_MS).await.unwrap());
    }
    left
}

#[tokio::test]
async fn of_a_guest_who_changes_nothing_nothing_is_stored_however_often_it_comes() {
    let stores = stores();
    let (here, there) = (sessions(&stores, &[]), sessions(&stores, &[]));
    let ann = here.authenticate(Credentials { client: "phone".to_owned(), ..guest("Ann") }).await.unwrap();
    assert!(!ann.resumed && ann.unstored.is_some());
    for sessions in [&there, &here, &there] {
        let again = sessions.authenticate(token(&ann.resume)).await.unwrap();
        assert!(again.resumed && again.unstored.is_some());
        assert_eq!((&again.user, &again.session, &again.resume), (&ann.user, &ann.session, &ann.resume));
        sessions.keep_alive(&again.session, &again.user.id, again.unstored.as_ref()).await.unwrap();
    }
    assert_eq!(left(&stores, &ann).await, 0);
    let listed = here.list(&actor(&ann), &ann.session, ann.unstored.as_ref()).await.unwrap();
    assert_eq!(ids(&listed), [ann.session.as_str()]);
    assert!(listed[0].current && listed[0].client == "phone");
}

#[tokio::test]
async fn a_guest_who_is_stored_keeps_its_first_token_and_is_in_the_list() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let ann = stored(&sessions, Credentials { client: "phone".to_owned(), ..guest("Ann") }).await;
    assert!(left(&stores, &ann).await >= 3, "who it is, and its session, in both places");
    // Another socket that does not know yet.
    store(&sessions, &ann).await.unwrap();
    for resume in [&ann.resume, &sessions.authenticate(token(&ann.resume)).await.unwrap().resume] {
        let again = sessions.authenticate(token(resume)).await.unwrap();
        assert!(again.resumed && again.unstored.is_none());
        assert_eq!((again.user, again.session), (ann.user.clone(), ann.session.clone()));
    }
    assert_eq!(ids(&sessions.list(&actor(&ann), &ann.session, None).await.unwrap()), [ann.session.as_str()]);
}

#[tokio::test]
async fn a_guest_for_whom_there_is_no_room_is_not_stored() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let ann = sessions.authenticate(guest("Ann")).await.unwrap();
    let full = || Err(Refusal::new(Code::RateLimited, "too many"));
    let unstored = ann.unstored.as_ref().unwrap();
    let refused = sessions.store(&ann.user, &ann.session, unstored, 0, full).await.unwrap_err();
    assert_eq!(refused.code, Code::RateLimited);
    assert_eq!(left(&stores, &ann).await, 0);
    store(&sessions, &ann).await.unwrap();
    // Who is there is not counted again.
    sessions.store(&ann.user, &ann.session, unstored, 0, full).await.unwrap();
}

#[tokio::test]
async fn a_guest_who_signs_out_before_it_is_stored_is_signed_out_for_good() {
    let stores = stores();
    let (here, there) = (sessions(&stores, &[]), sessions(&stores, &[]));
    let mut revocations = there.revocations();
    assert_eq!(revocations.next().await.unwrap(), []);
    let ann = here.authenticate(Credentials { rotate: true, ..guest("Ann") }).await.unwrap();
    let bob = here.authenticate(guest("Bob")).await.unwrap();
    assert_eq!(here.revoke(&actor(&bob), &ann.session, &bob.session).await.unwrap_err().code, Code::NotFound);
    let again = there.authenticate(rotating(&ann.resume)).await.unwrap();

    here.revoke(&actor(&ann), &ann.session, &ann.session).await.unwrap();
    for resume in [&ann.resume, &again.resume] {
        let with_name = Credentials { resume: Some(resume.clone()), ..guest("Ann") };
        assert!(matches!(there.authenticate(with_name).await, Err(SessionError::Revoked(_))));
    }
    // A socket that was not closed yet stores nothing any more.
    assert_eq!(store(&there, &again).await.unwrap_err().code, Code::Unauthenticated);
    let unstored = again.unstored.as_ref();
    assert!(matches!(there.keep_alive(&ann.session, &ann.user.id, unstored).await, Err(SessionError::Revoked(_))));
    assert_eq!(revocations.next().await.unwrap().len(), 1);
    let topic = Topic::User(ann.user.id.clone());
    assert_eq!(stores.fields.count(&topic, REVOKED).await.unwrap(), 1);
    assert_eq!(stores.fields.count(&topic, "").await.unwrap(), 1, "nothing but the mark");
}

#[tokio::test]
async fn a_token_that_rotates_before_its_guest_is_stored_is_held_to_it_from_then_on() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let first = sessions.authenticate(Credentials { rotate: true, ..guest("Ann") }).await.unwrap();
    let second = sessions.authenticate(rotating(&first.resume)).await.unwrap();
    let third = sessions.authenticate(rotating(&second.resume)).await.unwrap();
    let all: std::collections::BTreeSet<_> = [&first, &second, &third].map(|identity| &identity.resume).into();
    assert_eq!(all.len(), 3);
    store(&sessions, &third).await.unwrap();
    age(&stores, &third, GRACE_MS, None).await;
    // The newest one that was given is good; the first two are long replaced.
    let fourth = sessions.authenticate(rotating(&third.resume)).await.unwrap();
    assert!(fourth.unstored.is_none());
    age(&stores, &third, GRACE_MS, None).await;
    assert!(matches!(sessions.authenticate(token(&first.resume)).await, Err(SessionError::Revoked(_))));
    assert!(matches!(sessions.authenticate(token(&fourth.resume)).await, Err(SessionError::Revoked(_))));
}

#[tokio::test]
async fn a_guest_to_whom_something_is_done_is_stored_with_its_session_when_it_comes_back() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    for comes_back in [true, false] {
        let ann = sessions.authenticate(guest("Ann")).await.unwrap();
        store_profile(&*stores.log, &ann.user).await.unwrap();
        if comes_back {
            let again = sessions.authenticate(token(&ann.resume)).await.unwrap();
            assert!(again.resumed && again.unstored.is_none());
        } else {
            sessions.keep_alive(&ann.session, &ann.user.id, ann.unstored.as_ref()).await.unwrap();
        }
        assert_eq!(ids(&sessions.list(&actor(&ann), &ann.session, None).await.unwrap()), [ann.session.as_str()]);
    }
}

#[tokio::test]
async fn what_guests_leave_behind_in_the_lobby_goes_with_them_once_a_day() {
    let stores = stores();
    let sessions = sessions(&stores, &[]);
    let lobby = Topic::Room(crate::domain::id::RoomId::lobby());
    let say = async |identity: &Identity| {
        let append = crate::store::Append {
            event: "message:new",
            by: identity.user.id.clone(),
            payload: crate::domain::json::Members::of(&json!({"text": "x"})).unwrap(),
            nonce: None,
            counted: true,
            trace: None,
        };
        stores.log.commit(&lobby, Commit { append: Some(append), ..Commit::default() }).await.unwrap();
    };
    let ann = sessions.authenticate(guest("Ann")).await.unwrap();
    say(&ann).await;
    store(&sessions, &ann).await.unwrap();
    let mut gone = Vec::new();
    for number in 0..500 {
        let guest = stored(&sessions, guest(&format!("g{number}"))).await;
        say(&guest).await;
        gone.push(guest);
    }
    let unread = stores.marks.seen(std::slice::from_ref(&lobby), &ann.user.id, &[]).await.unwrap()[0].unread;
    for guest in &gone {
        let forgotten = Commit { set: vec![(PROFILE.to_owned(), None)], ..Commit::default() };
        stores.log.commit(&Topic::User(guest.user.id.clone()), forgotten).await.unwrap();
    }
    assert_eq!(sessions.forget_gone().await.unwrap(), 500);
    assert_eq!(stores.marks.readers(&lobby, "", 1_000).await.unwrap().0, std::slice::from_ref(&ann.user.id));
    let kept = stores.marks.seen(std::slice::from_ref(&lobby), &ann.user.id, &[]).await.unwrap()[0].unread;
    assert_eq!((unread, kept), (500, 500), "who is there has the same unread messages");
    assert_eq!(sessions.forget_gone().await.unwrap(), 0);

    let late = stored(&sessions, guest("Late")).await;
    let forgotten = Commit { set: vec![(PROFILE.to_owned(), None)], ..Commit::default() };
    stores.log.commit(&Topic::User(late.user.id.clone()), forgotten).await.unwrap();
    assert_eq!(sessions.forget_gone().await.unwrap(), 0, "not again on the same day");
}
