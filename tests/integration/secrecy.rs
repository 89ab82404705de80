//! Secrets and tokens appear nowhere.

use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::Api;
use kube::api::ListParams;
use pai_notification::api::{EventBus, EventTarget, Notice, NoticeRule, Workspace};
use serde_json::json;

use crate::install::Operator;
use crate::robot::Behaviour;
use crate::scene::{SOON, Scene};

#[tokio::test]
async fn no_secret_or_token_is_in_any_status_event_metric_or_log_even_at_trace_level() {
    let (scene, robot, _) = Scene::in_force("secrecy").await;
    let operator = Operator::start_logging(&scene.installed, &[], "trace").await.unwrap();
    let token = "secrecy-oncall";
    let endpoint = scene.receiver.endpoint(crate::robot::Endpoint::anything("hook-with-a-t0ken-in-its-path"));
    scene.secret("web", json!({"url": format!("{}?token=qu3ry-t0ken", endpoint.url()), "bearer": "b3arer-t0ken", "header": "h3ader-t0ken"})).await;
    let reference = |key: &str| json!({"secretKeyRef": {"name": "web", "key": key}});
    let http = json!({"webhook": reference("url"), "authorization": {"bearer": reference("bearer")},
        "headers": [{"name": "X-Key", "secretKeyRef": {"name": "web", "key": "header"}}]});
    scene.target("web", json!({"http": http})).await;
    scene.rule("ends", &["JobFinished"], &["oncall", "web"]).await;
    scene.rule_ready("ends").await;
    // Receivers that repeat what they were sent, and one that cannot be reached.
    robot.behave(Behaviour::code(310_000, &format!("bad {token} {} from 203.0.113.9", crate::scene::KEY)));
    endpoint.behave(Behaviour::Answer {
        status: 400,
        headers: Vec::new(),
        body: "b3arer-t0ken h3ader-t0ken qu3ry-t0ken hook-with-a-t0ken-in-its-path".to_owned(),
    });
    scene.job("a", json!({}), json!({})).await;
    scene.all_settled(1).await;
    robot.behave(Behaviour::Ok);
    endpoint.behave(Behaviour::Reset);
    scene.job("b", json!({}), json!({})).await;
    robot.wait_for(1, SOON).await.unwrap();
    scene.delivery("b", "web", |d| d.attempts > 0).await;
    let metrics = operator.metrics().await.unwrap();
    let log = operator.log_file().to_owned();
    operator.terminate().await.unwrap();

    let mut shown = vec![("the metrics", metrics), ("the log", std::fs::read_to_string(log).unwrap())];
    assert!(shown[1].1.contains("TRACE"), "the log is at trace level");
    let all = ListParams::default();
    let text = |list: Vec<serde_json::Value>| serde_json::to_string(&list).unwrap();
    macro_rules! show {
        ($kind:ty) => {
            let list = Api::<$kind>::all(scene.admin.clone()).list(&all).await.unwrap();
            // What users wrote themselves is theirs to hide.
            let statuses = list.items.iter().map(|o| {
                let mut value = serde_json::to_value(o).unwrap();
                if stringify!($kind) == "EventTarget" {
                    value.as_object_mut().unwrap().remove("spec");
                }
                value["metadata"].as_object_mut().unwrap().remove("managedFields");
                value
            });
            shown.push((stringify!($kind), text(statuses.collect())));
        };
    }
    show!(EventTarget);
    show!(NoticeRule);
    show!(Workspace);
    show!(EventBus);
    show!(Notice);
    show!(Event);
    show!(ConfigMap);
    for (place, text) in shown {
        for secret in [
            crate::scene::KEY,
            token,
            "b3arer-t0ken",
            "h3ader-t0ken",
            "qu3ry-t0ken",
            "hook-with-a-t0ken",
            "203.0.113.9",
        ] {
            if let Some(at) = text.find(secret) {
                let from = text.floor_char_boundary(at.saturating_sub(200));
                panic!("{secret} is in {place}: ...{}", &text[from..text.ceil_char_boundary(at + secret.len() + 50)]);
            }
        }
    }
}
