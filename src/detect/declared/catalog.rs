//! All declared kinds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::body::{self, Body};
use super::error::CatalogError;
use super::schema::File;
use super::{Header, Kind};

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        /// The files of `src/detect/catalog/`.
        pub(super) const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../catalog/", $name)))),+];
    };
}

files! {
    "argo-workflow.yaml",
    "jobset.yaml",
    "karpenter-nodeclaim.yaml",
    "kruise-commit.yaml",
    "kserve-inferenceservice.yaml",
    "kubedl-elasticdljob.yaml",
    "kubedl-marsjob.yaml",
    "kubedl-modelversion.yaml",
    "kubedl-mpijob.yaml",
    "kubedl-notebook.yaml",
    "kubedl-pytorchjob.yaml",
    "kubedl-tfjob.yaml",
    "kubedl-xdljob.yaml",
    "kubedl-xgboostjob.yaml",
    "kubeflow-jaxjob.yaml",
    "kubeflow-mpijob-v1.yaml",
    "kubeflow-mpijob-v2beta1.yaml",
    "kubeflow-notebook.yaml",
    "kubeflow-paddlejob.yaml",
    "kubeflow-pytorchjob.yaml",
    "kubeflow-tfjob.yaml",
    "kubeflow-workspace.yaml",
    "kubeflow-xgboostjob.yaml",
    "kueue-workload.yaml",
    "opensandbox-sandboxsnapshot.yaml",
    "ray-raycluster.yaml",
    "ray-rayjob.yaml",
    "sealos-devboxrelease-old.yaml",
    "sealos-devboxrelease.yaml",
    "tekton-pipelinerun.yaml",
    "tekton-taskrun.yaml",
    "trainjob.yaml",
    "volcano-job.yaml",
}

/// Kinds that are written in Rust, which no file may declare.
const IN_RUST: [(&str, &str); 2] = [("batch", "Job"), ("", "Pod")];

/// The compiled bodies by `group/Kind`, each with the name of its file.
type Bodies = BTreeMap<String, Vec<(String, Arc<Body>)>>;

/// Every declared kind.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    kinds: Vec<Kind>,
}

