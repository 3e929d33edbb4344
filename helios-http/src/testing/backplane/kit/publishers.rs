//! The publishers of a storm.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use helios_core::hub::EventId;
use helios_core::sse::SseError;
use tokio::time::sleep;

use super::super::rig::Rig;
use super::ledger::{Answer, Mark, PostKind};
use super::world::World;
use crate::sse::PublishOptions;
use crate::sync::lock;

/// Runs one publisher until the calm.
pub(super) async fn run<R: Rig>(world: Arc<World<R>>, home: usize, mut rng: Rng) {
    while !world.is_calm() {
        let topic = Arc::clone(&world.topics[rng.usize(..world.topics.len())]);
        match rng.u16(..1_000) {
            0..700 => plain(&world, home, &topic).await,
            700..850 => keyed(&world, home, &topic, &mut rng).await,
            850..950 => several(&world, home, &mut rng).await,
            // A silent loss is found with the next event of its topic. So readers have only one topic then, and that
            // goes on.
            _ if world.is_silent => plain(&world, home, &topic).await,
            950..995 => broadcast(&world, home).await,
            _ => end(&world, home, &mut rng).await,
        }
        match rng.u8(..4) {
            0 => tokio::task::yield_now().await,
            _ => sleep(Duration::from_micros(rng.u64(..4_000))).await,
        }
    }
}

async fn plain<R: Rig>(world: &World<R>, node: usize, topic: &Arc<str>) {
    let sse = world.sse(node).await;
    let mark = world.begin(topic, PostKind::Plain);
    let answer = sse.publish(&**topic, mark.text()).await;
    world.note(mark, &answer);
}

/// Publishes with a key, again until the outcome is certain, and at times once more, mostly on other nodes.
async fn keyed<R: Rig>(world: &World<R>, node: usize, topic: &Arc<str>, rng: &mut Rng) {
    let mut mark = world.begin(topic, PostKind::Keyed);
    let key = PublishOptions::default().key(format!("{}-{}", mark.round, mark.post));
    let mut more = rng.u8(1..4);
    let mut node = node;
    while more > 0 {
        let sse = world.sse(node).await;
        let answer = sse.publish_with(&**topic, mark.text(), &key).await;
        let answer = world.note(mark, &answer);
        more -= u8::from(answer != Answer::Unknown || world.is_calm());
        if more > 0 {
            mark = lock(&world.ledger).again(mark);
            node = rng.usize(..world.nodes.len());
        }
    }
}

async fn several<R: Rig>(world: &World<R>, node: usize, rng: &mut Rng) {
    let sse = world.sse(node).await;
    let count = rng.usize(1..6);
    let topics = (0..count).map(|_| Arc::clone(&world.topics[rng.usize(..world.topics.len())]));
    let marks: Vec<(Arc<str>, Mark)> = topics
        .map(|topic| {
            let mark = world.begin(&topic, PostKind::Plain);
            (topic, mark)
        })
        .collect();
    let events = marks
        .iter()
        .map(|(topic, mark)| (topic.to_string(), mark.text()));
    let answers = sse.publish_all(events).await;
    for ((_, mark), answer) in marks.iter().zip(&answers) {
        world.note(*mark, answer);
    }
}

async fn broadcast<R: Rig>(world: &World<R>, node: usize) {
    let sse = world.sse(node).await;
    let mark = world.begin(&world.everyone, PostKind::Plain);
    let answer = sse.broadcast(mark.text()).await;
    world.note(mark, &answer);
}

/// Finishes one of the topics with an odd number, and then tries to publish to it.
async fn end<R: Rig>(world: &World<R>, node: usize, rng: &mut Rng) {
    let Some(odd) = (world.topics.len() / 2).checked_sub(1) else {
        return;
    };
    let topic = Arc::clone(&world.topics[2 * rng.usize(..=odd) + 1]);
    let with_event = rng.bool();
    // The ledger has the answer.
    let _ = finish(world, node, &topic, with_event).await;
    for node in 0..world.nodes.len() {
        plain(world, node, &topic).await;
    }
}

pub(super) async fn finish<R: Rig>(
    world: &World<R>,
    node: usize,
    topic: &Arc<str>,
    with_event: bool,
) -> Result<EventId, SseError> {
    let sse = world.sse(node).await;
    let kind = match with_event {
        true => PostKind::End,
        false => PostKind::BareEnd,
    };
    let mark = world.begin(topic, kind);
    let answer = match with_event {
        true => sse.finish_with(&**topic, mark.text()).await,
        false => sse.finish(&**topic).await,
    };
    world.note(mark, &answer);
    answer
}

/// Publishes the last event of a topic, in a calm.
pub(super) async fn last<R: Rig>(
    world: &World<R>,
    node: usize,
    topic: &Arc<str>,
) -> Result<EventId, SseError> {
    let sse = world.sse(node).await;
    let mark = world.begin(topic, PostKind::Plain);
    let answer = match topic == &world.everyone {
        true => sse.broadcast(mark.text()).await,
        false => sse.publish(&**topic, mark.text()).await,
    };
    world.note(mark, &answer);
    answer
}
