//! One address for all nodes: each connection goes to the next one that accepts it. A real one would look at requests; for streams
//! this is enough, as any node can go on where another one was.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::nodes::Nodes;

/// How long a node may take to accept a connection.
const ACCEPTS: Duration = Duration::from_secs(1);

/// How long a connection waits for a node that is there.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(listener: TcpListener, nodes: Arc<Nodes>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(carry(client, Arc::clone(&nodes)));
            }
            // Too many files are open, for one.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn carry(mut client: TcpStream, nodes: Arc<Nodes>) {
    let Ok(mut node) = timeout(PATIENCE, connect(&nodes)).await else {
        return;
    };
    for socket in [&client, &node] {
        // Without it, they are carried all the same.
        let _ = socket.set_nodelay(true);
    }
    // It ends when either of them does.
    let _ = copy_bidirectional(&mut client, &mut node).await;
}

async fn connect(nodes: &Nodes) -> TcpStream {
    loop {
        for addr in nodes.in_turn() {
            if let Ok(Ok(node)) = timeout(ACCEPTS, TcpStream::connect(addr)).await {
                return node;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}
