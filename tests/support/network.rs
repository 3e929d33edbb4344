//! The network between a client and a server.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Passes on what arrives at `port`. Aborted, it is cut: in the middle of everything.
pub async fn network(port: TcpListener, server: SocketAddr) {
    let mut wires = JoinSet::new();
    while let Ok((mut client, _)) = port.accept().await {
        wires.spawn(async move {
            let mut server = TcpStream::connect(server).await?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

pub async fn cut(network: JoinHandle<()>) {
    network.abort();
    assert!(network.await.is_err());
}
