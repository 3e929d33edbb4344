//! A chat with rooms and the people in them. Nothing is missing when the network or the server comes back.
//!
//! ```text
//! cargo run --example chat     # open it in two windows; kill it, start it again
//! curl -N 'http://127.0.0.1:3000/rooms/tea?name=ann'
//! ```
//!
//! A page that comes back gets the events that it has missed from the hub's history. A new page gets the latest messages from the
//! app, which keeps them in `chat.json`. So does a page that was away for longer than the history, or during a restart.
//!
//! The page, `page.js`, reads its room with the TypeScript client. `paths.d.ts` has the types of the server's document, and a test
//! checks the page against them. After a change to the routes or events, this command writes the types again:
//!
//! ```text
//! TYPES=overwrite cargo test --test openapi page_of_the_chat -- --ignored
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use garde::Validate;
use helios::prelude::*;
use helios::sse::{Member, PresentMember, SseOptions};
use serde::{Deserialize, Serialize};

/// The rooms are fixed, since visitors who could create rooms could fill the memory.
const ROOMS: [&str; 3] = ["lobby", "rust", "tea"];

/// The messages that the app keeps of each room.
const KEPT: usize = 100;

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Message {
    /// Counts within the room, so that the page shows a message once.
    id: u64,
    #[serde(default)]
    key: Option<String>,
    name: String,
    text: String,
}

/// Visitors choose their own names. `auth.rs` shows how to know who somebody is.
#[derive(Deserialize, Validate, JsonSchema)]
struct Visitor {
    #[garde(length(chars, min = 1, max = 30))]
    name: String,
}

#[derive(Deserialize, Validate, JsonSchema)]
struct NewMessage {
    /// The page makes the key. If it cannot know whether its message has arrived, it sends it again with the same key.
    #[garde(length(max = 40))]
    key: Option<String>,
    #[garde(length(chars, min = 1, max = 30))]
    name: String,
    #[garde(length(chars, min = 1, max = 500))]
    text: String,
}

/// The events of a room. Helios itself sends `helios:joined` and `helios:left`.
#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum RoomEvent {
    /// Everybody who is in the room.
    People(Vec<PresentMember>),
    Said(Message),
}

/// The latest messages of each room, in a small file in place of a database.
pub(crate) struct Store {
    file: PathBuf,
    rooms: Mutex<BTreeMap<String, VecDeque<Message>>>,
}

impl Store {
    pub(crate) fn open(file: PathBuf) -> io::Result<Self> {
        let rooms = match file.exists() {
            true => Mutex::new(serde_json::from_slice(&fs::read(&file)?)?),
            false => Mutex::default(),
        };
        Ok(Self { file, rooms })
    }

    /// Adds a message. If it was sent before, returns the first copy.
    fn add(&self, room: &str, new: NewMessage) -> io::Result<Message> {
        let NewMessage { key, name, text } = new;
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = rooms.clone();
        let messages = changed.entry(room.to_owned()).or_default();
        let sent_before = |kept: &&Message| kept.key.is_some() && kept.key == key;
        if let Some(kept) = messages.iter().find(sent_before) {
            return Ok(kept.clone());
        }
        let id = messages.back().map_or(1, |last| last.id + 1);
        let message = Message {
            id,
            key,
            name,
            text,
        };
        messages.push_back(message.clone());
        if messages.len() > KEPT {
            messages.pop_front();
        }
        // `rename` replaces the file in one step, so a killed process leaves the old or the new one.
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_vec(&changed)?)?;
        fs::rename(new, &self.file)?;
        *rooms = changed;
        Ok(message)
    }

    fn last(&self, room: &str) -> VecDeque<Message> {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.get(room).cloned().unwrap_or_default()
    }
}

/// The room of a connection.
#[derive(Clone)]
struct Room(&'static str);

/// Turns presence on in all rooms.
pub(crate) fn options(sse: &mut SseOptions) {
    sse.presence = ROOMS.map(String::from).into();
}

#[derive(Injectable)]
pub(crate) struct Rooms {
    store: Arc<Store>,
    sse: SseService,
}

#[controller(prefix = "rooms")]
impl Rooms {
    #[sse("{room}", events = RoomEvent)]
    async fn enter(
        &self,
        #[param] room: &str,
        visitor: Query<Visitor>,
    ) -> Result<SseStream, HttpError> {
        let (room, name) = (known(room)?, visitor.0.name);
        let client = self.sse.subscribe([room]).await?;
        client.appear(room, Member::new(name)).await?;
        client.insert(Room(room));
        Ok(client)
    }

    /// Lists the people in a room. No event says that somebody has come back in time, so a page asks here about those who are away.
    #[get("{room}/people")]
    async fn people(&self, #[param] room: &str) -> Result<Json<Vec<PresentMember>>, HttpError> {
        let here = self.sse.present(known(room)?).await?;
        Ok(Json(here.members().to_vec()))
    }

    #[post("{room}")]
    async fn say(&self, #[param] room: &str, #[body] message: NewMessage) -> Result<(), HttpError> {
        let (room, store, sse) = (known(room)?, Arc::clone(&self.store), self.sse.clone());
        // A request is dropped when its client leaves. The task makes sure that a message is both kept and published.
        let said = tokio::spawn(async move {
            let message = store.add(room, message).map_err(internal)?;
            sse.publish(room, RoomEvent::Said(message)).await?;
            Ok(())
        });
        said.await.map_err(internal)?
    }

    /// Sends the people and the latest messages. They come before everything that is published from now on.
    #[on_sse_snapshot]
    async fn last_messages(&self, client: SseStream) -> Result<(), HttpError> {
        let nowhere = || HttpError::internal("the connection has no room");
        let Room(room) = client.get().ok_or_else(nowhere)?;
        let people = self.sse.present(room).await?.members().to_vec();
        client.send(RoomEvent::People(people)).await?;
        for message in self.store.last(room) {
            client.send(RoomEvent::Said(message)).await?;
        }
        Ok(())
    }
}

fn known(room: &str) -> Result<&'static str, HttpError> {
    let known = ROOMS.into_iter().find(|known| *known == room);
    known.ok_or_else(|| HttpError::not_found("there is no such room"))
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> HttpError {
    HttpError::internal("the message could not be kept").with_source(error)
}

#[derive(Injectable)]
pub(crate) struct Page;

#[controller]
impl Page {
    #[get]
    fn index(&self) -> Html<&str> {
        Html(include_str!("page.html"))
    }

    #[get("page.js")]
    #[header("content-type", "text/javascript")]
    fn script(&self) -> &str {
        include_str!("page.js")
    }

    #[get("helios-sse-client.js")]
    #[header("content-type", "text/javascript")]
    fn client(&self) -> &str {
        include_str!("../helios-sse-client.js")
    }

    #[get("look.css")]
    #[header("content-type", "text/css")]
    fn look(&self) -> &str {
        include_str!("../look.css")
    }
}

#[server(controllers = [Rooms, Page], sse(enabled = true), port = 3000)]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open("chat.json".into())?;
    let app = Helios::new(App).sse_options(options).provide(store);
    Ok(app.listen().await?)
}
