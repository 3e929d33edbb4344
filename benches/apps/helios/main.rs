use helios::prelude::*;

MODULES

#[server(controllers = [CONTROLLERS], sse(enabled = true))]
struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
