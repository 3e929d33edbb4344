//! The scenarios for every client. Each has a server of its own, and reads the client's peculiarities from the table.

use serde_json::{Value, json};

use super::pages::Frameset;
use super::process::{Request, Server};
use super::seen::{Event, Seen};
use super::table::{Client, Retry, Start};
use super::wire::Wire;

/// A client in the middle of a scenario.
struct Trial<'a> {
    client: &'a Client,
    browser: Option<&'a Frameset>,
    server: Server,
    wire: Wire,
}

const TEA: &str = "/streams/topics/tea";
/// The event that a reset hook sends.
const SNAPSHOT: &str = "event: snapshot\ndata: 0\n\n";
const HALF_A_SNAPSHOT: &str = "event: snapshot";

/// Runs all scenarios at once.
pub(crate) async fn all(client: &Client, browser: Option<&Frameset>) {
    let start = || Trial::start(client, browser);
    let scenarios = async {
        tokio::join!(
            async { start().await.cut().await },
            async { start().await.twenty_over_three_connections().await },
            async { start().await.finished().await },
            async { start().await.too_late().await },
            async { start().await.overloaded().await },
            async { start().await.sent_away().await },
            async { start().await.resumed_after_a_crash().await },
            async { start().await.reset_after_a_crash().await },
            async { start().await.cut_in_its_reset(HALF_A_SNAPSHOT).await },
            async { start().await.cut_in_its_reset(SNAPSHOT).await },
            async { start().await.cut_behind_a_greeting().await },
        );
    };
    Box::pin(scenarios).await;
}

/// Opens a plain stream by POST and resumes it, for the clients that can.
pub(crate) async fn plain(client: &Client, browser: Option<&Frameset>) {
    let trial = async { Trial::start(client, browser).await.plain().await };
    Box::pin(trial).await;
}

impl<'a> Trial<'a> {
    async fn start(client: &'a Client, browser: Option<&'a Frameset>) -> Self {
        let origin = match client.start {
            Start::Page {
                elsewhere: true, ..
            } => browser.map(Frameset::origin),
            Start::Page { .. } | Start::Program(..) => None,
        };
        let server = Server::start(origin).await;
        let wire = Wire::to(server.addr).await;
        Self {
            client,
            browser,
            server,
            wire,
        }
    }

    /// Opens a stream through the wire.
    async fn open(&self, path: &str) -> Seen {
        self.client.open(self.browser, self.wire.door, path).await
    }

    async fn open_without_wire(&self, path: &str) -> Seen {
        self.client.open(self.browser, self.server.addr, path).await
    }

    fn last_event_ids(&self) -> Vec<Option<String>> {
        let requests = self.server.requests().into_iter();
        requests.map(|request| request.last_event_id).collect()
    }

    /// The connection is cut before its first event, between two events, and in the middle of one.
    async fn cut(self) {
        let seen = self.open(TEA).await;
        seen.wait_for("helios:ready", 1).await;
        self.wire.cut();
        let mut ids = self.server.publish("tea", 1..=3).await;
        self.wire.mend();
        seen.wait_for_news(3).await;
        self.wire.cut();
        ids.extend(self.server.publish("tea", 4..=6).await);
        self.wire.mend();
        seen.wait_for_news(6).await;
        self.wire.end_behind("data: 8");
        ids.extend(self.server.publish("tea", 7..=9).await);
        seen.wait_for_news(9).await;

        let mut expected = news(1, &ids);
        if self.client.loses_half_events {
            expected.remove(7);
        }
        assert_eq!(seen.named("news"), expected, "{}", self.client.name);
        let ready = seen.named("helios:ready");
        let resumed = |event: &Event| json(event)["resumed"] == true;
        assert!(!resumed(&ready[0]) && ready[1..].iter().all(resumed));
        let known = [ready[0].id(), &ids[2]].map(|id| Some(id.to_owned()));
        let asked = self.last_event_ids();
        assert_eq!(asked[0], None);
        assert_eq!(asked[1..3], known, "{}", self.client.name);
        assert_eq!(asked.len(), 4);
    }

    async fn twenty_over_three_connections(self) {
        let seen = self.open(TEA).await;
        seen.wait_for("helios:ready", 1).await;
        let mut ids = self.server.publish("tea", 1..=5).await;
        for missed in [6..=10, 11..=15] {
            seen.wait_for_news(*missed.start() - 1).await;
            self.wire.cut();
            ids.extend(self.server.publish("tea", missed).await);
            self.wire.mend();
        }
        seen.wait_for_news(15).await;
        ids.extend(self.server.publish("tea", 16..=20).await);
        seen.wait_for_news(20).await;
        assert_eq!(seen.named("news"), news(1, &ids), "{}", self.client.name);
        assert_eq!(self.server.requests().len(), 3, "{}", self.client.name);
    }

