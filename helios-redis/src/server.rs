//! Connects to one server and checks its version, role and settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, InfoDict, PushInfo, PushKind, RedisError, Value,
};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use crate::place::PlaceError;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may take. The hub does not wait longer either.
const ANSWER: Duration = Duration::from_secs(5);

/// The largest number of bytes that were pushed and not handed over yet. The hub never blocks, so only a stuck machine has more.
const MOST_PUSHED: usize = 64 << 20;

/// Redis' default limits on the buffer of a listener: the hard one, and the one that counts after a minute.
const BUFFER: (u64, u64) = (32 << 20, 8 << 20);

/// The connections to a server that passed all checks.
#[derive(Clone)]
pub(crate) struct Server {
    /// Receives published events. It sends nothing but subscriptions and pings, since Redis drops a listener whose answers are too long.
    pub(crate) listener: MultiplexedConnection,
    /// Carries everything else.
    pub(crate) questions: MultiplexedConnection,
    /// The run of the server, to which a sequence is bound.
    pub(crate) run: String,
    /// The ids of both connections at the server.
    pub(crate) ids: [u64; 2],
    pub(crate) doubts: Arc<Doubts>,
}

/// Reasons to give up the connections to a server, found by the callers. They are over with the connections.
#[derive(Default)]
pub(crate) struct Doubts {
    /// Signalled when another server has to be asked.
    pub(crate) left: Notify,
    /// Signalled when one of the connections carries nothing any more.
    pub(crate) half_open: Notify,
    /// The number of questions in a row without an answer.
    pub(crate) unanswered: AtomicU32,
}

/// The reason why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("Redis cannot be reached")]
    Unreachable(#[source] RedisError),
    #[error("Redis refuses the user or the password")]
    Password(#[source] RedisError),
    #[error("this Redis cannot be used: version 7 is needed, for sharded channels, or Valkey")]
    Unusable(#[source] RedisError),
    #[error("Redis {0} is too old: version 7 is needed, for sharded channels, or Valkey")]
    TooOld(String),
    #[error(
        "this Redis is a replica: name its primary, or let Sentinels or the cluster find it (`Redis::sentinel`, `Redis::cluster`)"
    )]
    Replica(String),
    #[error("Redis does not say which run it is: let its user call `INFO`")]
    NoRun,
    #[error("two connections to one address have reached two servers")]
    Two,
    #[error(
        "`maxmemory-policy` is `{0}`: set it to `noeviction`, or Redis drops what it has promised to keep"
    )]
    Evicts(String),
}

impl ServerError {
    /// Returns whether waiting does not help, since the setup has to be changed.
    pub(crate) const fn is_final(&self) -> bool {
        match self {
            Self::Place(error) => error.is_final(),
            Self::Unreachable(_) | Self::Two | Self::Replica(_) => false,
            _ => true,
        }
    }

    fn of(error: RedisError) -> Self {
        match (error.kind(), error.code()) {
            (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => {
                Self::Password(error)
            }
            (ErrorKind::RESP3NotSupported, _) => Self::Unusable(error),
            _ => Self::Unreachable(error),
        }
    }
}

/// All pushes of both connections, in order.
pub(crate) struct Pushes {
    queue: UnboundedReceiver<PushInfo>,
    room: Arc<Room>,
}

struct Room {
    taken: AtomicUsize,
    overflow: CancellationToken,
}

impl Pushes {
    /// Returns the next push. Returns `None` after the last one, or if there was no room for more.
    pub(crate) async fn next(&mut self) -> Option<PushInfo> {
        let push = tokio::select! {
            biased;
            () = self.room.overflow.cancelled() => return None,
            push = self.queue.recv() => push?,
        };
        self.room.taken.fetch_sub(size_of(&push), Ordering::AcqRel);
        Some(push)
    }

