//! Arguments that no request can bind. Start-up refuses them with a suggestion.

use helios::error::{Error, StartupFault};
use helios::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[allow(dead_code)]
struct Paging {
    limit: u32,
    offset: u32,
}

#[derive(Injectable)]
struct Wrong;

#[controller(prefix = "wrong")]
impl Wrong {
    #[get("query")]
    fn query(&self, #[query] _paging: Paging) {}

    #[get("queries")]
    fn queries(&self, #[query] _pages: Option<Paging>, #[query] _all: Vec<Paging>) {}

    #[get("param/{_place}")]
    fn param(&self, #[param] _place: Paging) {}

    #[get("header")]
    fn header(
        &self,
        #[header] _place: Paging,
        #[cookie] _places: std::collections::HashMap<String, u32>,
    ) {
    }

    #[get("axum/{id}")]
    fn axum(&self, _id: axum::extract::Path<u64>) {}

    #[get("result")]
    fn result(
        &self,
        _id: Result<axum::extract::Path<u64>, axum::extract::rejection::PathRejection>,
    ) {
    }

    #[get("raw")]
    fn raw(&self, _all: axum::extract::RawPathParams, _at: axum::extract::MatchedPath) {}

    #[get("whole")]
    fn whole(&self, _one: Query<u32>) {}

    #[post("form")]
    fn form(&self, _one: Form<String>) {}

    #[get("two/{a}/{b}")]
    fn two(&self, _one: Path<u64>) {}

    #[get("three/{a}/{b}")]
    fn three(&self, _three: Path<(u64, u64, u64)>) {}

    #[sse("events")]
    fn events(&self, #[query] _paging: Paging) -> SseStream {
        SseStream::new()
    }

    #[on_sse_connection]
    fn connected(&self, #[query] _paging: Paging) {}
}

#[derive(Deserialize)]
#[allow(dead_code)]
enum Order {
    Up,
    Down,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Id(u64);

#[derive(Deserialize)]
#[serde(untagged)]
#[allow(dead_code)]
enum Either {
    Number(u64),
    Text(String),
}

#[derive(Injectable)]
struct Right;

#[controller(prefix = "right/{outer}")]
impl Right {
    #[get("one/{_id}")]
    fn one(
        &self,
        #[param] _id: Id,
        #[query] _order: Option<Order>,
        #[query] _all: Vec<Id>,
        #[cookie] _either: Either,
    ) {
    }

    #[get("two/{id}")]
    fn two(
        &self,
        _both: Path<(String, u64)>,
        _query: Query<std::collections::HashMap<String, String>>,
    ) {
    }

    #[get("three/{id}")]
    fn three(
        &self,
        _first: Path<(String,)>,
        _pairs: Query<Vec<(String, String)>>,
        _date: Query<Option<Paging>>,
    ) {
    }

    #[get("date")]
    fn date(
        &self,
        #[query] _day: Option<time::Date>,
        #[query] _pair: (u32, u32),
        _outer: Path<Either>,
    ) {
    }

    #[sse]
    fn events(&self) -> SseStream {
        SseStream::new()
    }

    #[on_sse_connection]
    fn connected(&self, _outer: Path<(String, u64, u64)>) {}
}

#[server(controllers = [Wrong, Right], sse(enabled = true))]
struct App;

#[test]
fn an_argument_that_can_never_be_bound_is_a_fault() {
    let Err(Error::Startup(faults)) = Helios::new(App).into_service() else {
        panic!("it starts");
    };
    let told = faults.0.iter().map(|fault| match fault {
        StartupFault::NeverBound {
            place,
            argument,
            mistake,
        } => (place.handler, *argument, mistake.as_str()),
        other => panic!("{other}"),
    });
    let wanted = [
        ("connected", "_paging", "the whole query as `Query<Paging>`"),
        ("query", "_paging", "`Paging` is a struct"),
        ("queries", "_pages", "as `Query<Paging>`"),
        ("queries", "_all", "`Vec<Paging>`"),
        ("param", "_place", "the whole path as `Path<Paging>`"),
        ("header", "_place", "each value as a `#[header]`"),
        ("header", "_places", "is a map"),
        ("axum", "_id", "`#[param] name: T`"),
        ("result", "_id", "`helios::Path`"),
        ("raw", "_all", "`RawPathParams`"),
        ("raw", "_at", "`MatchedPath`"),
        ("whole", "_one", "`#[query] name: T`"),
        ("form", "_one", "`Form` of a struct"),
        (
            "two",
            "_one",
            "takes 1 of the path's parameters, of which there are 2",
        ),
        ("three", "_three", "takes 3"),
        ("events", "_paging", "`Query<Paging>`"),
    ];
    let told: Vec<_> = told.collect();
    let places: Vec<_> = told
        .iter()
        .map(|(handler, argument, _)| (*handler, *argument))
        .collect();
    assert_eq!(
        places,
        wanted.map(|(handler, argument, _)| (handler, argument))
    );
    for ((_, _, mistake), (handler, _, part)) in told.iter().zip(wanted) {
        assert!(mistake.contains(part), "{handler}: {mistake}");
    }
}
