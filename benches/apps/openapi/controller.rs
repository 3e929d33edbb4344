use helios::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct ItemNUMBER {
    id: u64,
    name: String,
    tags: Vec<String>,
    note: Option<NoteNUMBER>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct NoteNUMBER {
    at: Option<u32>,
    text: String,
}

#[derive(Injectable)]
pub struct ItemsNUMBER;

pub use ItemsNUMBER as Items;

#[controller(prefix = "itemsNUMBER")]
impl ItemsNUMBER {
    #[get]
    fn list(&self, #[query(default = 20)] size: usize) -> Vec<ItemNUMBER> {
        Vec::with_capacity(size)
    }

    #[get("{id}")]
    fn find(&self, #[param] id: u64) -> Result<Json<ItemNUMBER>, HttpError> {
        Err(HttpError::not_found(format!("VERSION {id}")))
    }

    #[post]
    fn create(&self, #[body] item: ItemNUMBER) -> Json<ItemNUMBER> {
        Json(item)
    }

    #[put("{id}")]
    fn replace(&self, #[param] id: u64, #[body] item: ItemNUMBER) -> Json<ItemNUMBER> {
        Json(ItemNUMBER { id, ..item })
    }

    #[delete("{id}")]
    fn remove(&self, #[param] id: u64) {
        let _ = id;
    }

    #[get("{id}/note")]
    fn note(&self, #[param] id: u64) -> Option<Json<NoteNUMBER>> {
        (id > 0).then(|| Json(NoteNUMBER { at: None, text: id.to_string() }))
    }

    #[post("{id}/note")]
    fn annotate(&self, #[param] id: u64, #[body] note: NoteNUMBER) -> Json<NoteNUMBER> {
        let _ = id;
        Json(note)
    }

    #[get("notes")]
    fn notes(&self) -> Json<Vec<NoteNUMBER>> {
        Json(Vec::new())
    }

    #[get("name")]
    fn name(&self) -> String {
        String::new()
    }

    #[get("trace")]
    fn trace(&self, #[header] x_trace: Option<String>) -> String {
        x_trace.unwrap_or_default()
    }
}
