//! The examples of five other systems, ported: what a client on a socket gets, byte for byte.
#![allow(clippy::unwrap_used)]

mod ports {
    mod danet;
    mod dwex;
    mod heliosjs;
    mod nestjs;
    mod s42core;

    use support::SseClient;

    /// What a finished stream ends with.
    const END: &str = "event: helios:end\nid: helios:end\ndata: \n\n";

    /// All that comes until the stream ends, while its time flies.
    async fn whole(client: &mut SseClient) -> String {
        tokio::time::pause();
        while client.read().await.is_some() {}
        tokio::time::resume();
        client.text()
    }

    /// What comes up to the blank line behind the given number of events, while time flies.
    async fn first(events: usize, client: &mut SseClient) -> String {
        let end = |text: &str| Some(text.match_indices("\n\n").nth(events - 1)?.0 + 2);
        tokio::time::pause();
        let text = loop {
            match (client.text(), end(&client.text())) {
                (mut text, Some(end)) => {
                    text.truncate(end);
                    break text;
                }
                (_, None) => client.read().await.unwrap(),
            }
        };
        tokio::time::resume();
        text
    }
}
