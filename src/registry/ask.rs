//! Asks a registry for all of its versions, page by page, within limits.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use http::{HeaderValue, Method, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::version::{Page, Version};
use super::{kubeflow, mlflow};
use crate::api::condition::Reason;
use crate::channel::client::{CallError, Client, Reply, Request};
use crate::controller::{Credentials, PollFault, Polled, Registry};

/// Longest wait for one page.
const PAGE: Duration = Duration::from_secs(10);
/// Longest time for all of them.
const WHOLE: Duration = Duration::from_mins(2);
/// Longest page, in bytes.
const LONGEST_PAGE: usize = 8 * 1024 * 1024;
/// Pages that are read at most.
const MOST_PAGES: usize = 100;

/// What a registry answered.
#[derive(Debug)]
pub struct Answer {
    /// Its versions.
    pub versions: Vec<Version>,
    /// Whether these are all.
    pub complete: bool,
}

/// Asks a registry.
///
/// # Errors
/// [`PollFault`] says what is wrong and what to do.
pub async fn ask(http: &Client, polled: &Polled, now: Timestamp) -> Result<Answer, PollFault> {
    let (base, credentials) = polled.access.clone()?;
    let asking = Asking { http, base, authorization: credentials.as_ref().and_then(authorization), now };
    let whole = async {
        match polled.registry {
            Registry::Mlflow => asking.mlflow(!polled.aliases.is_empty()).await,
            Registry::Kubeflow => asking.kubeflow().await,
        }
    };
    tokio::time::timeout(WHOLE, whole).await.unwrap_or_else(|_| {
        let message = format!("its versions could not be read within {} s; is it overloaded?", WHOLE.as_secs());
        Err(PollFault::new(Reason::RegistryUnreachable, message))
    })
}

struct Asking<'a> {
    http: &'a Client,
    base: Url,
    authorization: Option<HeaderValue>,
    now: Timestamp,
}

/// The address of a page.
type UrlOf = fn(&Url, Option<&str>) -> Url;
/// Reads a page.
type Read<T> = fn(&[u8]) -> Result<Page<T>, serde_json::Error>;

impl Asking<'_> {
    async fn mlflow(&self, with_aliases: bool) -> Result<Answer, PollFault> {
        let (mut versions, complete) = self.pages(mlflow::versions_url, mlflow::versions).await?;
        if with_aliases {
            let (models, _) = self.pages(mlflow::models_url, mlflow::aliases).await?;
            let mut aliases: HashMap<(String, String), Vec<String>> = HashMap::new();
            for (model, alias, version) in models.into_iter().flatten() {
                aliases.entry((model, version)).or_default().push(alias);
            }
            for version in &mut versions {
                let given = aliases.remove(&(version.model.clone(), version.version.clone())).unwrap_or_default();
                version.aliases.extend(given);
                version.aliases.sort();
                version.aliases.dedup();
            }
        }
        Ok(Answer { versions, complete })
    }

    async fn kubeflow(&self) -> Result<Answer, PollFault> {
        let (listed, complete) = self.pages(kubeflow::versions_url, kubeflow::versions).await?;
        // After the versions: then every one of them finds its model.
        let (models, _) = self.pages(kubeflow::models_url, kubeflow::models).await?;
        let names: HashMap<String, String> = models.into_iter().collect();
        let of_model = |kubeflow::Listed { model_id, version }| {
            let model = names.get(&model_id).cloned()?;
            Some(Version { model, ..version })
        };
        Ok(Answer { versions: listed.into_iter().filter_map(of_model).collect(), complete })
    }

    /// Everything on all pages; and whether there are no more.
    async fn pages<T>(&self, url_of: UrlOf, read: Read<T>) -> Result<(Vec<T>, bool), PollFault> {
        let (mut items, mut token) = (Vec::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let body = self.page(url_of(&self.base, token.as_deref())).await?;
            let page = read(&body)
                .map_err(|_| failed("its answer is no JSON object; is the url that of its API?".to_owned()))?;
            items.extend(page.items);
            match page.next {
                None => return Ok((items, true)),
                Some(next) if token.as_ref() == Some(&next) => {
                    return Err(failed("it answers the same page again and again".to_owned()));
                }
                Some(next) => token = Some(next),
            }
        }
        Ok((items, false))
    }

    async fn page(&self, url: Url) -> Result<Vec<u8>, PollFault> {
        let accept = (header::ACCEPT, HeaderValue::from_static("application/json"));
        let authorization = self.authorization.clone().map(|value| (header::AUTHORIZATION, value));
        let request = Request {
            method: Method::GET,
            url,
            headers: [accept].into_iter().chain(authorization).collect(),
            body: Vec::new(),
            tls: None,
            handshake: None,
        };
        let Reply { status, body, .. } =
            self.http.fetch(request, LONGEST_PAGE, PAGE, self.now).await.map_err(no_reply)?;
        if status == 200 { Ok(body) } else { Err(refused(status)) }
    }
}

fn authorization(credentials: &Credentials) -> Option<HeaderValue> {
    let text = match credentials {
        Credentials::Token(token) => SecretString::from(format!("Bearer {}", token.expose_secret())),
        Credentials::Basic(user, password) => {
            let pair = SecretString::from(format!("{}:{}", user.expose_secret(), password.expose_secret()));
            let encoded = base64::engine::general_purpose::STANDARD.encode(pair.expose_secret());
            SecretString::from(format!("Basic {encoded}"))
        }
    };
    let mut value = HeaderValue::from_str(text.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn failed(message: String) -> PollFault {
    PollFault::new(Reason::RegistryFailed, message)
}

fn no_reply(error: CallError) -> PollFault {
    let CallError { code, message, .. } = error;
    match code {
        "AddressRefused" => {
            let advice = "allow it by --allow-target-cidr of the operator, or give another url";
            PollFault::new(Reason::InvalidUrl, format!("{message}; {advice}"))
        }
        "TooLarge" => failed(format!("{message}; shorten the descriptions and tags of its versions")),
        _ => PollFault::new(Reason::RegistryUnreachable, format!("it does not answer: {code}: {message}")),
    }
}

/// Not in the registry's own words: it might repeat what it was asked with.
fn refused(status: u16) -> PollFault {
    match status {
        401 | 403 => PollFault::new(
            Reason::RegistryRefused,
            format!("it refuses what it is asked with (HTTP {status}); mend the Secret of credentialsRef"),
        ),
        300..=399 => {
            failed(format!("it answers HTTP {status}, and redirects are not followed; give the url they lead to"))
        }
        404 => failed("there is no such registry under the url (HTTP 404); it has to be given without /api".to_owned()),
        _ => failed(format!("it answers HTTP {status}; see its own log")),
    }
}
