//! Model registries for tests: they page and answer as MLflow and Kubeflow Model Registry do, as far as those are asked.
//!
//! Nothing here uses the crate under test, so that an error there cannot hide itself.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Items on a page, whatever is asked for.
const PAGE: usize = 2;

/// A registry on a port of its own. Closed when dropped.
pub struct Registry {
    shared: Arc<Shared>,
    address: SocketAddr,
    door: Option<JoinHandle<()>>,
}

struct Shared {
    token: Option<String>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// As an MLflow shows them.
    versions: Vec<Value>,
    /// Model, alias, version.
    aliases: Vec<(String, String, String)>,
    polls: usize,
}

impl Registry {
    /// One that wants this bearer token, if any.
    pub async fn start(token: Option<&str>) -> Self {
        let shared = Arc::new(Shared { token: token.map(str::to_owned), book: Mutex::default() });
        let mut registry = Self { shared, address: SocketAddr::from(([127, 0, 0, 1], 0)), door: None };
        registry.open().await;
        registry
    }

    /// Opens the port again.
    pub async fn open(&mut self) {
        let router = Router::new()
            .route("/api/2.0/mlflow/model-versions/search", get(mlflow_versions))
            .route("/api/2.0/mlflow/registered-models/search", get(mlflow_models))
            .route("/api/model_registry/v1alpha3/model_versions", get(kubeflow_versions))
            .route("/api/model_registry/v1alpha3/registered_models", get(kubeflow_models))
            .with_state(self.shared.clone());
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.door = Some(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
    }

    /// Closes the port.
    pub async fn close(&mut self) {
        if let Some(door) = self.door.take() {
            door.abort();
            let _ = door.await;
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often the first page of the versions was asked for.
    pub fn polls(&self) -> usize {
        self.shared.book().polls
    }

    /// Registers a version that is so many hours old.
    pub fn version(&self, model: &str, version: &str, hours: i64) {
        let created = jiff::Timestamp::now().as_millisecond() - hours * 3_600_000;
        self.shared.book().versions.push(json!({"name": model, "version": version, "creation_timestamp": created,
            "last_updated_timestamp": created, "current_stage": "None", "status": "READY",
            "tags": [{"key": "team", "value": "vision"}]}));
    }

    /// Sets a tag. As in MLflow, that is no change of the version.
    pub fn tag(&self, model: &str, version: &str, key: &str, value: &str) {
        self.change(model, version, |it| {
            it["tags"].as_array_mut().unwrap().push(json!({"key": key, "value": value}));
        });
    }

    /// Sets the status, which is a change of the version.
    pub fn status(&self, model: &str, version: &str, status: &str) {
        self.change(model, version, |it| {
            it["status"] = json!(status);
            it["last_updated_timestamp"] = json!(jiff::Timestamp::now().as_millisecond());
        });
    }

    /// Gives a version an alias.
    pub fn alias(&self, model: &str, alias: &str, version: &str) {
        let mut book = self.shared.book();
        book.aliases.retain(|(of, known, _)| !(of == model && known == alias));
        book.aliases.push((model.to_owned(), alias.to_owned(), version.to_owned()));
    }

    fn change(&self, model: &str, version: &str, change: impl FnOnce(&mut Value)) {
        let mut book = self.shared.book();
        let found = book.versions.iter_mut().find(|it| it["name"] == model && it["version"] == version);
        change(found.expect("there is no such version"));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(door) = self.door.take() {
            door.abort();
        }
    }
}

impl Shared {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Asked = (State<Arc<Shared>>, HeaderMap, Uri);

fn query(uri: &Uri) -> HashMap<String, String> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// The page that is asked for, or a refusal.
fn page((State(shared), headers, uri): &Asked, items: Vec<Value>, names: [&str; 3]) -> Response {
    let [list, next, asked] = names;
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    if let Some(token) = &shared.token
        && authorization != Some(&format!("Bearer {token}"))
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let start: usize = query(uri).get(asked).map_or(0, |token| token.trim_start_matches("after-").parse().unwrap());
    let end = items.len().min(start + PAGE);
    let mut answer = json!({});
    // As from protobuf: what is empty is left out.
    if start < end {
        answer[list] = items[start..end].to_vec().into();
    }
    if end < items.len() {
        answer[next] = json!(format!("after-{end}"));
    }
    Json(answer).into_response()
}

const MLFLOW_VERSIONS: [&str; 3] = ["model_versions", "next_page_token", "page_token"];
const MLFLOW_MODELS: [&str; 3] = ["registered_models", "next_page_token", "page_token"];
const KUBEFLOW: [&str; 3] = ["items", "nextPageToken", "nextPageToken"];

async fn mlflow_versions(state: State<Arc<Shared>>, headers: HeaderMap, uri: Uri) -> Response {
    let versions = state.count(&uri);
    page(&(state, headers, uri), versions, MLFLOW_VERSIONS)
}

async fn mlflow_models(state: State<Arc<Shared>>, headers: HeaderMap, uri: Uri) -> Response {
    let models = state.models();
    let aliases = state.book().aliases.clone();
    let of = |model: &String| {
        let own = aliases.iter().filter(|(of, _, _)| of == model);
        let own: Vec<Value> = own.map(|(_, alias, version)| json!({"alias": alias, "version": version})).collect();
        json!({"name": model, "aliases": own})
    };
    let models = models.iter().map(of).collect();
    page(&(state, headers, uri), models, MLFLOW_MODELS)
}

async fn kubeflow_versions(state: State<Arc<Shared>>, headers: HeaderMap, uri: Uri) -> Response {
    let models = state.models();
    let one = |version: Value| {
        let id = models.iter().position(|model| version["name"] == json!(model)).unwrap();
        let tags = version["tags"].as_array().unwrap().iter();
        let property = |tag: &Value| {
            let value = json!({"metadataType": "MetadataStringValue", "string_value": tag["value"]});
            (tag["key"].as_str().unwrap().to_owned(), value)
        };
        json!({"id": "9", "registeredModelId": id.to_string(), "name": version["version"],
            "state": if version["status"] == "READY" { json!("LIVE") } else { version["status"].clone() },
            "createTimeSinceEpoch": version["creation_timestamp"].to_string(),
            "lastUpdateTimeSinceEpoch": version["last_updated_timestamp"].to_string(),
            "customProperties": tags.map(property).collect::<serde_json::Map<_, _>>()})
    };
    let versions = state.count(&uri).into_iter().map(one).collect();
    page(&(state, headers, uri), versions, KUBEFLOW)
}

async fn kubeflow_models(state: State<Arc<Shared>>, headers: HeaderMap, uri: Uri) -> Response {
    let models = state.models().into_iter().enumerate();
    let models = models.map(|(id, name)| json!({"id": id.to_string(), "name": name, "state": "LIVE"})).collect();
    page(&(state, headers, uri), models, KUBEFLOW)
}

impl Shared {
    /// The versions, the youngest first; counts the poll that asks for their first page.
    fn count(&self, uri: &Uri) -> Vec<Value> {
        let query = query(uri);
        let mut book = self.book();
        book.polls += usize::from(!query.contains_key("page_token") && !query.contains_key("nextPageToken"));
        let mut versions = book.versions.clone();
        versions.sort_by_key(|version| -version["creation_timestamp"].as_i64().unwrap());
        versions
    }

    fn models(&self) -> Vec<String> {
        let book = self.book();
        let mut names: Vec<String> =
            book.versions.iter().map(|version| version["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }
}
