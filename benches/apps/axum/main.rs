use axum::Router;

MODULES

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let routers = [CONTROLLERS];
    let app = routers.into_iter().fold(Router::new(), Router::merge);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 3000)).await?;
    axum::serve(listener, app).await
}
