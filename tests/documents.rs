//! The documents keep up with the code: every file, link, event type and command that they name exists.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use pai_notification::lifecycle::{EventType, Source, Transition};

const DOCUMENTS: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The texts between single backticks.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_file_that_a_document_names_exists() {
    let folders = ["src", "tests", "charts", "crds", "docs", "examples"];
    for document in DOCUMENTS {
        let text = read(document);
        let paths = code_spans(&text).filter(|span| {
            folders.iter().any(|folder| span.starts_with(&format!("{folder}/"))) && !span.contains(['*', ' '])
        });
        for path in paths {
            assert!(root().join(path).exists(), "{document} names `{path}`, which does not exist");
        }
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut documents: Vec<PathBuf> = DOCUMENTS.iter().map(|name| root().join(name)).collect();
    documents.extend(fs::read_dir(root().join("docs/adr")).unwrap().map(|entry| entry.unwrap().path()));
    documents.extend(["docs/event-bus.md", "docs/model-registries.md"].map(|name| root().join(name)));
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.contains("://") && !link.starts_with('#') {
                let target = document.parent().unwrap_or(Path::new(".")).join(link);
                assert!(target.exists(), "{} links to {link}, which does not exist", document.display());
            }
        }
    }
}

#[test]
fn the_readme_lists_every_event_type() {
    let readme = read("README.md");
    for kind in EventType::ALL {
        assert!(readme.contains(&format!("`{kind}`")), "README.md does not list {kind}");
    }
}

#[test]
fn the_page_on_the_bus_lists_every_type_that_can_be_published() {
    let page = read("docs/event-bus.md");
    for source in Source::ALL {
        for &transition in Transition::ALL {
            let kind = format!("`pai.{}.{}`", source.cloudevents_name(), transition.cloudevents_name());
            let exists = EventType::naming(source, transition).is_some();
            assert_eq!(page.contains(&kind), exists, "docs/event-bus.md and {kind}");
        }
    }
}

#[test]
fn every_make_target_that_a_document_names_exists() {
    let makefile = read("Makefile");
    for document in DOCUMENTS {
        let text = read(document);
        for target in code_spans(&text).filter_map(|span| span.strip_prefix("make ")) {
            let target = target.split_whitespace().next().unwrap_or_default();
            assert!(
                makefile.contains(&format!("\n{target}:")),
                "{document} names `make {target}`, which does not exist"
            );
        }
    }
}
