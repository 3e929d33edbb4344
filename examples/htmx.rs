//! A to-do list that all tabs share, with htmx. Each change reaches them as a fragment of HTML over an event stream.
//!
//! ```text
//! cargo run --example htmx     # open it in two windows; kill it, start it again
//! curl -N http://127.0.0.1:3000/todos
//! ```
//!
//! htmx and its extension for event streams come from a CDN. A page that is new, or that has missed something, gets the
//! whole list. All other pages get only what has changed, as out-of-band swaps.

use std::fmt::Write;

use garde::Validate;
use helios::http::SameOrigin;
use helios::prelude::*;
use serde::Deserialize;
use tokio::sync::Mutex;

const TOPIC: &str = "todos";

/// The most todos on the list, since anybody can add to it.
const MOST: usize = 100;

#[derive(Clone)]
struct Todo {
    id: u64,
    text: String,
    done: bool,
}

#[derive(Default)]
struct List {
    /// Ids are never reused, so a late request from a page cannot hit another todo.
    next: u64,
    todos: Vec<Todo>,
}

#[derive(Deserialize, Validate, JsonSchema)]
struct NewTodo {
    #[garde(length(chars, min = 1, max = 200))]
    text: String,
}

#[derive(Injectable)]
pub(crate) struct Todos {
    sse: SseService,
    #[inject(default)]
    list: Mutex<List>,
}

#[controller(prefix = "todos")]
impl Todos {
    #[sse(events = String)]
    async fn follow(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe([TOPIC]).await
    }

    /// Sends the whole list to a page before any change. Changes wait until the snapshot is complete.
    #[on_sse_snapshot]
    async fn whole(&self, page: SseStream) -> Result<(), SseError> {
        let list = self.list.lock().await;
        let items: String = list.todos.iter().map(|todo| item(todo, "")).collect();
        page.send(fragment("innerHTML", &items)).await
    }

    #[post]
    async fn add(&self, #[body(form)] new: NewTodo) -> Result<(), HttpError> {
        let mut list = self.list.lock().await;
        if list.todos.len() >= MOST {
            return Err(HttpError::conflict("the list is full"));
        }
        let id = list.next;
        let todo = Todo {
            id,
            text: new.text,
            done: false,
        };
        self.tell(fragment("beforeend", &item(&todo, ""))).await?;
        list.todos.push(todo);
        list.next += 1;
        Ok(())
    }

    #[patch("{id}")]
    async fn toggle(&self, #[param] id: u64) -> Result<(), HttpError> {
        let mut list = self.list.lock().await;
        let todo = list
            .todos
            .iter_mut()
            .find(|todo| todo.id == id)
            .ok_or_else(gone)?;
        let toggled = Todo {
            done: !todo.done,
            ..todo.clone()
        };
        self.tell(item(&toggled, r#" hx-swap-oob="true""#)).await?;
        *todo = toggled;
        Ok(())
    }

    #[delete("{id}")]
    async fn remove(&self, #[param] id: u64) -> Result<(), HttpError> {
        let mut list = self.list.lock().await;
        let place = list
            .todos
            .iter()
            .position(|todo| todo.id == id)
            .ok_or_else(gone)?;
        self.tell(format!(r#"<li id="todo-{id}" hx-swap-oob="delete"></li>"#))
            .await?;
        list.todos.remove(place);
        Ok(())
    }
}

impl Todos {
    /// Publishes a change before it is stored, so a change that cannot be published does not happen. The caller holds
    /// the lock on the list, so that pages receive changes in order.
    async fn tell(&self, html: String) -> Result<(), HttpError> {
        self.sse.publish(TOPIC, html).await?;
        Ok(())
    }
}

fn gone() -> HttpError {
    HttpError::not_found("it is not on the list any more")
}

/// Returns the markup with which htmx adds items to the list or replaces them.
fn fragment(how: &str, items: &str) -> String {
    format!(r#"<ul id="todos" hx-swap-oob="{how}">{items}</ul>"#)
}

fn item(todo: &Todo, more: &str) -> String {
    let (id, text) = (todo.id, escaped(&todo.text));
    let checked = if todo.done { " checked" } else { "" };
    format!(
        r#"<li id="todo-{id}"{more}>
  <label><input type="checkbox" hx-patch="/todos/{id}"{checked}> <span>{text}</span></label>
  <button class="plain" hx-delete="/todos/{id}" aria-label="Delete {text}">Delete</button>
</li>"#
    )
}

/// Escapes what people write, for use as text and in attributes. A template engine (askama, maud, minijinja) does this
/// for you.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, char| {
        match char {
            '&' | '<' | '>' | '"' | '\'' => drop(write!(escaped, "&#{};", u32::from(char))),
            _ => escaped.push(char),
        }
        escaped
    })
}

#[derive(Injectable)]
pub(crate) struct Page;

#[controller]
impl Page {
    #[get]
    fn index(&self) -> Html<&str> {
        Html(include_str!("htmx.html"))
    }

    #[get("look.css")]
    #[header("content-type", "text/css")]
    fn look(&self) -> &str {
        include_str!("look.css")
    }
}

#[server(controllers = [Todos, Page], guards = [SameOrigin], sse(enabled = true), port = 3000)]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
