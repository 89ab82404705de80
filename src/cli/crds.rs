//! `pai-notification crds`: the `CustomResourceDefinitions`, printed from the Rust types.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

use crate::api::{EventBus, EventTarget, Notice, NoticeRule, Workspace};

/// Flags of `crds`.
#[derive(Args, Debug)]
pub struct CrdsArgs {
    /// Write one file per definition into this directory instead of printing them.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// All five definitions.
#[must_use]
pub fn all() -> [CustomResourceDefinition; 5] {
    [Workspace::crd(), EventBus::crd(), EventTarget::crd(), NoticeRule::crd(), Notice::crd()]
}

/// Prints or writes them.
///
/// # Errors
/// If a file cannot be written.
pub fn run(args: &CrdsArgs) -> anyhow::Result<()> {
    for definition in all() {
        let yaml = serde_saphyr::to_string(&definition).context("a definition cannot be written as YAML")?;
        match &args.output {
            None => write!(std::io::stdout(), "---\n{yaml}")?,
            Some(directory) => {
                let file = directory.join(format!("{}.yaml", definition.spec.names.plural));
                std::fs::create_dir_all(directory)
                    .and_then(|()| std::fs::write(&file, &yaml))
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
    }
    Ok(())
}
