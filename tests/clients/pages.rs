//! Clients in a browser. Each is a page in a frame of its own, from the same server or from another origin.

use std::net::SocketAddr;
use std::sync::Mutex;

use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios::prelude::*;

use super::seen::{Seen, patiently};
use super::site;
use support::TestServer;
use support::browser::Browser;

pub(crate) struct Frameset {
    server: TestServer,
    frames: Arc<Frames>,
    _browser: Browser,
}

#[derive(Default)]
struct Frames(Mutex<Vec<Seen>>);

impl Frameset {
    pub(crate) async fn start(name: &str, browser: fn(&str) -> Browser) -> Self {
        let frames = Arc::new(Frames::default());
        let app = Helios::new(Desk)
            .provide_as(Arc::clone(&frames))
            .mount("/kit", site::kit());
        let server = TestServer::start(app).await;
        let browser = browser(&format!("http://{}/", server.addr));
        let open = patiently(|| !server.sse.clients_in("frames").is_empty()).await;
        assert!(open, "{name} has not opened its page");
        Self {
            server,
            frames,
            _browser: browser,
        }
    }

    /// Returns the origin of pages that are not the server's own.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.server.addr)
    }

    /// Opens a page that listens to a stream, from the server behind this door or from another origin. It uses a module
    /// that it imports from the kit, or else its `EventSource`.
    pub(crate) async fn open(
        &self,
        door: SocketAddr,
        path: &str,
        elsewhere: bool,
        imports: bool,
    ) -> Seen {
        let seen = Seen::default();
        let number = {
            let mut frames = self.frames.0.lock().unwrap();
            frames.push(seen.clone());
            frames.len() - 1
        };
        let page = match elsewhere {
            true => format!("{}/page", self.origin()),
            false => format!("http://{door}/control/page"),
        };
        let report = format!("{}/seen/{number}", self.origin());
        let url = format!("{page}?imports={imports}&url=http://{door}{path}&report={report}");
        let frame = SseEvent::text(url).event("frame");
        self.server.sse.publish("frames", frame).await.unwrap();
        seen
    }
}

#[server(controllers = [Pages], sse(enabled = true))]
struct Desk;

#[derive(Injectable)]
struct Pages {
    frames: Arc<Frames>,
    sse: SseService,
}

#[controller]
impl Pages {
    #[get]
    fn frames_page(&self) -> Response {
        let html = [("content-type", "text/html")];
        (html, include_str!("frames.html")).into_response()
    }

    #[sse("frames")]
    async fn frames(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["frames"]).await
    }

    #[get("page")]
    fn page(&self) -> Response {
        let (name, value) = site::COOKIE;
        let cookie = format!("{name}={value}; HttpOnly; SameSite=Lax; Path=/");
        ([("set-cookie", cookie)], site::page()).into_response()
    }

    #[post("seen/{frame}")]
    fn seen(&self, #[param] frame: usize, line: Bytes) {
        let seen = self.frames.0.lock().unwrap()[frame].clone();
        seen.note(&String::from_utf8_lossy(&line));
    }
}
