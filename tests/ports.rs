//! The examples of five other systems, ported: what a client on a socket gets, byte for byte.
#![allow(clippy::unwrap_used)]

mod support;

mod ports {
    mod danet;

    use crate::support::SseClient;

    /// What a finished stream ends with.
    const END: &str = "event: helios:end\nid: helios:end\ndata: \n\n";

    /// All that comes until the stream ends, while its time flies.
    async fn whole(client: &mut SseClient) -> String {
        tokio::time::pause();
        while client.read().await.is_some() {}
        tokio::time::resume();
        client.text()
    }
}
