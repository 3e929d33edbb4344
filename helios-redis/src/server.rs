//! A connection to one server, and what it says of itself.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, InfoDict, PushInfo, RedisError, Value};
use tokio::sync::mpsc::UnboundedSender;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may take. The hub waits no longer either.
const ANSWER: Duration = Duration::from_secs(5);

/// A server that can be asked, as far as it was when it was looked at.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) connection: MultiplexedConnection,
    /// The run of the server: a sequence is bound to it.
    pub(crate) run: String,
}

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("Redis cannot be reached")]
    Unreachable(#[source] RedisError),
    #[error("Redis {0} is too old: version 7 is needed, for sharded channels")]
    TooOld(String),
    #[error("this Redis is a replica: publish to its primary")]
    Replica,
    #[error(
        "`maxmemory-policy` is `{0}`: set it to `noeviction`, or Redis drops what it has promised to keep"
    )]
    Evicts(String),
}

/// Connects, with all that is pushed going to `pushes`, in order, behind each other and between the answers.
pub(crate) async fn connect(
    client: &Client,
    pushes: UnboundedSender<PushInfo>,
) -> Result<Server, ServerError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
        .set_push_sender(pushes);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = connecting.await.map_err(ServerError::Unreachable)?;
    let run = check(&mut connection).await?;
    Ok(Server { connection, run })
}

/// Returns the run of a server that can be used.
async fn check(connection: &mut MultiplexedConnection) -> Result<String, ServerError> {
    let mut info = redis::cmd("INFO");
    info.arg("server").arg("replication");
    let info: InfoDict = info
        .query_async(connection)
        .await
        .map_err(ServerError::Unreachable)?;
    let version: String = info.get("redis_version").unwrap_or_default();
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < 7) {
        return Err(ServerError::TooOld(version));
    }
    if info
        .get::<String>("role")
        .is_some_and(|role| role != "master")
    {
        return Err(ServerError::Replica);
    }
    if let Some(policy) = policy(connection).await
        && policy != "noeviction"
    {
        return Err(ServerError::Evicts(policy));
    }
    Ok(info.get("run_id").unwrap_or_default())
}

/// What is dropped when memory is full. `None` where that may not be asked.
async fn policy(connection: &mut MultiplexedConnection) -> Option<String> {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg("maxmemory-policy");
    let answer: Value = ask.query_async(connection).await.ok()?;
    let pairs: Vec<(String, String)> = redis::from_redis_value(answer).ok()?;
    pairs.into_iter().map(|(_, policy)| policy).next()
}
