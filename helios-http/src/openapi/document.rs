//! The whole document, made from the descriptions of all routes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::error::StartupFault;
use crate::openapi::describe::About;
use crate::openapi::events;
use crate::openapi::ids::{Names, names};
use crate::openapi::operation::{Operation, Whole};
use crate::openapi::settings::OpenApi;
use crate::openapi::unknown::Unknown;
use crate::openapi::writer::Writer;

/// The OpenAPI document of an app's routes, from [`Helios::openapi_document`](crate::Helios::openapi_document). Its
/// `Display` writes the document of OpenAPI 3.2 as indented JSON, for a file.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Clock;
///
/// #[controller(prefix = "clock")]
/// impl Clock {
///     #[get]
///     fn now(&self) -> String { "late".to_owned() }
/// }
///
/// #[server(controllers = [Clock])]
/// struct App;
///
/// let document = Helios::new(App).openapi_document()?;
/// assert_eq!(document.v3_2()["paths"]["/clock"]["get"]["operationId"], "Clock.now");
/// assert!(document.unknown().is_empty());
/// assert!(document.to_string().starts_with("{\n"));
/// # Ok::<(), helios::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenApiDocument {
    newest: Value,
    /// Made when it is first asked for.
    of_3_1: OnceLock<Value>,
    unknown: Vec<Unknown>,
}

impl OpenApiDocument {
    /// Returns the document of OpenAPI 3.2. A stream has an `itemSchema`, whose items are events as they are sent.
    #[must_use]
    pub fn v3_2(&self) -> &Value {
        &self.newest
    }

    /// Returns the document of OpenAPI 3.1, for programs that do not support 3.2 yet. Only streams differ. Their
    /// `schema` is that of one event, and its `data` is the value that the text contains.
    #[must_use]
    pub fn v3_1(&self) -> &Value {
        self.of_3_1.get_or_init(|| {
            let mut of_3_1 = self.newest.clone();
            events::without_items(&mut of_3_1);
            of_3_1
        })
    }

    /// Lists what the document leaves open because no type says it.
    #[must_use]
    pub fn unknown(&self) -> &[Unknown] {
        &self.unknown
    }
}

impl fmt::Display for OpenApiDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.newest)
    }
}

/// Generates the document.
///
/// # Errors
///
/// Faults for operations with the same id.
pub(crate) fn document(
    operations: &[Operation],
    settings: &OpenApi,
    app: &Whole<'_>,
) -> Result<OpenApiDocument, Vec<StartupFault>> {
    let names = names(operations)?;
    let tags = tags(operations, &names);
    let mut writer = Writer::new(app);
    let paths = writer.paths(operations, names);
    let mut newest = json!({
        "openapi": "3.2.0",
        "info": info(settings, app.about),
        "servers": servers(settings),
        "tags": tags,
        "paths": {},
        "components": {},
    });
    // Inside `json!` it would be copied.
    newest["paths"] = Value::Object(paths);
    if !writer.schemes.is_empty() {
        newest["components"]["securitySchemes"] = json!(writer.schemes);
    }
    let own = events::components(app.sse);
    writer.schemas.finish(&mut newest, own);
    Ok(OpenApiDocument {
        newest,
        of_3_1: OnceLock::new(),
        unknown: writer.unknown,
    })
}

fn info(settings: &OpenApi, about: About) -> Value {
    let mut info = json!({
        "title": settings.title_or(about),
        "version": settings.version_or(about),
    });
    if let Some(description) = &settings.description {
        info["description"] = description.as_str().into();
    }
    info
}

/// Without a setting, this is the server that serves the document. Some programs require the entry.
fn servers(settings: &OpenApi) -> Vec<Value> {
    let here = ["/".to_owned()];
    let servers = match settings.servers.is_empty() {
        true => &here[..],
        false => &settings.servers,
    };
    servers.iter().map(|url| json!({ "url": url })).collect()
}

fn tags(operations: &[Operation], names: &[Names]) -> Vec<Value> {
    let mut tags = BTreeMap::new();
    for (operation, Names { tag, .. }) in operations.iter().zip(names) {
        let docs = tags.entry(tag.as_str()).or_insert("");
        if docs.is_empty() {
            *docs = operation.mounted.docs;
        }
    }
    let tag = |(name, docs): (&str, &str)| events::described(json!({ "name": name }), docs);
    tags.into_iter().map(tag).collect()
}
