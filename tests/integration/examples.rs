//! The examples of all channels, taken by a real API server. Those of the demo are shown by the demo.

use pai_notification::api::NoticeRule;

use crate::install::{apply_all, in_repository};
use crate::scene::Scene;

#[tokio::test]
async fn the_examples_of_every_channel_are_taken_and_ready() {
    let scene = Scene::new("speech").await;
    let _operator = scene.operator().await;
    for file in ["1-workspace.yaml", "2-secrets.yaml", "3-targets.yaml", "4-rules.yaml"] {
        let text = std::fs::read_to_string(in_repository("examples/channels").join(file)).unwrap();
        apply_all(&scene.admin, &text).await.unwrap_or_else(|error| panic!("{file}: {error:?}"));
    }
    for target in ["wecom", "lark", "pipeline", "oncall"] {
        scene.target_is(target, "Ready").await;
    }
    for (rule, active) in [("failures", "1/1"), ("news", "3/3")] {
        scene.rule_ready(rule).await;
        scene.wait::<NoticeRule>(rule, |rule| rule.status.as_ref().is_some_and(|s| s.targets_active == active)).await;
    }
}
