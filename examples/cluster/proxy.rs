//! One address for all nodes. Each connection goes to the next node that accepts it. A real proxy would look at
//! requests, but for streams this is enough, because any node can continue a stream of another.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::nodes::Nodes;

/// How long a node may take to accept a connection.
const ACCEPTS: Duration = Duration::from_secs(1);

/// How long a connection waits for a node that is up.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(listener: TcpListener, nodes: Arc<Nodes>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(carry(client, Arc::clone(&nodes)));
            }
            // For example, too many files are open.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn carry(mut client: TcpStream, nodes: Arc<Nodes>) {
    let Ok(mut node) = timeout(PATIENCE, connect(&nodes)).await else {
        return;
    };
    for socket in [&client, &node] {
        // The proxy works without it, only slower.
        let _ = socket.set_nodelay(true);
    }
    // Ends when either side does.
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
