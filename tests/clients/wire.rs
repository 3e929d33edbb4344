//! The network between a client and a server, which fails on request.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) struct Wire {
    /// The address to which clients connect.
    pub(crate) door: SocketAddr,
    faults: Faults,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Faults {
    up: watch::Sender<bool>,
    /// Ends the connection directly after these bytes, once.
    end_behind: Arc<Mutex<Option<&'static str>>>,
}

impl Wire {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = listener.local_addr().unwrap();
        let faults = Faults {
            up: watch::Sender::new(true),
            end_behind: Arc::default(),
        };
        let task = tokio::spawn(accept(listener, server, faults.clone()));
        Self { door, faults, task }
    }

    /// Resets all connections. New ones wait until the wire is mended.
    pub(crate) fn cut(&self) {
        self.faults.up.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.faults.up.send_replace(true);
    }

    /// Ends the connection as soon as these bytes have reached the client.
    pub(crate) fn end_behind(&self, bytes: &'static str) {
        *self.faults.end_behind.lock().unwrap() = Some(bytes);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, faults: Faults) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let faults = faults.clone();
        connections.spawn(async move { faults.carry(client, server).await });
    }
}

impl Faults {
    async fn carry(&self, client: TcpStream, server: SocketAddr) -> io::Result<()> {
        client.set_zero_linger()?; // dropping it sends a reset
        let mut up = self.up.subscribe();
        let _ = up.wait_for(|up| *up).await;
        let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
        let (mut from_client, mut to_client) = client.into_split();
        let ended = tokio::select! {
            _ = up.wait_for(|up| !up) => false,
            _ = copy(&mut from_client, &mut to_server) => false,
            ended = self.bring(&mut from_server, &mut to_client) => ended?,
        };
        if ended {
            drop((from_server, to_server));
            to_client.shutdown().await?;
            copy(&mut from_client, &mut tokio::io::sink()).await?;
        }
        Ok(())
    }

    /// Passes bytes on until the server ends the connection, or it has to be ended.
    async fn bring(
        &self,
        server: &mut OwnedReadHalf,
        client: &mut OwnedWriteHalf,
    ) -> io::Result<bool> {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = server.read(&mut bytes).await?;
            let piece = &bytes[..read];
            match self.end_of(piece) {
                Some(end) => {
                    client.write_all(&piece[..end]).await?;
                    return Ok(true);
                }
                None if read == 0 => return Ok(true),
                None => client.write_all(piece).await?,
            }
        }
    }

    fn end_of(&self, piece: &[u8]) -> Option<usize> {
        let mut end_behind = self.end_behind.lock().unwrap();
        let bytes = (*end_behind)?.as_bytes();
        let found = piece
            .windows(bytes.len())
            .position(|window| window == bytes)?;
        *end_behind = None;
        Some(found + bytes.len())
    }
}
