//! Start and stop hooks of services, on a server that really listens.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::io;

use helios::prelude::*;
use support::TestServer;
use support::journal::Journal;

/// Async hooks, with and without a result.
#[derive(Injectable)]
#[inject(on_start = connect, on_stop = close)]
struct Pool(Arc<Journal>);

impl Pool {
    async fn connect(&self) -> Result<(), io::Error> {
        tokio::task::yield_now().await;
        self.0.note("pool starts");
        Ok(())
    }

    async fn close(&self) {
        tokio::task::yield_now().await;
        self.0.note("pool stops");
    }
}

/// Sync hooks, with and without a result. A stop that fails does not prevent other services from stopping.
#[derive(Injectable)]
#[inject(on_start = Self::warm_up, on_stop = flush)]
struct Cache {
    pool: Arc<Pool>,
}

impl Cache {
    fn warm_up(&self) {
        self.pool.0.note("cache starts");
    }

    fn flush(&self) -> Result<(), String> {
        self.pool.0.note("cache stops");
        Err("the disk is full".to_owned())
    }
}

/// No hooks of its own.
#[derive(Injectable)]
struct Catalog {
    cache: Arc<Cache>,
}

/// Only a stop hook.
#[derive(Injectable)]
#[inject(on_stop = report)]
struct Meter<T: Send + Sync + 'static> {
    journal: Arc<Journal>,
    #[inject(default)]
    _of: std::marker::PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static> Meter<T> {
    async fn report(&self) -> Result<(), Infallible> {
        self.journal.note("meter stops");
        Ok(())
    }
}

#[derive(Injectable)]
struct Shop {
    // First, so that the order of the fields differs from the order of the start.
    catalog: Arc<Catalog>,
    pool: Arc<Pool>,
    _meter: Arc<Meter<u8>>,
}

#[controller(prefix = "shop")]
impl Shop {
    #[get]
    fn look(&self) -> &'static str {
        self.pool.0.note("request");
        assert!(Arc::ptr_eq(&self.pool, &self.catalog.cache.pool));
        "goods"
    }
}

#[server(controllers = [Shop])]
struct App;

#[tokio::test]
async fn services_start_dependencies_first_and_stop_in_reverse() {
    let journal = Journal::default();
    let app = Helios::new(App).provide(journal.clone());
    let server = TestServer::start(app).await;
    let answer = server.get("/shop").await.text();
    assert_eq!(answer, "goods");
    assert_eq!(journal.notes(), ["pool starts", "cache starts", "request"]);
    server.stop().await.unwrap();
    assert_eq!(
        journal.notes()[3..],
        ["meter stops", "cache stops", "pool stops"]
    );
}

/// Fails to start.
#[derive(Injectable)]
#[inject(on_start = connect, on_stop = close)]
struct Broker {
    pool: Arc<Pool>,
}

impl Broker {
    async fn connect(&self) -> Result<(), io::Error> {
        Err(io::Error::other("nobody answers"))
    }

    fn close(&self) {
        self.pool.0.note("broker stops");
    }
}

/// Would start after it.
#[derive(Injectable)]
#[inject(on_start = open)]
struct Orders {
    _broker: Arc<Broker>,
    journal: Arc<Journal>,
}

#[controller(prefix = "orders")]
impl Orders {
    #[get]
    fn list(&self) {}

    fn open(&self) {
        self.journal.note("orders start");
    }
}

#[server(controllers = [Orders])]
struct Broken;

#[tokio::test]
async fn a_failed_start_is_named_and_started_services_stop() {
    let journal = Journal::default();
    let app = Helios::new(Broken).provide(journal.clone());
    let server = TestServer::start(app).await;
    let error = server.stop().await.unwrap_err();
    assert!(matches!(error, helios::Error::Start(_)));
    assert_eq!(
        error.to_string(),
        "`Broker` could not start: nobody answers"
    );
    assert_eq!(journal.notes(), ["pool starts", "pool stops"]);
}

/// Panics where it stops, and where it starts if that is wanted.
#[derive(Injectable)]
#[inject(on_start = light, on_stop = go_out)]
struct Lamp {
    cache: Arc<Cache>,
    breaks: Arc<Breaks>,
}

struct Breaks {
    at_start: bool,
}

impl Lamp {
    fn light(&self) {
        assert!(!self.breaks.at_start, "no bulb");
        self.cache.pool.0.note("lamp starts");
    }

    async fn go_out(&self) {
        tokio::task::yield_now().await;
        panic!("the switch is stuck");
    }
}

#[controller(prefix = "lamp")]
impl Lamp {}

#[server(controllers = [Lamp])]
struct Lit;

#[tokio::test]
async fn a_panic_in_a_stop_hook_lets_the_others_stop() {
    let journal = Journal::default();
    let breaks = Breaks { at_start: false };
    let app = Helios::new(Lit).provide(journal.clone()).provide(breaks);
    let server = TestServer::start(app).await;
    server.stop().await.unwrap();
    let expected = [
        "pool starts",
        "cache starts",
        "lamp starts",
        "cache stops",
        "pool stops",
    ];
    assert_eq!(journal.notes(), expected);
}

#[tokio::test]
async fn a_panic_in_a_start_hook_is_the_error_of_its_service() {
    let journal = Journal::default();
    let breaks = Breaks { at_start: true };
    let app = Helios::new(Lit).provide(journal.clone()).provide(breaks);
    let error = TestServer::start(app).await.stop().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`Lamp` could not start: the hook panicked: no bulb"
    );
    let expected = ["pool starts", "cache starts", "cache stops", "pool stops"];
    assert_eq!(journal.notes(), expected);
}

struct Audit;

/// Its connection hook requires a parameter that does not exist.
#[derive(Injectable)]
struct Watch;

#[controller(prefix = "watch")]
impl Watch {
    #[sse]
    async fn live(&self, _stream: SseStream) {}

    #[on_sse_connection]
    async fn opened(&self, #[inject] _audit: Arc<Audit>, #[param("shop", outer)] _shop: u64) {}
}

#[derive(Injectable)]
struct Plain;

#[controller(prefix = "plain/{shop}", controllers = [Watch])]
impl Plain {}

#[server(controllers = [Watch], sse(enabled = true))]
struct Unwatched;

#[server(controllers = [Plain], sse(enabled = true))]
struct Watched;

#[test]
fn what_a_connection_hook_takes_is_checked_at_start_up() {
    let Err(error) = Helios::new(Unwatched).into_service() else {
        panic!("it starts");
    };
    let error = error.to_string();
    assert!(error.contains("2 fault(s)"), "{error}");
    assert!(
        error.contains("nothing provides `Audit`, needed by `Watch::opened`"),
        "{error}"
    );
    assert!(
        error.contains("`Watch::opened` takes `#[param(outer)] shop`, but /watch has no `{shop}`"),
        "{error}"
    );
    assert!(Helios::new(Watched).provide(Audit).into_service().is_ok());
}

struct Bare;

#[controller(prefix = "bare")]
impl Bare {}

#[test]
fn a_controller_that_nothing_provides_is_named() {
    #[server(controllers = [Bare])]
    struct App;

    let error = Helios::new(App).into_service().err().unwrap();
    assert!(
        error
            .to_string()
            .contains("nothing provides `Bare`: call `.provide(..)` with a value or derive `Injectable` on the type"),
        "{error}"
    );
}
