//! The chart keeps up with the program: every flag of `run` is a value, and every value is described.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Args as _;
use pai_notification::detect::declared::Catalog;
use pai_notification::ops::args::RunArgs;
use pai_notification::watch::kinds::is_of_use;
use serde_json::Value;

fn chart(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("charts/pai-notification").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_flag_of_run_is_set_by_the_deployment() {
    let deployment = chart("templates/deployment.yaml");
    let command = RunArgs::augment_args(clap::Command::new("run"));
    let flags: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert!(flags.len() > 5, "{flags:?}");
    for flag in flags {
        assert!(deployment.contains(&format!("- --{flag}=")), "the deployment does not set --{flag}");
    }
}

#[test]
fn every_value_is_in_the_schema_and_the_other_way_round() {
    let values: Value = serde_saphyr::from_str(&chart("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&chart("values.schema.json")).unwrap();
    compare("", &values, &schema);
}

fn compare(at: &str, values: &Value, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let values = values.as_object().unwrap_or_else(|| panic!("{at} is no object"));
    for name in values.keys() {
        assert!(properties.contains_key(name), "values.schema.json does not know {at}.{name}");
    }
    for (name, schema) in properties.iter().filter(|(name, _)| *name != "global") {
        let value = values.get(name).unwrap_or_else(|| panic!("values.yaml does not have {at}.{name}"));
        compare(&format!("{at}.{name}"), value, schema);
    }
}

#[test]
fn the_operator_may_read_exactly_the_kinds_of_the_catalog() {
    let mut expected =
        "# The kinds of the catalog, one rule each, so that each can be left out. Made by `make bless`.\n".to_owned();
    let catalog = Catalog::built_in();
    let mut names: Vec<(&str, &str)> =
        catalog.kinds().iter().filter(|kind| is_of_use(kind)).map(|kind| (kind.group(), kind.plural())).collect();
    names.sort_unstable();
    names.dedup();
    for (group, plural) in names {
        write!(expected, "- {{apiGroups: [{group}], resources: [{plural}], verbs: [get, list, watch]}}\n").unwrap();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("charts/pai-notification/rules/kinds.yaml");
    if std::env::var_os("INSTA_FORCE_PASS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == expected, "rules/kinds.yaml: run `make bless`");
}

#[test]
fn the_operator_may_read_what_the_kinds_need_beside_themselves() {
    let rules = |file: &str| serde_saphyr::from_str::<Vec<Value>>(&chart(file)).unwrap();
    let rules: Vec<Value> = rules("rules/operator.yaml").into_iter().chain(rules("rules/kinds.yaml")).collect();
    let names = |rule: &Value, field: &str, name: &str| rule[field].as_array().unwrap().contains(&name.into());
    for kind in Catalog::built_in().kinds() {
        for access in kind.access() {
            let allows = |rule: &Value| {
                names(rule, "apiGroups", &access.group)
                    && names(rule, "resources", &access.resource)
                    && ["get", "list", "watch"].iter().all(|verb| names(rule, "verbs", verb))
            };
            assert!(rules.iter().any(allows), "{} needs {access:?}", kind.file());
        }
    }
}

#[test]
fn chart_and_crate_have_one_version() {
    let chart: Value = serde_saphyr::from_str(&chart("Chart.yaml")).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_chart_has_the_crds_that_the_crate_has() {
    let folder = |path: &str| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
        let mut files: Vec<(String, String)> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    assert_eq!(folder("crds").len(), 5);
    assert!(folder("crds") == folder("charts/pai-notification/crds"), "run `make bless`");
}