    /// The client requests a finished stream once more, or not at all.
    async fn finished(self) {
        let seen = self.open("/streams/count/2").await;
        match self.client.stops_at_204 {
            true => seen.wait_until_closed().await,
            false => self.server.wait_for_requests(4).await,
        }
        let names = seen.events().into_iter().map(|event| event.name);
        assert_eq!(names.collect::<Vec<_>>(), ["count", "count", "helios:end"]);
        let answers = self.server.requests().into_iter();
        let answers: Vec<_> = answers.map(|it| (it.last_event_id, it.status)).collect();
        assert_eq!(answers[0], (None, 200));
        let again = (Some("helios:end".to_owned()), 204);
        assert!(answers[1..].iter().all(|answer| *answer == again));
        let asks_once_more = usize::from(!self.client.stops_at_end);
        assert!(!self.client.stops_at_204 || answers.len() == 1 + asks_once_more);
    }

    /// History does not reach back to the client's id.
    async fn too_late(self) {
        let seen = self.open("/streams/topics/brief").await;
        seen.wait_for("helios:ready", 1).await;
        let mut ids = self.server.publish("brief", 1..=2).await;
        seen.wait_for_news(2).await;
        self.wire.cut();
        self.server.publish("brief", 3..=60).await;
        self.wire.mend();
        self.was_reset(&seen, "expired", 60).await;
        ids.extend(self.server.publish("brief", 61..=61).await);
        seen.wait_for_news(61).await;
        let mut expected = news(1, &ids[..2]);
        expected.extend(news(61, &ids[2..]));
        assert_eq!(seen.named("news"), expected, "{}", self.client.name);
    }

    /// Checks for a reset, a snapshot, and a new position to resume from.
    async fn was_reset(&self, seen: &Seen, reason: &str, newest: u64) {
        seen.wait_for("helios:ready", 3).await;
        let events = seen.events();
        let at = events.iter().position(|event| event.name == "helios:reset");
        let at = at.expect("a reset");
        assert_eq!(json(&events[at])["reason"], reason);
        assert_eq!(events[at - 1].name, "helios:ready");
        assert_eq!(json(&events[at - 1])["resumed"], false);
        assert_eq!(events[at + 1].name, "snapshot");
        assert_eq!(events[at + 1].number(), newest);
        let ready = &seen.named("helios:ready")[2];
        assert!(ready.id().contains('-'), "{ready:?}");
    }

    /// An overloaded client gets a notice, reconnects, and has lost neither an event nor its place.
    async fn overloaded(self) {
        let seen = self.open(TEA).await;
        seen.wait_for("helios:ready", 1).await;
        let mut ids = self.server.publish("tea", 1..=1).await;
        seen.wait_for_news(1).await;
        self.server.set_full(true).await;
        self.wire.cut();
        ids.extend(self.server.publish("tea", 2..=2).await);
        self.wire.mend();
        seen.wait_for("helios:overloaded", 2).await;
        self.server.set_full(false).await;
        seen.wait_for_news(2).await;
        assert_eq!(seen.named("news"), news(1, &ids), "{}", self.client.name);
        assert_eq!(seen.named("helios:reset"), []);
    }

    /// A client that has to reconnect later does so at that time, not before.
    async fn sent_away(self) {
        const AFTER: u64 = 1_500;
        let seen = self.open(TEA).await;
        seen.wait_for("helios:ready", 1).await;
        let mut ids = self.server.publish("tea", 1..=1).await;
        seen.wait_for_news(1).await;
        let away_since = self.server.send_away(AFTER).await;
        ids.extend(self.server.publish("tea", 2..=2).await);
        seen.wait_for_news(2).await;
        assert_eq!(seen.named("news"), news(1, &ids), "{}", self.client.name);
        assert_eq!(seen.named("helios:reconnect").len(), 1);
        let Request { came, .. } = self.server.requests()[1];
        let least = match self.client.retry {
            Retry::Exact => AFTER,
            Retry::HalfAtLeast => AFTER / 2,
        };
        let away = came - away_since;
        assert!(away >= least - 50, "{}: {away} ms", self.client.name);
    }

    /// The ids are the stream's own, so the next process can resume it.
    async fn resumed_after_a_crash(mut self) {
        let seen = self.open_without_wire("/streams/count/60?hold=30").await;
        seen.wait_for("count", 5).await;
        if !self.restart(&seen).await {
            return;
        }
        seen.wait_for("helios:end", 1).await;
        let counts = seen.named("count");
        let numbers: Vec<_> = counts.iter().map(Event::number).collect();
        assert!(numbers.iter().copied().eq(0..60), "{numbers:?}");
        assert!(counts.iter().all(|count| count.id() == count.data));
    }

