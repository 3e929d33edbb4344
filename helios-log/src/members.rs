//! The members of topics. They are kept in memory, because all streams belong to this process. The store also records
//! what events have reported about members, because a topic's history outlives the process. A member that the last
//! process published, and that does not come back, is lost.
//!
//! A row is written before its change is published, and removed after the event that says that the member has left. So
//! there is a row for each member that a topic may consider present. A row too many is published as lost, which means
//! nothing to a topic that does not know the member.

use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime};

use helios_http::sse::backplane::{
    BackplaneError, BackplaneErrorKind, BoxFuture, Lease, LocalTables, MemberChange,
    MemberChangeKind, MemberRow, NodeId, PutAnswer, Tables,
};
use tokio::sync::oneshot;

use crate::error::too_long;
use crate::store::{Change, MEMBER, Store, StoreError, fits, member_key, names_of, numbers, pack};
use crate::writer::Message;

pub(crate) struct Members {
    tables: LocalTables,
    messages: Sender<Message>,
}

impl Members {
    pub(crate) fn new(messages: Sender<Message>) -> Self {
        Self {
            tables: LocalTables::new(),
            messages,
        }
    }

    /// Takes over the members that the last process published.
    pub(crate) fn restore(&self, store: &Store) -> Result<(), StoreError> {
        for row in store.all(MEMBER) {
            let (key, value) = row?;
            if key.first() != Some(&MEMBER) {
                continue;
            }
            let (topic, key) = names_of(&key)?;
            let ([since], data) = numbers(&value)?;
            let since = SystemTime::UNIX_EPOCH + Duration::from_millis(since);
            let data = String::from_utf8_lossy(data);
            self.tables.restore(topic, key, &data, since);
        }
        Ok(())
    }

    /// Writes down a change that is about to be published.
    async fn note(&self, change: Option<&MemberChange>) -> Result<(), BackplaneError> {
        let Some(change) = change else {
            return Ok(());
        };
        let (MemberChangeKind::Joined { data, since } | MemberChangeKind::Updated { data, since }) =
            &change.kind
        else {
            return Ok(());
        };
        let since = since.duration_since(SystemTime::UNIX_EPOCH);
        let since = since.unwrap_or_default().as_millis() as u64;
        let key = member_key(&change.topic, &change.key);
        self.write((key, Some(pack(&[since], data.as_bytes()))))
            .await
    }

    async fn write(&self, row: Change) -> Result<(), BackplaneError> {
        let down = || BackplaneError::from(BackplaneErrorKind::Down);
        let (answer, answered) = oneshot::channel();
        let sent = self.messages.send(Message::Note(row, answer));
        sent.map_err(|_| down())?;
        answered.await.unwrap_or_else(|_| Err(down()))
    }
}

impl Tables for Members {
    fn lease(
        &self,
        node: NodeId,
        incarnation: Option<u64>,
    ) -> BoxFuture<'_, Result<Lease, BackplaneError>> {
        self.tables.lease(node, incarnation)
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
        Box::pin(async move {
            if !fits(topic, key) {
                return Err(too_long());
            }
            let answer = self
                .tables
                .put(lease, topic, key, data, is_new, most)
                .await?;
            if let PutAnswer::Kept(change) = &answer {
                self.note(change.as_ref()).await?;
            }
            Ok(answer)
        })
    }

    fn remove<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        grace: Option<Duration>,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        Box::pin(async move {
            let change = self.tables.remove(lease, topic, key, grace).await?;
            self.note(change.as_ref()).await?;
            Ok(change)
        })
    }

    fn told<'a>(
        &'a self,
        lease: Lease,
        change: &'a MemberChange,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        Box::pin(async move {
            // A repeated call removes nothing, because the member may have joined again since.
            let is_first = self.tables.is_publisher(lease, change);
            if is_first && let MemberChangeKind::Left { .. } = change.kind {
                // The row is removed before the next change is written in its place.
                let key = member_key(&change.topic, &change.key);
                self.write((key, None)).await?;
            }
            let next = self.tables.told(lease, change).await?;
            self.note(next.as_ref()).await?;
            Ok(next)
        })
    }

    fn read<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<MemberRow>, BackplaneError>> {
        self.tables.read(topic)
    }

    fn reap(&self, lease: Lease) -> BoxFuture<'_, Result<Vec<MemberChange>, BackplaneError>> {
        Box::pin(async move {
            let changes = self.tables.reap(lease).await?;
            for change in &changes {
                self.note(Some(change)).await?;
            }
            Ok(changes)
        })
    }
}
