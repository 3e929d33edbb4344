//! Finds the server that takes writes: by its address, by Sentinels, or by the slot of a cluster.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, RedisError, Value,
};

use crate::failure::with_causes;

/// How long a Sentinel or a node of a cluster may take to connect and to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The way to the server.
#[derive(Clone)]
pub(crate) enum Place {
    Url(String),
    /// The Sentinels know the primary with this name.
    Sentinels {
        sentinels: Vec<String>,
        primary: String,
    },
    /// The nodes know which of them has the slot.
    Cluster {
        nodes: Vec<String>,
    },
}

/// Credentials and encryption of a link.
#[derive(Clone, Default)]
pub(crate) struct Access {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) is_encrypted: bool,
    pub(crate) root_certificate: Option<Vec<u8>>,
}

/// The reason why no server is found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// The message does not repeat the address, which may hold a password.
    #[error(
        "an address of Redis cannot be read: write `redis://user:password@host:port/db`, or `host:port`"
    )]
    Address,
    #[error(
        "`rediss://` needs the feature `redis-tls` of helios-rs: `cargo add helios-rs --features redis-tls`"
    )]
    NoTls,
    #[cfg(feature = "tls")]
    #[error("the certificate of Redis cannot be read: give it as PEM")]
    Certificate,
    #[error("no Sentinel can be reached ({0})")]
    NoSentinel(String),
    #[error("no Sentinel knows the primary `{name}`: look at `sentinel monitor` ({said})")]
    NoPrimary { name: String, said: String },
    #[error("no node of the cluster can say where its slots are ({0})")]
    NoCluster(String),
}

impl PlaceError {
    /// Returns whether waiting does not help.
    pub(crate) const fn is_final(&self) -> bool {
        match self {
            Self::Address | Self::NoTls => true,
            #[cfg(feature = "tls")]
            Self::Certificate => true,
            Self::NoSentinel(_) | Self::NoPrimary { .. } | Self::NoCluster(_) => false,
        }
    }
}

impl Place {
    /// Checks all addresses before anything is connected to, and returns the number of the database.
    pub(crate) fn check(&self, access: &Access) -> Result<i64, PlaceError> {
        match self {
            Self::Url(url) => Ok(access.to(url)?.redis_settings().db()),
            Self::Sentinels { sentinels, .. } => access.check_all(sentinels),
            Self::Cluster { nodes } => access.check_all(nodes),
        }
    }

    /// Returns a client of the server that has this key now.
    pub(crate) async fn find(&self, access: &Access, key: &str) -> Result<Client, PlaceError> {
        match self {
            Self::Url(url) => access.client(access.to(url)?),
            Self::Sentinels { sentinels, primary } => {
                let addr = ask_sentinels(access, sentinels, primary).await?;
                // The address of a Sentinel says nothing about the primary.
                let info = access.to("localhost")?;
                access.client(with_addr(info, addr))
            }
            Self::Cluster { nodes } => {
                let (node, addr) = ask_cluster(access, nodes, key).await?;
                // All nodes have the same users, and all or none are encrypted.
                access.client(with_addr(access.to(node)?, addr))
            }
        }
    }
}

impl Access {
    fn check_all(&self, addresses: &[String]) -> Result<i64, PlaceError> {
        if addresses.is_empty() {
            return Err(PlaceError::Address);
        }
        for address in addresses {
            self.to(address)?;
        }
        Ok(0)
    }

    /// Returns the settings for a link to this address.
    fn to(&self, address: &str) -> Result<ConnectionInfo, PlaceError> {
        let url = match address.contains("://") {
            true => address.to_owned(),
            false => format!("{}://{address}", self.scheme()),
        };
        let has_certificate = self.root_certificate.is_some();
        if !cfg!(feature = "tls")
            && (has_certificate || url.starts_with("rediss:") || url.starts_with("valkeys:"))
        {
            return Err(PlaceError::NoTls);
        }
        let info = url
            .into_connection_info()
            .map_err(|_| PlaceError::Address)?;
        let mut settings = info.redis_settings().clone();
        // Only this version delivers events between answers.
        settings = settings.set_protocol(ProtocolVersion::RESP3);
        if let (Some(user), None) = (&self.user, settings.username()) {
            settings = settings.set_username(user);
        }
        if let (Some(password), None) = (&self.password, settings.password()) {
            settings = settings.set_password(password);
        }
        let tcp = TcpSettings::default().set_nodelay(true);
        Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
    }

