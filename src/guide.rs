//! The guide: how to use Helios, chapter by chapter. Every piece of code in it is compiled and run as a test.
//!
//! | chapter | what it is about |
//! | --- | --- |
//! | [`first_app`] | from an empty directory to a tested app with live updates |
//! | [`controllers`] | routes, arguments, validation, return values |
//! | [`streams`] | an event stream in four ways, and how it ends |
//! | [`rooms`] | topics, resume, resets, slow clients, limits, guarantees |
//! | [`hooks`] | what runs when a stream opens, fails, is reset, closes |
//! | [`pipeline`] | guards, interceptors, filters |
//! | [`auth`] | who it is, when an `EventSource` sends no headers |
//! | [`errors`] | problem JSON, errors of your own, errors on streams |
//! | [`services`] | the container, what is provided, modules |
//! | [`serving`] | settings, shutdown, layers, addresses, limits |
//! | [`websockets`] | when a stream is not enough: the endpoint, guards, a room shared with streams |
//! | [`restarts`] | history on the disk: what survives a deploy, a kill, a power loss |
//! | [`scaling`] | several servers as one, on Redis: set-up, failures, sizes, rights |
//! | [`deployment`] | behind nginx, HAProxy and Caddy, under systemd and Kubernetes |
//! | [`clients`] | what browsers and libraries do with a stream, and where they differ |
//! | [`hypermedia`] | htmx, Turbo and Datastar: fragments of a page as events |
//! | [`llm`] | a gateway for a language model: errors, a stop, an answer that survives a reload |
//! | [`mcp`] | tools for language models: rmcp behind a guard, sessions, what the clients do |
//! | [`openapi`] | the document of routes and events, and clients that are typed by it |
//! | [`testing`] | an app in process, its streams event by event |
//! | [`troubleshooting`] | by symptom, compile errors too |
//! | [`coming_from`] | NestJS, Dwex, HeliosJS, Danet, S42Core, axum: side by side |
//!
//! The shortest app, and its test:
//!
//! ```
//! use helios::prelude::*;
//! use helios::testing::TestApp;
//!
//! #[derive(Injectable)]
//! struct Hello;
//!
//! #[controller(prefix = "hello")] // chapter `controllers`
//! impl Hello {
//!     #[get("{name}")]
//!     fn hello(&self, #[param] name: &str) -> String {
//!         format!("hello {name}")
//!     }
//! }
//!
//! #[server(controllers = [Hello])] // chapter `serving`
//! struct App;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let app = TestApp::start(App).unwrap(); // chapter `testing`
//! assert_eq!(app.get("/hello/ann").await.text(), "hello ann");
//! # }
//! ```

macro_rules! chapters {
    ($($name:ident $file:literal)*) => {
        $(
            #[doc = include_str!($file)]
            pub mod $name {}
        )*
    };
}

chapters! {
    first_app "guide/first_app.md"
    controllers "guide/controllers.md"
    streams "guide/streams.md"
    rooms "guide/rooms.md"
    hooks "guide/hooks.md"
    pipeline "guide/pipeline.md"
    auth "guide/auth.md"
    errors "guide/errors.md"
    services "guide/services.md"
    serving "guide/serving.md"
    websockets "guide/websockets.md"
    restarts "guide/restarts.md"
    scaling "guide/scaling.md"
    deployment "guide/deployment.md"
    clients "guide/clients.md"
    hypermedia "guide/hypermedia.md"
    llm "guide/llm.md"
    mcp "guide/mcp.md"
    openapi "guide/openapi.md"
    testing "guide/testing.md"
    troubleshooting "guide/troubleshooting.md"
}

/// Coming from another system: its idioms beside those of Helios, what is different on purpose, and what has no counterpart.
///
/// What stands under *There* is written from that system's own documentation, which each page names; what stands under
/// *Here* is tested.
pub mod coming_from {
    chapters! {
        nestjs "guide/coming_from/nestjs.md"
        dwex "guide/coming_from/dwex.md"
        heliosjs "guide/coming_from/heliosjs.md"
        danet "guide/coming_from/danet.md"
        s42core "guide/coming_from/s42core.md"
        axum "guide/coming_from/axum.md"
    }
}
