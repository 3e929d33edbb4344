//! Nodes that die or sleep, and a store that cannot be reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use helios::backplane::{
    Ask, Backplane, BackplaneError, BackplaneErrorKind, BoxFuture, History, Lease, MemberChange,
    MemberRow, NodeId, Publish, PutAnswer, Started, Startup, Status, Tables, Watched,
};
use helios::prelude::*;
use helios::sse::EventId;
use helios::testing::backplane::InMemory;
use helios::testing::{TestApp, TestStream};

use super::app::{hears_nothing, listed, member, node, open, present, told};

/// A link that can cut off its node, in both directions.
#[derive(Clone)]
struct Cuttable {
    inner: Arc<InMemory>,
    is_cut: Arc<AtomicBool>,
    /// Publishing events fails, but everything else works.
    is_mute: Arc<AtomicBool>,
    /// Entries are stored or removed, but the response is lost.
    loses_answers: Arc<AtomicBool>,
    /// The next change that is confirmed panics.
    panics: Arc<AtomicBool>,
}

impl Cuttable {
    fn new(inner: InMemory) -> Self {
        Self {
            inner: Arc::new(inner),
            is_cut: Arc::default(),
            is_mute: Arc::default(),
            loses_answers: Arc::default(),
            panics: Arc::default(),
        }
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }

    fn mute(&self, is_mute: bool) {
        self.is_mute.store(is_mute, Ordering::SeqCst);
    }

    fn lose_answers(&self, loses: bool) {
        self.loses_answers.store(loses, Ordering::SeqCst);
    }

    async fn answer<T>(
        &self,
        answer: BoxFuture<'_, Result<T, BackplaneError>>,
    ) -> Result<T, BackplaneError> {
        let answer = answer.await?;
        match self.loses_answers.load(Ordering::SeqCst) {
            true => Err(BackplaneErrorKind::Unknown.into()),
            false => Ok(answer),
        }
    }

    fn reached(&self) -> Result<(), BackplaneError> {
        match self.is_cut.load(Ordering::SeqCst) {
            true => Err(BackplaneErrorKind::Down.into()),
            false => Ok(()),
        }
    }
}

impl Backplane for Cuttable {
    fn name(&self) -> &'static str {
        "cuttable"
    }
    fn start(&self, startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>> {
        self.inner.start(startup)
    }
    fn stop(&self) -> BoxFuture<'_, ()> {
        self.inner.stop()
    }
    fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        if self.is_mute.load(Ordering::SeqCst) {
            return Box::pin(async { Err(BackplaneErrorKind::NotPublished.into()) });
        }
        self.inner.publish(event)
    }
    fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>> {
        self.inner.history(ask)
    }
    fn watch<'a>(
        &'a self,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
        self.inner.watch(topics)
    }
    fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>> {
        self.inner.unwatch(topics)
    }
    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>> {
        self.inner.renew()
    }
    fn is_alive(&self, node: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>> {
        self.inner.is_alive(node)
    }
    fn tables(&self) -> Option<&dyn Tables> {
        Some(self)
    }
    fn status(&self) -> Status {
        match self.is_cut.load(Ordering::SeqCst) {
            true => Status::Down,
            false => Status::Up,
        }
    }
}

impl Tables for Cuttable {
    fn lease(
        &self,
        node: NodeId,
        incarnation: Option<u64>,
    ) -> BoxFuture<'_, Result<Lease, BackplaneError>> {
        match self.reached() {
            Ok(()) => self.inner.lease(node, incarnation),
            Err(down) => Box::pin(async { Err(down) }),
        }
    }
    fn put<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        data: &'a str,
        is_new: bool,
        most: usize,
    ) -> BoxFuture<'a, Result<PutAnswer, BackplaneError>> {
        Box::pin(self.answer(self.inner.put(lease, topic, key, data, is_new, most)))
    }
    fn remove<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        grace: Option<Duration>,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        Box::pin(self.answer(self.inner.remove(lease, topic, key, grace)))
    }
    fn told<'a>(
        &'a self,
        lease: Lease,
        change: &'a MemberChange,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "a panic");
        self.inner.told(lease, change)
    }
    fn read<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<MemberRow>, BackplaneError>> {
        self.inner.read(topic)
    }
    fn reap(&self, lease: Lease) -> BoxFuture<'_, Result<Vec<MemberChange>, BackplaneError>> {
        self.inner.reap(lease)
    }
}

