//! Who is there. Presence expires instead of being counted: what a node said holds only while
//! that node goes on saying that it lives.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use crate::domain::id::{NodeId, UserId};
use crate::domain::position::Millis;
use crate::domain::room::Kind;
use crate::domain::user::{Status, User};
use crate::service::identity::PROFILE;
use crate::service::rooms::Rooms;
use crate::store::{FieldStore, PresenceStore, Signal, SignalEvent, StoreError, Stores, Topic};

/// How long a dead node's users look as if they were there, at most, with [`SWEEP`] added.
pub const NODE_TTL_MS: Millis = 15_000;
/// How often a node says that it lives, and looks for nodes that don't.
pub const SWEEP: Duration = Duration::from_secs(4);
/// How long a user whose last socket closed still counts as there: a reload is no news.
const GRACE: Duration = Duration::from_secs(2);
const REAPED_AT_ONCE: usize = 500;

/// The presence of the users of one node.
#[derive(Clone)]
pub struct Presence {
    presence: Arc<dyn PresenceStore>,
    fields: Arc<dyn FieldStore>,
    rooms: Rooms,
    node: NodeId,
    here: Arc<Mutex<HashMap<UserId, Here>>>,
    /// Who came or went while the store did not answer.
    untold: Arc<Mutex<HashSet<UserId>>>,
}

struct Here {
    user: Arc<User>,
    sockets: usize,
    /// Rises with each coming, so that a departure that waited knows that it is outdated.
    visit: u64,
}

impl Presence {
    /// The presence that `node` will tell of.
    #[must_use]
    pub fn new(stores: &Stores, rooms: Rooms, node: NodeId) -> Self {
        let Stores { presence, fields, .. } = stores.clone();
        Self { presence, fields, rooms, node, here: Arc::default(), untold: Arc::default() }
    }

    /// A socket of the user was opened. Returns at once; the news spreads on its own, by a task, if it is news.
    pub fn came(&self, user: &Arc<User>) -> Option<JoinHandle<()>> {
        let first = {
            let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
            let entry =
                here.entry(user.id.clone()).or_insert_with(|| Here { user: user.clone(), sockets: 0, visit: 0 });
            entry.sockets += 1;
            entry.visit += 1;
            entry.visit == 1
        };
        first.then(|| {
            let (this, user) = (self.clone(), user.clone());
            tokio::spawn(async move { this.tell(&user.id).await })
        })
    }

    /// A socket of the user was closed.
    pub fn went(&self, user: &UserId) {
        let visit = {
            let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(entry) = here.get_mut(user) else { return };
            entry.sockets = entry.sockets.saturating_sub(1);
            if entry.sockets > 0 {
                return;
            }
            entry.visit
        };
        let (this, user) = (self.clone(), user.clone());
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            {
                let mut here = this.here.lock().unwrap_or_else(PoisonError::into_inner);
                match here.get(&user) {
                    Some(entry) if entry.visit == visit && entry.sockets == 0 => here.remove(&user),
                    _ => return,
                };
            }
            this.tell(&user).await;
        });
    }

    /// Tells whether a user is here. What the store does not hear is told again after the next beat that passes: the
    /// user would be shown as here for as long as this node lives.
    async fn tell(&self, user: &UserId) {
        let card = {
            let here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
            here.get(user).map(|here| card(&here.user))
        };
        match self.presence.set_presence(&self.node, user, card.as_deref()).await {
            Ok((false, true)) => self.announce(user, Status::Online).await,
            Ok((true, false)) => self.announce(user, Status::Offline).await,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "presence could not be told yet");
                self.untold.lock().unwrap_or_else(PoisonError::into_inner).insert(user.clone());
            }
        }
    }

    async fn tell_untold(&self) {
        let untold = std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner));
        for user in untold {
            self.tell(&user).await;
        }
    }

    /// Tells those who share a private room or a direct message with the user.
    async fn announce(&self, user: &UserId, status: Status) {
        if let Err(error) = self.try_announce(user, status).await {
            tracing::debug!(%error, "a change of presence could not be announced");
        }
    }

    async fn try_announce(&self, user: &UserId, status: Status) -> Result<(), StoreError> {
        let found = self.fields.fields(&Topic::User(user.clone()), &[PROFILE.to_owned()]).await?;
        let profile = found.values.into_iter().next().flatten();
        let Some(person) = profile.and_then(|text| serde_json::from_str::<User>(&text).ok()) else {
            return Ok(());
        };
        for (room, access) in self.rooms.of_user(user).await? {
            if access.info.kind == Kind::Public {
                continue;
            }
            let signal = Signal {
                event: SignalEvent::Presence,
                except: Some(user.clone()),
                version: Some(found.now),
                payload: json!({ "user": person, "status": status }),
            };
            self.rooms.signal(&room, &signal).await?;
        }
        Ok(())
    }

    /// Says that the node lives and buries those that don't, until the task is dropped.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut beaten_at: Option<tokio::time::Instant> = None;
        loop {
            ticks.tick().await;
            let occupied = !self.here.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            let whole = match self.presence.beat(&self.node, NODE_TTL_MS, occupied).await {
                Ok(whole) => whole,
                Err(error) => {
                    tracing::debug!(%error, "the node could not say that it lives");
                    continue;
                }
            };
            // After a pause others may have buried this node, and the store may have lost what it said: tell of everyone
            // again.
            let fresh = beaten_at.is_some_and(|at| at.elapsed() < Duration::from_millis(NODE_TTL_MS) - SWEEP);
            let told = fresh && whole || self.tell_all().await;
            // What did not pass is told with the next beat.
            beaten_at = told.then(tokio::time::Instant::now);
            self.tell_untold().await;
            self.reap().await;
        }
    }

    /// False if the store did not hear all of it.
    async fn tell_all(&self) -> bool {
        let users: Vec<Arc<User>> = {
            let here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
            here.values().map(|here| here.user.clone()).collect()
        };
        for user in users {
            match self.presence.set_presence(&self.node, &user.id, Some(&card(&user))).await {
                Ok((false, true)) => self.announce(&user.id, Status::Online).await,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        true
    }

    async fn reap(&self) {
        loop {
            match self.presence.reap(REAPED_AT_ONCE).await {
                Ok(users) => {
                    for user in &users {
                        self.announce(user, Status::Offline).await;
                    }
                    if users.len() < REAPED_AT_ONCE {
                        return;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "dead nodes could not be looked for");
                    return;
                }
            }
        }
    }

    /// The status of each user.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(&self, users: &[UserId]) -> Result<Vec<Status>, StoreError> {
        let cards = self.presence.presence(users).await?;
        Ok(cards.iter().map(|card| if card.is_some() { Status::Online } else { Status::Offline }).collect())
    }

    /// A page of the users that are connected, by id.
    ///
    /// # Errors
    /// The store's.
    pub async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<User>, StoreError> {
        let page = self.presence.online(after, limit).await?;
        Ok(page.into_iter().filter_map(|(_, card)| serde_json::from_str(&card).ok()).collect())
    }
}

fn card(user: &User) -> String {
    json!(user).to_string()
}
