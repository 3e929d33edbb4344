//! Measures a hub with Redis, beside a client that calls the same script by itself: many events at the same time,
//! groups, and lone events. It also measures how long the clients of a server that has ended take to resume at another
//! one.

use std::future::Future;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, ProtocolVersion, Script, Value};
use helios::SseHub;
use helios::backplane::{Backplane, BackplaneSink, NodeId, Publish, Startup};
use helios::redis::Redis;
use helios::sse::{Decoded, Decoder, HistoryLimits};
use helios_benches::Error;
use helios_benches::cores::own_cpu;
use http_body_util::BodyExt;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::log::{SIZE, TOGETHER, WINDOW, lone, tell_rate};

/// The prefix of its scenarios' names.
pub(crate) const GROUP: &str = "redis";

/// How many groups of [`TOGETHER`] events are in flight.
const GROUPS: u64 = 4;

/// The default limits on a topic's history.
const LIMITS: HistoryLimits = HistoryLimits {
    events: 4_096,
    age: Duration::from_secs(300),
};

/// The clients that resume, the topics in all, the topics of each client, and the events missed of each.
const CLIENTS: usize = 10_000;
const TOPICS: usize = 1_000;
const EACH: usize = 10;
const MISSED: usize = 2;

/// A Redis server that ends with this process, even if the process is killed. For that it waits for the end of a pipe.
pub(crate) struct Server {
    port: u16,
    _waits: Child,
}

const UNTIL_THE_END: &str = r#"redis-server "$@" >/dev/null & read _; kill $!"#;

/// Checks that Redis is installed.
pub(crate) fn check() -> Result<(), Error> {
    let version = Command::new("redis-server").arg("--version").output();
    version
        .map(drop)
        .map_err(|error| format!("redis-server is needed: {error}").into())
}

impl Server {
    pub(crate) fn start() -> Result<Self, Error> {
        check()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new("taskset");
        // On either core, so that a measured server does not wait for it.
        command.args(["--cpu-list", "0,1", "sh", "-c", UNTIL_THE_END, "sh"]);
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            "/tmp",
            "--port",
        ]);
        let waits = command
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .spawn()?;
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > until {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self {
            port,
            _waits: waits,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn backplane(&self) -> Redis {
        Redis::connect(self.url())
    }

    /// Returns a started backplane. With readers, its node watches the topic, so that all events come back.
    async fn started(&self, has_readers: bool) -> Result<Arc<Redis>, Error> {
        let redis = Arc::new(self.backplane());
        let node = NodeId::new(1).ok_or("no id of a node")?;
        redis
            .start(Startup::new(node, BackplaneSink::new(|_| true)))
            .await?;
        if has_readers {
            redis.watch(&["news"]).await?;
        }
        Ok(redis)
    }

    async fn raw(&self) -> Result<Raw, Error> {
        let info = ::redis::IntoConnectionInfo::into_connection_info(self.url())?;
        let settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        let tcp = ::redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let client = Client::open(info.set_redis_settings(settings).set_tcp_settings(tcp))?;
        let raw = Raw {
            connection: client.get_multiplexed_async_connection().await?,
            script: Arc::new(Script::new(concat!(
                include_str!("../../helios-redis/src/scripts/sequence.lua"),
                include_str!("../../helios-redis/src/scripts/publish.lua")
            ))),
            text: [b'x'; SIZE],
        };
        raw.publish(1).await?;
        Ok(raw)
    }
}

/// Calls the script of the backplane and ignores its result.
#[derive(Clone)]
struct Raw {
    connection: MultiplexedConnection,
    script: Arc<Script>,
    text: [u8; SIZE],
}

impl Raw {
    async fn publish(&self, events: u64) -> Result<(), Error> {
        let mut call = self.script.key("{helios}:m");
        call.arg("{helios}:")
            .arg("run")
            .arg(7)
            .arg(0)
            .arg(0)
            .arg(0)
            .arg(120_000);
        for _ in 0..events {
            call.arg("news")
                .arg("")
                .arg(0)
                .arg(LIMITS.events)
                .arg(300_000)
                .arg(&self.text[..]);
        }
        let mut connection = self.connection.clone();
        call.invoke_async::<Vec<Value>>(&mut connection).await?;
        Ok(())
    }
}

fn event() -> Publish<'static> {
    Publish::new("news", vec![b'x'; SIZE].into(), LIMITS)
}

async fn publish_group(redis: &Redis) -> Result<(), Error> {
    let events = (0..TOGETHER).map(|_| event()).collect();
    for answer in redis.publish_all(events).await {
        answer?;
    }
    Ok(())
}

/// Calls from all tasks for this time. Returns the number of calls.
async fn call_for<F>(
    time: Duration,
    tasks: u64,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> Result<u64, Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let until = Instant::now() + time;
    let mut callers = JoinSet::new();
    for _ in 0..tasks {
        let call = call.clone();
        callers.spawn(async move {
            let mut calls = 0;
            while Instant::now() < until {
                call().await?;
                calls += 1;
            }
            Ok::<u64, Error>(calls)
        });
    }
    let mut all = 0;
    while let Some(calls) = callers.join_next().await {
        all += calls??;
    }
    Ok(all)
}

