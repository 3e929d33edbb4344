//! A chat: rooms, who is in them, and nothing missing when the network or the server comes back.
//!
//! ```text
//! cargo run --example chat     # open it in two windows; kill it, start it again
//! curl -N 'http://127.0.0.1:3000/rooms/tea?name=ann'
//! ```
//!
//! What a page has missed comes from the hub's history. A new page, and one that history does not reach, after a restart for
//! one, gets the last messages that the app itself keeps, in `chat.json`.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use garde::Validate;
use helios::prelude::*;
use helios::sse::{Member, PresentMember, SseOptions};
use serde::{Deserialize, Serialize};

/// Who may make rooms may fill the memory with them, so there are these.
const ROOMS: [&str; 3] = ["lobby", "rust", "tea"];

/// Messages kept of each room.
const KEPT: usize = 100;

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Message {
    /// Counts within the room: the page shows a message once, however often it comes.
    id: u64,
    #[serde(default)]
    key: Option<String>,
    name: String,
    text: String,
}

/// A name is what somebody says it is; for who somebody is see `auth.rs`.
#[derive(Deserialize, Validate, JsonSchema)]
struct Visitor {
    #[garde(length(chars, min = 1, max = 30))]
    name: String,
}

#[derive(Deserialize, Validate, JsonSchema)]
struct NewMessage {
    /// Made by the page. One that does not know whether its message has arrived sends it again under the same key.
    #[garde(length(max = 40))]
    key: Option<String>,
    #[garde(length(chars, min = 1, max = 30))]
    name: String,
    #[garde(length(chars, min = 1, max = 500))]
    text: String,
}

/// The events of a room, beside those of its members, which Helios sends.
#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum RoomEvent {
    /// Everybody who is in the room.
    People(Vec<PresentMember>),
    Said(Message),
}

/// The last messages of each room. What would be a database is a small file here.
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

    /// Returns the message as it was kept before, if it has been sent before.
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
        // The file is the old one or the new one, whenever the process is killed.
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

/// Kept with a connection.
#[derive(Clone)]
struct Room(&'static str);

/// In all rooms it is known who is there.
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

    /// A page that shows somebody as away asks again: of one who comes back in time nothing is told.
    #[get("{room}/people")]
    async fn people(&self, #[param] room: &str) -> Result<Json<Vec<PresentMember>>, HttpError> {
        let here = self.sse.present(known(room)?).await?;
        Ok(Json(here.members().to_vec()))
    }

    #[post("{room}")]
    async fn say(&self, #[param] room: &str, #[body] message: NewMessage) -> Result<(), HttpError> {
        let (room, store, sse) = (known(room)?, Arc::clone(&self.store), self.sse.clone());
        // A task of its own: a request is dropped when its client leaves, and this is not to be half done.
        let said = tokio::spawn(async move {
            let message = store.add(room, message).map_err(internal)?;
            sse.publish(room, RoomEvent::Said(message)).await?;
            Ok(())
        });
        said.await.map_err(internal)?
    }

    /// Comes before everything that the page will see next.
    #[on_sse_snapshot]
    async fn last_messages(&self, client: SseStream) -> Result<(), HttpError> {
        let nowhere = || HttpError::internal("nobody is in this room");
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
