//! The pages in `docs/channels/` on robots keep up with the code: codes and transcripts. Manifests are checked for all
//! pages by `tests/documents.rs`.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::robot::Verdicts;
use super::samples::robots;
use crate::api::workspace::Locale;
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Source, Transition};
use crate::message::{Link, locale, samples};

const PAGES: [(&str, &str, &Verdicts); 3] = [
    ("dingtalk", "dingtalk_markdown", &super::dingtalk::reply::VERDICTS),
    ("wecom", "wecom_markdown", &super::wecom::reply::VERDICTS),
    ("lark", "lark", &super::lark::reply::VERDICTS),
];

fn page(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("docs/channels/{name}.md"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of code in that language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let blocks = page.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(&format!("{language}\n"))).map(str::to_owned).collect()
}

#[test]
fn every_code_that_the_program_knows_stands_on_the_page() {
    for (name, _, verdicts) in PAGES {
        let page = page(name);
        for (code, ..) in verdicts.codes {
            assert!(page.contains(&format!("`{code}`")), "docs/channels/{name}.md does not explain {code}");
        }
    }
}

#[test]
fn the_transcript_is_what_is_sent() {
    let mut message =
        locale::built_in(Locale::En, "research", &samples::event(Source::DLCJob, Transition::Failed, Cause::Other));
    message.link = Some(Link { label: locale::open(Locale::En), url: "https://console.example".to_owned() });
    for (name, form, _) in PAGES {
        let robots = robots();
        let robot = robots.iter().find(|robot| robot.name == form).unwrap();
        let sent = without_markup(&robot.body(&message));
        let transcript = blocks(&page(name), "text").remove(0);
        for line in transcript.lines().filter(|line| !line.starts_with('@')) {
            assert!(sent.contains(line), "docs/channels/{name}.md shows `{line}`, but this is sent:\n{sent}");
        }
        assert_eq!(transcript.lines().count(), 13, "{name}: every line, and a mention");
    }
}

/// All texts of a body, as clients show them.
fn without_markup(body: &Value) -> String {
    match body {
        Value::String(text) => format!("{}\n", text.replace("**", "")),
        Value::Array(items) => items.iter().map(without_markup).collect(),
        Value::Object(fields) => fields.values().map(without_markup).collect(),
        _ => String::new(),
    }
}

#[test]
fn the_title_of_a_connectivity_test_stands_on_every_page() {
    for (name, ..) in PAGES {
        let words = page(name).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(locale::test_title(Locale::En)), "{name}");
    }
}