/// Returns two nodes and an observer at the second. The link can cut off the first.
async fn two_nodes(backplane: &InMemory) -> (Cuttable, TestApp, TestApp, TestStream) {
    let link = Cuttable::new(backplane.node());
    let (one, two) = (node(link.clone()).await, node(backplane.node()).await);
    let looker = open(&two, "/rooms/tea").await;
    (link, one, two, looker)
}

#[tokio::test(start_paused = true)]
async fn members_of_a_killed_node_become_unconfirmed_then_lost() {
    let backplane = InMemory::new();
    let (link, one, _two, mut looker) = two_nodes(&backplane).await;
    let three = node(backplane.node()).await;
    let _ann = open(&one, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    link.cut(true);
    sleep(Duration::from_secs(13)).await;
    assert_eq!(present(&three).await, ["ann happy unconfirmed"]);
    assert_eq!(told(&mut looker).await, "left ann lost");
    assert!(present(&three).await.is_empty());
    hears_nothing(&mut looker, 60).await;
}

#[tokio::test(start_paused = true)]
async fn members_of_a_killed_node_may_return_elsewhere() {
    let (link, one, two, mut looker) = two_nodes(&InMemory::new()).await;
    let _ann = open(&one, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    link.cut(true);
    let _again = open(&two, "/rooms/tea/ann/happy").await;
    assert_eq!(present(&two).await, ["ann happy here"]);
    hears_nothing(&mut looker, 60).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_cut_off_restores_its_members() {
    let (link, one, two, mut looker) = two_nodes(&InMemory::new()).await;
    let ann = open(&one, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    link.cut(true);
    assert_eq!(told(&mut looker).await, "left ann lost");
    link.cut(false);
    assert_eq!(told(&mut looker).await, "joined ann happy");
    assert_eq!(present(&two).await, ["ann happy here"]);
    drop(ann);
    assert_eq!(told(&mut looker).await, "left ann left");
    hears_nothing(&mut looker, 60).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_leaves_in_an_outage_is_gone() {
    let (link, one, _two, mut looker) = two_nodes(&InMemory::new()).await;
    let ann = open(&one, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    link.cut(true);
    drop(ann);
    sleep(Duration::from_secs(3)).await;
    link.cut(false);
    assert_eq!(told(&mut looker).await, "left ann left");
    hears_nothing(&mut looker, 60).await;
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_store_gives_an_old_list_or_an_error() {
    let backplane = InMemory::new();
    let link = Cuttable::new(backplane.node());
    let one = node(link.clone()).await;
    let _ann = open(&one, "/rooms/tea/ann/happy").await;
    assert_eq!(present(&one).await, ["ann happy here"]);
    link.cut(true);
    sleep(Duration::from_secs(3)).await;
    let sse = one.sse_service();
    let old = sse.present("room:tea").await.unwrap();
    assert_eq!(listed(&old), ["ann happy here"]);
    assert_eq!(old.age(), Some(Duration::from_secs(3)));
    let unknown = sse.present("room:milk").await;
    assert!(
        matches!(unknown, Err(SseError::Backplane(_))),
        "{unknown:?}"
    );
    let stream = sse.create_connection();
    let error = stream.appear("room:tea", member("bob", "late")).await;
    assert!(matches!(error, Err(SseError::Backplane(_))), "{error:?}");
    // Nor does an update that failed count.
    for client in sse.clients() {
        let error = client.appear("room:tea", member("ann", "sad")).await;
        assert!(matches!(error, Err(SseError::Backplane(_))), "{error:?}");
    }
    link.cut(false);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(
        present(&one).await,
        ["ann happy here"],
        "who failed to appear does not"
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_that_its_node_cannot_announce_is_announced_later() {
    let (link, one, _two, mut looker) = two_nodes(&InMemory::new()).await;
    link.mute(true);
    let _ann = open(&one, "/rooms/tea/ann/happy").await;
    hears_nothing(&mut looker, 12).await;
    link.mute(false);
    assert_eq!(told(&mut looker).await, "joined ann happy");

    link.mute(true);
    let bob = open(&one, "/rooms/tea/bob/calm").await;
    link.cut(true);
    let before = tokio::time::Instant::now();
    // Another node announces what this one could not. Then it reports bob and ann as lost with the node.
    let mut news = Vec::new();
    for _ in 0..3 {
        news.push(told(&mut looker).await);
    }
    news.sort();
    assert_eq!(news, ["joined bob calm", "left ann lost", "left bob lost"]);
    assert!(before.elapsed() >= Duration::from_secs(10));
    drop(bob);
    hears_nothing(&mut looker, 60).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_update_keeps_the_earlier_data() {
    let backplane = InMemory::new();
    let link = Cuttable::new(backplane.node());
    let one = node(link.clone()).await;
    let _ann = open(&one, "/rooms/tea/ann/happy").await;
    let client = one.sse_service().clients().remove(0);
    link.lose_answers(true);
    let error = client.appear("room:tea", member("ann", "sad")).await;
    assert!(matches!(error, Err(SseError::Backplane(_))), "{error:?}");
    link.lose_answers(false);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(present(&one).await, ["ann happy here"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_with_a_lost_response_is_still_announced() {
    let (link, one, _two, mut looker) = two_nodes(&InMemory::new()).await;
    let ann = open(&one, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    link.lose_answers(true);
    drop(ann);
    sleep(Duration::from_secs(1)).await;
    link.lose_answers(false);
    assert_eq!(told(&mut looker).await, "left ann left");
    hears_nothing(&mut looker, 60).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_cut_off_changes_no_newer_data() {
    let (link, one, two, mut looker) = two_nodes(&InMemory::new()).await;
    let _ann = open(&one, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    let _again = open(&two, "/rooms/tea/ann/sad").await;
    assert_eq!(told(&mut looker).await, "updated ann sad");
    link.cut(true);
    hears_nothing(&mut looker, 30).await;
    link.cut(false);
    hears_nothing(&mut looker, 30).await;
    assert_eq!(present(&one).await, ["ann sad here"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_return_leaves_the_grace_as_it_was() {
    let (link, one, _two, mut looker) = two_nodes(&InMemory::new()).await;
    let ann = open(&one, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    drop(ann);
    let since = tokio::time::Instant::now();
    sleep(Duration::from_secs(1)).await;
    link.lose_answers(true);
    let stream = one.sse_service().create_connection();
    let error = stream.appear("room:tea", member("ann", "happy")).await;
    assert!(matches!(error, Err(SseError::Backplane(_))), "{error:?}");
    link.lose_answers(false);
    assert_eq!(told(&mut looker).await, "left ann left");
    assert!(since.elapsed() >= Duration::from_secs(9), "{since:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_backplane_delays_a_change_and_no_others() {
    let (link, one, _two, mut looker) = two_nodes(&InMemory::new()).await;
    link.mute(true);
    let _members = [
        open(&one, "/rooms/tea/ann/happy").await,
        open(&one, "/rooms/tea/bob/calm").await,
        open(&one, "/rooms/tea/cy/calm").await,
    ];
    link.mute(false);
    link.panics.store(true, Ordering::SeqCst);
    let mut news = Vec::new();
    for _ in 0..3 {
        news.push(told(&mut looker).await);
    }
    news.sort();
    assert_eq!(
        news,
        ["joined ann happy", "joined bob calm", "joined cy calm"]
    );
    hears_nothing(&mut looker, 30).await;
}
