//! The decoder of foreign objects, and the detectors behind it.

use std::collections::BTreeSet;

use pai_notification::detect::declared::{Below, Catalog, Findings, Kind, Lent, Object};
use pai_notification::detect::job::{self, JobView};
use pai_notification::detect::pod::{self, PodFacts, PodView};
use pai_notification::detect::{Detected, Presence};
use pai_notification::lifecycle::{EventKey, Source};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};

use crate::{Damage, built_in_files, damage, damaged, fuzz};

/// Objects as they are; the damage makes them what they are not.
const EXAMPLES: &str = include_str!("objects.json");

/// What a decoder of JSON may stumble over.
const TOKENS: &[&[u8]] =
    &[b"null", b"[", b"]", b"{", b"}", b"\"", b":", b",", b"\\ud800", b"1e999", b"-", b"\xff", b"\"status\":[],", b"0"];

/// A change to a value somewhere in an object.
#[derive(Clone, Debug)]
enum Edit {
    /// Another value in its place.
    Replace(Index, Value),
    /// It is gone.
    Remove(Index),
    /// One more field, or one more item.
    Add(Index, String, Value),
    /// What stands in one place stands in the other, too.
    Copy(Index, Index),
    /// A list of it, many times.
    Many(Index, usize),
}

/// Every name and every text that an expression of the catalog or an example has.
fn vocabulary() -> Vec<String> {
    let files = built_in_files().into_iter().map(|(_, text)| text);
    let all: String = files.chain([EXAMPLES.to_owned()]).collect::<Vec<_>>().join("\n");
    let words = all.split(|c: char| !c.is_ascii_alphanumeric() && !"-_/.".contains(c));
    let parts = words.flat_map(|word| word.split('.').chain([word])).filter(|word| !word.is_empty() && word.len() < 60);
    parts.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

fn values() -> impl Strategy<Value = Value> + Clone {
    let words = vocabulary();
    let times = prop::sample::select(vec![
        "2026-11-24T10:00:00Z",
        "2026-11-24T10:00:01.5+08:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:60Z",
        "-009999-01-01T00:00:00Z",
        "2026-11-24",
        "now",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3..40_i64).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        times.prop_map(Value::from),
        prop::sample::select(words.clone()).prop_map(Value::from),
        prop::sample::select(vec!["True", "False", "Unknown", "", "0", "-1", "1.5"]).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let field = prop::sample::select(words);
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(field.clone(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn edits() -> impl Strategy<Value = Edit> {
    let (index, word) = (any::<Index>, prop::sample::select(vocabulary()));
    prop_oneof![
        4 => (index(), values()).prop_map(|(at, value)| Edit::Replace(at, value)),
        1 => index().prop_map(Edit::Remove),
        3 => (index(), word, values()).prop_map(|(at, field, value)| Edit::Add(at, field, value)),
        2 => (index(), index()).prop_map(|(from, to)| Edit::Copy(from, to)),
        1 => (index(), 0..70_usize).prop_map(|(at, times)| Edit::Many(at, times)),
    ]
}

/// Calls `change` with the value that comes `at` in the order of the text; counts down to it.
fn at(value: &mut Value, left: &mut usize, change: &mut dyn FnMut(&mut Value)) -> bool {
    if *left == 0 {
        change(value);
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| at(item, left, change)),
        Value::Object(fields) => fields.values_mut().any(|field| at(field, left, change)),
        _ => false,
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

fn edited(mut value: Value, edits: &[Edit]) -> Value {
    for edit in edits {
        let size = count(&value);
        let mut change = |index: &Index, change: &mut dyn FnMut(&mut Value)| {
            at(&mut value, &mut index.index(size), change);
        };
        match edit {
            Edit::Replace(index, new) => change(index, &mut |old| *old = new.clone()),
            Edit::Remove(index) => change(index, &mut |old| *old = Value::Null),
            Edit::Add(index, field, new) => change(index, &mut |old| match old {
                Value::Array(items) => items.push(new.clone()),
                Value::Object(fields) => drop(fields.insert(field.clone(), new.clone())),
                other => *other = Map::from_iter([(field.clone(), new.clone())]).into(),
            }),
            Edit::Copy(from, to) => {
                let mut copied = Value::Null;
                change(from, &mut |old| copied = old.clone());
                change(to, &mut |old| *old = copied.clone());
            }
            Edit::Many(index, times) => change(index, &mut |old| *old = vec![old.clone(); *times].into()),
        }
        if count(&value) > 3000 {
            break;
        }
    }
    value
}

/// What was found has a name of its own, whatever the object says.
fn check(found: &[Detected], uid: &str, name: &str, source: Option<Source>) -> Result<(), TestCaseError> {
    prop_assert!(found.is_empty() || source.is_some());
    for (found, source) in found.iter().filter_map(|found| Some((found, source?))) {
        let (transition, occurrence) = (found.transition, found.occurrence.as_str());
        let name = EventKey { workspace: "vision", uid, source, transition, occurrence }.notice_name(name);
        prop_assert!(name.len() <= 63 && !name.starts_with('-') && !name.ends_with('-'), "{}", name);
    }
    Ok(())
}

const PRESENCES: [Presence; 3] = [Presence::Present, Presence::Deleted, Presence::Gone];

fn try_kind(kind: &Kind, object: &Object, below: &Below<'_>) -> Result<(), TestCaseError> {
    let mut trimmed = object.clone();
    kind.trim(&mut trimmed);
    let subject = kind.subject(object);
    for presence in PRESENCES {
        let Findings { found, problems } = kind.detect(object, below, presence);
        check(&found, &subject.uid, &subject.name, kind.source_of(object))?;
        prop_assert!(problems.iter().all(|problem| problem.place.starts_with(kind.file())));
        let again = kind.detect(&trimmed, below, presence).found;
        prop_assert_eq!(found, again, "{} finds something else after a trim", kind.file());
    }
    let _ = (kind.is_finished(object), kind.lend(object, below));
    Ok(())
}

fn try_in_rust(job: &JobView, pod: &PodView, pods: &[PodFacts]) -> Result<(), TestCaseError> {
    let (of_job, of_pod) = (job::subject(job), pod::subject(pod));
    for presence in PRESENCES {
        check(&job::detect(job, pods, presence), &of_job.uid, &of_job.name, job::source(job))?;
        check(&pod::detect(pod, presence), &of_pod.uid, &of_pod.name, pod::source(pod))?;
    }
    let _ = (job::is_finished(job), pod::is_finished(pod), Lent::of_job(job, pods));
    Ok(())
}

/// A text that is shown as such.
struct Text(Vec<u8>);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Damage to an object, and to its text.
fn objects() -> impl Strategy<Value = (Text, Index)> {
    let examples: Vec<Value> = serde_json::from_str(EXAMPLES).unwrap();
    let damages = prop_oneof![3 => Just(Vec::<Damage>::new()), 1 => prop::collection::vec(damage(TOKENS), 1..4)];
    let like_one = (prop::sample::select(examples), prop::collection::vec(edits(), 0..8))
        .prop_map(|(example, edits)| edited(example, &edits));
    let never_one = (values(), values(), values()).prop_map(|(metadata, spec, status)| {
        Map::from_iter([("metadata".to_owned(), metadata), ("spec".to_owned(), spec), ("status".to_owned(), status)])
            .into()
    });
    let json = prop_oneof![5 => like_one, 1 => never_one, 1 => values()];
    (json, damages, any::<Index>())
        .prop_map(|(json, damages, other)| (Text(damaged(json.to_string().into_bytes(), &damages)), other))
}

#[test]
fn every_detector_takes_whatever_object_comes() {
    let catalog = Catalog::built_in();
    let kinds = catalog.kinds();
    assert!(kinds.len() > 30);
    fuzz("object decoder and detectors", &objects(), |(Text(text), other)| {
        let _ = (serde_json::from_slice::<Object>(&text), serde_json::from_slice::<JobView>(&text));
        // An API server names no field twice; every object that does not is read.
        let plain = serde_json::from_slice::<Value>(&text).ok().filter(Value::is_object).map(|json| json.to_string());
        let is_object = plain.is_some();
        let text = plain.map_or(text, String::into_bytes);
        let object = serde_json::from_slice::<Object>(&text);
        let (job, pod) = (serde_json::from_slice::<JobView>(&text), serde_json::from_slice::<PodView>(&text));
        prop_assert!(!is_object || (object.is_ok() && job.is_ok() && pod.is_ok()), "an object that is not read");
        let pods: Vec<PodFacts> = pod.as_ref().map(pod::facts).into_iter().collect();
        if let (Ok(job), Ok(pod)) = (&job, &pod) {
            try_in_rust(job, pod, &pods)?;
        }
        let Ok(object) = object else { return Ok(()) };
        let (lent, _) = kinds[other.index(kinds.len())].lend(&object, &Below { pods: &pods, lent: &[] });
        let below = Below { pods: &pods, lent: &[lent] };
        for kind in kinds {
            try_kind(kind, &object, &below)?;
        }
        Ok(())
    });
}
