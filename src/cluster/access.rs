//! What the API server says that we may do in a namespace.

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::deadline::{self, ApiError};
use crate::api::names::GROUP;

/// A right in a namespace: group, resource, subresource, verb.
type Right = (&'static str, &'static str, &'static str, &'static str);

/// What "Grant Access" has to give. The chart's `rules/workspace.yaml` gives it.
pub const NEEDED: [Right; 8] = [
    ("", "secrets", "", "get"),
    ("", "secrets", "", "list"),
    ("", "secrets", "", "watch"),
    (GROUP, "notices", "", "create"),
    (GROUP, "notices", "", "delete"),
    (GROUP, "notices", "", "patch"),
    (GROUP, "notices", "status", "patch"),
    (GROUP, "notices", "status", "update"),
];

/// Asks for every right that is needed in the namespace; returns the first that is missing, as `verb resource`.
///
/// # Errors
/// [`ApiError`] if the API server does not answer.
pub async fn missing_right(client: &Client, namespace: &str) -> Result<Option<String>, ApiError> {
    let allowed = try_join_all(NEEDED.iter().map(|right| is_allowed(client, namespace, right))).await?;
    let missing = NEEDED.iter().zip(allowed).find(|(_, allowed)| !allowed);
    Ok(missing.map(|((_, resource, subresource, verb), _)| {
        let slash = if subresource.is_empty() { "" } else { "/" };
        format!("{verb} {resource}{slash}{subresource}")
    }))
}

async fn is_allowed(client: &Client, namespace: &str, right: &Right) -> Result<bool, ApiError> {
    let (group, resource, subresource, verb) = right;
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let attributes = ResourceAttributes {
        namespace: some(namespace),
        group: some(group),
        resource: some(resource),
        subresource: some(subresource),
        verb: some(verb),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = deadline::read(api.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
