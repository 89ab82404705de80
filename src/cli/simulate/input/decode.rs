//! Objects of our own kinds: a wrong type ends the simulation, an unknown field is a problem.

use serde::de::DeserializeOwned;
use serde_ignored::Path;
use serde_json::Value;

use super::super::problem::Problem;

/// Decodes an object of our own kinds. The error names the field.
pub(super) fn ours<T: DeserializeOwned>(value: Value, object: &str, problems: &mut Vec<Problem>) -> Result<T, String> {
    let mut track = serde_path_to_error::Track::new();
    let mut unknown = Vec::new();
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    let decoded = serde_ignored::deserialize(deserializer, |path| unknown.push(field(&path)));
    let decoded = decoded.map_err(|error| match track.path().to_string().as_str() {
        "." => error.to_string(),
        path => format!("{path}: {error}"),
    })?;
    // A status is not the user's, and may be a later version's.
    let is_users = |field: &String| !matches!(field.as_str(), "apiVersion" | "kind") && !field.starts_with("status.");
    problems.extend(unknown.into_iter().filter(is_users).map(|field| {
        Problem::new(object, format!("{field}: there is no such field, and it is left out; is it misspelt?"))
    }));
    Ok(decoded)
}

/// The path as users write it: `spec.sources[0].filter`.
fn field(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field(parent)),
        Path::Map { parent, key } => match field(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => field(parent),
    }
}
