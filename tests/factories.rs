//! Values from async factories, which run before the app is resolved.
#![allow(clippy::unwrap_used)]

use std::io;

use helios::prelude::*;
use helios::testing::TestApp;
use support::TestServer;
use support::journal::Journal;

struct Settings {
    url: &'static str,
}

struct Pool {
    url: &'static str,
}

#[derive(Debug, thiserror::Error)]
#[error("the pool is closed")]
struct Closed(#[source] io::Error);

/// Fails for an empty URL.
async fn connect(settings: Arc<Settings>, journal: Arc<Journal>) -> Result<Pool, Closed> {
    tokio::task::yield_now().await;
    journal.note("connects");
    match settings.url {
        "" => Err(Closed(io::Error::other("nobody answers"))),
        url => Ok(Pool { url }),
    }
}

trait Store: Send + Sync {
    fn name(&self) -> String;
}

struct SqlStore(Arc<Pool>);

impl Store for SqlStore {
    fn name(&self) -> String {
        format!("sql at {}", self.0.url)
    }
}

async fn open(pool: Arc<Pool>, journal: Arc<Journal>) -> Result<Arc<dyn Store>, String> {
    journal.note("opens");
    Ok(Arc::new(SqlStore(pool)))
}

#[derive(Injectable)]
#[inject(on_start = start)]
struct Repository {
    store: Arc<dyn Store>,
    journal: Arc<Journal>,
}

impl Repository {
    fn start(&self) {
        self.journal.note("starts");
    }
}

#[derive(Injectable)]
struct Orders {
    repository: Arc<Repository>,
}

#[controller(prefix = "orders")]
impl Orders {
    #[get]
    fn list(&self, #[inject] pool: Arc<Pool>) -> String {
        format!("{}, {}", self.repository.store.name(), pool.url)
    }
}

#[server(controllers = [Orders])]
struct App;

/// Returns an app whose factories are in the wrong order.
fn app(url: &'static str) -> (Helios, Journal) {
    let journal = Journal::default();
    let app = Helios::new(App)
        .provide_async_as(open)
        .provide_async(connect)
        .provide_async(async move || Ok::<_, io::Error>(Settings { url }))
        .provide(journal.clone());
    (app, journal)
}

async fn faults(app: Helios) -> String {
    let prepared = app.prepare().await;
    prepared.into_service().err().unwrap().to_string()
}

#[tokio::test]
async fn factories_run_in_order_of_need_before_services_start() {
    let (app, journal) = app("db:1");
    let server = TestServer::start(app).await;
    let answer = server.get("/orders").await;
    assert_eq!(answer.text(), "sql at db:1, db:1");
    assert_eq!(journal.notes(), ["connects", "opens", "starts"]);
}

#[tokio::test]
async fn a_failed_factory_is_reported_with_causes_and_dependents() {
    let (app, journal) = app("");
    let server = TestServer::start(app).await;
    let error = server.stop().await.unwrap_err();
    assert!(matches!(error, helios::Error::Startup(_)));
    assert_eq!(
        error.to_string(),
        "the app cannot start, 1 fault(s):\n  - `Pool` could not be made, needed by \
         `Orders` -> `Repository` -> `dyn Store`: the pool is closed: nobody answers"
    );
    assert_eq!(journal.notes(), ["connects"]);
}

#[tokio::test]
async fn what_fails_and_what_is_missing_are_told_together() {
    let app = Helios::new(App)
        .provide_async(async || Err::<u8, _>("no luck"))
        .provide_async_as(open)
        .provide_async(connect);
    let text = faults(app).await;
    assert!(text.contains("3 fault(s)"), "{text}");
    assert!(
        text.contains(
            "nothing provides `Settings`, needed by `Orders` -> `Repository` -> `dyn Store` -> `Pool`: call \
             `.provide(..)` with a value or with a factory"
        ),
        "{text}"
    );
    assert!(text.contains("nothing provides `Journal`"), "{text}");
    assert!(
        text.contains("`u8` could not be made: no luck"),
        "also one that nobody needs: {text}"
    );
}

#[tokio::test]
async fn factories_that_need_each_other_are_a_cycle() {
    let app = Helios::new(App)
        .provide(Journal::default())
        .provide_async_as(open)
        .provide_async(async |_: Arc<dyn Store>| Err::<Pool, _>("it never runs"));
    let text = faults(app).await;
    assert!(
        text.contains("a cycle of dependencies: `dyn Store` -> `Pool` -> `dyn Store`"),
        "{text}"
    );
    assert!(text.contains("1 fault(s)"), "{text}");
}

#[tokio::test]
async fn what_is_provided_instead_keeps_the_factory_from_running() {
    let (app, journal) = app("");
    let app = TestApp::builder(app)
        .override_provider(Arc::new(Settings { url: "" }))
        .override_provider(Arc::new(Pool { url: "test" }))
        .prepare()
        .await
        .start()
        .unwrap();
    assert_eq!(app.get("/orders").await.text(), "sql at test, test");
    assert_eq!(journal.notes(), ["opens"]);
}

#[tokio::test]
async fn a_factory_replaces_what_was_provided_before_it() {
    let app = Helios::new(App)
        .provide(Journal::default())
        .provide(Pool { url: "old" })
        .provide_async(async || Err::<Pool, _>("older"))
        .provide_async(async || Ok::<_, String>(Pool { url: "new" }))
        .provide_async_as(open);
    let app = TestApp::builder(app).prepare().await.start().unwrap();
    assert_eq!(app.get("/orders").await.text(), "sql at new, new");
}

/// Could be built, but must not be if a factory should provide it.
#[derive(Injectable)]
struct Clock;

#[derive(Injectable)]
struct Times {
    _clock: Arc<Clock>,
}

#[controller(prefix = "times")]
impl Times {}

#[server(controllers = [Times])]
struct Timed;

#[tokio::test]
async fn what_a_factory_failed_to_make_is_not_built_instead() {
    let app = Helios::new(Timed).provide_async(async || Err::<Clock, _>("no time"));
    let text = faults(app).await;
    assert!(
        text.contains("`Clock` could not be made, needed by `Times`: no time"),
        "{text}"
    );
}

#[test]
fn an_unprepared_service_with_factories_says_what_to_call() {
    let (app, _) = app("db:1");
    let text = app.into_service().err().unwrap().to_string();
    assert!(
        text.contains("`dyn Store` is made by an async factory, needed by `Orders` -> `Repository`: call `.prepare()"),
        "{text}"
    );
    let module = Module::new("a").provide_async(async || Ok::<_, String>(Pool { url: "" }));
    let app = Helios::new(Timed).module(module);
    let text = app.into_service().err().unwrap().to_string();
    assert!(
        text.contains("`Pool` is made by an async factory: call"),
        "{text}"
    );
}

#[tokio::test]
async fn a_modules_factories_use_its_own_values_and_the_apps() {
    #[server(controllers = [])]
    struct Site;

    let shop = |path, url| {
        Module::new(path)
            .provide(Settings { url })
            .provide_async(connect)
            .provide_async_as(open)
            .controller::<Orders>()
    };
    let app = Helios::new(Site)
        .provide_async(async || Ok::<_, String>(Journal::default()))
        .module(shop("a", "db:a"))
        .module(shop("b", "db:b"));
    let app = TestApp::builder(app).prepare().await.start().unwrap();
    assert_eq!(app.get("/a/orders").await.text(), "sql at db:a, db:a");
    assert_eq!(app.get("/b/orders").await.text(), "sql at db:b, db:b");

    let app = Helios::new(Site)
        .provide(Journal::default())
        .module(shop("a", "db:a"))
        .module(shop("b", ""));
    let text = faults(app).await;
    assert!(text.contains("1 fault(s)"), "{text}");
    assert!(
        text.contains(
            "`Pool` could not be made, needed by `Orders` -> `Repository` -> `dyn Store`: the pool is closed"
        ),
        "{text}"
    );
}
