//! The network between a client and a server.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Forwards the connections that arrive at `port`. Aborting it cuts all of them, wherever they are.
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
