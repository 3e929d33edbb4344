//! Keeps the members of topics in Redis. One script does it (`scripts/members.lua`), by the rules of `helios_core::presence::table`.
//!
//! # When Redis loses something
//!
//! The members are bound to the sequence and to the run of the server. When either changes, all earlier leases stop counting. Every node
//! gets a new lease and puts its rows again. The earlier rows stay for the length of a lease, so a member whose node lives is neither
//! lost nor joins again. It is the same after a time in which no node could renew its lease, as when Redis stood still, and when the
//! clock of Redis was set.
//!
//! Until then a row may be missing. So [`Tables::read`] fails for the length of a lease, and the hub returns an older list with its age.
//! The script knows that something was lost when a node calls with an id of an earlier sequence (`torn` in `scripts/sequence.lua`). A
//! Redis that is empty because it is new answers at once.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use helios_core::backplane::BackplaneError;
use helios_core::presence::MemberStatus;
use helios_core::presence::table::{Lease, MemberChange, MemberChangeKind, MemberRow, PutAnswer};
use helios_core::sse::NodeId;
use helios_http::sse::backplane::{BoxFuture, Tables};
use redis::{Script, Value};

use crate::failure::down;
use crate::link::{Link, bytes_of, number_of};

/// The largest number of changes that are handed out at once.
const MOST: &str = "256";

/// Scripts do not round numbers up to this one.
const LARGEST: u64 = 1 << 52;

const SCRIPT: &str = concat!(
    include_str!("scripts/sequence.lua"),
    include_str!("scripts/members.lua")
);

pub(crate) struct Members {
    script: Script,
    link: OnceLock<Arc<Link>>,
}

impl Members {
    pub(crate) fn new() -> Self {
        Self {
            script: Script::new(SCRIPT),
            link: OnceLock::new(),
        }
    }

    /// Sets the link.
    pub(crate) fn start(&self, link: &Arc<Link>) {
        // The hub starts a backplane once.
        let _ = self.link.set(Arc::clone(link));
    }

    /// Calls the script with a verb and its arguments, and reads the answer.
    async fn ask<T>(
        &self,
        arguments: &[&str],
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, BackplaneError> {
        let link = self.link.get().ok_or_else(|| down("it is not started"))?;
        let server = link.server()?;
        let mut call = link.of_sequence(&self.script, &server);
        call.arg(&server.run).arg(arguments);
        for key in link.keys.members() {
            call.key(key);
        }
        let mut connection = server.questions.clone();
        let answer = call.invoke_async::<Value>(&mut connection).await;
        let answer = answer.map_err(|error| link.not_answered(&server, error))?;
        read(answer).ok_or_else(|| down("Redis has answered what no script of this version gives"))
    }
}

impl Tables for Members {
    fn lease(
        &self,
        node: NodeId,
        incarnation: Option<u64>,
    ) -> BoxFuture<'_, Result<Lease, BackplaneError>> {
        Box::pin(async move {
            let known = incarnation.filter(|number| *number < LARGEST);
            let (node_text, known) = (node.to_string(), known.unwrap_or_default().to_string());
            let read = |answer| list(answer)?.next().as_ref().and_then(number_of);
            let incarnation = self.ask(&["lease", &node_text, &known], read).await?;
            Ok(Lease::new(node, incarnation))
        })
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
            let (lease, most) = (name_of(lease), most.to_string());
            let is_new = if is_new { "1" } else { "0" };
            let arguments = ["put", &lease, topic, key, data, is_new, &most];
            self.ask(&arguments, put_answer).await
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
            let micros = |grace: Duration| u64::try_from(grace.as_micros()).unwrap_or(u64::MAX);
            let grace = grace.map(|grace| micros(grace).min(LARGEST).to_string());
            let (lease, grace) = (name_of(lease), grace.unwrap_or_default());
            let arguments = ["remove", &lease, topic, key, &grace];
            Ok(self.ask(&arguments, changes).await?.pop())
        })
    }

    fn told<'a>(
        &'a self,
        lease: Lease,
        change: &'a MemberChange,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        Box::pin(async move {
            let (lease, version) = (name_of(lease), change.version.to_string());
            let arguments = ["told", &lease, &change.topic, &change.key, &version];
            Ok(self.ask(&arguments, changes).await?.pop())
        })
    }

    fn read<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<MemberRow>, BackplaneError>> {
        Box::pin(async move {
            let rows = self.ask(&["read", topic], rows).await?;
            rows.ok_or_else(|| down("Redis has lost members, and the servers put them again"))
        })
    }

    fn reap(&self, lease: Lease) -> BoxFuture<'_, Result<Vec<MemberChange>, BackplaneError>> {
        Box::pin(async move {
            let lease = name_of(lease);
            self.ask(&["reap", &lease, MOST], changes).await
        })
    }
}

/// Returns the name of a lease. Its incarnation comes first, so names sort by age.
fn name_of(lease: Lease) -> String {
    format!("{}-{}", lease.incarnation, lease.node)
}

fn list(answer: Value) -> Option<impl Iterator<Item = Value>> {
    match answer {
        Value::Array(values) => Some(values.into_iter()),
        _ => None,
    }
}

fn put_answer(answer: Value) -> Option<PutAnswer> {
    let mut answer = list(answer)?;
    match answer.next()? {
        Value::Int(1) => match answer.next() {
            Some(kept) => Some(PutAnswer::Kept(Some(change(kept)?))),
            None => Some(PutAnswer::Kept(None)),
        },
        Value::Int(0) => Some(PutAnswer::LeaseLost),
        Value::Int(-1) => Some(PutAnswer::TooMany),
        _ => None,
    }
}

fn changes(answer: Value) -> Option<Vec<MemberChange>> {
    list(answer)?.map(change).collect()
}

fn change(answer: Value) -> Option<MemberChange> {
    let mut parts = list(answer)?;
    let (topic, key) = (text(parts.next()?)?, text(parts.next()?)?);
    let version = number_of(&parts.next()?)?;
    let kind = text(parts.next()?)?;
    let (data, since) = (text(parts.next()?)?.into(), time(parts.next()?)?);
    let kind = match &*kind {
        "joined" => MemberChangeKind::Joined { data, since },
        "updated" => MemberChangeKind::Updated { data, since },
        "left" => MemberChangeKind::Left { is_lost: false },
        "lost" => MemberChangeKind::Left { is_lost: true },
        _ => return None,
    };
    Some(MemberChange::new(&topic, &key, version, kind))
}

/// Returns `Some(None)` if rows may be missing, and `None` if no script has written the answer.
fn rows(answer: Value) -> Option<Option<Vec<MemberRow>>> {
    match answer {
        Value::Int(-1) => Some(None),
        answer => list(answer)?.map(row).collect::<Option<Vec<_>>>().map(Some),
    }
}

fn row(answer: Value) -> Option<MemberRow> {
    let mut parts = list(answer)?;
    let (key, data) = (text(parts.next()?)?, text(parts.next()?)?);
    let since = time(parts.next()?)?;
    let status = text(parts.next()?)?;
    let at = time(parts.next()?)?;
    let status = match &*status {
        "here" => MemberStatus::Here,
        "away" => MemberStatus::Away { since: at },
        "unconfirmed" => MemberStatus::Unconfirmed { since: at },
        _ => return None,
    };
    Some(MemberRow::new(&key, &data, since, status))
}

fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes_of(value)?.to_vec()).ok()
}

/// Reads microseconds since 1970.
fn time(value: Value) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(number_of(&value)?))
}

#[cfg(test)]
mod tests;
