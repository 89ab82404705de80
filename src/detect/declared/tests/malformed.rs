//! Statuses of the wrong shape, for every kind: nothing panics, and nothing is told that is not so.

use super::super::question::{Path, Question, Root, Since, Step};
use super::*;

/// Every path into the spec and status that the kind looks at.
fn paths(kind: &Kind) -> Vec<Path> {
    let conditions = || Path { root: Root::Status, steps: vec![Step::Field("conditions".to_owned())] };
    let path = |question: &Question| match question {
        Question::Path(path) | Question::Has(path) | Question::PodsReady(Since::Path(path)) => Some(path.clone()),
        Question::Condition { .. } | Question::Since(_) | Question::Reason(_) | Question::Message(_) => {
            Some(conditions())
        }
        _ => None,
    };
    let paths = kind.body.questions.iter().filter_map(path);
    let for_each = kind.body.for_each.as_ref().map(|it| it.path.clone());
    paths.chain(for_each).filter(|path| matches!(path.root, Root::Spec | Root::Status)).collect()
}

/// Puts a value at a path, over whatever is there.
fn put(json: &mut Value, steps: &[Step], value: &Value) {
    match steps {
        [] => *json = value.clone(),
        [Step::Field(field), rest @ ..] => {
            if !json.is_object() {
                *json = json!({});
            }
            put(&mut json[field.as_str()], rest, value);
        }
        [Step::Index(_), ..] => *json = json!([value]),
    }
}

fn shapes() -> Vec<Value> {
    let deep = (0..60).fold(json!(1), |inner, _| json!([{ "a": inner }]));
    vec![
        json!(true),
        json!(1.5),
        json!([]),
        json!([[1], null, "x", true]),
        json!({}),
        json!({"a": [1], "b": {"c": null}}),
        json!("x"),
        json!("\u{0}\u{1f600}"),
        json!(u64::MAX),
        json!(""),
        json!([{"type": 1, "status": []}]),
        deep,
    ]
}

#[test]
fn a_status_of_the_wrong_types_proves_nothing() {
    for kind in Catalog::built_in().kinds() {
        for status in [json!("x"), json!(7), json!([]), json!([{"phase": "Failed"}]), json!(true)] {
            let object = object(&json!({}), &status);
            assert!(!kind.is_finished(&object));
            assert_eq!(
                kind.detect(&object, &Below::default(), Presence::Present),
                Findings::default(),
                "{}",
                kind.file()
            );
        }
        for conditions in
            [json!("x"), json!({"type": "Failed"}), json!(["Failed"]), json!([null]), json!([[{"type": "Failed"}]])]
        {
            let object = object(&json!({}), &json!({"conditions": conditions}));
            assert_eq!(
                kind.detect(&object, &Below::default(), Presence::Present),
                Findings::default(),
                "{}",
                kind.file()
            );
        }
    }
}

#[test]
fn a_field_of_the_wrong_type_ends_nothing_and_disturbs_nothing() {
    for kind in Catalog::built_in().kinds() {
        let paths = paths(kind);
        for shape in shapes() {
            // Each alone, then all at once.
            let alone = paths.iter().map(std::slice::from_ref);
            for broken in alone.chain([paths.as_slice()]) {
                let (mut spec, mut status) = (json!({}), json!({}));
                for path in broken {
                    put(if path.root == Root::Spec { &mut spec } else { &mut status }, &path.steps, &shape);
                }
                let object = object(&spec, &status);
                for presence in [Presence::Present, Presence::Deleted, Presence::Gone] {
                    let found = kind.detect(&object, &Below::default(), presence).found;
                    let ends = |it: &Detected| {
                        matches!(it.transition, Transition::Failed | Transition::Succeeded)
                            && presence == Presence::Present
                    };
                    assert!(
                        !found.iter().any(ends),
                        "{}: {shape} at {broken:?}: {}",
                        kind.file(),
                        shown(&found).join(" ")
                    );
                }
                let _ = kind.lend(&object, &Below::default());
            }
        }
    }
}

#[test]
fn an_object_of_any_shape_is_read() {
    for json in shapes() {
        let whole = Object::from(json.clone());
        let parts =
            Object::from(json!({"apiVersion": json, "kind": json, "metadata": json, "spec": json, "status": json}));
        let fields = [
            "name",
            "uid",
            "labels",
            "annotations",
            "ownerReferences",
            "managedFields",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
        ];
        let metadata: serde_json::Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), json.clone())).collect();
        let metadata = Object::from(json!({"metadata": metadata}));
        for object in [whole, parts, metadata] {
            for kind in Catalog::built_in().kinds() {
                let _ = (
                    kind.detect(&object, &Below::default(), Presence::Deleted),
                    kind.subject(&object),
                    kind.source_of(&object),
                );
            }
        }
    }
}

#[test]
fn an_unknown_phase_is_no_state() {
    let status = json!({"phase": "Dreaming", "state": {"phase": "Dreaming"}, "jobDeploymentStatus": "Dreaming",
        "jobStatus": "DREAMING", "imageBuildPhase": "Dreaming", "condition": "Dreaming",
            "conditions": [yes("Dreaming", "", "10:00:01")]});
    for kind in Catalog::built_in().kinds() {
        let Findings { found, problems } =
            kind.detect(&object(&json!({}), &status), &Below::default(), Presence::Present);
        assert_eq!(problems, [], "{}", kind.file());
        let is_waiting = |it: &Detected| matches!(it.transition, Transition::Queued | Transition::Creating);
        assert!(found.iter().all(is_waiting), "{}: {}", kind.file(), shown(&found).join(" "));
    }
}

#[test]
fn a_status_of_the_wrong_shape_still_proves_nothing_after_a_trim() {
    let conditions = |conditions: Value| json!({"conditions": conditions});
    for kind in Catalog::built_in().kinds() {
        for status in [json!([11, 2]), json!("x"), conditions(json!("x")), conditions(json!(["Failed"]))] {
            let mut object = object(&json!({}), &status);
            kind.trim(&mut object);
            let found = kind.detect(&object, &Below::default(), Presence::Present);
            assert_eq!(found, Findings::default(), "{}: {status}", kind.file());
        }
    }
}

#[test]
fn an_error_stays_short_whatever_is_in_the_file() {
    let long = "x".repeat(5000);
    let file = |when: &str, group: &str| {
        format!(
            "group: {group}\nversions: [v1]\nkind: A\nplural: as\ndocs: d\nsource: DLCJob\ntransitions:\n\
             - transition: Queued\n  when: {when}\n"
        )
    };
    for text in [file(&long, "a"), file("nothing.here", "a"), format!("{long}: 1\n"), file("true", &long)] {
        let (_, errors) = Catalog::default().with_files([("a.yaml".to_owned(), text)]);
        assert!(errors.iter().all(|error| error.message.len() < 2100), "{errors:?}");
    }
}
