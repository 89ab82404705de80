//! What the API server says that we may do in a namespace.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::deadline::{self, ApiError};
use crate::api::names::GROUP;

/// What "Grant Access" has to give: group, resource, subresource, verb.
const NEEDED: [(&str, &str, &str, &str); 6] = [
    ("", "secrets", "", "get"),
    ("", "secrets", "", "list"),
    ("", "secrets", "", "watch"),
    (GROUP, "notices", "", "create"),
    (GROUP, "notices", "", "delete"),
    (GROUP, "notices", "status", "patch"),
];

/// Asks for every right that is needed in the namespace; returns the first that is missing, as `verb resource`.
///
/// # Errors
/// [`ApiError`] if the API server does not answer.
pub async fn missing_right(client: &Client, namespace: &str) -> Result<Option<String>, ApiError> {
    for (group, resource, subresource, verb) in NEEDED {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let attributes = ResourceAttributes {
            namespace: some(namespace),
            group: some(group),
            resource: some(resource),
            subresource: some(subresource),
            verb: some(verb),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let answer = deadline::read(api.create(&PostParams::default(), &review)).await?;
        if !answer.status.is_some_and(|status| status.allowed) {
            let slash = if subresource.is_empty() { "" } else { "/" };
            return Ok(Some(format!("{verb} {resource}{slash}{subresource}")));
        }
    }
    Ok(None)
}