    const fn scheme(&self) -> &'static str {
        match self.is_encrypted {
            true => "rediss",
            false => "redis",
        }
    }

    #[cfg(feature = "tls")]
    fn client(&self, info: ConnectionInfo) -> Result<Client, PlaceError> {
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Client::open(info).map_err(|_| PlaceError::Address);
        }
        // This changes nothing if the app has chosen a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Some(root) = &self.root_certificate else {
            return Client::open(info).map_err(|_| PlaceError::Address);
        };
        // Without a certificate in the text, `redis` would trust no server.
        if !String::from_utf8_lossy(root).contains("BEGIN CERTIFICATE") {
            return Err(PlaceError::Certificate);
        }
        let certificates = redis::TlsCertificates {
            client_tls: None,
            root_cert: Some(root.clone()),
        };
        Client::build_with_tls(info, certificates).map_err(|_| PlaceError::Certificate)
    }

    #[cfg(not(feature = "tls"))]
    fn client(&self, info: ConnectionInfo) -> Result<Client, PlaceError> {
        Client::open(info).map_err(|_| PlaceError::Address)
    }

    /// Asks a Sentinel or a node of a cluster. Returns the reason as text if it does not answer in time.
    async fn ask<T>(
        &self,
        address: &str,
        question: impl AsyncFnOnce(redis::aio::MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, String> {
        let said = |error: &(dyn std::error::Error + 'static)| with_causes(error);
        let info = self.to(address).map_err(|error| said(&error))?;
        let client = self.client(info).map_err(|error| said(&error))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let asked = async {
            let connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            question(connection).await
        };
        asked.await.map_err(|error: RedisError| said(&error))
    }
}

/// Returns the settings for a link to another server, which a Sentinel or a node has named.
fn with_addr(info: ConnectionInfo, (host, port): (String, u16)) -> ConnectionInfo {
    let addr = match info.addr() {
        ConnectionAddr::TcpTls { insecure, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: None,
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.set_addr(addr)
}

/// Returns the address of the primary. The Sentinel with the newest configuration decides, since one that was cut off may be behind.
async fn ask_sentinels(
    access: &Access,
    sentinels: &[String],
    name: &str,
) -> Result<(String, u16), PlaceError> {
    let answers = join_all(sentinels.iter().map(|sentinel| {
        // The password of a Sentinel is in its address. It is not that of the primary.
        let access = Access {
            user: None,
            password: None,
            ..access.clone()
        };
        async move {
            let ask = async |mut connection: redis::aio::MultiplexedConnection| {
                let mut ask = redis::cmd("SENTINEL");
                ask.arg("MASTER").arg(name);
                // A Sentinel answers with an error if it does not know the name.
                match ask
                    .query_async::<HashMap<String, String>>(&mut connection)
                    .await
                {
                    Ok(primary) => Ok(Ok(primary)),
                    Err(error) if error.code().is_some() => Ok(Err(with_causes(&error))),
                    Err(error) => Err(error),
                }
            };
            access.ask(sentinel, ask).await
        }
    }))
    .await;
    let mut failed = Vec::new();
    let mut unknown = Vec::new();
    let mut newest: Option<(u64, (String, u16))> = None;
    for answer in answers {
        match answer {
            Ok(Ok(primary)) => {
                let field = |name: &str| primary.get(name).map(String::as_str);
                let epoch = field("config-epoch").and_then(|epoch| epoch.parse().ok());
                let epoch: u64 = epoch.unwrap_or_default();
                let port = field("port").and_then(|port| port.parse().ok());
                if let (Some(host), Some(port)) = (field("ip"), port)
                    && newest.as_ref().is_none_or(|(known, _)| *known < epoch)
                {
                    newest = Some((epoch, (host.to_owned(), port)));
                }
            }
            Ok(Err(said)) => unknown.push(said),
            Err(said) => failed.push(said),
        }
    }
    match (newest, unknown.is_empty()) {
        (Some((_, addr)), _) => Ok(addr),
        (None, true) => Err(PlaceError::NoSentinel(failed.join("; "))),
        (None, false) => Err(PlaceError::NoPrimary {
            name: name.to_owned(),
            said: unknown.join("; "),
        }),
    }
}

/// Returns the address of the node that has the slot of this key, and the node that has said so. The one with the newest configuration
/// decides.
async fn ask_cluster<'a>(
    access: &Access,
    nodes: &'a [String],
    key: &str,
) -> Result<(&'a str, (String, u16)), PlaceError> {
    let answers = join_all(nodes.iter().map(|node| async move {
        let ask = async |mut connection: redis::aio::MultiplexedConnection| {
            let mut ask = redis::pipe();
            ask.cmd("CLUSTER").arg("KEYSLOT").arg(key);
            ask.cmd("CLUSTER").arg("INFO");
            ask.cmd("CLUSTER").arg("SLOTS");
            ask.query_async::<(i64, String, Value)>(&mut connection)
                .await
        };
        let (slot, info, slots) = access.ask(node, ask).await?;
        if !info.contains("cluster_state:ok") {
            return Err("the cluster is down".to_owned());
        }
        let (_, epoch) = info
            .split_once("cluster_current_epoch:")
            .unwrap_or_default();
        let epoch = epoch.split_ascii_whitespace().next();
        let epoch: u64 = epoch.and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        let (host, port) = node_of(slots, slot).ok_or("nobody has the slot")?;
        let host = match host.is_empty() {
            // An empty host is the one that was asked.
            true => host_of(access, node),
            false => host,
        };
        Ok((epoch, node.as_str(), (host, port)))
    }))
    .await;
    let (answers, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let newest = answers
        .into_iter()
        .flatten()
        .max_by_key(|(epoch, ..)| *epoch);
    let said = || {
        failed
            .into_iter()
            .filter_map(Result::err)
            .collect::<Vec<_>>()
    };
    newest
        .map(|(_, node, addr)| (node, addr))
        .ok_or_else(|| PlaceError::NoCluster(said().join("; ")))
}

fn host_of(access: &Access, address: &str) -> String {
    match access.to(address).map(|info| info.addr().clone()) {
        Ok(ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }) => host,
        _ => String::new(),
    }
}

/// Returns the primary of a slot from the answer to `CLUSTER SLOTS`. It has ranges of (first, last, primary, replicas), and a node begins
/// with its host and port.
fn node_of(slots: Value, slot: i64) -> Option<(String, u16)> {
    let Value::Array(ranges) = slots else {
        return None;
    };
    ranges.into_iter().find_map(|range| {
        let Value::Array(range) = range else {
            return None;
        };
        let [Value::Int(first), Value::Int(last), Value::Array(node), ..] = &range[..] else {
            return None;
        };
        if !(*first..=*last).contains(&slot) {
            return None;
        }
        let [host, Value::Int(port), ..] = &node[..] else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
            Value::SimpleString(host) => host.clone(),
            _ => String::new(),
        };
        Some((host, u16::try_from(*port).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            user: Some("shop".to_owned()),
            password: Some("secret".to_owned()),
            ..Access::default()
        }
    }

    #[test]
    fn an_address_with_a_user_overrides_the_common_user() {
        let info = access().to("redis://a:b@host:7/3").unwrap();
        let settings = info.redis_settings();
        assert_eq!(
            (settings.username(), settings.password(), settings.db()),
            (Some("a"), Some("b"), 3)
        );
        let info = access().to("host:7").unwrap();
        assert_eq!(info.redis_settings().password(), Some("secret"));
        assert_eq!(info.addr(), &ConnectionAddr::Tcp("host".to_owned(), 7));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn another_node_is_reached_as_the_one_that_has_named_it() {
        let info = access().to("rediss://a:b@host:7").unwrap();
        let info = with_addr(info, ("other".to_owned(), 8));
        let encrypted = ConnectionAddr::TcpTls {
            host: "other".to_owned(),
            port: 8,
            insecure: false,
            tls_params: None,
        };
        assert_eq!(info.addr(), &encrypted);
        assert_eq!(info.redis_settings().password(), Some("b"));
    }

    #[test]
    fn an_address_that_cannot_be_read_is_not_repeated() {
        let place = Place::Url("redis://:geheim@[".to_owned());
        let error = place.check(&Access::default()).unwrap_err();
        assert!(error.is_final() && !format!("{error} {error:?}").contains("geheim"));
    }

    #[test]
    fn the_primary_of_a_slot_is_found_among_the_ranges() {
        let node = |host: &str, port| {
            Value::Array(vec![
                Value::BulkString(host.as_bytes().to_vec()),
                Value::Int(port),
            ])
        };
        let range =
            |first, last, node| Value::Array(vec![Value::Int(first), Value::Int(last), node]);
        let slots = Value::Array(vec![
            range(0, 99, node("a", 1)),
            range(100, 200, node("", 2)),
        ]);
        assert_eq!(node_of(slots.clone(), 99), Some(("a".to_owned(), 1)));
        assert_eq!(node_of(slots.clone(), 100), Some((String::new(), 2)));
        assert_eq!(node_of(slots, 201), None);
    }
}