    /// The ids are of another run.
    async fn reset_after_a_crash(mut self) {
        let seen = self.open_without_wire(TEA).await;
        seen.wait_for("helios:ready", 1).await;
        let mut ids = self.server.publish("tea", 1..=2).await;
        seen.wait_for_news(2).await;
        if !self.restart(&seen).await {
            return;
        }
        self.was_reset(&seen, "epoch", 0).await;
        ids.extend(self.server.publish("tea", 3..=4).await);
        seen.wait_for_news(4).await;
        assert_eq!(seen.named("news"), news(1, &ids), "{}", self.client.name);
        let first = self.server.requests().remove(0);
        assert_eq!(first.last_event_id.as_ref(), ids.get(1));
    }

    /// The client reconnects with the id of its reset, and is reset again.
    async fn cut_in_its_reset(mut self, behind: &'static str) {
        let seen = self.open(TEA).await;
        seen.wait_for("helios:ready", 1).await;
        let ids = self.server.publish("tea", 1..=2).await;
        seen.wait_for_news(2).await;
        self.wire.cut();
        self.server.kill().await;
        self.server.start_again().await;
        self.wire.end_behind(behind);
        self.wire.mend();
        self.server.wait_for_requests(2).await;
        let known = &ids[1];
        let asked = self.last_event_ids();
        let brought = Some(known.clone());
        assert_eq!(asked, [brought.clone(), brought], "{}", self.client.name);
        seen.wait_for_a_position_other_than(known).await;
        let resets = seen.named("helios:reset").len();
        let dropped = usize::from(self.client.may_drop_at_a_break && resets == 1);
        assert_eq!(resets + dropped, 2, "{}", self.client.name);
    }

    /// The first event of the next connection has no id. The client still has the id of the connection before, or has
    /// forgotten it.
    async fn cut_behind_a_greeting(self) {
        let seen = self.open("/streams/greeted").await;
        seen.wait_for("count", 1).await;
        self.wire.end_behind("data: hello\n\n");
        self.server.send_away(100).await;
        self.server.wait_for_requests(3).await;
        let asked = self.last_event_ids();
        let asked: Vec<_> = asked.iter().map(|id| id.as_deref().unwrap_or("")).collect();
        let known = match self.client.forgets_at_a_greeting {
            true => "",
            false => "0",
        };
        assert_eq!(asked, ["", "0", known], "{}", self.client.name);
    }

    /// The connection is cut before its first event, between two events, and for longer than history reaches.
    async fn plain(self) {
        let seen = self.open("/streams/plain/brief?method=post").await;
        seen.wait_for("open", 1).await;
        self.wire.cut();
        let mut ids = self.server.publish("brief", 1..=1).await;
        self.wire.mend();
        seen.wait_for_news(1).await;
        self.wire.cut();
        ids.extend(self.server.publish("brief", 2..=3).await);
        self.wire.mend();
        seen.wait_for_news(3).await;
        self.wire.cut();
        self.server.publish("brief", 4..=60).await;
        self.wire.mend();
        seen.wait_for("open", 4).await;
        assert_eq!(seen.named("helios:reset").len(), 1);
        ids.extend(self.server.publish("brief", 61..=61).await);
        seen.wait_for_news(61).await;
        self.server.finish("brief").await;
        seen.wait_until_closed().await;

        let mut expected = news(1, &ids[..3]);
        expected.extend(news(61, &ids[3..]));
        assert_eq!(seen.named("news"), expected, "{}", self.client.name);
        let asked = self.last_event_ids();
        assert!(asked[1].is_some(), "the position of the head");
        // The log lacks the request that got a 410.
        assert_eq!(asked[2..], [Some(ids[0].clone()), None]);
    }

    /// Kills the server, and starts another one after the client was refused. Returns whether the client is still
    /// trying.
    async fn restart(&mut self, seen: &Seen) -> bool {
        self.server.kill().await;
        if !self.client.survives_refusal {
            seen.wait_until_closed().await;
            return false;
        }
        seen.wait_until_refused().await;
        assert!(!seen.has_closed());
        self.server.start_again().await;
        true
    }
}

/// Returns these events, numbered from `first`.
fn news(first: u64, ids: &[String]) -> Vec<Event> {
    let event = |(number, id): (u64, &String)| Event {
        name: "news".to_owned(),
        id: Some(id.clone()),
        data: number.to_string(),
    };
    (first..).zip(ids).map(event).collect()
}

fn json(event: &Event) -> Value {
    serde_json::from_str(&event.data).unwrap_or(json!(null))
}