    fn new() -> (Sender, Self) {
        let (sender, queue) = mpsc::unbounded_channel();
        let room = Arc::new(Room {
            taken: AtomicUsize::new(0),
            overflow: CancellationToken::new(),
        });
        let pushes = Self {
            queue,
            room: Arc::clone(&room),
        };
        (Sender { sender, room }, pushes)
    }
}

#[derive(Clone)]
struct Sender {
    sender: UnboundedSender<PushInfo>,
    room: Arc<Room>,
}

impl Sender {
    fn send(&self, push: PushInfo) -> Result<(), ()> {
        // Nobody reads these, and a node with many topics receives one for each of them.
        if push.kind == PushKind::SSubscribe {
            return Ok(());
        }
        let size = size_of(&push);
        if self.room.taken.fetch_add(size, Ordering::AcqRel) > MOST_PUSHED {
            self.room.overflow.cancel();
            return Err(());
        }
        self.sender.send(push).map_err(drop)
    }
}

fn size_of(push: &PushInfo) -> usize {
    let data = push.data.iter();
    let bytes: usize = data
        .map(|value| match value {
            Value::BulkString(bytes) => bytes.len(),
            _ => 0,
        })
        .sum();
    bytes + 256
}

/// Connects to a server. The pushes of both connections, and the end of either, arrive in one queue.
pub(crate) async fn connect(client: &Client) -> Result<(Server, Pushes), ServerError> {
    let (sender, pushes) = Pushes::new();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
        .set_push_sender(move |push| sender.send(push));
    let connect = || async {
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.map_err(ServerError::of)?;
        let run = run_of(&mut connection).await?;
        let id = redis::cmd("CLIENT").arg("ID").to_owned();
        let id = id.query_async::<u64>(&mut connection).await;
        Ok::<_, ServerError>((connection, run, id.map_err(ServerError::of)?))
    };
    let (mut questions, run, first) = connect().await?;
    let (listener, again, second) = connect().await?;
    if again != run {
        return Err(ServerError::Two);
    }
    check_settings(&mut questions).await?;
    let server = Server {
        listener,
        questions,
        run,
        ids: [first, second],
        doubts: Arc::default(),
    };
    Ok((server, pushes))
}

/// Returns the run of a primary that can be used.
pub(crate) async fn run_of(connection: &mut MultiplexedConnection) -> Result<String, ServerError> {
    let mut info = redis::cmd("INFO");
    info.arg("server").arg("replication");
    let info = info.query_async::<InfoDict>(connection).await;
    let info = info.map_err(|error| match error.code() {
        Some("NOPERM") => ServerError::NoRun,
        _ => ServerError::of(error),
    })?;
    let version: String = info.get("redis_version").unwrap_or_default();
    let major = version.split('.').next();
    let major = major.and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < 7) {
        return Err(ServerError::TooOld(version));
    }
    let run = info.get::<String>("run_id").filter(|run| !run.is_empty());
    let run = run.ok_or(ServerError::NoRun)?;
    match info.get::<String>("role") {
        Some(role) if role != "master" => Err(ServerError::Replica(run)),
        _ => Ok(run),
    }
}

/// Checks the settings of a server, as far as the user may read them.
async fn check_settings(connection: &mut MultiplexedConnection) -> Result<(), ServerError> {
    if let Some(policy) = setting(connection, "maxmemory-policy").await
        && policy != "noeviction"
    {
        return Err(ServerError::Evicts(policy));
    }
    let limits = setting(connection, "client-output-buffer-limit").await;
    if let Some((at_once, lasting)) = limits.as_deref().and_then(limits_of_listeners)
        && (is_below(at_once, BUFFER.0) || is_below(lasting, BUFFER.1))
    {
        tracing::warn!(
            at_once,
            lasting,
            "`client-output-buffer-limit pubsub` of Redis is small: a burst of events breaks the link, and they are fetched instead. \
             Its default is `32mb 8mb 60`"
        );
    }
    Ok(())
}

/// Compares two limits, where 0 is none.
const fn is_below(limit: u64, usual: u64) -> bool {
    limit != 0 && limit < usual
}

/// Returns the hard and the soft limit of listeners from a setting such as `normal 0 0 0 slave .. pubsub 33554432 8388608 60`.
fn limits_of_listeners(all: &str) -> Option<(u64, u64)> {
    let mut words = all.split_ascii_whitespace();
    words.find(|word| *word == "pubsub")?;
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

async fn setting(connection: &mut MultiplexedConnection, name: &str) -> Option<String> {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg(name);
    let answer = ask.query_async::<Vec<(String, String)>>(connection).await;
    answer.ok()?.pop().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_take_no_room() {
        let (sender, pushes) = Pushes::new();
        let push = |kind| PushInfo {
            kind,
            data: vec![Value::BulkString(vec![0; MOST_PUSHED])],
        };
        for _ in 0..3 {
            assert!(sender.send(push(PushKind::SSubscribe)).is_ok());
        }
        assert!(sender.send(push(PushKind::SMessage)).is_ok());
        assert!(sender.send(push(PushKind::SMessage)).is_err());
        assert!(pushes.room.overflow.is_cancelled());
    }

    #[test]
    fn the_limits_of_listeners_are_found_among_all() {
        let all = "normal 0 0 0 slave 268435456 67108864 60 pubsub 1048576 524288 60";
        assert_eq!(limits_of_listeners(all), Some((1 << 20, 1 << 19)));
        assert_eq!(limits_of_listeners("normal 0 0 0"), None);
        assert!(is_below(1, 2) && !is_below(0, 2) && !is_below(2, 2));
    }
}
