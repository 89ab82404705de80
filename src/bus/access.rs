//! Who publishes, and whether they may: the API server says both. Its answers are kept for a moment.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::limit::Limiter;
use super::refusal::Refusal;
use crate::api::names::{GROUP, PUBLISH, bus_name};
use crate::cluster::deadline::{self, ApiError};

/// How long a yes holds.
const YES: Duration = Duration::from_secs(10);
/// How long a no holds.
const NO: Duration = Duration::from_secs(2);
/// Answers that are kept at most, of each kind.
const MOST: usize = 4096;
/// Longest token, in bytes. Those of the API server have about 1 KiB.
const LONGEST_TOKEN: usize = 16 * 1024;
/// Tokens that are new here, a second: whoever tries tokens out must not keep the API server busy.
const NEW_TOKENS: u32 = 50;

/// A SHA-256: tokens themselves are not kept.
type Digest = [u8; 32];

/// Asks the API server.
pub struct Access {
    client: Client,
    users: Mutex<Answers<Digest, Arc<UserInfo>>>,
    rights: Mutex<Answers<(Digest, String), ()>>,
    new_tokens: Limiter,
}

/// A publisher, known to the API server.
#[derive(Clone, Debug)]
pub struct Publisher {
    user: Arc<UserInfo>,
    token: Digest,
}

impl Publisher {
    /// For logs.
    #[must_use]
    pub fn name(&self) -> &str {
        self.user.username.as_deref().unwrap_or_default()
    }
}

impl Access {
    /// Asks with this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, users: Mutex::default(), rights: Mutex::default(), new_tokens: Limiter::new(NEW_TOKENS) }
    }

    /// Who sends this.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] if nobody the API server knows; [`Refusal::NotNow`] if it does not answer.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Publisher, Refusal> {
        let token = bearer(headers)?;
        let digest: Digest = Sha256::digest(token.as_bytes()).into();
        let invalid = Refusal::Unauthenticated(
            "the token is not valid (any more); ask for a new one, such as with: kubectl create token <serviceaccount>",
        );
        match locked(&self.users).get(&digest, Instant::now()) {
            Known::Yes(user) => return Ok(Publisher { user, token: digest }),
            Known::No => return Err(invalid),
            Known::Not => {}
        }
        self.new_tokens
            .take("", 1, Instant::now())
            .map_err(|wait| Refusal::TooMany { what: "too many tokens that are new here", wait })?;
        let user = self.review(token).await.map_err(|error| unanswered(&error))?.map(Arc::new);
        locked(&self.users).keep(digest, user.clone(), Instant::now());
        user.map(|user| Publisher { user, token: digest }).ok_or(invalid)
    }

    /// Whether a publisher may publish to a workspace.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] if not; [`Refusal::NotNow`] if the API server does not answer.
    pub async fn authorize(&self, publisher: &Publisher, workspace: &str, namespace: &str) -> Result<(), Refusal> {
        let key = (publisher.token, format!("{namespace}/{workspace}"));
        let known = locked(&self.rights).get(&key, Instant::now());
        let allowed = match known {
            Known::Yes(()) => true,
            Known::No => false,
            Known::Not => {
                let allowed = self.may_publish(&publisher.user, workspace, namespace).await;
                let allowed = allowed.map_err(|error| unanswered(&error))?;
                locked(&self.rights).keep(key, allowed.then_some(()), Instant::now());
                allowed
            }
        };
        if allowed { Ok(()) } else { Err(forbidden(workspace)) }
    }

    async fn review(&self, token: &str) -> Result<Option<UserInfo>, ApiError> {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = deadline::read(api.create(&PostParams::default(), &review)).await?;
        let status = answer.status.unwrap_or_default();
        Ok(status.user.filter(|_| status.authenticated == Some(true)))
    }

    async fn may_publish(&self, user: &UserInfo, workspace: &str, namespace: &str) -> Result<bool, ApiError> {
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some("eventbuses".to_owned()),
            verb: Some(PUBLISH.to_owned()),
            name: Some(bus_name(workspace)),
            namespace: Some(namespace.to_owned()),
            ..ResourceAttributes::default()
        };
        let extra: Option<BTreeMap<_, _>> = user.extra.clone();
        let spec = SubjectAccessReviewSpec {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra,
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = deadline::read(api.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// The refusal of somebody who may not publish, and of everybody where there is no such workspace.
#[must_use]
pub fn forbidden(workspace: &str) -> Refusal {
    // No name is longer than this: nobody is sent back what they sent.
    let workspace: String = workspace.chars().take(52).collect();
    Refusal::Forbidden { bus: bus_name(&workspace), workspace }
}

fn unanswered(error: &ApiError) -> Refusal {
    tracing::warn!(%error, reason = error.label(), "the API server did not say who publishes, or whether they may");
    let message = "the API server did not say whether you may publish".to_owned();
    Refusal::NotNow { reason: "ApiServerUnavailable", message, wait: Duration::from_secs(5) }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let advice = "send the header Authorization: Bearer <token of a ServiceAccount>";
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Refusal::Unauthenticated(advice)) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
    let token = token.trim();
    let usable = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= LONGEST_TOKEN;
    if usable { Ok(token) } else { Err(Refusal::Unauthenticated(advice)) }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known<V> {
    Yes(V),
    No,
    /// It has to be asked for.
    Not,
}

/// Answers of the API server that still hold: `None` is a no.
struct Answers<K, V>(HashMap<K, (Instant, Option<V>)>);

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V: Clone> Answers<K, V> {
    fn get(&self, key: &K, now: Instant) -> Known<V> {
        match self.0.get(key).filter(|(until, _)| now < *until) {
            Some((_, Some(answer))) => Known::Yes(answer.clone()),
            Some((_, None)) => Known::No,
            None => Known::Not,
        }
    }

    fn keep(&mut self, key: K, answer: Option<V>, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, (until, _)| now < *until);
        }
        // Full of answers that hold: then this one is asked for again.
        if self.0.len() < MOST {
            let holds = if answer.is_some() { YES } else { NO };
            self.0.insert(key, (now + holds, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_yes_holds_for_ten_seconds_a_no_for_two_and_there_are_never_too_many() {
        let (mut answers, start) = (Answers::default(), Instant::now());
        answers.keep(1, Some("yes"), start);
        answers.keep(2, None, start);
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        for (seconds, yes, no) in
            [(0, Known::Yes("yes"), Known::No), (2, Known::Yes("yes"), Known::Not), (10, Known::Not, Known::Not)]
        {
            assert_eq!((answers.get(&1, after(seconds)), answers.get(&2, after(seconds))), (yes, no), "{seconds} s");
        }
        for key in 0..2 * MOST {
            answers.keep(key, Some("yes"), after(20));
        }
        assert_eq!(answers.0.len(), MOST);
        answers.keep(usize::MAX, Some("new"), after(40));
        assert_eq!(answers.0.len(), 1, "what does not hold any more makes room");
    }

    #[test]
    fn only_one_bearer_token_is_taken() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            headers
        };
        assert_eq!(bearer(&headers(&["Bearer abc"])), Ok("abc"));
        assert_eq!(bearer(&headers(&["bearer  abc "])), Ok("abc"));
        let long = format!("Bearer {}", "x".repeat(LONGEST_TOKEN + 1));
        for wrong in [&[][..], &["Basic abc"], &["Bearer"], &["Bearer "], &["Bearer a", "Bearer b"], &[&long]] {
            assert_eq!(bearer(&headers(wrong)).unwrap_err().status(), 401, "{wrong:?}");
        }
    }
}
