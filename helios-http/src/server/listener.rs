//! What a server can listen on.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A source of connections: a TCP listener, a Unix one, or one of your own for `Helios::listen_on`.
///
/// ```
/// use std::{io, net::SocketAddr};
///
/// use helios::Listener;
/// use tokio::net::{TcpListener, TcpStream};
///
/// /// Drops who does not come from this machine.
/// struct Local(TcpListener);
///
/// impl Listener for Local {
///     type Io = TcpStream;
///
///     async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
///         loop {
///             let (io, addr) = Listener::accept(&self.0).await?;
///             if addr.is_some_and(|addr| addr.ip().is_loopback()) {
///                 return Ok((io, addr));
///             }
///         }
///     }
///
///     fn address(&self) -> io::Result<String> {
///         self.0.address()
///     }
/// }
/// ```
pub trait Listener: Send + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and the address of its other end if it has one. It has to be cancel-safe: at shutdown the
    /// future is dropped.
    ///
    /// # Errors
    ///
    /// The operating system's. One that concerns a single connection is passed over; any other is logged, and the next
    /// connection is asked for after 50 ms.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>)>> + Send;

    /// Where it listens, for people.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn address(&self) -> io::Result<String>;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    /// Without `TCP_NODELAY` an event would wait for the acknowledgement of the one before it.
    async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, addr) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, Some(addr)))
    }

    fn address(&self) -> io::Result<String> {
        Ok(format!("http://{}", self.local_addr()?))
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<(Self::Io, Option<SocketAddr>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, None))
    }

    fn address(&self) -> io::Result<String> {
        let addr = self.local_addr()?;
        Ok(match addr.as_pathname() {
            Some(path) => format!("unix:{}", path.display()),
            None => "an unnamed Unix socket".to_owned(),
        })
    }
}
