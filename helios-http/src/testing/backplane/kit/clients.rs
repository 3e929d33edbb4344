//! Clients that move between nodes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum_core::body::Body;
use fastrand::Rng;
use helios_core::decode::{Decoded, DecodedEvent, Decoder};
use http::Request;
use http_body_util::BodyExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::rig::Rig;
use super::diary::{Diary, Step};
use super::world::{Goal, World};
use crate::sse::SseHub;

/// A client's connection.
struct Connection {
    body: Body,
    decoder: Decoder,
}

impl Connection {
    async fn open(hub: &SseHub, diary: &Diary) -> Option<Self> {
        let topics = diary.topics.iter().map(|topic| &**topic);
        let stream = hub.sse().subscribe(topics).await.ok()?;
        let mut request = Request::get("/");
        if let Some(last) = diary.last {
            request = request.header("last-event-id", last.to_string());
        }
        let (head, ()) = request.body(()).ok()?.into_parts();
        let response = hub.respond(head, stream).await;
        Some(Self {
            body: response.into_body(),
            decoder: Decoder::new(),
        })
    }

    /// Returns the next event, or `None` when the connection has ended. Cancel-safe.
    async fn next(&mut self) -> Option<DecodedEvent> {
        loop {
            match self.decoder.next_item() {
                Some(Decoded::Event(event)) => return Some(event),
                Some(_) => {}
                None => {
                    let bytes = self.body.frame().await?.ok()?.into_data().ok()?;
                    self.decoder.feed(&bytes).ok()?;
                }
            }
        }
    }
}

/// Runs one client until it has reached the goal. Returns false if it does not in time.
pub(super) async fn run<R: Rig>(
    world: Arc<World<R>>,
    topics: Vec<Arc<str>>,
    mut rng: Rng,
) -> (Diary, bool) {
    let mut diary = Diary::new(topics);
    let mut goals = world.goal.subscribe();
    loop {
        let goal = goals.borrow_and_update().clone();
        match &goal {
            Some(goal) if is_there(&diary, goal) => return (diary, true),
            Some(goal) if Instant::now() >= goal.until => return (diary, false),
            None if diary.is_over => {
                // It has no reason to come back. The world lasts as long as this task.
                let _ = goals.wait_for(Option::is_some).await.map(drop);
                continue;
            }
            Some(_) | None => {}
        }
        let node = rng.usize(..world.nodes.len());
        // Some leave before they have read anything.
        let stays = match rng.u8(..8) {
            0 => 0,
            _ => rng.u64(1..400),
        };
        let stays = Instant::now() + Duration::from_millis(stays);
        let leaves = goal.map_or(stays, |goal| goal.until);
        let connection = match world.nodes.hub(node) {
            Some(hub) => Connection::open(&hub, &diary).await.map(|it| (it, hub)),
            None => None,
        };
        match connection {
            Some((connection, hub)) => {
                world.connections.fetch_add(1, Ordering::Relaxed);
                let head = hub.sse().newest_id();
                diary.steps.push(Step::Connected(node, head));
                read(connection, &mut diary, &mut goals, leaves).await;
            }
            None => sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Reads until the client leaves. Once there is a goal, reads until the client has reached it or its time is over.
async fn read(
    mut connection: Connection,
    diary: &mut Diary,
    goals: &mut watch::Receiver<Option<Goal>>,
    mut leaves: Instant,
) {
    loop {
        if let Some(goal) = &*goals.borrow() {
            if is_there(diary, goal) {
                return;
            }
            leaves = goal.until;
        }
        let event = tokio::select! {
            biased;
            event = timeout_at(leaves, connection.next()) => event,
            Ok(()) = goals.changed() => continue,
        };
        match event {
            Ok(Some(event)) => diary.take(&event),
            Ok(None) | Err(_) => return,
        }
        if diary.is_over {
            return;
        }
    }
}

/// Whether the client has reached the newest event of all its topics, or their end.
fn is_there(diary: &Diary, goal: &Goal) -> bool {
    if diary.is_over {
        return true;
    }
    let is_finished = |topic: &Arc<str>| goal.finished.contains(topic);
    if diary.topics.iter().all(is_finished) {
        // It still has to get the end.
        return false;
    }
    let heads = diary
        .topics
        .iter()
        .filter_map(|topic| goal.heads.get(topic));
    let head = heads.chain(goal.heads.get("*")).max();
    let is_at = |last: helios_core::hub::EventId| {
        let head = head.copied().unwrap_or_default();
        last.epoch() == goal.epoch && last.seq() >= head
    };
    diary.last.is_some_and(is_at)
}
