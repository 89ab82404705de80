//! Names that users and other programs rely on.

/// API group.
pub const GROUP: &str = "notification.pai.dev";
/// API version.
pub const VERSION: &str = "v1alpha1";

/// Label that makes an object a subject of the named source, or changes its source. Values: see `Source`.
pub const SOURCE_LABEL: &str = "notification.pai.dev/source";
/// Label on a Job that saves an image of the named instance.
pub const IMAGE_OF_LABEL: &str = "notification.pai.dev/image-of";
/// Annotation or label on a model version: `Approved`, `Rejected` or `Pending`.
pub const APPROVAL_KEY: &str = "notification.pai.dev/approval";
/// Label that the operator puts on what it makes for a Workspace; its value is the Workspace's name.
pub const WORKSPACE_LABEL: &str = "notification.pai.dev/workspace";
/// Label of a Notice: the source of its event.
pub const NOTICE_SOURCE_LABEL: &str = "notification.pai.dev/event-source";
/// Label of a Notice: the event's transition.
pub const NOTICE_TRANSITION_LABEL: &str = "notification.pai.dev/transition";
/// Annotation of an `EventTarget`: any new value asks for one connectivity test.
pub const TEST_ANNOTATION: &str = "notification.pai.dev/test-connectivity";
/// Annotation of a Notice: any new value tries its failed deliveries again.
pub const REDELIVER_ANNOTATION: &str = "notification.pai.dev/redeliver";

/// The `ClusterRole` that "Grant Access" binds in a namespace, and the name of that binding.
pub const SERVICE_ROLE: &str = "AliyunServiceRoleForPAIWorkspace";

/// The verb on a workspace's `EventBus` that lets somebody publish.
pub const PUBLISH: &str = "publish";

/// The name of a workspace's `EventBus`.
#[must_use]
pub fn bus_name(workspace: &str) -> String {
    format!("pai-system-{workspace}")
}
