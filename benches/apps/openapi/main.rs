use helios::prelude::*;

MODULES

#[server(controllers = [CONTROLLERS])]
struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    let app = Helios::new(App);
    #[cfg(feature = "openapi")]
    let app = match std::env::args().any(|arg| arg == "document") {
        true => return document(app),
        false => app.openapi("/openapi.json"),
    };
    app.listen().await
}

/// Prints how many milliseconds the first document takes.
#[cfg(feature = "openapi")]
fn document(app: Helios) -> Result<(), helios::Error> {
    let started = std::time::Instant::now();
    let document = app.openapi_document()?;
    let millis = started.elapsed().as_secs_f64() * 1_000.0;
    assert!(document.unknown().is_empty(), "{:?}", document.unknown());
    println!("{millis}");
    Ok(())
}
