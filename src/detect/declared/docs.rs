//! The page that lists all kinds, made from the catalog.

use std::fmt::Write as _;

use super::Catalog;

/// The table of kinds in Markdown.
#[must_use]
pub fn table(catalog: &Catalog) -> String {
    let mut page = String::new();
    for kind in catalog.kinds() {
        let _ = writeln!(page, "{}", kind.kind());
    }
    page
}