impl Catalog {
    /// The kinds that come with the program. That all of its files compile is tested; one that did not would be
    /// missing.
    #[must_use]
    pub fn built_in() -> Self {
        Self::default().with_files(FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))).0
    }

    /// Adds the kinds of a directory's `*.yaml` and `*.yml` files, in the order of their names. A kind that is known
    /// already is replaced. A file that cannot be used is an error with its line; the others are not affected.
    #[must_use]
    pub fn with_dir(self, dir: &Path) -> (Self, Vec<CatalogError>) {
        let failed = |file: &Path, error: &std::io::Error| {
            CatalogError::new(&file.display().to_string(), None, format!("cannot be read: {error}"))
        };
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => return (self, vec![failed(dir, &error)]),
        };
        let is_yaml = |file: &Path| file.extension().is_some_and(|end| end == "yaml" || end == "yml");
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|file| is_yaml(file)).collect();
        names.sort();
        let (mut files, mut errors) = (Vec::new(), Vec::new());
        for name in names {
            match std::fs::read_to_string(&name) {
                Ok(text) => files.push((name.display().to_string(), text)),
                Err(error) => errors.push(failed(&name, &error)),
            }
        }
        let (catalog, more) = self.with_files(files);
        errors.extend(more);
        (catalog, errors)
    }

    /// As [`Self::with_dir`], from names and texts.
    #[must_use]
    pub fn with_files(self, files: impl IntoIterator<Item = (String, String)>) -> (Self, Vec<CatalogError>) {
        let mut errors = Vec::new();
        let mut parsed = Vec::new();
        for (name, text) in files {
            match parse(&name, &text) {
                Ok(file) => parsed.push((name, text, file)),
                Err(error) => errors.push(error),
            }
        }
        let mut bodies = Bodies::new();
        parsed.retain(|(name, text, file)| {
            let body = match &file.like {
                Some(_) => return true,
                None => body::compile(file, name, text),
            };
            match body {
                Ok(body) => bodies.entry(full_name(file)).or_default().push((name.clone(), Arc::new(body))),
                Err(error) => {
                    errors.push(error);
                    return false;
                }
            }
            true
        });
        let mut added: Vec<Kind> = Vec::new();
        for (name, _, file) in parsed {
            match self.kind(&name, file, &bodies, &added) {
                Ok(kind) => added.push(kind),
                Err(error) => errors.push(error),
            }
        }
        let is_replaced =
            |known: &Kind| added.iter().any(|kind| (kind.group(), kind.kind()) == (known.group(), known.kind()));
        let mut kinds: Vec<Kind> = self.kinds.into_iter().filter(|known| !is_replaced(known)).collect();
        kinds.extend(added);
        (Self { kinds }, errors)
    }

    fn kind(&self, name: &str, file: File, bodies: &Bodies, added: &[Kind]) -> Result<Kind, CatalogError> {
        let of_file = |line, message: String| CatalogError::new(name, line, message);
        let own = full_name(&file);
        let is_declared = |kind: &Kind| {
            full_name_of(kind) == own && kind.versions().iter().any(|version| file.versions.contains(version))
        };
        if added.iter().any(is_declared) {
            return Err(of_file(None, format!("{own} is declared in another file for the same version")));
        }
        let body = match &file.like {
            None => bodies.get(&own).and_then(|all| all.iter().find(|(file, _)| file == name)).map(|(_, body)| body),
            Some(like) => bodies
                .get(&like.value)
                .and_then(|all| all.first())
                .map(|(_, body)| body)
                .or_else(|| self.kinds.iter().find(|kind| full_name_of(kind) == like.value).map(|kind| &kind.body)),
        };
        let Some(body) = body.cloned() else {
            let line = file.like.as_ref().map(|like| like.referenced.line());
            let missing = file.like.map_or(own, |like| like.value);
            return Err(of_file(line, format!("there is no kind {missing} to be like")));
        };
        Ok(Kind { header: Arc::new(header(name, file)), body })
    }

    /// Without the kinds of these names, such as `pytorchjobs.kubeflow.org`.
    #[must_use]
    pub fn without(mut self, names: &[String]) -> Self {
        self.kinds.retain(|kind| !names.contains(&kind.name()));
        self
    }

    /// Every kind.
    #[must_use]
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// The kind that fits one of the versions that a cluster serves, and that version: the preferred one of the file's.
    /// `MPIJob`s of two operators share group and kind, and are told apart by it.
    #[must_use]
    pub fn serving(&self, group: &str, kind: &str, served: &[&str]) -> Option<(&Kind, &str)> {
        let mut named = self.kinds.iter().filter(|known| known.group() == group && known.kind() == kind);
        let fits = |known: &'_ Kind| known.versions().iter().position(|version| served.contains(&version.as_str()));
        let (known, version) = named.find_map(|known| fits(known).map(|version| (known, version)))?;
        known.versions().get(version).map(|version| (known, version.as_str()))
    }

    /// The kind that an object says it is of, by its `apiVersion` and `kind`.
    #[must_use]
    pub fn kind_of(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        self.serving(group, kind, &[version]).map(|(kind, _)| kind)
    }
}

fn full_name(file: &File) -> String {
    format!("{}/{}", file.group, file.kind)
}

fn full_name_of(kind: &Kind) -> String {
    format!("{}/{}", kind.group(), kind.kind())
}

fn header(name: &str, file: File) -> Header {
    let File { group, versions, kind, plural, scope, docs, access, .. } = file;
    Header { file: name.to_owned(), group, versions, kind, plural, scope, docs, access }
}

fn parse(name: &str, text: &str) -> Result<File, CatalogError> {
    let error = |line, message: String| CatalogError::new(name, line, message);
    let options = serde_saphyr::options! { with_snippet: false };
    let file: File = serde_saphyr::from_str_with_options(text, options).map_err(|it| {
        let line = it.location().map(|location| location.line()).filter(|line| *line > 0);
        let message = it.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
        // The place stands in front already.
        error(line, message.split(" at line ").next().unwrap_or_default().to_owned())
    })?;
    if IN_RUST.contains(&(&*file.group, &*file.kind)) {
        return Err(error(None, format!("{} is built into the program, and cannot be declared", full_name(&file))));
    }
    if file.versions.is_empty() || file.kind.is_empty() || file.plural.is_empty() {
        return Err(error(None, "`versions`, `kind` and `plural` must not be empty".to_owned()));
    }
    if let Some(like) = &file.like
        && (file.source.is_some() || file.finished.is_some() || !file.transitions.is_empty() || file.for_each.is_some())
    {
        let message = "a file that is `like` another has no `source`, `finished`, `transitions` or `forEach`";
        return Err(error(Some(like.referenced.line()), message.to_owned()));
    }
    Ok(file)
}
