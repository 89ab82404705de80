//! The built-in files as a whole, and files of users.

use super::super::catalog::FILES;
use super::*;

fn files(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn every_built_in_file_compiles_and_has_a_link_to_its_documentation() {
    let (catalog, errors) = Catalog::default().with_files(files(FILES));
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, [""; 0]);
    assert_eq!(catalog.kinds().len(), FILES.len());
    for kind in catalog.kinds() {
        assert!(kind.docs().starts_with("https://"), "{}", kind.file());
    }
}

#[test]
fn every_file_of_the_folder_is_built_in() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/detect/catalog");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert_eq!(names, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

#[test]
fn what_a_file_tells_is_an_event_of_its_source() {
    for kind in Catalog::built_in().kinds() {
        match kind.source() {
            None => assert!(kind.events().is_empty() && !kind.transitions().is_empty(), "{}", kind.file()),
            Some(source) => {
                let events = kind.events();
                assert!(!events.is_empty() && events.iter().all(|event| event.source() == source), "{}", kind.file());
            }
        }
    }
}

#[test]
fn every_kind_of_job_can_tell_what_every_job_goes_through() {
    let expected =
        [Transition::Queued, Transition::Running, Transition::Succeeded, Transition::Failed, Transition::Stopped];
    for kind in Catalog::built_in().kinds().iter().filter(|kind| kind.source() == Some(Source::DLCJob)) {
        let told = kind.transitions();
        assert!(expected.iter().all(|transition| told.contains(transition)), "{}: {told:?}", kind.file());
    }
}

#[test]
fn every_event_type_of_the_console_can_come_from_some_kind() {
    let told: Vec<EventType> = Catalog::built_in().kinds().iter().flat_map(Kind::events).collect();
    let missing: Vec<_> = EventType::ALL.iter().filter(|event| !told.contains(event)).collect();
    assert_eq!(missing, [&EventType::JobTimeout; 0]);
}

#[test]
fn the_page_of_kinds_is_made_from_the_catalog() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kinds.md");
    let page = page(&Catalog::built_in());
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/kinds.md is not what the catalog gives; `make bless` renews it");
}

/// A file with these lines below its head, which has seven.
fn file(body: &str) -> String {
    let head = "group: example.com\nversions: [v1]\nkind: Experiment\nplural: experiments\ndocs: https://example.com\n";
    format!("{head}source: DLCJob\nfinished: is('Done')\n{body}")
}

fn rule(fields: &str) -> String {
    file(&format!("transitions:\n- transition: Failed\n  when: is('Failed')\n{fields}"))
}

#[track_caller]
fn refused(text: &str) -> String {
    let (catalog, errors) = Catalog::default().with_files(files(&[("x.yaml", text)]));
    assert!(catalog.kinds().is_empty());
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    error.to_string()
}

#[test]
fn a_file_with_an_error_is_named_with_its_line_and_reads_like_advice() {
    let table = [
        (
            rule("  time: sinse('Failed')\n"),
            "x.yaml:11: `sinse('Failed')`: there is no function sinse; there are is, isNot, since, ",
        ),
        (
            rule("  time: state.time\n"),
            "x.yaml:11: `state.time`: there is no state; there are metadata, labels, annotations, spec, status, item, ",
        ),
        (
            rule("  time: since(status.kind)\n"),
            "x.yaml:11: `since(status.kind)`: write since('Type') with the type of a condition",
        ),
        (rule("  time: first()\n"), "x.yaml:11: `first()`: write first(a, b, ...)"),
        (rule("  time: status.x.first()\n"), "x.yaml:11: `status.x.first()`: write first(a, b, ...)"),
        (rule("  time: item.time\n"), "x.yaml:11: `item.time`: there is no item outside of forEach"),
        (
            rule("  time: metadata.labels\n"),
            "x.yaml:11: `metadata.labels`: one label or annotation is named at a time: labels['key']",
        ),
        (
            rule("  time: metadata.finalizers\n"),
            "x.yaml:11: `metadata.finalizers`: of metadata there are name, namespace, uid, ",
        ),
        (
            rule("  time: has(find(status.a, 'b', 1).c)\n"),
            "x.yaml:11: `has(find(status.a, 'b', 1).c)`: has() takes a path; compare with null instead",
        ),
        (rule("  time: status.a ==\n"), "x.yaml:11: `status.a ==`: Syntax error: mismatched input '<EOF>'"),
        (rule("  message: |\n    status.a +\n    status.b +\n    )\n"), "x.yaml:14: `status.a +"),
        (rule("  message: |\n\n    sttus.a\n"), "x.yaml:13: `sttus.a`: there is no sttus"),
        (rule("  tiem: status.a\n"), "x.yaml:11: unknown field `tiem`"),
        (rule("  message: [a]\n"), "x.yaml:11: "),
        (rule("  message: ''\n"), "x.yaml:11: ``: the expression is empty"),
        (file("let:\n  a: b + 1\n  b: a + 1\n"), "x.yaml:9: `b + 1`: there is no b"),
        (
            file("transitions:\n- transition: Creating\n  when: 'true'\n"),
            "x.yaml:9: DLCJob has no event for the transition Creating",
        ),
        (file("transitions:\n- transition: Exploded\n  when: 'true'\n"), "x.yaml:9: "),
        (file("pods: [Creating]\n"), "x.yaml:8: DLCJob has no event for the transition Creating"),
        (file("deleted: Approved\n"), "x.yaml:8: DLCJob has no event for the transition Approved"),
        (
            file("forEach:\n  in: first(status.a)\n  name: key\n  transitions: []\n"),
            "x.yaml:9: `first(status.a)`: this must be a path such as status.nodes",
        ),
        (
            file("").replace(
                "finished: is('Done')\n",
                "transitions:\n- transition: Failed\n  final: true\n  when: 'true'\n",
            ),
            "x.yaml:8: a `final` transition needs `finished`",
        ),
        (
            file("").replace("source: DLCJob", "source: none") + "transitions:\n- transition: Failed\n  when: 'true'\n",
            "x.yaml:9: with `source: none`, a transition is told of the owner: say `lend: detail`",
        ),
        (file("").replace("source: DLCJob\n", ""), "x.yaml: `source` is missing: FlowTask, "),
        (file("").replace("source: DLCJob", "source: Job"), "x.yaml:6: "),
        (file("").replace("kind: Experiment\n", ""), "x.yaml:6: missing field `kind`"),
        (file("").replace("[v1]", "[]"), "x.yaml: `versions`, `kind` and `plural` must not be empty"),
        (file("like: kubeflow.org/PyTorchJob\n"), "x.yaml:8: a file that is `like` another has no `source`, "),
        (
            file("like: a/B\n").replace("source: DLCJob\nfinished: is('Done')\n", ""),
            "x.yaml:6: there is no kind a/B to be like",
        ),
        (
            file("").replace("example.com\nversions", "batch\nversions").replace("Experiment", "Job"),
            "x.yaml: batch/Job is built into the program, and cannot be declared",
        ),
        ("- a\n- b\n".to_owned(), "x.yaml:1: "),
        ("a: [\n".to_owned(), "x.yaml:"),
        (String::new(), "x.yaml"),
    ];
    for (text, expected) in table {
        let error = refused(&text);
        assert!(error.starts_with(expected), "{expected}\n{error}\n{text}");
    }
}

