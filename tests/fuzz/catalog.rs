//! The loader of catalog files.

use pai_notification::detect::Presence;
use pai_notification::detect::declared::{Below, Catalog, CatalogError, Kind, Object};
use proptest::prelude::*;
use serde_json::json;

use crate::{built_in_files, damage, damaged, fuzz};

/// What a reader of YAML, and of the expressions in it, may stumble over.
const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\n  ",
    b"\t",
    b": ",
    b"- ",
    b"[",
    b"]",
    b"{",
    b"}",
    b"'",
    b"\"",
    b"\\",
    b"#",
    b"|\n",
    b">-\n",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!binary ",
    b"---\n",
    b"...\n",
    b"null",
    b"~",
    b"true",
    b".inf",
    b"0x7fffffffffffffffff",
    b"\nlike: batch/Job\n",
    b"\nlike: kubeflow.org/PyTorchJob\n",
    b"\nlet:\n  a: b\n  b: a\n",
    b"\nforEach:\n  in: status.nodes\n  name: item.name\n",
    b"\n- transition: Failed\n  when: true\n",
    b"status.",
    b"metadata.labels['a']",
    b"oneOf(",
    b"text(",
    b"has(",
    b"matches('((((((((((a*)*)*)*)*)*)*)*)*)*')",
    b" ? ",
    b" && ",
    b" == ",
    b"!",
    b"-",
    b"9223372036854775808",
    b"\xff",
    b"\xc3\xa9\xf0\x9f\x94\xa5",
    b"\r",
    b"\0",
];

/// The text is one of ours with damage, or was never a file.
fn texts() -> impl Strategy<Value = String> {
    let files: Vec<Vec<u8>> = built_in_files().into_iter().map(|(_, text)| text.into_bytes()).collect();
    let ours = (prop::sample::select(files), prop::collection::vec(damage(TOKENS), 1..5))
        .prop_map(|(bytes, damages)| damaged(bytes, &damages));
    let none = prop::collection::vec(prop::sample::select(TOKENS), 0..60).prop_map(|tokens| tokens.concat());
    prop_oneof![4 => ours, 1 => none].prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// What may be wrong with a file as a whole, so that no line can be named.
const OF_THE_WHOLE: [&str; 4] = ["cannot be declared", "must not be empty", "is declared in another file", "missing"];

/// An error names its file, and the line that it is about.
fn check_error(error: &CatalogError, file: &str, text: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(&*error.file, file);
    prop_assert!(error.to_string().starts_with(file) && error.message.len() < 4000, "{}", error);
    match error.line {
        // The end of a text may be told as the line after it.
        Some(line) => prop_assert!((1..=text.split(['\n', '\r']).count() as u64 + 1).contains(&line), "{}", error),
        None => prop_assert!(OF_THE_WHOLE.iter().any(|known| error.message.contains(known)), "{}", error),
    }
    Ok(())
}

/// What was loaded can be used.
fn use_it(kind: &Kind) {
    let status = json!({"phase": "Failed", "conditions": [{"type": "Failed", "status": "True", "reason": "x"}]});
    let mut object = Object::from(json!({"metadata": {"name": "a", "uid": "u"}, "spec": {}, "status": status}));
    let _ = (kind.transitions(), kind.events(), kind.api_version(), kind.subject(&object));
    for presence in [Presence::Present, Presence::Deleted, Presence::Gone] {
        let _ = kind.detect(&object, &Below::default(), presence);
    }
    let _ = kind.lend(&object, &Below::default());
    kind.trim(&mut object);
    let _ = kind.detect(&object, &Below::default(), Presence::Present);
}

#[test]
fn the_catalog_loader_takes_or_refuses_whatever_comes_and_the_other_files_are_not_affected() {
    const FILE: &str = "/etc/catalog/broken.yaml";
    let (sound_name, sound_text) = built_in_files().into_iter().find(|(name, _)| name == "jobset.yaml").unwrap();
    fuzz("catalog loader", &texts(), |text| {
        let files = [(FILE.to_owned(), text.clone()), (sound_name.clone(), sound_text.clone())];
        let (catalog, errors) = Catalog::default().with_files(files);
        for error in errors.iter().filter(|error| &*error.file != sound_name.as_str()) {
            check_error(error, FILE, &text)?;
        }
        let of = |file: &str| catalog.kinds().iter().find(|kind| kind.file() == file);
        prop_assert!(of(FILE).is_some() || errors.iter().any(|error| &*error.file == FILE), "it is lost");
        if let Some(kind) = of(FILE) {
            use_it(kind);
        }
        let declares_the_same = of(FILE).is_some_and(|kind| kind.kind() == "JobSet");
        prop_assert!(of(&sound_name).is_some() || declares_the_same, "{errors:?}");
        Ok(())
    });
}
