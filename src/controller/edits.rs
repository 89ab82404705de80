//! When a part of an object was last edited, by the object's own times.
//!
//! `metadata.managedFields` (`ManagedFieldsEntry` of the API machinery) holds, per field manager, which fields it owns
//! and when it last changed any. That is right also for edits made while the operator was down.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The latest time at which an owner of the field at `path` (such as `["f:spec", "f:activate"]`) changed the object;
/// the object's creation if nobody owns it. `None` only for an object that was never stored.
pub fn last_edit(meta: &ObjectMeta, path: &[&str]) -> Option<Timestamp> {
    let created = meta.creation_timestamp.as_ref().map(|time| time.0);
    let edits = meta
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter(|entry| {
            let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
            path.iter().fold(fields, |fields, step| fields.and_then(|fields| fields.get(*step))).is_some()
        })
        .filter_map(|entry| entry.time.as_ref().map(|time| time.0));
    edits.max().or(created)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_edit_is_that_of_an_owner_of_the_field_and_never_of_the_status() {
        let meta: ObjectMeta = serde_json::from_value(json!({
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [
                {"manager": "kubectl", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:quota": {}}}},
                {"manager": "edit", "operation": "Update", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:activate": {}}}},
                {"manager": "label", "operation": "Update", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:metadata": {}}},
                {"manager": "us", "operation": "Apply", "subresource": "status", "time": "2026-01-04T00:00:00Z",
                 "fieldsV1": {"f:spec": {}, "f:status": {}}},
            ],
        }))
        .unwrap();
        let at = |text: &str| Some(text.parse().unwrap());
        assert_eq!(last_edit(&meta, &["f:spec"]), at("2026-01-02T00:00:00Z"));
        assert_eq!(last_edit(&meta, &["f:spec", "f:quota"]), at("2026-01-01T00:00:00Z"));
        assert_eq!(last_edit(&meta, &["f:spec", "f:nobody"]), at("2026-01-01T00:00:00Z"), "the creation");
        assert_eq!(last_edit(&ObjectMeta::default(), &["f:spec"]), None);
    }
}
