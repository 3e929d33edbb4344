//! salvo, with its `sse`.

use std::convert::Infallible;
use std::net::TcpListener;

use salvo::conn::tcp::TcpAcceptor;
use salvo::prelude::*;
use salvo::sse::{self, SseEvent};
use tokio_stream::StreamExt;

use super::server::{Serve, Stop};
use super::site::{Site, Wanted};

type Sent = Result<SseEvent, Infallible>;

pub(super) fn serve(listener: TcpListener, site: Site, stop: Stop) -> Serve {
    let shown = |show| Shown(site.clone(), show);
    let news = Router::with_path("news")
        .get(shown(|site, _, response| {
            sse::stream(response, site.news().map(event));
        }))
        .post(shown(|site, request, _| site.publish(wanted(request))));
    let one = Router::with_path("event").get(shown(|site, request, response| {
        sse::stream(response, site.one(wanted(request), event));
    }));
    let silence = Router::with_path("silence").get(shown(|site, _, response| {
        sse::stream(response, site.silence::<Sent>());
    }));
    let app = Router::new().push(news).push(one).push(silence);
    Box::pin(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let server = Server::new(TcpAcceptor::try_from(listener).unwrap());
        let handle = server.handle();
        tokio::spawn(async move {
            stop.await;
            handle.stop_graceful(None);
        });
        server.serve(app).await;
    })
}

/// A handler with access to the site.
struct Shown(Site, fn(&Site, &mut Request, &mut Response));

#[salvo::async_trait]
impl Handler for Shown {
    async fn handle(
        &self,
        request: &mut Request,
        _: &mut Depot,
        response: &mut Response,
        _: &mut FlowCtrl,
    ) {
        (self.1)(&self.0, request, response);
    }
}

fn wanted(request: &mut Request) -> Wanted {
    request.parse_queries().unwrap()
}

fn event(wanted: Wanted) -> Sent {
    let mut event = SseEvent::default().text(wanted.data);
    if let Some(name) = wanted.name {
        event = event.name(name);
    }
    if let Some(id) = wanted.id {
        event = event.id(id);
    }
    Ok(event)
}
