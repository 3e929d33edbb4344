//! How each behaviour shows from outside. The expected outcome only decides how long to wait for it.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::timeout;

use super::client::{Answer, PATIENCE, ask, get, within};
use super::server::Server;
use super::table::Outcome;

/// How long to watch that something does not happen.
const WATCHED: Duration = Duration::from_secs(1);

/// By then, the keep-alives of all of them have come.
const MINUTE: Duration = Duration::from_secs(60);

/// Returns whether something happens.
async fn happens(what: impl Future<Output = ()>, is_expected: bool) -> bool {
    let time = if is_expected { PATIENCE } else { WATCHED };
    timeout(time, what).await.is_ok()
}

/// Returns the whole response, if there was one.
async fn whole(server: &Server, path: &str) -> Option<Answer> {
    let mut answer = ask(server.addr, Method::GET, path, None).await?;
    answer.read_all().await;
    Some(answer)
}

pub(crate) async fn newline(server: Server, _: Outcome) -> Outcome {
    let name = newline_in("name", &server).await;
    let id = newline_in("id", &server).await;
    assert_eq!(name, id, "in a name and in an id");
    id
}

async fn newline_in(field: &str, server: &Server) -> Outcome {
    let panics = server.site.streams().panicked;
    let path = format!("/event?{field}=7%0Adata:%20injected&data=sent");
    let answer = whole(server, &path).await;
    let status = answer.as_ref().map(|answer| answer.status);
    let events = answer.map(|answer| answer.events()).unwrap_or_default();
    let has = |line| {
        let mut lines = events.iter().flat_map(|event| event.data.lines());
        lines.any(|found| found == line)
    };
    if has("injected") {
        Outcome::Injects
    } else if has("sent") {
        Outcome::Removes
    } else if server.site.streams().panicked > panics {
        Outcome::Panics
    } else {
        assert_eq!(status, Some(StatusCode::INTERNAL_SERVER_ERROR));
        Outcome::Refuses
    }
}

pub(crate) async fn crlf(server: Server, _: Outcome) -> Outcome {
    let answer = whole(&server, "/event?data=a%0D%0Ab").await.unwrap();
    match answer.events()[0].data.as_str() {
        "a\nb" => Outcome::Keeps,
        "a\n\nb" => Outcome::AddsALine,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn cr(server: Server, _: Outcome) -> Outcome {
    let answer = whole(&server, "/event?data=a%0Devent:%20injected")
        .await
        .unwrap();
    let event = &answer.events()[0];
    match (event.name.as_str(), event.data.as_str()) {
        ("", "a\nevent: injected") => Outcome::Keeps,
        ("injected", "a") => Outcome::Injects,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn silence(server: Server, _: Outcome) -> Outcome {
    if !server.is_here {
        pass(&server, Duration::ZERO).await;
    }
    let mut answer = get(server.addr, "/silence").await;
    within(server.site.until(|streams| streams.begun == 1)).await;
    let is_alive = if server.is_here {
        tokio::time::pause();
        answer.read_for(MINUTE).await;
        let is_alive = answer.read_for(MINUTE).await;
        tokio::time::resume();
        is_alive
    } else {
        answer.read_for(WATCHED).await;
        pass(&server, MINUTE).await;
        answer.read_for(WATCHED).await
    };
    match is_alive {
        true => Outcome::KeepsAlive,
        false => Outcome::SaysNothing,
    }
}

/// Moves the clock of a server in another process, which stands still from then on.
async fn pass(server: &Server, time: Duration) {
    let path = format!("/clock?millis={}", time.as_millis());
    let answer = ask(server.addr, Method::POST, &path, None).await.unwrap();
    assert!(answer.status.is_success(), "{}", answer.status);
}

pub(crate) async fn leaving(server: Server, expected: Outcome) -> Outcome {
    let answer = get(server.addr, "/silence").await;
    within(server.site.until(|streams| streams.begun == 1)).await;
    drop(answer);
    let notices = server.site.until(|streams| streams.ended == 1);
    match happens(notices, expected == Outcome::Notices).await {
        true => Outcome::Notices,
        false => Outcome::NeverNotices,
    }
}

pub(crate) async fn coming_back(server: Server, _: Outcome) -> Outcome {
    let publish = async |data| {
        let path = format!("/news?id={data}&data={data}");
        let answer = ask(server.addr, Method::POST, &path, None).await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.status);
    };
    let mut answer = get(server.addr, "/news").await;
    publish("1").await;
    let seen = answer.read_until("1").await;
    drop(answer);
    publish("2").await;
    let answer = ask(server.addr, Method::GET, "/news", Some(&seen.id)).await;
    let mut answer = answer.unwrap();
    publish("3").await;
    answer.read_until("3").await;
    match answer.events().iter().any(|event| event.data == "2") {
        true => Outcome::BringsBack,
        false => Outcome::Loses,
    }
}

pub(crate) async fn finished(server: Server, _: Outcome) -> Outcome {
    let path = "/event?id=1&data=sent";
    let answer = whole(&server, path).await.unwrap();
    let last = answer.events().pop().unwrap();
    let mut again = ask(server.addr, Method::GET, path, Some(&last.id))
        .await
        .unwrap();
    again.read_all().await;
    let events = again.events();
    let status = again.status;
    drop(again);
    drop(answer);
    // Without an open stream, every server shuts down.
    within(server.stop()).await.unwrap();
    match status {
        StatusCode::NO_CONTENT => Outcome::StaysOver,
        _ => {
            assert_eq!(events[0].data, "sent");
            Outcome::BeginsAnew
        }
    }
}

pub(crate) async fn head(server: Server, expected: Outcome) -> Outcome {
    let answer = ask(server.addr, Method::HEAD, "/silence", None)
        .await
        .unwrap();
    match (answer.status, server.site.streams().begun) {
        (StatusCode::NOT_FOUND, 0) => return Outcome::NotFound,
        (StatusCode::METHOD_NOT_ALLOWED, 0) => return Outcome::NotAllowed,
        (StatusCode::OK, 0) => return Outcome::OnlyAnswers,
        (status, _) => assert_eq!(status, StatusCode::OK),
    }
    let ends = server.site.until(|streams| streams.ended == 1);
    match happens(ends, expected == Outcome::RunsTheHandler).await {
        true => Outcome::RunsTheHandler,
        false => Outcome::RunsTheStream,
    }
}

pub(crate) async fn shutdown(server: Server, expected: Outcome) -> Outcome {
    let mut answer = get(server.addr, "/silence").await;
    within(server.site.until(|streams| streams.begun == 1)).await;
    let mut stopped = server.stop();
    let ends = async { (&mut stopped).await.unwrap() };
    if happens(ends, expected == Outcome::EndsStreams).await {
        answer.read_all().await;
        assert!(answer.text.contains("retry:"), "{:?}", answer.text);
        return Outcome::EndsStreams;
    }
    drop(answer);
    let ends = async { stopped.await.unwrap() };
    match happens(ends, expected == Outcome::Waits).await {
        true => Outcome::Waits,
        false => Outcome::WaitsOn,
    }
}
