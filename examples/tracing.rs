//! The spans that the server records with `tracing`: one for each request and stream, named by route template.
//!
//! ```text
//! cargo run --example tracing
//! curl http://127.0.0.1:3000/hello/ann
//! ```

use helios::prelude::*;
use tracing_subscriber::fmt::format::FmtSpan;

#[derive(Injectable)]
struct Greeter;

#[controller(prefix = "hello")]
impl Greeter {
    #[get("{name}")]
    fn hello(&self, #[param] name: &str) -> String {
        format!("hello {name}")
    }

    #[sse("{name}/again")]
    fn again(&self, #[param] name: String) -> impl Stream<Item = String> {
        stream! {
            for _ in 0..3 {
                yield format!("hello {name}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

#[server(controllers = [Greeter], sse(enabled = true))]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    tracing_subscriber::fmt()
        .with_span_events(FmtSpan::CLOSE)
        .init();
    Helios::new(App).listen().await
}
