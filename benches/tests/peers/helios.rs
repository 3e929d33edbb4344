//! Helios.

use std::net::TcpListener;

use helios::prelude::*;

use super::server::{Serve, Stop};
use super::site::{Site, Wanted};

#[derive(Injectable)]
struct Shown {
    site: Arc<Site>,
}

#[controller]
impl Shown {
    #[sse("event")]
    fn event(&self, Query(wanted): Query<Wanted>) -> impl Stream<Item = SseEvent> {
        self.site.one(wanted, event)
    }

    #[sse("silence")]
    fn silence(&self) -> impl Stream<Item = SseEvent> {
        self.site.silence()
    }

    #[sse("news")]
    async fn news(&self, #[inject_sse] sse: SseService) -> Result<SseStream, HttpError> {
        Ok(sse.subscribe(["news"]).await?)
    }

    #[post("news")]
    async fn publish(
        &self,
        #[query] data: String,
        #[inject_sse] sse: SseService,
    ) -> Result<(), HttpError> {
        sse.publish("news", data).await?;
        Ok(())
    }
}

fn event(wanted: Wanted) -> SseEvent {
    let mut event = SseEvent::text(wanted.data);
    if let Some(name) = wanted.name {
        event = event.event(name);
    }
    if let Some(id) = wanted.id {
        event = event.id(id);
    }
    event
}

#[server(controllers = [Shown], sse(enabled = true))]
struct App;

pub(super) fn serve(listener: TcpListener, site: Site, stop: Stop) -> Serve {
    Box::pin(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let app = Helios::new(App)
            .provide(site)
            .banner(false)
            .shutdown_on(stop);
        app.listen_on(listener).await.unwrap();
    })
}
