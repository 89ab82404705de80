//! The documents keep up with the code: every file, link, event type, command and manifest in them fits.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/manifests.rs"]
mod manifests;

use std::fs;
use std::path::{Path, PathBuf};

use pai_notification::api::event_target::EventTargetSpec;
use pai_notification::lifecycle::{EventType, Source, Transition};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document, by its path from the root.
fn documents() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/adr", "docs/channels"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    assert!(found.len() > 15, "{found:?}");
    found.sort();
    found
}

/// The texts between single backticks, outside of blocks of code.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(str::lines).flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The blocks of code in a language.
fn blocks<'a>(text: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    text.split("```").skip(1).step_by(2).filter_map(move |block| block.strip_prefix(language)?.strip_prefix('\n'))
}

#[test]
fn every_file_that_a_document_names_exists() {
    let folders = ["src", "tests", "charts", "crds", "docs", "examples"];
    for document in documents() {
        let text = read(&document);
        let paths = code_spans(&text).filter(|span| {
            folders.iter().any(|folder| span.starts_with(&format!("{folder}/"))) && !span.contains(['*', ' '])
        });
        for path in paths {
            assert!(root().join(path).exists(), "{document} names `{path}`, which does not exist");
        }
    }
}

#[test]
fn every_link_between_documents_leads_to_a_file_and_a_heading() {
    for document in documents() {
        let text = read(&document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            // An address, or a text about Markdown.
            if link.contains("://") || link.contains(['{', ' ']) {
                continue;
            }
            let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
            let folder = root().join(&document).parent().unwrap_or(Path::new(".")).to_owned();
            let target = if path.is_empty() { root().join(&document) } else { folder.join(path) };
            assert!(target.exists(), "{document} links to {link}, which does not exist");
            if let Some(heading) = heading {
                let text = fs::read_to_string(&target).unwrap();
                let found = text.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(found, "{document} links to {link}, but there is no such heading");
            }
        }
    }
}

/// The anchor that a heading has.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>().replace(' ', "-")
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
    for document in documents() {
        let text = read(&document);
        for target in code_spans(&text).filter_map(|span| span.strip_prefix("make ")) {
            let target = target.split_whitespace().next().unwrap_or_default();
            assert!(
                makefile.contains(&format!("\n{target}:")),
                "{document} names `make {target}`, which does not exist"
            );
        }
    }
}

#[test]
fn every_channel_has_a_page_and_every_page_is_in_the_overview() {
    let overview = read("docs/channels/README.md");
    let pages = ["dingtalk", "wecom", "lark", "http", "email", "text-message", "voice-call"];
    for page in pages {
        assert!(overview.contains(&format!("({page}.md)")), "docs/channels/README.md does not link to {page}.md");
        assert!(
            read("README.md").contains(&format!("(docs/channels/{page}.md)")),
            "README.md does not link to {page}.md"
        );
    }
    let written = documents().into_iter().filter(|path| path.starts_with("docs/channels/")).count();
    assert_eq!(written, pages.len() + 1);
}

#[test]
fn the_manifests_of_every_page_are_in_force_once_they_are_applied() {
    let pages = documents().into_iter().filter(|path| path.starts_with("docs/channels/") || path == "docs/messages.md");
    for document in pages {
        let text = read(&document);
        let manifests: Vec<Value> =
            blocks(&text, "yaml").flat_map(|block| manifests::documents(&document, block)).collect();
        // What is no object is a piece of one: of a target where it has a spec, else of a file of another program.
        let (objects, pieces): (Vec<Value>, Vec<Value>) =
            manifests.into_iter().partition(|manifest| manifest.get("kind").is_some());
        for spec in pieces.iter().filter_map(|piece| piece.get("spec")) {
            manifests::strict::<EventTargetSpec>(&document, spec);
        }
        let in_force = manifests::judged(&document, &objects);
        assert_eq!(in_force.findings, [], "{document}");
        let is_page = document.starts_with("docs/channels/") && !document.ends_with("README.md");
        assert!(!is_page || !in_force.targets.is_empty(), "{document} has no target to copy");
    }
}

/// The words that stand for a code where nobody answered, in the sources.
#[test]
fn every_word_that_a_delivery_can_have_as_its_code_is_explained() {
    let overview = read("docs/channels/README.md");
    let sources = ["client.rs", "client/failure.rs", "client/mail.rs", "client/consent.rs", "robot.rs"]
        .map(|file| format!("src/channel/{file}"));
    let sources =
        sources.iter().map(String::as_str).chain(["src/delivery/attempt.rs", "src/delivery/dispatch/sending.rs"]);
    let mut words: Vec<String> = Vec::new();
    for source in sources {
        let text = read(source);
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let quoted = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| line.split('"').skip(1).step_by(2));
        words.extend(quoted.filter(|word| is_code_word(word)).map(str::to_owned));
    }
    // The client's word for what no delivery asks for: the answer of a model registry.
    words.retain(|word| word != "TooLarge");
    words.sort();
    words.dedup();
    assert!(words.len() > 10, "{words:?}");
    for word in words {
        assert!(overview.contains(&format!("`{word}`")), "docs/channels/README.md does not explain {word}");
    }
}

/// Letters alone, beginning with a capital, with another one within; or `Timeout`.
fn is_code_word(word: &str) -> bool {
    let letters = word.len() > 4 && word.chars().all(|c| c.is_ascii_alphabetic());
    let capitals = word.chars().filter(char::is_ascii_uppercase).count();
    letters
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && (capitals > 1 || ["Timeout", "Unreachable"].contains(&word))
}