#[test]
fn an_expression_that_could_overflow_the_stack_is_refused() {
    for hostile in [
        "!".repeat(700),
        "(".repeat(700),
        "-".repeat(700) + "1",
        format!("1{}", "+1".repeat(350)),
        format!("status{}", ".a".repeat(390)),
        "a ? b : ".repeat(90) + "c",
        "[1].all(a, ".repeat(60) + "true",
        "x".repeat(900),
    ] {
        let error = refused(&rule(&format!("  reason: \"{hostile}\"\n")));
        assert!(error.contains("nested too deeply") || error.contains("longer than"), "{error}");
    }
}

#[test]
fn a_directory_adds_kinds_replaces_those_that_are_known_and_survives_a_bad_file() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("a-good.yaml", &file("transitions:\n- transition: Running\n  when: status.go == true\n"));
    write("b-bad.yaml", &file("transitions:\n- transition: Running\n  when: stats.go\n"));
    let own = file("transitions:\n- transition: Running\n  when: 'true'\n");
    write(
        "c-own.yml",
        &own.replace("example.com\nversions", "kubeflow.org\nversions")
            .replace("Experiment", "MPIJob")
            .replace("[v1]", "[v3]"),
    );
    write(
        "d-like.yaml",
        "group: example.com\nversions: [v1]\nkind: Trial\nplural: trials\ndocs: https://example.com\nlike: kubeflow.org/PyTorchJob\n",
    );
    write("e-twice.yaml", &file("").replace("[v1]", "[v2, v1]"));
    write("ignored.txt", "no catalog");
    let (catalog, errors) = Catalog::built_in().with_dir(dir.path());
    let errors: Vec<String> =
        errors.iter().map(|error| error.to_string().replace(&format!("{}/", dir.path().display()), "")).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("b-bad.yaml:10: `stats.go`: there is no stats"), "{errors:?}");
    assert_eq!(errors[1], "e-twice.yaml: example.com/Experiment is declared in another file for the same version");
    let of = |api_version: &str, kind: &str| catalog.kind_of(api_version, kind);
    let running = Object::from(json!({"status": {"go": true}}));
    proves(of("example.com/v1", "Experiment").unwrap(), &running, &["Running[]@-"]);
    proves(of("kubeflow.org/v3", "MPIJob").unwrap(), &running, &["Running[]@-"]);
    assert!(of("kubeflow.org/v1", "MPIJob").is_none() && of("kubeflow.org/v2beta1", "MPIJob").is_none());
    proves(of("example.com/v1", "Trial").unwrap(), &object(&json!({}), &json!({})), &["Queued[]@10:00:00"]);
    assert_eq!(Catalog::built_in().kinds().len() - 2 + 3, catalog.kinds().len());

    let (same, errors) = Catalog::built_in().with_dir(&dir.path().join("nowhere"));
    assert_eq!((same.kinds().len(), errors.len()), (Catalog::built_in().kinds().len(), 1));
    assert!(errors[0].to_string().contains("nowhere: cannot be read: "), "{}", errors[0]);
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused_or_used_but_breaks_nothing() {
    for (name, text) in FILES {
        for end in (0..text.len()).step_by(23).filter(|end| text.is_char_boundary(*end)) {
            let _ = Catalog::default().with_files(files(&[(name, &text[..end])]));
        }
    }
}
