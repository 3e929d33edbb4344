//! Settings with which an app is served. The builder wins over the environment, then `#[server]`, then the defaults.

use std::env;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use crate::app::table::ServerTable;
use crate::error::Error;

pub(crate) struct Settings {
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    /// Used instead of host and port.
    #[cfg(unix)]
    pub(crate) unix_socket: Option<PathBuf>,
    #[cfg(unix)]
    pub(crate) unix_socket_mode: Option<u32>,
    pub(crate) body_limit: Option<usize>,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) drain_deadline: Option<Duration>,
    pub(crate) shutdown: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    pub(crate) banner: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: None,
            port: None,
            #[cfg(unix)]
            unix_socket: None,
            #[cfg(unix)]
            unix_socket_mode: None,
            body_limit: None,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            drain_deadline: None,
            shutdown: None,
            banner: true,
        }
    }
}

/// The default limit of a request body, in bytes.
const BODY_LIMIT: usize = 2 << 20;

impl Settings {
    pub(crate) fn body_limit(&self, table: &ServerTable) -> usize {
        self.body_limit.or(table.body_limit).unwrap_or(BODY_LIMIT)
    }

    /// Returns host and port. Those that the builder leaves open come from the environment, `#[server]`, or the
    /// defaults.
    pub(crate) fn address(&self, table: &ServerTable) -> Result<(String, u16), Error> {
        self.address_in(table, |name| env::var(name).ok())
    }

    /// Says what to change if an address cannot be listened on, or returns an empty string if that is not known. The
    /// builder wins over the environment, so a value set there must be changed there.
    pub(crate) fn advice(&self, failed: io::ErrorKind) -> &'static str {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
        match (failed, &self.port, &self.host) {
            (AddrInUse | PermissionDenied, None, _) => "set HELIOS_PORT to another port",
            (AddrInUse | PermissionDenied, Some(_), _) => "give `Helios::port` another port",
            (AddrNotAvailable, _, None) => "set HELIOS_HOST to an address of this machine",
            (AddrNotAvailable, _, Some(_)) => "give `Helios::host` an address of this machine",
            _ => "",
        }
    }

    fn address_in(
        &self,
        table: &ServerTable,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(String, u16), Error> {
        let host = self.host.clone().or_else(|| env("HELIOS_HOST"));
        let host = host.unwrap_or_else(|| table.host.unwrap_or("127.0.0.1").to_owned());
        let port = match (self.port, env("HELIOS_PORT")) {
            (Some(port), _) => port,
            (None, Some(text)) => text.parse().map_err(|_| Error::Setting {
                name: "HELIOS_PORT",
                value: text,
                expected: "a number from 0 to 65535",
            })?,
            (None, None) => table.port.unwrap_or(3000),
        };
        Ok((host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::PipelineTable;

    const TABLE: ServerTable = ServerTable {
        about: crate::__about!(),
        prefix: "",
        controllers: &[],
        pipeline: PipelineTable::EMPTY,
        body_limit: None,
        host: Some("::1"),
        port: Some(4000),
        sse: None,
    };

    fn env(name: &str) -> Option<String> {
        Some(
            if name == "HELIOS_PORT" {
                "5000"
            } else {
                "0.0.0.0"
            }
            .to_owned(),
        )
    }

    #[test]
    fn builder_over_environment_over_attribute_over_default() {
        let mut settings = Settings::default();
        let bare = ServerTable {
            host: None,
            port: None,
            ..TABLE
        };
        let address = |settings: &Settings, table, env: fn(&str) -> Option<String>| {
            settings.address_in(table, env).unwrap()
        };
        assert_eq!(
            address(&settings, &bare, |_| None),
            ("127.0.0.1".into(), 3000)
        );
        assert_eq!(address(&settings, &TABLE, |_| None), ("::1".into(), 4000));
        assert_eq!(address(&settings, &TABLE, env), ("0.0.0.0".into(), 5000));
        settings.port = Some(6000);
        assert_eq!(address(&settings, &TABLE, env), ("0.0.0.0".into(), 6000));
    }

    #[test]
    fn what_to_change_is_what_decides_the_address() {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, Other, PermissionDenied};
        let mut settings = Settings::default();
        assert!(settings.advice(AddrInUse).contains("HELIOS_PORT"));
        assert!(settings.advice(PermissionDenied).contains("HELIOS_PORT"));
        assert!(settings.advice(AddrNotAvailable).contains("HELIOS_HOST"));
        assert_eq!(settings.advice(Other), "");
        settings.port = Some(80);
        settings.host = Some("192.0.2.1".into());
        assert!(settings.advice(AddrInUse).contains("`Helios::port`"));
        assert!(settings.advice(AddrNotAvailable).contains("`Helios::host`"));
    }

    #[test]
    fn the_error_of_a_bad_port_names_the_variable() {
        let error = Settings::default().address_in(&TABLE, |_| Some("x".into()));
        assert!(error.unwrap_err().to_string().contains("HELIOS_PORT"));
    }
}
