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