/// Prints the events a second, for calls that publish `each` events.
async fn rate<F>(
    tasks: u64,
    each: u64,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    call_for(WINDOW / 2, tasks, call.clone()).await?;
    let (began, cpu) = (Instant::now(), own_cpu()?);
    let calls = call_for(WINDOW, tasks, call).await?;
    tell_rate(calls * each, began, cpu)
}

/// Measures events a second through the backplane, with a waiting publisher for each.
pub(crate) fn together(runtime: &Runtime, has_readers: bool) -> Result<(), Error> {
    let server = Server::start()?;
    runtime.block_on(async {
        let redis = server.started(has_readers).await?;
        let publish = move || {
            let redis = Arc::clone(&redis);
            async move { Ok(redis.publish(event()).await.map(drop)?) }
        };
        rate(TOGETHER, 1, publish).await
    })
}

pub(crate) fn raw_together(runtime: &Runtime) -> Result<(), Error> {
    let server = Server::start()?;
    runtime.block_on(async {
        let raw = server.raw().await?;
        let publish = move || {
            let raw = raw.clone();
            async move { raw.publish(1).await }
        };
        rate(TOGETHER, 1, publish).await
    })
}

/// Measures events a second in groups.
pub(crate) fn in_groups(runtime: &Runtime, has_readers: bool) -> Result<(), Error> {
    let server = Server::start()?;
    runtime.block_on(async {
        let redis = server.started(has_readers).await?;
        let publish = move || {
            let redis = Arc::clone(&redis);
            async move { publish_group(&redis).await }
        };
        rate(GROUPS, TOGETHER, publish).await
    })
}

pub(crate) fn raw_in_groups(runtime: &Runtime) -> Result<(), Error> {
    let server = Server::start()?;
    runtime.block_on(async {
        let raw = server.raw().await?;
        let publish = move || {
            let raw = raw.clone();
            async move { raw.publish(TOGETHER).await }
        };
        rate(GROUPS, TOGETHER, publish).await
    })
}

/// Measures the milliseconds of one event.
pub(crate) fn alone(runtime: &Runtime) -> Result<(), Error> {
    let server = Server::start()?;
    runtime.block_on(async {
        let redis = server.started(true).await?;
        lone(async |_| Ok(redis.publish(event()).await.map(drop)?)).await
    })
}

pub(crate) fn raw_alone(runtime: &Runtime) -> Result<(), Error> {
    let server = Server::start()?;
    runtime.block_on(async {
        let raw = server.raw().await?;
        lone(async |_| raw.publish(1).await).await
    })
}

fn topic(n: usize) -> String {
    format!("t{}", n % TOPICS)
}

/// Publishes `events` events to each topic.
async fn publish_to_all(hub: &SseHub, events: usize) -> Result<(), Error> {
    let names: Vec<_> = (0..TOPICS * events).map(topic).collect();
    for names in names.chunks(TOGETHER as usize) {
        let events = names.iter().map(|name| (name.as_str(), "x".repeat(SIZE)));
        for answer in hub.sse().publish_all(events).await {
            answer?;
        }
    }
    Ok(())
}

/// Resumes with an id, and reads the missed events. Returns how often it was reset.
async fn come_back(hub: Arc<SseHub>, client: usize, last: String) -> Result<usize, Error> {
    let topics: Vec<_> = (0..EACH).map(|n| topic(client * EACH + n)).collect();
    let stream = hub.sse().subscribe(topics).await?;
    let head = http::Request::get("/")
        .header("last-event-id", last)
        .body(())?;
    let mut body = hub.respond(head.into_parts().0, stream).await.into_body();
    let (mut decoder, mut read, mut resets) = (Decoder::new(), 0, 0);
    while read < EACH * MISSED && resets == 0 {
        let frame = body.frame().await.ok_or("the stream has ended")??;
        decoder.feed(frame.data_ref().ok_or("no data")?)?;
        while let Some(item) = decoder.next_item() {
            let Decoded::Event(event) = item else {
                continue;
            };
            match &*event.event {
                "message" => read += 1,
                "helios:reset" => resets += 1,
                "helios:ready" => {}
                other => return Err(format!("`{other}` instead of what was missed").into()),
            }
        }
    }
    Ok(resets)
}

/// Measures the seconds until all clients have the events they missed. With several servers, each client resumes at
/// another one than before.
async fn resume(
    before: SseHub,
    after: impl AsyncFnOnce(SseHub) -> Result<SseHub, Error>,
) -> Result<(), Error> {
    publish_to_all(&before, 1).await?;
    let last = before
        .sse()
        .publish("t0", "the last event seen")
        .await?
        .to_string();
    publish_to_all(&before, MISSED).await?;
    let hub = Arc::new(after(before).await?);
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(come_back(Arc::clone(&hub), client, last.clone()));
    }
    let mut resets = 0;
    while let Some(client) = clients.join_next().await {
        resets += client??;
    }
    println!("{} {resets}", began.elapsed().as_secs_f64());
    Ok(())
}

pub(crate) fn resumed(runtime: &Runtime) -> Result<(), Error> {
    let server = Server::start()?;
    runtime.block_on(async {
        let hub = async || Ok::<_, Error>(SseHub::behind(server.backplane(), |_| {}).await?);
        resume(hub().await?, async |before| {
            before.shutdown(Duration::ZERO).await;
            hub().await
        })
        .await
    })
}

pub(crate) fn resumed_alone(runtime: &Runtime) -> Result<(), Error> {
    runtime.block_on(resume(SseHub::new(), async |before| Ok(before)))
}
