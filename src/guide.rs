//! The guide explains how to use Helios, chapter by chapter. Its Rust code is compiled, and nearly all of it is run as a test.
//!
//! Begin with [`first_app`]. If you know what you want to do, look it up in the [index by task](#by-task).
//!
//! | chapter | what it is about |
//! | --- | --- |
//! | [`first_app`] | from an empty directory to a tested app with live updates |
//! | [`controllers`] | routes, arguments, validation, return values |
//! | [`streams`] | an event stream in four ways, and how it ends |
//! | [`rooms`] | topics, resume, resets, slow clients, limits, guarantees |
//! | [`hooks`] | code that runs when a stream opens, fails, is reset, closes |
//! | [`pipeline`] | guards, interceptors, filters |
//! | [`auth`] | how clients say who they are, when an `EventSource` sends no headers |
//! | [`errors`] | problem JSON, errors of your own, errors on streams |
//! | [`services`] | the container, providers, modules |
//! | [`serving`] | settings, shutdown, layers, addresses, limits |
//! | [`recipes`] | a REST API: a database, pages, roles, forms, CORS, metrics |
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
//! The shortest app and its test:
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
//!
//! # By task
//!
//! ## Routes
//!
//! | I want to .. | look at |
//! | --- | --- |
//! | write my first app and run it | [chapter `first_app`](first_app) |
//! | read a path, a query, a header, a cookie or a body | [arguments](controllers#arguments) |
//! | accept an upload | [arguments](controllers#arguments) |
//! | write an argument type of my own | [an extractor of your own](controllers#an-extractor-of-your-own) |
//! | refuse invalid input | [validation](controllers#validation) |
//! | return JSON, a page, a status, a redirect | [return values](controllers#return-values) |
//! | set a header or a cookie | [headers and cookies](controllers#headers-and-cookies) |
//! | understand which route answers a path | [paths](controllers#paths) |
//! | use a database | [recipe](recipes#a-database) |
//! | give lists page by page, and filter them | [recipe](recipes#pages-and-filters) |
//! | handle a form, and show its mistakes | [recipe](recipes#forms) |
//! | put a prefix or a version before all routes | [recipe](recipes#a-prefix-for-all-routes) |
//! | answer with an error | [chapter `errors`](errors) |
//! | give my error types a status | [errors of your own](errors#errors-of-your-own) |
//! | show errors as pages, or in a format of my own | [recipe](recipes#error-pages) |
//! | run code around handlers, or change what they return | [chapter `pipeline`](pipeline) |
//! | share a service or a setting between controllers | [chapter `services`](services) |
//! | make something before the server listens | [chapter `services`](services) |
//! | run work in the background | [chapter `services`](services) |
//! | register the same controllers twice | [modules](services#modules) |
//! | describe the API, with a page to try it | [chapter `openapi`](openapi) |
//!
//! ## Streams
//!
//! | I want to .. | look at |
//! | --- | --- |
//! | send events from a loop | [a generator](streams#1-a-generator), [a producer](streams#2-a-producer) |
//! | send events from elsewhere | [a handle](streams#3-a-handle), [the service](streams#4-the-service) |
//! | send what many clients see | [joining and publishing](rooms#joining-and-publishing) |
//! | show a list that changes while people look at it | [recipe](recipes#live-updates) |
//! | send to one client | [chapter `rooms`](rooms), [`send_to_client`](crate::SseService::send_to_client) |
//! | give events names and types | [events](streams#events) |
//! | bring back what a client missed | [ids and resume](rooms#ids-and-resume) |
//! | send the present state to a new client | [snapshots](hooks#snapshots) |
//! | handle a client that missed too much | [resets](rooms#resets) |
//! | publish an event only once, though a queue delivers it twice | [published once](rooms#published-once) |
//! | end a stream when its work is done | [topics that end](rooms#topics-that-end) |
//! | know when a client comes or leaves | [chapter `hooks`](hooks) |
//! | show who is in a room | [presence](rooms#presence) |
//! | deal with slow clients | [clients that do not keep up](rooms#clients-that-do-not-keep-up) |
//! | limit connections, events or memory | [limits and options](rooms#limits-and-options) |
//! | start a stream with a POST | [with a body](streams#with-a-body-and-with-) |
//! | answer with a stream or with JSON | [a stream or an answer](streams#a-stream-or-an-answer) |
//! | stream to a client that knows no control events | [plain streams](streams#plain-streams) |
//! | set an option for one route | [options of a route](streams#options-of-a-route) |
//! | fail in the middle of a stream | [when it goes wrong](streams#when-it-goes-wrong), [errors on streams](errors#on-streams) |
//! | know what is promised | [promises](rooms#what-is-promised-and-what-is-not) |
//!
//! ## People
//!
//! | I want to .. | look at |
//! | --- | --- |
//! | let only some requests pass | [chapter `pipeline`](pipeline) |
//! | sign users in with a cookie | [a cookie](auth#a-cookie) |
//! | let a page with a token open a stream | [a ticket](auth#a-ticket) |
//! | protect forms against other sites | [other sites](auth#other-sites) |
//! | end the streams of a user who signs out | [while it is open](auth#while-it-is-open) |
//! | give rights by role | [recipe](recipes#roles) |
//!
//! ## Clients
//!
//! | I want to .. | look at |
//! | --- | --- |
//! | read a stream in a browser, in Node, Python or Rust | [chapter `clients`](clients) |
//! | have a typed client in TypeScript | [the client of Helios](clients#the-client-of-helios), [clients in TypeScript](openapi#clients-in-typescript) |
//! | update a page without a script of my own | [chapter `hypermedia`](hypermedia) |
//! | talk both ways | [chapter `websockets`](websockets) |
//! | stream the answer of a language model | [chapter `llm`](llm) |
//! | offer tools to language models | [chapter `mcp`](mcp) |
//!
//! ## Tests
//!
//! | I want to .. | look at |
//! | --- | --- |
//! | test a route or a stream | [chapter `testing`](testing) |
//! | replace a service in a test | [chapter `testing`](testing), [chapter `services`](services) |
//! | test cookies, forms and uploads | [cookies and forms](testing#cookies-and-forms) |
//! | let hours pass at once | [time, services and sockets](testing#time-services-and-sockets) |
//! | test several servers together | [several servers](testing#several-servers) |
//! | understand an error, also of the compiler | [chapter `troubleshooting`](troubleshooting) |
//!
//! ## Operation
//!
//! | I want to .. | look at |
//! | --- | --- |
//! | set the address, the port or a limit | [chapter `serving`](serving) |
//! | serve files, or another service | [services of others](serving#services-of-others) |
//! | add timeouts, compression or another layer | [layers](serving#layers) |
//! | let pages of another origin call the API | [recipe](recipes#cors), [for streams](deployment#pages-of-another-origin) |
//! | read the log | [the log](serving#the-log) |
//! | find a request in the log by its id | [recipe](recipes#request-ids) |
//! | measure requests and streams | [recipe](recipes#metrics) |
//! | know the address of a client | [the address of the client](serving#the-address-of-the-client), [behind a proxy](deployment#the-address-of-a-client) |
//! | listen on a Unix socket | [Unix sockets](serving#unix-sockets) |
//! | run behind nginx, HAProxy or Caddy | [chapter `deployment`](deployment) |
//! | answer health checks | [health checks](deployment#health-checks) |
//! | deploy without losing clients | [shutdown](deployment#shutdown) |
//! | keep the history over a restart | [chapter `restarts`](restarts) |
//! | run several servers | [chapter `scaling`](scaling) |
//!
//! ## From another system
//!
//! | I know .. | look at |
//! | --- | --- |
//! | NestJS | [side by side](coming_from::nestjs) |
//! | Dwex | [side by side](coming_from::dwex) |
//! | HeliosJS | [side by side](coming_from::heliosjs) |
//! | Danet | [side by side](coming_from::danet) |
//! | S42Core | [side by side](coming_from::s42core) |
//! | axum | [side by side](coming_from::axum) |

macro_rules! chapters {
    ($($(#[$attribute:meta])* $name:ident $file:literal)*) => {
        $(
            $(#[$attribute])*
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
    recipes "guide/recipes.md"
    websockets "guide/websockets.md"
    restarts "guide/restarts.md"
    #[cfg_attr(not(feature = "redis"), allow(rustdoc::broken_intra_doc_links))]
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

/// For those who know another system: its idioms beside those of Helios, deliberate differences, and parts without a
/// counterpart.
///
/// The text under *There* follows that system's own documentation, which each page names. The code under *Here* is
/// tested.
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
