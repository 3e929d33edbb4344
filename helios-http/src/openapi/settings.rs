//! [`OpenApi`], the settings of the document.

use crate::openapi::describe::About;

/// Settings of the OpenAPI document for [`Helios::openapi`](crate::Helios::openapi): where it is served, and what it
/// says about the app as a whole. A path alone is enough.
///
/// ```
/// use helios::openapi::OpenApi;
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Clock;
///
/// #[controller(prefix = "clock")]
/// impl Clock {
///     /// Returns the time.
///     #[get("{zone}")]
///     fn zone(&self, #[param] zone: String) -> String {
///         format!("it is late in {zone}")
///     }
/// }
///
/// #[server(controllers = [Clock])]
/// struct App;
///
/// let openapi = OpenApi::at("/openapi.json")
///     .title("Clocks")
///     .version("2.1.0")
///     .description("What time it is, anywhere.")
///     .page("/docs");
/// let app = Helios::new(App).openapi(openapi);
/// # #[tokio::main(flavor = "current_thread")] async fn run(app: Helios) {
/// # let app = helios::testing::TestApp::start(app).unwrap();
/// let document: serde_json::Value = app.get("/openapi.json").await.json();
/// assert_eq!(document["info"]["title"], "Clocks");
/// assert_eq!(document["paths"]["/clock/{zone}"]["get"]["summary"], "Returns the time.");
/// assert_eq!(app.get("/openapi-3.1.json").await.json::<serde_json::Value>()["openapi"], "3.1.1");
/// # }
/// # run(app);
/// ```
#[derive(Clone, Debug)]
#[must_use = "hand it to `Helios::openapi`"]
pub struct OpenApi {
    pub(crate) path: String,
    pub(crate) page: Option<String>,
    pub(crate) script: Script,
    pub(crate) title: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) servers: Vec<String>,
}

/// The script that shows the document on the page.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) url: String,
    /// `None` for a script of the app's own.
    pub(crate) integrity: Option<&'static str>,
}

/// One version of Scalar. The page names it together with its hash.
const SCALAR: &str =
    "https://cdn.jsdelivr.net/npm/@scalar/api-reference@1.76.0/dist/browser/standalone.js";
const SCALAR_HASH: &str = "sha384-oH1C0RwqcwbVXkC+r8A+4qRoyEUQdtxAzOwumkxZtQBBcsy61FOoPt7B50OVJYYQ";

impl OpenApi {
    /// Serves the document of OpenAPI 3.2 at `path`. The one of 3.1, for programs that do not support 3.2 yet, is
    /// served beside it. For `/openapi.json` that is `/openapi-3.1.json`.
    pub fn at(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            page: None,
            script: Script {
                url: SCALAR.to_owned(),
                integrity: Some(SCALAR_HASH),
            },
            title: None,
            version: None,
            description: None,
            servers: Vec::new(),
        }
    }

    /// Serves a page for people at `path`. It shows the document with [Scalar](https://scalar.com). It loads exactly
    /// one version from jsDelivr, which it checks by its hash. [`OpenApi::script`] names a copy of your own. Default:
    /// no page.
    pub fn page(mut self, path: impl Into<String>) -> Self {
        self.page = Some(path.into());
        self
    }

    /// Loads the page's script from `url`, such as `/static/scalar.js`, instead of jsDelivr.
    ///
    /// ```
    /// use helios::openapi::OpenApi;
    ///
    /// let openapi = OpenApi::at("/openapi.json").page("/docs").script("/static/scalar.js");
    /// ```
    pub fn script(mut self, url: impl Into<String>) -> Self {
        self.script = Script {
            url: url.into(),
            integrity: None,
        };
        self
    }

    /// Sets the name of the API. Default: the name of the package with the `#[server]`.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets the version of the API. Default: the version of the package.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Describes the API, in Markdown.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds a URL below which the API is served, such as `https://api.example.org`. Default: the server of the
    /// document.
    pub fn server(mut self, url: impl Into<String>) -> Self {
        self.servers.push(url.into());
        self
    }

    /// Returns the path of the document of 3.1.
    pub(crate) fn path_of_3_1(&self) -> String {
        match self.path.rsplit_once('.') {
            Some((before, ending)) if !ending.contains('/') => format!("{before}-3.1.{ending}"),
            _ => format!("{}-3.1", self.path),
        }
    }

    pub(crate) fn title_or(&self, about: About) -> &str {
        self.title.as_deref().unwrap_or(about.title)
    }

    pub(crate) fn version_or(&self, about: About) -> &str {
        self.version.as_deref().unwrap_or(about.version)
    }
}

impl Default for OpenApi {
    /// Same as [`OpenApi::at`] with `/openapi.json`.
    fn default() -> Self {
        Self::at("/openapi.json")
    }
}

impl From<&str> for OpenApi {
    fn from(path: &str) -> Self {
        Self::at(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_document_is_named_after_the_newer() {
        assert_eq!(
            OpenApi::at("/openapi.json").path_of_3_1(),
            "/openapi-3.1.json"
        );
        assert_eq!(OpenApi::at("/v1.2/api").path_of_3_1(), "/v1.2/api-3.1");
    }
}
