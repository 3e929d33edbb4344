//! The ported examples of five other systems: the bytes that a client on a socket gets.
#![allow(clippy::unwrap_used)]

mod ports {
    mod danet;
    mod dwex;
    mod heliosjs;
    mod nestjs;
    mod s42core;

    use support::SseClient;

    /// The end of a finished stream.
    const END: &str = "event: helios:end\nid: helios:end\ndata: \n\n";

    /// Returns everything up to the end of the stream, on a paused clock.
    async fn whole(client: &mut SseClient) -> String {
        tokio::time::pause();
        while client.read().await.is_some() {}
        tokio::time::resume();
        client.text()
    }

    /// Returns everything up to the blank line after this number of events, on a paused clock.
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
