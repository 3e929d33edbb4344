//! Streamed uploads: only the current chunk is kept in memory.
//!
//! ```text
//! cargo run --example upload
//! curl -F note=hello -F file=@Cargo.toml http://127.0.0.1:3000/files
//! ```

use helios::http::Multipart;
use helios::prelude::*;
use serde::Serialize;

#[derive(Serialize, JsonSchema)]
struct Received {
    name: String,
    file: Option<String>,
    bytes: usize,
}

#[derive(Injectable)]
struct Files;

#[controller(prefix = "files")]
impl Files {
    #[post]
    async fn upload(&self, mut parts: Multipart) -> Result<Vec<Received>, HttpError> {
        let mut received = Vec::new();
        while let Some(mut part) = parts.next().await? {
            let name = part.name().unwrap_or_default().to_owned();
            let file = part.file_name().map(str::to_owned);
            let mut bytes = 0;
            while let Some(chunk) = part.chunk().await? {
                bytes += chunk.len();
            }
            received.push(Received { name, file, bytes });
        }
        Ok(received)
    }
}

#[server(controllers = [Files], body_limit = 10_485_760)]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
