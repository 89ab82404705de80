//! What the API server serves of the catalog's kinds.

use std::collections::BTreeMap;

use kube::Client;

use super::path_of;
use crate::cluster::deadline::{self, ApiError};
use crate::detect::declared::{self, Catalog};

/// The versions in which each resource is served, by group, kind and plural name.
#[derive(Debug, Default)]
pub(super) struct Served(BTreeMap<(String, String, String), Vec<String>>);

impl Served {
    /// Asks discovery, and only for the groups of the catalog.
    pub(super) async fn ask(client: &Client, catalog: &Catalog) -> Result<Self, ApiError> {
        let mut served = Self::default();
        for group in deadline::read(client.list_api_groups()).await?.groups {
            let known = |version: &str| {
                catalog
                    .kinds()
                    .iter()
                    .any(|kind| kind.group() == group.name && kind.versions().iter().any(|v| v == version))
            };
            for version in group.versions.iter().filter(|version| known(&version.version)) {
                let resources = match deadline::read(client.list_api_group_resources(&version.group_version)).await {
                    Ok(list) => list.resources,
                    // Gone between the two questions.
                    Err(error) if error.is_not_found() => continue,
                    Err(error) => return Err(error),
                };
                for resource in resources.into_iter().filter(|resource| !resource.name.contains('/')) {
                    served.add((&group.name, &resource.kind, &resource.name), &version.version);
                }
            }
        }
        Ok(served)
    }

    fn add(&mut self, (group, kind, plural): (&str, &str, &str), version: &str) {
        self.0.entry((group.to_owned(), kind.to_owned(), plural.to_owned())).or_default().push(version.to_owned());
    }

    /// The kinds that can be watched, each with the path of its list.
    pub(super) fn kinds(&self, catalog: &Catalog) -> Vec<(declared::Kind, String)> {
        let fits = |((group, kind, plural), versions): (&(String, String, String), &Vec<String>)| {
            let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
            let (kind, version) = catalog.serving(group, kind, &versions)?;
            (kind.plural() == plural).then_some(())?;
            Some((kind.clone(), path_of(kind, version)?))
        };
        self.0.iter().filter_map(fits).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(served: &[(&str, &str, &str, &str)]) -> Vec<String> {
        let mut all = Served::default();
        for (group, kind, plural, version) in served {
            all.add((group, kind, plural), version);
        }
        all.kinds(&Catalog::built_in()).into_iter().map(|(_, path)| path).collect()
    }

    #[test]
    fn the_version_that_the_catalog_prefers_is_watched_and_only_if_it_is_served() {
        let kueue = |version| ("kueue.x-k8s.io", "Workload", "workloads", version);
        assert_eq!(paths(&[kueue("v1beta1")]), ["/apis/kueue.x-k8s.io/v1beta1/workloads"]);
        assert_eq!(paths(&[kueue("v1beta1"), kueue("v1beta2")]), ["/apis/kueue.x-k8s.io/v1beta2/workloads"]);
        assert_eq!(paths(&[kueue("v9")]), [""; 0]);
    }

    #[test]
    fn kinds_of_one_name_are_told_apart_by_group_version_and_spelling() {
        let mpi = |version| ("kubeflow.org", "MPIJob", "mpijobs", version);
        let file = |version| {
            let mut served = Served::default();
            let (group, kind, plural, version) = mpi(version);
            served.add((group, kind, plural), version);
            served.kinds(&Catalog::built_in()).into_iter().map(|(kind, _)| kind.file().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(file("v1"), ["kubeflow-mpijob-v1.yaml"]);
        assert_eq!(file("v2beta1"), ["kubeflow-mpijob-v2beta1.yaml"]);
        let two = [
            ("kubeflow.org", "PyTorchJob", "pytorchjobs", "v1"),
            ("training.kubedl.io", "PyTorchJob", "pytorchjobs", "v1alpha1"),
            ("devbox.sealos.io", "DevBoxRelease", "devboxreleases", "v1alpha1"),
        ];
        let expected = [
            "/apis/devbox.sealos.io/v1alpha1/devboxreleases",
            "/apis/kubeflow.org/v1/pytorchjobs",
            "/apis/training.kubedl.io/v1alpha1/pytorchjobs",
        ];
        assert_eq!(paths(&two), expected);
    }

    #[test]
    fn what_only_adds_to_others_and_is_owned_by_nobody_is_not_watched() {
        assert_eq!(paths(&[("karpenter.sh", "NodeClaim", "nodeclaims", "v1")]), [""; 0]);
    }
}
