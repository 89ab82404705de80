//! The page that lists all kinds, made from the catalog.

use std::fmt::Write as _;

use super::functions::{Described, QUESTIONS, TABLE};
use super::{Catalog, Kind};
use crate::lifecycle::{EventType, Source, Transition};

/// `docs/kinds.md`, in Markdown.
#[must_use]
pub fn page(catalog: &Catalog) -> String {
    let mut page = include_str!("docs/head.md").to_owned();
    let (subjects, details): (Vec<&Kind>, Vec<&Kind>) =
        catalog.kinds().iter().partition(|kind| kind.source().is_some());
    page.push_str("\n| kind | API | source | events |\n|---|---|---|---|\n");
    page.push_str("| Job | `batch/v1` | DLCJob | all of its source |\n");
    page.push_str("| Pod with the label | `v1` | as the label says | those of its source that a Pod can show |\n");
    for kind in sorted(subjects) {
        let source = kind.source().map_or("", Source::as_str);
        let events: Vec<&str> = kind.events().into_iter().map(EventType::as_str).collect();
        let _ = writeln!(page, "| {} | {} | {source} | {} |", link(kind), api(kind), events.join(", "));
    }
    page.push_str(
        "\nThese are no subjects, and add to what is told of others:\n\n| kind | API | adds |\n|---|---|---|\n",
    );
    for kind in sorted(details) {
        let adds: Vec<&str> = kind.transitions().into_iter().map(Transition::as_str).collect();
        let _ = writeln!(page, "| {} | {} | {} |", link(kind), api(kind), adds.join(", "));
    }
    page.push_str("\n## What a kind cannot show\n\n");
    for (note, kinds) in notes(catalog) {
        let _ = writeln!(page, "- **{}**: {note}", kinds.join(", "));
    }
    page.push('\n');
    page.push_str(include_str!("docs/form.md"));
    page.push_str("| function or variable | gives |\n|---|---|\n");
    for (usage, meaning) in QUESTIONS {
        let _ = writeln!(page, "| `{usage}` | {meaning} |");
    }
    for Described { usage, meaning, .. } in TABLE {
        let _ = writeln!(page, "| `{usage}` | {meaning} |");
    }
    page
}

fn sorted(mut kinds: Vec<&Kind>) -> Vec<&Kind> {
    kinds.sort_by_key(|kind| (kind.source(), kind.group(), kind.kind(), kind.versions()));
    kinds
}

/// Each note, with the kinds that it is about.
fn notes(catalog: &Catalog) -> Vec<(&str, Vec<String>)> {
    let mut notes: Vec<(&str, Vec<String>)> = Vec::new();
    for kind in sorted(catalog.kinds().iter().collect()) {
        let Some(note) = kind.note() else { continue };
        let name = format!("{} ({})", kind.kind(), kind.group());
        match notes.iter_mut().find(|(known, _)| *known == note) {
            Some((_, kinds)) if kinds.contains(&name) => {}
            Some((_, kinds)) => kinds.push(name),
            None => notes.push((note, vec![name])),
        }
    }
    notes
}

fn link(kind: &Kind) -> String {
    format!("[{}]({})", kind.kind(), kind.docs())
}

fn api(kind: &Kind) -> String {
    format!("`{}/{}`", kind.group(), kind.versions().join("`, `"))
}
